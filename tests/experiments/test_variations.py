"""What an experiment takes out of the method is out, and a start in the middle is one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from lookalike.environments import find_goal, make_environment
from lookalike.experiments.conditions import find_condition
from lookalike.experiments.resolved import PlayTask
from lookalike.experiments.session import Session, SessionSetup
from lookalike.experiments.variations import (
    StartedElsewhere,
    Variation,
    cut_out,
    reordered,
    shipped_hazards,
    trips,
)
from lookalike.recordings import shipped_play
from lookalike.rewards import RewardModel, compile_plan, load_reward_model
from lookalike.store import EpisodeFinished, StepTaken


@pytest.fixture(scope="session")
def model(reward_model_path) -> RewardModel:
    return load_reward_model(reward_model_path)


@pytest.fixture(scope="session")
def whole_model(whole_play) -> RewardModel:
    return whole_play


@pytest.fixture(scope="session")
def whole_play() -> RewardModel:
    """The reward model of the whole human-written play, with all its trips."""
    from lookalike.core.types import Demonstration, Provenance, Trajectory
    from lookalike.experts import make_expert

    play = shipped_play(2)
    game = make_environment("colossal-cave", isolated=False)
    seen, rewards = [game.reset(seed=play.seed)], []
    for command in play.commands:
        result = game.step(command)
        seen.append(result.observation)
        rewards.append(result.env_reward)
    source = Provenance("play.jsonl", "jsonl", "0" * 64, play.licence)
    path = Trajectory(tuple(seen), tuple(play.commands), tuple(rewards))
    watched = Demonstration("play", path, "human", source, "colossal-cave", play.seed)
    return make_expert().watch([watched], environment="colossal-cave")


def test_a_switch_that_is_off_is_off_in_the_document_and_nothing_else_changes(model):
    varied = Variation(without=("fights",)).document(model, find_goal("colossal-cave", "lamp"), seed=1)
    assert not varied.following.fights
    assert varied.following.model_copy(update={"fights": True}) == model.following
    assert varied.model_copy(update={"following": model.following}) == model


def test_the_goals_part_of_the_recording_is_cut_out(model):
    cut = cut_out(model, find_goal("colossal-cave", "bird"))
    assert "get-bird" in {m.id for m in model.milestones}
    assert "get-bird" not in {m.id for m in cut.milestones}
    assert len(cut.pathways) == len(model.pathways) - 1
    assert not any("bird" in step.holding for pathway in cut.pathways for step in pathway.steps)


def test_a_cut_goal_is_no_longer_recommended(model):
    goal = find_goal("colossal-cave", "bird")
    session = Session(SessionSetup("colossal-cave", model, replay=None, recorded_seeds=()))
    try:
        commands: dict[str, Counter[str]] = {}
        for name in ("expert-alone-free-text", "follow-cut"):
            events: list = []
            condition = find_condition(name)
            session.play(condition, goal, seed=1001, attempt=0, record=events.append)
            commands[name] = Counter(e.decision for e in events if isinstance(e, StepTaken))
    finally:
        session.close()
    assert commands["expert-alone-free-text"]["get bird"] == 1
    assert commands["follow-cut"]["get bird"] == 0


def test_trips_are_reordered_but_the_first_and_the_last(whole_model):
    before = trips(whole_model)
    assert len(before) >= 4
    changed = reordered(whole_model, seed=5)
    after = trips(changed)
    assert Counter(changed.pathways) == Counter(whole_model.pathways)
    assert changed.pathways != whole_model.pathways
    assert (after[0][0], after[-1][-1]) == (before[0][0], before[-1][-1])
    assert reordered(whole_model, seed=5) == changed
    assert [w.at for w in compile_plan(changed).waypoints] != [
        w.at for w in compile_plan(whole_model).waypoints
    ]


def test_a_play_without_trips_is_left_as_it_is(model):
    assert reordered(model, seed=1).pathways == model.pathways


def test_a_start_in_the_middle_is_drawn_by_the_seed_and_goes_on(model):
    game = make_environment("colossal-cave", isolated=False)
    started = StartedElsewhere(game, compile_plan(model), steps=30)
    first = [started.reset(seed=seed).text for seed in (1, 2, 3, 1)]
    assert first[0] == first[3]
    assert len(set(first)) == 3
    opening = game.reset(seed=1).text
    assert opening not in first
    started.reset(seed=2)
    assert not game.facts()["deaths"]
    assert started.step("look").observation.text


def test_an_episode_in_the_middle_shows_its_players_the_middle(model):
    session = Session(SessionSetup("colossal-cave", model, replay=None, recorded_seeds=()))
    events: list = []
    try:
        session.play(
            find_condition("mid-game-follow"),
            find_goal("colossal-cave", "lamp"),
            seed=1003,
            attempt=0,
            record=events.append,
        )
    finally:
        session.close()
    assert "WELCOME TO ADVENTURE" not in events[0].first_observation


def test_attempts_learn_from_setbacks_and_resume_as_if_never_stopped(model):
    goal, condition = find_goal("colossal-cave", "350-points"), find_condition("follow-memory")
    goal = replace(goal, step_limit=150)  # the document ends before: every attempt fails
    condition = condition.model_copy(update={"attempts": 3})
    session = Session(SessionSetup("colossal-cave", model, replay=None, recorded_seeds=()))
    try:
        whole: list = []
        session.play_task(PlayTask(condition, goal, 304, (0, 1, 2)), record=whole.append)
        attempts = {e.episode.attempt for e in whole}
        assert attempts == {0, 1, 2}
        later: list = []
        session.play_task(PlayTask(condition, goal, 304, (1, 2)), record=later.append)
    finally:
        session.close()

    def played(events, attempt):
        return [e.decision for e in events if isinstance(e, StepTaken) and e.episode.attempt == attempt]

    assert played(later, 1) == played(whole, 1)
    assert played(whole, 0) != played(whole, 1)
    same = [a == b for a, b in zip(played(whole, 0), played(whole, 1), strict=False)]
    first = same.index(False)
    assert played(whole, 1)[first] == "look"
    assert isinstance([e for e in whole if e.episode.attempt == 0][-1], EpisodeFinished)


def test_what_own_plays_taught_goes_with_the_game_and_can_be_left_out(model):
    goal = find_goal("colossal-cave", "lamp")
    learnt = Variation(learnt_hazards=True).plan(model, goal, seed=1).learnt
    assert learnt is not None
    assert (learnt.plays, "300-399" in learnt.source) == (100, True)
    knife = learnt.danger(["there is a threatening little dwarf in the room with you"])
    assert knife is not None
    assert knife.harm("attack") > knife.harm("rest")
    assert Variation(learnt_hazards=True, without=("hazards",)).plan(model, goal, seed=1).learnt is None
    assert Variation().plan(model, goal, seed=1).learnt is None
    assert shipped_hazards("no-such-game") is None
