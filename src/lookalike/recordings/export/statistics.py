"""Minimum, maximum, mean and deviation of a feature, over an episode and merged over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass
class FeatureStatistics:
    """What LeRobot wants to know of a feature.

    Attributes:
        minimum: Smallest value, ``[C]``.
        maximum: Largest value, ``[C]``.
        mean: ``[C]``.
        variance: Of the whole population, ``[C]``.
        count: Rows.
    """

    minimum: Floats
    maximum: Floats
    mean: Floats
    variance: Floats
    count: int

    @classmethod
    def of_rows(cls, values: NDArray[Any]) -> FeatureStatistics:
        """Return the statistics of one number a row, ``[T]``."""
        rows = values.astype(np.float64)[:, None]
        return cls(rows.min(0), rows.max(0), rows.mean(0), rows.var(0), len(rows))

    @classmethod
    def of_frame(cls, frame: NDArray[np.uint8]) -> FeatureStatistics:
        """Return the statistics of one picture, ``[H, W, 3]``, per channel, in [0, 1]."""
        pixels = frame.reshape(-1, 3)
        mean = pixels.mean(0) / 255.0
        variance = pixels.var(0) / 255.0**2
        return cls(pixels.min(0) / 255.0, pixels.max(0) / 255.0, mean, variance, 1)

    def merged(self, other: FeatureStatistics) -> FeatureStatistics:
        """Return the statistics of both together (the parallel algorithm of Chan et al., 1979)."""
        count = self.count + other.count
        share = other.count / count
        delta = other.mean - self.mean
        return FeatureStatistics(
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.mean + delta * share,
            self.variance * (1 - share) + other.variance * share + delta**2 * share * (1 - share),
            count,
        )

    def as_json(self, *, picture: bool) -> dict[str, Any]:
        """Return them in LeRobot's shape: ``[C]``, or ``[C, 1, 1]`` for pictures."""
        shape = (-1, 1, 1) if picture else (-1,)
        named = {
            "min": self.minimum,
            "max": self.maximum,
            "mean": self.mean,
            "std": np.sqrt(self.variance),
        }
        return {name: value.reshape(shape).tolist() for name, value in named.items()} | {
            "count": [self.count]
        }
