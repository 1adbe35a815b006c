"""Joining the plan in the middle: what is in hand and what lies at home says where."""

from __future__ import annotations

import pytest

from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory, Transition
from lookalike.experts import make_expert
from lookalike.rewards import Plan, RewardModelScorer, compile_plan
from lookalike.rewards.joining import where_to_join

HOUSE, ROAD, CAVE, HALL = (
    "You are in a house.",
    "You are on a long road.",
    "You are in a wet cave.",
    "You are in a splendid hall.",
)


AT_HOME = f"{HOUSE} There is a coin here. There is a key here."
THINGS = ("coin", "key", "cup", "plate", "gem", "ring")


@pytest.fixture(scope="module")
def plan() -> Plan:
    rooms = {"coin": ("e", CAVE, "w"), "cup": ("w", HALL, "e"), "gem": ("d", "You are in a deep mine.", "u")}
    steps: list[tuple[str, str]] = []
    for number, (there, place, back) in enumerate(rooms.values()):
        first, second = THINGS[2 * number : 2 * number + 2]
        steps += [("n", ROAD), (there, place), (f"get {first}", "Taken."), (f"get {second}", "Taken.")]
        steps += [(back, ROAD), ("s", HOUSE), (f"drop {first}", "Dropped."), (f"drop {second}", "Dropped.")]
    path = Trajectory(
        tuple(Observation(t) for t in (HOUSE, *(reply for _, reply in steps))), tuple(a for a, _ in steps)
    )
    note = Provenance("play.txt", "test", "0" * 64)
    model = make_expert().watch([Demonstration("play", path, "human", note)], environment="test/none")
    return compile_plan(model)


def do(plan: Plan, cursor: int) -> str:
    return plan.waypoints[cursor].do


def test_what_lies_at_home_is_done(plan: Plan) -> None:
    home = plan.store.home
    assert do(plan, where_to_join(plan, home, set(), frozenset())) == "get coin"
    assert do(plan, where_to_join(plan, home, set(), frozenset(THINGS[:4]))) == "get gem"


def test_what_is_in_hand_was_fetched(plan: Plan) -> None:
    there = where_to_join(plan, plan.store.home, set(THINGS[2:4]), frozenset(THINGS[:2]))
    assert do(plan, there) == "drop cup"


def test_who_is_not_sure_begins_at_the_beginning(plan: Plan) -> None:
    assert where_to_join(plan, plan.store.home, set(), frozenset(THINGS[:1])) == 0


def test_looks_takes_stock_and_goes_home_before_it_joins(plan: Plan) -> None:
    scorer, seen = RewardModelScorer(plan), Observation(CAVE)
    scorer.start(seen)
    asked = []
    for reply in ("You are carrying: a cup, a plate", ROAD, AT_HOME, "Dropped."):
        asked.append(scorer.recommend(seen)[0])
        after = Observation(reply)
        scorer.score(Transition(seen, asked[-1], after))
        seen = after
    assert asked == ["inventory", "w", "s", "drop cup"]


def test_who_begins_at_the_beginning_begins_with_the_plan(plan: Plan) -> None:
    scorer = RewardModelScorer(plan)
    scorer.start(Observation(HOUSE))
    assert scorer.recommend(Observation(HOUSE)) == ["n"]


def test_a_question_which_one_is_meant_is_not_asked_for_ever(plan: Plan) -> None:
    scorer, seen = RewardModelScorer(plan), Observation(HOUSE)
    scorer.start(seen)
    which = "Which coin do you mean, the large coin or the small coin?"
    asked = []
    for action, reply in (("n", ROAD), ("e", f"{CAVE} There is a coin here."), *[(None, which)] * 6):
        asked.append(action or scorer.recommend(seen)[0])
        after = Observation(reply)
        scorer.score(Transition(seen, asked[-1], after))
        seen = after
    assert asked.count("get coin") <= 2
