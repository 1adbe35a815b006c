"""Where two actions look alike at first, the later frames say which it was."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.core.protocols import StepResult
from lookalike.core.types import Observation
from lookalike.experts.visual_data import UNKNOWN, pack
from lookalike.experts.visual_trying import recover_by_trying

NAMES = ("left", "right")


class Fork:
    """Left and right differ by one grey level in one row; two steps later half of the picture shows it."""

    id = "tiny:fork"
    capabilities = frozenset({"frames", "save_restore"})

    def __init__(self) -> None:
        self.taken: list[int] = []

    def reset(self, *, seed: int) -> Observation:
        self.taken = []
        return self._seen()

    def step(self, action: str) -> StepResult:
        self.taken.append(NAMES.index(action))
        return StepResult(self._seen(), 0.0, False, False)

    def save(self) -> bytes:
        return bytes(self.taken)

    def restore(self, state: bytes) -> None:
        self.taken = list(state)

    def _seen(self) -> Observation:
        frame = np.full((64, 64, 3), 100 + len(self.taken), np.uint8)
        for step, side in enumerate(self.taken):
            frame[step, :, :] += np.uint8(side)
            if step <= len(self.taken) - 3:
                frame[32:, :, :] += np.uint8(20 * side)
        return Observation(frame=frame)


@pytest.mark.parametrize("noise", [0, 1])
def test_the_later_frames_decide(noise):
    game, played = Fork(), [0, 1, 1, 0, 0, 1, 0, 0]
    first = game.reset(seed=3).frame
    frames = [first, *(game.step(NAMES[side]).observation.frame for side in played)]
    film = np.stack(frames)
    for step in range(1, 5):  # the video blurs: the first choices look a little like the other ones
        film[step, step - 1] += np.uint8(noise if played[step - 1] == 0 else 0)
        film[step, step - 1] -= np.uint8(noise if played[step - 1] == 1 else 0)
    plays = pack([film], [np.full(len(film), UNKNOWN, np.int64)], [False])
    labels = recover_by_trying(game, plays, [3], NAMES, most_steps=1_000)
    named = labels[: len(played)].argmax(axis=1)
    assert named[: len(played) - 2].tolist() == played[: len(played) - 2]
    assert (labels[: len(played)].sum(axis=1) == 1).all()


def test_what_fits_nowhere_is_left_to_the_network():
    game = Fork()
    first = game.reset(seed=3).frame
    film = np.stack([first, *(np.full_like(first, 250) for _ in range(6))])
    plays = pack([film], [np.full(len(film), UNKNOWN, np.int64)], [False])
    assert not recover_by_trying(game, plays, [3], NAMES, most_steps=1_000).any()


def test_no_more_steps_are_tried_than_allowed():
    game, taken = Fork(), []
    first = game.reset(seed=3).frame
    film = np.stack([first, *(game.step("left").observation.frame for _ in range(6))])
    plays = pack([film], [np.full(len(film), UNKNOWN, np.int64)], [False])
    play = game.step
    game.step = lambda action: (taken.append(action), play(action))[1]
    labels = recover_by_trying(game, plays, [3], NAMES, most_steps=8)
    assert labels.any(axis=1).sum() <= 4
    assert len(taken) <= 2 * 8
