"""How figures are worded, once for the terminal and the page, so that the two never disagree."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict

from lookalike.core.types import Handicaps
from lookalike.experiments.results import ExperimentResult, PairedDifference, Row
from lookalike.experiments.statistics import Interval

LONGEST_TEXT = 300
MAIN_CONDITIONS = ("swarm+expert", "mimic-swarm+expert")
"""The whole method: a swarm under the expert's reward model, of language-model players or of imitators."""


def printable(text: str, *, longest: int = LONGEST_TEXT) -> str:
    """Return text from a game or a file as one bounded line, without control characters."""
    return printable_lines(text.translate({ord(blank): " " for blank in "\n\t\r"}), longest=longest)


def printable_lines(text: str, *, longest: int) -> str:
    """Return text from a game or a file, bounded, without control characters but for line ends.

    They could drive a terminal or turn the reading direction, and no XML may hold them.
    """
    clean = "".join("\ufffd" if _is_control(character) else character for character in text[: longest + 1])
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def _is_control(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"}


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal: ``98.5%``; ``0%`` and ``100%`` only where exact."""
    return _hundred(share) + "%"


def percent_interval(interval: Interval) -> str:
    """Return an interval of a share: ``[95.7, 99.5]``."""
    return "[" + ", ".join(_hundred(end) for end in interval) + "]"


def _hundred(share: float) -> str:
    if share in {0.0, 1.0, -1.0}:
        return f"{share * 100:.0f}"
    return f"{share * 100:.1f}"


def paper_percent(share: float) -> str:
    """Return a share as the paper prints it: ``37%``."""
    return f"{share * 100:.0f}%"


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, signed: ``+25.0``."""
    return f"{difference * 100:+.1f}"


def number(value: float | None, *, decimals: int = 1) -> str:
    """Return a number, with thousands set apart; a dash where it is not known."""
    return "–" if value is None else f"{value:,.{decimals}f}"


def p_value(p: float) -> str:
    """Return a p-value, never as zero."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def calls_per_play(row: Row) -> float | None:
    """Return the mean number of model calls of a play; ``None`` without plays."""
    return row.usage.calls / row.n if row.n else None


HANDICAP_NAMES: dict[str, str] = {
    "save_restore": "save/restore",
    "admissible_actions": "admissible actions listed",
    "step_limit": "step limit",
    "restarts": "restarts",
    "recommendation": "recommendation",
    "reward": "reward",
    "demonstrations_of_this_level": "recordings of this seed",
    "model_calls_per_step": "model calls a step",
}
"""What each handicap is called; one that is not here is called by its field."""


def handicap_values(handicaps: Handicaps) -> dict[str, str]:
    """Return each handicap in words, by what it is called."""
    values = {}
    for field, value in asdict(handicaps).items():
        if field == "step_limit" and value is None:
            text = "each goal's own"
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        else:
            text = printable(str(value))
        values[HANDICAP_NAMES.get(field, field.replace("_", " "))] = text
    return values


def handicap_lines(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return (rows, handicaps) pairs: first what all rows share, then what is each row's own."""
    values = {row.condition: handicap_values(row.handicaps) for row in rows}
    if not values:
        return []
    first = next(iter(values.values()))
    shared = {name: text for name, text in first.items() if all(v.get(name) == text for v in values.values())}
    own: dict[str, list[str]] = {}
    for condition, by_name in values.items():
        text = "; ".join(f"{name}: {value}" for name, value in by_name.items() if name not in shared)
        own.setdefault(text, []).append(printable(condition))
    lines = [("all rows", "; ".join(f"{name}: {text}" for name, text in shared.items()))] if shared else []
    return lines + [(" · ".join(conditions), text) for text, conditions in own.items() if text]


def main_row(result: ExperimentResult) -> Row | None:
    """Return the row that the result is about: the whole method where it was played, else the first."""
    played = [row for row in result.rows if row.n]
    return next((row for row in played if row.condition in MAIN_CONDITIONS), played[0] if played else None)


def headline(result: ExperimentResult) -> str:
    """Return the finding in one sentence."""
    row = main_row(result)
    if row is None:
        return "Nothing has been played to its end yet."
    return (
        f"{printable(row.condition)} reached the goal in {row.successes} of {row.n} plays: "
        f"{percent(row.plan_success)}, 95% interval {percent_interval(row.interval)}."
    )


def warnings(result: ExperimentResult) -> list[str]:
    """Return what a reader must know before the figures: an unfinished run, crashed plays."""
    found = []
    unfinished = sum(row.unfinished for row in result.rows)
    if not result.complete or unfinished:
        detail = f" {unfinished} plays of the rows shown are missing." if unfinished else ""
        found.append(f"The run has not finished; the same command goes on with it.{detail}")
    failures = sum(episode.failure is not None for episode in result.episodes)
    if failures:
        found.append(
            f"{failures} of {len(result.episodes)} episodes crashed or hung. They count as not successful "
            "and are named in the report."
        )
    return found


def resolution(difference: PairedDifference) -> str:
    """Return whether a difference is resolved, and if not, what size could have been."""
    if difference.resolved:
        return "yes"
    if difference.minimum_detectable is None:
        return f"no: n = {difference.n} is too small"
    return f"no: n = {difference.n} shows {difference.minimum_detectable * 100:.0f} or more"


def discordance(difference: PairedDifference) -> str:
    """Return the four counts behind a paired difference."""
    return f"{difference.both} / {difference.only_a} / {difference.only_b} / {difference.neither}"
