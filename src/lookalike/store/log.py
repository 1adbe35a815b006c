"""The event log: events are appended in whole transactions and never changed.

One SQLite file holds any number of runs. Each event is stored as its canonical bytes, with what was
measured beside them and a running SHA-256 over the run's bodies, so that a flipped byte, a missing event
and a changed order can be found (:meth:`EventLog.verify`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from lookalike.core.errors import StoreError
from lookalike.core.ids import canonical_json, hash_json
from lookalike.store.codec import canonical_bytes, parse_event
from lookalike.store.database import Migration, open_database, transaction, translated
from lookalike.store.events import (
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    Event,
    RunFinished,
    RunStarted,
    ends_episode,
    episode_of,
    is_incident,
)

_APPLICATION_ID = 0x4C4B414C  # "LKAL"

MIGRATIONS = (
    Migration(
        "0001-events",
        (
            """CREATE TABLE runs (
                run_id TEXT PRIMARY KEY,
                spec_hash TEXT NOT NULL,
                created_at DOUBLE PRECISION NOT NULL)""",
            # seq counts from 0 within a run. ends is 1 on the last event of an episode, else NULL.
            """CREATE TABLE events (
                run_id TEXT NOT NULL REFERENCES runs (run_id),
                seq INTEGER NOT NULL,
                episode TEXT,
                kind TEXT NOT NULL,
                ends INTEGER,
                at DOUBLE PRECISION NOT NULL,
                body BLOB NOT NULL,
                measured BLOB NOT NULL,
                chain BLOB NOT NULL,
                PRIMARY KEY (run_id, seq))""",
            "CREATE INDEX events_of_episode ON events (run_id, episode, seq)",
            # An episode ends once: what is finished can be neither replayed nor counted twice.
            "CREATE UNIQUE INDEX one_end ON events (run_id, episode) WHERE ends = 1",
        ),
    ),
)

_INSERT = """INSERT INTO events (run_id, seq, episode, kind, ends, at, body, measured, chain)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CHAIN_START = b"\0" * 32

RunStatus = Literal["running", "finished", "stopped"]


@dataclass(frozen=True)
class RunSummary:
    """A run at a glance.

    Attributes:
        run_id: Its name.
        spec_hash: SHA-256 of its resolved configuration.
        created_at: Seconds since 1970.
        status: ``running`` also where the process was killed: nobody wrote an end.
        events: How many were appended.
        episodes: Episodes that ended.
        failures: Those of them that failed.
    """

    run_id: str
    spec_hash: str
    created_at: float
    status: RunStatus
    events: int
    episodes: int
    failures: int


