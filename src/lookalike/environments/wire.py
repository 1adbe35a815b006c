"""How a worker process and its caller talk: fixed headers, JSON and raw bytes over a socket, never pickle.

A message is a header of 32 bytes, little endian, then a text (UTF-8), JSON values and a payload::

    uint8 kind, uint8 flags, 2 bytes unused, uint32 bytes of text, of JSON and of payload,
    uint32 frame height, uint32 frame width, float64 number

A step needs no JSON at all: the text is the observation's, the payload is its frame (or a saved state), the
number is the reward. The caller may be talking to a process in which a game has run wild, so everything
that arrives is bounded and checked, and nothing in it is evaluated.
"""

from __future__ import annotations

import json
import math
import reprlib
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, NoReturn

import numpy as np

from lookalike.core.errors import GameError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Observation

MAX_JSON_BYTES = 8 << 20
MAX_PAYLOAD_BYTES = 256 << 20
MAX_TEXT_CHARACTERS = 1 << 20
_MAX_TEXT_BYTES = 4 * MAX_TEXT_CHARACTERS
_HEADER = struct.Struct("<BBxxIIIIId")
_RECEIVE_BYTES = 64 << 10
_REPR = reprlib.Repr()  # what is malformed may also be endless, or raise when it is shown
_REPR.maxstring = _REPR.maxother = 200


class Kind(IntEnum):
    """What a message asks for or, coming back, answers; ``ERROR`` only ever comes back.

    ``MANY`` asks every member of a batch for something, and is answered by one message of each; ``STEPS`` is
    the frequent case, a JSON list of actions, answered at once for all or by a ``STEP`` of each.
    """

    ERROR = 0
    START = 1
    RESET = 2
    STEP = 3
    ACTIONS = 4
    FACTS = 5
    SAVE = 6
    RESTORE = 7
    MANY = 8
    STEPS = 9


# Flags of an answered STEP or RESET.
HAS_TEXT, HAS_FRAME, TERMINATED, TRUNCATED = 1, 2, 4, 8
# Flags of a request for STEP or RESET, and of its answer: what follows without being asked for.
FOLLOWED_BY_FACTS, FOLLOWED_BY_ACTIONS = 16, 32


class Message(NamedTuple):
    """A message as it arrived: within the limits, its parts not yet looked into.

    Attributes:
        kind: See :class:`Kind`; any number up to 255 may arrive.
        flags: Of a step.
        text: UTF-8.
        values: JSON, or empty.
        payload: Raw bytes.
        height: Of the frame, in pixels.
        width: Likewise.
        number: The reward.
    """

    kind: int
    flags: int = 0
    text: bytes = b""
    values: bytes = b""
    payload: bytes = b""
    height: int = 0
    width: int = 0
    number: float = 0.0


class ConnectionEndedError(Exception):
    """The other side closed the socket: it ended, or was ended."""


