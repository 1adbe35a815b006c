"""A small visual reward model of a real game, made once for all tests that need one."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from lookalike.environments.procgen_engine import procgen_installed
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

TORCH = importlib.util.find_spec("torch") is not None and importlib.util.find_spec("safetensors") is not None
needs_torch = pytest.mark.skipif(not TORCH, reason="PyTorch is not installed (make vision)")
needs_visual = pytest.mark.skipif(
    not (TORCH and procgen_installed()), reason="PyTorch or Procgen is not installed (make vision visual)"
)
GAME = "coinrun"
LEVELS = (3, 4, 9)


def record(folder: Path, game: str, levels: tuple[int, ...]) -> list[Path]:
    """Let the scripted demonstrator record levels; return the videos."""
    from lookalike.environments.procgen import Procgen
    from lookalike.recordings.demonstrator import record_search
    from lookalike.recordings.procgen_guides import procgen_guide

    environment = Procgen(game)
    videos = []
    for level in levels:
        video = folder / f"{level:03d}.mp4"
        _, made = record_search(
            environment, procgen_guide(game), seed=level, out=video, licence="CC0-1.0", max_steps=20_000
        )
        assert made is not None
        videos.append(video)
    environment.close()
    return videos


class Stage(NamedTuple):
    """A stage of a document: where, what it pays, and its picture."""

    level: float
    value: float = 0.1
    thumbnail: str | None = None


def document_of_pictures(
    environment: str, *, weights: str, stages: Sequence[Stage], weights_hash: str = "0" * 64
) -> RewardModel:
    """Return a visual reward model as the expert writes them, with figures that nobody measured."""
    span = Span(recording="r", start=3, end=4, start_s=0.2, end_s=0.3)
    return RewardModel(
        environment=environment,
        goal="Reach the end.",
        made_by=MadeBy(expert="embedded-visual", expert_version=1),
        recordings=(
            RecordingNote(
                id="r", file="r.mp4", content_hash="0" * 64, licence="CC0-1.0", player_kind="human", steps=20
            ),
        ),
        weights=Weights(progress=1.0, refused=0.0, setback=-0.5),
        milestones=tuple(
            Milestone(
                id=f"stage-{number}",
                description=f"{stage.level:.0%} of the way",
                kind="stage",
                detect=Detect(stage=stage.level),
                value=stage.value,
                evidence=span,
                thumbnail=stage.thumbnail,
            )
            for number, stage in enumerate(stages, 1)
        ),
        visual=VisualPart(
            weights=weights,
            weights_hash=weights_hash,
            distance=0.1,
            actions_accuracy=0.9,
            held_out=0,
            voc_good=0.9,
            voc_bad=0.1,
            pairwise=0.95,
            ridge_voc_good=0.5,
            ridge_voc_bad=0.4,
            ridge_pairwise=0.55,
            clock="No pixels were found that tell the time.",
        ),
    )


def small_effort():
    """Return an effort of some seconds: enough to learn something, not to be good."""
    from lookalike.experts.visual import Effort

    return Effort(
        random_steps=600, tried_steps=6_000, actions=40, progress=50, policy=60, preview=20, batch=48
    )
