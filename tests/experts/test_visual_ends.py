"""Ends beside the recordings' paths: both kinds are seen, however few steps there are for each recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from visual_games import needs_torch, needs_visual

pytestmark = [needs_torch, needs_visual]


@pytest.fixture(scope="module")
def seen() -> Any:
    """Return what is seen beside five plays of miner, with 60 steps a recording and kind of search."""
    from lookalike.environments.procgen import Procgen
    from lookalike.experts.visual_data import UNKNOWN, pack
    from lookalike.experts.visual_ends import see_ends
    from lookalike.recordings.demonstrator import search_level
    from lookalike.recordings.procgen_guides import procgen_guide

    game, levels = Procgen("miner"), (1, 2, 3, 5, 7)
    names = game.admissible_actions()
    frames, labels = [], []
    for level in levels:
        found = search_level(game, procgen_guide("miner"), seed=level, max_steps=6_000)
        assert found.solved
        play = [game.reset(seed=level).frame]
        play += [game.step(action).observation.frame for action in found.actions]
        frames.append(np.stack(play))
        labels.append(np.eye(len(names), dtype=np.float32)[[names.index(a) for a in found.actions]])
        labels.append(np.zeros((1, len(names)), np.float32))  # nothing is done at the end
    watched = pack(frames, [np.full(len(one), UNKNOWN) for one in frames], [True] * len(levels))
    told = see_ends(
        game, watched, levels, np.concatenate(labels), tuple(names), seed=0, most_steps=120 * len(levels)
    )
    game.close()
    return told


def test_both_kinds_of_ends_are_seen_with_few_steps_for_each_recording(seen):
    assert seen.over == 1.0
    assert seen.good.sum() >= 10
    assert (~seen.good).sum() >= 3


def test_recordings_of_miner_go_where_they_end(seen):
    assert len(seen.forced) == 5
    assert np.median(seen.forced) == pytest.approx(0.2)  # one of its five actions
