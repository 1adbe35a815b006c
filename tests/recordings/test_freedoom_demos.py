"""People's videos of Doom levels, with their true inputs."""

from __future__ import annotations

import pytest

from lookalike.core.errors import UnknownNameError, UsageError
from lookalike.recordings.freedoom import DEMOS, SHARED_DATA, freedoom_folder, read_freedoom_demo

needs_demos = pytest.mark.skipif(freedoom_folder() is None, reason=f"no freedoom/ folder; see {SHARED_DATA}")


@needs_demos
def test_a_demo_is_a_persons_with_an_action_a_tic():
    read = read_freedoom_demo("p1demo3")
    assert read.player_kind == "human"
    assert read.provenance.licence == "BSD-3-Clause"
    assert read.environment == "vizdoom:freedoom1-e3m3"
    assert len(read.trajectory) > 1_000
    assert read.trajectory.times[35] == pytest.approx(1.0, abs=0.01)
    used = {part for action in read.trajectory.actions for part in action.split(" + ")}
    assert {"forward", "turn left", "turn right", "attack", "noop"} <= used
    silent = read_freedoom_demo("p1demo3", with_actions=False)
    assert set(silent.trajectory.actions) == {None}


def test_unknown_demos_and_a_missing_folder_are_named(monkeypatch, tmp_path):
    with pytest.raises(UnknownNameError):
        read_freedoom_demo("p1demo2")
    monkeypatch.setenv(SHARED_DATA, str(tmp_path))
    assert freedoom_folder() is None
    with pytest.raises(UsageError, match="not here"):
        read_freedoom_demo(DEMOS[0].name)
