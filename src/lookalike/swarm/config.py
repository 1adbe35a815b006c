"""Which parts of the method are switched on: roles, council, memory, reward, recommendation, worlds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lookalike.core.errors import UsageError
from lookalike.core.types import Role
from lookalike.swarm.council import RULES

RewardSource = Literal["none", "environment score", "reward model"]
MemoryKind = Literal["none", "private", "shared"]
DEFAULT_TEMPERATURES = (0.2, 0.6, 1.0, 1.4)


@dataclass(frozen=True)
class SwarmConfig:
    """How a swarm plays.

    Attributes:
        roles: The members.
        mode: ``council``: one world, one decision a step. ``worlds``: each member plays its own copy.
            ``search``: as ``council``, and after a setback back to an earlier state. ``tree search``: over
            the members' proposals, with rollouts by the recommendation.
        council: Rule of the council.
        memory: ``shared``: all members recall all steps of the episode. ``private``: each recalls the steps
            whose action it proposed. ``none``.
        reward: Where reward and punishment come from.
        recommendation: Whether the reward model's preview of actions may be seen before playing, by the
            members (as a recommended action) and by the council (as the proposals' verdicts).
        admissible_actions: Whether the members and the reward model may see the environment's list of
            actions; without it replies are free text.
        sync_every: In ``worlds`` mode with save/restore: rounds after which all go on from the best branch;
            0 for never.
        recollections: Most recollections shown.
        history: Most transitions shown.
        search_interactions: In the modes of search: steps that may be played, kept or not.
    """

    roles: tuple[Role, ...]
    mode: Literal["council", "worlds", "search", "tree search"] = "council"
    council: str = "best-reward"
    memory: MemoryKind = "shared"
    reward: RewardSource = "none"
    recommendation: bool = False
    admissible_actions: bool = True
    sync_every: int = 0
    recollections: int = 2
    history: int = 2
    search_interactions: int = 5000

    def __post_init__(self) -> None:
        names = [role.name for role in self.roles]
        if not names or len(set(names)) != len(names):
            raise UsageError("A swarm needs roles with different names.", got=names, expected="at least one")
        allowed: dict[str, tuple[str, ...]] = {
            "mode": ("council", "worlds", "search", "tree search"),
            "memory": ("none", "private", "shared"),
            "reward": ("none", "environment score", "reward model"),
        }
        for field, values in allowed.items():
            if getattr(self, field) not in values:
                raise UsageError(
                    f"Unknown {field}.", got=repr(getattr(self, field)), expected=", ".join(values)
                )
        if min(self.sync_every, self.recollections, self.history, self.search_interactions) < 0:
            raise UsageError(
                "sync_every, recollections, history and search_interactions must be 0 or more.",
                got=(self.sync_every, self.recollections, self.history, self.search_interactions),
            )
        if self.council not in RULES:
            raise UsageError("Unknown council rule.", got=repr(self.council), expected=", ".join(RULES))

    @property
    def needs_reward_model(self) -> bool:
        """Whether a reward model takes part."""
        return self.recommendation or self.reward == "reward model"


def roles_at(temperatures: tuple[float, ...]) -> tuple[Role, ...]:
    """Return one role a temperature, named after it (``t0.6``, ``t0.6-2``, …)."""
    seen: dict[float, int] = {}
    roles = []
    for temperature in temperatures:
        seen[temperature] = seen.get(temperature, 0) + 1
        suffix = f"-{seen[temperature]}" if seen[temperature] > 1 else ""
        roles.append(Role(f"t{temperature:g}{suffix}", temperature))
    return tuple(roles)
