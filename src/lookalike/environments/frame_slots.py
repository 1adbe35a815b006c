"""Frames of a batch in memory that both processes see, so that they need not go through the socket.

Each member has a slot. The worker writes a member's frame there before it answers, and writes there again
only when it is asked again; so the caller, who reads after the answer, never meets half a frame. What is in a
slot is bytes and nothing else: a game that ran wild can spoil its picture, no more.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lookalike.core.protocols import StepResult
from lookalike.core.types import Frame, Observation
from lookalike.environments.wire import HAS_FRAME, TERMINATED, TRUNCATED, Kind, Message, malformed

SLOT_BYTES = 1 << 20
"""512 x 512 pixels fit in; a larger frame goes through the socket. Memory that is not touched is not used."""
_ROW = struct.Struct("<dIIB")  # reward, height, width, flags
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (a file without a name is made there)


class FrameSlots:
    """Memory for the frames of so many members.

    Args:
        path: The file behind it.
        size: Members.

    Raises:
        OSError: It cannot be mapped.
    """

    def __init__(self, path: Path, size: int) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size * SLOT_BYTES)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self._shape: tuple[int, ...] | None = None

    def put(self, member: int, answer: Message) -> Message:
        """Move an answer's frame into its slot, where it has one that fits."""
        length = len(answer.payload)
        if not length or length > SLOT_BYTES or not answer.flags & HAS_FRAME or not _shows(answer):
            return answer
        start = member * SLOT_BYTES
        self._memory[start : start + length] = answer.payload
        return answer._replace(payload=b"")

    def take(self, member: int, answer: Message) -> Message:
        """Return an answer with its frame, out of its slot where it is there."""
        if answer.payload or not answer.flags & HAS_FRAME or not _shows(answer):
            return answer
        length = answer.height * answer.width * 3
        if not 0 < length <= SLOT_BYTES:
            return answer
        start = member * SLOT_BYTES
        return answer._replace(payload=self._memory[start : start + length])

    def put_steps(self, results: Sequence[StepResult | Exception | None]) -> Message | None:
        """Write all members' steps at once; ``None`` where one of them is not plain enough for that.

        Plain is a step of the usual types, with a frame that fits its slot, and without text or facts beside
        it. The answer holds a row for each member: reward, height, width, flags.
        """
        rows = bytearray(len(results) * _ROW.size)
        for member, result in enumerate(results):
            if result is None:
                continue
            if not isinstance(result, StepResult):
                return None
            frame = _plain_frame(result)
            if frame is None or (self._shape is not None and frame.shape != self._shape):
                return None
            self._shape = frame.shape
            height, width, _ = frame.shape
            start = member * SLOT_BYTES
            self._bytes[start : start + frame.size] = frame.reshape(-1)
            flags = HAS_FRAME | TERMINATED * result.terminated | TRUNCATED * result.truncated
            _ROW.pack_into(rows, member * _ROW.size, result.env_reward, height, width, flags)
        return Message(Kind.STEPS, payload=bytes(rows))

    def take_steps(self, answer: Message, size: int) -> list[StepResult | None]:
        """Rebuild all members' steps from such an answer.

        Raises:
            GameError: It is malformed.
        """
        if len(answer.payload) != size * _ROW.size:
            raise malformed("steps of a batch", f"{len(answer.payload)} bytes", f"{size} rows")
        steps: list[StepResult | None] = []
        for member, row in enumerate(_ROW.iter_unpack(answer.payload)):
            reward, height, width, flags = row
            if not flags & HAS_FRAME:
                steps.append(None)
                continue
            length = height * width * 3
            if not 0 < length <= SLOT_BYTES or not math.isfinite(reward):
                raise malformed("a step of a batch", f"{row}", "a reward, and a frame that fits")
            start = member * SLOT_BYTES
            frame = self._bytes[start : start + length].reshape(height, width, 3).copy()
            ended = bool(flags & TERMINATED), bool(flags & TRUNCATED)
            steps.append(StepResult(Observation(None, frame), reward, *ended))
        return steps

    def close(self) -> None:
        """Let go of the memory."""
        del self._bytes
        self._memory.close()


def make_slots_file(size: int) -> Path | None:
    """Make the file behind the slots; ``None`` where there is no room for it. Whoever asks removes it."""
    with contextlib.suppress(OSError):
        folder = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
        handle, name = tempfile.mkstemp(prefix="lookalike-frames-", dir=folder)
        try:
            os.ftruncate(handle, size * SLOT_BYTES)
        finally:
            os.close(handle)
        return Path(name)
    return None


def _plain_frame(result: StepResult) -> Frame | None:
    """Return the frame of a step that consists of the usual types and nothing else, or ``None``."""
    if type(result.observation) is not Observation:
        return None
    plain = type(result.env_reward) is float and math.isfinite(result.env_reward)
    if not plain or type(result.terminated) is not bool or type(result.truncated) is not bool or result.info:
        return None
    frame = result.observation.frame
    if result.observation.text is not None or type(frame) is not np.ndarray or frame.dtype != np.uint8:
        return None
    return frame if frame.ndim == 3 and frame.shape[2] == 3 and 0 < frame.size <= SLOT_BYTES else None


def _shows(answer: Message) -> bool:
    return answer.kind in (Kind.STEP, Kind.RESET)
