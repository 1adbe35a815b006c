"""The four plots: success, success against complexity, reward over steps, agreement against success.

Drawn with matplotlib's objects (no global state, no window), in the Okabe-Ito colours, which people with any
colour vision can tell apart (M. Okabe and K. Ito, Color Universal Design, 2008), and with markers that
differ as well. The text stays text. On the page, the ink follows the reader's light or dark scheme; the
``.svg`` files beside it have a white ground.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.experiments.report import view
from lookalike.experiments.report.paper import published
from lookalike.experiments.results import EpisodeResult, ExperimentResult, Row
from lookalike.experiments.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT, _GROUND = "#1b1f24", "#8b929b", "#fefefd"
_PAGE_COLOURS = {
    _INK: f"var(--ink, {_INK})",
    _FAINT: f"var(--faint, {_FAINT})",
    _GROUND: f"var(--ground, {_GROUND})",
}
_NAMED = {"solo": "#e69f00", "solo+expert": "#0072b2", "swarm": "#009e73", "swarm+expert": "#d55e00"}
_OTHERS = ("#cc79a7", "#56b4e9")
_MARKERS = {"solo": "s", "solo+expert": "^", "swarm": "D", "swarm+expert": "o"}
_OTHER_MARKERS = ("v", "P", "X", "<", ">", "p", "h", "*")
_WIDTH_IN = 5.6
_MOST_PANELS = 6
_MOST_LINES = 4
_MOST_POINTS = 150


@dataclass(frozen=True)
class Plot:
    """A drawing with what must stand under it.

    Attributes:
        name: File name without ``.svg``.
        title: Heading on the page.
        caption: What is drawn, over how many plays, and what the intervals are.
        standalone: A whole SVG file.
        inline: The same for inside a page: no declarations, no addresses, ink from the page.
    """

    name: str
    title: str
    caption: str
    standalone: str
    inline: str


def draw_plots(result: ExperimentResult) -> list[Plot]:
    """Draw what the result has data for; a plot without data is left out."""
    if not any(row.n for row in result.rows):
        return []
    with _style():
        drawn = [_success(result), _complexity(result), _reward(result), _agreement(result)]
    return [plot for plot in drawn if plot is not None]


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib as mpl

    settings: Any = {
        "svg.fonttype": "none",
        "text.parse_math": False,  # names are not formulas, whatever signs they hold
        "font.family": ["sans-serif"],
        "font.size": 11,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _FAINT,
        "axes.facecolor": "none",
        "figure.facecolor": _GROUND,
        "xtick.color": _FAINT,
        "ytick.color": _FAINT,
        "xtick.labelcolor": _INK,
        "ytick.labelcolor": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "legend.frameon": False,
        "axes.unicode_minus": True,
    }
    with mpl.rc_context(settings):
        yield


def _figure(height_in: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    return figure, list(axes.flat)


def _plot(figure: Figure, *, name: str, title: str, caption: str) -> Plot:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):  # ids depend on the plot alone, and differ between plots
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = re.sub(r'<g id="[^"]*"', "<g", buffer.getvalue())  # matplotlib numbers groups alike in every file
    inline = svg[svg.index("<svg") :]
    inline = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", inline.replace("xlink:href", "href"))
    # The drawing's size comes from its viewBox and the page.
    inline = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", inline, count=1)
    inline = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", inline, count=1)
    for colour, page_colour in _PAGE_COLOURS.items():
        inline = inline.replace(colour, page_colour)
    return Plot(name, title, caption, svg, inline)


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    """Return a colour for each condition: its own, the next free one, or grey."""
    free = iter(_OTHERS)
    return {
        row.condition: _NAMED.get(row.condition) or (_FAINT if row.kind == "baseline" else next(free, _FAINT))
        for row in rows
    }


def _markers(rows: Sequence[Row]) -> dict[str, str]:
    """Return a marker for each condition: its own, or the next of the others."""
    others = itertools.cycle(_OTHER_MARKERS)
    return {row.condition: _MARKERS.get(row.condition) or next(others) for row in rows}


def _played(result: ExperimentResult) -> list[Row]:
    return [row for row in result.rows if row.n]


def _plays_line(rows: Sequence[Row]) -> str:
    counts = sorted({row.n for row in rows})
    return f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"


def _percent_axis(axis: Any) -> None:
    axis.set_major_locator(_locator([0, 0.25, 0.5, 0.75, 1]))
    axis.set_major_formatter(lambda share, _: f"{share * 100:.0f}%")


def _locator(places: list[float]) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator(places)


def _success(result: ExperimentResult) -> Plot:
    rows, paper = _played(result), published(result.environment)
    colours, markers = _colours(rows), _markers(rows)
    figure, (axes,) = _figure(1.0 + 0.36 * len(rows))
    for place, row in enumerate(rows):
        low, high = row.interval
        colour = colours[row.condition]
        axes.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="butt", alpha=0.55)
        axes.plot(row.plan_success, place, marker=markers[row.condition], color=colour, markersize=8)
        axes.text(
            1.06,
            place,
            f"{view.percent(row.plan_success)}  ({row.successes}/{row.n})",
            va="center",
            fontsize=10,
        )
        if row.condition in paper.success:
            axes.plot(
                paper.success[row.condition],
                place,
                marker="|",
                color=_INK,
                markersize=14,
                markeredgewidth=1.6,
            )
    axes.set_yticks(range(len(rows)), [view.printable(row.condition, longest=32) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=_FAINT, alpha=0.3, linewidth=0.6)
    _percent_axis(axes.xaxis)
    axes.set_xlabel("plan success")
    # Text beyond the axes is not clipped, and the layout makes room for it.
    caption = (
        f"Plan success with Wilson's 95% intervals, {_plays_line(rows)} plays a condition (a play is one "
        f"goal at one seed). Upright strokes: {paper.column}. {paper.note}"
    )
    return _plot(figure, name="success", title="Success by condition", caption=caption)


def _complexity(result: ExperimentResult) -> Plot | None:
    goals = {episode.goal: episode.complexity for episode in result.episodes}
    if len(goals) < 2:
        return None
    order = {"paper": 0, "baseline": 1, "control": 2}
    rows = [row for row in _played(result) if row.attempts == 1]
    shown = sorted(rows, key=lambda row: order[row.kind])[:_MOST_PANELS]
    shown.sort(key=rows.index)
    by_goal = {row.condition: _by_goal(result.episodes, row.episodes_of) for row in shown}
    lines = math.ceil(len(shown) / 2)
    figure, panels = _figure(0.7 + 1.55 * lines, lines, min(2, len(shown)))
    colours, markers = _colours(result.rows), _markers(result.rows)
    for panel, row in zip(panels, shown, strict=False):
        for other in shown:
            points = sorted((goals[goal], k / n) for goal, (k, n) in by_goal[other.condition].items())
            panel.plot(*zip(*points, strict=True), color=_FAINT, alpha=0.35, linewidth=0.8, zorder=1)
        look: dict[str, Any] = {"color": colours[row.condition], "marker": markers[row.condition]}
        _goal_points(panel, row, by_goal[row.condition], goals, look)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    figure.supxlabel("goal complexity (commands of the reference play)", fontsize=11)
    counts = sorted({n for groups in by_goal.values() for _, n in groups.values()})
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    left_out = [view.printable(row.condition) for row in _played(result) if row not in shown]
    caption = (
        f"Plan success of each goal against its complexity, n = {span} plays a point, Wilson's 95% "
        "intervals. Grey: the other conditions shown."
        + (f" Not drawn: {'; '.join(left_out)}. Their figures are in the table of goals." if left_out else "")
    )
    return _plot(figure, name="complexity", title="Success against goal complexity", caption=caption)


def _goal_points(
    panel: Axes,
    row: Row,
    groups: Mapping[str, tuple[int, int]],
    goals: Mapping[str, int],
    look: Mapping[str, Any],
) -> None:
    """Draw one condition's goals with their intervals into its panel."""
    for goal, (successes, n) in groups.items():
        low, high = wilson_interval(successes, n)
        panel.plot([goals[goal]] * 2, [low, high], color=look["color"], linewidth=1.6, alpha=0.55, zorder=2)
    points = sorted((goals[goal], successes / n) for goal, (successes, n) in groups.items())
    places, shares = zip(*points, strict=True)
    panel.plot(places, shares, **look, markersize=4.5, linewidth=1.4, zorder=3)
    panel.set_title(view.printable(row.condition, longest=32), loc="left", color=_INK)
    panel.set_ylim(-0.04, 1.06)
    panel.grid(axis="y", color=_FAINT, alpha=0.25, linewidth=0.6)
    _percent_axis(panel.yaxis)


