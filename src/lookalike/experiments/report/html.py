"""The page: one HTML file that needs nothing else, on a phone or a desk, by day or by night.

Everything in it that came from a game, a model or a file is escaped by the template and bounded here; the
page's own policy forbids scripts and any outside address, should something slip through.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lookalike.experiments.report import view
from lookalike.experiments.report.paper import published
from lookalike.experiments.report.plots import Plot
from lookalike.experiments.results import EpisodeResult, ExperimentResult, Row
from lookalike.experiments.statistics import wilson_interval

_MOST_FAILURES = 50
_LONGEST_SPEC = 20_000
_LIMITS = (
    "The intervals of plan success treat plays as independent. They speak of these goals at other seeds of "
    "the game, not of other goals or other games.",
    "The paper's figures were measured with another player, another expert and unknown step limits: they "
    "stand beside these for orientation and are no comparison under equal conditions.",
)


def render_page(result: ExperimentResult, plots: Sequence[Plot]) -> str:
    """Return the report as one HTML page.

    Args:
        result: What to show.
        plots: Drawings of the same result.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lookalike.experiments.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": view.percent,
        "paper_percent": view.paper_percent,
        "interval": view.percent_interval,
        "points": view.points,
        "number": view.number,
        "p_value": view.p_value,
        "printable": view.printable,
    }
    # Drawings are ours, and matplotlib escapes the names in them: the one thing that is not escaped again.
    drawings = [(plot, Markup(plot.inline)) for plot in plots]  # noqa: S704
    return environment.get_template("page.html.j2").render(
        result=result,
        paper=published(result.environment, [row.condition for row in result.rows]),
        headline=view.headline(result),
        main=view.main_row(result),
        warnings=view.warnings(result),
        calls_per_play=view.calls_per_play,
        discordance=view.discordance,
        drawings=drawings,
        handicaps=_handicaps(result.rows),
        goals=_goals(result),
        failures=[e for e in result.episodes if e.failure is not None][:_MOST_FAILURES],
        failures_not_shown=max(0, sum(e.failure is not None for e in result.episodes) - _MOST_FAILURES),
        plays=len({(e.goal, e.seed) for e in result.episodes}),
        seeds=_seeds(result.episodes),
        limits=(*(view.printable(note, longest=2000) for note in result.notes), *_LIMITS),
        spec=view.printable_lines(
            json.dumps(dict(result.created_with.spec), indent=2, ensure_ascii=False), longest=_LONGEST_SPEC
        ),
    )


def _handicaps(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the names of all handicaps and each row's values, in that order."""
    values = [(row.condition, view.handicap_values(row.handicaps)) for row in rows]
    names = list(dict.fromkeys(name for _, by_name in values for name in by_name))
    return {
        "names": names,
        "rows": [(condition, [by_name.get(name, "–") for name in names]) for condition, by_name in values],
    }


def _goals(result: ExperimentResult) -> list[dict[str, Any]]:
    """Return each goal with what each row counts for it."""
    described = {goal.name: goal for goal in result.goals}
    complexity = {e.goal: e.complexity for e in result.episodes}
    counts = _counts(result)
    table = []
    for goal in sorted(complexity, key=lambda name: (complexity[name], name)):
        cells = []
        for row in result.rows:
            successes, n = counts.get((row.condition, goal), (0, 0))
            low, high = wilson_interval(successes, n)
            cells.append({"successes": successes, "n": n, "interval": (low, high)})
        table.append(
            {
                "name": goal,
                "description": described[goal].description if goal in described else "",
                "step_limit": described[goal].step_limit if goal in described else None,
                "complexity": complexity[goal],
                "cells": cells,
            }
        )
    return table


def _counts(result: ExperimentResult) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (successes, plays) by row and goal; a row over several attempts needs all of them."""
    attempts: dict[tuple[str, str, int], dict[int, bool]] = {}
    for e in result.episodes:
        attempts.setdefault((e.condition, e.goal, e.seed), {})[e.attempt] = e.success
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for row in result.rows:
        for (condition, goal, _), by_attempt in attempts.items():
            wanted = [by_attempt.get(index) for index in range(row.attempts)]
            if condition == row.episodes_of and None not in wanted:
                successes, n = counts.get((row.condition, goal), (0, 0))
                counts[row.condition, goal] = (successes + any(wanted), n + 1)
    return counts


def _seeds(episodes: Sequence[EpisodeResult]) -> str:
    """Return the seeds in few words: ``100 to 119 (20)``."""
    seeds = sorted({episode.seed for episode in episodes})
    if not seeds:
        return "none"
    whole = seeds == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]} to {seeds[-1]} ({len(seeds)}{'' if whole else ', with gaps'})"
