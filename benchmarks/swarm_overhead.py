"""What the swarm itself costs in a step, without the model and the game: eight roles, all switched on.

The player answers at once; the game is Colossal Cave in this process. The time that the game's own methods
take is measured inside the same step and taken off.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from typing import Any

from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import (
    Demonstration,
    Goal,
    Observation,
    Predicate,
    Proposal,
    Provenance,
    Role,
    Situation,
    Trajectory,
)
from lookalike.environments import make_environment
from lookalike.experts import make_expert
from lookalike.recordings import shipped_play
from lookalike.rewards import Plan, RewardModelScorer, compile_plan
from lookalike.store.events import EpisodeKey, Event, StepTaken
from lookalike.swarm.config import SwarmConfig
from lookalike.swarm.loop import Episode

TARGET_MS = 2.0
ROLES = tuple(Role(f"m{i}-t{t}", t) for i in range(2) for t in (0.2, 0.6, 1.0, 1.4))
STEPS = 200
EPISODES = 5


class TimedEnvironment:
    """The game, with the time its methods took."""

    def __init__(self, game: Environment) -> None:
        self._game = game
        self.id, self.capabilities, self.how_to_play = game.id, game.capabilities, game.how_to_play
        self.seconds = 0.0

    def _timed(self, name: str, *arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return getattr(self._game, name)(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - start

    def reset(self, *, seed: int) -> Observation:
        """Pass on."""
        found: Observation = self._timed("reset", seed=seed)
        return found

    def step(self, action: str) -> StepResult:
        """Pass on."""
        found: StepResult = self._timed("step", action)
        return found

    def admissible_actions(self) -> tuple[str, ...]:
        """Pass on."""
        found: tuple[str, ...] = self._timed("admissible_actions")
        return found

    def save(self) -> bytes:
        """Pass on."""
        return self._game.save()

    def restore(self, state: bytes) -> None:
        """Pass on."""
        self._game.restore(state)

    def facts(self) -> dict[str, Any]:
        """Pass on."""
        found: dict[str, Any] = self._timed("facts")
        return found

    def close(self) -> None:
        """Pass on."""
        self._game.close()


class InstantPlayer:
    """Half the members follow the recommendation, the others disagree, each in its own way."""

    name = "instant"

    def start_episode(self, *, seed: int) -> None:
        """Nothing is kept."""

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:  # noqa: ARG002
        """Answer at once."""
        offered = situation.admissible_actions or ("look",)
        wanted = situation.guidance[0].action if situation.guidance else offered[0]
        return [
            Proposal(role, wanted if i % 2 else offered[(situation.step + i) % len(offered)], 0.5)
            for i, role in enumerate(roles)
        ]


def measure() -> list[dict[str, Any]]:
    """Return the median own time of a step with shared memory (the target's) and with private memory."""
    plan = _plan()
    rows = []
    for memory in ("shared", "private"):
        own = sorted(t for seed in range(EPISODES) for t in _own_times(plan, memory, seed))
        value = statistics.median(own)
        rows.append(
            {
                "name": "swarm_step_own_time" + ("" if memory == "shared" else f"_{memory}_memory"),
                "value": round(value, 3),
                "unit": "ms",
                "target": f"<= {TARGET_MS:g}" if memory == "shared" else None,
                "met": value <= TARGET_MS if memory == "shared" else None,
                "detail": f"median of {len(own)} steps, {len(ROLES)} roles; mean {statistics.mean(own):.3f}, "
                f"99% {own[int(0.99 * len(own))]:.2f} ms",
            }
        )
    return rows


def _plan() -> Plan:
    game, play = make_environment("colossal-cave", isolated=False), shipped_play(2)
    observations = [game.reset(seed=play.seed), *(game.step(c).observation for c in play.commands)]
    trajectory = Trajectory(tuple(observations), play.commands)
    provenance = Provenance("walkthrough2.txt", "benchmark", "0" * 64)
    demonstration = Demonstration("walk2", trajectory, "human", provenance)
    return compile_plan(make_expert("embedded-text").watch([demonstration], environment="colossal-cave"))


def _own_times(plan: Plan, memory: Any, seed: int) -> list[float]:
    """Return each step's own time in milliseconds."""
    environment = TimedEnvironment(make_environment("colossal-cave", isolated=False))
    marks: list[float] = []

    def record(event: Event) -> None:
        """Take the clock less the game's time at every event; differences are the steps' own times."""
        marks.append(time.perf_counter() - environment.seconds)
        if isinstance(event, StepTaken):
            assert len(event.proposals) == len(ROLES)

    Episode(
        key=EpisodeKey(condition="benchmark", goal="none", seed=seed),
        goal=Goal("none", "colossal-cave", "Win.", (Predicate("won", "equals", True),), STEPS, STEPS),
        environment=environment,
        player=InstantPlayer(),
        config=SwarmConfig(ROLES, memory=memory, reward="reward model", recommendation=True),
        scorer=RewardModelScorer(plan),
        seed=seed,
        environment_seed=1000 + seed,
        record=record,
    ).play()
    environment.close()
    return [(b - a) * 1e3 for a, b in itertools.pairwise(marks[:-1])]
