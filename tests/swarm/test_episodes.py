"""Whole episodes on a tiny game: every event, every switch, and every way to end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lookalike.core.errors import EnvironmentDiedError, UnknownNameError, UsageError
from lookalike.core.types import Goal, Observation, Predicate, Proposal, Role, Situation, Usage, Verdict
from lookalike.environments.worker import EnvironmentWorker
from lookalike.players.llm import LanguageModelPlayer
from lookalike.players.random_player import RandomPlayer
from lookalike.store import (
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    EpisodeStarted,
    Event,
    StepTaken,
    canonical_bytes,
    parse_event,
)
from lookalike.swarm.config import SwarmConfig, roles_at
from lookalike.swarm.loop import Episode
from lookalike.swarm.worlds import WorldsEpisode
from lookalike.testing.environments import DyingEnvironment, HangingEnvironment, TinyEnvironment
from lookalike.testing.scripted_model import ScriptedModel

KEY = EpisodeKey(condition="test", goal="door", seed=0)
ROLES = roles_at((0.2, 1.0, 1.4))


def goal(fact: str = "won", value: Any = True, *, op: Any = "equals", limit: int = 40) -> Goal:
    return Goal("door", "tiny", "Open the door.", (Predicate(fact, op, value),), limit, 5)


class Probe:
    """A player that keeps what it was shown and proposes what it was told to, by role and step."""

    name = "probe"

    def __init__(self, choose: Callable[[Situation, Role], str | None]) -> None:
        self.choose = choose
        self.shown: list[tuple[Situation, tuple[str, ...]]] = []
        self.seeds: list[int] = []

    def start_episode(self, *, seed: int) -> None:
        self.seeds.append(seed)

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        self.shown.append((situation, tuple(r.name for r in roles)))
        return [Proposal(r, self.choose(situation, r), usage=Usage(calls=1)) for r in roles]


class Coach:
    """A reward model for the tiny game: right is good (0.5), left is bad (-0.5), nothing else counts."""

    VALUES = {"right": 0.5, "left": -0.5}  # noqa: RUF012 - a constant

    def __init__(self) -> None:
        self.scored: list[str | None] = []
        self.offered: list[tuple[str, ...]] = []

    def _verdict(self, action: str | None) -> Verdict:
        value = self.VALUES.get(action or "", 0.0)
        return Verdict(value, {"coach": value}, "So.")

    def start(self, observation: Observation) -> None:
        self.scored = []

    def score(self, transition) -> Verdict:
        self.scored.append(transition.action)
        return self._verdict(transition.action)

    def preview(self, observation: Observation, actions: Sequence[str]) -> list[Verdict]:
        return [self._verdict(action) for action in actions]

    def note_admissible(self, actions: Sequence[str]) -> None:
        self.offered.append(tuple(actions))

    def recommend(self, observation: Observation) -> list[str]:
        return ["fly", "right"]

    def copy(self) -> Coach:
        other = Coach()
        other.scored = list(self.scored)
        return other


def always(action: str | None) -> Probe:
    return Probe(lambda situation, role: action)


def by_role(**actions: str | None) -> Probe:
    """Propose by the role's place in ROLES: a, b, c."""
    names = dict(zip((r.name for r in ROLES), ("a", "b", "c"), strict=True))
    return Probe(lambda situation, role: actions.get(names[role.name]))


def play(
    player: Any,
    *,
    target: Goal | None = None,
    environment: Any = None,
    seed: int = 0,
    environment_seed: int = 1,
    scorer: Any = None,
    **config: Any,
) -> tuple[EpisodeFinished | EpisodeFailed, list[Event], Episode]:
    events: list[Event] = []
    episode = Episode(
        key=KEY,
        goal=target or goal(),
        environment=environment or TinyEnvironment(),
        player=player,
        config=SwarmConfig(**{"roles": ROLES, "council": "majority", **config}),
        scorer=scorer,
        seed=seed,
        environment_seed=environment_seed,
        record=events.append,
    )
    return episode.play(), events, episode


