"""What inverse dynamics are asked, and how often they are right."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="learning from frames needs PyTorch (make vision)")

import torch

from lookalike.experts.visual_actions import agreement_with, learn_actions
from lookalike.experts.visual_data import UNKNOWN, Plays, held_out_plays, pack, usual_length
from lookalike.rewards.visual_network import SIZE, VIEWS, build_network, view_of

UP, DOWN = 0, 1


def _moving(draw: np.random.Generator, *, columns: range, plays: int = 24, steps: int = 24) -> Plays:
    """A square on a still, spotted background goes up or down, in some of the columns."""
    films, taken = [], []
    for _ in range(plays):
        background = draw.integers(0, 120, size=(SIZE, SIZE, 3), dtype=np.uint8)
        row, column = int(draw.integers(20, 40)), int(draw.choice(columns))
        actions = draw.integers(0, 2, size=steps)
        frames = [_with_square(background, row, column)]
        for action in actions:
            row = int(np.clip(row + (-2 if action == UP else 2), 2, SIZE - 8))
            frames.append(_with_square(background, row, column))
        films.append(np.stack(frames))
        taken.append(np.array([*actions, UNKNOWN], np.int64))
    return pack(films, taken, [False] * plays)


def _with_square(background: np.ndarray, row: int, column: int) -> np.ndarray:
    frame = background.copy()
    frame[row : row + 6, column : column + 6] = 255
    return frame


def test_what_was_seen_on_one_side_of_the_picture_is_known_on_the_other() -> None:
    draw = np.random.default_rng(0)
    left, right = _moving(draw, columns=range(2, 20)), _moving(draw, columns=range(40, 56))
    learned = learn_actions(left, ("up", "down"), seed=0, steps=60, batch=48)
    known = np.nonzero(right.actions != UNKNOWN)[0]
    views = [right.frames[right.neighbours(known, offset)] for offset in VIEWS["actions"]]
    tensors = [torch.from_numpy(view).permute(0, 3, 1, 2).float() / 255 for view in views]
    with torch.inference_mode():
        named = learned.network(view_of("actions", tensors)).argmax(dim=1).numpy()
    assert (named == right.actions[known]).mean() > 0.9


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_network_answers_for_one_frame_and_many(name: str) -> None:
    network = build_network(name, 7).eval()
    shown = torch.zeros(3, 3 * len(VIEWS[name]), SIZE, SIZE)
    assert network(shown).shape[0] == 3
    assert network(shown[:1]).shape == (1, network[-1].out_features)


def test_agreement_counts_steps_that_tell_and_any_action_that_leads_there() -> None:
    tried = np.array([[1, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [0, 1, 0]], np.float32)
    labels = np.array([[0, 9, 0], [9, 0, 0], [9, 0, 0], [9, 0, 0], [0, 9, 0]], np.float32)
    assert agreement_with(labels, tried, np.arange(5)) == (pytest.approx(2 / 3), 3)
    assert agreement_with(labels, tried, np.array([1])) == (0.0, 1)
    assert agreement_with(labels, tried, np.array([2, 3])) == (None, 0)


def test_held_out_are_the_last_and_never_all() -> None:
    assert held_out_plays(2) == []
    assert held_out_plays(3) == [2]
    assert held_out_plays(20) == [17, 18, 19]
    plays = _moving(np.random.default_rng(1), columns=range(2, 20), plays=4, steps=9)
    assert plays.indices_of([1, 3]).tolist() == [*range(10, 20), *range(30, 40)]
    assert plays.indices_of([]).tolist() == []
    assert usual_length(plays, 10_000) == 40
    assert usual_length(plays, 100) == 40
