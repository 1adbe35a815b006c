"""How events become rows, and a run's head moves with them.

The last head that was written is remembered, so that a step costs two statements: move the head on from
where it was, and insert. Where another process has appended since, the first changes nothing, and the head
is read anew. A head is told by its hash, not only by its count: a run that was deleted and begun again, even
one with the same number of events, is not taken for the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from lookalike.core.errors import StoreError
from lookalike.store.codec import canonical_bytes, measured_bytes
from lookalike.store.database import Database, Row
from lookalike.store.events import Event, RunFinished, RunStarted, ends_episode
from lookalike.store.schema import EPISODE_COLUMNS, EVENT_COLUMNS, first_id

# A batch of steps moves two numbers and a hash; only one in which episodes begin or end, or after which the
# run itself has ended, changes the rest.
_MOVE_HEAD = """UPDATE runs SET events = :events, chain = :chain, updated_at = :at, status = 'running'
    WHERE run = :run AND events = :before AND chain = :seen"""
_COUNT = """UPDATE runs SET keys = :keys, episodes = episodes + :ended, failures = failures + :failed
    WHERE run = :run"""
_END = "UPDATE runs SET status = :status, reason = :reason WHERE run = :run"


class _Head(NamedTuple):
    """Where a run stands.

    Attributes:
        run: Its number.
        events: How many it has.
        chain: Running hash of the last one.
        keys: Distinct episodes so far.
        open: Number by name, of episodes known not to have ended.
    """

    run: int
    events: int
    chain: bytes
    keys: int
    open: dict[str, int]


class _Batch:
    """What one transaction appends.

    Attributes:
        events: Rows of the table of that name.
        new: Rows of new episodes, by number.
        started: Event number by episode number, where the batch starts one (again).
        ended: Likewise, where it ends one.
        failed: How many of ``ended`` failed.
        at: The last event's time, in seconds since 1970.
        end: The last event, where it says that the run ended.
    """

    __slots__ = ("at", "end", "ended", "events", "failed", "new", "started")

    def __init__(self) -> None:
        self.events: list[Row] = []
        self.new: dict[int, Row] = {}
        self.started: dict[int, int] = {}
        self.ended: dict[int, int] = {}
        self.failed = 0
        self.at = 0.0
        self.end: RunFinished | None = None


class Appender:
    """Appends events to the runs of one store.

    Args:
        database: The store.
        clock: Where the times of events come from.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._heads: dict[str, _Head] = {}
        self._holding: set[str] = set()

    def forget(self, run_id: str) -> None:
        """Forget where a run stands; it is read anew."""
        self._heads.pop(run_id, None)

    @contextmanager
    def alone(self, run_id: str) -> Iterator[None]:
        """Take any other process's append to a run as an error, until the block ends."""
        self.forget(run_id)
        self._holding.add(run_id)
        try:
            yield
        finally:
            self._holding.discard(run_id)
            self.forget(run_id)

    def append(self, run_id: str, events: tuple[Event, ...]) -> None:
        """Append events inside the caller's transaction; see :meth:`EventLog.append`."""
        known = self._heads.get(run_id)
        head = known or self._read_head(run_id)
        batch, moved = self._prepare(run_id, head, events)
        if not self._move_head(head, moved, batch):
            if run_id in self._holding:
                raise StoreError(
                    f"The run {run_id!r} was written by another process while this one held it.",
                    got=self._database.shown,
                    remedy="run it again: it goes on where the other process stopped",
                )
            head = self._read_head(run_id)  # another process appended since
            batch, moved = self._prepare(run_id, head, events)
            if not self._move_head(head, moved, batch):
                raise StoreError(
                    "The store changed under a transaction.", got=self._database.shown, remedy="run it again"
                )
        self._write(moved, batch)
        self._heads[run_id] = moved

    def _read_head(self, run_id: str) -> _Head:
        db = self._database
        query = "SELECT run, events, chain, keys FROM runs WHERE run_id = :run_id"
        found = db.rows(f"{query} {db.for_update}", run_id=run_id)
        if not found:
            raise StoreError(
                f"There is no run {run_id!r} in this store.",
                got=self._database.shown,
                remedy="start it first (start_run), or see what there is: lookalike runs list",
            )
        run, events, chain, keys = found[0]
        return _Head(run, events, chain, keys, {})

    def _prepare(self, run_id: str, head: _Head, events: tuple[Event, ...]) -> tuple[_Batch, _Head]:
        """Turn events into rows; nothing is written yet."""
        batch, chain, keys, still_open = _Batch(), head.chain, head.keys, head.open
        base, number = first_id(head.run), first_id(head.run) + head.events
        last_key, name, episode = None, "", None
        for event in events:
            body, measured = canonical_bytes(event), event.measured
            chain = hashlib.sha256(chain + body).digest()
            batch.at = self._clock() if measured.at is None else measured.at
            key = None if isinstance(event, RunStarted | RunFinished) else event.episode
            if key is None:
                last_key, episode = None, None
            elif key is not last_key:
                last_key, name = key, str(key)
                episode = still_open.get(name) or self._find_open(run_id, head, name, batch)
                if episode is None:
                    episode, keys = base + keys, keys + 1
                    batch.new[episode] = (episode, head.run, name, None, None)
                if name not in still_open:
                    still_open = still_open | {name: episode}
            if event.kind != "step_taken" and episode is not None:
                if event.kind == "episode_started":
                    batch.started[episode] = number
                elif ends_episode(event):
                    batch.ended[episode] = number
                    batch.failed += event.kind == "episode_failed"
                    still_open = {n: e for n, e in still_open.items() if e != episode}
                    last_key = None
            row = (number, episode, event.kind, batch.at, body, measured_bytes(measured), chain)
            batch.events.append(row)
            number += 1
        batch.end = event if isinstance(event, RunFinished) else None
        return batch, _Head(head.run, number - base, chain, keys, still_open)

    def _find_open(self, run_id: str, head: _Head, name: str, batch: _Batch) -> int | None:
        """Return the number of an episode that is there and has not ended; ``None`` for a new one."""
        found = self._database.rows(
            "SELECT id, ended FROM episodes WHERE run = :run AND name = :name", run=head.run, name=name
        )
        numbers = {row[2]: number for number, row in batch.new.items()}
        if found and found[0][1] is None and found[0][0] not in batch.ended:
            return int(found[0][0])
        if not found and name not in numbers:
            return None
        if not found or found[0][1] is None:
            raise StoreError(
                f"The episode {name!r} ends twice in one batch, or goes on after its end.",
                got=self._database.shown,
                remedy="append each end once, and nothing of the episode after it",
            )
        raise StoreError(
            f"The episode {name!r} of run {run_id!r} has ended already; it is not played again.",
            got=self._database.shown,
            remedy="skip finished episodes (finished_episodes), or use another run",
        )

    def _move_head(self, head: _Head, moved: _Head, batch: _Batch) -> bool:
        """Move the run's head, unless another process did since it was read; return whether it moved."""
        changed = self._database.update(
            _MOVE_HEAD,
            events=moved.events,
            chain=moved.chain,
            at=batch.at,
            run=head.run,
            before=head.events,
            seen=head.chain,
        )
        return changed == 1

    def _write(self, head: _Head, batch: _Batch) -> None:
        db = self._database
        if batch.new:
            db.insert("episodes", EPISODE_COLUMNS, list(batch.new.values()))
        for episode, number in batch.started.items():
            db.execute("UPDATE episodes SET started = :n WHERE id = :id", n=number, id=episode)
        for episode, number in batch.ended.items():
            db.execute("UPDATE episodes SET ended = :n WHERE id = :id", n=number, id=episode)
        if batch.new or batch.ended:
            ended, failed = len(batch.ended), batch.failed
            db.execute(_COUNT, keys=head.keys, ended=ended, failed=failed, run=head.run)
        if batch.end is not None:
            db.execute(_END, status=batch.end.status, reason=batch.end.reason, run=head.run)
        db.insert("events", EVENT_COLUMNS, batch.events)
