"""What own plays teach about dangers and thieves, and what is done with it, on small documents."""

from __future__ import annotations

import pytest

from lookalike.core.errors import RewardModelError
from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory, Transition
from lookalike.experts import make_expert
from lookalike.rewards import Plan, RewardModelScorer, compile_plan
from lookalike.rewards.caution import kinds_ahead
from lookalike.rewards.hazard_learning import HazardLearner
from lookalike.rewards.hazards import (
    Danger,
    Exposure,
    HazardModel,
    Meeting,
    kind_of,
    load_hazards,
    patience,
    save_hazards,
)

HOUSE, ROAD, CAVE, HALL = (
    "You are in a house.",
    "You are on a long road.",
    "You are in a wet cave.",
    "You are in a splendid hall.",
)
DEN = "You are in a dark red den."
WOLF = "There is a hungry grey wolf in the room with you!"
BITTEN = "The wolf bites. You are dead."
CUE = "there is a hungry grey wolf in the room with you"
STOLEN = "A thief snatches all your things. I'll just take all this booty!"


def demonstrated() -> Demonstration:
    """A play: three things come home, one of them from the den, where a stolen one is found again."""
    steps = (
        ("n", ROAD),
        ("e", CAVE),
        ("get coin", "Taken."),
        ("d", DEN),
        ("get chest", "Taken."),
        ("get coin", "Taken."),
        ("u", CAVE),
        ("w", ROAD),
        ("s", HOUSE),
        ("drop coin", "Dropped."),
        ("drop chest", "Dropped."),
        ("n", ROAD),
        ("w", HALL),
        ("get cup", "Taken."),
        ("e", ROAD),
        ("s", HOUSE),
        ("drop cup", "Dropped."),
    )
    path = Trajectory(
        tuple(Observation(t) for t in (HOUSE, *(reply for _, reply in steps))), tuple(a for a, _ in steps)
    )
    return Demonstration("play", path, "human", Provenance("play.txt", "test", "0" * 64))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_plan(make_expert().watch([demonstrated()], environment="test/none"))


def play(plan: Plan, *steps: tuple[str, str]) -> HazardLearner:
    learner = HazardLearner(plan)
    learner.play(Observation(HOUSE), [(action, Observation(reply)) for action, reply in steps])
    return learner


@pytest.mark.parametrize(
    ("action", "leads_to", "kind"),
    [
        ("throw axe", None, "attack"),
        ("kill wolf", None, "attack"),
        ("get axe", None, "rest"),
        ("drop axe", None, "rest"),
        ("inventory", None, "rest"),
        ("look", None, "other"),
        ("w", "b", "go on"),
        ("w", "a", "turn back"),
        ("w", None, "other"),
    ],
)
def test_kinds_of_actions(action: str, leads_to: str | None, kind: str) -> None:
    assert kind_of(action, leads_to, "a") == kind


def test_learns_which_sentence_setbacks_follow_and_what_is_done_beside_it(plan: Plan) -> None:
    learner = HazardLearner(plan)
    for place in (ROAD, CAVE, HALL):
        way = [("n", ROAD), *([("e", CAVE)] if place == CAVE else [("w", HALL)] if place == HALL else [])]
        for _ in range(3):
            beside = (*way[:-1], (way[-1][0], f"{WOLF} {place}"))
            for after in (("kill wolf", BITTEN), ("get stick", "Taken.")):
                learner.play(Observation(HOUSE), [(a, Observation(t)) for a, t in (*beside, after)])
        learner.play(Observation(HOUSE), [(a, Observation(t)) for a, t in way * 6])
    found = learner.model()
    assert [danger.cue for danger in found.dangers] == [CUE]
    assert found.dangers[0].beside["attack"] == Exposure(seen=9, harmed=9)
    assert found.dangers[0].beside["rest"].harmed == 0
    assert found.dangers[0].harm("attack") > found.dangers[0].harm("rest")


