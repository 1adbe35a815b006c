"""The plots of a run's page: small SVG drawings whose colours are the page's own, by day and by night.

A page that follows a run draws again every second, and its policy forbids inline styles; matplotlib,
which draws the report's files, is neither quick enough nor free of them. Everything here is presentation
attributes and classes; all text is escaped; each drawing says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup, escape

from lookalike.experiments import statistics
from lookalike.experiments.report.view import percent, percent_interval
from lookalike.experiments.results import EpisodeResult, ExperimentResult, Row
from lookalike.web.shown import line

WIDTH = 560
COLOURS = 8
_FIRST = ("swarm+expert", "solo+expert", "swarm", "solo")
_MOST_LINES = 6
_MOST_POINTS = 120


@dataclass(frozen=True)
class Drawing:
    """A plot with its words.

    Attributes:
        name: For ids in the page.
        title: Heading.
        caption: What is drawn.
        svg: The drawing, or ``None`` where there is nothing to draw; the caption says why.
    """

    name: str
    title: str
    caption: str
    svg: Markup | None


@lru_cache(maxsize=4096)
def wilson_interval(successes: int, n: int) -> statistics.Interval:
    """Return Wilson's interval, computed once for each pair of counts: few come back often."""
    return statistics.wilson_interval(successes, n)


def colour_of(rows: Sequence[Row]) -> dict[str, int]:
    """Return the number of each condition's colour: the paper's rows first, then in the table's order."""
    names = [row.condition for row in rows]
    ordered = [name for name in _FIRST if name in names] + [name for name in names if name not in _FIRST]
    return {name: place % COLOURS for place, name in enumerate(ordered)}


def draw(result: ExperimentResult, *, embedded: bool) -> list[Drawing]:
    """Return the drawings of a run, in the order of the page."""
    rows = [row for row in result.rows if row.n]
    if not rows:
        return []
    colours = colour_of(result.rows)
    return [
        _success(rows, colours),
        _complexity(result, rows, colours),
        _against(
            rows,
            colours,
            name="calls",
            title="Success against model calls",
            amounts={r.condition: r.usage.calls / r.n for r in rows},
            axis="model calls a play",
            empty="No play has asked a language model.",
        ),
        _against(
            rows,
            colours,
            name="cost",
            title="Success against cost",
            amounts={
                r.condition: r.usage.cost / r.n for r in rows if not r.usage.unpriced_calls and not embedded
            },
            axis="cost a play, in the price file's currency",
            empty="The local model costs nothing."
            if embedded
            else "No condition's cost is known: some of its calls have no price.",
        ),
        _reward(result, rows, colours),
    ]


def _svg(height: float, parts: Iterable[str], words: str) -> Markup:
    body = "".join(parts)
    head = f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" class="plot" aria-label="{escape(words)}">'
    return Markup(f"{head}{body}</svg>")  # noqa: S704 - every text in the parts went through `_text`


def _text(x: float, y: float, words: object, *, anchor: str = "start", kind: str = "label") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} class="{kind}">{escape(line(words, 60))}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str, *, width: float = 1.0) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} class="{kind}" stroke-width="{width:g}"/>'


def _marker(x: float, y: float, colour: int, size: float = 5.0) -> str:
    """Return a mark whose shape differs with its colour, for eyes that do not tell the colours apart."""
    shape, kind, s = colour % 4, f'class="fill-{colour}"', f"{size:g}"
    if shape == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s}" {kind}/>'
    top = f"M{x:.1f} {y - size:.1f}"
    if shape == 1:
        return f'<path d="{top}l{s} {2 * size:g}h-{2 * size:g}z" {kind}/>'
    if shape == 2:
        return f'<path d="{top}l{s} {s}l-{s} {s}l-{s} -{s}z" {kind}/>'
    return f'<path d="M{x - size:.1f} {y - size:.1f}h{2 * size:g}v{2 * size:g}h-{2 * size:g}z" {kind}/>'


def _success(rows: Sequence[Row], colours: dict[str, int]) -> Drawing:
    left, right, step, top = 172.0, WIDTH - 118.0, 26.0, 10.0
    height = top + step * len(rows) + 26

    def x(share: float) -> float:
        return left + share * (right - left)

    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_line(x(share), top, x(share), height - 22, "grid"))
        parts.append(_text(x(share), height - 7, percent(share), anchor="middle", kind="tick"))
    for place, row in enumerate(rows):
        y, colour = top + step * (place + 0.5), colours[row.condition]
        low, high = row.interval
        parts.append(_text(left - 8, y + 4, line(row.condition, 24), anchor="end"))
        parts.append(_line(x(low), y, x(high), y, f"stroke-{colour}", width=3))
        parts.append(_marker(x(row.plan_success), y, colour))
        parts.append(_text(right + 10, y + 4, f"{percent(row.plan_success)} ({row.successes}/{row.n})"))
    words = "; ".join(
        f"{line(r.condition)}: {percent(r.plan_success)}, 95% interval {percent_interval(r.interval)}"
        for r in rows
    )
    return Drawing(
        "success",
        "Success by condition",
        "Share of plays that reached their goal, with Wilson's 95% interval.",
        _svg(height, parts, f"Success by condition. {words}"),
    )


