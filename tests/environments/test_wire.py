from __future__ import annotations

import socket
import struct

import numpy as np
import pytest

from lookalike.core.errors import GameError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Observation
from lookalike.environments.wire import (
    MAX_JSON_BYTES,
    ConnectionEndedError,
    Wire,
    decode_observation,
    decode_step,
    encode_observation,
    encode_step,
)


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    yield Wire(one), other
    one.close()
    other.close()


def test_messages_arrive_whole_however_they_are_cut(ends):
    wire, raw = ends
    payload = bytes(range(256)) * 10
    body = b'{"a":[1,"\\u00e9"]}'
    message = struct.pack("<II", len(body), len(payload)) + body + payload
    for cut in (1, 7, 9, len(message) - 1):
        raw.sendall(message[:cut])
        raw.sendall(message[cut:] + message)
        assert wire.receive() == ({"a": [1, "é"]}, payload)
        assert wire.receive() == ({"a": [1, "é"]}, payload)


def test_silence_times_out(ends):
    wire, _ = ends
    wire.set_time_limit(0.05)
    with pytest.raises(TimeoutError):
        wire.receive()


def test_a_reader_that_does_not_read_times_out(ends):
    wire, _ = ends
    wire.set_time_limit(0.05)
    with pytest.raises(TimeoutError):
        wire.send(None, bytes(8 << 20))


def test_the_end_of_the_other_side_is_noticed(ends):
    wire, raw = ends
    raw.sendall(b"\x05\x00")
    raw.close()
    with pytest.raises(ConnectionEndedError):
        wire.receive()


def test_an_announced_giant_is_refused_before_it_is_read(ends):
    wire, raw = ends
    raw.sendall(struct.pack("<II", MAX_JSON_BYTES + 1, 0))
    with pytest.raises(ValueError, match="over the limit"):
        wire.receive()


def test_noise_is_no_message(ends):
    wire, raw = ends
    raw.sendall(struct.pack("<II", 4, 0) + b"\xff{]x")
    with pytest.raises(ValueError, match=r"decode|JSON|Expecting"):
        wire.receive()


def test_steps_survive_the_wire():
    frame = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    for observation in (Observation("é ₤"), Observation(frame=frame), Observation("both", frame)):
        step = StepResult(observation, 1.5, True, False, {"a": [1]})
        body, payload = encode_step(step)
        assert decode_step(body, payload) == step


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"text": 5},
        {"text": "x" * (2 << 20)},
        {"text": None, "shape": [2, 2, 3]},
        {"shape": [2, 2, 4]},
        {"shape": [-2, -2, 3]},
        {"shape": "223"},
        {"shape": [2.0, 2, 3]},
    ],
)
def test_what_is_no_observation_is_refused(body):
    with pytest.raises(GameError, match="malformed"):
        decode_observation(body, b"12345678")


@pytest.mark.parametrize("reward", [None, "1", True, float("inf")])
def test_a_reward_must_be_a_finite_number(reward):
    with pytest.raises(GameError, match="malformed"):
        encode_step(StepResult(Observation("x"), reward))


def test_what_is_not_ours_is_refused_at_the_source():
    for wrong in (None, "text", {"text": "x"}, ("obs", {})):
        with pytest.raises(GameError, match="malformed"):
            encode_observation(wrong)
        with pytest.raises(GameError, match="malformed"):
            encode_step(wrong)
