"""The few statistics that a result is published with, each with its source.

A play either reaches its goal or does not, two conditions are compared on the same goals and seeds, and the
plays that share a seed are alike. So: Wilson's interval for a share, Newcombe's paired interval and the
exact McNemar test for a difference of shares, a bootstrap over whole seeds for everything else, Holm's
correction where several differences are tested, and the smallest difference that n plays can show.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]
"""Low and high end, both inclusive."""

CONFIDENCE = 0.95
BOOTSTRAP_RESAMPLES = 10_000
FEWEST_CLUSTERS = 5
_KEPT_CLUSTERS = 64


def wilson_interval(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's score interval for a share, without continuity correction.

    It stays inside [0, 1] and does not collapse at 0 of n and n of n, where the textbook interval does.
    Source: E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22:209-212; recommended for small n by Brown, Cai and
    DasGupta (2001), Statistical Science 16:101-133. Computed by ``scipy.stats.binomtest``.

    Args:
        successes: In 0..n.
        n: Plays; with 0 nothing is known and the interval is (0, 1).
        confidence: In (0, 1).

    Raises:
        ValueError: ``successes`` is not in 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be in 0..{n}, got {successes}")
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    # The interval does not depend on what is tested; against the share itself there is nothing to sum up.
    tested = binomtest(successes, n, p=successes / n)
    interval = tested.proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def newcombe_paired_interval(
    both: int, only_a: int, only_b: int, neither: int, *, confidence: float = CONFIDENCE
) -> Interval:
    """Return an interval for the difference of two shares measured on the same plays, a minus b.

    Source: R. G. Newcombe (1998), Improved confidence intervals for the difference between binomial
    proportions based on paired data, Statistics in Medicine 17:2635-2650, method 10 (two Wilson intervals,
    squared and added, with a correction for their correlation).

    Args:
        both: Plays that succeed under a and under b.
        only_a: Plays that succeed under a only.
        only_b: Plays that succeed under b only.
        neither: Plays that succeed under neither.
        confidence: In (0, 1).

    Returns:
        The interval, inside [-1, 1]; (-1, 1) where there are no plays.
    """
    n = both + only_a + only_b + neither
    if n == 0:
        return -1.0, 1.0
    share_a, share_b = (both + only_a) / n, (both + only_b) / n
    low_a, high_a = wilson_interval(both + only_a, n, confidence=confidence)
    low_b, high_b = wilson_interval(both + only_b, n, confidence=confidence)
    phi = _correlation(both, only_a, only_b, neither)

    def spread(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2.0 * phi * x * y + y * y))

    difference = share_a - share_b
    low = difference - spread(share_a - low_a, high_b - share_b)
    high = difference + spread(high_a - share_a, share_b - low_b)
    return max(-1.0, low), min(1.0, high)


def _correlation(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Return Newcombe's phi: continuity-corrected where positive, 0 where a margin is empty."""
    n = both + only_a + only_b + neither
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if margins == 0:
        return 0.0
    product = float(both * neither - only_a * only_b)
    if product > 0:
        product = max(product - n / 2, 0.0)
    return product / math.sqrt(margins)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value that a and b succeed equally often on the same plays.

    Only plays on which the two differ say anything; under equality each of them is a fair coin. Source:
    Q. McNemar (1947), Psychometrika 12:153-157, in its exact binomial form.
    """
    n = only_a + only_b
    if n == 0:
        return 1.0
    from scipy.stats import binomtest

    return min(1.0, float(binomtest(only_a, n, 0.5).pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for being several, in their order.

    Source: S. Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6:65-70.
    """
    corrected = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return corrected


def clustered_bootstrap_mean(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = BOOTSTRAP_RESAMPLES,
) -> Interval:
    """Return a percentile interval for a mean, by drawing whole clusters with replacement.

    Plays that share a seed share its luck; drawing them together keeps the interval honest. For a paired
    difference give the differences. Sources: B. Efron and R. Tibshirani (1993), An Introduction to the
    Bootstrap, chapter 13 (percentile interval); A. C. Cameron, J. B. Gelbach and D. L. Miller (2008),
    Review of Economics and Statistics 90:414-427 (drawing clusters). A handful of clusters cannot be
    resampled honestly (with three, all drawings look alike), so fewer than :data:`FEWEST_CLUSTERS` give no
    interval; where all clusters agree the interval has no width: read it beside n.

    Args:
        values: One a play.
        clusters: Which cluster each value belongs to, usually its seed.
        seed: Of the drawing; the same data and seed have the same interval.
        confidence: In (0, 1).
        resamples: How many drawings.

    Returns:
        The interval; (-inf, inf) with fewer than :data:`FEWEST_CLUSTERS` clusters.

    Raises:
        ValueError: The lengths differ.
    """
    import numpy as np

    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values need as many clusters, got {len(clusters)}")
    order = {cluster: index for index, cluster in enumerate(dict.fromkeys(clusters))}
    if len(order) < FEWEST_CLUSTERS:
        return -math.inf, math.inf
    members = np.array([order[cluster] for cluster in clusters])
    sums: NDArray[np.float64] = np.zeros(len(order))
    np.add.at(sums, members, np.asarray(values, dtype=float))
    counts = np.bincount(members)
    means = _bootstrap_means(sums, counts, seed, resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)