def _frame(top: float, bottom: float, left: float, right: float) -> list[str]:
    """Return a percentage axis with its grid."""
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        parts += [
            _line(left, y, right, y, "grid"),
            _text(left - 6, y + 4, percent(share), anchor="end", kind="tick"),
        ]
    return parts


def _legend(names: Sequence[str], colours: dict[str, int], y: float, left: float) -> tuple[list[str], float]:
    parts, x = [], left
    for name in names:
        width = 26 + 7.2 * min(len(name), 24)
        if x + width > WIDTH and x > left:
            x, y = left, y + 18
        parts += [_marker(x + 6, y - 4, colours[name], 4.5), _text(x + 16, y, line(name, 24), kind="tick")]
        x += width
    return parts, y


def _complexity(result: ExperimentResult, rows: Sequence[Row], colours: dict[str, int]) -> Drawing:
    shown = _chosen(rows)
    counts: dict[str, dict[int, tuple[int, int]]] = {}
    for row in shown:
        by = counts.setdefault(row.condition, {})
        for e in result.episodes:
            if e.condition == row.episodes_of and e.attempt == 0:
                k, n = by.get(e.complexity, (0, 0))
                by[e.complexity] = (k + e.success, n + 1)
    places = sorted({c for by in counts.values() for c in by})
    legend, top = _legend([r.condition for r in shown], colours, 14, 44)
    top, left, right = top + 14, 44.0, WIDTH - 12.0
    bottom, height = top + 190, top + 232

    def at(place: int) -> float:
        if len(places) == 1:
            return (left + right) / 2
        return left + 12 + (right - left - 24) * places.index(place) / (len(places) - 1)

    parts = [*legend, *_frame(top, bottom, left, right)]
    each = max(1, math.ceil(len(places) / 14))
    parts += [_text(at(c), bottom + 18, c, anchor="middle", kind="tick") for c in places[::each]]
    parts.append(
        _text(
            (left + right) / 2,
            height - 6,
            "commands the person needed for the goal",
            anchor="middle",
            kind="tick",
        )
    )
    for number, row in enumerate(shown):
        colour, shift = colours[row.condition], (number - (len(shown) - 1) / 2) * 3.0
        points = []
        for c, (k, n) in sorted(counts[row.condition].items()):
            low, high = wilson_interval(k, n)
            x = at(c) + shift
            parts.append(
                _line(
                    x,
                    bottom - low * (bottom - top),
                    x,
                    bottom - high * (bottom - top),
                    f"whisker-{colour}",
                    width=1.5,
                )
            )
            points.append((x, bottom - k / n * (bottom - top)))
        parts.append(_polyline(points, colour))
        parts += [_marker(x, y, colour, 3.8) for x, y in points]
    words = "; ".join(
        f"{line(r.condition)}: "
        + ", ".join(f"{c} commands {k} of {n}" for c, (k, n) in sorted(counts[r.condition].items()))
        for r in shown
    )
    left_out = [r.condition for r in rows if r not in shown]
    return Drawing(
        "complexity",
        "Success by goal complexity",
        "Goals by how many commands the person needed. Whiskers are Wilson's 95% intervals; first attempts."
        + (f" Not drawn: {line(', '.join(left_out))}." if left_out else ""),
        _svg(height, parts, f"Success by goal complexity. {words}"),
    )


def _chosen(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that fit into one plot: first attempts, the paper's rows first."""
    own = [row for row in rows if row.attempts == 1]
    order = {name: place for place, name in enumerate(_FIRST)}
    ranked = sorted(own, key=lambda r: (order.get(r.condition, len(order)), own.index(r)))[:_MOST_LINES]
    return [row for row in own if row in ranked]


def _polyline(points: Sequence[tuple[float, float]], colour: int) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" class="line stroke-{colour}" stroke-width="1.8"/>'
        if len(points) > 1
        else ""
    )


