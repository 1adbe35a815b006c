"""Episodes of one process: seeds that were recorded, games that hang, players that lack what they need."""

from __future__ import annotations

import pytest

from lookalike.core.errors import EnvironmentDiedError, UsageError
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Goal, Predicate
from lookalike.environments import find_goal, registry
from lookalike.experiments import play_episode
from lookalike.experiments import session as session_module
from lookalike.experiments.budget import Budget
from lookalike.experiments.conditions import find_condition
from lookalike.experiments.session import Session, SessionSetup, with_threads
from lookalike.rewards import load_reward_model
from lookalike.store import (
    EnvironmentRestarted,
    EpisodeFailed,
    EpisodeFinished,
    EpisodePaused,
    EpisodeStarted,
    StepTaken,
    canonical_bytes,
)

CAVE = "colossal-cave"


def setup(**changes) -> SessionSetup:
    given = {"environment": CAVE, "reward_model": None, "replay": None, "recorded_seeds": ()}
    return SessionSetup(**(given | changes))


def test_the_recorded_seed_is_refused():
    recorded = derive_seed(7, CAVE, "environment")
    session = Session(setup(recorded_seeds=(recorded,)))
    with pytest.raises(UsageError, match="recorded"):
        session.environment_seed(7)
    assert session.environment_seed(8) != recorded


def test_all_conditions_of_a_seed_meet_the_same_game():
    events: list = []
    session = Session(setup(replay=("enter", "get lamp")))
    try:
        for name in ("random", "replay"):
            session.play(
                find_condition(name), find_goal(CAVE, "lamp"), seed=0, attempt=0, record=events.append
            )
    finally:
        session.close()
    first, second = (e for e in events if isinstance(e, EpisodeStarted))
    assert first.environment_seed == second.environment_seed
    assert first.first_observation == second.first_observation


def test_what_was_played_before_does_not_matter():
    """An episode is the same alone and after others, attempts differ from each other."""
    condition, goal = find_condition("random"), find_goal(CAVE, "lamp")

    def played(*attempts):
        session = Session(setup())
        try:
            found = []
            for attempt in attempts:
                events: list = []
                session.play(condition, goal, seed=3, attempt=attempt, record=events.append)
                found.append([canonical_bytes(e) for e in events])
            return found
        finally:
            session.close()

    first, second = played(0, 1)
    assert played(1) == [second]
    assert first != second


def test_replay_without_a_recording_is_refused():
    with pytest.raises(UsageError, match="needs a recording"):
        Session(setup()).player(find_condition("replay"), find_goal(CAVE, "lamp"))


def test_a_game_that_hangs_is_killed_brought_back_once_and_counted(monkeypatch):
    entry = registry._Entry("test-hanging", "lookalike.testing.environments:HangingEnvironment", "", None)
    monkeypatch.setitem(registry._entries, "test-hanging", entry)
    goal = Goal(
        "key", "test-hanging", "Win.", (Predicate("won", "equals", True),), step_limit=9, complexity=5
    )
    session = Session(setup(environment="test-hanging", replay=("left", "hang"), step_time_limit_s=0.4))
    events: list = []
    try:
        ended = session.play(find_condition("replay"), goal, seed=1, attempt=0, record=events.append)
    finally:
        session.close()
    assert isinstance(ended, EpisodeFailed)
    assert "EnvironmentHungError" in ended.failure
    assert (ended.steps, ended.will_retry) == (1, False)
    (restart,) = [e for e in events if isinstance(e, EnvironmentRestarted)]
    assert (restart.step, restart.replayed) == (1, 1)
    assert "EnvironmentHungError" in restart.failure
    assert sum(isinstance(e, EpisodeStarted) for e in events) == 1


@pytest.mark.parametrize(("starts_that_die", "ends"), [(1, EpisodeFinished), (2, EpisodeFailed)])
def test_a_game_that_dies_while_it_starts_is_started_once_more(monkeypatch, starts_that_die, ends):
    starts: list = []
    make = session_module.make_environment

    def dying(*arguments, **options):
        starts.append(1)
        if len(starts) <= starts_that_die:
            raise EnvironmentDiedError("The game's process ended in the middle of start.")
        return make(*arguments, **options)

    monkeypatch.setattr(session_module, "make_environment", dying)
    session = Session(setup())
    events: list = []
    try:
        ended = session.play(
            find_condition("random"), find_goal(CAVE, "lamp"), seed=4, attempt=0, record=events.append
        )
    finally:
        session.close()
    assert isinstance(ended, ends)
    assert (len(starts), events[-1]) == (2, ended)


def test_an_episode_is_paused_at_its_budget_and_goes_on_under_a_higher_one():
    goal = find_goal(CAVE, "diamonds")

    def play(budget, logged=()):
        session = Session(setup(budget=budget, flush_after_s=0.0))
        events: list = []
        try:
            ended = session.play(
                find_condition("random"), goal, seed=4, attempt=0, record=events.append, logged=logged
            )
        finally:
            session.close()
        return events, ended

    whole, _ = play(Budget())
    seconds = [e.measured.seconds for e in whole if isinstance(e, StepTaken)]
    first, paused = play(Budget(seconds=sum(seconds[:5]) / 2))
    assert isinstance(paused, EpisodePaused)
    assert "seconds:" in paused.reason
    assert 0 < paused.step < len(seconds)
    rest, ended = play(Budget(), logged=first)
    assert isinstance(ended, EpisodeFinished)
    played = [e for e in [*first, *rest] if not isinstance(e, EpisodePaused)]
    assert [canonical_bytes(e) for e in played] == [canonical_bytes(e) for e in whole]


def test_play_episode_shows_every_event(reward_model_path):
    events: list = []
    ended = play_episode(
        CAVE, goal="lamp", condition="expert-alone", seed=5,
        reward_model=load_reward_model(reward_model_path), on_event=events.append,
    )  # fmt: skip
    assert isinstance(ended, EpisodeFinished)
    assert ended.success
    steps = [e for e in events if isinstance(e, StepTaken)]
    assert [e.decision for e in steps][-1] == "get lamp"
    assert len(steps) == ended.steps
    assert events[-1] == ended


def test_play_episode_with_even_draws_needs_no_model():
    ended = play_episode(CAVE, goal="lamp", condition="swarm", seed=5, player="random")
    assert ended.steps > 0


def test_play_episode_says_when_the_expert_is_missing():
    with pytest.raises(UsageError, match="lookalike watch"):
        play_episode(CAVE, goal="lamp", condition="swarm+expert", seed=5)


def test_threads_can_be_changed():
    assert with_threads(setup(), 3).threads == 3
