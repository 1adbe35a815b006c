"""The far side of :class:`~lookalike.environments.worker.EnvironmentWorker`: one game in its own process.

Started as ``python -m lookalike.environments.worker_child SOCKET_FD LIFELINE_FD``. It ends when the socket
closes, and by the kernel's hand when the parent's end of the lifeline closes, even in the middle of a hang
in C code.
"""

from __future__ import annotations

import faulthandler
import fcntl
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from lookalike.core.errors import LookalikeError
from lookalike.environments.registry import load_from_reference
from lookalike.environments.wire import (
    ConnectionEndedError,
    Wire,
    encode_observation,
    encode_step,
    malformed,
)


def main(socket_fd: int, lifeline_fd: int) -> None:
    """Serve requests until the caller goes away."""
    _die_with_parent(lifeline_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    wire = Wire(socket.socket(fileno=socket_fd))
    try:
        _serve(wire)
    except (ConnectionEndedError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        # Engines written in C may crash in their destructors; nothing is left to be saved here.
        sys.stderr.flush()
        os._exit(0)


def _die_with_parent(lifeline_fd: int) -> None:
    """Ask for SIGIO, whose default action is to end the process, when the lifeline's writer is gone."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline_fd, fcntl.F_GETFL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    try:
        if os.read(lifeline_fd, 1) == b"":  # it was gone before SIGIO was asked for
            os._exit(0)
    except BlockingIOError:
        pass


def _serve(wire: Wire) -> None:
    config, _ = wire.receive()
    limit_mb = config["memory_limit_mb"]
    if limit_mb is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limit_mb << 20, limit_mb << 20))
    try:
        environment = load_from_reference(config["reference"], config["argument"])
        hello = {
            "id": str(environment.id),
            "capabilities": sorted(environment.capabilities),
            "how_to_play": str(environment.how_to_play),
        }
    except Exception as error:
        wire.send(_error_body(error))
        return
    wire.send({"ok": hello})
    while True:
        request, payload = wire.receive()
        try:
            body, answer = _answer(environment, request, payload)
            wire.send({"ok": body}, answer)
        except (ConnectionEndedError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            wire.send(_error_body(error))


def _answer(environment: Any, request: Any, payload: bytes) -> tuple[Any, bytes]:
    method = request[0]
    if method == "step":
        return encode_step(environment.step(request[1]))
    if method == "admissible_actions":
        actions = environment.admissible_actions()
        if not isinstance(actions, tuple | list) or not all(isinstance(one, str) for one in actions):
            raise malformed("admissible actions", actions, "a tuple of str")
        return list(actions), b""
    if method == "facts":
        facts = environment.facts()
        if not isinstance(facts, Mapping):
            raise malformed("facts", facts, "a mapping of names to JSON values")
        return dict(facts), b""
    if method == "reset":
        return encode_observation(environment.reset(seed=request[1]))
    if method == "save":
        state = environment.save()
        if not isinstance(state, bytes):
            raise malformed("a saved state", state, "bytes")
        return None, state
    if method == "restore":
        environment.restore(payload)
        return None, b""
    raise ValueError(f"unknown request {method!r}")


def _error_body(error: Exception) -> dict[str, Any]:
    if isinstance(error, LookalikeError):
        return {
            "error": type(error).__name__,
            "what": error.what,
            "got": None if error.got is None else str(error.got)[:400],
            "expected": error.expected,
            "remedy": error.remedy,
        }
    trace = "".join(traceback.format_exception(error)[-3:])
    return {"exception": f"{type(error).__name__}: {error}"[:400], "trace": trace[-2000:]}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
