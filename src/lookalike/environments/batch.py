"""Several plays of one game, stepped together: in this process, or in one worker process.

One message carries all actions and one read takes in all answers, so that a worker costs little more than the
game itself. The members are independent: each has its own seed, state and end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lookalike.core.errors import EnvironmentDiedError, UsageError
from lookalike.core.ids import canonical_json
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Capability, Observation
from lookalike.environments.frame_slots import FrameSlots, make_slots_file
from lookalike.environments.registry import (
    find_loader,
    load_from_reference,
    make_environment,
    reference_of,
)
from lookalike.environments.wire import (
    Kind,
    Message,
    decode_observation,
    decode_step,
    encode_values,
    join_many,
)
from lookalike.environments.worker import DEFAULT_MEMORY_LIMIT_MB, EnvironmentWorker, decode_facts

_Item = TypeVar("_Item")
MAX_SIZE = 256
_LOADER = "lookalike.environments.batch:make_members"


class EnvironmentBatch(Protocol):
    """Several plays of one environment; a member that is given ``None`` is left alone and answers it."""

    id: str
    capabilities: frozenset[Capability]
    how_to_play: str
    size: int

    def reset_many(self, seeds: Sequence[int | None]) -> list[Observation | None]:
        """Start an episode in every member that is given a seed."""
        ...

    def step_many(self, actions: Sequence[str | None]) -> list[StepResult | None]:
        """Play an action in every member that is given one."""
        ...

    def save_many(self) -> list[bytes]:
        """Return every member's state (capability ``save_restore``)."""
        ...

    def restore_many(self, states: Sequence[bytes | None]) -> None:
        """Take every member that is given a state back to it; any member's state fits any member."""
        ...

    def facts_many(self) -> list[Mapping[str, Any]]:
        """Return every member's facts."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


def make_environment_batch(
    id: str,
    size: int,
    *,
    isolated: bool = True,
    step_time_limit_s: float = 10.0,
    memory_limit_mb: int | None = DEFAULT_MEMORY_LIMIT_MB,
) -> EnvironmentBatch:
    """Make several plays of an environment.

    Args:
        id: As for ``make_environment``.
        size: How many, 1 to 256.
        isolated: In one worker process, which a failure of any member ends for all.
        step_time_limit_s: Seconds that a call may take, all members together.
        memory_limit_mb: MiB of address space of the worker; ``None`` for no limit.

    Raises:
        UsageError: The size cannot be meant.
        UnknownNameError: Nothing is registered under the id.
        GameError: The environment cannot be started.
    """
    if not 1 <= size <= MAX_SIZE:
        raise UsageError("A batch of this size is not made.", got=size, expected=f"1 to {MAX_SIZE}")
    if not isolated:
        return LocalBatch([make_environment(id, isolated=False) for _ in range(size)])
    loader, argument = find_loader(id)
    return BatchWorker(
        loader,
        size,
        argument=argument,
        step_time_limit_s=step_time_limit_s,
        memory_limit_mb=memory_limit_mb,
    )


class LocalBatch:
    """A batch in this process.

    Args:
        members: Environments of one id, at least one; closed with the batch.
    """

    def __init__(self, members: Sequence[Environment]) -> None:
        self.members = tuple(members)
        first = self.members[0]
        self.id, self.capabilities, self.how_to_play = first.id, first.capabilities, first.how_to_play
        self.size = len(self.members)

    def reset_many(self, seeds: Sequence[int | None]) -> list[Observation | None]:
        """Start an episode in every member that is given a seed."""
        pairs = zip(self.members, _fitting(seeds, self.size), strict=True)
        return [None if seed is None else member.reset(seed=seed) for member, seed in pairs]

    def step_many(self, actions: Sequence[str | None]) -> list[StepResult | None]:
        """Play an action in every member that is given one."""
        pairs = zip(self.members, _fitting(actions, self.size), strict=True)
        return [None if action is None else member.step(action) for member, action in pairs]

    def save_many(self) -> list[bytes]:
        """Return every member's state."""
        return [member.save() for member in self.members]

    def restore_many(self, states: Sequence[bytes | None]) -> None:
        """Take every member that is given a state back to it."""
        for member, state in zip(self.members, _fitting(states, self.size), strict=True):
            if state is not None:
                member.restore(state)

    def facts_many(self) -> list[Mapping[str, Any]]:
        """Return every member's facts."""
        return [member.facts() for member in self.members]

    def close(self) -> None:
        """Close every member."""
        for member in self.members:
            member.close()

    def __enter__(self) -> LocalBatch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class BatchWorker(EnvironmentWorker):
    """A batch in one worker process; limits and failures as :class:`EnvironmentWorker` has them.

    Args:
        loader: Makes a member; as for :class:`EnvironmentWorker`.
        size: How many.
        argument: Passed to the loader, where it takes one.
        step_time_limit_s: Seconds that a call may take, all members together.
        memory_limit_mb: MiB of address space of the worker; ``None`` for no limit.
    """

    def __init__(
        self,
        loader: str | Callable[..., Environment],
        size: int,
        *,
        argument: str | None = None,
        step_time_limit_s: float = 10.0,
        memory_limit_mb: int | None = DEFAULT_MEMORY_LIMIT_MB,
    ) -> None:
        self.size = size
        self._member = loader if isinstance(loader, str) else reference_of(loader), argument
        self._slots: FrameSlots | None = None
        super().__init__(
            _LOADER,
            argument="",
            step_time_limit_s=step_time_limit_s,
            memory_limit_mb=memory_limit_mb,
        )

    def _start(self) -> None:
        """Start the process; the file behind the frames' memory is gone as soon as both have it mapped."""
        file = make_slots_file(self.size)
        try:
            self._slots = None if file is None else FrameSlots(file, self.size)
            self._config["argument"] = canonical_json([self.size, *self._member, str(file) if file else ""])
            super()._start()
        finally:
            if file is not None:
                file.unlink(missing_ok=True)

    def _end_child(self) -> None:
        super()._end_child()
        if self._slots is not None:
            self._slots.close()
            self._slots = None

    def reset_many(self, seeds: Sequence[int | None]) -> list[Observation | None]:
        """Start an episode in every member that is given a seed; starts a new process after a failure.

        Raises:
            EnvironmentDiedError: After a failure, when not every member is given a seed.
        """
        if self._child is None:
            if any(seed is None for seed in seeds):
                raise EnvironmentDiedError(
                    "The batch's process failed, and with it all of its plays.",
                    expected="a seed for every member",
                    remedy="Reset all members.",
                )
            self._start()
        parts = [
            None if seed is None else Message(Kind.RESET, values=canonical_json(seed).encode())
            for seed in _fitting(seeds, self.size)
        ]
        return self._many(Kind.RESET, parts, decode_observation, limit_s=self._start_limit_s)

    def step_many(self, actions: Sequence[str | None]) -> list[StepResult | None]:
        """Play an action in every member that is given one."""
        values = encode_values(list(_fitting(actions, self.size)), "actions")
        child, slots = self._running(), self._slots
        first = self._receive(
            child, Kind.STEPS, self._step_limit_s, Message(Kind.STEPS, values=values), or_kind=Kind.STEP
        )
        if first.kind == Kind.STEPS and first.payload and slots is not None:
            return self._decoded(lambda message: slots.take_steps(message, self.size), first)
        asked = [action is not None for action in actions]
        return self._answers(Kind.STEP, asked, decode_step, self._step_limit_s, first, skipped=Kind.STEPS)

    def save_many(self) -> list[bytes]:
        """Return every member's state."""
        self._require("save_restore")
        states = self._many(Kind.SAVE, [Message(Kind.SAVE)] * self.size, lambda one: one.payload)
        return [state for state in states if state is not None]

    def restore_many(self, states: Sequence[bytes | None]) -> None:
        """Take every member that is given a state back to it."""
        self._require("save_restore")
        parts = [
            None if state is None else Message(Kind.RESTORE, payload=state)
            for state in _fitting(states, self.size)
        ]
        self._many(Kind.RESTORE, parts, lambda _: None)

    def facts_many(self) -> list[Mapping[str, Any]]:
        """Return every member's facts."""
        found = self._many(Kind.FACTS, [Message(Kind.FACTS)] * self.size, decode_facts)
        return [facts for facts in found if facts is not None]

    def __enter__(self) -> BatchWorker:
        return self

    def _many(
        self,
        kind: Kind,
        parts: Sequence[Message | None],
        decode: Callable[[Message], _Item],
        *,
        limit_s: float | None = None,
    ) -> list[_Item | None]:
        """Ask every member its part; answers are taken in as they come, and the first error is raised."""
        child = self._running()
        limit = self._step_limit_s if limit_s is None else limit_s
        first_kind = kind if parts[0] is not None else Kind.MANY
        first = self._receive(child, first_kind, limit, join_many(parts))
        return self._answers(kind, [part is not None for part in parts], decode, limit, first)

    def _answers(
        self,
        kind: Kind,
        asked: Sequence[bool],
        decode: Callable[[Message], _Item],
        limit_s: float,
        first: Message,
        *,
        skipped: Kind = Kind.MANY,
    ) -> list[_Item | None]:
        """Take in one answer a member, of which the first is here."""
        child = self._running()
        answers: list[_Item | None] = []
        failed: Message | None = None
        for number, is_asked in enumerate(asked):
            wanted = kind if is_asked else skipped
            answer = self._receive(child, wanted, limit_s) if number else first
            if answer.kind == Kind.ERROR:
                failed = failed or answer
            if answer.kind != kind:
                answers.append(None)
                continue
            if self._slots is not None:
                answer = self._slots.take(number, answer)
            answers.append(self._decoded(decode, answer))
        if failed is not None:
            raise self._failure(kind, failed)
        return answers


class _Members:
    """What a batch's worker process holds; it is asked for its members only."""

    def __init__(self, members: Sequence[Environment], slots: FrameSlots | None) -> None:
        self.members, self.slots = tuple(members), slots
        first = self.members[0]
        self.id, self.capabilities, self.how_to_play = first.id, first.capabilities, first.how_to_play


def make_members(argument: str) -> _Members:
    """Make ``[16, "package.module:callable", "maze", "/path/to/slots"]`` (the worker process does this)."""
    size, reference, member_argument, slots = json.loads(argument)
    members = [load_from_reference(reference, member_argument) for _ in range(size)]
    return _Members(members, FrameSlots(Path(slots), size) if slots else None)


def _fitting(items: Sequence[_Item], size: int) -> Sequence[_Item]:
    if len(items) != size:
        raise UsageError("A batch wants one item a member.", got=len(items), expected=str(size))
    return items