def steps_of(events: Sequence[Event]) -> list[StepTaken]:
    return [e for e in events if isinstance(e, StepTaken)]


def random_llm() -> LanguageModelPlayer:
    weights = {"left": 1.0, "right": 1.0, "take key": 3.0, "open door": 3.0, "look": 0.2}
    return LanguageModelPlayer(ScriptedModel(weights), heed_punishment=False)


def winner() -> Probe:
    """Two of three members know the way to the key and the door; the other only looks."""
    game = TinyEnvironment()
    game.reset(seed=1)
    here, key, door = 3, game._key_room or 0, game._door_room
    way = (["right" if key > here else "left"] * abs(key - here)) + ["take key"]
    way += (["right" if door > key else "left"] * abs(door - key)) + ["open door"]
    return Probe(lambda s, r: "look" if r.name == ROLES[1].name else way[s.step])


# --- configuration


@pytest.mark.parametrize("roles", [(), (Role("a", 1.0), Role("a", 0.5))])
def test_roles_need_different_names(roles) -> None:
    with pytest.raises(UsageError, match="different names"):
        SwarmConfig(roles=roles)


def test_an_unknown_council_rule_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="best-reward, majority"):
        SwarmConfig(roles=ROLES, council="votes")


@pytest.mark.parametrize(
    "wrong",
    [{"memory": "common"}, {"mode": "world"}, {"sync_every": -1}, {"recollections": -1}, {"reward": "x"}],
)
def test_other_options_that_cannot_be_meant(wrong) -> None:
    with pytest.raises((UsageError, UnknownNameError)):
        SwarmConfig(roles=ROLES, **wrong)


def test_roles_are_named_after_their_temperature() -> None:
    assert [r.name for r in roles_at((0.2, 1.0, 1.0, 1.0))] == ["t0.2", "t1", "t1-2", "t1-3"]


def test_a_reward_model_that_is_needed_must_be_given() -> None:
    for config in ({"recommendation": True}, {"reward": "reward model"}):
        with pytest.raises(ValueError, match="needs a reward model"):
            play(always("look"), **config)


# --- the events


def test_events_are_complete_and_in_order() -> None:
    ended, events, _ = play(winner(), reward="environment score")
    first, *middle, last = events
    assert isinstance(first, EpisodeStarted)
    assert first.environment_seed == 1
    assert "room 3" in (first.first_observation or "")
    assert last is ended
    assert isinstance(ended, EpisodeFinished)
    steps = steps_of(events)
    assert len(middle) == len(steps) == ended.steps
    assert [s.step for s in steps] == list(range(ended.steps))
    assert all(a.next_observation == b.observation for a, b in itertools.pairwise(steps))
    for step in steps:
        assert [p.role for p in step.proposals] == [r.name for r in ROLES]
        assert step.decision in {p.action for p in step.proposals}
        assert sum(step.votes.values()) == 3
        assert step.usage.calls == 3
        assert step.world is None
    assert ended.usage.calls == sum(s.usage.calls for s in steps) == ended.proposals == 3 * ended.steps
    assert ended.executable_proposals == ended.proposals
    assert ended.interactions == ended.steps
    assert ended.rewards == tuple(s.verdict.value for s in steps if s.verdict)
    assert ended.dissents == sum(bool(s.dissent) for s in steps)
    assert ended.success
    assert steps[-1].goal_reached
    assert not any(s.goal_reached for s in steps[:-1])
    assert ended.score == 10
    assert all(
        parse_event(canonical_bytes(e)) == e.model_copy(update={"measured": type(e.measured)()})
        for e in events
    )


@pytest.mark.parametrize("memory", ["none", "private", "shared"])
def test_one_seed_gives_the_same_bytes_and_another_seed_others(memory) -> None:
    def log(seed: int) -> bytes:
        _, events, _ = play(random_llm(), seed=seed, memory=memory, reward="environment score")
        return b"\n".join(canonical_bytes(event) for event in events)

    assert log(0) == log(0)
    assert len({log(seed) for seed in range(4)}) == 4


