"""``lookalike watch``: an expert watches recordings and writes a reward model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import emit, emit_json
from lookalike.cli.recordings import read_all


def watch(
    recordings: Annotated[
        list[Path],
        typer.Argument(help="Recordings: video, transcript, asciicast, JSONL, or datasets of several plays."),
    ],
    environment: Annotated[str, typer.Option(help="Id of the environment that the recordings show.")],
    out: Annotated[Path, typer.Option(help="Where to write the reward model.")],
    expert: Annotated[str, typer.Option(help="Who watches.")] = "embedded-text",
    licence: Annotated[
        str | None, typer.Option(help="Licence of the recordings, where they do not say it themselves.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch recordings and write the reward model that they teach."""
    from lookalike.experts import make_expert
    from lookalike.rewards import save_reward_model

    watcher = make_expert(expert)
    demonstrations = [
        demonstration
        for path in recordings
        for demonstration in read_all(path, licence=licence, environment=environment)
    ]
    model = watcher.watch(demonstrations, environment=environment)
    save_reward_model(model, out)
    if as_json:
        emit_json(
            {"out": out, "content_hash": model.content_hash(), "components": len(list(model.components()))}
        )
        return
    steps = sum(len(d.trajectory) for d in demonstrations)
    emit(f"{out}: from {len(demonstrations)} recording(s), {steps} steps")
    emit(
        f"  {len(model.milestones)} milestones, {len(model.rules)} rules, {len(model.hazards)} hazards, "
        f"{len(model.pathways)} pathways"
    )
    emit(f"Read it with: lookalike rewards show {out}")
