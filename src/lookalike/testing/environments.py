"""Small environments for tests: one honest game in three costumes, and one for every way to go wrong.

``TinyEnvironment`` is quick, whole (it can be lost in, won, saved and restored) and needs nothing. The others
break exactly one promise each; ``check_environment`` or the worker must catch every one of them.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Frame, Observation

_ROOMS = 7
_COMMANDS = ("left", "look", "open door", "right", "take key")


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
        self._room = _ROOMS // 2
        self._key_room: int | None = 0
        self._door_room = 0
        self._has_key = False
        self._open = False

    def reset(self, *, seed: int) -> Observation:
        """Place the key and the door."""
        self._random = random.Random(seed)
        self._room = _ROOMS // 2
        self._key_room = self._random.choice([room for room in range(_ROOMS) if room != self._room])
        self._door_room = self._random.choice([0, _ROOMS - 1])
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
        return () if self._open else _COMMANDS

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
            if not 0 <= room < _ROOMS:
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
        frame = np.zeros((16, 4 * _ROOMS, 3), dtype=np.uint8)
        columns = [slice(4 * room, 4 * room + 4) for room in range(_ROOMS)]
        frame[:, columns[self._door_room], 2] = 255
        if self._key_room is not None:
            frame[12:, columns[self._key_room], 1] = 255
        frame[4:12, columns[self._room], 0] = 255
        return frame


class HangingEnvironment(TinyEnvironment):
    """Answers ``hang`` never."""

    id = "tiny-hanging"

    def step(self, action: str) -> StepResult:
        """Play one command, or sleep for an hour."""
        if action == "hang":
            time.sleep(3600)
        return super().step(action)


class DyingEnvironment(TinyEnvironment):
    """Ends its process: ``abort`` as a failed C assertion does, ``exit`` with status 3."""

    id = "tiny-dying"

    def step(self, action: str) -> StepResult:
        """Play one command, or end the process."""
        if action == "abort":
            os.abort()
        if action == "exit":
            os._exit(3)
        return super().step(action)


class LeakingEnvironment(TinyEnvironment):
    """Keeps 64 MiB of every step."""

    id = "tiny-leaking"

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[bytearray] = []

    def step(self, action: str) -> StepResult:
        """Play one command and forget to free what it took."""
        self._kept.append(bytearray(64 << 20))
        return super().step(action)


class MalformedEnvironment(TinyEnvironment):
    """Answers some commands with something that is no observation."""

    id = "tiny-malformed"

    def step(self, action: str) -> StepResult:
        """Return what the action names: ``bytes``, ``dict``, ``none``, ``nan``, ``info``; else play it."""
        wrong: dict[str, Any] = {
            "bytes": StepResult(_forged(text=b"bytes")),
            "dict": {"text": "a dictionary"},
            "none": None,
            "nan": StepResult(Observation(text="ok"), env_reward=float("nan")),
            "info": StepResult(Observation(text="ok"), info={"set": {1, 2}}),
            "frame": StepResult(_forged(frame=np.zeros((4, 4), dtype=np.float64))),
        }
        if action in wrong:
            return cast("StepResult", wrong[action])
        return super().step(action)


def _forged(*, text: object = None, frame: object = None) -> Observation:
    """Make an observation past its own checks, as ill-typed code can."""
    observation = Observation(text="")
    object.__setattr__(observation, "text", text)
    object.__setattr__(observation, "frame", frame)
    return observation


class UnseededEnvironment(NoisyTinyEnvironment):
    """Takes its randomness from the clock."""

    id = "tiny-unseeded"

    def reset(self, *, seed: int) -> Observation:
        """Ignore the seed."""
        observation = super().reset(seed=seed)
        self._random = random.Random(time.perf_counter_ns())
        return observation


class SharedStateEnvironment(TinyEnvironment):
    """Keeps its room on the class, so that two instances move each other."""

    id = "tiny-shared"
    _shared_room = _ROOMS // 2

    @property
    def _room(self) -> int:
        return SharedStateEnvironment._shared_room

    @_room.setter
    def _room(self, room: int) -> None:
        SharedStateEnvironment._shared_room = room


class ForgetfulEnvironment(NoisyTinyEnvironment):
    """Saves the world but not the random generator."""

    id = "tiny-forgetful"

    def restore(self, state: bytes) -> None:
        """Restore all but the randomness."""
        now = self._random.getstate()
        super().restore(state)
        self._random.setstate(now)


class StatefulBeyondSaveEnvironment(TinyEnvironment):
    """Counts steps into its text and does not save the count."""

    id = "tiny-beyond-save"
    _count = 0

    def step(self, action: str) -> StepResult:
        """Play one command; every tenth is announced."""
        result = super().step(action)
        self._count += 1
        if self._count % 10:
            return result
        return StepResult(Observation(text=f"{result.observation.text} Time passes."), result.env_reward)

    def reset(self, *, seed: int) -> Observation:
        """Start counting anew."""
        self._count = 0
        return super().reset(seed=seed)


class RaisingEnvironment(TinyEnvironment):
    """Raises KeyError for a command it does not know."""

    id = "tiny-raising"

    def step(self, action: str) -> StepResult:
        """Look the command up without asking whether it is there."""
        known = {command: command for command in _COMMANDS}
        return super().step(known[action])


class UnsortedActionsEnvironment(TinyEnvironment):
    """Offers its actions unsorted, and one twice."""

    id = "tiny-unsorted"

    def admissible_actions(self) -> tuple[str, ...]:
        """Return the commands in an order that says something."""
        return ("take key", "open door", "left", "right", "left")


class BoastingEnvironment(TinyEnvironment):
    """Declares frames and never shows one."""

    id = "tiny-boasting"
    capabilities: frozenset[Capability] = TinyEnvironment.capabilities | {"frames"}


class ReusedFrameEnvironment(FramedTinyEnvironment):
    """Hands out one buffer and draws into it at every step."""

    id = "tiny-reused-frame"

    def __init__(self) -> None:
        super().__init__()
        self._buffer = np.zeros((16, 4 * _ROOMS, 3), dtype=np.uint8)

    def _draw(self) -> Frame:
        self._buffer[...] = super()._draw()
        return self._buffer


class ChangingFrameEnvironment(FramedTinyEnvironment):
    """Shows a smaller picture in every other room."""

    id = "tiny-changing-frame"

    def _draw(self) -> Frame:
        frame = super()._draw()
        return frame[:8] if self._room % 2 else frame


class MiscountingEnvironment(TinyEnvironment):
    """Pays ten points for the key where the score says one."""

    id = "tiny-miscounting"

    def step(self, action: str) -> StepResult:
        """Play one command and pay ten times over."""
        result = super().step(action)
        return StepResult(result.observation, 10 * result.env_reward, result.terminated)


class SlammingEnvironment(TinyEnvironment):
    """Raises when it is closed a second time."""

    id = "tiny-slamming"
    _closed = False

    def close(self) -> None:
        """Close once only."""
        if self._closed:
            raise RuntimeError("already closed")
        self._closed = True