def _by_goal(episodes: Sequence[EpisodeResult], condition: str) -> dict[str, tuple[int, int]]:
    """Return (successes, plays) of first attempts by goal."""
    groups: dict[str, tuple[int, int]] = {}
    for episode in episodes:
        if episode.condition == condition and episode.attempt == 0:
            successes, n = groups.get(episode.goal, (0, 0))
            groups[episode.goal] = (successes + episode.success, n + 1)
    return groups


def _reward(result: ExperimentResult) -> Plot | None:
    import numpy as np

    rows = [row for row in _played(result) if row.kind == "paper"] or _played(result)[:_MOST_LINES]
    plays = {
        row.condition: [e for e in result.episodes if e.condition == row.episodes_of and e.attempt == 0]
        for row in rows
    }
    # Only where rewards were given at all: a condition without an expert has none to draw.
    rows = [row for row in rows if any(any(e.rewards) for e in plays[row.condition])]
    if not rows:
        return None
    lengths = [len(e.rewards) for row in rows for e in plays[row.condition]]
    steps = max(2, int(np.quantile(lengths, 0.95)))
    places = np.unique(np.linspace(0, steps, min(steps + 1, _MOST_POINTS)).astype(int))
    figure, (axes,) = _figure(3.6)
    colours = _colours(result.rows)
    for row in rows:
        mean, half = (curve[places] for curve in _cumulative(plays[row.condition], steps))
        colour = colours[row.condition]
        axes.plot(places, mean, color=colour, linewidth=1.8, label=view.printable(row.condition))
        axes.fill_between(places, mean - half, mean + half, color=colour, alpha=0.18, linewidth=0)
    axes.set_xlabel("step")
    axes.set_ylabel("cumulative reward")
    axes.set_xlim(0, steps)
    axes.grid(axis="y", color=_FAINT, alpha=0.25, linewidth=0.6)
    figure.legend(loc="outside upper left", ncols=2, fontsize=10)
    seeds = len({e.seed for row in rows for e in plays[row.condition]})
    bands = (
        f"Bands: 95% intervals of the mean over {seeds} seeds (Student's t)."
        if seeds > 1
        else "One seed: no interval can be given."
    )
    caption = (
        f"Mean sum of rewards and punishments up to each step, {_plays_line(rows)} plays a condition; a play "
        f"that has ended keeps its sum. {bands} Conditions to which no rewards were given are left out."
    )
    return _plot(figure, name="reward", title="Reward over steps", caption=caption)


