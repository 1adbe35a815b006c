"""Games that fail on demand, at a chosen moment, every time or once: to show that a run survives them.

Every one plays like ``TinyEnvironment`` until its fault is due, so that an episode with a fault that was
got over can be compared, step by step, with one that had none. They are made by name with an argument that
says when, in a worker too::

    EnvironmentWorker("lookalike.testing.environments:make_faulty", argument="dies,step=3,once=/tmp/mark")
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numpy as np

from lookalike.core.errors import UsageError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Observation
from lookalike.testing.tiny import TinyEnvironment

_CALLS = ("reset", "step", "admissible_actions", "facts", "save")
_Answer = TypeVar("_Answer")
_LEAK_MB = 64
_TOO_LONG = (1 << 20) + 1


@dataclass(frozen=True)
class Fault:
    """When a fault strikes, and in which form. All conditions that are given must hold.

    Attributes:
        how: The form, e.g. ``"c"``; empty for the environment's first one.
        step: Strikes when this many steps of the episode were played before (the 0-based index of a step);
            ``None`` with no ``after`` either: never by itself.
        seeds: Only in episodes with these seeds; empty for all.
        call: In which call: ``reset``, ``step``, ``admissible_actions``, ``facts`` or ``save``.
        after: Only once this many steps were played in this process, over all episodes: what a game that
            wears out does. A restart helps.
        once: A file that is made when the fault strikes, and keeps it from striking again, in any process.
    """

    how: str = ""
    step: int | None = None
    seeds: frozenset[int] = field(default_factory=frozenset)
    call: str = "step"
    after: int | None = None
    once: Path | None = None

    @classmethod
    def parse(cls, argument: str) -> Fault:
        """Read ``"how=c,step=3,seed=1+2,call=facts,after=100,once=/tmp/mark"``; every part may be missing.

        Raises:
            UsageError: A part that cannot be meant.
        """
        parts = dict(part.partition("=")[::2] for part in argument.split(",") if part)
        try:
            fault = cls(
                how=parts.pop("how", ""),
                step=_integer(parts.pop("step", None)),
                seeds=frozenset(int(seed) for seed in parts.pop("seed", "").split("+") if seed),
                call=parts.pop("call", "step"),
                after=_integer(parts.pop("after", None)),
                once=Path(mark) if (mark := parts.pop("once", None)) else None,
            )
        except ValueError as error:
            raise _misread(argument, str(error)) from None
        if parts or fault.call not in _CALLS:
            raise _misread(argument, ", ".join(parts) or fault.call)
        return fault

    def strikes(self, call: str, *, step: int, seed: int, process_steps: int) -> bool:
        """Return whether the fault is due now, and note it where it is to strike once only."""
        due = (
            (self.step is not None or self.after is not None)
            and call == self.call
            and self.step in (None, step)
            and (not self.seeds or seed in self.seeds)
            and process_steps >= (self.after or 0)
        )
        if not due or self.once is None:
            return due
        try:
            self.once.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)


def _misread(argument: str, part: str) -> UsageError:
    return UsageError(
        "This says no moment at which a game could fail.",
        got=f"{part!r} in {argument!r}",
        expected=f"how=…,step=N,seed=N+N,call={'|'.join(_CALLS)},after=N,once=FILE",
        remedy="Leave out what you do not need.",
    )


class FaultyEnvironment(TinyEnvironment):
    """The tiny game with a fault. Subclasses say what happens when it strikes.

    Args:
        argument: See :meth:`Fault.parse`; empty for none but what a command sets off.
    """

    id = "tiny-faulty"
    forms: ClassVar[tuple[str, ...]] = ()

    def __init__(self, argument: str = "") -> None:
        super().__init__()
        self.fault = Fault.parse(argument)
        if self.fault.how and self.fault.how not in self.forms:
            raise UsageError(
                f"{type(self).__name__} does not fail in this form.",
                got=repr(self.fault.how),
                expected=" or ".join(self.forms),
                remedy="Choose one of those.",
            )
        self._seed = 0
        self._steps = 0
        self._process_steps = 0

    def reset(self, *, seed: int) -> Observation:
        """Start an episode, or fail."""
        self._seed, self._steps = seed, 0
        return self._played("reset", lambda: super(FaultyEnvironment, self).reset(seed=seed))

    def step(self, action: str) -> StepResult:
        """Play one command, or fail."""
        result = self._played("step", lambda: super(FaultyEnvironment, self).step(action))
        self._steps += 1
        self._process_steps += 1
        return result

    def admissible_actions(self) -> tuple[str, ...]:
        """Return the commands, or fail."""
        return self._played("admissible_actions", super().admissible_actions)

    def facts(self) -> Mapping[str, Any]:
        """Return the facts, or fail."""
        return self._played("facts", super().facts)

    def save(self) -> bytes:
        """Return the state, or fail."""
        return self._played("save", super().save)

    def strike(self, call: str, how: str) -> Any:
        """Fail in the form ``how``; what is returned, if anything ever is, is the call's answer."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it fails in {call} ({how})")

    def _played(self, call: str, play: Callable[[], _Answer]) -> _Answer:
        if self.fault.strikes(call, step=self._steps, seed=self._seed, process_steps=self._process_steps):
            return cast("_Answer", self.strike(call, self.fault.how or self.forms[0]))
        return play()


