"""Good ends and bad ones: what a game looks like where recordings end it, and where it ends otherwise.

That an episode is over can be seen; whether it ended well cannot. A few recordings show a few good ends and
no bad one, and own play mixes both without saying which is which. Where the game can go back, the recordings'
own path tells them apart: from its last steps on, what ends the game soon is the end that the recording came
to; from a place that is still far from there, what ends the game at once is a bad end. No score is looked at.

Recordings that stop while the game goes on know no good end: then no end is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.protocols import Environment
from lookalike.core.seeds import derive_seed, generator
from lookalike.experts.visual_data import UNKNOWN, Plays, as_video, held_actions, pack
from lookalike.experts.visual_training import Feed, train
from lookalike.rewards.visual_network import (
    NO_END,
    Floats,
    Frames,
    build_network,
    end_frames,
    fitted,
    require_torch,
)

NEAR = 4
"""Steps before a recording's end from which what ends the game is its end."""
HURRY = 0.5
"""Share of the steps that the recording still takes within which nobody else can be where it ends."""
_LONGEST, _HELD_STEPS = 14, 4.0
_EVERY, _PLAYS = 6, 24
SURE = 0.95
"""Probability that the network is to give good ends, so that a few levels do not make it surer than that."""
_WAYS, _FREE = 0.3, 0.75
LEAST_BAD = 2
"""Bad ends beside the recordings' paths from which on the game is one that can end badly."""


@dataclass(frozen=True)
class SeenEnds:
    """Ends of the game whose kind is known.

    Attributes:
        plays: Their last steps, as a video would show them.
        good: bool [P].
        recording: Which recording's path each was found on, [P].
        over: Share of the followed recordings whose last step ends the game; ``None`` where none could be
            followed to its end.
        forced: Of each recording whose last step ends the game, the share of actions that would have.
    """

    plays: Plays
    good: NDArray[np.bool_]
    recording: NDArray[np.int64]
    over: float | None
    forced: tuple[float, ...] = ()


@dataclass(frozen=True)
class LearnedEnds:
    """A network that tells good ends from bad ones.

    Attributes:
        network: See ``rewards.visual_network``; ``None`` where there was nothing to learn it from.
        threshold: End score from which an end counts as good.
        auc: How often a good end scores above a bad one, on paths that were not learned from; ``None`` where
            one of the kinds did not occur there.
        good: Good ends seen.
        bad: Bad ends seen.
        over: As in :class:`SeenEnds`.
        forced: Share of actions that end the game where three in four recordings end, or less: recordings go
            where they end, and what ends it whatever is done is another end. 1 where that tells nothing.
    """

    network: Any
    threshold: float
    auc: float | None
    good: int
    bad: int
    over: float | None
    forced: float = 1.0