class Wire:
    """One end of the socket: whole messages in, whole messages out.

    A small message costs one system call each way, and waiting is limited by the kernel's own timeouts of
    the socket in place of a poll before every read.
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

    def send(self, *messages: Message) -> None:
        """Send messages, the small ones together.

        Raises:
            TimeoutError: The other side does not read.
            OSError: The other side is gone.
        """
        parts: list[bytes] = []
        for kind, flags, text, values, payload, height, width, number in messages:
            sizes = len(text), len(values), len(payload)
            parts += (_HEADER.pack(kind, flags, *sizes, height, width, number), text, values)
            if len(payload) < _RECEIVE_BYTES:
                parts.append(payload)
            else:
                self._send(b"".join(parts))
                self._send(payload)
                parts = []
        if parts:
            self._send(b"".join(parts))

    def receive(self) -> Message:
        """Receive one message.

        Raises:
            ConnectionEndedError: The other side is gone.
            TimeoutError: The time limit passed.
            ValueError: The message is too large.
        """
        data = self._rest or self._read(_RECEIVE_BYTES)
        if len(data) < _HEADER.size:
            data = self._at_least(_HEADER.size, data)
        kind, flags, text, values, payload, height, width, number = _HEADER.unpack_from(data)
        if text > _MAX_TEXT_BYTES or values > MAX_JSON_BYTES or payload > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a message of {text} + {values} + {payload} bytes is over the limit")
        middle = _HEADER.size + text
        last = middle + values
        end = last + payload
        if len(data) < end:
            data = self._at_least(end, data)
        self._rest = data[end:]
        return Message(
            kind,
            flags,
            data[_HEADER.size : middle],
            data[middle:last],
            data[last:end],
            height,
            width,
            number,
        )

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except BlockingIOError:
            raise TimeoutError from None

    def _at_least(self, count: int, data: bytes) -> bytes:
        """Read on until there are ``count`` bytes; all of them together may take the time limit once more."""
        began = time.monotonic()
        parts, have = [data], len(data)
        while have < count:
            if self._limit_s is not None and time.monotonic() - began > self._limit_s:
                raise TimeoutError
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


def encode_values(value: object, what: str) -> bytes:
    """Encode JSON values.

    Raises:
        GameError: It is none, or is larger than a message may be.
    """
    try:
        data = _ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise malformed(what, f"{error}: {_REPR.repr(value)}", "JSON values") from None
    if len(data) > MAX_JSON_BYTES:
        raise malformed(what, f"{len(data)} bytes of JSON", f"at most {MAX_JSON_BYTES}")
    return data


def decode_values(data: bytes, what: str) -> Any:
    """Decode JSON values.

    Raises:
        GameError: It is no JSON, or is nested too deeply.
    """
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise malformed(what, f"{error}: {data[:100]!r}", "JSON values") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # json.dumps would make one every time
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def join_many(parts: Sequence[Message | None]) -> Message:
    """Return one request with a part for every member of a batch; ``None`` asks a member for nothing."""
    heads = [None if part is None else [int(part.kind), len(part.text), len(part.payload)] for part in parts]
    given = [part for part in parts if part is not None]
    return Message(
        Kind.MANY,
        text=b"".join(part.text for part in given),
        values=encode_values([heads, [part.values.decode() for part in given]], "a request to many"),
        payload=b"".join(part.payload for part in given),
    )


def split_many(message: Message) -> list[Message | None]:
    """Return the members' parts of such a request.

    Raises:
        GameError, ValueError, TypeError: It is none.
    """
    heads, values = decode_values(message.values, "a request to many")
    left = iter(values)
    parts: list[Message | None] = []
    text_from = payload_from = 0
    for head in heads:
        if head is None:
            parts.append(None)
            continue
        kind, text, payload = head
        parts.append(
            Message(
                Kind(kind),
                0,
                message.text[text_from : text_from + text],
                next(left).encode(),
                message.payload[payload_from : payload_from + payload],
            )
        )
        text_from, payload_from = text_from + text, payload_from + payload
    return parts


def encode_observation(observation: object, flags: int = 0) -> Message:
    """Encode an observation, as the answer to a reset; ``flags`` say what follows.

    Raises:
        GameError: It is not an Observation with a text of characters and/or a uint8 [H, W, 3] frame.
    """
    shown, text, payload, height, width = _observation_parts(observation)
    return Message(Kind.RESET, flags | shown, text, b"", payload, height, width)


def encode_step(result: object, flags: int = 0) -> Message:
    """Encode a step's result; ``flags`` say what follows.

    Raises:
        GameError: It is not a StepResult, or a part of it has the wrong type.
    """
    if not isinstance(result, StepResult):
        raise malformed("a step's result", result, "a lookalike.core.protocols.StepResult")
    shown, text, payload, height, width = _observation_parts(result.observation)
    flags |= shown
    reward = result.env_reward
    if isinstance(reward, bool) or not isinstance(reward, int | float | np.floating | np.integer):
        raise malformed("a step's env_reward", reward, "a number, in points")
    number = _finite(reward)
    for ended, flag in ((result.terminated, TERMINATED), (result.truncated, TRUNCATED)):
        if not isinstance(ended, bool | np.bool_ | int):
            raise malformed("a step's terminated or truncated", ended, "a bool")
        if ended:
            flags |= flag
    values = b""
    if result.info:
        if not isinstance(result.info, Mapping):
            raise malformed("a step's info", result.info, "a mapping of names to JSON values")
        values = encode_values(dict(result.info), "a step's info")
    return Message(Kind.STEP, flags, text, values, payload, height, width, number)


def _observation_parts(observation: object) -> tuple[int, bytes, bytes, int, int]:
    """Return an observation's flags, text, frame, height and width."""
    if not isinstance(observation, Observation):
        raise malformed("an observation", observation, "a lookalike.core.Observation")
    text, frame = observation.text, observation.frame
    flags, data = 0, b""
    if text is not None:
        flags, data = HAS_TEXT, _encode_text(text)
    elif frame is None:
        raise malformed("an observation", observation, "a text, a frame or both")
    if frame is None:
        return flags, data, b"", 0, 0
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        shown = (
            f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        )
        raise malformed("an observation's frame", shown, "a numpy array, uint8 [H, W, 3]")
    if not 0 < frame.nbytes <= MAX_PAYLOAD_BYTES:
        size = f"{list(frame.shape)}, {frame.nbytes} bytes"
        raise malformed("an observation's frame", size, f"1 to {MAX_PAYLOAD_BYTES} bytes")
    return flags | HAS_FRAME, data, frame.tobytes(), frame.shape[0], frame.shape[1]


