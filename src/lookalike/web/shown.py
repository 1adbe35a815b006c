"""How text from games, models and files is made fit to be shown: bounded, and without control characters.

Escaping is the templates' (and the browser's ``textContent``); this takes away what escaping leaves: terminal
escapes, marks that turn the reading direction, lines without end.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from lookalike.core.types import Usage

LONGEST_TEXT = 20_000
"""Characters of an observation that are shown."""
LONGEST_LINE = 400
"""Characters of a name, an action, a reason."""
_KEPT = frozenset("\n")
_CONTROLS = {"Cc", "Cf", "Cs", "Co", "Cn"}


def text(value: object, longest: int = LONGEST_TEXT) -> str:
    """Return text with its line ends; what is left out at the end is counted."""
    whole = str(value)
    kept = whole[:longest].replace("\r\n", "\n").replace("\t", "    ")
    clean = kept if kept.isascii() and kept.isprintable() else "".join(map(_plain, kept))
    left = len(whole) - longest
    return clean if left <= 0 else f"{clean} … ({left:,} more characters)"


def line(value: object, longest: int = LONGEST_LINE) -> str:
    """Return text as one line."""
    kept = str(value)[: 4 * longest]
    if kept.isascii() and kept.isprintable():  # most are
        return kept if len(kept) <= longest else kept[: longest - 1] + "…"
    for blank in "\n\r\t\v\f\x85\u2028\u2029":
        kept = kept.replace(blank, " ")
    clean = "".join(map(_plain, kept))
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def path(value: object, longest: int = 120) -> str:
    """Return a path as markup that may be broken after its slashes; everything in it is escaped."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in line(value, longest).split("/"))


def _plain(character: str) -> str:
    if character in _KEPT or character.isascii():
        return character if character.isprintable() or character in _KEPT else "\ufffd"
    return "\ufffd" if unicodedata.category(character) in _CONTROLS else character


def when(seconds: float | None) -> str:
    """Return a time of day and date on this machine's clock."""
    if seconds is None:
        return "unknown"
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(seconds: float | None) -> str:
    """Return the same for machines."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def clock(seconds: float | None) -> str:
    """Return seconds of a recording as ``m:ss``."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def count(value: float | None) -> str:
    """Return a number with thousands set apart; a dash where it is not known."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.1f}"


def signed(value: float | None) -> str:
    """Return a reward with its sign."""
    if value is None:
        return "–"
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")


def cost(usage: Usage, *, embedded: bool) -> str:
    """Return what was paid, and say where that is not known."""
    if not usage.calls:
        return "none: no model asked"
    if embedded:
        return "none: local model"
    if usage.unpriced_calls:
        least = f", at least {usage.cost:.4f}" if usage.cost else ""
        return f"not known ({usage.unpriced_calls:,} calls without a price{least})"
    return f"{usage.cost:.4f}"