class HangingEnvironment(FaultyEnvironment):
    """Never answers when its fault is due, nor the command ``hang``.

    Forms: ``sleep``; ``c`` (waits in C with the interpreter locked and all signals blocked: only a kill
    helps); ``regex`` (a search in C that takes for ever, at full load); ``helper`` (waits for a process
    that it started; ``facts()["helper"]`` is its id).
    """

    id = "tiny-hanging"
    forms = ("sleep", "c", "regex", "helper")
    _helper: subprocess.Popen[bytes] | None = None

    def step(self, action: str) -> StepResult:
        """Play one command, or hang."""
        if action == "hang":
            self.strike("step", self.fault.how or "sleep")
        return super().step(action)

    def facts(self) -> Mapping[str, Any]:
        """Return the facts, with the helper's process id where there is one."""
        facts = super().facts()
        if self.fault.how != "helper":
            return facts
        return {**facts, "helper": self._engine().pid}

    def strike(self, call: str, how: str) -> None:  # noqa: ARG002  (every call fails alike)
        """Hang; see the class for the forms."""
        if how == "c":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            ctypes.PyDLL(None).pause()
        elif how == "regex":
            re.match("(a+)+$", 200 * "a" + "b")
        elif how == "helper":
            self._engine().wait()
        time.sleep(3600)

    def _engine(self) -> subprocess.Popen[bytes]:
        if self._helper is None:
            self._helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        return self._helper


class DyingEnvironment(FaultyEnvironment):
    """Ends its process when its fault is due, or on the command of that name.

    Forms: ``abort`` as a failed C assertion does; ``exit`` with status 3; ``segfault``; ``kill`` as the
    system does when memory runs out.
    """

    id = "tiny-dying"
    forms = ("abort", "exit", "segfault", "kill")

    def step(self, action: str) -> StepResult:
        """Play one command, or end the process."""
        if action in self.forms:
            self.strike("step", action)
        return super().step(action)

    def strike(self, call: str, how: str) -> None:  # noqa: ARG002  (every call fails alike)
        """End the process; see the class for the forms."""
        if how == "abort":
            os.abort()
        if how == "exit":
            os._exit(3)
        if how == "segfault":
            ctypes.string_at(0)
        os.kill(os.getpid(), signal.SIGKILL)


class LeakingEnvironment(FaultyEnvironment):
    """Keeps 64 MiB of every step; where its fault has a moment, nothing until then, and then all it can get.

    Forms: ``python`` (an array, so that the end is a MemoryError); ``c`` (``malloc`` by a program that does
    not look whether it got anything); ``slowly`` (a million small objects at a time, so that the interpreter
    has nothing left to report with).
    """

    id = "tiny-leaking"
    forms = ("python", "c", "slowly")

    def __init__(self, argument: str = "") -> None:
        super().__init__(argument)
        self._kept: list[bytearray] = []
        self._chain: tuple[object, ...] = ()

    def step(self, action: str) -> StepResult:
        """Play one command and forget to free what it took."""
        if self.fault.step is None and self.fault.after is None:
            self._leak(self.fault.how or "python")
        return super().step(action)

    def strike(self, call: str, how: str) -> None:  # noqa: ARG002  (every call fails alike)
        """Take memory until there is none."""
        while True:
            self._leak(how)

    def _leak(self, how: str) -> None:
        if how == "python":
            self._kept.append(bytearray(_LEAK_MB << 20))
        elif how == "c":
            malloc = ctypes.CDLL(None).malloc
            malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
            ctypes.memset(malloc(_LEAK_MB << 20) or 0, 1, _LEAK_MB << 20)
        else:
            for _ in range(1_000_000):
                self._chain = (self._chain,)


