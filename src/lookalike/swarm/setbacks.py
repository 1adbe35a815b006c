"""Memory of setbacks over the attempts at one game: where it went wrong, and what to do there next time.

A game that is begun again under the same seed plays the same, up to the first thing that is done differently.
So the next attempt does what the best one did, waits shortly before its first setback, where chance then
falls differently, and goes on from what it sees. Where that does not help it waits earlier, as search mode
goes back further, but without save and restore: every step from the beginning is played again and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lookalike.core.protocols import Player
from lookalike.core.types import Proposal, Role, Situation
from lookalike.store.events import EpisodeFinished, Event, StepTaken
from lookalike.swarm.search import WAIT

EARLIER = 2.5
"""How much earlier the wait begins, each time the one before did not help."""


@dataclass
class SetbackMemory:
    """What is known from earlier attempts.

    Attributes:
        waits: Steps of the best attempt at which it waited, and of the next one.
        best: Steps the best attempt played without a setback.
        failures: Attempts since then that did not get further.
    """

    waits: tuple[int, ...] = ()
    best: int = -1
    failures: int = 0
    _best_waits: tuple[int, ...] = field(default=(), repr=False)

    def learn(self, events: Sequence[Event]) -> None:
        """Take in an attempt: its first setback, or its end where there was none.

        What is learnt is the same whether the events come as they happen or from the log.
        """
        steps = [event for event in events if isinstance(event, StepTaken)]
        if not steps or any(isinstance(event, EpisodeFinished) and event.success for event in events):
            return
        first = next(
            (e.step for e in steps if e.verdict is not None and "setback" in e.verdict.components),
            steps[-1].step,
        )
        if first > self.best:
            self.best, self._best_waits, self.failures = first, self.waits, 0
        self.failures += 1
        back = round(EARLIER ** (self.failures - 1))
        begin = max(0, self.best - back)
        self.waits = (*(step for step in self._best_waits if step < begin), begin)


class PatientPlayer:
    """A player that waits where the memory says so, and else proposes what another player proposes."""

    def __init__(self, player: Player, memory: SetbackMemory) -> None:
        self._player = player
        self._waits = frozenset(memory.waits)
        self.name = player.name

    def start_episode(self, *, seed: int) -> None:
        """Begin an episode."""
        self._player.start_episode(seed=seed)

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return one proposal a role."""
        if situation.step in self._waits:
            return [Proposal(role, WAIT, 1.0) for role in roles]
        return self._player.propose(situation, roles, seed=seed)
