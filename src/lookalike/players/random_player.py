"""A player that draws actions evenly: the floor under every figure."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.core.errors import CapabilityError
from lookalike.core.seeds import generator
from lookalike.core.types import Proposal, Role, Situation


class RandomPlayer:
    """A Player that draws uniformly; temperatures make no difference to it.

    Args:
        vocabulary: What to draw from where the situation has no admissible actions; ``None`` to insist
            on admissible actions.
    """

    name = "random"

    def __init__(self, *, vocabulary: Sequence[str] | None = None) -> None:
        self.vocabulary = tuple(sorted(set(vocabulary))) if vocabulary is not None else None

    def start_episode(self, *, seed: int) -> None:
        """Nothing is kept between episodes."""

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return one even draw a role.

        Args:
            situation: Only its admissible actions are looked at.
            roles: Each draws for itself.
            seed: Of this step; each role's draw is derived from it and the role's name.

        Raises:
            CapabilityError: There are neither admissible actions nor a vocabulary.
        """
        actions = situation.admissible_actions or self.vocabulary
        if not actions:
            raise CapabilityError(
                "The random player has nothing to draw from.",
                got=f"admissible_actions={situation.admissible_actions!r} and no vocabulary",
                expected="an environment with the capability 'admissible_actions', or a vocabulary",
                remedy="use RandomPlayer(vocabulary=[...])",
            )
        ordered = sorted(set(actions))
        return [
            Proposal(role, ordered[int(generator(seed, role.name).integers(len(ordered)))], 1 / len(ordered))
            for role in roles
        ]