def _encode_text(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > MAX_TEXT_CHARACTERS:
        got = f"{len(text)} characters" if isinstance(text, str) else text
        raise malformed("an observation's text", got, f"a str of at most {MAX_TEXT_CHARACTERS} characters")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise malformed("an observation's text", str(error), "characters, no lone surrogates") from None


def _finite(reward: Any) -> float:
    try:
        number = float(reward)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise malformed("a step's env_reward", reward, "a finite number, in points")
    return number


def decode_observation(message: Message) -> Observation:
    """Rebuild an observation, checking every part.

    Raises:
        GameError: The message holds no observation.
    """
    _, flags, data, _, payload, height, width, _ = message
    text = frame = None
    if flags & HAS_TEXT:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise malformed("an observation's text", str(error), "UTF-8") from None
        if len(text) > MAX_TEXT_CHARACTERS:
            got = f"{len(text)} characters"
            raise malformed("an observation's text", got, f"at most {MAX_TEXT_CHARACTERS} characters")
    if flags & HAS_FRAME:
        if not payload or height * width * 3 != len(payload):
            got = f"{height} x {width} pixels with {len(payload)} bytes"
            raise malformed("a frame", got, "H * W * 3 bytes")
        frame = np.frombuffer(payload, dtype=np.uint8).reshape(height, width, 3).copy()
    elif text is None:
        raise malformed("an observation", message.values[:100], "a text, a frame or both")
    return Observation(text, frame)


def decode_step(message: Message) -> StepResult:
    """Rebuild a step's result, checking every part.

    Raises:
        GameError: The message holds no step result.
    """
    observation = decode_observation(message)
    number, flags = message.number, message.flags
    if not math.isfinite(number):
        raise malformed("a step's env_reward", number, "a finite number, in points")
    info: Any = {}
    if message.values:
        info = decode_values(message.values, "a step's info")
        if not isinstance(info, dict):
            raise malformed("a step's info", info, "an object")
    return StepResult(observation, number, flags & TERMINATED != 0, flags & TRUNCATED != 0, info)


def malformed(what: str, got: object, expected: str) -> GameError:
    """Return the error for something an environment should not have returned."""
    return GameError(
        f"The environment returned {what} that is malformed.",
        got=got if isinstance(got, str) else f"{type(got).__name__} {_REPR.repr(got)}",
        expected=expected,
        remedy="Fix the environment; lookalike.testing.conformance.check_environment finds such faults.",
    )
