"""Levels are recorded, tuned on or judged by: never two of them."""

from __future__ import annotations

import pytest

from lookalike.core.errors import UsageError
from lookalike.environments.levels import evaluation_level, has_levels, level_part, require_part


def test_the_three_parts_meet_nowhere():
    parts = [level_part(seed) for seed in range(20_000)]
    assert parts == ["recording"] * 200 + ["tuning"] * 9_800 + ["evaluation"] * 10_000
    with pytest.raises(UsageError):
        level_part(-1)


def test_levels_of_another_part_are_refused_and_named():
    require_part(range(200), "recording")
    require_part([], "evaluation")
    with pytest.raises(UsageError, match="level 200, of the part 'tuning'"):
        require_part([0, 199, 200, 10_000], "recording")
    with pytest.raises(UsageError, match="10000 and up"):
        require_part([9_999], "evaluation")


def test_an_experiment_plays_the_level_itself_and_none_that_was_recorded():
    assert has_levels("procgen:maze")
    assert not has_levels("colossal-cave")
    assert evaluation_level("procgen:maze", 10_000, recorded=(3, 10_001)) == 10_000
    for seed in (3, 5_000, 10_001):
        with pytest.raises(UsageError):
            evaluation_level("procgen:maze", seed, recorded=(3, 10_001))