def _against(
    rows: Sequence[Row],
    colours: dict[str, int],
    *,
    name: str,
    title: str,
    amounts: dict[str, float],
    axis: str,
    empty: str,
) -> Drawing:
    shown = [row for row in rows if row.condition in amounts]
    most = max((amounts[r.condition] for r in shown), default=0.0)
    if most <= 0:
        return Drawing(name, title, empty, None)
    legend, top = _legend([r.condition for r in shown], colours, 14, 44)
    top, left, right = top + 14, 44.0, WIDTH - 16.0
    bottom, height = top + 170, top + 212
    whole, step = _ticks(most)
    parts = [*legend, *_frame(top, bottom, left, right)]

    def x(amount: float) -> float:
        return left + 10 + amount / whole * (right - left - 20)

    parts += [
        _text(x(tick * step), bottom + 18, f"{tick * step:,g}", anchor="middle", kind="tick")
        for tick in range(round(whole / step) + 1)
    ]
    parts.append(_text((left + right) / 2, height - 6, axis, anchor="middle", kind="tick"))
    for row in shown:
        low, high = row.interval
        place, colour = x(amounts[row.condition]), colours[row.condition]
        parts.append(
            _line(
                place,
                bottom - low * (bottom - top),
                place,
                bottom - high * (bottom - top),
                f"whisker-{colour}",
                width=2,
            )
        )
        parts.append(_marker(place, bottom - row.plan_success * (bottom - top), colour))
    words = "; ".join(
        f"{line(r.condition)}: {amounts[r.condition]:.4g} {axis}, success {percent(r.plan_success)}"
        for r in shown
    )
    return Drawing(
        name,
        title,
        f"Mean {axis} and plan success with its 95% interval.",
        _svg(height, parts, f"{title}. {words}"),
    )


def _ticks(most: float) -> tuple[float, float]:
    """Return the axis' end and its step: four or five round ones."""
    rough = most / 4
    scale = 10 ** math.floor(math.log10(rough))
    step = next(f * scale for f in (1, 2, 2.5, 5, 10) if f * scale >= rough)
    return step * math.ceil(most / step), step


def _reward(result: ExperimentResult, rows: Sequence[Row], colours: dict[str, int]) -> Drawing:
    shown = [row for row in _chosen(rows) if any(_sums(result.episodes, row.episodes_of))]
    curves = {row.condition: _mean_curve(list(_sums(result.episodes, row.episodes_of))) for row in shown}
    curves = {name: curve for name, curve in curves.items() if any(curve)}
    shown = [row for row in shown if row.condition in curves]
    if not shown:
        return Drawing("reward", "Reward over steps", "No reward was given.", None)
    longest = max(map(len, curves.values()))
    high, low = max(map(max, curves.values())), min(0.0, *map(min, curves.values()))
    legend, top = _legend([r.condition for r in shown], colours, 14, 44)
    top, left, right = top + 14, 44.0, WIDTH - 16.0
    bottom, height = top + 170, top + 212
    span = (high - low) or 1.0
    parts = [*legend]
    for value in dict.fromkeys((low, 0.0, high)):
        y = bottom - (value - low) / span * (bottom - top)
        parts += [
            _line(left, y, right, y, "grid"),
            _text(left - 6, y + 4, f"{value:.1f}", anchor="end", kind="tick"),
        ]
    whole, step = _ticks(max(longest - 1, 1))
    for tick in range(round(whole / step) + 1):
        place = left + tick * step / whole * (right - left)
        parts.append(_text(place, bottom + 18, f"{tick * step:,g}", anchor="middle", kind="tick"))
    parts.append(_text((left + right) / 2, height - 6, "steps", anchor="middle", kind="tick"))
    for row in shown:
        curve = curves[row.condition]
        each = max(1, len(curve) // _MOST_POINTS)
        points = [
            (left + i / whole * (right - left), bottom - (v - low) / span * (bottom - top))
            for i, v in enumerate(curve)
            if i % each == 0 or i == len(curve) - 1
        ]
        parts.append(_polyline(points, colours[row.condition]))
    words = "; ".join(
        f"{line(name)}: {curve[-1]:.2f} after {len(curve) - 1} steps" for name, curve in curves.items()
    )
    return Drawing(
        "reward",
        "Reward over steps",
        "Sum of the verdicts so far, mean over plays; a play that has ended keeps its sum.",
        _svg(height, parts, f"Mean summed reward over steps. {words}"),
    )


def _sums(episodes: Sequence[EpisodeResult], condition: str) -> Iterable[tuple[float, ...]]:
    return (e.rewards for e in episodes if e.condition == condition and e.attempt == 0 and e.rewards)


def _mean_curve(rewards: list[tuple[float, ...]]) -> list[float]:
    import numpy as np

    longest = min(max(map(len, rewards)), 20_000)
    total = np.zeros(longest + 1)
    for one in rewards:
        sums = np.cumsum(one[:longest])
        total[1 : len(sums) + 1] += sums
        total[len(sums) + 1 :] += sums[-1]
    return [float(v) for v in total / len(rewards)]
