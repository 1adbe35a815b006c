"""Every environment in a process of its own, which can be killed.

Games are other people's programs: engines in C that assert, loop for ever or leak. In a worker, any of these
costs one episode and nothing else. A failed worker says so with :class:`EnvironmentHungError` or
:class:`EnvironmentDiedError`, and its next ``reset`` starts a new process.

The child is a plain subprocess and not ``multiprocessing``'s: a caller's script needs no
``if __name__ == "__main__"``, and no pickle travels between the two.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping
from typing import IO, Any, get_args

from lookalike.core import errors
from lookalike.core.errors import CapabilityError, EnvironmentDiedError, EnvironmentHungError, GameError
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Capability, Observation
from lookalike.environments.registry import reference_of
from lookalike.environments.wire import (
    ConnectionEndedError,
    Wire,
    decode_observation,
    decode_step,
    malformed,
)

DEFAULT_MEMORY_LIMIT_MB = 4096
_LOG_LIMIT_BYTES = 64 << 10
_KNOWN_CAPABILITIES = frozenset(get_args(Capability))


class EnvironmentWorker:
    """An environment in a child process, behind the same protocol.

    Args:
        loader: Makes the environment in the child: ``"package.module:callable"``, or a callable that can be
            imported from a module (not from ``__main__``, a lambda or a nested function).
        argument: Passed to the loader, where it takes one (a story's path).
        step_time_limit_s: Seconds after which an unanswered call counts as a hang and the child is killed.
        start_time_limit_s: The same for starting the child and for ``reset``.
        memory_limit_mb: Address space the child may use, in MiB; ``None`` for no limit.

    Raises:
        GameError: The environment could not be started; or a subclass, see above.
    """

    def __init__(
        self,
        loader: str | Callable[..., Environment],
        *,
        argument: str | None = None,
        step_time_limit_s: float = 10.0,
        start_time_limit_s: float = 60.0,
        memory_limit_mb: int | None = DEFAULT_MEMORY_LIMIT_MB,
    ) -> None:
        if step_time_limit_s <= 0 or start_time_limit_s <= 0:
            raise errors.UsageError(
                "A time limit must be positive.",
                got=f"step {step_time_limit_s!r} s, start {start_time_limit_s!r} s",
                expected="seconds > 0",
                remedy="Give the game the seconds its slowest step may take.",
            )
        self._config = {
            "reference": loader if isinstance(loader, str) else reference_of(loader),
            "argument": argument,
            "memory_limit_mb": memory_limit_mb,
        }
        self._step_limit_s = step_time_limit_s
        self._start_limit_s = max(start_time_limit_s, step_time_limit_s)
        self._child: _Child | None = None
        self._closed = False
        self._start()

    @property
    def process_id(self) -> int | None:
        """Process id of the child, or ``None`` where it is not running."""
        return None if self._child is None else self._child.process.pid

    def reset(self, *, seed: int) -> Observation:
        """Start an episode; starts a new process first where the last one failed."""
        if self._child is None:
            self._start()
        return decode_observation(*self._call(["reset", seed], limit_s=self._start_limit_s))

    def step(self, action: str) -> StepResult:
        """Play one command.

        Raises:
            EnvironmentHungError: No answer within the time limit; the child was killed.
            EnvironmentDiedError: The child ended, ran out of memory, or the environment raised.
            GameError: The environment returned something malformed.
        """
        return decode_step(*self._call(["step", action]))

    def admissible_actions(self) -> tuple[str, ...]:
        """Return commands worth trying here, sorted, without duplicates."""
        body, _ = self._call(["admissible_actions"])
        if not isinstance(body, list):
            raise malformed("admissible actions", body, "a list of str")
        return tuple(body)

    def save(self) -> bytes:
        """Return the whole state, randomness included."""
        self._require("save_restore")
        return self._call(["save"])[1]

    def restore(self, state: bytes) -> None:
        """Go back to a saved state exactly; starts a new process first where the last one failed."""
        self._require("save_restore")
        if self._child is None:
            self._start()
        self._call(["restore"], payload=state)

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on."""
        body, _ = self._call(["facts"])
        if not isinstance(body, dict):
            raise malformed("facts", body, "an object")
        return body

    def close(self) -> None:
        """End the child. Closing twice is harmless."""
        self._closed = True
        self._end_child()

    def __enter__(self) -> EnvironmentWorker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _require(self, capability: Capability) -> None:
        if capability not in self.capabilities:
            raise CapabilityError(
                f"{self.id} cannot save and restore.",
                got=f"capabilities {', '.join(sorted(self.capabilities))}",
                expected=capability,
                remedy="Ask `capability in environment.capabilities` first.",
            )

    def _start(self) -> None:
        if self._closed:
            raise GameError("This environment was closed.", remedy="Make a new one.")
        self._child = _Child()
        hello, _ = self._call(None, payload=b"", limit_s=self._start_limit_s)
        known = isinstance(hello, dict) and _KNOWN_CAPABILITIES.issuperset(hello.get("capabilities", ["?"]))
        if not known:
            self._end_child()
            raise malformed("capabilities", hello, f"some of {', '.join(sorted(_KNOWN_CAPABILITIES))}")
        self.id: str = hello["id"]
        self.capabilities: frozenset[Capability] = frozenset(hello["capabilities"])
        self.how_to_play: str = hello["how_to_play"]

    def _call(
        self, request: list[Any] | None, *, payload: bytes = b"", limit_s: float | None = None
    ) -> tuple[Any, bytes]:
        """Send a request (``None``: the configuration) and return the answer's body and payload."""
        child = self._child
        if child is None:
            raise EnvironmentDiedError(
                "The environment is not running.",
                got="closed" if self._closed else "its worker process failed earlier",
                expected="a call of reset() first",
                remedy="Call reset(seed=...); it starts a new process.",
            )
        limit = self._step_limit_s if limit_s is None else limit_s
        what = "start" if request is None else str(request[0])
        try:
            child.wire.set_time_limit(limit)
            child.wire.send(self._config if request is None else request, payload)
            body, answer = child.wire.receive()
        except TimeoutError:
            self._end_child()
            raise EnvironmentHungError(
                "The game gave no answer and its process was ended.",
                got=f"nothing for {limit:g} s from {what}",
                expected="an answer within the time limit",
                remedy="Reset to go on; raise step_time_limit_s if the game is only slow.",
            ) from None
        except (ConnectionEndedError, OSError):
            raise self._died(what, child) from None
        except ValueError as error:
            self._end_child()
            raise malformed("a message", str(error), "JSON within the size limits") from None
        except BaseException:
            self._end_child()  # an answer may be under way: nothing later could be told from it
            raise
        if isinstance(body, dict) and "ok" in body:
            return body["ok"], answer
        raise self._failure(what, body, starting=request is None)

    def _failure(self, what: str, body: Any, *, starting: bool) -> errors.LookalikeError:
        """Turn the child's error report into an exception; what the environment did not mean ends it."""
        if isinstance(body, dict) and "error" in body:
            if starting:
                self._end_child()
            kind = getattr(errors, str(body["error"]), GameError)
            if not (isinstance(kind, type) and issubclass(kind, errors.LookalikeError)):
                kind = GameError
            failure: errors.LookalikeError = kind.__new__(kind)
            errors.LookalikeError.__init__(
                failure,
                str(body.get("what")),
                got=body.get("got"),
                expected=body.get("expected"),
                remedy=body.get("remedy"),
            )
            return failure
        self._end_child()
        report = body.get("exception", "?") if isinstance(body, dict) else repr(body)[:200]
        trace = str(body.get("trace", "")).strip() if isinstance(body, dict) else ""
        memory = str(report).startswith("MemoryError")
        return EnvironmentDiedError(
            f"The environment failed in {what} and its process was ended.",
            got=f"{report}\n{trace}".strip(),
            expected="an answer: an environment never raises for a command",
            remedy="Raise memory_limit_mb, or look for a leak in the game."
            if memory
            else "Fix the environment; reset starts a new process.",
        )

    def _died(self, what: str, child: _Child) -> EnvironmentDiedError:
        self._end_child()
        code = child.process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        last_words = child.last_words()
        return EnvironmentDiedError(
            f"The game's process ended in the middle of {what}.",
            got=f"{how}{': ' + last_words if last_words else ''}",
            expected="a process that lives until close()",
            remedy="Reset to go on with a new process; the episode is lost.",
        )

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """The process, its socket and its lifeline; ends with its owner, leaving no zombie."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.wire = Wire(ours)
        read_end, self._lifeline = os.pipe()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the child)
        search_path = [os.path.abspath(entry) for entry in sys.path]
        try:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "lookalike.environments.worker_child",
                    str(theirs.fileno()),
                    str(read_end),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=(theirs.fileno(), read_end),
                process_group=0,  # Ctrl-C in the terminal is for the caller, who then closes us
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(search_path),
                    "OPENBLAS_NUM_THREADS": "1",
                    "OMP_NUM_THREADS": "1",
                },
            )
        except OSError as error:
            self.wire.close()
            os.close(self._lifeline)
            raise GameError(
                "A process for the game could not be started.",
                got=str(error),
                remedy="Free some memory or processes.",
            ) from error
        finally:
            theirs.close()
            os.close(read_end)
        self._finalizer = weakref.finalize(self, _end, self.process, self.wire, self._lifeline)

    def end(self) -> None:
        self._finalizer()

    def last_words(self) -> str:
        """Return the end of what the process wrote to its standard error, one line at most 300 characters."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_LIMIT_BYTES))
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines()]
        return " | ".join(line for line in lines if line)[:300]


def _end(process: subprocess.Popen[bytes], wire: Wire, lifeline: int) -> None:
    wire.close()
    if process.poll() is None:
        process.kill()
    process.wait()
    os.close(lifeline)
