"""``lookalike experiment run paper/procgen``: sixteen games, each recorded, watched and played."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.cli.options import parse_seeds, split_names, usage_error
from lookalike.cli.output import progress, say

if TYPE_CHECKING:
    from lookalike.experiments import RunOptions
    from lookalike.experiments.results import ExperimentResult

NAME = "paper/procgen"


def run_games(
    out: Path,
    *,
    options: RunOptions,
    games: str | None,
    seeds: str | None,
    conditions: str | None,
    videos: int | None,
    effort: float | None,
    others: Mapping[str, Any],
) -> ExperimentResult:
    """Run the experiment over Procgen's games.

    Args:
        out: Folder for everything.
        options: How to carry it out.
        games: Names, with commas; ``None`` for all sixteen.
        seeds: Levels, as they were typed.
        conditions: Names, with commas.
        videos: Recordings a game.
        effort: How much is trained.
        others: Options that were given and mean nothing here, by name.

    Raises:
        UsageError: An option that means nothing here.
    """
    from dataclasses import replace

    from lookalike.experiments.procgen import run_procgen

    for name, value in others.items():
        if value:
            raise usage_error(
                f"{NAME} writes its own reward models and asks no language model.",
                got=f"--{name} {value}",
                expected="--games, --videos, --effort, --seeds, --conditions",
                remedy=f"leave --{name} out",
            )
    with progress(f"Running {NAME}") as advance:
        return run_procgen(
            out=out,
            games=split_names(games),
            seeds=None if seeds is None else parse_seeds(seeds),
            conditions=split_names(conditions),
            videos=videos,
            effort=effort,
            options=replace(options, progress=advance, notify=say),
        )
