"""Play for learned progress alone, in a real game: it gets what it is after, and repeats by seed."""

from __future__ import annotations

import numpy as np
import pytest

from visual_games import needs_visual

pytestmark = needs_visual
NAMES = ("left", "right", "right up", "up", "noop")


def rightness(frames):
    """Return how bright the right half of the picture is: something that play can change."""
    return frames[:, :, 32:].mean(axis=(1, 2, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def game():
    from lookalike.environments.procgen import Procgen

    made = Procgen("coinrun")
    yield made
    made.close()


def test_climbing_raises_what_it_is_told_to_more_than_chance_does(game):
    from lookalike.experts.visual_climbing import climb_plays
    from lookalike.experts.visual_data import play_at_random

    settings = {"seed": 1, "steps": 90, "longest": 45, "levels": [3]}
    climbed = climb_plays(game, rightness, NAMES, **settings)
    again = climb_plays(game, rightness, NAMES, **settings)
    assert np.array_equal(climbed.frames, again.frames)
    assert int(climbed.lengths.sum()) >= 90
    random, _ = play_at_random(game, seed=1, steps=400, longest=45, levels=[3], actions=NAMES)

    def gained(plays) -> float:
        worth = rightness(plays.frames)
        return float(np.mean(worth[plays.stops - 1] - worth[plays.starts]))

    assert gained(climbed) > gained(random) + 3


def test_a_game_that_cannot_go_back_is_not_climbed():
    from lookalike.experts.visual_climbing import climb_plays

    class Once:
        id = "tiny:once"
        capabilities = frozenset({"frames"})

    assert len(climb_plays(Once(), rightness, NAMES, seed=0, steps=10, longest=5)) == 0  # type: ignore[arg-type]