def test_random_players_repeat_too() -> None:
    logs = [[canonical_bytes(e) for e in play(RandomPlayer(), seed=s)[1]] for s in (5, 5, 6)]
    assert logs[0] == logs[1] != logs[2]


# --- ways to end


def test_the_step_limit_truncates() -> None:
    ended, events, _ = play(always("look"), target=goal(limit=3))
    assert isinstance(ended, EpisodeFinished)
    assert (ended.steps, ended.success, ended.truncated, ended.terminated) == (3, False, True, False)
    assert [s.truncated for s in steps_of(events)] == [False, False, True]


def test_reaching_the_goal_with_the_last_step_is_success() -> None:
    target = goal("place", 5, limit=2)
    ended, events, _ = play(always("right"), target=target)
    assert isinstance(ended, EpisodeFinished)
    assert (ended.steps, ended.success, ended.truncated) == (2, True, False)
    assert not steps_of(events)[-1].truncated


def test_a_goal_that_holds_at_the_start_takes_no_step() -> None:
    player = always("look")
    ended, events, _ = play(player, target=goal("place", 3))
    assert isinstance(ended, EpisodeFinished)
    assert (ended.steps, ended.success, ended.truncated, ended.interactions) == (0, True, False, 0)
    assert player.shown == []
    assert len(events) == 2


def test_the_end_of_the_game_ends_the_episode() -> None:
    ended, events, _ = play(winner(), target=goal("score", 99, op="at_least", limit=200))
    assert isinstance(ended, EpisodeFinished)
    assert (ended.success, ended.terminated, ended.truncated) == (False, True, False)
    assert steps_of(events)[-1].terminated


@pytest.mark.parametrize(
    ("kind", "action", "failure"),
    [
        (HangingEnvironment, "hang", "EnvironmentHungError"),
        (DyingEnvironment, "abort", "EnvironmentDiedError"),
    ],
)
def test_a_game_that_hangs_or_dies_fails_the_episode(kind, action, failure) -> None:
    environment = EnvironmentWorker(kind, step_time_limit_s=1.0)
    player = Probe(lambda situation, role: "look" if situation.step < 2 else action)
    try:
        ended, events, _ = play(player, environment=environment, reward="environment score")
    finally:
        environment.close()
    assert isinstance(ended, EpisodeFailed)
    assert ended.failure.startswith(failure)
    assert (ended.steps, ended.interactions, len(ended.rewards)) == (2, 2, 2)
    assert events[-1] is ended
    assert len(steps_of(events)) == 2


# --- proposals


def test_what_cannot_be_executed_spends_a_step() -> None:
    ended, events, _ = play(always(None), target=goal(limit=4))
    assert isinstance(ended, EpisodeFinished)
    assert (ended.steps, ended.interactions, ended.executable_proposals, ended.proposals) == (4, 0, 0, 12)
    assert all(s.decision is None and s.verdict is None for s in steps_of(events))
    assert all(s.observation == s.next_observation for s in steps_of(events))


def test_a_free_reply_that_is_no_action_is_asked_twice_and_recorded() -> None:
    model = ScriptedModel(lambda prompt: "{'action': 1}")
    ended, events, _ = play(LanguageModelPlayer(model, False), roles=ROLES[:1], target=goal(limit=2))
    assert isinstance(ended, EpisodeFinished)
    assert ended.usage.calls == 4
    assert ended.executable_proposals == 0
    assert steps_of(events)[0].proposals[0].reply == "{'action': 1}"


def test_those_who_can_decide_for_those_who_cannot() -> None:
    ended, _events, _ = play(by_role(a=None, b="right", c=None), target=goal("place", 5, limit=5))
    assert isinstance(ended, EpisodeFinished)
    assert ended.success
    assert (ended.executable_proposals, ended.dissents) == (2, 0)


