from __future__ import annotations

import contextlib
import json
import math
import socket
import struct
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.core.errors import GameError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Observation
from lookalike.environments.wire import (
    HAS_FRAME,
    HAS_TEXT,
    MAX_JSON_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_TEXT_CHARACTERS,
    ConnectionEndedError,
    Kind,
    Message,
    Wire,
    decode_observation,
    decode_step,
    decode_values,
    encode_observation,
    encode_step,
    encode_values,
)

HEADER = struct.Struct("<BBxxIIIIId")


def raw_bytes(message: Message) -> bytes:
    kind, flags, text, values, payload, height, width, number = message
    head = HEADER.pack(kind, flags, len(text), len(values), len(payload), height, width, number)
    return head + text + values + payload


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    yield Wire(one), other
    one.close()
    other.close()


def test_messages_arrive_whole_however_they_are_cut(ends):
    wire, raw = ends
    message = Message(Kind.STEP, 5, "é".encode(), b'{"a":1}', bytes(range(256)) * 10, 4, 7, -2.5)
    data = raw_bytes(message)
    for cut in (1, HEADER.size - 1, HEADER.size + 1, len(data) - 1):
        raw.sendall(data[:cut])
        raw.sendall(data[cut:] + data)
        assert wire.receive() == message
        assert wire.receive() == message


def test_messages_sent_together_are_received_one_by_one(ends):
    wire, raw = ends
    other = Wire(raw)
    sent = [Message(Kind.STEP, 1, b"x"), Message(Kind.FACTS, values=b"{}"), Message(Kind.SAVE, payload=b"y")]
    other.send(*sent)
    assert [wire.receive() for _ in sent] == sent


def test_large_payloads_between_small_messages_keep_their_order(ends):
    wire, raw = ends
    sent = [Message(Kind.STEP, 1, b"x"), Message(Kind.SAVE, payload=bytes(3 << 20)), Message(Kind.FACTS)]
    writer = threading.Thread(target=Wire(raw).send, args=sent)
    writer.start()
    received = [wire.receive() for _ in sent]
    writer.join()
    assert received == sent


def test_silence_times_out(ends):
    wire, _ = ends
    wire.set_time_limit(0.05)
    with pytest.raises(TimeoutError):
        wire.receive()


def test_a_reader_that_does_not_read_times_out(ends):
    wire, _ = ends
    wire.set_time_limit(0.05)
    with pytest.raises(TimeoutError):
        wire.send(Message(Kind.RESTORE, payload=bytes(8 << 20)))


def test_a_message_that_only_trickles_in_times_out(ends):
    wire, raw = ends
    wire.set_time_limit(0.2)
    stop = threading.Event()

    def trickle():
        while not stop.wait(0.02):
            raw.sendall(b"\x00")

    raw.sendall(HEADER.pack(Kind.SAVE, 0, 0, 0, 1 << 20, 0, 0, 0.0))
    writer = threading.Thread(target=trickle)
    writer.start()
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            wire.receive()
    finally:
        stop.set()
        writer.join()
    assert time.monotonic() - began < 2


def test_the_end_of_the_other_side_is_noticed(ends):
    wire, raw = ends
    raw.sendall(b"\x05\x00")
    raw.close()
    with pytest.raises(ConnectionEndedError):
        wire.receive()


@pytest.mark.parametrize(
    "sizes",
    [(4 * MAX_TEXT_CHARACTERS + 1, 0, 0), (0, MAX_JSON_BYTES + 1, 0), (0, 0, MAX_PAYLOAD_BYTES + 1)],
)
def test_an_announced_giant_is_refused_before_it_is_read(ends, sizes):
    wire, raw = ends
    raw.sendall(HEADER.pack(Kind.STEP, 0, *sizes, 0, 0, 0.0))
    with pytest.raises(ValueError, match="over the limit"):
        wire.receive()


@pytest.mark.parametrize(
    "data",
    [b"\xff{]x", b"", b"{", b"NaN", b"[Infinity]", b"[" * 100_000 + b"]" * 100_000, b"1" * 5000],
)
def test_noise_is_no_values(data):
    with pytest.raises(GameError, match="malformed"):
        decode_values(data, "facts")


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [{1, 2}, math.nan, object(), np.int64(3), nested(100_000), "x" * (MAX_JSON_BYTES + 1)]
)
def test_values_that_are_no_json_are_refused_at_the_source(value):
    with pytest.raises(GameError, match="malformed"):
        encode_values({"value": value}, "facts")


def test_steps_survive_the_wire():
    frame = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    for observation in (
        Observation("é ₤"),
        Observation(""),
        Observation(frame=frame),
        Observation("b", frame),
    ):
        step = StepResult(observation, 1.5, True, False, {"a": [1]})
        assert decode_step(encode_step(step)) == step


