"""The small honest game that tests play, in three costumes: quick, whole, and in need of nothing.

It can be lost in, won, saved and restored.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Frame, Observation

ROOMS = 7
COMMANDS = ("left", "look", "open door", "right", "take key")


class TinyEnvironment:
    """A corridor of seven rooms with a key in one and a locked door at an end; the seed says where.

    Action: ``left``, ``right``, ``take key``, ``open door``, ``look``. Observation: one or two sentences.
    Start: the middle room. Reward: 1 point for the key, 9 for the door. Terminated: the door is open.
    """

    id = "tiny"
    capabilities: frozenset[Capability] = frozenset(("text", "save_restore", "admissible_actions", "score"))
    how_to_play = "Commands: left, right, take key, open door, look."
    slip_probability = 0.0

    def __init__(self) -> None:
        self._random = random.Random(0)
        self._room = ROOMS // 2
        self._key_room: int | None = 0
        self._door_room = 0
        self._has_key = False
        self._open = False

    def reset(self, *, seed: int) -> Observation:
        """Place the key and the door."""
        self._random = random.Random(seed)
        self._room = ROOMS // 2
        self._key_room = self._random.choice([room for room in range(ROOMS) if room != self._room])
        self._door_room = self._random.choice([0, ROOMS - 1])
        self._has_key = self._open = False
        return self._observe()

    def step(self, action: str) -> StepResult:
        """Play one command."""
        before = self._points()
        if self._open:
            return StepResult(Observation(text="The game is over."), terminated=True)
        answer = self._play(" ".join(action.lower().split()))
        return StepResult(self._observe(answer), float(self._points() - before), terminated=self._open)

    def admissible_actions(self) -> tuple[str, ...]:
        """Return all commands of the game, or none once it is over."""
        return () if self._open else COMMANDS

    def save(self) -> bytes:
        """Return the whole state as JSON."""
        version, words, gauss = self._random.getstate()
        world = [self._room, self._key_room, self._door_room, self._has_key, self._open]
        return json.dumps({"world": world, "random": [version, list(words), gauss]}).encode()

    def restore(self, state: bytes) -> None:
        """Go back to a saved state."""
        data = json.loads(state)
        self._room, self._key_room, self._door_room, self._has_key, self._open = data["world"]
        version, words, gauss = data["random"]
        self._random.setstate((version, tuple(words), gauss))

    def facts(self) -> Mapping[str, Any]:
        """Return ``score``, ``place`` (0 to 6), ``inventory``, ``won``."""
        return {
            "score": self._points(),
            "place": self._room,
            "inventory": ["key"] if self._has_key else [],
            "won": self._open,
        }

    def close(self) -> None:
        """Do nothing."""

    def _points(self) -> int:
        return (1 if self._has_key or self._open else 0) + (9 if self._open else 0)

    def _play(self, command: str) -> str:
        if command in ("left", "right"):
            if self.slip_probability and self._random.random() < self.slip_probability:
                return "You slip and stay where you are."
            room = self._room + (1 if command == "right" else -1)
            if not 0 <= room < ROOMS:
                return "There is a wall."
            self._room = room
            return ""
        if command == "take key" and self._key_room == self._room:
            self._key_room, self._has_key = None, True
            return "Taken."
        if command == "open door" and self._room == self._door_room:
            self._open = self._has_key
            return "The door opens." if self._open else "The door is locked."
        return "" if command == "look" else "That does nothing here."

    def _observe(self, answer: str = "") -> Observation:
        sentences = [answer, f"You are in room {self._room}."]
        if self._key_room == self._room:
            sentences.append("A key lies here.")
        if self._door_room == self._room:
            sentences.append("There is a door.")
        return Observation(text=" ".join(sentence for sentence in sentences if sentence))


class NoisyTinyEnvironment(TinyEnvironment):
    """The same game on ice: one move in four slips. Its randomness must survive save and restore."""

    id = "tiny-noisy"
    slip_probability = 0.25


class FramedTinyEnvironment(TinyEnvironment):
    """The same game in pictures: uint8 [16, 28, 3], four columns a room."""

    id = "tiny-framed"
    capabilities: frozenset[Capability] = TinyEnvironment.capabilities | {"frames"}

    def _observe(self, answer: str = "") -> Observation:
        return Observation(text=super()._observe(answer).text, frame=self._draw())

    def _draw(self) -> Frame:
        frame = np.zeros((16, 4 * ROOMS, 3), dtype=np.uint8)
        columns = [slice(4 * room, 4 * room + 4) for room in range(ROOMS)]
        frame[:, columns[self._door_room], 2] = 255
        if self._key_room is not None:
            frame[12:, columns[self._key_room], 1] = 255
        frame[4:12, columns[self._room], 0] = 255
        return frame
