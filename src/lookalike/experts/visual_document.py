"""What the visual expert writes down: the document, with what it found out about its own learning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.core.ids import hash_file
from lookalike.core.types import Demonstration
from lookalike.experts.visual_actions import LearnedActions
from lookalike.experts.visual_clock import Clock
from lookalike.experts.visual_data import Segment
from lookalike.experts.visual_ends import LearnedEnds
from lookalike.experts.visual_progress import LearnedProgress
from lookalike.experts.visual_stages import Stage, write_thumbnail
from lookalike.rewards.document import (
    Detect,
    MadeBy,
    Milestone,
    RecordingNote,
    RewardModel,
    Span,
    VisualPart,
    Weights,
)

EXPERT = "embedded-visual"
VERSION = 2
WEIGHTS_FILE = "weights.safetensors"
_STAGE_VALUE, _END_VALUE = 0.1, 0.5


@dataclass(frozen=True)
class WatchReport:
    """What the expert found out about its own learning; every part is in the document as well.

    Attributes:
        distance: How far the recordings are from the game's frames, in their own distances.
        actions: The inverse dynamics on held-out random play.
        progress: The progress network on held-out recordings, with the ridge baseline.
        clock: Pixels that tell the time.
        held_out: How many recordings, or levels of them, were held out.
        tried: Share of the recordings' steps whose action was recovered by trying, in [0, 1].
        agreement: Share of the held-out recordings' steps that the inverse-dynamics network names like
            trying does, where actions have visible effects; ``None`` where there are none.
        compared: How many steps that is.
        ends: What good ends look like.
        levels: How many levels' plays the recordings hold.
    """

    distance: float
    actions: LearnedActions
    progress: LearnedProgress
    clock: Clock
    held_out: int
    tried: float = 0.0
    agreement: float | None = None
    compared: int = 0
    ends: LearnedEnds | None = None
    levels: int = 0


def write_document(
    demonstrations: Sequence[Demonstration],
    segments: Sequence[Segment],
    environment: str,
    folder: Path,
    *,
    stages: Sequence[Stage],
    report: WatchReport,
) -> RewardModel:
    """Write the pictures of the stages, and return the document with them.

    Args:
        demonstrations: The recordings.
        segments: Their parts, a level each.
        environment: Environment id.
        folder: Where the pictures go, and the weights lie already.
        stages: What progress was cut into.
        report: What the expert found out about its own learning.
    """
    milestones: list[Milestone] = []
    for number, stage in enumerate(stages, 1):
        name = f"stage-{number}"
        shown = segments[stage.recording]
        demonstration = demonstrations[shown.recording]
        picture = f"{name}.png"
        write_thumbnail(demonstration, shown.start + stage.step, folder / picture)
        last = stage.potential >= 1.0
        milestones.append(
            Milestone(
                id=name,
                description=_stage_words(stage, len(segments)),
                kind="stage",
                detect=Detect(stage=stage.potential),
                value=_END_VALUE if last else _STAGE_VALUE,
                after=(milestones[-1].id,) if milestones else (),
                evidence=_span(demonstration, *(shown.start + at for at in stage.span)),
                thumbnail=f"{folder.name}/{picture}",
            )
        )
    figures, ridge = report.progress.figures, report.progress.ridge
    box = report.clock.box
    return RewardModel(
        environment=environment,
        goal=f"Reach what {_counted(report.levels, len(demonstrations))} of {environment} end with.",
        made_by=MadeBy(expert=EXPERT, expert_version=VERSION),
        recordings=tuple(RecordingNote.of(demonstration) for demonstration in demonstrations),
        weights=Weights(progress=1.0, refused=0.0, setback=-0.5),
        milestones=tuple(milestones),
        visual=VisualPart(
            weights=f"{folder.name}/{WEIGHTS_FILE}",
            weights_hash=hash_file(folder / WEIGHTS_FILE),
            distance=_rounded(report.distance),
            actions_accuracy=_rounded(report.actions.accuracy),
            actions_tried=_rounded(report.tried),
            actions_agreement=None if report.agreement is None else _rounded(report.agreement),
            held_out=report.held_out,
            voc_good=_rounded(figures.voc_good),
            voc_bad=_rounded(figures.voc_bad),
            pairwise=_rounded(figures.pairwise),
            ridge_voc_good=_rounded(ridge.voc_good),
            ridge_voc_bad=_rounded(ridge.voc_bad),
            ridge_pairwise=_rounded(ridge.pairwise),
            clock=report.clock.sentence(),
            clock_box=box,
        ),
    )


def _counted(levels: int, recordings: int) -> str:
    plays = "" if levels == recordings else f"{levels} plays in "
    return f"{plays}{recordings} recording(s)"


def _stage_words(stage: Stage, recordings: int) -> str:
    if stage.potential >= 1.0:
        return f"The end: it looks as it does where {stage.reached_by} of {recordings} recorded plays end."
    return (
        f"{round(100 * stage.potential)}% of the way: {stage.reached_by} of {recordings} recorded plays come "
        f"here, about {stage.steps_left} steps before their end."
    )


def _span(demonstration: Demonstration, start: int, end: int) -> Span:
    times = demonstration.trajectory.times
    return Span(
        recording=demonstration.id,
        start=start,
        end=end,
        start_s=round(times[start], 2) if times else None,
        end_s=round(times[end + 1], 2) if times else None,
    )


def _rounded(value: float) -> float:
    return round(value, 4) if math.isfinite(value) else 0.0
