"""Temperature and seed applied to one base distribution, so that a swarm costs one forward pass.

A language model says once how probable each allowed reply is; every role then draws its own reply at its
own temperature and with its own seed. Nothing here knows what a model is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COLDEST = 1e-6
"""Temperatures below this count as 0: dividing by them overflows."""
LOG_FLOOR = -60.0
"""Log-probability below which a reply counts as never said (e^-60); keeps sums finite."""


def at_temperature(
    log_probabilities: Sequence[float] | NDArray[np.float32], temperature: float
) -> NDArray[np.float64]:
    """Return probabilities proportional to ``p ** (1 / temperature)``.

    Args:
        log_probabilities: Natural logarithms, up to a common constant, at least one.
        temperature: >= 0; 0 puts everything on the most probable entry (the first of several).

    Returns:
        Probabilities that sum to 1, in the given order.
    """
    logs = np.maximum(np.asarray(log_probabilities, dtype=np.float64), LOG_FLOOR)
    if temperature < COLDEST:
        probabilities = np.zeros(len(logs))
        probabilities[int(np.argmax(logs))] = 1.0
        return probabilities
    scaled = logs / temperature
    weights = np.exp(scaled - scaled.max())
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def draw(probabilities: NDArray[np.float64], *, seed: int) -> int:
    """Draw an index by inversion of the cumulative sum: one uniform number, one seed.

    Args:
        probabilities: They sum to 1 up to rounding.
        seed: Any integer >= 0; 0 is a seed.

    Returns:
        An index with a probability above 0.
    """
    uniform = float(np.random.default_rng(seed).random())
    return pick(probabilities, uniform)


def pick(probabilities: NDArray[np.float64], uniform: float) -> int:
    """Return the index at which the cumulative sum passes ``uniform`` (in [0, 1)).

    Rounding can leave the last sum a hair below 1; the last index that can be drawn is then taken.
    """
    index = int(np.searchsorted(np.cumsum(probabilities), uniform, side="right"))
    return min(index, int(np.flatnonzero(probabilities)[-1]))
