"""Recordings of frames say who played, and read back as what was played."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lookalike.core.errors import CapabilityError, UsageError
from lookalike.environments.procgen_engine import procgen_installed
from lookalike.recordings import read_recording, record_frames
from lookalike.recordings.demonstrator import record_search, search_level
from lookalike.recordings.procgen_guides import procgen_guide
from lookalike.testing.environments import FramedTinyEnvironment, TinyEnvironment

needs_procgen = pytest.mark.skipif(not procgen_installed(), reason="Procgen is not installed (make visual)")


def test_a_policy_is_recorded_until_it_stops(tmp_path):
    game = FramedTinyEnvironment()
    seen = []

    def policy(observation, admissible):
        seen.append((observation, admissible))
        return admissible[len(seen) % len(admissible)] if len(seen) <= 4 else None

    made = record_frames(game, policy, seed=3, out=tmp_path / "a.mp4", licence="CC0-1.0", player_kind="human")
    header, *lines = map(json.loads, made.log.read_text().splitlines())
    assert header["player_kind"] == "human"
    assert header["seed"] == 3
    assert [line["step"] for line in lines] == list(range(made.steps))
    read = read_recording(made.video)
    assert read.player_kind == "human"
    assert read.provenance.licence == "CC0-1.0"
    assert read.started_with == 3
    assert read.environment == game.id
    assert read.trajectory.actions == tuple(line["action"] for line in lines)
    assert read.trajectory.rewards == tuple(line["reward"] for line in lines)
    assert read_recording(made.log).id == read.id


def test_what_cannot_be_recorded_is_refused_and_leaves_nothing(tmp_path):
    out = tmp_path / "a.mp4"
    with pytest.raises(CapabilityError, match="no frames"):
        record_frames(TinyEnvironment(), ["left"], seed=0, out=out, licence="x")
    for wrong in ({"fps": 0}, {"max_steps": 0}, {"out": tmp_path / "a.txt"}):
        with pytest.raises(UsageError):
            record_frames(
                FramedTinyEnvironment(), ["left"], **{"seed": 0, "out": out, "licence": "x", **wrong}
            )
    with pytest.raises(UsageError, match="nothing to record"):
        record_frames(FramedTinyEnvironment(), [], seed=0, out=out, licence="x")
    assert list(tmp_path.iterdir()) == []


@needs_procgen
@pytest.mark.parametrize("game", ["maze", "coinrun", "caveflyer"])
def test_the_demonstrator_solves_a_level_and_its_recording_is_marked_as_scripted(tmp_path, game):
    from lookalike.environments.procgen import Procgen

    environment = Procgen(game)
    found, made = record_search(
        environment, procgen_guide(game), seed=4, out=tmp_path / "a.mp4", licence="MIT", max_steps=20_000
    )
    assert found.solved
    assert made.outcome.endswith("level complete")
    assert search_level(environment, procgen_guide(game), seed=4, max_steps=20_000) == found
    read = read_recording(made.video)
    assert read.player_kind == "scripted"
    assert read.trajectory.actions == found.actions
    assert sum(read.trajectory.rewards) == made.score == 10.0
    first = environment.reset(seed=4).frame
    pairs = [(first, read.trajectory.observations[0].frame)]
    for action, seen in zip(found.actions, read.trajectory.observations[1:], strict=True):
        pairs.append((environment.step(action).observation.frame, seen.frame))
    assert max(np.abs(one.astype(int) - other).mean() for one, other in pairs) < 6
    environment.close()


@needs_procgen
def test_no_recording_is_made_of_a_level_kept_for_judging(tmp_path):
    from lookalike.environments.procgen import Procgen

    environment = Procgen("maze")
    for level in (200, 10_000):
        with pytest.raises(UsageError, match="kept for another use"):
            record_search(
                environment, procgen_guide("maze"), seed=level, out=tmp_path / "a.mp4", licence="MIT"
            )
    found, made = record_search(
        environment, procgen_guide("maze"), seed=4, out=tmp_path / "a.mp4", licence="MIT", max_steps=3
    )
    assert not found.solved
    assert made is None
    assert list(tmp_path.iterdir()) == []
    environment.close()


def test_only_what_can_go_back_is_searched():
    from lookalike.environments import make_environment

    frozen = make_environment("gymnasium:FrozenLake-v1", isolated=False)
    with pytest.raises(CapabilityError, match="cannot search"):
        search_level(frozen, procgen_guide("maze"), seed=0)
    frozen.close()
