"""Small environments for tests: one honest game in three costumes, and one for every way to go wrong.

``TinyEnvironment`` is honest. The faulty ones (``lookalike.testing.faults``) hang, die, leak or answer
nonsense where they are told to; a worker must survive them. The others break exactly one promise each, and
``check_environment`` must catch every one of them.
"""

from __future__ import annotations

import random
import time

import numpy as np

from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Frame, Observation
from lookalike.testing.faults import (
    DyingEnvironment,
    Fault,
    FaultyEnvironment,
    HangingEnvironment,
    LeakingEnvironment,
    MalformedEnvironment,
    make_faulty,
)
from lookalike.testing.tiny import (
    COMMANDS,
    ROOMS,
    FramedTinyEnvironment,
    NoisyTinyEnvironment,
    TinyEnvironment,
)

__all__ = [
    "BoastingEnvironment",
    "ChangingFrameEnvironment",
    "DyingEnvironment",
    "Fault",
    "FaultyEnvironment",
    "ForgetfulEnvironment",
    "FramedTinyEnvironment",
    "HangingEnvironment",
    "LeakingEnvironment",
    "MalformedEnvironment",
    "MiscountingEnvironment",
    "NoisyTinyEnvironment",
    "RaisingEnvironment",
    "ReusedFrameEnvironment",
    "SharedStateEnvironment",
    "SlammingEnvironment",
    "StatefulBeyondSaveEnvironment",
    "TinyEnvironment",
    "UnseededEnvironment",
    "UnsortedActionsEnvironment",
    "make_faulty",
]


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
    _shared_room = ROOMS // 2

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
        known = {command: command for command in COMMANDS}
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
        self._buffer = np.zeros((16, 4 * ROOMS, 3), dtype=np.uint8)

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
