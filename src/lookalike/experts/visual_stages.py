"""From a curve of learned progress to milestones that a person can read, look at and switch off.

The potential is cut into stages. Each stage's evidence is the recording that shows its beginning best, with
the time at which the curve comes there, and a picture of that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookalike.core.types import Demonstration, Frame
from lookalike.rewards.visual_network import Floats

STAGES = (0.25, 0.5, 0.75, 1.0)
"""Potentials at which stages are reached; the last is where recordings end."""
_LAST_REACHED = 0.95
_AROUND = 2


@dataclass(frozen=True)
class Stage:
    """A stage that recordings go through.

    Attributes:
        potential: Where it begins, in (0, 1].
        recording: Which recording shows it.
        step: Its frame there.
        steps_left: Median steps from here to the recordings' ends.
        reached_by: How many recordings reach it.
    """

    potential: float
    recording: int
    step: int
    steps_left: int
    reached_by: int

    @property
    def span(self) -> tuple[int, int]:
        """First and last action of its evidence, 0-based and inclusive."""
        return max(0, self.step - _AROUND), max(0, self.step - 1)


def find_stages(curves: Sequence[Floats]) -> list[Stage]:
    """Find where recordings go from stage to stage.

    Args:
        curves: What every frame's potential has gained since the beginning, one array a recording.

    Returns:
        The stages that at least half of the recordings reach, in order.
    """
    stages: list[Stage] = []
    for level in STAGES:
        wanted = level if level < 1.0 else _LAST_REACHED
        crossings = [(number, _crossing(curve, wanted)) for number, curve in enumerate(curves)]
        reached = [(number, step) for number, step in crossings if step is not None]
        if 2 * len(reached) < len(curves) or not reached:
            continue
        left = [len(curves[number]) - 1 - step for number, step in reached]
        middle = float(np.median(left))
        typical = min(range(len(reached)), key=lambda i: (abs(left[i] - middle), i))
        number, step = reached[typical]
        stages.append(Stage(level, number, step, round(middle), len(reached)))
    return stages


def _crossing(curve: Floats, level: float) -> int | None:
    """Return the first frame after the beginning from which the smoothed curve is at a level."""
    width = min(5, max(1, len(curve) // 8))
    smooth = np.convolve(
        np.pad(curve, (width // 2, width - 1 - width // 2), mode="edge"), np.ones(width) / width, "valid"
    )
    over = np.nonzero(smooth[1:] >= level)[0]
    return int(over[0]) + 1 if len(over) else None


def write_thumbnail(demonstration: Demonstration, step: int, path: Path) -> None:
    """Write the frame of a recording at a step as a PNG file."""
    from PIL import Image

    frame: Frame | None = demonstration.trajectory.observations[step].frame
    if frame is not None:
        scale = max(1, 128 // min(frame.shape[:2]))
        Image.fromarray(frame.repeat(scale, axis=0).repeat(scale, axis=1)).save(path)
