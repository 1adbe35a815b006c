"""A picture of a recording under a visual reward model: the curve of progress, and frames where it turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import RewardModelError
from lookalike.core.types import Trajectory
from lookalike.rewards.visual_network import Floats, VisualModel

FRAMES = 5
_SMOOTH = 5


def turning_points(curve: Floats, count: int = FRAMES) -> list[int]:
    """Return the frames to look at: the first, the last, and where a smoothed curve bends most between.

    Args:
        curve: Potential of every frame.
        count: How many, at least 2; fewer where the curve is shorter.
    """
    last = len(curve) - 1
    chosen = [0, last] if last > 0 else [0]
    width = min(_SMOOTH, max(1, len(curve) // 4))
    smooth = np.convolve(np.pad(curve, width, mode="edge"), np.ones(width) / width, "same")[width:-width]
    while len(chosen) < min(count, len(curve)):
        known = sorted(chosen)
        # What straight lines through the chosen frames explain least is worth looking at.
        apart = np.abs(smooth - np.interp(np.arange(len(curve)), known, smooth[known]))
        near = max(1, len(curve) // (3 * count))
        for place in known:
            apart[max(0, place - near) : place + near + 1] = -1
        if apart.max() < 0:
            break
        chosen.append(int(np.argmax(apart)))
    return sorted(chosen)


def write_progress_plot(model: VisualModel, trajectory: Trajectory, path: Path, *, title: str = "") -> None:
    """Draw the learned progress of a recording over its time, with the frames of its turning points.

    Args:
        model: The networks.
        trajectory: With frames.
        path: A PNG file.
        title: Written above.

    Raises:
        RewardModelError: The recording shows no frames.
    """
    from matplotlib.figure import Figure

    seen = [observation.frame for observation in trajectory.observations]
    frames = [frame for frame in seen if frame is not None]
    if len(frames) != len(seen):
        raise RewardModelError(
            "Progress is drawn over frames, and this recording has none.",
            got=f"{len(frames)} frames for {len(seen)} observations",
            remedy="give a video",
        )
    curve = model.progress(np.stack(frames)).potential
    gained = curve - curve[0]
    times: NDArray[np.float64] = np.array(trajectory.times or range(len(curve)), dtype=float)
    points = turning_points(gained)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    grid = figure.add_gridspec(2, len(points), height_ratios=(1, 2))
    for column, point in enumerate(points):
        picture = figure.add_subplot(grid[0, column])
        picture.imshow(frames[point])
        picture.set_title(f"{times[point]:.1f}" + (" s" if trajectory.times else ""), fontsize=8)
        picture.set_axis_off()
    axes = figure.add_subplot(grid[1, :])
    axes.plot(times, gained, color="#1f5fa8", linewidth=1.5)
    axes.plot(times[points], gained[points], "o", color="#b03a2e", markersize=4)
    axes.set_xlabel("seconds" if trajectory.times else "step")
    axes.set_ylabel("predicted progress since the beginning")
    axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)
