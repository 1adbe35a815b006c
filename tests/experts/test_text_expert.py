"""The embedded text expert on real plays: what it writes down, and whether following that reaches goals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from lookalike.core.errors import RecordingError, UnknownNameError
from lookalike.core.protocols import Expert
from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory, Transition
from lookalike.environments import make_environment
from lookalike.environments.goals import find_goal
from lookalike.experts import expert_names, make_expert
from lookalike.experts.text import EmbeddedTextExpert
from lookalike.recordings import shipped_play
from lookalike.rewards import RewardModel, RewardModelScorer
from lookalike.rewards.text import read_text

SEEDS = (100, 101, 102, 103, 104)


def demonstrated(number: int, limit: int | None = None) -> Demonstration:
    """Replay a shipped play of Colossal Cave under its own seed; one second a step."""
    game, play = make_environment("colossal-cave", isolated=False), shipped_play(number)
    commands = play.commands[:limit]
    observations = [game.reset(seed=play.seed), *(game.step(c).observation for c in commands)]
    times = tuple(float(i) for i in range(len(observations)))
    provenance = Provenance(f"walkthrough{number}.txt", "test", str(number) * 64, "Apache-2.0")
    trajectory = Trajectory(tuple(observations), commands, times=times)
    return Demonstration(f"walk{number}", trajectory, "human", provenance, outcome="as shipped")


def played(*steps: tuple[str | None, str], start: str = "You are in a cave.") -> Demonstration:
    """Return a made-up demonstration: (action, reply) pairs."""
    observations = (Observation(start), *(Observation(reply) for _, reply in steps))
    trajectory = Trajectory(observations, tuple(action for action, _ in steps))
    return Demonstration("made-up", trajectory, "human", Provenance("made-up.txt", "test", "0" * 64))


def watch(*demonstrations: Demonstration) -> RewardModel:
    model = EmbeddedTextExpert().watch(demonstrations, environment="colossal-cave")
    assert isinstance(model, RewardModel)
    return model


@pytest.fixture(scope="module")
def walk2() -> Demonstration:
    return demonstrated(2)


@pytest.fixture(scope="module")
def walk1() -> Demonstration:
    return demonstrated(1)


@pytest.fixture(scope="module")
def model2(walk2) -> RewardModel:
    return watch(walk2)


@pytest.fixture(scope="module")
def model1(walk1) -> RewardModel:
    return watch(walk1)


# --- the document


def test_the_same_demonstration_gives_the_same_document(walk1, walk2, model1, model2) -> None:
    assert watch(walk2).content_hash() == model2.content_hash()
    assert watch(demonstrated(2)).content_hash() == model2.content_hash()
    assert watch(walk1).content_hash() == model1.content_hash()
    assert watch(walk1, walk2).content_hash() == watch(walk1, walk2).content_hash()


def test_it_says_how_it_was_made(walk2, model2) -> None:
    assert model2.environment == "colossal-cave"
    assert (model2.made_by.expert, model2.made_by.model) == ("embedded-text", None)
    (note,) = model2.recordings
    assert (note.id, note.file, note.content_hash) == ("walk2", "walkthrough2.txt", "2" * 64)
    assert (note.licence, note.player_kind, note.steps) == ("Apache-2.0", "human", len(walk2.trajectory))
    assert "walkthrough2.txt" in model2.goal
    assert "as shipped" in model2.goal


@pytest.mark.parametrize("which", ["model1", "model2"])
def test_every_claim_has_evidence_that_exists(which, request, walk1, walk2) -> None:
    model = request.getfixturevalue(which)
    recordings = {"walk1": walk1.trajectory, "walk2": walk2.trajectory}
    parts = [*model.milestones, *model.pathways, *model.rules, *model.hazards]
    assert len(parts) > 100
    for part in parts:
        span, recording = part.evidence, recordings[part.evidence.recording]
        assert 0 <= span.start <= span.end < len(recording)
        assert (span.start_s, span.end_s) == (recording.times[span.start], recording.times[span.end + 1])


def test_milestones_stand_in_the_order_they_were_reached(model2) -> None:
    ends = [m.evidence.end for m in model2.milestones]
    assert ends == sorted(ends)
    assert model2.milestones[0].after == ()
    for earlier, later in zip(model2.milestones, model2.milestones[1:], strict=False):
        assert later.after == (earlier.id,)
    ids = [m.id for m in model2.milestones]
    assert ids.index("get-lamp") < ids.index("get-bird") < ids.index("get-gold") < ids.index("get-rug")


def test_milestones_are_what_was_done(walk2, model2) -> None:
    kinds = {m.kind for m in model2.milestones}
    assert kinds == {"acquisition", "deposit", "event", "visit"}
    for milestone in model2.milestones:
        action = walk2.trajectory.actions[milestone.evidence.start]
        reply = read_text(walk2.trajectory.observations[milestone.evidence.start + 1].text or "")
        assert not reply.failure, milestone
        if milestone.detect.holds:
            assert action.split()[0] in {"get", "take", "catch"}
            assert milestone.detect.holds.split()[-1] in milestone.id
        if milestone.detect.says:
            assert milestone.detect.says in reply.sentences


def test_treasures_left_in_the_house_are_deposits(model2) -> None:
    house = "inside-building-well-house"
    left = {m.detect.leaves for m in model2.milestones if m.kind == "deposit" and m.detect.place == house}
    assert {"gold", "diamonds", "coins", "jewelry", "rug", "chest", "silver", "emerald"} <= left


def test_milestones_of_the_score(walk2) -> None:
    """Where a status line shows the score, a gain makes a milestone worth more."""

    def titled(title: str, score: int, body: str) -> str:
        return f"{title}          Score: {score}\n{title}\n{body}"

    model = watch(
        played(
            ("take bottle", titled("Tree", 5, "Taken.")),
            ("take keys", titled("Tree", 5, "Taken.")),
            ("d", titled("Path", 15, "This is a path.")),
            start=titled("Tree", 0, "You are on a branch."),
        )
    )
    values = {m.id: (m.value, m.score_change) for m in model.milestones}
    assert values["get-bottle"] == (0.7, 5)
    assert values["get-keys"] == (0.5, None)
    assert max(value for value, _ in values.values()) <= 1
    assert [change for _, change in values.values() if change] == [5, 10]


# --- rules and hazards


def test_the_axe_is_thrown_at_the_dwarf(model2) -> None:
    rules = {(r.action, r.requires) for r in model2.rules if "dwarf" in r.cue}
    assert ("throw axe", "axe") in rules
    for rule in model2.rules:
        assert 0.6 <= rule.confidence <= 1
        assert rule.support >= 1
        assert rule.polarity == 1


def test_questions_are_answered(model2) -> None:
    answers = {r.cue: r.action for r in model2.rules}
    assert answers["?"] == "yes"
    assert answers["your bare hands"] == "yes"


def test_the_dwarf_rule_is_recommended_to_who_holds_the_axe(model2) -> None:
    dwarf = Observation(
        "You're in hall of mists.\n\nThere is a threatening little dwarf in the room with you!"
    )
    scorer = RewardModelScorer(model2)
    scorer.start(Observation("You're in hall of mists."))
    assert "throw axe" not in scorer.recommend(dwarf)
    scorer.score(Transition(dwarf, "get axe", Observation("OK")))
    assert scorer.recommend(dwarf)[0] == "throw axe"
    (verdict,) = scorer.preview(dwarf, ["throw axe"])
    assert verdict.value >= 0.8


def test_hazards_are_what_came_before_a_death(walk1, model1, model2) -> None:
    assert model2.hazards == ()
    assert len(model1.hazards) == 3
    for hazard in model1.hazards:
        index = hazard.evidence.start
        before, after = walk1.trajectory.observations[index : index + 2]
        assert hazard.cue in read_text(before.text or "").sentences
        assert hazard.outcome == read_text(after.text or "").setback
    pit = next(h for h in model1.hazards if h.cue.startswith("if you proceed"))
    assert (pit.action, pit.outcome) == ("w", "you fell into a pit and broke every bone in your body")


def test_equal_deaths_are_one_hazard_with_more_support() -> None:
    death = ("jump", "You fell into a pit and broke every bone in your body!")
    back = ("yes", "You are in a cave.\n\nThere is a deep hole here.")
    model = watch(played(("get lamp", "There is a deep hole here."), death, back, death, back))
    (hazard,) = model.hazards
    assert (hazard.action, hazard.support) == ("jump", 2)


# --- pathways


def test_pathways_hang_together(model2) -> None:
    """Each step begins where the one before it ended, over all pathways."""
    steps = [step for pathway in model2.pathways for step in pathway.steps]
    assert len(steps) > 180
    broken = [(a, b) for a, b in itertools.pairwise(steps) if a.then != b.at]
    assert broken == []
    known = {place.id for place in model2.places}
    assert {step.at for step in steps} | {step.then for step in steps} <= known


@pytest.mark.parametrize("which", ["1", "2"])
def test_pathways_hold_no_refused_commands(which, request) -> None:
    """What a pathway says was done there was done there, and was not refused, unless it says so."""
    recording, model = request.getfixturevalue(f"walk{which}"), request.getfixturevalue(f"model{which}")
    for pathway in model.pathways:
        span = range(pathway.evidence.start, pathway.evidence.end + 1)
        transitions = [recording.trajectory.transitions()[i] for i in span]
        done = [
            " ".join((t.action or "").lower().split())
            for t in transitions
            if not read_text(t.after.text or "").failure
        ]
        assert len([s for s in pathway.steps if not s.refused]) <= len(done), pathway.to


def test_detours_are_taken_out() -> None:
    hall, road, hill = "You are in a hall.", "You are on a road.", "You are on a hill."
    steps = [("n", road), ("u", hill), ("d", road), ("s", hall), ("n", road), ("get lamp", "OK")]
    model = watch(played(*steps, start=hall))
    (path,) = [p for p in model.pathways if p.to == "get-lamp"]
    assert [s.do for s in path.steps] == ["d", "get lamp"]


# --- several demonstrations


def test_two_demonstrations_together(walk1, walk2, model1, model2) -> None:
    both = watch(walk1, walk2)
    assert [r.id for r in both.recordings] == ["walk1", "walk2"]
    assert {m.evidence.recording for m in both.milestones} == {"walk2"}  # it kept more and died less
    assert {m.id for m in both.milestones} & {m.id for m in model2.milestones}
    assert {(h.cue, h.action) for h in both.hazards} == {(h.cue, h.action) for h in model1.hazards}
    assert len(both.places) > len(model2.places)
    assert {r.cue for r in both.rules} >= {"your bare hands", "do you indeed wish to quit now"}
    assert {m.evidence.recording for m in watch(walk2, walk1).milestones} == {"walk2"}


# --- nothing to learn from

FRAME = Observation(frame=np.zeros((4, 4, 3), np.uint8))
NOTHING = Provenance("nothing.mp4", "test", "0" * 64)
USELESS: Mapping[str, Demonstration] = {
    "no steps": Demonstration("x", Trajectory((Observation("You are in a cave."),), ()), "human", NOTHING),
    "frames only": Demonstration("x", Trajectory((FRAME, FRAME), ("left",)), "human", NOTHING),
    "no commands": played((None, "You are on a road."), (None, "You are on a hill.")),
    "only looking": played(("look", "You are in a cave."), ("inventory", "You carry nothing at all.")),
    "only refusals": played(("u", "You can't go that way."), ("get gold", "I see no gold here.")),
}


@pytest.mark.parametrize("why", USELESS)
def test_useless_demonstrations_are_refused_with_a_remedy(why) -> None:
    with pytest.raises(RecordingError) as caught:
        watch(USELESS[why])
    assert caught.value.remedy
    assert USELESS[why].provenance.file in str(caught.value.got)


def test_no_demonstration_at_all() -> None:
    with pytest.raises(RecordingError) as caught:
        watch()
    assert caught.value.expected == "at least one recording"


def test_a_useful_demonstration_among_useless_ones(walk2) -> None:
    both = watch(USELESS["only refusals"], walk2)
    assert {m.evidence.recording for m in both.milestones} == {"walk2"}


def test_steps_without_a_command_are_left_out(walk2) -> None:
    actions = list(walk2.trajectory.actions[:40])
    actions[10] = None
    trajectory = Trajectory(walk2.trajectory.observations[:41], tuple(actions))
    model = watch(Demonstration("gap", trajectory, "human", walk2.provenance))
    assert all(m.evidence.start != 10 for m in model.milestones)
    assert "get-bird" in {m.id for m in model.milestones}


# --- by name


def test_experts_by_name() -> None:
    expert: Expert = make_expert()
    assert expert.name == "embedded-text"
    assert "embedded-text" in expert_names()
    with pytest.raises(UnknownNameError, match="did you mean 'embedded-text'"):
        make_expert("embeded-text")


# --- following what was learnt


@pytest.mark.parametrize("goal_name", ["lamp", "bird", "snake"])
@pytest.mark.parametrize("seed", SEEDS)
def test_following_the_recommendation_reaches_goals_under_other_seeds(model2, seed, goal_name) -> None:
    assert seed != shipped_play(2).seed
    game, goal = make_environment("colossal-cave", isolated=False), find_goal("colossal-cave", goal_name)
    scorer, seen = RewardModelScorer(model2), game.reset(seed=seed)
    scorer.start(seen)
    earned = 0.0
    for _ in range(goal.step_limit):
        offered = game.admissible_actions()
        scorer.note_admissible(offered)
        wanted = [action for action in scorer.recommend(seen) if action in offered]
        assert wanted, seen.text
        result = game.step(wanted[0])
        earned += scorer.score(Transition(seen, wanted[0], result.observation)).value
        seen = result.observation
        if goal.reached(game.facts()):
            break
    assert goal.reached(game.facts())
    assert earned > 1