def _bootstrap_means(
    sums: NDArray[np.float64], counts: NDArray[np.int64], seed: int, resamples: int
) -> NDArray[np.float64]:
    """Return means of resampled clusters, float64 ``[resamples]``, in pieces that stay small in memory."""
    import numpy as np

    means = np.empty(resamples)
    few = len(sums) <= _KEPT_CLUSTERS
    pieces = _kept_drawings(seed, len(sums), resamples) if few else _drawings(seed, len(sums), resamples)
    start = 0
    for drawn in pieces:
        stop = start + len(drawn)
        means[start:stop] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
        start = stop
    return means


def _drawings(seed: int, clusters: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """Yield which clusters are drawn, int64 ``[at most 1000, clusters]`` each."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for start in range(0, resamples, 1000):
        yield generator.integers(clusters, size=(min(1000, resamples - start), clusters))


@lru_cache(maxsize=4)
def _kept_drawings(seed: int, clusters: int, resamples: int) -> tuple[NDArray[np.int64], ...]:
    """Return the same: all rows and differences of a table over the same seeds are drawn alike."""
    return tuple(_drawings(seed, clusters, resamples))


def minimum_detectable_difference(
    n: int, *, discordant: float = 0.5, power: float = 0.8, confidence: float = CONFIDENCE
) -> float | None:
    """Return the smallest difference of two shares that n paired plays are likely to show.

    Solves the sample size formula of McNemar's test for the difference: R. J. Connor (1987), Sample size
    for testing differences in proportions for the paired-sample design, Biometrics 43:207-211,
    ``n = (z_a sqrt(d) + z_b sqrt(d - x^2))^2 / x^2`` with ``d`` the share of plays on which the two
    conditions differ. A difference of x needs ``d >= x``, so ``d`` is raised to x where it is less.

    Args:
        n: Plays that both conditions have.
        discordant: Share of plays on which the two differ, in [0, 1]. One half is what two unrelated fair
            coins do, the cautious assumption before anything was measured.
        power: Probability that a difference of that size shows.
        confidence: Of the two-sided test.

    Returns:
        A difference in (0, 1], or ``None`` where n is too small for any.
    """
    z_confidence = NormalDist().inv_cdf(1 - (1 - confidence) / 2)
    z_power = NormalDist().inv_cdf(power)

    def shortfall(x: float) -> float:
        d = max(discordant, x)
        return z_confidence * math.sqrt(d) + z_power * math.sqrt(max(0.0, d - x * x)) - x * math.sqrt(n)

    low, high = 0.0, 1.0
    if n < 1 or shortfall(high) > 0:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if shortfall(middle) > 0 else (low, middle)
    return high


def is_resolved(intervals: Sequence[Interval], *, p_value: float) -> bool:
    """Return whether a difference is there: no interval of it holds 0, and the exact test agrees."""
    return p_value < 1 - CONFIDENCE and all(low > 0 or high < 0 for low, high in intervals)


def resolution_sentence(
    a: str, b: str, *, difference: float, resolved: bool, n: int, detectable: float | None
) -> str:
    """Say in words what a paired difference of plan success shows, or that n cannot resolve it.

    Args:
        a: First condition.
        b: Second condition.
        difference: Share of a minus share of b.
        resolved: See :func:`is_resolved`.
        n: Plays that both have.
        detectable: See :func:`minimum_detectable_difference`.
    """
    points = f"{abs(difference) * 100:.1f} points"
    if n == 0:
        return f"{a} and {b} have no goal and seed in common yet."
    if resolved:
        relation = "more" if difference > 0 else "less"
        return f"{a} succeeds {points} {relation} often than {b} on the same {n} goals and seeds."
    needed = (
        f"n = {n} can show no difference at all"
        if detectable is None
        else f"n = {n} can show differences of about {detectable * 100:.0f} points and more"
    )
    verb = "are level" if difference == 0 else f"differ by {points}"
    return f"{a} and {b} {verb}, which these plays do not resolve: {needed}."
