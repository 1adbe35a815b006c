"""The picture of a recording's progress: where the curve turns, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from test_visual_scorer import frame, made

from lookalike.core.errors import RewardModelError
from lookalike.core.types import Observation, Trajectory
from lookalike.rewards.visual_plot import turning_points, write_progress_plot
from visual_games import needs_torch


def test_turning_points_are_where_the_curve_bends():
    curve = np.concatenate([np.zeros(40), np.linspace(0, 1, 20), np.ones(40)]).astype(np.float32)
    points = turning_points(curve, 4)
    assert points[0] == 0
    assert points[-1] == 99
    assert abs(points[1] - 40) <= 5
    assert abs(points[2] - 59) <= 5


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_short_curves_have_few(length):
    points = turning_points(np.zeros(length, np.float32))
    assert points == sorted(set(points))
    assert points[-1] == length - 1


@needs_torch
def test_a_plot_is_drawn_and_text_is_refused(tmp_path):
    from lookalike.rewards.visual_scorer import load_visual

    networks = load_visual(made(tmp_path), tmp_path)
    seen = tuple(frame(light) for light in np.linspace(0, 1, 12))
    times = tuple(0.1 * step for step in range(12))
    write_progress_plot(networks, Trajectory(seen, (None,) * 11, times=times), tmp_path / "a.png", title="a")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    talk = Trajectory((Observation(text="a"), Observation(text="b")), ("look",))
    with pytest.raises(RewardModelError, match="has none"):
        write_progress_plot(networks, talk, tmp_path / "b.png")
