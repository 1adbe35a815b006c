"""What a run and an episode may spend: model calls, tokens, seconds, money.

A limit is checked after every step, so what is spent may pass it by the steps that are under way then: one
for each player process, and one more that it may have begun before it heard. At a limit nothing is lost:
the run (or the episode) goes on under a higher one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from lookalike.core.errors import UsageError
from lookalike.core.types import Usage


@dataclass(frozen=True)
class Budget:
    """Limits; ``None`` for none.

    Attributes:
        calls: Model calls, cached ones included, so that a run's length does not depend on the cache.
        tokens: Tokens of prompts and replies, counted likewise.
        seconds: Seconds spent on steps, added up over workers.
        money: What was really paid (cached calls cost nothing), in the price file's currency.

    Raises:
        UsageError: A limit is not above 0.
    """

    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise UsageError(
                    f"A budget of {field.name} must be above 0.",
                    got=limit,
                    remedy="Leave it out for no limit.",
                )

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def reached(self, spent: Spent) -> str | None:
        """Return which limit was reached, e.g. ``"calls: 104 of 100"``, or ``None``."""
        for field in fields(self):
            limit, used = getattr(self, field.name), getattr(spent, field.name)
            if limit is not None and used >= limit:
                return f"{field.name}: {_number(used)} of {_number(limit)}"
        return None


@dataclass(frozen=True)
class Spent:
    """What was spent so far; units as in `Budget`.

    Attributes:
        unpriced_calls: Calls whose price is not known, which ``money`` therefore leaves out.
    """

    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0
    money: float = 0.0
    unpriced_calls: int = 0

    def plus(self, usage: Usage, seconds: float | None) -> Spent:
        """Return the sum with one step's (or one episode's) usage and seconds."""
        return Spent(
            self.calls + usage.calls,
            self.tokens + usage.prompt_tokens + usage.completion_tokens,
            self.seconds + (seconds or 0.0),
            self.money + usage.cost,
            self.unpriced_calls + usage.unpriced_calls,
        )


NO_LIMIT = Budget()


@dataclass(frozen=True)
class Budgets:
    """The limits of a whole run and of each of its episodes."""

    run: Budget = NO_LIMIT
    episode: Budget = NO_LIMIT

    @property
    def in_money(self) -> bool:
        """Whether any limit is one of money, which needs known prices."""
        return self.run.money is not None or self.episode.money is not None


NO_LIMITS = Budgets()


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")
