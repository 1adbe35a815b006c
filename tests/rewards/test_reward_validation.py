"""The figures that say how far a reward model can be trusted, on real plays and on made-up ones."""

from __future__ import annotations

import pytest

from lookalike.core.errors import CapabilityError, UsageError
from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory
from lookalike.environments import make_environment
from lookalike.experts import make_expert
from lookalike.recordings import shipped_play
from lookalike.rewards import validation
from lookalike.rewards.validation import (
    ClimbScore,
    PlayScore,
    check_reward_model,
    climb_reward,
    hill_climb_reward,
    random_play,
    score_play,
)


@pytest.fixture(scope="module")
def cave():
    game = make_environment("colossal-cave", isolated=False)
    yield game
    game.close()


def played(game, number: int, limit: int | None = None) -> Trajectory:
    """Replay a shipped play under its own seed."""
    play = shipped_play(number)
    observations, rewards = [game.reset(seed=play.seed)], []
    commands = play.commands[:limit]
    for command in commands:
        result = game.step(command)
        observations.append(result.observation)
        rewards.append(result.env_reward)
        if result.terminated:
            break
    return Trajectory(tuple(observations), commands[: len(rewards)], tuple(rewards))


@pytest.fixture(scope="module")
def model(cave):
    provenance = Provenance("walkthrough2.txt", "test", "0" * 64)
    demonstration = Demonstration("walk2", played(cave, 2), "human", provenance)
    return make_expert("embedded-text").watch([demonstration], environment="colossal-cave")


def test_held_out_good_play_is_told_from_random_play(cave, model) -> None:
    good = [("walkthrough1", played(cave, 1)), ("walkthrough3", played(cave, 3))]
    bad = [(f"random {seed}", random_play(cave, seed=seed, steps=150)) for seed in range(4)]
    found = check_reward_model(model, good, bad)
    assert found.pairwise_accuracy > 0.9
    assert found.success_auc == 1
    assert found.false_positive_rate == 0
    assert found.voc_gap > 0.5
    assert found.best_of_four > found.mean_return
    assert found.best_of_four <= found.best_possible_of_four
    assert found.warnings == ()


def test_playing_for_the_reward_alone(cave, model) -> None:
    climb = climb_reward(model, cave, seed=100, steps=80)
    assert climb == climb_reward(model, cave, seed=100, steps=80)
    assert 0 < climb.steps <= 80
    # What is written as reward is found again when the climbed play is scored from outside.
    assert climb.value > max(
        score_play(model, "r", random_play(cave, seed=s, steps=80)).value for s in range(3)
    )


def test_searching_for_the_reward_alone_finds_more_than_chance(cave, model) -> None:
    found = hill_climb_reward(model, cave, seed=100, steps=40, tries=6, stretch=4)
    assert found == hill_climb_reward(model, cave, seed=100, steps=40, tries=6, stretch=4)
    assert found.tried > 4 * found.steps
    assert len(found.curve) == 4
    assert found.curve[-1] == (found.value, found.true_return)
    assert found.value > max(
        score_play(model, "r", random_play(cave, seed=s, steps=40)).value for s in range(3)
    )


def test_a_game_that_cannot_go_back_is_not_searched(model) -> None:
    class Once:
        id = "tiny:once"
        capabilities = frozenset({"text", "admissible_actions"})

    with pytest.raises(CapabilityError, match="go back"):
        hill_climb_reward(model, Once(), seed=0, steps=10)  # type: ignore[arg-type]


def test_random_plays_repeat_by_seed_and_differ_between_seeds(cave) -> None:
    first, again, other = (random_play(cave, seed=s, steps=30) for s in (0, 0, 1))
    assert first == again
    assert first.actions != other.actions


def test_without_bad_play_nothing_is_claimed(cave, model) -> None:
    found = check_reward_model(model, [("walk2", played(cave, 2, 40))], [], made_from=["walk2"])
    assert found.voc_gap is found.success_auc is found.pairwise_accuracy is None
    assert any("proves nothing" in w for w in found.warnings)
    assert any("made from walk2" in w for w in found.warnings)


def test_no_good_play_is_an_error(model) -> None:
    with pytest.raises(UsageError):
        check_reward_model(model, [], [])


def test_a_clock_is_found_out(model, monkeypatch) -> None:
    """A reward that only counts time likes every play alike, and the figures say so."""
    plays = {"good": tuple(range(1, 9)), "bad": tuple(range(1, 9))}
    monkeypatch.setattr(
        validation,
        "score_play",
        lambda _, name, __, **___: PlayScore(name, plays[name], 5.0 if name == "good" else 0.0),
    )
    blank = Trajectory((Observation(text="x"),), ())
    found = check_reward_model(model, [("good", blank)], [("bad", blank)])
    assert found.voc_good == pytest.approx(1)
    assert found.voc_gap == pytest.approx(0)
    assert found.pairwise_accuracy == 0.5
    assert found.success_auc == 0.5
    assert found.false_positive_rate == 1
    assert any("tell the time" in w for w in found.warnings)


def test_a_reward_that_can_be_gamed_is_found_out(model, monkeypatch) -> None:
    monkeypatch.setattr(
        validation, "score_play", lambda _, name, __, **___: PlayScore(name, (1.0, 2.0), 10.0)
    )
    blank = Trajectory((Observation(text="x"),), ())
    found = check_reward_model(model, [("good", blank)], [], climb=ClimbScore(50.0, 0.0, 20))
    assert any("gamed" in w for w in found.warnings)


def test_figures_against_a_hand_calculation(model, monkeypatch) -> None:
    ends = {"a": (3.0, 10.0), "b": (1.0, 4.0), "c": (2.0, 0.0), "d": (0.0, 0.0), "e": (2.0, 6.0)}
    monkeypatch.setattr(
        validation, "score_play", lambda _, name, __, **___: PlayScore(name, (ends[name][0],), ends[name][1])
    )
    blank = Trajectory((Observation(text="x"),), ())
    found = check_reward_model(model, [(n, blank) for n in "ab"], [(n, blank) for n in "cde"])
    assert found.success_auc == pytest.approx((3 + 1) / 6)  # a beats c, d, e; b beats d
    assert found.false_positive_rate == pytest.approx(2 / 3)  # c and e reach b's 1.0
    # Four of the five choices of four hold a (10 points); without a, c and e tie: (0 + 6) / 2.
    assert found.best_of_four == pytest.approx((4 * 10 + 3) / 5)
    assert found.best_possible_of_four == pytest.approx((4 * 10 + 6) / 5)
    assert found.mean_return == pytest.approx(4)


def test_an_environment_without_admissible_actions_cannot_be_climbed(model) -> None:
    from lookalike.testing.environments import TinyEnvironment

    game = TinyEnvironment()
    game.capabilities = game.capabilities - {"admissible_actions"}
    with pytest.raises(CapabilityError):
        climb_reward(model, game, seed=1, steps=5)
