"""Recovers what was done in a video by trying: every action from the same state, and the best fitting frame.

Where the level of a recording can be played (it is one of those kept for recordings) and the game can go
back, this is inverse dynamics without a network: from the state that the recording seems to be in, each
action is played once, and the one whose frame is nearest to the next one was it. Actions that lead to
equal frames share the label. As soon as no frame fits, the track is lost: the network has to say the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.core.protocols import Environment
from lookalike.experts.visual_data import Plays
from lookalike.rewards.visual_network import Floats, fitted

SLACK = 2.5
"""How many times as far as at the beginning the nearest frame may be before the track is lost."""
LEAST_FOLLOWED = 0.5
"""Share of a recording that must be followed for any of it to count."""
LEAST_SLACK = 3.0
"""Grey levels, of 256, that it may be off in any case."""


def recover_by_trying(
    environment: Environment,
    plays: Plays,
    levels: Sequence[int | None],
    names: tuple[str, ...],
    *,
    most_steps: int,
    first: Sequence[int] = (),
    progress: Callable[[float], None] | None = None,
) -> Floats:
    """Return what was done in recordings whose level is known, as far as it can be followed.

    Args:
        environment: With ``save_restore``; reset here, not closed.
        plays: The recordings.
        levels: Their levels; ``None`` where not known.
        names: The actions.
        most_steps: Environment steps in all; what is beyond is not recovered.
        first: Recordings that are followed before the others: those that figures are taken on.
        progress: Called with the finished fraction, 0 to 1.

    Returns:
        Probabilities [F, actions], zero where nothing was recovered.
    """
    labels = np.zeros((len(plays.frames), len(names)), np.float32)
    if "save_restore" not in environment.capabilities:
        return labels
    left = most_steps
    others = [number for number in range(len(levels)) if number not in set(first)]
    for done, number in enumerate((*first, *others), 1):
        level = levels[number]
        start, stop = int(plays.starts[number]), int(plays.stops[number])
        if level is None or left <= 0:
            continue
        own = labels[start:stop]
        tried = _follow(environment, plays.frames[start:stop], level, names, most=left, labels=own)
        left -= tried
        if progress is not None:
            progress(done / len(levels))
    return labels


def _follow(
    environment: Environment,
    frames: NDArray[np.uint8],
    level: int,
    names: tuple[str, ...],
    *,
    most: int,
    labels: Floats,
) -> int:
    """Fill in the labels of one recording; return the steps that were taken."""
    first = environment.reset(seed=level).frame
    if first is None:
        return 0
    allowed = max(LEAST_SLACK, SLACK * _apart(first, frames[0]))
    done, last = 0, -1
    for step in range(len(frames) - 1):
        if done + len(names) > most:
            break
        saved = environment.save()
        final = step == len(frames) - 2
        distances = np.full(len(names), np.inf)
        seen: list[bytes] = []
        for number, name in enumerate(names):
            environment.restore(saved)
            result = environment.step(name)
            over = result.terminated or result.truncated
            frame = result.observation.frame
            seen.append(b"" if frame is None else frame.tobytes())
            if frame is not None and (final or not over):
                # At the end the frame is repeated, whatever was done: an action that ends it is preferred.
                distances[number] = _apart(frame, frames[step + 1]) - (1e-3 if final and over else 0.0)
        done += len(names)
        best = int(np.argmin(distances))
        if not np.isfinite(distances[best]) or distances[best] > allowed:
            if step < LEAST_FOLLOWED * (len(frames) - 1):
                labels[:step] = 0.0  # levels can begin alike: it was another one
            break
        same = [n for n in range(len(names)) if distances[n] == distances[best] and seen[n] == seen[best]]
        labels[step, same] = 1.0 / len(same)
        last = last if last in same else same[0]
        environment.restore(saved)
        environment.step(names[last])
    return done


def _apart(frame: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    small = fitted(frame[None])[0].astype(np.int16)
    return float(np.abs(small - other.astype(np.int16)).mean())