def see_ends(
    environment: Environment,
    watched: Plays,
    levels: Sequence[int | None],
    labels: Floats,
    names: tuple[str, ...],
    *,
    seed: int,
    most_steps: int,
    progress: Callable[[float], None] | None = None,
) -> SeenEnds:
    """Look for ends on both sides of the recordings' paths.

    Args:
        environment: With ``save_restore``; reset here, not closed.
        watched: The recordings, one play a level.
        levels: Their levels; ``None`` where not known.
        labels: What ``visual_trying`` recovered, [F, actions].
        names: The actions.
        seed: Of the draws.
        most_steps: Steps in all.
        progress: Called with the finished fraction, 0 to 1.
    """
    looked = _Looked(environment, names, generator(seed, "ends"))
    if "save_restore" in environment.capabilities:
        share = max(1, most_steps // max(1, 2 * len(watched)))
        for number, level in enumerate(levels):
            start, stop = int(watched.starts[number]), int(watched.stops[number])
            if level is not None:
                looked.along(number, level, labels[start : stop - 1], most=share)
            if progress is not None:
                progress(0.5 * (number + 1) / len(levels))
        if (
            looked.good.count(False) >= LEAST_BAD
        ):  # it can end badly at all: chance does not end it well so soon
            for number, level in enumerate(levels):
                if level is not None:
                    looked.astray(number, level, int(watched.lengths[number]) - 1, most=share)
                if progress is not None:
                    progress(0.5 + 0.5 * (number + 1) / len(levels))
    packed = pack(looked.frames, [np.full(len(one), UNKNOWN, np.int64) for one in looked.frames], looked.good)
    shown = as_video(packed.frames) if len(packed) else packed.frames
    return SeenEnds(
        Plays(shown, packed.starts, packed.stops, packed.actions, packed.ended),
        np.array(looked.good, bool),
        np.array(looked.recording, np.int64),
        float(np.mean(looked.over)) if looked.over else None,
        tuple(looked.forced),
    )


class _Looked:
    """What was found so far."""

    def __init__(self, environment: Environment, names: tuple[str, ...], draw: np.random.Generator) -> None:
        self._game, self._names, self._draw = environment, names, draw
        self.frames: list[Frames] = []
        self.good: list[bool] = []
        self.recording: list[int] = []
        self.over: list[bool] = []
        self.forced: list[float] = []

    def along(self, number: int, level: int, labels: Floats, *, most: int) -> None:
        """Go along one recording, and leave its path here and there."""
        if not len(labels) or not (labels.sum(axis=1) > 0).all():
            return
        path, states, over = self._followed(level, labels)
        self.over.append(over)
        if not over or len(path) != len(labels) + 1:
            return
        self._keep(np.stack(path[-3:]), number, good=True)
        self.forced.append(self._share(states[-1]))
        done, length = 0, len(labels)
        near = [step for step in range(max(0, length - NEAR), length) for _ in range(4)]
        far = [step for step in range(0, length - NEAR, _EVERY) for _ in range(3)]
        steps = np.array(near + far)
        for step in steps[self._draw.permutation(len(steps))].tolist():  # a small share shows both kinds
            if done >= most:
                return
            left = length - step
            good = left <= NEAR
            limit = 2 * NEAR if good else min(_LONGEST, int(HURRY * left))
            done += self._leave(states[step], path[step], number, limit, good=good)

    def astray(self, number: int, level: int, length: int, *, most: int) -> None:
        """Play at random from a level's beginning, no longer than the recording needed for it."""
        first = self._game.reset(seed=level).frame
        if first is None:
            return
        saved, frame, done = self._game.save(), fitted(first[None])[0], 0
        for _ in range(_PLAYS):
            if done >= most:
                return
            done += self._leave(saved, frame, number, length, good=False)

    def _followed(self, level: int, labels: Floats) -> tuple[list[Frames], list[bytes], bool]:
        """Play what was recovered; return frames, the states before every step, and whether it is over."""
        first = self._game.reset(seed=level).frame
        path: list[Frames] = [] if first is None else [fitted(first[None])[0]]
        states: list[bytes] = []
        last, over = -1, False
        for likely in labels:
            same = np.nonzero(likely)[0].tolist()
            last = last if last in same else same[0]  # as it was recovered, see visual_trying
            states.append(self._game.save())
            result = self._game.step(self._names[last])
            if result.observation.frame is None:
                break
            path.append(fitted(result.observation.frame[None])[0])
            over = result.terminated
            if over:
                break
        return path, states, over

    def _share(self, state: bytes) -> float:
        """Return the share of actions that end the game at once."""
        over = []
        for name in self._names:
            self._game.restore(state)
            over.append(self._game.step(name).terminated)
        return float(np.mean(over))

    def _leave(self, state: bytes, frame: Frames, number: int, limit: int, *, good: bool) -> int:
        """Play at random from a state; keep what is seen where that ends the game."""
        self._game.restore(state)
        seen = [frame]
        held = held_actions(self._draw, len(self._names), steps=_HELD_STEPS)
        for step, action in zip(range(limit), held, strict=False):
            result = self._game.step(self._names[action])
            if result.observation.frame is None:
                break
            seen.append(fitted(result.observation.frame[None])[0])
            if result.terminated:
                self._keep(np.stack(seen[-3:]), number, good=good)
            if result.terminated or result.truncated:
                return step + 1
        return limit

    def _keep(self, frames: Frames, number: int, *, good: bool) -> None:
        self.frames.append(frames)
        self.good.append(good)
        self.recording.append(number)


def learn_ends(
    seen: SeenEnds,
    watched: Plays,
    *,
    held_out: Sequence[int],
    seed: int,
    steps: int,
    batch: int,
    progress: Callable[[float], None] | None = None,
) -> LearnedEnds:
    """Learn to tell good ends from bad ones, and from the way there.

    Args:
        seen: What :func:`see_ends` found.
        watched: The recordings; but for their last steps they show no end.
        held_out: Recordings whose paths are not learned from; they give the threshold.
        seed: Of the network's beginning and the batches.
        steps: Updates.
        batch: Frames of an update.
        progress: Called with the finished fraction, 0 to 1.
    """
    good, bad = int(seen.good.sum()), int((~seen.good).sum())
    if seen.over is not None and seen.over < 0.5:
        return LearnedEnds(None, NO_END, None, good, bad, seen.over)
    if good < 3:
        return LearnedEnds(None, math.nan, None, good, bad, seen.over)
    torch = require_torch()
    torch.manual_seed(derive_seed(seed, "ends network"))
    network = build_network("ends", 0)
    is_held = np.isin(seen.recording, list(held_out))
    ends = end_frames(seen.plays.frames, seen.plays.starts, seen.plays.stops)
    feeds = (
        Feed("ends", seen.plays, seed=derive_seed(seed, "ends feed")),
        Feed("ends", watched, seed=derive_seed(seed, "ways feed")),
    )
    mine, others = ends[seen.good & ~is_held], ends[~seen.good & ~is_held]
    left = np.repeat(watched.stops, watched.lengths) - 1 - np.arange(len(watched.frames))
    play = np.repeat(np.arange(len(watched)), watched.lengths)
    ways = np.nonzero((left > 2 * NEAR) & ~np.isin(play, list(held_out)))[0]
    if not len(mine) or not len(ways):
        return LearnedEnds(None, math.nan, None, good, bad, seen.over)
    third = max(8, batch // 3)

    def part(shown: Any, wanted: float) -> Any:
        answers = network(shown)
        return torch.nn.functional.binary_cross_entropy_with_logits(answers, torch.full_like(answers, wanted))

    def loss_of(draw: np.random.Generator) -> Any:
        loss = part(feeds[0](mine[draw.integers(len(mine), size=third)]), SURE)
        loss = loss + _WAYS * part(feeds[1](ways[draw.integers(len(ways), size=third)]), 1 - SURE)
        if len(others):
            loss = loss + part(feeds[0](others[draw.integers(len(others), size=third)]), 1 - SURE)
        return loss

    train(network, loss_of, steps=steps, seed=derive_seed(seed, "ends"), progress=progress)
    with torch.inference_mode():
        scores = network(feeds[0](ends, vary=False))[:, 0].numpy()
    tested = is_held if (seen.good & is_held).any() else ~is_held
    fine, poor = scores[tested & seen.good], scores[tested & ~seen.good]
    forced = float(np.quantile(seen.forced, _FREE)) if seen.forced else 1.0
    return LearnedEnds(network, _threshold(fine), _auc(fine, poor), good, bad, seen.over, forced)


def _threshold(good: Floats) -> float:
    """Return 0 (as likely good as bad), or less where half of the good ends would be lost."""
    return min(0.0, float(np.median(good))) if len(good) else 0.0


def _auc(good: Floats, bad: Floats) -> float | None:
    if not len(good) or not len(bad):
        return None
    apart = good[:, None] - bad[None]
    return float((apart > 0).mean() + 0.5 * (apart == 0).mean())