def test_a_danger_stays_while_nothing_is_said_of_it(plan: Plan) -> None:
    learner = HazardLearner(plan)
    for way in ([("n", ROAD)], [("n", ROAD), ("e", CAVE)], [("n", ROAD), ("w", HALL)]) * 3:
        there = [*way[:-1], (way[-1][0], f"{WOLF} {way[-1][1]}")]
        steps = [*there, ("get stick", "Taken."), ("look", BITTEN)]
        learner.play(Observation(HOUSE), [(a, Observation(t)) for a, t in steps])
        learner.play(Observation(HOUSE), [("look", Observation(HOUSE))] * 20)
    beside = next(danger.beside for danger in learner.model().dangers if danger.cue == CUE)
    assert beside["rest"].seen == 9
    assert sum(exposure.harmed for exposure in beside.values()) == beside["other"].harmed == 9


def test_learns_where_the_thief_comes(plan: Plan) -> None:
    way = (("n", ROAD), ("e", CAVE), ("get coin", "Taken."), ("d", STOLEN))
    meetings = {m.place: m for m in play(plan, *way).model().meetings}
    assert sum(m.robbed for m in meetings.values()) == 1
    quiet = play(plan, *way[:3], ("w", ROAD)).model()
    assert sum(m.robbed for m in quiet.meetings) == 0
    assert sum(m.turns for m in quiet.meetings) >= 1


def wolf(**beside: Exposure) -> Danger:
    return Danger(cue=CUE, beside={k.replace("_", " "): v for k, v in beside.items()}, left=9, met_again=0)


def test_fighting_costs_until_it_is_over_and_leaving_what_comes_next() -> None:
    danger = wolf(
        attack=Exposure(seen=900, harmed=90, ended=300),
        go_on=Exposure(seen=900, ended=100),
        turn_back=Exposure(seen=900, harmed=180),
    )
    assert danger.cost_of_fighting() == pytest.approx(0.3, rel=0.05)
    onward = danger.cost_of_leaving(["go on"] * 3)
    back = danger.cost_of_leaving(["turn back", "go on", "turn back"])
    assert onward < danger.cost_of_fighting() < back


def test_the_kinds_ahead_end_at_home(plan: Plan) -> None:
    cave = next(name for name, place in plan.places.places.items() if "wet" in place.words)
    cursor = next(i for i, w in enumerate(plan.waypoints) if w.do == "drop coin")
    assert list(kinds_ahead(plan, cursor, cave, None)) == ["go on", "go on"]


def test_a_thief_is_waited_for_where_he_comes(plan: Plan) -> None:
    den = next(iter(plan.store.lairs.values()))
    others = [Meeting(place="far-away", turns=10_000, robbed=0)]
    often = HazardModel(
        environment="test/none", plays=9, meetings=(*others, Meeting(place=den, turns=200, robbed=100))
    )
    way = (
        ("n", ROAD),
        ("e", CAVE),
        ("get coin", "Taken."),
        ("d", DEN),
        ("get chest", "I see no chest here."),
    )
    far = HazardModel(environment="test/none", plays=9, meetings=tuple(others))
    wanted = {}
    for name, learnt in (("often", often), ("never", far), ("nothing", None)):
        scorer = RewardModelScorer(compile_plan(plan.model, learnt=learnt))
        seen = Observation(HOUSE)
        scorer.start(seen)
        for action, reply in (*way, ("get chest", "I see no chest here.")):
            after = Observation(reply)
            scorer.score(Transition(seen, action, after))
            seen = after
        assert scorer.waypoint is not None
        wanted[name] = scorer.waypoint.do
    assert wanted == {"often": "get chest", "never": "get coin", "nothing": "get coin"}


def test_patience_is_half_as_long_again_as_he_takes() -> None:
    assert (patience(0.05), patience(0.0)) == (30, 0)


def test_a_document_comes_back_as_it_was_and_damage_is_refused(tmp_path, plan: Plan) -> None:
    path = tmp_path / "hazards.yaml"
    model = play(plan, ("n", ROAD), ("e", CAVE), ("get coin", "Taken."), ("d", STOLEN)).model()
    save_hazards(model, path)
    assert load_hazards(path) == model
    path.write_text("environment: [1", encoding="utf-8")
    with pytest.raises(RewardModelError, match="not a hazard model"):
        load_hazards(path)
    with pytest.raises(RewardModelError, match="cannot be read"):
        load_hazards(tmp_path / "none.yaml")
