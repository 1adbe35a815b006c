"""Where another level may begin: the picture changes at once, and more than it does all the time."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.experts.visual_data import _jumps

SIZE = 64


def _film(greys: list[float]) -> np.ndarray:
    levels = np.array(greys)[:, None, None, None]
    return np.broadcast_to(levels, (len(greys), SIZE, SIZE, 3)).astype(np.uint8)


def _flickering(steps: int, by: int) -> list[float]:
    return [100 + by * (n % 2) for n in range(steps)]


@pytest.mark.parametrize("by", [0, 1, 20])
def test_the_picture_that_changes_more_than_those_around_it(by):
    film = _film([*_flickering(40, by), *(50 - level / 10 for level in _flickering(40, by))])
    assert _jumps(film).tolist() == [40]


@pytest.mark.parametrize("by", [4, 20, 90])
def test_no_level_begins_where_all_moves_all_the_time(by):
    assert _jumps(_film(_flickering(300, by))).tolist() == []


@pytest.mark.parametrize("steps", [2, 3, 12, 13, 14])
def test_short_recordings_are_cut_as_well(steps):
    assert _jumps(_film([100] * steps)).tolist() == []
    assert _jumps(_film([100] * steps + [200])).tolist() == ([steps] if steps > 1 else [])