def test_dissent_is_counted_and_judged() -> None:
    ended, _, _ = play(
        by_role(a="left", b="left", c="right"), target=goal(limit=3), scorer=Coach(), recommendation=True
    )
    assert isinstance(ended, EpisodeFinished)
    assert (ended.dissents, ended.correct_dissents) == (3, 3)
    assert ended.agreement == pytest.approx(2 / 3)
    blind, _, _ = play(by_role(a="left", b="left", c="right"), target=goal(limit=3))
    assert isinstance(blind, EpisodeFinished)
    assert (blind.dissents, blind.correct_dissents) == (3, None)


def test_the_arbiter_is_a_counted_call_with_its_own_situation() -> None:
    player = Probe(lambda s, r: "right" if r.name in ("arbiter", ROLES[2].name) else "left")
    ended, events, _ = play(player, target=goal("place", 5, limit=5), council="arbiter")
    assert isinstance(ended, EpisodeFinished)
    assert ended.success
    assert ended.usage.calls == 2 * (3 + 1)
    asked = [s for s, roles in player.shown if roles == ("arbiter",)]
    assert [s.admissible_actions for s in asked] == [("left", "right")] * 2
    assert {s.by for s in steps_of(events)} == {"arbiter"}


def test_the_arbiters_call_is_in_its_steps_usage() -> None:
    player = Probe(lambda s, r: "right" if r.name in ("arbiter", ROLES[2].name) else "left")
    ended, events, _ = play(player, target=goal("place", 5, limit=5), council="arbiter")
    assert ended.usage.calls == sum(s.usage.calls for s in steps_of(events))


# --- memory


def test_members_with_a_memory_of_their_own_recall_only_that() -> None:
    """Back and forth, so that every state is met again; a proposes what is played, b something else."""
    to_and_fro = Probe(
        lambda s, r: "look" if r.name == ROLES[1].name else "right" if s.step % 2 == 0 else "left"
    )
    for memory, sees in (("private", ()), ("shared", ("right",)), ("none", ())):
        to_and_fro.shown.clear()
        play(to_and_fro, target=goal(limit=4), memory=memory, reward="environment score")
        third = [(s, roles) for s, roles in to_and_fro.shown if s.step == 2]
        told = {name: tuple(r.action for r in s.recollections) for s, roles in third for name in roles}
        assert told[ROLES[1].name] == sees, memory
        assert told[ROLES[0].name] == (() if memory == "none" else ("right",)), memory
        assert len(third) == (2 if memory == "private" else 1)  # who knows the same is asked in one batch


def test_recollections_are_recorded_with_their_provenance() -> None:
    player = Probe(lambda s, r: "right" if s.step % 2 == 0 else "left")
    _, events, _ = play(player, target=goal(limit=3), reward="environment score")
    (shown,) = steps_of(events)[2].recollections
    assert (shown.source, shown.provenance) == ("member", "step 0 by t0.2+t1+t1.4")


def test_history_is_as_long_as_asked() -> None:
    player = always("look")
    play(player, target=goal(limit=5), history=2)
    assert [len(s.history) for s, _ in player.shown] == [0, 1, 2, 2, 2]
    player = always("look")
    play(player, target=goal(limit=3), history=0, recollections=0)
    assert all(s.history == () and s.recollections == () for s, _ in player.shown)


# --- reward and recommendation


@pytest.mark.parametrize(
    ("reward", "rewards"),
    [("none", None), ("environment score", (0.0, 0.0)), ("reward model", (0.5, 0.5))],
)
def test_reward_comes_from_where_it_should(reward, rewards) -> None:
    coach = Coach()
    ended, events, _ = play(always("right"), target=goal("place", 5), reward=reward, scorer=coach)
    assert isinstance(ended, EpisodeFinished)
    verdicts = [s.verdict for s in steps_of(events)]
    assert ended.rewards == (rewards or (0.0, 0.0))
    assert (verdicts == [None, None]) == (rewards is None)
    assert coach.scored == ["right", "right"]  # the reward model follows the play in any case


