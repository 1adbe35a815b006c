"""Temperature and seed on one distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.models.sampling import at_temperature, draw, pick


def test_temperature_one_gives_the_distribution_itself() -> None:
    assert at_temperature(np.log([0.7, 0.2, 0.1]).tolist(), 1.0) == pytest.approx([0.7, 0.2, 0.1])


def test_temperature_raises_to_its_inverse_power() -> None:
    p = np.array([0.7, 0.2, 0.1])
    expected = p**0.5 / (p**0.5).sum()
    assert at_temperature(np.log(p).tolist(), 2.0) == pytest.approx(expected)


def test_temperature_zero_takes_the_first_of_the_most_probable() -> None:
    assert at_temperature([-2.0, -1.0, -1.0], 0).tolist() == [0.0, 1.0, 0.0]


def test_draws_follow_the_probabilities() -> None:
    shares = np.array([0.6, 0.3, 0.1])
    counts = np.bincount([draw(shares, seed=seed) for seed in range(3000)], minlength=3) / 3000
    assert counts == pytest.approx(shares, abs=0.03)


def test_seed_zero_is_a_seed() -> None:
    shares = np.full(50, 0.02)
    assert draw(shares, seed=0) == draw(shares, seed=0)
    assert len({draw(shares, seed=seed) for seed in range(20)}) > 5


@given(
    st.lists(st.floats(-500, 0), min_size=1, max_size=40),
    st.floats(0, 5),
    st.floats(0, 1, exclude_max=True),
)
def test_whatever_is_drawn_could_be_drawn(logs: list[float], temperature: float, uniform: float) -> None:
    shares = at_temperature(logs, temperature)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[pick(shares, uniform)] > 0


def test_rounding_never_draws_past_the_end() -> None:
    assert pick(np.array([0.1] * 9 + [0.09999, 0.0]), 0.99999999) == 9
