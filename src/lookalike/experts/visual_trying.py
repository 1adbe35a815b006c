"""Recovers what was done in a video by trying: every action from the same state, and the best fitting frame.

Where the level of a recording can be played (it is one of those kept for recordings) and the game can go
back, this is inverse dynamics without a network: from the state that the recording seems to be in, each
action is played once, and the one whose frame is nearest to the next one was it. Actions that lead to
equal frames share the label, and where two fit about as well both are followed. As soon as no frame fits, the
track is lost: the network has to say the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
TIE = 0.05
"""Grey levels within which two frames fit about as well: on at least 40 of 1,129 steps of climber the right
one was up to 0.02 further off than another."""
APART = 0.5
"""Grey levels, all steps together, beyond which a track is given up for a nearer one."""
MOST_TRACKS = 4
ENDS = 0.1
"""Grey levels by which an action that ends the game is preferred where the recording ends."""


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


@dataclass(frozen=True, eq=False)
class _Track:
    """Where a recording may be, and how it came there.

    Attributes:
        state: The game's.
        last: What was done last.
        off: How far the frames on the way were off, in grey levels, all steps together.
        same: Actions that lead here from the step before, all alike.
        before: The track up to the step before; ``None`` at the beginning.
    """

    state: bytes
    last: int = -1
    off: float = 0.0
    same: tuple[int, ...] = ()
    before: _Track | None = None

    def way(self) -> list[tuple[int, ...]]:
        """Return the actions that lead here, step by step from the beginning."""
        steps: list[tuple[int, ...]] = []
        track = self
        while track.before is not None:
            steps.append(track.same)
            track = track.before
        return steps[::-1]


@dataclass(frozen=True, eq=False)
class _Next:
    """A frame that some of the actions lead to from a track.

    Attributes:
        track: From where.
        actions: Which of them.
        off: How far the frame is off.
    """

    track: _Track
    actions: tuple[int, ...]
    off: float


def _follow(
    environment: Environment,
    frames: NDArray[np.uint8],
    level: int,
    names: tuple[str, ...],
    *,
    most: int,
    labels: Floats,
) -> int:
    """Fill in the labels of one recording; return the steps that were taken.

    Where two frames fit about as well, both are followed until one of them is further off.
    """
    first = environment.reset(seed=level).frame
    if first is None:
        return 0
    allowed = max(LEAST_SLACK, SLACK * _apart(first, frames[0]))
    tracks, done, steps = [_Track(environment.save())], 0, len(frames) - 1
    for step in range(steps):
        if done + len(names) * len(tracks) > most:
            break
        final = step == steps - 1
        wanted = frames[step + 1]
        found = [one for track in tracks for one in _tried(environment, track, wanted, names, final)]
        done += len(names) * len(tracks)
        if min((one.off for one in found), default=np.inf) > allowed:
            if step < LEAST_FOLLOWED * steps:
                return done  # levels can begin alike: it was another one
            break
        found.sort(key=lambda one: one.track.off + one.off)
        least = found[0].track.off + found[0].off
        found = [one for one in found if one.track.off + one.off <= least + APART][:MOST_TRACKS]
        tracks = [_gone_on(environment, one, names) for one in found]
    for step, same in enumerate(tracks[0].way()):
        labels[step, list(same)] = 1.0 / len(same)
    return done


def _tried(
    environment: Environment, track: _Track, wanted: NDArray[np.uint8], names: tuple[str, ...], final: bool
) -> list[_Next]:
    """Try every action; return the frames that fit about as well as the nearest.

    One that ends the game too early is left out.
    """
    by_frame: dict[bytes, tuple[float, list[int]]] = {}
    for number, name in enumerate(names):
        environment.restore(track.state)
        result = environment.step(name)
        over, frame = result.terminated or result.truncated, result.observation.frame
        if frame is None or (over and not final):
            continue
        # At the end the frame is repeated, whatever was done: an action that ends it is preferred.
        key = frame.tobytes() + (b"over" if over else b"")
        if key not in by_frame:
            by_frame[key] = (_apart(frame, wanted) - (ENDS if over else 0.0), [])
        by_frame[key][1].append(number)
    nearest = min((off for off, _ in by_frame.values()), default=np.inf)
    return [_Next(track, tuple(same), off) for off, same in by_frame.values() if off <= nearest + TIE]


def _gone_on(environment: Environment, found: _Next, names: tuple[str, ...]) -> _Track:
    """Play one of the actions, the last one again where it is among them."""
    track, same = found.track, found.actions
    last = track.last if track.last in same else same[0]
    environment.restore(track.state)
    environment.step(names[last])
    return _Track(environment.save(), last, track.off + found.off, same, track)


def _apart(frame: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    small = fitted(frame[None])[0].astype(np.int16)
    return float(np.abs(small - other.astype(np.int16)).mean())
