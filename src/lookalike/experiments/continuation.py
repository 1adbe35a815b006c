"""Going on with an episode in the middle: what the log has is played again, and never asked again.

Everything an episode does follows from its seed, its game and the players' proposals. So the loop runs from
the start, the game is stepped through what was decided, and the proposals come from the log until it ends.
Each event that the loop makes on the way must equal the one that was logged, byte for byte; where it does
not (the game changed, the log is of another version), the episode starts over, and what was logged of it is
superseded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lookalike.core.protocols import Player
from lookalike.core.types import Proposal, Role, Situation, Usage
from lookalike.store import Event, ProposalRecord, StepTaken, canonical_bytes, is_incident, usage_of


class DivergedError(Exception):
    """The episode, played again, is not the one that was logged."""


class Continuation:
    """Follows an episode along its logged events and hands on what is new.

    Args:
        logged: Events of the episode since it was last started; may be empty.
        forward: Takes every event that the log does not have yet.
    """

    def __init__(self, logged: Sequence[Event], forward: Callable[[Event], None]) -> None:
        self._logged = [event for event in logged if not is_incident(event)]
        self._forward = forward
        self._position = 0

    @property
    def next_step(self) -> StepTaken | None:
        """The logged step that comes next, or ``None`` where the log ends."""
        if self._position >= len(self._logged):
            return None
        event = self._logged[self._position]
        return event if isinstance(event, StepTaken) else None

    def record(self, event: Event) -> None:
        """Take an event of the episode.

        Raises:
            DivergedError: The log has another one in its place.
        """
        if self._position < len(self._logged) and not is_incident(event):
            if canonical_bytes(event) != canonical_bytes(self._logged[self._position]):
                raise DivergedError
            self._position += 1
            return
        self._forward(event)


class ContinuedPlayer:
    """A Player whose proposals come from the log as far as it goes, and then from the player itself.

    For players that decide each step anew, from what they are shown (a language model): the log stands
    for them without their knowing.
    """

    def __init__(self, player: Player, continuation: Continuation) -> None:
        self.name = player.name
        self._player = player
        self._continuation = continuation
        self._charged: StepTaken | None = None

    def start_episode(self, *, seed: int) -> None:
        """Begin an episode."""
        self._player.start_episode(seed=seed)

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return what each role proposed on the logged step, or ask the player."""
        step = self._continuation.next_step
        if step is None:
            return self._player.propose(situation, roles, seed=seed)
        known = {record.role: record for record in step.proposals}
        proposals = [_proposal(role, known.get(role.name), step) for role in roles]
        if step is not self._charged and proposals:
            # The log has one sum a step; which proposal carries it makes no difference to any total.
            self._charged = step
            proposals[0] = replace(proposals[0], usage=usage_of(step.usage, step.measured))
        return proposals


def _proposal(role: Role, record: ProposalRecord | None, step: StepTaken) -> Proposal:
    if record is None:  # an arbiter, asked besides: what it chose was played, unless the votes had to decide
        return Proposal(role, step.decision if step.tie_break is None else None)
    return Proposal(role, record.action, record.probability, record.rationale, Usage(), record.reply)
