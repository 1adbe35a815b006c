"""The far side of :class:`~lookalike.environments.worker.EnvironmentWorker`: one game in its own process.

Started as ``python -m lookalike.environments.worker_child SOCKET_FD LIFELINE_FD``. It ends when the socket
closes, and by the kernel's hand when the parent's end of the lifeline closes, even in the middle of a hang
in C code, and with it whatever processes the game started.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import itertools
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lookalike.core.errors import LookalikeError
from lookalike.core.protocols import Environment, StepResult
from lookalike.environments.frame_slots import FrameSlots
from lookalike.environments.registry import load_from_reference
from lookalike.environments.wire import (
    FOLLOWED_BY_ACTIONS,
    FOLLOWED_BY_FACTS,
    HAS_FRAME,
    HAS_TEXT,
    MAX_PAYLOAD_BYTES,
    ConnectionEndedError,
    Kind,
    Message,
    Wire,
    decode_values,
    encode_observation,
    encode_step,
    encode_values,
    malformed,
    split_many,
)

_AT_ONCE = 4
"""Answers of a batch's members that travel together."""
_SOON_S = 0.05
"""Facts that nobody asked for yet travel with a step's answer only where the step took less than this, so
that they cannot use up the step's time limit."""


def main(socket_fd: int, lifeline_fd: int) -> None:
    """Serve requests until the caller goes away."""
    _die_with_parent(lifeline_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    # Before it kills a game that hangs, the caller asks where it is; C code cannot keep this from answering.
    faulthandler.register(signal.SIGUSR1, all_threads=False)
    wire = Wire(socket.socket(fileno=socket_fd))
    status = 0
    try:
        _serve(wire)
    except (ConnectionEndedError, BrokenPipeError, ConnectionResetError):
        pass
    except BaseException:
        status = 1
        traceback.print_exc()
    finally:
        # Engines written in C may crash in their destructors; nothing is left to be saved here.
        sys.stderr.flush()
        os._exit(status)


def _die_with_parent(lifeline_fd: int) -> None:
    """Have the kernel kill this process and those it starts when the lifeline's writer is gone.

    SIGIO is sent to the process group, as SIGKILL where the system can, which no game blocks or catches.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, -os.getpgrp())
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline_fd, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline_fd, fcntl.F_GETFL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    try:
        if os.read(lifeline_fd, 1) == b"":  # it was gone before the signal was asked for
            os._exit(0)
    except BlockingIOError:
        pass


def _limit_resources(memory_limit_mb: int | None) -> None:
    if memory_limit_mb is not None:
        limit = memory_limit_mb << 20
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # A game that aborts with gigabytes in use must not spend minutes writing them to a core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where many games together use up the machine, the system shall end a game and not who plays it.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _serve(wire: Wire) -> None:
    start = wire.receive()
    config = decode_values(start.values, "a configuration")
    _limit_resources(config["memory_limit_mb"])
    try:
        server = _Server(load_from_reference(config["reference"], config["argument"]))
        hello = server.hello()
    except Exception as error:
        wire.send(_error(error))
        return
    wire.send(hello)
    while True:
        server.serve(wire)


class _Server:
    """Answers requests with one environment; what it answers is checked here first."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._members = [_Server(member) for member in getattr(environment, "members", ())]
        self._required = 0
        self._frame_shape: tuple[int, int] | None = None

    def hello(self) -> Message:
        """Return what the environment is and can do."""
        environment = self._environment
        if "text" in environment.capabilities:
            self._required |= HAS_TEXT
        if "frames" in environment.capabilities:
            self._required |= HAS_FRAME
        for member in self._members:
            member.hello()
        hello = {
            "id": str(environment.id),
            "capabilities": sorted(environment.capabilities),
            "how_to_play": str(environment.how_to_play),
        }
        return Message(Kind.START, values=encode_values(hello, "a description of itself"))

    def serve(self, wire: Wire) -> None:
        """Answer one request, and send what is wanted to follow it.

        Raises:
            ConnectionEndedError, OSError: The caller is gone.
        """
        request = wire.receive()
        if request.kind in (Kind.MANY, Kind.STEPS):
            answers = self._answers(request) if request.kind == Kind.MANY else self._steps(request)
            while some := tuple(itertools.islice(answers, _AT_ONCE)):
                wire.send(*some)  # the caller takes them in while the next are played
            return
        follow = request.flags
        began = time.monotonic()
        answer = self._answered(request)
        if not follow or answer.kind == Kind.ERROR:
            wire.send(answer)
            return
        if not follow & FOLLOWED_BY_FACTS:
            wire.send(answer)
        elif time.monotonic() - began < _SOON_S:
            wire.send(answer, self._answered(Message(Kind.FACTS)))
        else:
            wire.send(answer)
            wire.send(self._answered(Message(Kind.FACTS)))
        if follow & FOLLOWED_BY_ACTIONS:
            wire.send(self._answered(Message(Kind.ACTIONS)))

    def _answers(self, request: Message) -> Iterator[Message]:
        """Yield every member's answer to its own part of a request to all."""
        try:
            parts = split_many(request)
            if len(parts) != len(self._members):
                raise malformed("a request to many", f"{len(parts)} parts", f"{len(self._members)} parts")
        except Exception as error:
            yield from [_error(error)] * max(1, len(self._members))
            return
        slots: FrameSlots | None = getattr(self._environment, "slots", None)
        for number, (member, part) in enumerate(zip(self._members, parts, strict=True)):
            answer = Message(Kind.MANY) if part is None else member._answered(part)
            yield answer if slots is None else slots.put(number, answer)

    def _steps(self, request: Message) -> Iterator[Message]:
        """Play every member's action, and answer for all at once where nothing is out of the ordinary."""
        slots: FrameSlots | None = getattr(self._environment, "slots", None)
        results: list[StepResult | Exception | None] = []
        actions = decode_values(request.values, "actions")
        for member, action in zip(self._members, actions, strict=True):
            try:
                results.append(None if action is None else member._environment.step(action))
            except Exception as error:
                results.append(error)
        together = None if slots is None else slots.put_steps(results)
        if together is not None:
            yield together
            return
        for number, (member, result) in enumerate(zip(self._members, results, strict=True)):
            if isinstance(result, Exception):
                yield _error(result)
                continue
            try:
                answer = Message(Kind.STEPS) if result is None else member._checked(encode_step(result))
            except Exception as error:
                answer = _error(error)
            yield answer if slots is None else slots.put(number, answer)

    def _answered(self, request: Message) -> Message:
        try:
            return self._answer(request)
        except Exception as error:
            return _error(error)

    def _answer(self, request: Message) -> Message:
        environment = self._environment
        kind = request.kind
        if kind == Kind.STEP:
            action = request.text.decode(errors="surrogatepass")
            return self._checked(encode_step(environment.step(action), request.flags))
        if kind == Kind.FACTS:
            facts = environment.facts()
            if not isinstance(facts, Mapping):
                raise malformed("facts", facts, "a mapping of names to JSON values")
            return Message(Kind.FACTS, values=encode_values(dict(facts), "facts"))
        if kind == Kind.ACTIONS:
            actions = environment.admissible_actions()
            if not isinstance(actions, tuple | list) or not all(isinstance(one, str) for one in actions):
                raise malformed("admissible actions", actions, "a tuple of str")
            return Message(Kind.ACTIONS, values=encode_values(list(actions), "admissible actions"))
        if kind == Kind.RESET:
            seed = decode_values(request.values, "a seed")
            return self._checked(encode_observation(environment.reset(seed=seed), request.flags))
        if kind == Kind.SAVE:
            state = environment.save()
            if not isinstance(state, bytes):
                raise malformed("a saved state", state, "bytes")
            if len(state) > MAX_PAYLOAD_BYTES:
                raise malformed("a saved state", f"{len(state)} bytes", f"at most {MAX_PAYLOAD_BYTES}")
            return Message(Kind.SAVE, payload=state)
        if kind == Kind.RESTORE:
            environment.restore(request.payload)
            return Message(Kind.RESTORE)
        raise ValueError(f"unknown request {kind}")

    def _checked(self, answer: Message) -> Message:
        """Return an answer whose observation shows what the environment declares, in frames of one shape."""
        if answer.flags & self._required != self._required:
            missing = "text" if self._required & ~answer.flags & HAS_TEXT else "frame"
            raise malformed("an observation", f"no {missing}", f"a {missing}, as its capabilities declare")
        if answer.flags & HAS_FRAME:
            shape = (answer.height, answer.width)
            if self._frame_shape is None:
                self._frame_shape = shape
            elif shape != self._frame_shape:
                raise malformed(
                    "an observation's frame", f"{[*shape, 3]}", f"{[*self._frame_shape, 3]}, as before"
                )
        return answer


def _error(error: Exception) -> Message:
    body: dict[str, Any]
    if isinstance(error, LookalikeError):
        body = {
            "error": type(error).__name__,
            "what": error.what,
            "got": None if error.got is None else str(error.got)[:400],
            "expected": error.expected,
            "remedy": error.remedy,
        }
    else:
        trace = "".join(traceback.format_exception(error)[-3:])
        body = {"exception": f"{type(error).__name__}: {error}"[:400], "trace": trace[-2000:]}
    return Message(Kind.ERROR, values=encode_values(body, "an error"))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
