"""Options that several commands share, and how their values are understood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lookalike.core.errors import UsageError
    from lookalike.experiments.budget import Budgets

#: More seeds than anybody plays; a slip of the keyboard should not fill the memory.
MAX_SEEDS = 100_000

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
LicenceOption = Annotated[
    str,
    typer.Option(help="Licence of the recording, as an SPDX expression; kept with everything made of it."),
]
OutOption = Annotated[Path, typer.Option("--out", help="Where to write.")]


class BudgetOptions:
    """What a run and its episodes may spend: options of ``experiment run`` and ``runs resume``."""

    MaxCalls = Annotated[
        int | None, typer.Option("--max-calls", min=1, help="Stop the run at so many model calls.")
    ]
    MaxTokens = Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Stop the run at so many tokens.")
    ]
    MaxSeconds = Annotated[
        float | None,
        typer.Option("--max-seconds", min=0, help="Stop the run at so many seconds, all workers together."),
    ]
    MaxCost = Annotated[
        float | None,
        typer.Option("--max-cost", min=0, help="Stop the run at this cost; needs the model's price."),
    ]
    MaxCallsPerEpisode = Annotated[
        int | None, typer.Option("--max-calls-per-episode", min=1, help="Pause an episode at so many calls.")
    ]
    MaxTokensPerEpisode = Annotated[
        int | None,
        typer.Option("--max-tokens-per-episode", min=1, help="Pause an episode at so many tokens."),
    ]
    MaxSecondsPerEpisode = Annotated[
        float | None,
        typer.Option("--max-seconds-per-episode", min=0, help="Pause an episode at so many seconds."),
    ]
    MaxCostPerEpisode = Annotated[
        float | None, typer.Option("--max-cost-per-episode", min=0, help="Pause an episode at this cost.")
    ]


Limits = tuple[int | None, int | None, float | None, float | None]


def budgets(run: Limits, episode: Limits) -> Budgets:
    """Return the limits that were asked for.

    Args:
        run: Calls, tokens, seconds and cost of the whole run; ``None`` for no limit.
        episode: The same of each episode.

    Raises:
        UsageError: A limit of 0.
    """
    from lookalike.experiments.budget import Budget, Budgets

    return Budgets(Budget(*run), Budget(*episode))


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
