"""Every environment in a process of its own, which can be killed.

Games are other people's programs: engines in C that assert, loop for ever or leak. In a worker, any of these
costs one episode and nothing else. A failed worker says so with :class:`EnvironmentHungError` or
:class:`EnvironmentDiedError`, and its next ``reset`` starts a new process.

The child is a plain subprocess and not ``multiprocessing``'s: a caller's script needs no
``if __name__ == "__main__"``, and no pickle travels between the two.

Whoever asks for the facts or the admissible actions after one step is likely to ask after the next: what was
asked for last time comes along with the step's answer (the facts), or is worked out while the caller is busy
with it (the actions), and is kept until the game moves on.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

from lookalike.core import errors
from lookalike.core.errors import CapabilityError, EnvironmentDiedError, EnvironmentHungError, GameError
from lookalike.core.ids import canonical_json
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Capability, Observation
from lookalike.environments.registry import reference_of
from lookalike.environments.wire import (
    FOLLOWED_BY_ACTIONS,
    FOLLOWED_BY_FACTS,
    ConnectionEndedError,
    Kind,
    Message,
    decode_observation,
    decode_step,
    decode_values,
    encode_values,
    malformed,
)
from lookalike.environments.worker_process import WorkerProcess

DEFAULT_MEMORY_LIMIT_MB = 4096
_KNOWN_CAPABILITIES = frozenset(get_args(Capability))
_NAMES = {
    Kind.START: "start",
    Kind.RESET: "reset",
    Kind.STEP: "step",
    Kind.ACTIONS: "admissible_actions",
    Kind.FACTS: "facts",
    Kind.SAVE: "save",
    Kind.RESTORE: "restore",
    Kind.MANY: "a call to many",
    Kind.STEPS: "step",
}
_FOLLOWERS = ((Kind.FACTS, FOLLOWED_BY_FACTS), (Kind.ACTIONS, FOLLOWED_BY_ACTIONS))
_Decoded = TypeVar("_Decoded")
_DEATH_REMEDY = "Reset to go on with a new process; the episode is lost."
_DEATH_REMEDIES = {
    -signal.SIGKILL: "Reset to go on. Somebody killed it: if it was the system, for lack of memory, give it "
    "a lower memory_limit_mb or run fewer games at once."
}
_OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "out of memory", "OutOfMemory", "annot allocate memory")


class EnvironmentWorker:
    """An environment in a child process, behind the same protocol.

    Not for two threads at once; every thread may have its own.

    Args:
        loader: Makes the environment in the child: ``"package.module:callable"``, or a callable that can be
            imported from a module (not from ``__main__``, a lambda or a nested function).
        argument: Passed to the loader, where it takes one (a story's path).
        step_time_limit_s: Seconds after which an unanswered call counts as a hang and the child is killed.
        start_time_limit_s: The same for starting the child and for ``reset``.
        memory_limit_mb: Address space the child may use, in MiB; ``None`` for no limit.

    Raises:
        GameError: The environment could not be started; or a subclass, see above.
        UsageError: A limit is not positive, or the loader cannot be imported elsewhere.
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
        if memory_limit_mb is not None and memory_limit_mb <= 0:
            raise errors.UsageError(
                "A memory limit must be positive.",
                got=f"{memory_limit_mb!r} MiB",
                expected="MiB > 0, or None for no limit",
                remedy=f"Leave it out for {DEFAULT_MEMORY_LIMIT_MB} MiB.",
            )
        self._config = {
            "reference": loader if isinstance(loader, str) else reference_of(loader),
            "argument": argument,
            "memory_limit_mb": memory_limit_mb,
        }
        self._memory_limit_mb = memory_limit_mb
        self._step_limit_s = step_time_limit_s
        self._start_limit_s = max(start_time_limit_s, step_time_limit_s)
        self._child: WorkerProcess | None = None
        self._closed = False
        self._kept: dict[Kind, Message] = {}  # what came along, not yet asked for
        self._facts: dict[str, Any] | None = None  # of where the game is now, once they were asked for
        self._actions: tuple[str, ...] | None = None
        self._coming: list[Kind] = []  # those that the child sends without being asked
        self._asked = 0  # for which of them the caller asked since the last step
        self._start()

    @property
    def process_id(self) -> int | None:
        """Process id of the child, or ``None`` where it is not running."""
        return None if self._child is None else self._child.pid

    def reset(self, *, seed: int) -> Observation:
        """Start an episode; starts a new process first where the last one failed."""
        if self._child is None:
            self._start()
        message = Message(Kind.RESET, self._hint(), values=canonical_json(seed).encode())
        return self._decoded(decode_observation, self._move(message, limit_s=self._start_limit_s))

    def step(self, action: str) -> StepResult:
        """Play one command.

        Raises:
            EnvironmentHungError: No answer within the time limit; the child was killed.
            EnvironmentDiedError: The child ended, ran out of memory, or the environment raised.
            GameError: The environment returned something malformed.
        """
        message = Message(Kind.STEP, self._hint(), action.encode(errors="surrogatepass"))
        return self._decoded(decode_step, self._move(message, limit_s=self._step_limit_s))

    def admissible_actions(self) -> tuple[str, ...]:
        """Return commands worth trying here, sorted, without duplicates."""
        self._asked |= FOLLOWED_BY_ACTIONS
        if self._actions is None:
            self._actions = self._decoded(_decode_actions, self._look(Kind.ACTIONS))
        return self._actions

    def save(self) -> bytes:
        """Return the whole state, randomness included."""
        self._require("save_restore")
        return self._call(Message(Kind.SAVE)).payload

    def restore(self, state: bytes) -> None:
        """Go back to a saved state exactly; starts a new process first where the last one failed."""
        self._require("save_restore")
        if self._child is None:
            self._start()
        self._move(Message(Kind.RESTORE, payload=state), limit_s=self._step_limit_s)

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on; the same mapping until the game moves on."""
        self._asked |= FOLLOWED_BY_FACTS
        if self._facts is None:
            self._facts = self._decoded(decode_facts, self._look(Kind.FACTS))
        return self._facts

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
        self._child = WorkerProcess()
        message = Message(Kind.START, values=encode_values(self._config, "a configuration"))
        hello = self._decoded(_decode_hello, self._call(message, limit_s=self._start_limit_s))
        self.id: str = hello["id"]
        self.capabilities: frozenset[Capability] = frozenset(hello["capabilities"])
        self.how_to_play: str = hello["how_to_play"]

    def _hint(self) -> int:
        """Return what to send along with the next step: what was asked for after the last one."""
        hint, self._asked = self._asked, 0
        return hint

    def _move(self, message: Message, *, limit_s: float) -> Message:
        """Make a call after which facts and actions are others."""
        child = self._running()
        if self._coming:
            self._receive_coming(child)
        self._forget()
        answer = self._call(message, limit_s=limit_s)
        follow = message.flags & answer.flags
        if follow:
            self._coming = [kind for kind, flag in _FOLLOWERS if follow & flag]
        return answer

    def _look(self, kind: Kind) -> Message:
        """Return the answer to a question that changes nothing: kept, on its way, or asked for now."""
        child = self._running()
        if kind in self._coming:
            self._receive_coming(child, until=kind)
        answer = self._kept.pop(kind, None)
        if answer is None:
            return self._call(Message(kind))
        if answer.kind != kind:
            raise self._failure(kind, answer)
        return answer

    def _receive_coming(self, child: WorkerProcess, *, until: Kind | None = None) -> None:
        """Take in what the child sends by itself; an error in it is raised only if it is asked for."""
        while self._coming:
            kind = self._coming[0]
            self._kept[kind] = self._receive(child, kind, self._step_limit_s)
            del self._coming[0]
            if kind == until:
                return

    def _running(self) -> WorkerProcess:
        if self._child is None:
            raise EnvironmentDiedError(
                "The environment is not running.",
                got="closed" if self._closed else "its worker process failed earlier",
                expected="a call of reset() first",
                remedy="Call reset(seed=...); it starts a new process.",
            )
        return self._child

    def _call(self, request: Message, *, limit_s: float | None = None) -> Message:
        """Send a request and return its answer, which is no error."""
        child = self._running()
        kind = Kind(request.kind)
        if self._coming:
            self._receive_coming(child)
        answer = self._receive(child, kind, self._step_limit_s if limit_s is None else limit_s, request)
        if answer.kind == kind:
            return answer
        raise self._failure(kind, answer)

    def _receive(
        self,
        child: WorkerProcess,
        kind: Kind,
        limit_s: float,
        request: Message | None = None,
        *,
        or_kind: Kind = Kind.ERROR,
    ) -> Message:
        """Receive the next message, after sending the request if there is one."""
        try:
            child.wire.set_time_limit(limit_s)
            if request is not None:
                child.wire.send(request)
            answer = child.wire.receive()
        except TimeoutError:
            raise self._hung(kind, child, limit_s) from None
        except (ConnectionEndedError, OSError):
            raise self._died(kind, child) from None
        except ValueError as error:
            self._end_child()
            raise malformed("a message", str(error), "a message within the size limits") from None
        except BaseException:
            self._end_child()  # an answer may be under way: nothing later could be told from it
            raise
        if answer.kind not in (kind, or_kind, Kind.ERROR):
            self._end_child()
            raise malformed("a message", f"an answer of kind {answer.kind}", f"one of kind {kind.value}")
        return answer

    def _decoded(self, decode: Callable[[Message], _Decoded], message: Message) -> _Decoded:
        """Decode an answer; our own code over there wrote it, so if it is malformed the game ran wild."""
        try:
            return decode(message)
        except GameError:
            self._end_child()
            raise

    def _failure(self, kind: Kind, message: Message) -> errors.LookalikeError:
        """Turn the child's error report into an exception; what the environment did not mean ends it."""
        body = self._decoded(_decode_error, message)
        if "error" in body:
            told = _told(kind, body)
            # A machine that halted may have written over its process's memory: nothing goes on in there.
            if kind == Kind.START or isinstance(told, EnvironmentDiedError):
                self._end_child()
            return told
        self._end_child()
        report, trace = str(body.get("exception", "?")), str(body.get("trace", "")).strip()
        return EnvironmentDiedError(
            f"The environment failed in {_NAMES[kind]} and its process was ended.",
            got=f"{report}\n{trace}".strip(),
            expected="an answer: an environment never raises for a command",
            remedy=self._memory_remedy()
            if report.startswith("MemoryError")
            else "Fix the environment; reset starts a new process.",
        )

    def _hung(self, kind: Kind, child: WorkerProcess, limit_s: float) -> EnvironmentHungError:
        where = child.whereabouts()
        self._end_child()
        return EnvironmentHungError(
            "The game gave no answer and its process was ended.",
            got=f"nothing for {limit_s:g} s from {_NAMES[kind]}{f', which was in {where}' if where else ''}",
            expected="an answer within the time limit",
            remedy="Reset to go on; raise step_time_limit_s if the game is only slow.",
        )

    def _died(self, kind: Kind, child: WorkerProcess) -> EnvironmentDiedError:
        self._end_child()
        status, peak_mb, last_words = child.status, child.peak_mb or 0.0, child.last_words()
        how = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
        memory = any(sign in last_words for sign in _OUT_OF_MEMORY) or (
            self._memory_limit_mb is not None and peak_mb > self._memory_limit_mb / 2
        )
        if memory:
            how += f" with {peak_mb:.0f} MiB in use"
        return EnvironmentDiedError(
            f"The game's process ended in the middle of {_NAMES[kind]}.",
            got=f"{how}{': ' + last_words if last_words else ''}",
            expected="a process that lives until close()",
            remedy=self._memory_remedy() if memory else _DEATH_REMEDIES.get(status or 0, _DEATH_REMEDY),
        )

    def _memory_remedy(self) -> str:
        if self._memory_limit_mb is None:
            return "Look for a leak in the game, or set memory_limit_mb: the machine's memory ran out."
        limit = f"memory_limit_mb={self._memory_limit_mb}"
        return f"Raise the limit ({limit}), or look for a leak in the game; reset starts a new process."

    def _forget(self) -> None:
        """Drop what was true of the state before."""
        self._kept.clear()
        self._facts = self._actions = None

    def _end_child(self) -> None:
        self._coming.clear()
        self._forget()
        if self._child is not None:
            self._child.end()
            self._child = None


def _decode_hello(message: Message) -> dict[str, Any]:
    hello = decode_values(message.values, "a description of itself")
    fits = (
        isinstance(hello, dict)
        and all(isinstance(hello.get(name), str) for name in ("id", "how_to_play"))
        and isinstance(hello.get("capabilities"), list)
        and all(one in _KNOWN_CAPABILITIES for one in map(str, hello["capabilities"]))
    )
    if not fits:
        raise malformed("capabilities", hello, f"some of {', '.join(sorted(_KNOWN_CAPABILITIES))}")
    return dict(hello)


def _decode_actions(message: Message) -> tuple[str, ...]:
    actions = decode_values(message.values, "admissible actions")
    if not isinstance(actions, list) or not all(isinstance(one, str) for one in actions):
        raise malformed("admissible actions", actions, "a list of str")
    return tuple(actions)


def decode_facts(message: Message) -> dict[str, Any]:
    """Rebuild an environment's facts."""
    facts = decode_values(message.values, "facts")
    if not isinstance(facts, dict):
        raise malformed("facts", facts, "an object")
    return facts


def _decode_error(message: Message) -> dict[str, Any]:
    body = decode_values(message.values, "an error")
    if not isinstance(body, dict):
        raise malformed("an error", body, "an object")
    return body


def _told(kind: Kind, body: Mapping[str, Any]) -> errors.LookalikeError:
    """Rebuild an error the environment raised on purpose.

    One that comes up in the middle of an episode is always the game's, so that it ends the episode only.
    """
    expected_kind = GameError if kind in (Kind.STEP, Kind.FACTS, Kind.ACTIONS) else errors.LookalikeError
    error_class = getattr(errors, str(body["error"]), GameError)
    if not (isinstance(error_class, type) and issubclass(error_class, expected_kind)):
        error_class = GameError
    failure: errors.LookalikeError = error_class.__new__(error_class)
    got, expected, remedy = (body.get(name) for name in ("got", "expected", "remedy"))
    errors.LookalikeError.__init__(
        failure,
        str(body.get("what")),
        got=got,
        expected=None if expected is None else str(expected),
        remedy=None if remedy is None else str(remedy),
    )
    return failure
