"""A small visual reward model of a real game, made once for all tests that need one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lookalike.environments.procgen_engine import procgen_installed

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


def small_effort():
    """Return an effort of some seconds: enough to learn something, not to be good."""
    from lookalike.experts.visual import Effort

    return Effort(
        random_steps=600, tried_steps=6_000, actions=40, progress=50, policy=60, preview=20, batch=48
    )
