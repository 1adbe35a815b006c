"""``lookalike demo``: the whole loop on a human-written play, for the first minutes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.failures import keep
from lookalike.cli.output import console, emit, progress

if TYPE_CHECKING:
    from lookalike.experiments.preparation import Watched

_SHOWN_MILESTONES = 12


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the video, the reward model and the report.")] = Path(
        "demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Two goals and one seed.")] = False,
) -> None:
    """Watch a play of Colossal Cave, write the reward model, let the swarm play, print the table."""
    from lookalike.experiments.demo import play_demo, watch_demo
    from lookalike.experiments.report import print_table

    keep(f"what is finished in {out}; the same command goes on from there")
    started = time.monotonic()
    emit(
        "1. Watching. A human-written play of Colossal Cave becomes a terminal video; only the video is read."
    )
    with progress("Watching") as advance:
        watched = watch_demo(out, progress=advance)
    _show_watched(watched)
    emit("\n3. Playing. The paper's conditions with the embedded language model, on seeds nobody recorded.")
    with progress("Playing") as advance:
        made = play_demo(out, watched, quick=quick, progress=advance)
    emit("")
    print_table(made.result, console())
    emit(f"report:    {made.report}")
    emit(f"again:     lookalike experiment run demo/colossal-cave --out {out}")
    emit("in full:   lookalike experiment run paper/colossal-cave")
    emit(f"edit:      lookalike rewards show {watched.path}")
    emit(f"all of it took {time.monotonic() - started:.0f} s")


def _show_watched(watched: Watched) -> None:
    model = watched.reward_model
    emit(
        f"   {watched.video}: {len(watched.demonstration.trajectory)} commands read by OCR, "
        f"{watched.recovered} of {watched.commands} exactly."
    )
    emit(
        f"\n2. The reward model, {watched.path}: {len(model.milestones)} milestones, "
        f"{len(model.rules)} rules, {len(model.hazards)} hazards, {len(model.places)} places. "
        "The first milestones:"
    )
    for milestone in model.milestones[:_SHOWN_MILESTONES]:
        second = milestone.evidence.start_s
        at = f"{int(second // 60)}:{int(second % 60):02d}" if second is not None else "     "
        emit(f"   {at:>6}  {milestone.value:+.2f}  {milestone.description}")
    emit(f"   … and {len(model.milestones) - _SHOWN_MILESTONES} more.")
    for rule in model.rules:
        emit(f"   rule    {rule.weight:+.2f}  after '{rule.cue[:60]}': {rule.action} ({rule.support} times)")