def test_the_games_score_is_scaled() -> None:
    _, events, _ = play(winner(), reward="environment score")
    by_points = {s.env_reward: s.verdict.value for s in steps_of(events) if s.verdict}
    assert by_points == {0.0: 0.0, 1.0: 0.04, 9.0: 0.36}


@pytest.mark.parametrize("recommendation", [False, True])
def test_guidance_is_shown_only_with_the_handicap(recommendation) -> None:
    coach, player = Coach(), always("look")
    _, events, _ = play(
        player, target=goal(limit=2), scorer=coach, reward="reward model", recommendation=recommendation
    )
    for situation, _ in player.shown:
        assert [(g.action, g.reward, g.source) for g in situation.guidance] == (
            [("right", 0.5, "expert")] if recommendation else []  # "fly" is not admissible
        )
    for step in steps_of(events):
        assert bool(step.proposal_verdicts) is (recommendation or step.step > 0)
        assert any(r.source == "expert" for r in step.recollections) is recommendation
    assert coach.offered[0] == TinyEnvironment().admissible_actions() or "look" in coach.offered[0]


def test_the_council_sees_previews_only_with_the_handicap() -> None:
    player = by_role(a="left", b="left", c="right")
    for recommendation, first in ((True, "right"), (False, "left")):
        _, events, _ = play(
            player,
            target=goal(limit=1),
            scorer=Coach(),
            reward="reward model",
            recommendation=recommendation,
            council="best-reward",
        )
        assert steps_of(events)[0].decision == first


def test_without_the_handicap_the_council_learns_from_what_was_played() -> None:
    player = Probe(lambda s, r: "right" if r.name == ROLES[2].name else "left")
    _, events, _ = play(
        player, target=goal(limit=9), scorer=Coach(), reward="reward model", council="best-reward"
    )
    decisions = [s.decision for s in steps_of(events)]
    assert decisions[0] == "left"
    assert "right" in decisions  # left was punished where it was tried


def test_a_situation_says_what_it_should() -> None:
    player = always("look")
    play(player, target=goal(limit=3))
    for i, (situation, roles) in enumerate(player.shown):
        assert roles == tuple(r.name for r in ROLES)
        assert (situation.step, situation.steps_left, situation.goal) == (i, 3 - i, "Open the door.")
        assert situation.how_to_play == TinyEnvironment.how_to_play
        assert situation.admissible_actions == TinyEnvironment().admissible_actions()


# --- worlds


def play_worlds(
    player: Any, *, target: Goal | None = None, scorers: Any = None, environments: Any = None, **config: Any
) -> tuple[EpisodeFinished | EpisodeFailed, list[Event], WorldsEpisode]:
    events: list[Event] = []
    episode = WorldsEpisode(
        key=KEY,
        goal=target or goal(),
        environments=environments or [TinyEnvironment() for _ in ROLES],
        player=player,
        config=SwarmConfig(**{"roles": ROLES, "mode": "worlds", **config}),
        scorers=scorers or [None] * len(ROLES),
        seed=0,
        environment_seed=1,
        record=events.append,
    )
    return episode.play(), events, episode


def test_every_member_plays_its_own_world() -> None:
    ended, events, episode = play_worlds(by_role(a="left", b="look", c="right"), target=goal(limit=2))
    assert isinstance(ended, EpisodeFinished)
    assert (ended.steps, ended.interactions, ended.truncated, ended.success) == (2, 6, True, False)
    assert [(s.step, s.world) for s in steps_of(events)] == [(n, r.name) for n in (0, 1) for r in ROLES]
    assert [e.facts()["place"] for e in episode.environments] == [1, 3, 5]
    assert sum(isinstance(e, EpisodeStarted) for e in events) == 1


