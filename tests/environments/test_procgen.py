"""Procgen's games: every one keeps the contract, levels are what they are called, states are exact."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lookalike.core.errors import GameError, UnknownNameError, UsageError
from lookalike.environments import load_goals, make_environment
from lookalike.environments.goals import check_goals_against
from lookalike.environments.procgen import Procgen, engine_state_in
from lookalike.environments.procgen_engine import procgen_installed, read_clock
from lookalike.environments.procgen_games import KEYS, MOVES, find_game, known_games, normalised_return
from lookalike.testing.conformance import check_environment

GAMES = sorted(known_games())
needs_procgen = pytest.mark.skipif(not procgen_installed(), reason="Procgen is not installed (make visual)")


def test_there_are_sixteen_games_with_actions_and_returns():
    assert len(GAMES) == 16
    for name in GAMES:
        game = find_game(name)
        assert {"noop", "left", "right"} <= set(game.actions) <= set(game.known_actions)
        assert len(set(game.actions.values())) == len(game.actions)
        assert set(game.known_actions.values()) == set(range(15))
        assert all(
            game.returns[mode, "paper"][0] < game.returns[mode, "paper"][1] for mode in ("easy", "hard")
        )


def test_normalised_returns_say_which_variant():
    assert normalised_return("coinrun", "easy", 10.0) == 1.0
    assert normalised_return("jumper", "easy", 3.0) == 0.0
    assert normalised_return("jumper", "easy", 3.0, variant="code") == pytest.approx(2 / 9)
    assert normalised_return("maze", "easy", 5.0, variant="code") == 0.0
    with pytest.raises(UsageError, match="no published returns"):
        normalised_return("maze", "extreme", 1.0)


@pytest.mark.parametrize(
    "name", ["procgen:maze-extreme", "procgen:maze-memory", "procgen:coinrun-exploration"]
)
def test_modes_that_would_end_the_process_are_refused_before_the_engine_is_there(name):
    with pytest.raises(UsageError, match="easy or hard"):
        make_environment(name, isolated=False)


def test_names_that_are_none_are_refused():
    with pytest.raises(UnknownNameError, match="'maze'"):
        make_environment("procgen:mase", isolated=False)
    for wrong in ("procgen:maze@100", "procgen:../maze", "procgen:maze-hard@512x"):
        with pytest.raises(UsageError):
            make_environment(wrong, isolated=False)


@needs_procgen
@pytest.mark.parametrize("mode", ["easy", "hard"])
@pytest.mark.parametrize("game", GAMES)
def test_every_game_keeps_the_contract(game, mode):
    made = check_environment(lambda: Procgen(game, mode), steps=50)
    assert {"same seed, same play", "save and restore", "independent instances"} <= set(made)


@needs_procgen
def test_a_worker_keeps_the_contract_too():
    check_environment(lambda: make_environment("procgen:chaser"), steps=30)


@needs_procgen
@pytest.mark.parametrize("game", GAMES)
def test_a_level_is_the_engine_s_own_level_of_that_number(game):
    """The rewritten range of levels gives what a new engine made for that level gives, step by step."""
    from lookalike.environments.procgen_engine import _load

    ours = Procgen(game)
    for level in (0, 12_345):
        fresh = _load().ProcgenGym3Env(
            num=1, env_name=game, distribution_mode="easy", num_levels=1, start_level=level, rand_seed=7,
            num_threads=0,
        )  # fmt: skip
        seen = ours.reset(seed=level).frame
        for step in range(40):
            _, pictures, _ = fresh.observe()
            assert np.array_equal(pictures["rgb"][0], seen), f"level {level}, step {step}"
            number = (step * 7) % 9
            fresh.act(np.array([number], np.int32))
            result = ours.step(MOVES[number])
            if result.terminated:
                break
            seen = result.observation.frame
        fresh.close()
    ours.close()


@needs_procgen
@pytest.mark.parametrize("game", GAMES)
def test_a_long_play_goes_on_exactly_from_a_state(game):
    """To the end of the level or 400 steps, with the random generators and everything that moves."""
    one, other = Procgen(game), Procgen(game)
    choose = random.Random(game)
    for level in (3, 10_003):
        one.reset(seed=level)
        other.reset(seed=level + 1)
        for _ in range(30):
            one.step(choose.choice(one.actions))
        other.restore(one.save())
        assert one.facts() == other.facts()
        for step in range(400):
            action = choose.choice(one.actions)
            mine, theirs = one.step(action), other.step(action)
            assert mine.observation == theirs.observation, f"level {level}, step {step}"
            assert (mine.env_reward, mine.terminated, mine.truncated) == (
                theirs.env_reward,
                theirs.terminated,
                theirs.truncated,
            )
            if mine.terminated or mine.truncated:
                break
        assert other.save() == one.save()
    one.close()
    other.close()


@needs_procgen
@pytest.mark.parametrize("game", GAMES)
def test_actions_left_out_do_what_a_listed_one_does(game):
    """Each is played beside its listed twin from many states; what is drawn afterwards is the same."""
    environment = Procgen(game)
    listed = find_game(game).actions
    twins = {}
    for move in MOVES:
        if move in listed:
            continue
        side = next((side for side in ("left", "right") if side in move), None)
        twins[move] = side if side in listed and side is not None else "noop"
    for key in KEYS:
        if len(MOVES) + KEYS.index(key) not in listed.values():
            twins[f"key {key}"] = {"starpilot": "fire", "ninja": "throw ahead"}.get(game, "noop")
    choose = random.Random(game)
    for level in range(4):
        environment.reset(seed=level)
        for _ in range(choose.randrange(5, 25)):
            environment.step(choose.choice(environment.actions))
        if environment.facts()["over"]:
            continue
        state = environment.save()
        for left_out, twin in twins.items():
            seen = []
            for action in (left_out, twin):
                environment.restore(state)
                frames = [environment.step(action).observation.frame]
                frames += [environment.step(after).observation.frame for after in ("noop", "up", "right")]
                seen.append((np.stack(frames), environment.facts()))
            assert np.array_equal(seen[0][0], seen[1][0]), f"{left_out} is not {twin}"
            assert seen[0][1] == seen[1][1]
    environment.close()


@needs_procgen
def test_the_end_repeats_the_last_frame_and_says_whether_the_level_was_completed():
    maze = Procgen("maze")
    way = _way_through(maze, level=2)
    maze.reset(seed=2)
    for action in way[:-1]:
        before = maze.step(action)
    end = maze.step(way[-1])
    assert end.terminated
    assert not end.truncated
    assert end.env_reward == 10.0
    assert end.observation == before.observation
    assert maze.facts() == {
        "score": 10.0, "level_complete": True, "over": True, "steps": len(way), "level": 2,
    }  # fmt: skip
    assert maze.admissible_actions() == ()
    state, frame = maze.save(), end.observation.frame
    maze.reset(seed=3)
    maze.restore(state)
    assert maze.facts()["level_complete"]
    assert np.array_equal(maze.step("up").observation.frame, frame)
    maze.close()


@needs_procgen
def test_the_engine_s_own_limit_truncates():
    maze = Procgen("maze")
    maze.reset(seed=4)
    assert read_clock(engine_state_in(maze.save())) == (4, 0, 500)
    results = [maze.step("noop") for _ in range(500)]
    assert not any(result.truncated for result in results[:-1])
    assert results[-1].truncated
    assert not results[-1].terminated
    assert not maze.facts()["level_complete"]
    maze.close()


@needs_procgen
def test_large_frames_show_the_same_and_disturb_nothing():
    small, large = Procgen("jumper"), Procgen("jumper", frame_size=512)
    seen = large.reset(seed=5).frame
    small.reset(seed=5)
    assert seen.shape == (512, 512, 3)
    drawn = small.render(512)
    assert np.array_equal(drawn, seen)
    shrunk = drawn.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small.reset(seed=5).frame).mean() < 20
    before = small.save()
    small.render()
    assert small.save() == before
    small.close()
    large.close()


@needs_procgen
def test_states_that_the_engine_did_not_write_never_reach_it():
    maze, coinrun = Procgen("maze"), Procgen("coinrun")
    maze.reset(seed=0)
    coinrun.reset(seed=0)
    state = maze.save()
    for wrong in (b"", b"nonsense", state[:-1], state[:100] + b"\1" + state[101:], state + b"\0"):
        with pytest.raises(GameError, match="no saved state"):
            maze.restore(wrong)
    with pytest.raises(GameError, match="another game"):
        coinrun.restore(state)
    maze.restore(state)
    for level in (-1, 2**31 - 1, 1.5, True):
        with pytest.raises(UsageError, match="whole number"):
            maze.reset(seed=level)
    with pytest.raises(GameError, match="not been started"):
        Procgen("maze").step("up")
    maze.close()
    coinrun.close()


@needs_procgen
def test_nothing_of_gym_stays_behind():
    import sys

    Procgen("maze").close()
    assert "gym" not in sys.modules or hasattr(sys.modules["gym"], "make")


@pytest.mark.parametrize("game", GAMES)
def test_every_game_has_goals_that_ask_for_facts_there_are(game):
    facts = {"score": 0.0, "level_complete": False, "over": False, "steps": 0, "level": 0}
    for id in (f"procgen:{game}", f"procgen:{game}-hard"):
        goals = load_goals(id)
        check_goals_against(goals, facts)
        assert sum(goal.in_paper_table for goal in goals) == 1
        assert load_goals(f"{id}@512") == goals


def _way_through(maze, *, level):
    """Search the maze breadth first."""
    maze.reset(seed=level)
    frontier, seen = [(maze.save(), [])], set()
    while frontier:
        state, way = frontier.pop(0)
        for action in ("left", "right", "up", "down"):
            maze.restore(state)
            result = maze.step(action)
            if result.env_reward:
                return [*way, action]
            key = result.observation.frame.tobytes()
            if key not in seen:
                seen.add(key)
                frontier.append((maze.save(), [*way, action]))
    raise AssertionError("no way through the maze")
