"""Plays the expert's recommendation without a language model: what the expert alone is worth."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.core.seeds import generator
from lookalike.core.types import Proposal, Role, Situation


class FollowPlayer:
    """A Player that proposes the recommendation, and where there is none draws from the admissible actions.

    The row it makes shows how much of a result is the expert's, before any language model.
    """

    name = "follow"

    def start_episode(self, *, seed: int) -> None:
        """Nothing is kept between episodes."""

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return the recommended action for every role; without one, an even draw a role."""
        if situation.guidance:
            return [Proposal(role, situation.guidance[0].action, 1.0) for role in roles]
        actions = sorted(set(situation.admissible_actions or ()))
        if not actions:
            return [Proposal(role, None) for role in roles]
        return [
            Proposal(role, actions[int(generator(seed, role.name).integers(len(actions)))], 1 / len(actions))
            for role in roles
        ]