@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    reward=st.floats(allow_nan=False, allow_infinity=False),
    ends=st.tuples(st.booleans(), st.booleans()),
)
def test_any_text_and_reward_survive_the_wire(text, reward, ends):
    step = StepResult(Observation(text), reward, *ends)
    assert decode_step(encode_step(step)) == step


def test_frames_are_copies_that_can_be_written_to():
    frame = np.zeros((2, 2, 3), dtype=np.uint8)
    message = encode_observation(Observation(frame=frame[::-1, ::-1]))
    frame[...] = 9
    decoded = decode_observation(message).frame
    assert decoded is not None
    assert decoded.max() == 0
    decoded[0, 0] = 7


@pytest.mark.parametrize(
    "message",
    [
        Message(Kind.STEP),
        Message(Kind.STEP, HAS_TEXT, b"\xff"),
        Message(Kind.STEP, HAS_TEXT, b"x" * (MAX_TEXT_CHARACTERS + 1)),
        Message(Kind.STEP, HAS_FRAME),
        Message(Kind.STEP, HAS_FRAME, payload=b"12345678", height=2, width=2),
        Message(Kind.STEP, HAS_FRAME, payload=b"123456", height=0, width=2),
        Message(Kind.STEP, HAS_TEXT | HAS_FRAME, b"x", height=1 << 31, width=1 << 31),
        Message(Kind.STEP, HAS_TEXT, number=math.nan),
        Message(Kind.STEP, HAS_TEXT, number=-math.inf),
        Message(Kind.STEP, HAS_TEXT, values=b"[1]"),
        Message(Kind.STEP, HAS_TEXT, values=b"\x00"),
    ],
)
def test_what_is_no_step_is_refused(message):
    with pytest.raises(GameError, match="malformed"):
        decode_step(message)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data):
    """A game that writes into its own socket may send anything."""
    one, other = socket.socketpair()
    try:
        other.sendall(data)
        other.close()
        wire = Wire(one)
        try:
            while True:
                message = wire.receive()
                for decode in (decode_step, decode_observation, lambda m: decode_values(m.values, "facts")):
                    with contextlib.suppress(GameError):
                        decode(message)
        except (ConnectionEndedError, ValueError):
            pass
    finally:
        one.close()


@pytest.mark.parametrize("reward", [None, "1", True, math.inf, math.nan, 10**400, np.float64("nan")])
def test_a_reward_must_be_a_finite_number(reward):
    with pytest.raises(GameError, match="malformed"):
        encode_step(StepResult(Observation("x"), reward))


@pytest.mark.parametrize("ended", [None, "yes", np.zeros(3, dtype=bool)])
def test_an_end_must_be_a_truth_value(ended):
    with pytest.raises(GameError, match="malformed"):
        encode_step(StepResult(Observation("x"), 0.0, ended))


def test_numpy_scalars_are_taken_for_what_they_are():
    step = StepResult(Observation("x"), np.float32(1.5), np.True_, np.False_)  # type: ignore[arg-type]
    assert decode_step(encode_step(step)) == StepResult(Observation("x"), 1.5, True, False)


def forged(text: object = None, frame: object = None) -> Observation:
    observation = Observation("x")
    object.__setattr__(observation, "text", text)
    object.__setattr__(observation, "frame", frame)
    return observation


@pytest.mark.parametrize(
    "observation",
    [
        forged(),
        forged(text=b"bytes"),
        forged(text="x" * (MAX_TEXT_CHARACTERS + 1)),
        forged(text="\udc80"),
        forged(frame=[[1]]),
        forged(frame=np.zeros((2, 2, 3))),
        forged(frame=np.zeros((2, 2, 4), dtype=np.uint8)),
        forged(frame=np.zeros((0, 2, 3), dtype=np.uint8)),
        None,
        "text",
        {"text": "x"},
        ("obs", {}),
    ],
)
def test_what_is_no_observation_is_refused_at_the_source(observation):
    with pytest.raises(GameError, match="malformed"):
        encode_observation(observation)
    with pytest.raises(GameError, match="malformed"):
        encode_step(StepResult(observation))
    with pytest.raises(GameError, match="malformed"):
        encode_step(observation)


def test_an_info_must_be_a_mapping_of_json_values():
    for info in ({"set": {1}}, [1], "info"):
        with pytest.raises(GameError, match="malformed"):
            encode_step(StepResult(Observation("x"), info=info))  # type: ignore[arg-type]
    assert json.loads(encode_step(StepResult(Observation("x"), info={"a": 1})).values) == {"a": 1}
