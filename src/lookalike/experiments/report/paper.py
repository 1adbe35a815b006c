"""The paper's own figures, to stand beside ours, never without what they were measured on.

Source: arXiv 2403.10824, Table 2; for whole plans Table 1. The paper reports neither the number of plays nor
any spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lookalike.experiments.report.view import printable


@dataclass(frozen=True)
class Published:
    """One column of the paper's Table 2.

    Attributes:
        success: Share of successful plays by condition, in [0, 1].
        column: Heading for the figures.
        note: What they were measured on, and how that differs from here.
    """

    success: Mapping[str, float]
    column: str
    note: str


_SETUP = (
    "arXiv 2403.10824, Table 2: player gemma-7b, expert Gemini 1.5 Pro, number of plays, seeds, step limits "
    "and spread not reported"
)
_ZORK = {"solo": 0.35, "solo+expert": 0.37, "swarm+expert": 1.0}
_PLAN_ROWS = frozenset({"plan", "plan+expert"})
_PROCGEN = {"solo": 0.0, "solo+expert": 0.15, "swarm+expert": 0.56}


_PLANS = (
    "arXiv 2403.10824, Table 1: errors in plans of 27 actions 248+ (gemma-7b) and 17 (Gemini), of 15 actions "
    "88+ and 6; what an error is, and how many plans were read, is not reported. Ours are in plan.json"
)


def published(environment: str, conditions: Iterable[str] = ()) -> Published:
    """Return what the paper has that comes nearest to an environment.

    Args:
        environment: Environment id.
        conditions: Rows beside which it will stand: of whole plans the paper reports no success at all.
    """
    if any(name in _PLAN_ROWS for name in conditions):
        return Published({}, "paper (counts errors)", _PLANS)
    if environment.startswith("procgen"):
        return Published(
            _PROCGEN,
            "paper (Procgen, other model)",
            f"{_SETUP}. Procgen, games not named.",
        )
    if environment.startswith("zork1"):
        return Published(
            _ZORK, "paper (Zork I r88, other model)", f"{_SETUP}. Zork I release 88; here release 119."
        )
    return Published(
        _ZORK,
        "paper (Zork I r88, other model)",
        f"{_SETUP}. Zork I release 88: the paper has no {printable(environment)}.",
    )