def test_one_member_at_the_goal_is_success() -> None:
    ended, events, _ = play_worlds(by_role(a="left", b="look", c="right"), target=goal("place", 5))
    assert isinstance(ended, EpisodeFinished)
    assert (ended.success, ended.steps, ended.truncated) == (True, 2, False)
    assert [s.world for s in steps_of(events) if s.goal_reached] == [ROLES[2].name]


def test_in_worlds_too_a_goal_that_holds_at_the_start_takes_no_step() -> None:
    ended, _, _ = play_worlds(always("right"), target=goal("place", 3))
    assert (ended.steps, ended.success) == (0, True)


@pytest.mark.parametrize(
    ("memory", "told"), [("shared", [0, 1, 1]), ("private", [0, 0, 0]), ("none", [0, 0, 0])]
)
def test_what_one_earned_is_told_before_the_next_proposes(memory, told) -> None:
    player = by_role(a="right", b="left", c="look")
    play_worlds(
        player,
        target=goal(limit=1),
        memory=memory,
        scorers=[Coach() for _ in ROLES],
        reward="reward model",
        recollections=1,
    )
    assert [len(s.recollections) for s, _ in player.shown] == told
    if memory == "shared":
        assert [s.recollections[0].action for s, _ in player.shown[1:]] == ["right", "right"]
        assert player.shown[1][0].recollections[0].reward == 0.5


@pytest.mark.parametrize(
    ("sync_every", "restorable", "places"),
    [(2, True, [5, 5, 5]), (0, True, [1, 3, 5]), (2, False, [1, 3, 5]), (3, True, [1, 3, 5])],
)
def test_all_go_on_from_the_best_branch_only_where_asked_and_possible(sync_every, restorable, places) -> None:
    environments = [TinyEnvironment() for _ in ROLES]
    for environment in environments:
        environment.capabilities = TinyEnvironment.capabilities - (set() if restorable else {"save_restore"})
    play_worlds(
        by_role(a="left", b="look", c="right"),
        target=goal(limit=2),
        environments=environments,
        scorers=[Coach() for _ in ROLES],
        reward="reward model",
        sync_every=sync_every,
    )
    assert [e.facts()["place"] for e in environments] == places


def test_after_going_on_from_the_best_branch_the_worlds_are_apart_again() -> None:
    player = by_role(a="left", b="look", c="right")
    _, events, episode = play_worlds(
        player, target=goal(limit=3), scorers=[Coach() for _ in ROLES], reward="reward model", sync_every=2
    )
    assert [e.facts()["place"] for e in episode.environments] == [4, 5, 6]
    third = steps_of(events)[6:]
    assert {s.observation for s in third} == {steps_of(events)[5].next_observation}


def test_worlds_repeat_by_seed() -> None:
    logs = [[canonical_bytes(e) for e in play_worlds(random_llm())[1]] for _ in range(2)]
    assert logs[0] == logs[1]


def test_a_world_that_dies_fails_the_episode() -> None:
    class Dead(TinyEnvironment):
        def step(self, action: str):
            raise EnvironmentDiedError("The game died.")

    ended, events, _ = play_worlds(
        always("look"), environments=[TinyEnvironment(), Dead(), TinyEnvironment()]
    )
    assert isinstance(ended, EpisodeFailed)
    assert (ended.failure, ended.steps, ended.interactions) == ("EnvironmentDiedError: The game died.", 0, 1)
    assert len(steps_of(events)) == 1


def test_a_member_without_an_action_stands_still() -> None:
    ended, _events, episode = play_worlds(by_role(a=None, b="right", c=None), target=goal(limit=2))
    assert isinstance(ended, EpisodeFinished)
    assert (ended.interactions, ended.executable_proposals) == (2, 2)
    assert [e.facts()["place"] for e in episode.environments] == [3, 5, 3]


def test_steps_that_a_player_tried_on_copies_of_the_game_are_counted():
    player = always("look")
    player.interactions = 70  # type: ignore[attr-defined]
    ended, _, _ = play(player, target=goal(limit=3))
    assert isinstance(ended, EpisodeFinished)
    assert (ended.steps, ended.interactions) == (3, 73)
