"""Search mode: back to an earlier state after a setback, every step counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from lookalike.core.errors import UsageError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Goal, Observation, Predicate, Proposal, Role, Situation, Transition, Verdict
from lookalike.store.events import EpisodeFinished, EpisodeKey, StepTaken
from lookalike.swarm import Episode, SearchEpisode, SwarmConfig, TreeSearchEpisode, roles_at
from lookalike.swarm.search import WAIT
from lookalike.swarm.tree_search import Node

GOAL = Goal("end", "dice", "Get to the end.", (Predicate("place", "at_least", 12),), 60, 12)


class Dice:
    """A walk of twelve steps; at the seventh a die decides, and a lost throw ends the game.

    The die is part of the state, as in a real game: the same state restored throws the same again.
    """

    id = "dice"
    how_to_play = "go"

    def __init__(self, can_restore: bool = True) -> None:
        self.capabilities: Any = frozenset({"text", "save_restore"} if can_restore else {"text"})

    def reset(self, *, seed: int) -> Observation:
        self.state = (0, seed)
        return Observation("place 0")

    def step(self, action: str) -> StepResult:
        place, die = self.state
        die = (die * 1103515245 + 12345) % 2**31
        place += action == "go"
        dead = place == 7 and action == "go" and die >> 16 & 3 != 0
        self.state = (place, die)
        return StepResult(Observation("You are dead." if dead else f"place {place}"), terminated=dead)

    def admissible_actions(self) -> tuple[str, ...]:
        return ("go",)

    def save(self) -> bytes:
        return repr(self.state).encode()

    def restore(self, state: bytes) -> None:
        place, die = state.decode().strip("()").split(",")
        self.state = (int(place), int(die))

    def facts(self) -> Mapping[str, Any]:
        return {"place": self.state[0]}

    def close(self) -> None:
        """Nothing to release."""


class Walker:
    """Always goes."""

    name = "walker"

    def start_episode(self, *, seed: int) -> None:
        """Nothing is kept."""

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        return [Proposal(role, "go", 1.0) for role in roles]


class Follower:
    """Calls a death a setback and every third place a milestone."""

    def start(self, observation: Observation) -> None:
        """Nothing to follow."""

    def score(self, transition: Transition) -> Verdict:
        text = transition.after.text or ""
        if "dead" in text:
            return Verdict(-1.0, {"setback": -1.0})
        place = int(text.split()[-1])
        moved = text != transition.before.text
        return Verdict(0.2, {f"milestone:{place}": 0.2}) if moved and place % 3 == 0 else Verdict(0.0)

    def preview(self, observation: Observation, actions: Sequence[str]) -> list[Verdict]:
        return [Verdict(0.0) for _ in actions]

    def note_admissible(self, actions: Sequence[str]) -> None:
        """Nothing to note."""

    def recommend(self, observation: Observation) -> list[str]:
        return ["go"]

    def copy(self) -> Follower:
        return Follower()


def played(kind: type[Episode], seed: int, *, limit: int = 5000, can_restore: bool = True):
    events: list[Any] = []
    mode = {SearchEpisode: "search", TreeSearchEpisode: "tree search"}.get(kind, "council")
    config = SwarmConfig(
        roles=roles_at((1.0,)), mode=mode, memory="none", reward="reward model", search_interactions=limit
    )
    episode = kind(
        key=EpisodeKey(condition="c", goal="end", seed=seed, attempt=0),
        goal=GOAL,
        environment=Dice(can_restore),
        player=Walker(),
        config=config,
        scorer=Follower(),
        seed=seed,
        environment_seed=seed,
        record=events.append,
    )
    return episode.play(), events


SEARCHES = pytest.mark.parametrize("kind", [SearchEpisode, TreeSearchEpisode])


@SEARCHES
def test_it_wins_where_a_single_attempt_loses(kind: type[Episode]) -> None:
    once = [played(Episode, seed)[0].success for seed in range(1, 21)]
    searched = [played(kind, seed)[0].success for seed in range(1, 21)]
    assert sum(once) < 12
    assert sum(searched) >= 19


@SEARCHES
def test_every_step_counts_and_is_recorded(kind: type[Episode]) -> None:
    ended, events = played(kind, 3)
    steps = [e for e in events if isinstance(e, StepTaken)]
    assert isinstance(ended, EpisodeFinished)
    assert ended.interactions == len(steps) == len({e.step for e in steps})
    assert ended.steps <= ended.interactions


@SEARCHES
def test_interactions_are_bounded(kind: type[Episode]) -> None:
    ended, _ = played(kind, 3, limit=5)
    assert isinstance(ended, EpisodeFinished)
    assert not ended.success
    assert ended.interactions == 5


@SEARCHES
def test_the_same_seed_plays_alike(kind: type[Episode]) -> None:
    def told(events: list[Any]) -> list[tuple[str | None, str | None]]:
        return [(e.decision, e.observation) for e in events if isinstance(e, StepTaken)]

    assert told(played(kind, 5)[1]) == told(played(kind, 5)[1])


@SEARCHES
def test_a_game_that_cannot_go_back_is_refused(kind: type[Episode]) -> None:
    with pytest.raises(UsageError, match="save and restore"):
        played(kind, 3, can_restore=False)


def test_the_tree_prefers_what_was_worth_more_and_does_not_forget_the_rest() -> None:
    kept: Any = None
    node = Node(kept, priors={"go": 0.85, WAIT: 0.15}, visits=4, value=-2.0)
    node.children["go"] = Node(kept, visits=4, value=-3.0)
    assert node.best_action() == WAIT
    node.children[WAIT] = Node(kept, visits=3, value=-3.0)
    node.children["go"].value = 0.0
    assert node.best_action() == "go"
