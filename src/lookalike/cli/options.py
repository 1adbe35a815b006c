"""Options that several commands share, and how their values are understood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.core.errors import UsageError
    from lookalike.experiments.budget import Budget, Budgets

#: More seeds than anybody plays; a slip of the keyboard should not fill the memory.
MAX_SEEDS = 100_000

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
LicenceOption = Annotated[
    str,
    typer.Option(help="Licence of the recording, as an SPDX expression; kept with everything made of it."),
]
OutOption = Annotated[Path, typer.Option("--out", help="Where to write.")]
GoalsFileOption = Annotated[
    Path | None,
    typer.Option("--goals-file", help="Goals of your own (docs/goals.md) instead of those shipped."),
]
StepTimeLimitOption = Annotated[
    float, typer.Option(min=0.1, help="Seconds after which a game that gives no answer is restarted.")
]
MemoryLimitOption = Annotated[
    int,
    typer.Option(
        min=64,
        metavar="MIB",
        help="Address space of a game's process; one that wants more is restarted. With many workers, less.",
    ),
]


LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="WHAT=NUMBER",
        help="Stop the run at so many calls, tokens or seconds, or at this cost; may be repeated.",
    ),
]
EpisodeLimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--episode-limit", metavar="WHAT=NUMBER", help="Pause an episode at its limit; may be repeated."
    ),
]
_LIMITED: dict[str, type[int] | type[float]] = {"calls": int, "tokens": int, "seconds": float, "cost": float}


def parse_limits(run: list[str] | None, episode: list[str] | None) -> Budgets:
    """Understand ``calls=1000``, ``tokens=5e6``, ``seconds=3600`` and ``cost=2.50``.

    Args:
        run: Limits of the whole run.
        episode: Limits of each episode.

    Raises:
        UsageError: A limit of nothing known, no number, one that is not above 0, or one named twice.
    """
    from lookalike.experiments.budget import Budgets

    return Budgets(_budget(run or ()), _budget(episode or ()))


def _budget(limits: Sequence[str]) -> Budget:
    from lookalike.core.errors import UnknownNameError
    from lookalike.experiments.budget import Budget

    found: dict[str, float] = {}
    for text in limits:
        name, _, value = (piece.strip() for piece in text.partition("="))
        if name not in _LIMITED:
            raise UnknownNameError("limit", name, _LIMITED, remedy="write e.g. --limit calls=1000")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if name in found or not 0 < number < float("inf"):
            raise usage_error(
                "A limit is named twice." if name in found else "A limit is not a number above 0.",
                got=repr(text),
                expected=f"{name}=NUMBER, once",
                remedy=f"write e.g. --limit {name}=1000",
            )
        found[name] = _LIMITED[name](number)
    money = found.pop("cost", None)
    return Budget(**found, money=money)  # type: ignore[arg-type]


def usage_error(what: str, *, got: str, expected: str, remedy: str) -> UsageError:
    """Return the error for an option that cannot be meant; see :class:`LookalikeError` for its parts."""
    # Imported here because it brings numpy along, which `lookalike --help` does not need.
    from lookalike.core.errors import UsageError

    return UsageError(what, got=got, expected=expected, remedy=remedy)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Understand ``"100-119"``, ``"7"`` and ``"1,5,9"``, and mixtures of them.

    Args:
        text: What was typed.

    Returns:
        The seeds in the order given, each at least 0.

    Raises:
        UsageError: Something is not an integer >= 0, a range runs backwards, or a seed comes twice
            (the same episode played twice is not two pieces of evidence).
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.strip().partition("-"))
        low = _seed(first, text)
        high = _seed(last, text) if dash else low
        if high < low:
            raise usage_error(
                "A range of seeds runs backwards.",
                got=repr(part.strip()),
                expected="the smaller seed first, e.g. 100-119",
                remedy=f"write {high}-{low}",
            )
        if len(seeds) + high - low + 1 > MAX_SEEDS:
            raise usage_error(
                "That is too many seeds.",
                got=repr(text),
                expected=f"at most {MAX_SEEDS} seeds",
                remedy="name fewer",
            )
        seeds.extend(range(low, high + 1))
    if len(set(seeds)) != len(seeds):
        raise usage_error(
            "A seed is named twice.",
            got=repr(text),
            expected="every seed once: the same episode twice is not two pieces of evidence",
            remedy="leave the second one out",
        )
    return tuple(seeds)


def parse_seed(text: str) -> int:
    """Understand one seed.

    Raises:
        UsageError: Not an integer >= 0.
    """
    return _seed(text.strip(), text)


def _seed(piece: str, text: str) -> int:
    if not (piece.isascii() and piece.isdigit() and len(piece) <= 18):
        raise usage_error(
            "A seed is not an integer.",
            got=repr(text),
            expected="integers >= 0: 7, or 100-119, or 1,5,9",
            remedy="write e.g. --seeds 100-119",
        )
    return int(piece)


def split_names(text: str | None) -> tuple[str, ...] | None:
    """Split ``"a, b"`` into names; ``None`` and an empty text stay ``None`` (take the default)."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    return names or None
