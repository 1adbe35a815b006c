"""Score against interactions: what each condition has reached after so many environment steps.

Read from the event log. An episode's value after n interactions is the best score that it showed by then, so
a search that went back keeps what it had reached; an episode that ended keeps its value. Attempts in turn
are strung together. Beside the curves stand published figures with the conditions they were obtained under.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import yaml

from lookalike.core.errors import UsageError
from lookalike.core.seeds import generator
from lookalike.experiments.result_files import read_results
from lookalike.store import Event, StepTaken, open_log

_POINTS_PER_DECADE = 20
_RESAMPLES = 1000
_CAPTION_WIDTH = 145


@dataclass(frozen=True)
class Published:
    """A figure from the literature.

    Attributes:
        environment: Environment id.
        name: Method.
        score: In the game's points.
        interactions: Environment steps it was reached with; ``None`` where that is not said.
        conditions: How it was obtained.
    """

    environment: str
    name: str
    score: float
    interactions: int | None
    conditions: str


@dataclass(frozen=True)
class Curve:
    """One condition's mean score over interactions.

    Attributes:
        condition: Its name.
        n: Goals and seeds.
        interactions: Points of the curve.
        mean: Mean best score there.
        low: Lower end of its 95% interval (bootstrap over seeds).
        high: Upper end.
    """

    condition: str
    n: int
    interactions: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@lru_cache(maxsize=1)
def published_scores() -> tuple[Published, ...]:
    """Return the published figures that the package knows."""
    text = (resources.files("lookalike.experiments") / "data" / "published.yaml").read_text(encoding="utf-8")
    return tuple(Published(**entry) for entry in yaml.safe_load(text))


def score_curves(events: Iterable[Event]) -> list[Curve]:
    """Return a curve for each condition, over all goals and seeds.

    Args:
        events: All events of a run, in the order they were played.
    """
    plays: dict[str, dict[tuple[str, int], list[tuple[int, float]]]] = {}
    counts: dict[tuple[str, str, int], int] = {}
    for event in events:
        if not isinstance(event, StepTaken):
            continue
        key = event.episode
        number = counts[key.condition, key.goal, key.seed] = (
            counts.get((key.condition, key.goal, key.seed), 0) + 1
        )
        best = plays.setdefault(key.condition, {}).setdefault((key.goal, key.seed), [])
        if event.score is not None and (not best or event.score > best[-1][1]):
            best.append((number, event.score))
    longest = max(counts.values(), default=0)
    return [
        _curve(condition, [found[k] for k in sorted(found)], longest) for condition, found in plays.items()
    ]


def _curve(condition: str, plays: Sequence[Sequence[tuple[int, float]]], longest: int) -> Curve:
    import numpy as np

    grid = _grid(longest)
    values = np.array([[_value_at(play, number) for number in grid] for play in plays])
    random = generator(0, "score curves", condition)
    drawn = random.integers(len(plays), size=(_RESAMPLES, len(plays)))
    means = values[drawn].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return Curve(
        condition,
        len(plays),
        grid,
        tuple(float(v) for v in values.mean(axis=0)),
        tuple(float(v) for v in low),
        tuple(float(v) for v in high),
    )


def _grid(longest: int) -> tuple[int, ...]:
    """Return numbers of interactions, evenly spaced on a logarithmic axis."""
    if longest < 1:
        return ()
    steps = math.ceil(_POINTS_PER_DECADE * math.log10(longest)) if longest > 1 else 0
    points = {round(longest ** (i / steps)) for i in range(steps + 1)} if steps else {1}
    return tuple(sorted(points | {longest}))


def _value_at(play: Sequence[tuple[int, float]], number: int) -> float:
    index = bisect_right(play, number, key=lambda point: point[0])
    return play[index - 1][1] if index else 0.0


def write_curves(folder: Path, run_id: str | None = None) -> list[Curve]:
    """Write ``score-curve.csv`` and ``score-curve.svg`` into a run's folder, from its event log.

    Raises:
        UsageError: There is no event log, or it has no step.
    """
    result = read_results(folder / "results.json")
    store = folder / "events.sqlite"
    if not store.exists():
        raise UsageError(
            "No event log to draw from.", got=folder, remedy="Give the folder of an experiment's run."
        )
    with open_log(str(store)) as log:
        curves = score_curves(log.events(run_id or result.name))
    if not curves:
        raise UsageError("The run has no steps yet.", got=folder, remedy="Run the experiment first.")
    order = {row.condition: number for number, row in enumerate(result.rows)}
    curves.sort(key=lambda curve: order.get(curve.condition, len(order)))
    with (folder / "score-curve.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["condition", "n", "interactions", "score_mean", "low", "high"])
        for curve in curves:
            points = zip(curve.interactions, curve.mean, curve.low, curve.high, strict=True)
            table.writerows(
                [curve.condition, curve.n, i, f"{m:.2f}", f"{lo:.2f}", f"{hi:.2f}"] for i, m, lo, hi in points
            )
    known = [p for p in published_scores() if p.environment == result.environment]
    draw_curves(curves, known, title=result.name, out=folder / "score-curve.svg")
    return curves


def draw_curves(curves: Sequence[Curve], known: Sequence[Published], *, title: str, out: Path) -> None:
    """Draw the curves with the published figures as labelled points, and the conditions underneath."""
    import textwrap

    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b1f24", "#8b929b")
    lines = textwrap.wrap(_caption(known), _CAPTION_WIDTH)
    figure = Figure(figsize=(7.6, 4.6 + 0.17 * len(lines)))
    FigureCanvasSVG(figure)
    share = 0.15 * len(lines) + 0.6
    axes = figure.add_axes(
        (0.09, share / figure.get_figheight(), 0.88, 1 - (share + 0.4) / figure.get_figheight())
    )
    for curve, colour in zip(curves, colours * 4, strict=False):
        axes.plot(curve.interactions, curve.mean, color=colour, label=f"{curve.condition} (n={curve.n})")
        axes.fill_between(curve.interactions, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    longest = max((curve.interactions[-1] for curve in curves), default=1)
    reach = max([longest, *(p.interactions for p in known if p.interactions)]) * 1.4
    for point in known:
        if point.interactions is None:
            axes.axhline(point.score, color="#8b929b", linestyle=":", linewidth=0.9)
            axes.annotate(
                f"{point.name} {point.score:g}", (1.1, point.score), fontsize=7, color="#5a6068", va="bottom"
            )
        else:
            axes.plot([point.interactions], [point.score], "k*", markersize=7)
            axes.annotate(
                f"{point.name} {point.score:g}",
                (point.interactions, point.score),
                xytext=(7, -11) if point.interactions < reach / 10 else (-7, 6),
                textcoords="offset points",
                fontsize=7,
                ha="left" if point.interactions < reach / 10 else "right",
            )
    axes.set_xscale("log")
    axes.set_xlim(1, reach)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("environment steps (interactions)")
    axes.set_ylabel("score, best so far")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=7, loc="upper left")
    axes.grid(alpha=0.25)
    figure.text(0.02, 0.02, "\n".join(lines), fontsize=6.5, va="bottom", linespacing=1.35)
    figure.savefig(out, metadata={"Date": None})


def _caption(known: Sequence[Published]) -> str:
    text = (
        "Mean best score over all seeds after so many interactions; bands are 95% intervals by bootstrap "
        "over seeds. All curves had one recording of a person finishing the game under another seed, which "
        "no published figure had."
    )
    if known:
        said = "; ".join(f"{p.name} {p.score:g}: {p.conditions}" for p in known)
        text += (
            f" Published, with their conditions (stars; dotted lines where the number of interactions is not "
            f"said): {said}."
        )
    return text
