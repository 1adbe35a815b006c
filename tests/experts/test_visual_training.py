"""What training shows a network is what the network is asked with later, but for the variations."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="learning from frames needs PyTorch (make vision)")

from lookalike.experts.visual_data import UNKNOWN, Plays, pack
from lookalike.experts.visual_training import Feed
from lookalike.rewards.visual_network import SIZE, VIEWS


def _brightening(steps: int) -> Plays:
    """A play whose grey rises by a different amount at every step."""
    greys = np.cumsum(np.arange(1, steps + 1)).astype(np.uint8)
    frames = np.broadcast_to(greys[:, None, None, None], (steps, SIZE, SIZE, 3)).copy()
    return pack([frames], [np.full(steps, UNKNOWN, np.int64)], [True])


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_varied_changes_are_those_that_are_asked_with(name: str) -> None:
    feed, chosen = Feed(name, _brightening(20), seed=0), np.array([5, 9, 14])
    asked = feed(chosen, vary=False).numpy()[:, 3:].mean(axis=(2, 3))
    varied = feed(chosen).numpy()[:, 3:].mean(axis=(2, 3))
    assert (asked != 0).all()
    np.testing.assert_allclose(varied / asked, 1.0, atol=0.16)  # the tint alone


def test_steps_later_are_shown_as_differences_from_the_step_before() -> None:
    plays = _brightening(20)
    shown = Feed("actions", plays, seed=0)(np.array([5]), vary=False).numpy()[0].mean(axis=(1, 2))
    before, after, beyond = (float(shown[3 * n]) for n in range(1, len(VIEWS["actions"])))
    grey = plays.frames[:, 0, 0, 0].astype(float)
    assert after / -before == pytest.approx((grey[6] - grey[5]) / (grey[5] - grey[4]), rel=1e-3)
    assert beyond / after == pytest.approx((grey[7] - grey[6]) / (grey[6] - grey[5]), rel=1e-3)
