"""Real recordings, made once a session: the first commands of a play of Colossal Cave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from export_runs import Runs, make_runs
from recording_games import record_play

from lookalike.core.types import Demonstration


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


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs to export, in a log."""
    return make_runs(tmp_path_factory.mktemp("runs"))
