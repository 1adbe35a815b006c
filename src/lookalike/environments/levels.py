"""Which levels may be recorded, tuned on and judged by: kept apart here, in code, and not by habit.

In an environment whose seeds name levels, a figure means something only on levels that nobody recorded. Three
parts that do not meet:

=============  ===============  =========================================================
part           seeds            for
=============  ===============  =========================================================
``recording``  0 to 199         recordings, and whatever is learned from
``tuning``     200 to 9,999     choosing settings, validation while something is built
``evaluation`` 10,000 and up    experiments whose figures are reported
=============  ===============  =========================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from lookalike.core.errors import UsageError

LevelPart = Literal["recording", "tuning", "evaluation"]

FIRST_TUNING_LEVEL = 200
FIRST_EVALUATION_LEVEL = 10_000
LEVEL_FAMILIES = ("procgen:", "minigrid:", "vizdoom:")
"""Ids that begin so name environments whose seeds are levels (in Doom: what chance does in one level)."""
_RANGES = {
    "recording": f"0 to {FIRST_TUNING_LEVEL - 1}",
    "tuning": f"{FIRST_TUNING_LEVEL} to {FIRST_EVALUATION_LEVEL - 1}",
    "evaluation": f"{FIRST_EVALUATION_LEVEL} and up",
}


def has_levels(environment_id: str) -> bool:
    """Return whether the seeds of an environment are levels, by its id."""
    return environment_id.startswith(LEVEL_FAMILIES)


def level_part(seed: int) -> LevelPart:
    """Return which part a level belongs to.

    Raises:
        UsageError: The seed is negative.
    """
    if seed < 0:
        raise UsageError("A level is numbered from 0.", got=seed, expected="0 or more")
    if seed < FIRST_TUNING_LEVEL:
        return "recording"
    return "tuning" if seed < FIRST_EVALUATION_LEVEL else "evaluation"


def require_part(seeds: Iterable[int], part: LevelPart) -> None:
    """Refuse levels that belong to another part.

    Args:
        seeds: Levels that are to be used.
        part: What they are to be used for.

    Raises:
        UsageError: One of them belongs elsewhere; the first such is named.
    """
    for seed in seeds:
        found = level_part(seed)
        if found != part:
            raise UsageError(
                f"This level is kept for another use than {part}.",
                got=f"level {seed}, of the part {found!r}",
                expected=f"levels {_RANGES[part]}",
                remedy=f"Choose levels from {_RANGES[part]}: a figure on levels that were learned from "
                "says nothing about new ones.",
            )


def evaluation_level(environment_id: str, seed: int, *, recorded: Iterable[int] = ()) -> int:
    """Return the level that an experiment's seed stands for: the seed itself, if it may be played.

    Args:
        environment_id: An environment with levels.
        seed: The experiment's seed.
        recorded: Levels that the recordings used here began with; refused wherever they lie.

    Raises:
        UsageError: The level is not of the evaluation part, or was recorded.
    """
    require_part((seed,), "evaluation")
    if seed in frozenset(recorded):
        raise UsageError(
            "This level was recorded; it cannot be played in an experiment.",
            got=f"{environment_id}, level {seed}",
            expected="a level that no recording began with",
            remedy="Choose other seeds.",
        )
    return seed
