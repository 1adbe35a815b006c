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


class ConnectionEnded(Exception):
    """The other side closed the socket: it ended, or was ended."""


def send_message(sock: socket.socket, body: object, payload: bytes | memoryview = b"") -> None:
    """Send one message; ``body`` must consist of JSON values."""
    data = json.dumps(body, separators=(",", ":")).encode()
    head = _HEADER.pack(len(data), len(payload)) + data
    if payload:
        sock.sendall(head)
        sock.sendall(payload)
    else:
        sock.sendall(head)


def receive_message(sock: socket.socket) -> tuple[Any, bytes]:
    """Receive one message.

    Raises:
        ConnectionEnded: The other side is gone.
        TimeoutError: The socket's time limit passed.
        ValueError: The message is too large or is no JSON.
    """
    json_bytes, payload_bytes = _HEADER.unpack(_receive_exactly(sock, _HEADER.size))
    if json_bytes > MAX_JSON_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a message of {json_bytes} + {payload_bytes} bytes is over the limit")
    body = json.loads(_receive_exactly(sock, json_bytes))
    return body, _receive_exactly(sock, payload_bytes) if payload_bytes else b""


def _receive_exactly(sock: socket.socket, count: int) -> bytes:
    data = sock.recv(count)
    if len(data) == count:
        return data
    parts = [data]
    missing = count - len(data)
    while missing:
        if not data:
            raise ConnectionEnded
        data = sock.recv(min(missing, 1 << 20))
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


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
