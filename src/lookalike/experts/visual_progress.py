"""Progress from silent play: what comes later is further, and what chance reaches as well is not.

Three numbers of one small network, trained together:

- the *rank score*, by pairs: a later frame of a recording above an earlier one; a frame of a recording above
  one of the swarm's own random play after as many steps (without these time-matched negatives a clock on the
  screen wins); and, with less weight, random play's later frame below its earlier one, so that nothing that
  merely follows time can rise;
- the *distance*, for magnitude: the logarithm of the steps that are left, in the recordings alone;
- the *end score*: the frames that recordings end with, against those that random play ends with.

Part of the rank score is linear in 16 x 16 pixels and solved for at once: t/T in recordings, nothing and
less in random play. The network learns what is left. The scores are brought to a scale on recordings that
were held out. A ridge regression of the same pixels on t/T alone stands beside them, always: what it can do
needs no network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.seeds import derive_seed
from lookalike.experts.visual_data import UNKNOWN, Plays
from lookalike.experts.visual_training import Feed, train
from lookalike.rewards.visual_network import PRESENT, Calibration, Floats, build_network, require_torch

DESCENT_WEIGHT = 0.3
"""How much random play's own order counts: what rises in it as well is no progress."""
PREVIEW_STEPS = 6
"""Steps within which an action's gain in potential is looked for."""
BASE_SCALE = 6.0
"""Rank score between a recording's beginning and its end, as far as it is linear in pixels."""
DEATH = -0.5
"""Gain of an action after which random play was over."""


@dataclass(frozen=True)
class Figures:
    """How well scores order held-out recordings, and tell them from random play.

    Attributes:
        voc_good: Mean value-order correlation of the recordings, in [-1, 1].
        voc_bad: Of random play.
        pairwise: How often the recording has the higher score after as many steps, in [0, 1].
    """

    voc_good: float
    voc_bad: float
    pairwise: float


@dataclass(frozen=True)
class LearnedProgress:
    """A progress network, its scale, and how it compares.

    Attributes:
        network: See ``rewards.visual_network``.
        base: The linear part of its rank score.
        calibration: What its numbers mean.
        figures: On held-out recordings and random play.
        ridge: The same for ridge regression.
    """

    network: Any
    base: Any
    calibration: Calibration
    figures: Figures
    ridge: Figures


def learn_progress(
    watched: Plays,
    own: Plays,
    *,
    held_out: Sequence[int],
    seed: int,
    steps: int,
    batch: int,
    progress: Callable[[float], None] | None = None,
) -> LearnedProgress:
    """Learn how far along a frame is.

    Args:
        watched: The recordings.
        own: Own random play; its last fifth is held out.
        held_out: Recordings that are not learned from; they give scale and figures. Where it is empty, the
            last recording gives them although it was learned from.
        seed: Of the network's beginning and the batches.
        steps: Updates.
        batch: Frames of an update.
        progress: Called with the finished fraction, 0 to 1.
    """
    torch = require_torch()
    torch.manual_seed(derive_seed(seed, "progress network"))
    network = build_network("progress", 0)
    learned = [p for p in range(len(watched)) if p not in set(held_out)]
    good = watched.only(learned)
    cut = max(1, int(0.8 * len(own)))
    bad = own.only(range(cut))
    most = float(np.quantile(good.lengths - 1, 0.95)) if len(good) else 100.0
    base = _base(good, bad)
    pairs = _Pairs(good, bad, most, bases=(_asked(base, good)[:, 0], _asked(base, bad)[:, 0]))
    feeds = (
        Feed("progress", good, seed=derive_seed(seed, "watched")),
        Feed("progress", bad, seed=derive_seed(seed, "own")),
    )

    def loss_of(draw: np.random.Generator) -> Any:
        return pairs.loss(network, feeds, draw, batch)

    train(network, loss_of, steps=steps, seed=derive_seed(seed, "progress"), progress=progress)
    tested = watched.only(list(held_out) or [len(watched) - 1])
    random = own.only(range(cut, len(own)) if cut < len(own) else range(cut))
    scores, poor = _asked(network, tested), _asked(network, random)
    scores[:, 0] += _asked(base, tested)[:, 0]
    poor[:, 0] += _asked(base, random)[:, 0]
    calibration = Calibration(
        start=float(np.median(scores[tested.starts, 0])),
        end=float(
            np.median(scores[tested.starts, 0])
            + np.median(scores[tested.stops - 1, 0] - scores[tested.starts, 0])
        ),
        end_threshold=float(np.quantile(scores[tested.stops - 1, 2], 0.1)),
        most_steps=most,
    )
    if calibration.end <= calibration.start:  # it learned nothing: no frame is then worth anything
        calibration = Calibration(calibration.start, calibration.start + 1e3, calibration.end_threshold, most)
    ridge = Ridge.on_time(good)
    return LearnedProgress(
        network,
        base,
        calibration,
        compare(tested, scores[:, 0], random, poor[:, 0]),
        compare(tested, ridge(tested.frames), random, ridge(random.frames)),
    )