class MalformedEnvironment(FaultyEnvironment):
    """Answers with something that is no answer when its fault is due, or on the command of that name.

    Forms, of a step or a reset: ``bytes``, ``dict``, ``none``, ``frame`` (floats), ``missing`` (a picture in
    place of the declared text), ``long`` (over the limit), ``surrogate`` (half a character); of a step only:
    ``nan``, ``huge``, ``info``, ``deep``, ``noise`` (bytes written past everything into the worker's socket).
    Other calls answer with a wrong type.
    """

    id = "tiny-malformed"
    forms = (
        *("bytes", "dict", "none", "frame", "missing", "long", "surrogate"),
        *("nan", "huge", "info", "deep", "noise"),
    )

    def step(self, action: str) -> StepResult:
        """Return what the action names, or play it."""
        if action in self.forms:
            return cast("StepResult", self._wrong_step(action))
        return super().step(action)

    def strike(self, call: str, how: str) -> object:
        """Return a wrong answer; see the class for the forms."""
        if call == "step":
            return self._wrong_step(how)
        if call == "reset":
            return self._wrong_observation(how)
        return {"admissible_actions": ("look", 5), "facts": {"a set": {1, 2}}, "save": "text"}[call]

    def _wrong_step(self, how: str) -> object:
        fine = Observation(text="ok")
        if how in ("dict", "none"):
            return {"text": "a dictionary"} if how == "dict" else None
        if how == "nan":
            return StepResult(fine, env_reward=float("nan"))
        if how == "huge":
            return StepResult(fine, env_reward=10**400)
        if how == "info":
            return StepResult(fine, info={"set": {1, 2}})
        if how == "deep":
            deep: list[Any] = []
            for _ in range(100_000):
                deep = [deep]
            return StepResult(fine, info={"deep": deep})
        if how == "noise" and sys.argv[0].endswith("worker_child.py"):
            os.write(int(sys.argv[1]), 64 * b"\xff")
        return StepResult(self._wrong_observation(how))

    def _wrong_observation(self, how: str) -> Observation:
        wrong: dict[str, tuple[object, object]] = {
            "bytes": (b"bytes", None),
            "dict": ({"text": "a dictionary"}, None),
            "none": (None, None),
            "frame": (None, np.zeros((4, 4), dtype=np.float64)),
            "missing": (None, np.zeros((4, 4, 3), dtype=np.uint8)),
            "long": (_TOO_LONG * "x", None),
            "surrogate": ("half \udc80", None),
        }
        observation = Observation(text="ok")  # made past its own checks, as ill-typed code can
        text, frame = wrong.get(how, ("ok", None))
        object.__setattr__(observation, "text", text)
        object.__setattr__(observation, "frame", frame)
        return observation


_KINDS: dict[str, type[FaultyEnvironment]] = {
    "hangs": HangingEnvironment,
    "dies": DyingEnvironment,
    "leaks": LeakingEnvironment,
    "malformed": MalformedEnvironment,
}


def make_faulty(argument: str) -> FaultyEnvironment:
    """Make a faulty environment by a text: ``"hangs,how=c,step=3"``.

    Args:
        argument: ``hangs``, ``dies``, ``leaks`` or ``malformed``, then what :meth:`Fault.parse` reads.

    Raises:
        UsageError: A part that cannot be meant.
    """
    kind, _, when = argument.partition(",")
    if kind not in _KINDS:
        raise UsageError(
            "There is no faulty environment of this kind.",
            got=repr(kind),
            expected=f"one of: {', '.join(_KINDS)}",
            remedy="Say first what it does, then when: 'hangs,step=3'.",
        )
    return _KINDS[kind](when)