def _cumulative(episodes: Sequence[EpisodeResult], steps: int) -> tuple[Any, Any]:
    """Return the mean cumulative reward and the half width of its interval over seeds (0 for one seed).

    Both are float64 ``[steps + 1]``.
    """
    import numpy as np
    from scipy.stats import t as student

    by_seed: dict[int, list[Any]] = {}
    for episode in episodes:
        rewards = np.zeros(steps + 1)
        given = np.asarray(episode.rewards[:steps], dtype=float)
        rewards[1 : len(given) + 1] = given
        by_seed.setdefault(episode.seed, []).append(np.cumsum(rewards))
    seeds = np.array([np.mean(curves, axis=0) for _, curves in sorted(by_seed.items())])
    if len(seeds) < 2:
        return seeds.mean(axis=0), np.zeros(steps + 1)
    half = student.ppf(0.975, len(seeds) - 1) * seeds.std(axis=0, ddof=1) / math.sqrt(len(seeds))
    return seeds.mean(axis=0), half


def _agreement(result: ExperimentResult) -> Plot | None:
    several = {e.condition for e in result.episodes if e.agreement is not None and e.agreement < 1}
    rows = [row for row in _played(result) if row.attempts == 1 and row.episodes_of in several]
    rows = sorted(rows, key=lambda row: row.kind != "paper")
    rows, left_out = rows[:_MOST_LINES], rows[_MOST_LINES:]
    if not rows:
        return None
    figure, (axes,) = _figure(3.6)
    colours, markers = _colours(result.rows), _markers(result.rows)
    for row in rows:
        points = list(_agreement_bins(result.episodes, row.episodes_of))
        colour, marker = colours[row.condition], markers[row.condition]
        for x, successes, n in points:
            low, high = wilson_interval(successes, n)
            axes.plot([x, x], [low, high], color=colour, linewidth=1.6, alpha=0.5)
            axes.annotate(
                str(n), (x, successes / n), xytext=(5, 5), textcoords="offset points", fontsize=8, color=_INK
            )
        axes.plot(
            [x for x, _, _ in points],
            [k / n for _, k, n in points],
            color=colour,
            marker=marker,
            linewidth=1.2,
            label=view.printable(row.condition),
        )
    axes.set_xlabel("mean agreement in a play")
    axes.set_ylabel("plan success")
    axes.set_ylim(-0.04, 1.08)
    axes.grid(axis="y", color=_FAINT, alpha=0.25, linewidth=0.6)
    _percent_axis(axes.yaxis)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share * 100:.0f}%")
    figure.legend(loc="outside upper left", ncols=2, fontsize=10)
    caption = (
        "Plan success of plays in which the members agreed more or less (share of the votes behind the "
        "decision, mean over the play's steps, in tenths). The small figures are plays a point (n); Wilson's "
        "95% intervals. Conditions with one member have nobody to agree with."
        + (f" Not drawn: {'; '.join(view.printable(row.condition) for row in left_out)}." if left_out else "")
    )
    return _plot(figure, name="agreement", title="Agreement against success", caption=caption)


def _agreement_bins(episodes: Sequence[EpisodeResult], condition: str) -> Iterator[tuple[float, int, int]]:
    """Yield (mean agreement, successes, plays) for each tenth of agreement that has plays."""
    bins: dict[int, list[EpisodeResult]] = {}
    for episode in episodes:
        if episode.condition == condition and episode.attempt == 0 and episode.agreement is not None:
            bins.setdefault(min(9, int(episode.agreement * 10)), []).append(episode)
    for _, group in sorted(bins.items()):
        mean = math.fsum(e.agreement for e in group if e.agreement is not None) / len(group)
        yield mean, sum(e.success for e in group), len(group)
