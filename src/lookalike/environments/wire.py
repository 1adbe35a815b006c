"""How a worker process and its caller talk: JSON and raw bytes over a socket, never pickle.

A message is ``[uint32 JSON length][uint32 payload length][JSON][payload]``, little endian. The payload
carries a frame or a saved state. The caller may be talking to a process in which a game has run wild, so
everything that arrives is bounded and checked, and nothing in it is evaluated.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from lookalike.core.errors import GameError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Observation

_HEADER = struct.Struct("<II")
MAX_JSON_BYTES = 8 << 20
MAX_PAYLOAD_BYTES = 256 << 20
MAX_TEXT_CHARACTERS = 1 << 20
_RECEIVE_BYTES = 64 << 10
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # json.dumps would make one a message


class ConnectionEndedError(Exception):
    """The other side closed the socket: it ended, or was ended."""


class Wire:
    """One end of the socket: whole messages in, whole messages out.

    Small messages cost one system call each way; that, and the kernel's own receive timeout in place of a
    poll before every read, is most of what can be saved of a worker's overhead.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._limit_s: float | None = None
        self._rest = b""
        sock.setblocking(True)

    def set_time_limit(self, seconds: float | None) -> None:
        """Set how long one read or write may wait; ``None`` waits for ever."""
        if seconds == self._limit_s:
            return
        whole, part = divmod(seconds or 0.0, 1.0)
        limit = struct.pack("@ll", int(whole), max(int(part * 1e6), 0 if whole or seconds is None else 1))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._limit_s = seconds

    def send(self, body: object, payload: bytes = b"") -> None:
        """Send one message; ``body`` must consist of JSON values.

        Raises:
            TimeoutError: The other side does not read.
            TypeError, ValueError: ``body`` is no JSON value.
            OSError: The other side is gone.
        """
        data = _ENCODER.encode(body).encode()
        head = _HEADER.pack(len(data), len(payload))
        try:
            if len(payload) < _RECEIVE_BYTES:
                self._sock.sendall(b"".join((head, data, payload)))
            else:
                self._sock.sendall(head + data)
                self._sock.sendall(payload)
        except BlockingIOError:
            raise TimeoutError from None

    def receive(self) -> tuple[Any, bytes]:
        """Receive one message.

        Raises:
            ConnectionEndedError: The other side is gone.
            TimeoutError: The time limit passed.
            ValueError: The message is too large or is no JSON.
        """
        data = self._rest or self._read(_RECEIVE_BYTES)
        data = self._at_least(_HEADER.size, data)
        json_bytes, payload_bytes = _HEADER.unpack_from(data)
        if json_bytes > MAX_JSON_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a message of {json_bytes} + {payload_bytes} bytes is over the limit")
        middle = _HEADER.size + json_bytes
        end = middle + payload_bytes
        data = self._at_least(end, data)
        self._rest = data[end:]
        return json.loads(data[_HEADER.size : middle].decode()), data[middle:end]

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _at_least(self, count: int, data: bytes) -> bytes:
        if len(data) >= count:
            return data
        parts, have = [data], len(data)
        while have < count:
            parts.append(self._read(max(_RECEIVE_BYTES, min(count - have, 1 << 20))))
            have += len(parts[-1])
        return b"".join(parts)

    def _read(self, count: int) -> bytes:
        try:
            data = self._sock.recv(count)
        except BlockingIOError:
            raise TimeoutError from None
        if not data:
            raise ConnectionEndedError
        return data


def encode_observation(observation: object) -> tuple[dict[str, Any], bytes]:
    """Encode an observation as JSON values and the frame's bytes.

    Raises:
        GameError: It is not an Observation with a text of characters and/or a uint8 [H, W, 3] frame.
    """
    if not isinstance(observation, Observation):
        raise malformed("an observation", observation, "a lookalike.core.Observation")
    text, frame = observation.text, observation.frame
    if text is not None and (not isinstance(text, str) or len(text) > MAX_TEXT_CHARACTERS):
        raise malformed("an observation's text", text, f"a str of at most {MAX_TEXT_CHARACTERS} characters")
    if frame is None:
        if text is None:
            raise malformed("an observation", observation, "a text, a frame or both")
        return {"text": text}, b""
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        shown = (
            f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        )
        raise malformed("an observation's frame", shown, "a numpy array, uint8 [H, W, 3]")
    return {"text": text, "shape": list(frame.shape)}, frame.tobytes()


def decode_observation(body: Any, payload: bytes) -> Observation:
    """Rebuild an observation, checking every part.

    Raises:
        GameError: The message holds no observation.
    """
    if not isinstance(body, dict):
        raise malformed("an observation", body, "an object with a text and/or a shape")
    text, shape = body.get("text"), body.get("shape")
    if text is not None and (not isinstance(text, str) or len(text) > MAX_TEXT_CHARACTERS):
        raise malformed("an observation's text", text, f"at most {MAX_TEXT_CHARACTERS} characters")
    if shape is None:
        if text is None:
            raise malformed("an observation", body, "a text, a frame or both")
        return Observation(text=text)
    sizes_fit = (
        isinstance(shape, list)
        and len(shape) == 3
        and all(isinstance(size, int) and size > 0 for size in shape)
        and shape[2] == 3
        and math.prod(shape) == len(payload)
    )
    if not sizes_fit:
        raise malformed("a frame", f"shape {shape!r} with {len(payload)} bytes", "H * W * 3 bytes")
    return Observation(text=text, frame=np.frombuffer(payload, dtype=np.uint8).reshape(shape).copy())


def encode_step(result: object) -> tuple[dict[str, Any], bytes]:
    """Encode a step's result.

    Raises:
        GameError: It is not a StepResult, or a part of it has the wrong type.
    """
    if not isinstance(result, StepResult):
        raise malformed("a step's result", result, "a lookalike.core.protocols.StepResult")
    body, payload = encode_observation(result.observation)
    reward = result.env_reward
    if isinstance(reward, bool) or not isinstance(reward, int | float | np.floating | np.integer):
        raise malformed("a step's env_reward", reward, "a number, in points")
    if not math.isfinite(reward):
        raise malformed("a step's env_reward", reward, "a finite number, in points")
    body["reward"] = float(reward)
    body["terminated"] = bool(result.terminated)
    body["truncated"] = bool(result.truncated)
    if result.info:
        body["info"] = dict(result.info)
    return body, payload


def decode_step(body: Any, payload: bytes) -> StepResult:
    """Rebuild a step's result, checking every part.

    Raises:
        GameError: The message holds no step result.
    """
    observation = decode_observation(body, payload)
    reward, info = body.get("reward"), body.get("info", {})
    if not isinstance(reward, float) or not isinstance(info, Mapping):
        raise malformed("a step's result", body, "a reward (float) and info (an object)")
    return StepResult(
        observation, reward, body.get("terminated") is True, body.get("truncated") is True, info
    )


def malformed(what: str, got: object, expected: str) -> GameError:
    """Return the error for something an environment should not have returned."""
    return GameError(
        f"The environment returned {what} that is malformed.",
        got=got if isinstance(got, str) else f"{type(got).__name__} {got!r:.200}",
        expected=expected,
        remedy="Fix the environment; lookalike.testing.conformance.check_environment finds such faults.",
    )
