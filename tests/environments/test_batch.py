"""A batch plays as its members would alone, in this process and in a worker, and fails as a worker does."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.core.errors import (
    CapabilityError,
    EnvironmentDiedError,
    EnvironmentHungError,
    GameError,
    UnknownNameError,
    UsageError,
)
from lookalike.environments import batch as batch_module
from lookalike.environments import make_environment, register_environment, registry
from lookalike.environments.batch import make_environment_batch
from lookalike.environments.frame_slots import make_slots_file
from lookalike.environments.procgen_engine import procgen_installed

GAMES = ["colossal-cave", "gymnasium:FrozenLake-v1"]
if procgen_installed():
    GAMES.append("procgen:leaper")


@pytest.fixture
def faulty():
    """A family of games that fail on demand, known in this process only."""
    register_environment("batch-faulty:", "lookalike.testing.environments:make_faulty")
    yield
    del registry._entries["batch-faulty:"]


def _actions(environment, number):
    offered = environment.admissible_actions()
    return offered[number % len(offered)] if offered else "look"


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("id", GAMES)
def test_members_play_as_each_would_alone(id, isolated):
    alone = [make_environment(id, isolated=False) for _ in range(3)]
    batch = make_environment_batch(id, 3, isolated=isolated)
    assert batch.id == alone[0].id
    assert batch.capabilities == alone[0].capabilities
    begun = [one.reset(seed=seed) for one, seed in zip(alone, (5, 0, 7), strict=True)]
    assert batch.reset_many([5, 0, 7]) == begun
    for step in range(15):
        actions = [_actions(one, step * 3 + number) for number, one in enumerate(alone)]
        if step % 4 == 1:
            actions[step % 3] = None
        results = batch.step_many(actions)
        for one, action, result in zip(alone, actions, results, strict=True):
            expected = None if action is None else one.step(action)
            assert result == expected
    assert batch.facts_many() == [dict(one.facts()) for one in alone]
    if "save_restore" in batch.capabilities:
        states = batch.save_many()
        assert states == [one.save() for one in alone]
        batch.step_many([_actions(alone[0], 1)] * 3)
        batch.restore_many([states[0], None, states[0]])  # any member's state fits any member
        after = batch.step_many([_actions(alone[0], 1)] * 3)
        assert after[0] == after[2] == alone[0].step(_actions(alone[0], 1))
    else:
        with pytest.raises(CapabilityError):
            batch.save_many()
    assert batch.reset_many([None, 4, None]) == [None, alone[1].reset(seed=4), None]
    batch.close()
    batch.close()
    for one in alone:
        one.close()


@pytest.mark.skipif(not procgen_installed(), reason="Procgen is not installed (make visual)")
def test_large_frames_and_strange_actions_come_through():
    with make_environment_batch("procgen:maze@512", 2) as batch:
        frames = [seen.frame for seen in batch.reset_many([1, 2])]
        assert frames[0].shape == (512, 512, 3)
        results = batch.step_many(["\ud800 {}\n", "right"])
        assert np.array_equal(results[0].observation.frame, frames[0])
        assert results[0].observation.frame.flags.writeable
        kept = results[1].observation.frame.copy()
        batch.step_many(["down", "down"])
        assert np.array_equal(kept, results[1].observation.frame)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("hangs,after=3", EnvironmentHungError),
        ("dies,how=abort,after=3", EnvironmentDiedError),
        ("dies,how=exit,after=3", EnvironmentDiedError),
        ("malformed,after=3", GameError),
    ],
)
def test_a_member_that_fails_fails_as_in_a_worker(fault, error, faulty):
    batch = make_environment_batch(f"batch-faulty:{fault}", 2, step_time_limit_s=2)
    batch.reset_many([1, 2])
    batch.step_many(["left", "right"])
    with pytest.raises(error):
        _play_on(batch)
    if error in (EnvironmentHungError, EnvironmentDiedError):
        with pytest.raises(EnvironmentDiedError):
            batch.step_many(["left", "right"])
        with pytest.raises(EnvironmentDiedError, match="all of its plays"):
            batch.reset_many([1, None])
        assert all(seen is not None for seen in batch.reset_many([1, 2]))
    batch.close()


def _play_on(batch):
    for _ in range(4):
        batch.step_many(["left", "right"])


def test_nothing_is_left_in_shared_memory(monkeypatch):
    made = []

    def noted(size):
        made.append(make_slots_file(size))
        return made[-1]

    monkeypatch.setattr(batch_module, "make_slots_file", noted)
    with make_environment_batch("gymnasium:FrozenLake-v1", 2):
        assert len(made) == 1
        assert made[0] is None or not made[0].exists()


def test_what_cannot_be_meant_is_refused():
    for size in (0, -1, 1000):
        with pytest.raises(UsageError):
            make_environment_batch("colossal-cave", size)
    with pytest.raises(UnknownNameError):
        make_environment_batch("no-such-game", 2)
    with make_environment_batch("gymnasium:FrozenLake-v1", 2, isolated=False) as batch:
        with pytest.raises(UsageError, match="one item a member"):
            batch.reset_many([1])
        with pytest.raises(UsageError, match="one item a member"):
            batch.step_many(["up"] * 3)
