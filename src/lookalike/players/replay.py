"""Blind playback of a demonstration's actions: the baseline every learned player must beat."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.core.errors import UsageError
from lookalike.core.types import Demonstration, Proposal, Role, Situation


class ReplayPlayer:
    """A Player that types what was typed in a recording, whatever happens.

    The action is chosen by the situation's step, so that several episodes can be played by one player.
    Past the recording's end, and where the recording does not say what was done, it proposes nothing.

    Args:
        actions: What to play, one a step; ``None`` where unknown.

    Raises:
        UsageError: No action is known.
    """

    name = "replay"

    def __init__(self, actions: Sequence[str | None]) -> None:
        if not any(actions):
            raise UsageError(
                "There is nothing to play back.",
                got=f"{len(actions)} steps, none with a known action",
                expected="a demonstration whose actions are known",
                remedy="read the recording with a reader that finds its commands",
            )
        self.actions = tuple(actions)

    @classmethod
    def of(cls, demonstration: Demonstration) -> ReplayPlayer:
        """Return a player for a demonstration's actions.

        Raises:
            UsageError: None of its actions is known.
        """
        return cls(demonstration.trajectory.actions)

    def start_episode(self, *, seed: int) -> None:
        """Nothing to forget: the situation's step says where we are."""

    def propose(
        self,
        situation: Situation,
        roles: Sequence[Role],
        *,
        seed: int,  # noqa: ARG002
    ) -> list[Proposal]:
        """Return the recorded action of this step for every role."""
        action = self.actions[situation.step] if situation.step < len(self.actions) else None
        return [Proposal(role, action, 1.0 if action else None) for role in roles]
