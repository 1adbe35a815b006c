"""The training loop that all networks of the visual expert share, and how frames are varied for it.

Twenty recordings are few: every batch is shifted by up to three pixels, tinted and made noisy, so that a
network learns what is where and neither the exact colours of these levels nor the video's compression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.seeds import generator
from lookalike.experts.visual_data import Plays
from lookalike.rewards.visual_network import (
    CHANGE,
    PRESENT,
    SIZE,
    VIEWS,
    as_tensor,
    neighbour_of,
    require_torch,
    view_of,
)

SHIFT = 3
_TINT, _LIGHT, _NOISE = 0.15, 0.08, 0.03
_NOISES = 32
_GROUPS = 4


class Feed:
    """Hands out what a network is shown, varied.

    Args:
        name: Network's name.
        plays: Where frames come from, masked already.
        seed: Of the variations.
    """

    def __init__(self, name: str, plays: Plays, *, seed: int) -> None:
        self._name, self._plays = name, plays
        self._padded: NDArray[np.uint8] | None = None
        self._draw = generator(seed, "variations")
        noise = self._draw.standard_normal((_NOISES, SIZE, SIZE, 3), dtype=np.float32)
        self._noise = require_torch().from_numpy(_NOISE * noise).permute(0, 3, 1, 2)

    def __call__(self, indices: NDArray[np.int64], *, vary: bool = True) -> Any:
        """Return the view of the frames at ``indices``."""
        torch = require_torch()
        offsets = VIEWS[self._name]
        if not vary:
            chosen = [self._plays.frames[self._plays.neighbours(indices, offset)] for offset in offsets]
            return view_of(self._name, [as_tensor(frames) for frames in chosen])
        count, draw = len(indices), self._draw
        parts = np.array_split(np.arange(count), _GROUPS)
        whole = torch.from_numpy(self._shifted(indices, offsets, parts))
        shown = whole.permute(0, 3, 1, 2).float()  # one pass each over what is as large as this
        outermost_first = sorted(range(1, len(offsets)), key=lambda n: -abs(offsets[n]))
        for number in outermost_first:  # so that a neighbour is still a frame, and no difference
            beside = 3 * offsets.index(neighbour_of(offsets[number]))
            shown[:, 3 * number : 3 * number + 3].sub_(shown[:, beside : beside + 3])
        tint = np.tile(1 + _TINT * draw.uniform(-1, 1, (count, 3)), (1, len(offsets))).astype(np.float32)
        light = (_LIGHT * draw.uniform(-1, 1, (count, 1, 1, 1))).astype(np.float32)
        scale = np.array([PRESENT] * 3 + [CHANGE] * (3 * len(offsets) - 3), np.float32) / 255
        shown.mul_(torch.from_numpy(tint * scale)[:, :, None, None])
        constant = torch.from_numpy(light - 0.5 * PRESENT * tint[:, :3, None, None])
        shown[:, :3].add_(constant)
        for part in parts:
            if len(part):
                shown[part[0] : part[-1] + 1, :3].add_(self._noise[int(draw.integers(_NOISES))])
        return shown

    def _shifted(
        self, indices: NDArray[np.int64], offsets: tuple[int, ...], parts: list[NDArray[np.int64]]
    ) -> NDArray[np.uint8]:
        """Take frames, [N, 64, 64, 3 a view], each part shifted its own way; edges are repeated."""
        if self._padded is None:
            edges = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0))
            self._padded = np.pad(self._plays.frames, edges, mode="edge")
        shifted = np.empty((len(indices), SIZE, SIZE, 3 * len(offsets)), np.uint8)
        for part in parts:
            down, right = self._draw.integers(0, 2 * SHIFT + 1, size=2)
            for number, offset in enumerate(offsets):
                found = self._plays.neighbours(indices[part], offset)
                taken = self._padded[found, down : down + SIZE, right : right + SIZE]
                shifted[part, :, :, 3 * number : 3 * number + 3] = taken
        return shifted


def train(
    network: Any,
    loss_of: Callable[[np.random.Generator], Any],
    *,
    steps: int,
    seed: int,
    rate: float = 2e-3,
    decay: float = 1e-2,
    progress: Callable[[float], None] | None = None,
) -> list[float]:
    """Train a network in place: AdamW, the rate warmed up and brought down again along one arch.

    Args:
        network: What is trained.
        loss_of: Draws a batch and returns its loss.
        steps: Updates.
        seed: Of the batches.
        rate: Highest learning rate.
        decay: Weight decay.
        progress: Called with the finished fraction, 0 to 1.

    Returns:
        The loss of every update.
    """
    torch = require_torch()
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1, pct_start=0.15)
    draw = generator(seed, "batches")
    losses = []
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(draw)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if progress is not None and step % 10 == 0:
            progress(step / steps)
    network.eval()
    if progress is not None:
        progress(1.0)
    return losses
