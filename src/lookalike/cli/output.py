"""What every command prints with: tables and JSON on stdout, messages and progress on stderr.

Text that comes from games, recordings or models is untrusted: control characters (a terminal's escape
sequences among them) are removed before it is shown.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds between two plain progress lines where stderr is not a terminal.
PLAIN_PROGRESS_INTERVAL_S = 10.0
#: Columns of a table where stdout is not a terminal.
PIPE_COLUMNS = 120


def plain(text: object) -> str:
    """Return ``text`` without control characters other than newline and tab; odd blanks become blanks."""
    return "".join(
        c if c in "\n\t" or c.isprintable() else " " for c in str(text) if c.isprintable() or c.isspace()
    )


def say(message: str) -> None:
    """Print a message for a person on stderr."""
    print(message, file=sys.stderr, flush=True)


def console() -> Console:
    """Return a rich console on the stdout of this moment."""
    from rich.console import Console

    # A pipe has no width of its own; rich's 80 columns would cut what a script wants to read.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS
    return Console(file=sys.stdout, highlight=False, width=width)


def emit(text: str) -> None:
    """Print untrusted or plain text on stdout, without markup."""
    print(plain(text), file=sys.stdout, flush=True)


def emit_json(value: object) -> None:
    """Print ``value`` as indented JSON on stdout; dataclasses, paths and sets are understood."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_jsonable), file=sys.stdout, flush=True)


def emit_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout; cells are shown as plain text, ``None`` as an empty cell.

    The first column holds the name that is typed elsewhere, so it is never cut.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(Text(column), no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else plain(cell)) for cell in row))
    console().print(table)


def _jsonable(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    item = getattr(value, "item", None)
    if callable(item):
        return item()
    raise TypeError(f"no JSON for a {type(value).__name__}")


class Advance(Protocol):
    """Called as work goes on: how much is done, of how much, and what is going on."""

    def __call__(self, done: float, total: float | None = None, note: str = "") -> None:
        """Report progress; ``total`` is ``None`` where it is not known."""
        ...


@contextmanager
def progress(description: str) -> Iterator[Advance]:
    """Show progress on stderr: a bar on a terminal, a plain line now and then elsewhere.

    Args:
        description: What is being done, e.g. ``"Reading demo.mp4"``.

    Yields:
        A function to call with what is done so far. Without a total, or with a total of 1, what is done is
        a fraction and shown in per cent; otherwise it is counted.
    """
    if sys.stderr.isatty():
        with _bar(description) as advance:
            yield advance
    else:
        yield _plain_lines(description)


def _amount(done: float, total: float | None) -> str:
    return f"{done:.0%}" if total in (None, 1) else f"{done:g} of {total:g}"


@contextmanager
def _bar(description: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(escape(description), total=None, amount="")

        def advance(done: float, total: float | None = None, note: str = "") -> None:
            words = escape(f"{description}: {plain(note)}" if note else description)
            whole = 1.0 if total is None else total
            bar.update(task, completed=done, total=whole, description=words, amount=_amount(done, total))

        yield advance


def _plain_lines(description: str) -> Advance:
    started = last = time.monotonic()

    def advance(done: float, total: float | None = None, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PLAIN_PROGRESS_INTERVAL_S:
            return
        last = now
        words = f" ({plain(note)})" if note else ""
        say(f"{description}: {_amount(done, total)}{words}, {now - started:.0f} s")

    return advance
