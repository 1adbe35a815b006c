"""``lookalike demo``: the whole loop on a bundled play, for the first minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lookalike.cli.failures import keep


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the video, the reward model and the report.")] = Path(
        "demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer goals and seeds: about a minute.")] = False,
) -> None:
    """Watch a play of Colossal Cave, write the reward model, let the swarm play, print the table."""
    from lookalike.experiments.demo import run_demo

    keep(f"what is finished in {out}; the same command goes on from there")
    run_demo(out=out, quick=quick)
