"""Conditions and experiments are data: every name resolves, and what is written is what is played."""

from __future__ import annotations

import pytest

from lookalike.core.errors import UnknownNameError
from lookalike.environments import load_goals
from lookalike.experiments.conditions import (
    condition_names,
    find_condition,
    find_experiment,
    list_experiments,
    parse_range,
)


@pytest.mark.parametrize("spec", list_experiments(), ids=lambda spec: spec.name)
def test_every_experiment_names_what_there_is(spec):
    assert set(spec.conditions) <= set(condition_names())
    assert set(spec.goals) <= {goal.name for goal in load_goals(spec.environment)}
    assert min(parse_range(spec.seeds)) >= 1000, "seeds below 1000 were tuned on"


@pytest.mark.parametrize("name", condition_names())
def test_every_condition_makes_a_swarm_and_says_its_handicaps(name):
    condition = find_condition(name)
    config, handicaps = condition.config(), condition.handicaps()
    assert [role.temperature for role in config.roles] == list(condition.temperatures)
    assert handicaps.recommendation == condition.recommendation
    assert handicaps.reward == condition.reward
    asks = condition.player in {"llm", "plan"}
    assert handicaps.model_calls_per_step == (len(condition.temperatures) if asks else 0)
    assert config.needs_reward_model == (condition.recommendation or condition.reward == "reward model")


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match=r"did you mean 'swarm\+expert'"):
        find_condition("swarm-expert")
    with pytest.raises(UnknownNameError, match=r"did you mean 'paper/zork1'"):
        find_experiment("paper/zork")


def test_four_attempts_make_a_second_row_with_restarts():
    first, best = find_condition("solo").rows()
    assert (first.attempts, first.handicaps.restarts) == (1, 0)
    assert (best.name, best.attempts, best.episodes_of) == ("solo best-of-4", 4, "solo")
    assert best.handicaps.restarts == 3
    assert len(find_condition("swarm").rows()) == 1


def test_plans_are_offered_nothing():
    assert not find_condition("plan").handicaps().admissible_actions
    assert not find_condition("plan").config().needs_reward_model
    assert find_condition("plan+expert").handicaps().recommendation


def test_seed_ranges():
    assert parse_range("1000-1002") == (1000, 1001, 1002)
    assert parse_range("7") == (7,)
