"""Real recordings, made once a session: the first commands of a play of Colossal Cave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lookalike.core.types import Demonstration
from lookalike.environments import make_environment
from lookalike.recordings import Pace, TerminalLook, read_recording, record_replay, shipped_play

BRISK = Pace(typing_s=0.1, thinking_s=0.1, reading_speed=400.0, pause_s=0.2)


def record_play(out: Path, count: int, look: TerminalLook | None = None, pace: Pace | None = BRISK) -> Demonstration:
    """Record the first ``count`` commands of the 350-point play; return what the log says was played."""
    play = shipped_play(2)
    environment = make_environment("colossal-cave", isolated=False)
    recorded = record_replay(
        environment, play.commands[:count], seed=play.seed, out=out, licence=play.licence, look=look, pace=pace
    )
    environment.close()
    return read_recording(recorded.log)


@pytest.fixture(scope="session")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Demonstration]:
    """A video of sixty commands, alone in its folder, and the truth."""
    folder = tmp_path_factory.mktemp("sixty")
    truth = record_play(folder / "made.mp4", 60)
    alone = folder / "alone"
    alone.mkdir()
    shutil.move(folder / "made.mp4", alone / "play.mp4")
    return alone / "play.mp4", truth


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of three commands, for damage."""
    out = tmp_path_factory.mktemp("short") / "short.mp4"
    record_play(out, 3)
    return out
