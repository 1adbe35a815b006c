"""MiniGrid and BabyAI keep the contract, and the mission's success is the engine's."""

from __future__ import annotations

import importlib.util

import pytest

from lookalike.core.errors import GameError, UsageError
from lookalike.environments import load_goals, make_environment
from lookalike.environments.goals import check_goals_against
from lookalike.testing.conformance import check_environment

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("minigrid") is None, reason="MiniGrid is not installed (make visual)"
)
IDS = [
    "minigrid:BabyAI-GoToLocal-v0",
    "minigrid:BabyAI-PutNextLocal-v0",
    "minigrid:MiniGrid-DoorKey-8x8-v0",
    "minigrid:MiniGrid-LavaCrossingS9N1-v0@full",
]


@pytest.mark.parametrize("id", IDS)
def test_the_worlds_keep_the_contract(id):
    made = check_environment(lambda: make_environment(id, isolated=False), steps=40)
    assert "save and restore" in made


def test_a_worker_keeps_it_too():
    check_environment(lambda: make_environment(IDS[0]), steps=20)


@pytest.mark.parametrize("level", [3, 10_003])
def test_fulfilling_the_mission_is_success(level):
    """The package's own expert plays; what we call success is what it reaches."""
    from minigrid.utils.baby_ai_bot import BabyAIBot

    game = make_environment(IDS[0], isolated=False)
    seen = game.reset(seed=level)
    assert seen.text.startswith("Mission: go to ")
    assert seen.frame.shape == (56, 56, 3)
    bot = BabyAIBot(game._engine)
    names = ("left", "right", "forward", "pick up", "drop", "toggle", "done")
    action, result = None, None
    for _ in range(64):
        action = names[bot.replan(None if action is None else names.index(action))]
        result = game.step(action)
        if result.terminated:
            break
    assert result.terminated
    facts = game.facts()
    assert facts["success"]
    assert facts["score"] == result.env_reward > 0
    assert load_goals(game.id)[0].reached(facts)
    check_goals_against(load_goals(game.id), facts)
    state = game.save()
    game.reset(seed=0)
    game.restore(state)
    assert game.facts() == facts
    game.close()


def test_wrong_names_and_states_are_refused():
    for wrong in ("BabyAI-GoToLocal", "CartPole-v1", "BabyAI-GoToLocal-v0@half", ""):
        with pytest.raises((UsageError, GameError)):
            make_environment(f"minigrid:{wrong}", isolated=False)
    with pytest.raises(GameError, match="no environment"):
        make_environment("minigrid:BabyAI-NoSuch-v0", isolated=False)
    game = make_environment(IDS[0], isolated=False)
    with pytest.raises(GameError, match="not been started"):
        game.step("left")
    game.reset(seed=1)
    for state in (b"", b"{}", b'{"environment":"minigrid:X","seed":1,"actions":[]}', b"[" * 100_000):
        with pytest.raises(GameError):
            game.restore(state)
    with pytest.raises(UsageError):
        game.reset(seed=-1)
    game.close()


@pytest.mark.parametrize("task", ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal", "UnlockPickup"])
def test_tasks_have_goals(task):
    (goal,) = load_goals(f"minigrid:BabyAI-{task}-v0@full")
    assert goal.success[0].fact == "success"
