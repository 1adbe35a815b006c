"""Frames in words, for language models that read: what moves, where, in which colours, how far along.

What is seen is found by comparing two frames; how far along it is, and whether that changed, is the visual
expert's. No object is named: nobody told the program what things are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lookalike.core.protocols import Player
from lookalike.core.types import Frame, Observation, Proposal, Role, Situation, Transition
from lookalike.rewards.visual_network import VisualModel, fitted

MOST_THINGS = 4
_CELL = 4
_CHANGED = 24
_SCROLLED = 0.5
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
_COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (220, 40, 40),
    "green": (50, 180, 60),
    "blue": (50, 80, 220),
    "yellow": (230, 210, 50),
    "orange": (240, 140, 40),
    "purple": (150, 60, 180),
    "brown": (130, 85, 45),
    "cyan": (70, 200, 220),
    "pink": (240, 150, 190),
}


@dataclass(frozen=True)
class Thing:
    """Something that changed between two frames.

    Attributes:
        row: Of its middle, in [0, 1] from the top.
        column: Likewise, from the left.
        size: Share of the frame that it covers.
        colour: The nearest colour that has a name.
    """

    row: float
    column: float
    size: float
    colour: str

    def words(self) -> str:
        """Return it in words, e.g. ``"red at the top left"``."""
        row, column = _ROWS[min(2, int(3 * self.row))], _COLUMNS[min(2, int(3 * self.column))]
        if (row, column) == ("middle", "centre"):
            return f"{self.colour} in the centre"
        return f"{self.colour} at the {row} {column}"


def moving_things(frame: Frame, before: Frame) -> tuple[list[Thing], bool]:
    """Return what changed between two frames, largest first, and whether the whole view moved."""
    now, then = (fitted(one[None])[0].astype(np.int16) for one in (frame, before))
    blocks = np.abs(now - then).max(axis=2).reshape(64 // _CELL, _CELL, 64 // _CELL, _CELL).max(axis=(1, 3))
    changed = blocks >= _CHANGED
    if changed.mean() > _SCROLLED:
        return [], True
    things = []
    for cells in _groups(changed):
        rows, columns = cells[:, 0], cells[:, 1]
        pixels = np.concatenate(
            [
                now[r * _CELL : (r + 1) * _CELL, c * _CELL : (c + 1) * _CELL].reshape(-1, 3)
                for r, c in cells.tolist()
            ]
        )
        middle = (rows.mean() + 0.5) / len(changed), (columns.mean() + 0.5) / len(changed)
        things.append(Thing(float(middle[0]), float(middle[1]), len(cells) / changed.size, _colour(pixels)))
    return sorted(things, key=lambda thing: -thing.size)[:MOST_THINGS], False


def describe_frame(model: VisualModel, frame: Frame, before: Frame | None, *, began_at: float = 0.0) -> str:
    """Return a frame in two or three short sentences.

    Args:
        model: The visual expert's networks.
        frame: The present one.
        before: The one before; ``None`` at the beginning.
        began_at: Learned potential of the play's first frame.
    """
    found = model.progress(np.stack([frame, frame if before is None else before]))
    share = round(100 * float(np.clip(found.potential[0] - began_at, 0, 1)))
    sentences = [f"{share}% of the way, about {max(0, round(float(found.steps_left[0])))} steps left."]
    if before is None:
        return sentences[0]
    change = float(found.potential[0] - found.potential[1])
    if abs(change) >= 0.01:
        sentences.append("Further than before." if change > 0 else "Less far than before.")
    things, scrolled = moving_things(frame, before)
    if scrolled:
        sentences.append("The whole view moved.")
    elif not things:
        sentences.append("Nothing moved.")
    else:
        sentences.append(f"Moving: {', '.join(thing.words() for thing in things)}.")
    return " ".join(sentences)


class DescribedPlayer:
    """Lets a player that reads play a game on the screen: every frame comes with its description.

    Args:
        player: Who proposes.
        model: The visual expert's networks.
    """

    def __init__(self, player: Player, model: VisualModel) -> None:
        self.name = player.name
        self._player, self._model = player, model
        self._began_at: float | None = None

    def start_episode(self, *, seed: int) -> None:
        """Begin an episode."""
        self._began_at = None
        self._player.start_episode(seed=seed)

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return the player's proposals on a situation whose frames are described."""
        before = situation.history[-1][0].before.frame if situation.history else None
        first = before if before is not None else situation.observation.frame
        if self._began_at is None and first is not None:
            self._began_at = float(self._model.progress(first[None]).potential[0])
        described = replace(
            situation,
            observation=self._described(situation.observation, before),
            history=tuple(
                (self._transition(transition), value) for transition, value in situation.history[-1:]
            ),
        )
        return self._player.propose(described, roles, seed=seed)

    def _described(self, observation: Observation, before: Frame | None) -> Observation:
        if observation.frame is None or observation.text is not None:
            return observation
        words = describe_frame(self._model, observation.frame, before, began_at=self._began_at or 0.0)
        return replace(observation, text=words)

    def _transition(self, transition: Transition) -> Transition:
        return replace(
            transition,
            before=self._described(transition.before, None),
            after=self._described(transition.after, transition.before.frame),
        )


def _groups(changed: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the cells of every connected group (corners count), [K, 2] of row and column."""
    left = {(int(r), int(c)) for r, c in np.argwhere(changed)}
    groups = []
    while left:
        group, waiting = [], [left.pop()]
        while waiting:
            row, column = waiting.pop()
            group.append((row, column))
            for near in [(row + dr, column + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    waiting.append(near)
        groups.append(np.array(sorted(group), np.int64))
    return sorted(groups, key=lambda cells: (-len(cells), cells[0].tolist()))


def _colour(pixels: NDArray[np.int16]) -> str:
    """Return the name of the colour that most of a thing's lively pixels have."""
    spread = pixels.max(axis=1) - pixels.min(axis=1)
    lively = pixels[spread >= np.quantile(spread, 0.5)]
    middle = np.median(lively, axis=0)
    return min(_COLOURS, key=lambda name: float(((middle - np.array(_COLOURS[name])) ** 2).sum()))