class _Pairs:
    """Draws what the progress network is trained on."""

    def __init__(self, good: Plays, bad: Plays, most: float, *, bases: tuple[Floats, Floats]) -> None:
        self._good, self._bad, self._most = good, bad, most
        self._bases = bases
        self._bad_ends = bad.stops[bad.ended] - 1

    def loss(self, network: Any, feeds: tuple[Feed, Feed], draw: np.random.Generator, batch: int) -> Any:
        torch = require_torch()
        softplus = torch.nn.functional.softplus
        count = max(8, batch // 5)
        good, bad = self._good, self._bad
        play = draw.integers(len(good), size=count)
        length = good.lengths[play]
        first, second = np.sort(draw.random((2, count)), axis=0)
        early, late = (first * (length - 1)).astype(np.int64), np.ceil(second * (length - 1)).astype(np.int64)
        other = draw.integers(len(bad), size=count)
        bad_last = bad.lengths[other] - 1
        matched = np.minimum(late, bad_last)
        bad_early = (draw.random(count) * matched).astype(np.int64)
        ends = good.stops[draw.integers(len(good), size=count // 2)] - 1
        own_ends = self._bad_ends if len(self._bad_ends) else bad.stops - 1
        poor_ends = own_ends[draw.integers(len(own_ends), size=count // 2)]
        chosen = np.concatenate([good.starts[play] + early, good.starts[play] + late, ends])
        other_chosen = np.concatenate([bad.starts[other] + matched, bad.starts[other] + bad_early, poor_ends])
        answers = network(torch.cat([feeds[0](chosen), feeds[1](other_chosen)]))  # normalised together
        watched = self._with_base(answers[: len(chosen)], self._bases[0][chosen])
        own = self._with_base(answers[len(chosen) :], self._bases[1][other_chosen])
        is_later = torch.from_numpy((late > early).astype(np.float32))
        rising = softplus(watched[:count, 0] - watched[count : 2 * count, 0]) * is_later
        weight = torch.from_numpy(np.minimum(1.0, 2.0 * late / np.maximum(length - 1, 1)).astype(np.float32))
        above = softplus(own[:count, 0] - watched[count : 2 * count, 0]) * weight
        moved = torch.from_numpy((matched > bad_early).astype(np.float32))
        falling = softplus(own[:count, 0] - own[count : 2 * count, 0]) * moved
        left = np.log1p(np.concatenate([length - 1 - early, length - 1 - late])) / math.log1p(self._most)
        distance = (watched[: 2 * count, 1] - torch.from_numpy(left.astype(np.float32))).square()
        end = softplus(-watched[2 * count :, 2]).mean() + softplus(own[2 * count :, 2]).mean()
        apart = softplus(watched[:count, 2]).mean()  # most of a recording is not its end
        ordered = rising.mean() + above.mean() + DESCENT_WEIGHT * falling.mean()
        return ordered + distance.mean() + 0.3 * (end + 0.5 * apart)

    @staticmethod
    def _with_base(answers: Any, base: Floats) -> Any:
        """Return the network's answers with the linear part of the rank score added."""
        torch = require_torch()
        ranked = answers[:, :1] + torch.from_numpy(base)[:, None]
        return torch.cat([ranked, answers[:, 1:]], dim=1)


def _base(good: Plays, bad: Plays) -> Any:
    """Solve for the linear part of the rank score; return it as a network."""
    torch = require_torch()
    towards = good.time() / np.repeat(np.maximum(good.lengths - 1, 1), good.lengths)
    usual = max(float(np.median(good.lengths)), 2.0)
    away = -DESCENT_WEIGHT * np.minimum(1.0, bad.time() / usual)
    weight = len(towards) / max(len(away), 1)  # both count alike, whatever there is more of
    ridge = Ridge(
        np.concatenate([good.frames, bad.frames]),
        np.concatenate([towards, away]),
        weights=np.concatenate([np.ones(len(towards)), np.full(len(away), weight)]),
    )
    network = build_network("base", 0)
    coefficients, constant = ridge.linear()
    with torch.no_grad():
        # Ridge has [row, column, colour] of numbers in [0, 1]; the network [colour, row, column] of its view.
        ordered = coefficients.reshape(16, 16, 3).transpose(2, 0, 1).reshape(1, -1) / PRESENT
        shown = BASE_SCALE * np.ascontiguousarray(ordered)
        network[-1].weight.copy_(torch.from_numpy(shown.astype(np.float32)))
        network[-1].bias.fill_(BASE_SCALE * (constant + 0.5 * float(coefficients.sum())))
    return network.eval()


def learn_preview(
    plays: Plays,
    potential: Floats,
    died: NDArray[np.bool_],
    actions: int,
    *,
    seed: int,
    steps: int,
    batch: int,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Learn what an action is likely to gain, from plays whose actions are known.

    Args:
        plays: Recordings with recovered actions, and own random play.
        potential: Of every frame, [F].
        died: bool [P], plays that ended badly.
        actions: How many actions there are.
        seed: Of the network's beginning and the batches.
        steps: Updates.
        batch: Frames of an update.
        progress: Called with the finished fraction, 0 to 1.

    Returns:
        The network.
    """
    torch = require_torch()
    torch.manual_seed(derive_seed(seed, "preview network"))
    network = build_network("preview", actions)
    known = np.nonzero(plays.actions != UNKNOWN)[0]
    gain = gains(plays, potential, died)
    feed = Feed("preview", plays, seed=derive_seed(seed, "preview feed"))

    def loss_of(draw: np.random.Generator) -> Any:
        indices = known[draw.integers(len(known), size=batch)]
        answers = network(feed(indices))
        taken = answers.gather(1, torch.from_numpy(plays.actions[indices])[:, None])[:, 0]
        return torch.nn.functional.smooth_l1_loss(taken, torch.from_numpy(gain[indices]), beta=0.1)

    train(network, loss_of, steps=steps, seed=derive_seed(seed, "preview"), progress=progress)
    return network


def gains(plays: Plays, potential: Floats, died: NDArray[np.bool_]) -> Floats:
    """Return what is gained within the next steps from each frame on, [F]; a bad end counts as a loss."""
    indices = np.arange(len(plays.frames))
    ahead = plays.neighbours(indices, PREVIEW_STEPS)
    gain = potential[ahead] - potential
    play = np.searchsorted(plays.starts, indices, side="right") - 1
    lost = died[play] & (indices + PREVIEW_STEPS >= plays.stops[play] - 1)
    return np.where(lost, DEATH, np.clip(gain, DEATH, -DEATH)).astype(np.float32)


class Ridge:
    """Ridge regression of 16 x 16 pixels on t/T: the baseline that every figure stands beside.

    Args:
        frames: uint8 [N, 64, 64, 3], to learn from.
        wanted: What they should be at, [N].
        weights: How much each counts, [N]; ``None`` for all alike.
        penalty: On the coefficients.
    """

    def __init__(
        self,
        frames: NDArray[np.uint8],
        wanted: NDArray[np.float64],
        *,
        weights: NDArray[np.float64] | None = None,
        penalty: float = 30.0,
    ) -> None:
        x = self._pixels(frames)
        share = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()
        self._mean, self._level = share @ x, float(share @ wanted)
        centred = x - self._mean
        weighted = centred * (share * len(x))[:, None]
        gram = weighted.T @ centred + penalty * np.eye(x.shape[1])
        self._weights = np.linalg.solve(gram, weighted.T @ (wanted - self._level))

    @classmethod
    def on_time(cls, plays: Plays) -> Ridge:
        """Return the regression of recordings' frames on t/T."""
        return cls(plays.frames, plays.time() / np.repeat(np.maximum(plays.lengths - 1, 1), plays.lengths))

    def linear(self) -> tuple[NDArray[np.float64], float]:
        """Return its coefficients, [768], and what it says of a black frame."""
        return self._weights, self._level - float(self._mean @ self._weights)

    def __call__(self, frames: NDArray[np.uint8]) -> Floats:
        """Return what fraction of a recording frames seem to be at, [N]."""
        found = (self._pixels(frames) - self._mean) @ self._weights + self._level
        return np.asarray(found.astype(np.float32))

    @staticmethod
    def _pixels(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        blocks = frames.reshape(len(frames), 16, 4, 16, 4, 3).mean(axis=(2, 4))
        return np.asarray(blocks.reshape(len(frames), -1) / 255.0)


def compare(good: Plays, good_scores: Floats, bad: Plays, bad_scores: Floats) -> Figures:
    """Say how scores order recordings and tell them from random play.

    A play's value is what its score has gained since its beginning, as reward is paid on differences.
    """
    goods = [good_scores[a:b] - good_scores[a] for a, b in zip(good.starts, good.stops, strict=True)]
    bads = [bad_scores[a:b] - bad_scores[a] for a, b in zip(bad.starts, bad.stops, strict=True)]
    wins, pairs = 0.0, 0
    for one in goods:
        for other in bads:
            count = min(len(one), len(other))
            apart = one[1:count] - other[1:count]
            wins += float((apart > 0).sum() + 0.5 * (apart == 0).sum())
            pairs += len(apart)
    return Figures(_mean_voc(goods), _mean_voc(bads), wins / pairs if pairs else 0.5)


def _mean_voc(plays: Sequence[Floats]) -> float:
    found = [voc(one) for one in plays if len(one) > 2]
    return float(np.mean(found)) if found else 0.0


def voc(scores: Floats) -> float:
    """Return Spearman's correlation of scores with time; 0 where they never change."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    return 0.0 if np.ptp(ranks) == 0 else float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])


def _asked(network: Any, plays: Plays) -> Floats:
    """Return what a network that is shown single frames says of all of them."""
    torch = require_torch()
    feed = Feed("progress", plays, seed=0)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(plays.frames), 256):
            indices = np.arange(start, min(start + 256, len(plays.frames)))
            parts.append(network(feed(indices, vary=False)).numpy())
    return np.concatenate(parts).astype(np.float32)
