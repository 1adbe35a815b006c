"""Finds the pixels that tell the time: what changes with the clock and not with the play.

A pixel is clock-like in a set of plays where it moves over time, and moves alike in all of them: the variance
between times is large and the variance between plays at one time is small, whatever the play. Such a pixel
rises in good and bad play alike, so a network that ranks frames by time would need nothing else.

A clock that is drawn over the recordings alone (a speed-runner's timer) is found in them alone; one that the
game itself shows is found in the swarm's own play as well. The first must be masked because own play shows
nothing there at all, which would give every recording away. So does whatever else is drawn over recordings
and stands still: a clock's frame and first figures, a logo. It is the same in recordings of different levels
while own play shows something else there, and is masked too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.experts.visual_data import LEAST_JUMP, Plays, spread
from lookalike.rewards.visual_network import SIZE

LEAST_PLAYS = 6
"""Of fewer plays nothing can be told: three of them agree by chance."""
LEAST_CHANGE = 8.0
"""Standard deviation over time, in grey levels of 256, below which a pixel does not move."""
SHARE = 0.7
"""Share of a pixel's variance that time must explain."""
MOST_MASKED = 0.25
"""Share of the picture beyond which it is no clock but the game itself that moves with time."""
STILL = 0.99
"""Share of the recordings' frames in which a pixel that stands still is as it usually is."""
OTHERWISE = 0.4
"""Share of own play's frames, at least, in which it is another one where it was drawn over the recordings."""
_SLACK, _APART = 8.0, 12.0
"""Grey levels, of 256, within which a video shows the same, and beyond which it is something else."""
_SAMPLE = 1_500
_GRID = 48
_GROWN = 2


@dataclass(frozen=True)
class Clock:
    """Pixels that tell the time, and what else is drawn over the recordings.

    Attributes:
        mask: bool [64, 64]; they and their neighbours.
        pixels: How many tell the time, before the neighbours.
        box: Left, top, right, bottom of the mask in pixels of 64, the last two exclusive; ``None`` where
            nothing was found.
        in_own_play: The swarm's own play shows the clock as well: it belongs to the game.
        still: How many stand still in the recordings alone.
    """

    mask: NDArray[np.bool_]
    pixels: int
    box: tuple[int, int, int, int] | None
    in_own_play: bool
    still: int = 0

    def sentence(self) -> str:
        """Return what was found, in words."""
        if self.box is None:
            return "No pixels were found that tell the time."
        whose = "the game's own" if self.in_own_play else "drawn over the recordings"
        found = [f"{self.pixels} of {SIZE * SIZE} pixels tell the time ({whose})"] if self.pixels else []
        found += [f"{self.still} stand still in the recordings and not in own play"] if self.still else []
        left, top, right, bottom = self.box
        return (
            f"{', '.join(found)}, within columns {left} to {right - 1} and rows {top} to {bottom - 1} of "
            f"{SIZE}; they are masked."
        )


def find_clock(watched: Plays, own: Plays) -> Clock:
    """Find the pixels that tell the time in recordings, and in own play where it shows them too.

    Args:
        watched: Recordings; with fewer than six, nothing can be told.
        own: Own random play.
    """
    moving = _if_few(time_explains(watched))
    still = _if_few(stands_still(watched, own))
    found = moving | still
    if not found.any():
        return _nothing()
    own_explained = time_explains(own) if moving.any() else None
    shared = own_explained is not None and float(own_explained[moving].mean()) > 0.5
    mask = _grown(found)
    rows, columns = np.nonzero(mask)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    return Clock(mask, int(moving.sum()), box, shared, int((still & ~moving).sum()))


def stands_still(watched: Plays, own: Plays) -> NDArray[np.bool_] | None:
    """Return bool [64, 64]: pixels that are the same in recordings of different levels, and not in own play.

    ``None`` where fewer than six recordings begin differently: a level's background stands still as well.
    """
    if not len(own.frames) or not _begin_differently(watched):
        return None
    shown, others = (
        plays.frames[spread(len(plays.frames), _SAMPLE)].mean(axis=3, dtype=np.float32)
        for plays in (watched, own)
    )
    usual = np.median(shown, axis=0)
    same = (np.abs(shown - usual) <= _SLACK).mean(axis=0) >= STILL
    return np.asarray(same & ((np.abs(others - usual) > _APART).mean(axis=0) >= OTHERWISE))


def _begin_differently(plays: Plays) -> bool:
    """Return whether at least six of the plays have beginnings that differ from each other."""
    different: list[NDArray[np.int16]] = []
    for start in plays.starts.tolist():
        frame = plays.frames[start].astype(np.int16)
        if all(np.abs(frame - other).mean() >= LEAST_JUMP for other in different):
            different.append(frame)
        if len(different) == LEAST_PLAYS:
            return True
    return False


def _if_few(found: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Return what was found, or nothing where it is too much of the picture to be drawn over it."""
    if found is None or found.mean() > MOST_MASKED:
        return np.zeros((SIZE, SIZE), bool)
    return found


def time_explains(plays: Plays) -> NDArray[np.bool_] | None:
    """Return bool [64, 64]: pixels that move over time, alike in all plays; ``None`` with too few plays."""
    if len(plays) < LEAST_PLAYS:
        return None
    enough = max(LEAST_PLAYS, -(-len(plays) // 2))
    length = int(np.sort(plays.lengths)[-enough])
    long = [p for p in range(len(plays)) if plays.lengths[p] >= length][:_GRID]
    if len(long) < LEAST_PLAYS or length < 8:
        return None
    times = spread(length, _GRID)
    seen = np.stack([plays.frames[plays.starts[p] + times].mean(axis=3) for p in long])  # [P, T, 64, 64]
    over_time = seen.mean(axis=0).var(axis=0)
    between_plays = seen.var(axis=0).mean(axis=0) / max(1 - 1 / len(long), 1e-9)
    # The mean over plays still holds 1/P of their variance: without taking it off, noise looks like time.
    over_time = np.maximum(over_time - between_plays / len(long), 0.0)
    share = over_time / np.maximum(over_time + between_plays, 1e-9)
    return np.asarray((share >= SHARE) & (np.sqrt(over_time) >= LEAST_CHANGE))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    grown = mask.copy()
    padded = np.pad(mask, _GROWN)
    for dy in range(2 * _GROWN + 1):
        for dx in range(2 * _GROWN + 1):
            grown |= padded[dy : dy + SIZE, dx : dx + SIZE]
    return grown


def _nothing() -> Clock:
    return Clock(np.zeros((SIZE, SIZE), bool), 0, None, in_own_play=False)
