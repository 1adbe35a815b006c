"""Limits: what counts, when one is reached, and what is no limit."""

from __future__ import annotations

import pytest

from lookalike.core.errors import UsageError
from lookalike.core.types import Usage
from lookalike.experiments.budget import Budget, Spent

STEP = Usage(calls=4, prompt_tokens=300, completion_tokens=12, cost=0.02, cached_calls=1, unpriced_calls=1)


def test_spending_adds_up():
    spent = Spent().plus(STEP, 0.5).plus(STEP, None)
    assert (spent.calls, spent.tokens, spent.seconds, spent.unpriced_calls) == (8, 624, 0.5, 2)
    assert spent.money == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (Budget(), None),
        (Budget(calls=9, tokens=1000, seconds=2, money=1.0), None),
        (Budget(calls=8), "calls: 8 of 8"),
        (Budget(tokens=600), "tokens: 624 of 600"),
        (Budget(seconds=0.5), "seconds: 0.5 of 0.5"),
        (Budget(money=0.03), "money: 0.04 of 0.03"),
    ],
)
def test_a_limit_is_reached_when_all_of_it_is_spent(budget, reason):
    assert budget.reached(Spent().plus(STEP, 0.5).plus(STEP, None)) == reason


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_cannot_be_meant_is_refused(limit):
    with pytest.raises(UsageError, match="above 0"):
        Budget(seconds=limit)


def test_no_limit_is_false():
    assert not Budget()
    assert Budget(calls=1)
