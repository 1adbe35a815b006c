"""Statistics against published worked examples, and their properties over random data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.experiments.statistics import (
    clustered_bootstrap_mean,
    holm,
    is_resolved,
    mcnemar_exact,
    minimum_detectable_difference,
    newcombe_paired_interval,
    resolution_sentence,
    wilson_interval,
)

counts = st.integers(0, 60)
fast = settings(max_examples=60, deadline=None)


def test_wilson_against_its_closed_form():
    # E. B. Wilson (1927): (p + z²/2n ± z sqrt(p q / n + z²/4n²)) / (1 + z²/n)
    n, p, z = 10, 0.8, 1.959964
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = ((centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n))
    assert wilson_interval(8, 10) == pytest.approx(expected, abs=1e-6)


def test_wilson_does_not_collapse_at_the_ends():
    assert wilson_interval(200, 200)[0] == pytest.approx(0.98115, abs=1e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.16113), abs=1e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@fast
@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_share_and_narrows_with_n(n, data):
    successes = data.draw(st.integers(0, n))
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    wide_low, wide_high = wilson_interval(successes, n, confidence=0.99)
    assert wide_low <= low + 1e-12
    assert high <= wide_high + 1e-12
    narrow_low, narrow_high = wilson_interval(4 * successes, 4 * n)
    assert narrow_high - narrow_low < high - low


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="successes must be in"):
        wilson_interval(successes, n)


def test_newcombe_against_the_published_example():
    # Airway hyper-responsiveness before and after transplantation (1, 1, 7, 12): Fagerland, Lydersen and
    # Laake (2014), Statistics in Medicine 33:2850-2875, square-and-add interval (-0.507, -0.026).
    assert newcombe_paired_interval(1, 1, 7, 12) == pytest.approx((-0.507, -0.026), abs=5e-4)


@fast
@given(counts, counts, counts, counts)
def test_newcombe_holds_the_difference_and_is_antisymmetric(both, only_a, only_b, neither):
    low, high = newcombe_paired_interval(both, only_a, only_b, neither)
    n = both + only_a + only_b + neither
    difference = (only_a - only_b) / n if n else 0.0
    assert -1 <= low <= difference + 1e-9
    assert difference - 1e-9 <= high <= 1
    mirrored = newcombe_paired_interval(both, only_b, only_a, neither)
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)


def test_newcombe_does_not_collapse_where_all_plays_agree():
    low, high = newcombe_paired_interval(0, 20, 0, 0)
    assert (low, high) == pytest.approx((0.7721, 1.0), abs=1e-3)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(0, 0, 1.0), (1, 7, 0.0703125), (5, 5, 1.0), (6, 0, 2 / 64), (0, 200, 2.0**-199)],
)
def test_mcnemar_against_the_binomial(only_a, only_b, p):
    assert mcnemar_exact(only_a, only_b) == pytest.approx(p)


@fast
@given(counts, counts)
def test_mcnemar_is_symmetric_and_a_probability(only_a, only_b):
    p = mcnemar_exact(only_a, only_b)
    assert 0 <= p <= 1
    assert p == pytest.approx(mcnemar_exact(only_b, only_a))


def test_holm_against_the_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@fast
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [corrected[i] for i in order] == sorted(corrected)


def test_the_bootstrap_agrees_with_the_normal_interval_where_clusters_are_single():
    values = np.random.default_rng(1).normal(10, 2, 400)
    low, high = clustered_bootstrap_mean(values, range(400), seed=0)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_the_bootstrap_widens_where_plays_of_a_seed_are_alike():
    effects = np.random.default_rng(2).normal(0, 1, 20)
    values = np.repeat(effects, 10)
    by_seed = clustered_bootstrap_mean(values, np.repeat(np.arange(20), 10).tolist(), seed=0)
    as_if_independent = clustered_bootstrap_mean(values, range(200), seed=0)
    ratio = (by_seed[1] - by_seed[0]) / (as_if_independent[1] - as_if_independent[0])
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 8)), min_size=1, max_size=30), st.integers(0, 9))
def test_the_bootstrap_stays_inside_the_data_and_repeats_itself(pairs, seed):
    values, clusters = [v for v, _ in pairs], [c for _, c in pairs]
    low, high = clustered_bootstrap_mean(values, clusters, seed=seed, resamples=500)
    assert (low, high) == clustered_bootstrap_mean(values, clusters, seed=seed, resamples=500)
    if len(set(clusters)) < 5:
        assert (low, high) == (-math.inf, math.inf)
    else:
        assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_the_bootstrap_wants_a_cluster_for_each_value():
    with pytest.raises(ValueError, match="as many clusters"):
        clustered_bootstrap_mean([1.0], [], seed=0)


def test_the_minimum_detectable_difference_inverts_the_sample_size_formula():
    # Connor (1987) for discordant 0.5 and difference 0.2: (1.96 sqrt(.5) + .8416 sqrt(.46))² / .04 = 95.8
    assert minimum_detectable_difference(96) == pytest.approx(0.2, abs=1e-3)
    assert minimum_detectable_difference(95) > 0.2
    assert minimum_detectable_difference(3) is None
    assert minimum_detectable_difference(0) is None


@fast
@given(st.integers(4, 5000), st.floats(0, 1))
def test_more_plays_show_smaller_differences(n, discordant):
    least = minimum_detectable_difference(n, discordant=discordant)
    assert 0 < least <= 1
    assert minimum_detectable_difference(2 * n, discordant=discordant) < least
    assert minimum_detectable_difference(n, discordant=discordant, power=0.5) <= least


def test_the_minimum_detectable_difference_is_detected_as_often_as_it_says():
    n, discordant = 200, 0.3
    x = minimum_detectable_difference(n, discordant=discordant)
    generator = np.random.default_rng(5)
    draws = generator.multinomial(n, [(discordant + x) / 2, (discordant - x) / 2, 1 - discordant], size=1000)
    detected = np.mean([mcnemar_exact(int(a), int(b)) < 0.05 for a, b, _ in draws])
    assert detected == pytest.approx(0.8, abs=0.07)  # the exact test is a little shy


def test_a_difference_is_resolved_only_where_everything_agrees():
    assert is_resolved([(0.1, 0.3)], p_value=0.01)
    assert is_resolved([(-0.3, -0.1), (-0.2, -0.1)], p_value=0.01)
    assert not is_resolved([(0.1, 0.3), (-0.01, 0.4)], p_value=0.01)
    assert not is_resolved([(0.1, 0.3)], p_value=0.06)
    assert not is_resolved([(0.0, 0.3)], p_value=0.01)


def test_the_sentence_says_what_n_cannot_resolve():
    say = resolution_sentence
    assert say("swarm", "solo", difference=0.25, resolved=True, n=200, detectable=0.1) == (
        "swarm succeeds 25.0 points more often than solo on the same 200 goals and seeds."
    )
    assert "25.0 points less often" in say("a", "b", difference=-0.25, resolved=True, n=9, detectable=0.1)
    unresolved = say("swarm", "solo", difference=0.05, resolved=False, n=20, detectable=0.42)
    assert unresolved == (
        "swarm and solo differ by 5.0 points, which these plays do not resolve: n = 20 can show differences "
        "of about 42 points and more."
    )
    assert "are level" in say("a", "b", difference=0.0, resolved=False, n=20, detectable=0.42)
    assert "no difference at all" in say("a", "b", difference=0.5, resolved=False, n=2, detectable=None)
    assert "in common" in say("a", "b", difference=0.0, resolved=False, n=0, detectable=None)
