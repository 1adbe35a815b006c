"""Doom's Freedoom levels keep the contract; keys are named as in people's recordings."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from lookalike.core.errors import GameError, UsageError
from lookalike.environments import load_goals, make_environment
from lookalike.environments.goals import check_goals_against
from lookalike.environments.vizdoom_adapter import OFFERED, parse_keys
from lookalike.testing.conformance import check_environment

needs_vizdoom = pytest.mark.skipif(
    importlib.util.find_spec("vizdoom") is None, reason="ViZDoom is not installed (make visual)"
)


def test_keys_are_read_in_any_order_and_come_back_in_one():
    assert parse_keys("attack + forward") == ("forward", "attack")
    assert parse_keys("  noop ") == ()
    assert parse_keys("back + strafe right + weapon 3") == ("back", "strafe right")
    assert parse_keys("fly") is None
    assert parse_keys("") is None
    assert all(parse_keys(name) is not None for name in OFFERED)


@pytest.mark.parametrize(
    "name",
    ["doom1-e1m1", "freedoom1-map01", "freedoom2-e1m1", "freedoom2-map33", "freedoom1-e1m1@64x", "../x"],
)
def test_levels_there_are_not_are_refused(name):
    with pytest.raises(UsageError, match="named by its level"):
        make_environment(f"vizdoom:{name}", isolated=False)


@needs_vizdoom
@pytest.mark.parametrize("level", ["freedoom1-e1m4", "freedoom2-map26-tic"])
def test_levels_keep_the_contract(level):
    made = check_environment(lambda: make_environment(f"vizdoom:{level}", isolated=False), steps=40)
    assert "save and restore" in made


@needs_vizdoom
def test_a_worker_keeps_it_too():
    check_environment(lambda: make_environment("vizdoom:freedoom1-e1m1"), steps=15)


@needs_vizdoom
def test_walking_moves_the_picture_and_a_long_way_back_is_exact():
    game = make_environment("vizdoom:freedoom1-e1m4", isolated=False)
    first = game.reset(seed=4).frame
    assert first.shape == (64, 64, 3)
    play = ["forward", "forward + turn left", "attack", "strafe right + turn right"] * 40
    frames = [game.step(action).observation.frame for action in play]
    assert np.abs(frames[-1].astype(int) - first).mean() > 3
    check_goals_against(load_goals(game.id), game.facts())
    state = game.save()
    after = [game.step(action).observation.frame for action in play[:8]]
    game.reset(seed=5)
    game.restore(state)
    again = [game.step(action).observation.frame for action in play[:8]]
    assert all(np.array_equal(one, other) for one, other in zip(after, again, strict=True))
    with pytest.raises(GameError):
        game.restore(b"{}")
    game.close()


@needs_vizdoom
def test_nothing_is_left_in_the_working_folder(tmp_path, monkeypatch):
    from lookalike.environments.vizdoom_adapter import make_vizdoom

    monkeypatch.chdir(tmp_path)
    game = make_vizdoom("freedoom1-e1m4")
    game.reset(seed=1)
    game.close()
    assert list(tmp_path.iterdir()) == []
