"""An episode cut off at any step goes on to the same events, and nothing logged is asked for again."""

from __future__ import annotations

import pytest

from lookalike.environments import find_goal
from lookalike.experiments import session as session_module
from lookalike.experiments.conditions import find_condition
from lookalike.experiments.session import Session, SessionSetup
from lookalike.rewards import load_reward_model
from lookalike.store import EpisodeStarted, StepTaken, canonical_bytes
from lookalike.testing.scripted_model import ScriptedModel

CAVE = "colossal-cave"


@pytest.fixture
def asked(monkeypatch):
    """Return the list of what the language model is asked for."""
    model = ScriptedModel({"enter": 2.0, "get lamp": 2.5, "n": 1.0, "w": 1.0, "out": 0.5})
    monkeypatch.setattr(session_module, "make_model", lambda *a, **k: model)
    return model.requests


def play(reward_model_path, condition, *, logged=()):
    session = Session(
        SessionSetup(CAVE, load_reward_model(reward_model_path), replay=None, recorded_seeds=())
    )
    events: list = []
    try:
        ended = session.play(
            find_condition(condition), find_goal(CAVE, "lit-with-rod"), seed=3, attempt=0,
            record=events.append, logged=logged,
        )  # fmt: skip
    finally:
        session.close()
    return events, ended


@pytest.mark.parametrize(
    "condition", ["swarm+expert", "no-shared-memory", "arbiter", "worlds", "worlds+restore"]
)
def test_whatever_was_logged_the_rest_is_the_same(asked, reward_model_path, condition):
    whole, ended = play(reward_model_path, condition)
    all_asked = len(asked)
    assert all_asked > 0
    expected = [canonical_bytes(event) for event in whole]
    for cut in sorted({1, 2, len(whole) // 2, len(whole) - 1}):
        asked.clear()
        rest, again = play(reward_model_path, condition, logged=whole[:cut])
        assert [canonical_bytes(event) for event in rest] == expected[cut:], f"cut after {cut} events"
        assert again.usage == ended.usage
        if cut == len(whole) - 1:
            assert asked == [], "a logged proposal was asked for again"
        elif cut > 1:
            assert len(asked) < all_asked


@pytest.mark.parametrize("condition", ["random", "uniform+expert", "expert-alone"])
def test_players_that_ask_nobody_play_again(reward_model_path, condition):
    whole, _ = play(reward_model_path, condition)
    rest, _ = play(reward_model_path, condition, logged=whole[:3])
    assert [canonical_bytes(e) for e in rest] == [canonical_bytes(e) for e in whole[3:]]


def test_a_log_that_cannot_be_followed_is_superseded(asked, reward_model_path):
    whole, _ = play(reward_model_path, "swarm+expert")
    other = whole[2].model_copy(update={"next_observation": "Something else happened."})
    again, ended = play(reward_model_path, "swarm+expert", logged=[*whole[:2], other])
    assert isinstance(again[0], EpisodeStarted), "it did not start over"
    assert [canonical_bytes(e) for e in again] == [canonical_bytes(e) for e in whole]
    assert canonical_bytes(ended) == canonical_bytes(whole[-1])


def test_steps_are_stamped_with_their_seconds(asked, reward_model_path):
    whole, _ = play(reward_model_path, "swarm+expert")
    steps = [e for e in whole if isinstance(e, StepTaken)]
    assert steps
    assert all(e.measured.seconds is not None and e.measured.seconds > 0 for e in steps)