class EventLog:
    """Append-only events of any number of runs in one SQLite file.

    Safe to use from several threads and several processes. Use as a context manager, or call
    :meth:`close`.

    Args:
        path: The file; created where it does not exist, in a folder that must.
        clock: Where the times of events come from; times are never part of an event's identity.

    Raises:
        StoreError: The file cannot be opened, is something else, or is from a newer version.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._lock = threading.RLock()
        self._connection = open_database(
            self.path, what="event log", application_id=_APPLICATION_ID, migrations=MIGRATIONS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; further calls raise StoreError."""
        with self._lock:
            self._connection.close()

    def start_run(self, run_id: str, spec: Mapping[str, Any], *, package_version: str) -> bool:
        """Begin a run, or go on with one.

        Args:
            run_id: The run's name.
            spec: What was asked for, resolved, JSON values only.
            package_version: Version of the package, recorded with the run.

        Returns:
            ``True`` where the run is new, ``False`` where it was there already with the same spec.

        Raises:
            StoreError: The name is taken by a run that was asked for something else.
        """
        spec_hash = hash_json(spec)
        started = RunStarted(
            run_id=run_id,
            spec_hash=spec_hash,
            configuration=json.loads(canonical_json(spec)),
            package_version=package_version,
        )
        with self._lock, translated(self.path), transaction(self._connection):
            row = self._connection.execute(
                "SELECT spec_hash FROM runs WHERE run_id = ?", (run_id,)
            ).fetchone()
            if row is None:
                self._connection.execute(
                    "INSERT INTO runs (run_id, spec_hash, created_at) VALUES (?, ?, ?)",
                    (run_id, spec_hash, self._clock()),
                )
                self._insert(run_id, (started,))
                return True
        if row[0] != spec_hash:
            raise StoreError(
                f"The run {run_id!r} exists already and was asked for something else.",
                got=_difference(self.configuration(run_id), started.configuration),
                expected="the same configuration, to go on with it",
                remedy="give the new run another name, or another output folder",
            )
        return False

    def append(self, run_id: str, events: Iterable[Event]) -> None:
        """Append events in one transaction: after a kill all of them are there, or none.

        Raises:
            StoreError: The run was not started, an episode in ``events`` has ended already, or the file
                cannot be written. Nothing was appended then.
        """
        batch = tuple(events)
        with self._lock, translated(self.path), transaction(self._connection):
            self._insert(run_id, batch)

    def _insert(self, run_id: str, events: tuple[Event, ...]) -> None:
        last = self._connection.execute(
            "SELECT seq, chain FROM events WHERE run_id = ? ORDER BY seq DESC LIMIT 1", (run_id,)
        ).fetchone()
        if last is None and not (events and isinstance(events[0], RunStarted)):
            raise StoreError(
                f"There is no run {run_id!r} in this store.",
                got=str(self.path),
                remedy="start it first (start_run), or see what there is: lookalike runs list",
            )
        seq, chain = (-1, _CHAIN_START) if last is None else last
        rows = []
        for event in events:
            episode, body, measured = episode_of(event), canonical_bytes(event), event.measured
            at = self._clock() if measured.at is None else measured.at
            seq, chain = seq + 1, hashlib.sha256(chain + body).digest()
            ends = 1 if ends_episode(event) else None
            extra = measured.model_dump_json(exclude={"at"}, exclude_defaults=True).encode()
            rows.append((run_id, seq, episode, event.kind, ends, at, body, extra, chain))
        self._refuse_ended(run_id, {row[2] for row in rows if row[2] is not None})
        try:
            self._connection.executemany(_INSERT, rows)
        except sqlite3.IntegrityError as error:
            raise StoreError(
                "An episode ends twice in one batch.", got=str(error), remedy="append each end once"
            ) from error

    def _refuse_ended(self, run_id: str, episodes: set[str]) -> None:
        for episode in sorted(episodes):
            if self._connection.execute(
                "SELECT 1 FROM events WHERE run_id = ? AND episode = ? AND ends = 1", (run_id, episode)
            ).fetchone():
                raise StoreError(
                    f"The episode {episode!r} of run {run_id!r} has ended already; it is not played again.",
                    got=str(self.path),
                    remedy="skip finished episodes (finished_episodes), or use another run",
                )

    def events(
        self, run_id: str, *, episode: EpisodeKey | str | None = None, superseded: bool = False
    ) -> Iterator[Event]:
        """Read events in the order they were appended.

        Args:
            run_id: Which run.
            episode: Only this episode's events.
            superseded: Also what a killed process had written of the episode before it was started
                again; only asked about with ``episode``, a whole run always has everything.

        Yields:
            Events, with ``measured.at`` filled in.

        Raises:
            StoreError: There is no such run, or an event is damaged or from a newer version.
        """
        self._require(run_id)
        query = "SELECT body, measured, at FROM events WHERE run_id = ?"
        arguments: list[object] = [run_id]
        if episode is not None:
            query += " AND episode = ?"
            arguments.append(str(episode))
            if not superseded:
                query += """ AND seq >= (SELECT coalesce(max(seq), 0) FROM events
                    WHERE run_id = ? AND episode = ? AND kind = 'episode_started')"""
                arguments += [run_id, str(episode)]
        for body, measured, at in self._rows(query + " ORDER BY seq", arguments):
            yield _event(body, measured, at)

    def finished_episodes(self, run_id: str) -> dict[EpisodeKey, EpisodeFinished | EpisodeFailed]:
        """Return how each ended episode ended, in the order they ended; empty for a run not started."""
        ended: dict[EpisodeKey, EpisodeFinished | EpisodeFailed] = {}
        query = "SELECT body, measured, at FROM events WHERE run_id = ? AND ends = 1 ORDER BY seq"
        for row in self._rows(query, [run_id]):
            event = _event(*row)
            assert isinstance(event, EpisodeFinished | EpisodeFailed)  # noqa: S101 - ends = 1 says so
            ended[event.episode] = event
        return ended

    def configuration(self, run_id: str) -> dict[str, Any]:
        """Return what the run was asked to do, as recorded when it started."""
        first = next(self.events(run_id))
        assert isinstance(first, RunStarted)  # noqa: S101 - start_run writes it first
        return first.configuration

    def runs(self) -> list[RunSummary]:
        """Return all runs, oldest first."""
        query = """SELECT run_id, spec_hash, created_at,
                (SELECT max(seq) + 1 FROM events e WHERE e.run_id = r.run_id),
                (SELECT count(*) FROM events e WHERE e.run_id = r.run_id AND ends = 1),
                (SELECT count(*) FROM events e
                    WHERE e.run_id = r.run_id AND ends = 1 AND kind = 'episode_failed')
            FROM runs r ORDER BY created_at, run_id"""
        return [
            RunSummary(run_id, spec_hash, created_at, self._status(run_id), events, episodes, failures)
            for run_id, spec_hash, created_at, events, episodes, failures in list(self._rows(query, []))
        ]

    def _status(self, run_id: str) -> RunStatus:
        query = "SELECT body, measured, at FROM events WHERE run_id = ? ORDER BY seq DESC LIMIT 1"
        last = _event(*next(self._rows(query, [run_id])))
        return last.status if isinstance(last, RunFinished) else "running"

    def play_digest(self, run_id: str) -> str:
        """Return the SHA-256 of everything that was played, apart from times and the order of episodes.

        What befell the machine (a restarted game, a pause) is left out.

        Two runs of one seed have the same digest, whatever their names, however often they were
        interrupted, and however many episodes ran side by side.
        """
        digest = hashlib.sha256()
        for episode in sorted(str(key) for key in self.finished_episodes(run_id)):
            for event in self.events(run_id, episode=episode):
                if is_incident(event):
                    continue
                digest.update(canonical_bytes(event) + b"\n")
        return digest.hexdigest()

    def verify(self, run_id: str) -> int:
        """Check that a run's events are unchanged, in order and without a gap.

        Events missing from the very end cannot be seen this way: after a power cut they are simply not
        there yet, and a resumed run plays them again.

        Returns:
            How many events were checked.

        Raises:
            StoreError: Something is missing, changed or out of order; it says from which event on.
        """
        self._require(run_id)
        chain, count = _CHAIN_START, 0
        query = "SELECT seq, body, chain FROM events WHERE run_id = ? ORDER BY seq"
        for seq, body, stored in self._rows(query, [run_id]):
            # A body that was edited by hand may have become text.
            chain = hashlib.sha256(chain + (body if isinstance(body, bytes) else str(body).encode())).digest()
            if seq != count or chain != stored:
                raise StoreError(
                    f"The run {run_id!r} was changed after it was written.",
                    got=f"event {count} is {'missing' if seq != count else 'not what was appended'}",
                    expected="every event as it was appended",
                    remedy="restore the store from a copy, or run the experiment again under another name",
                )
            count += 1
        return count

    def _require(self, run_id: str) -> None:
        rows = self._rows("SELECT 1 FROM runs WHERE run_id = ?", [run_id])
        if next(rows, None) is None:
            known = [name for (name,) in self._rows("SELECT run_id FROM runs ORDER BY created_at", [])]
            raise StoreError(
                f"There is no run {run_id!r} in this store.",
                got=str(self.path),
                expected=f"one of: {', '.join(known)}" if known else "a store with runs in it",
                remedy="see what there is: lookalike runs list",
            )

    def _rows(self, query: str, arguments: list[object]) -> Iterator[tuple[Any, ...]]:
        """Run a query piece by piece, so that a long run is never held in memory as a whole."""
        with self._lock, translated(self.path):
            cursor = self._connection.execute(query, arguments)
        while True:
            with self._lock, translated(self.path):
                rows = cursor.fetchmany(256)
            if not rows:
                return
            yield from rows


def _event(body: bytes, measured: bytes, at: float) -> Event:
    event = parse_event(body, measured)
    return event.model_copy(update={"measured": event.measured.model_copy(update={"at": at})})


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Name the entries in which two configurations differ."""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return ", ".join(f"{name}: {old.get(name)!r:.60} -> {new.get(name)!r:.60}" for name in names)
