"""The first minutes: record a play, read the video, write the reward model, play, print the table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lookalike.experiments.preparation import Advance, Watched, watch_play
from lookalike.experiments.results import ExperimentResult
from lookalike.experiments.runner import run_experiment

ENVIRONMENT = "colossal-cave"
RECORDING = "adventure:2"
EXPERIMENT = "demo/colossal-cave"


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        watched: The recording, what was read off it, and the reward model.
        result: The table.
        report: The HTML report.
        events: The event log.
    """

    watched: Watched
    result: ExperimentResult
    report: Path
    events: Path


def watch_demo(out: Path, *, progress: Advance | None = None) -> Watched:
    """Record the human-written play of the `adventure` package as a video, read it, write the model."""
    return watch_play(RECORDING, environment=ENVIRONMENT, folder=out / "recording", progress=progress)


def play_demo(out: Path, watched: Watched, *, quick: bool = False, progress: Advance | None = None) -> Demo:
    """Play the demo's goals under the paper's conditions and write the report.

    Args:
        out: Folder; what is finished there is not played again.
        watched: From `watch_demo`, in the same folder.
        quick: Two goals and one seed.
        progress: Called with done, total and what is going on.
    """
    few = {"seeds": (1000,), "goals": ("lamp", "bird")} if quick else {}
    result = run_experiment(EXPERIMENT, out=out, progress=progress, **few)  # type: ignore[arg-type]
    return Demo(watched, result, out / "report.html", out / "events.sqlite")
