"""The event log: events are appended in whole transactions and never changed.

One store holds any number of runs. Each event is stored as its canonical bytes, with what was measured
beside them and a running SHA-256 over the run's bodies, so that a flipped byte, a missing event and a
changed order can be found (``verify``). The run's row keeps how many events there are and the last hash,
so that an event missing from the very end is found too.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lookalike.core.errors import StoreError
from lookalike.core.ids import canonical_json, hash_json
from lookalike.store.appending import Appender
from lookalike.store.codec import canonical_bytes, parse_event
from lookalike.store.database import Database, Holder, Row, open_database
from lookalike.store.events import (
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    Event,
    RunFinished,
    RunStarted,
    ends_episode,
    is_incident,
)
from lookalike.store.files import FileStore
from lookalike.store.garbage import GarbageReport, collect_garbage, delete_run
from lookalike.store.location import read_location
from lookalike.store.schema import (
    CHAIN_START,
    EVENT_LOG,
    first_id,
)
from lookalike.store.summary import RunSummary, read_summaries, read_summary
from lookalike.store.verify import VerifyReport, verify_run

_PAGE = 512
"""Events read at once: a long run is never held in memory as a whole."""


class EventLog:
    """Append-only events of any number of runs in one store.

    Safe to use from several threads and several processes. Use as a context manager, or call
    :meth:`close`.

    Args:
        location: An SQLite file (created where it does not exist, in a folder that must), a folder that
            holds ``events.sqlite``, or a ``postgresql://`` URL.
        clock: Where the times of events come from; times are never part of an event's identity.
        create: Make the store where there is none; otherwise that is an error.

    Attributes:
        location: Where the store is, as it may be shown: without a password.
        path: The SQLite file, or ``None`` on a server.

    Raises:
        StoreError: The store cannot be opened, is something else, or is from a newer version.
    """

    def __init__(
        self, location: str | Path, *, clock: Callable[[], float] = time.time, create: bool = True
    ) -> None:
        self._clock = clock
        place = read_location(location)
        if isinstance(place, Path):
            _refuse_other_folders(Path(location), place)
        self._database: Database = open_database(place, EVENT_LOG, create=create)
        self.location = self._database.shown
        self.path = self._database.path
        self._appender = Appender(self._database, clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store; further calls raise StoreError."""
        self._database.close()

    @contextmanager
    def hold(self, run_id: str) -> Iterator[Holder]:
        """Have a run to oneself: one process at a time plays it.

        The hold ends with the block, or with the process however it dies: the kernel (SQLite) or the
        server (PostgreSQL) takes it back. The run need not have been started.

        Yields:
            This process, as others are told of it.

        Raises:
            RunHeldError: Another process has it; the error says which, where and since when.
        """
        holder = Holder.this_process(self._clock())
        with self._database.hold(run_id, holder), self._appender.alone(run_id):
            yield holder

    def start_run(
        self, run_id: str, spec: Mapping[str, Any], *, package_version: str, folder: str | None = None
    ) -> bool:
        """Begin a run, or go on with one.

        Args:
            run_id: The run's name.
            spec: What was asked for, resolved, JSON values only.
            package_version: Version of the package, recorded with the run.
            folder: Where the run's results go; replaces what was recorded where the run goes on.

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
        try:
            recorded = self._start(run_id, started, folder)
        except BaseException:
            self._appender.forget(run_id)
            raise
        if recorded is not None and recorded != spec_hash:
            raise StoreError(
                f"The run {run_id!r} exists already and was asked for something else.",
                got=_difference(self.configuration(run_id), started.configuration),
                expected="the same configuration, to go on with it",
                remedy="give the new run another name, or another output folder",
            )
        return recorded is None

    def _start(self, run_id: str, started: RunStarted, folder: str | None) -> str | None:
        """Write a new run; return the hash of the specification where there is one already."""
        db = self._database
        with db.transaction():
            db.take_turns("runs")
            found = db.rows("SELECT run, spec_hash FROM runs WHERE run_id = :run_id", run_id=run_id)
            if found:
                run, recorded = found[0]
                if recorded == started.spec_hash and folder is not None:
                    db.execute("UPDATE runs SET folder = :folder WHERE run = :run", folder=folder, run=run)
                return str(recorded)
            db.execute(
                """INSERT INTO runs (run, run_id, spec_hash, created_at, updated_at, folder, status, events,
                        chain, keys, episodes, failures)
                    VALUES (:run, :run_id, :spec_hash, :now, :now, :folder, 'running', 0, :chain, 0, 0, 0)""",
                run=db.rows("SELECT coalesce(max(run), 0) + 1 FROM runs")[0][0],
                run_id=run_id,
                spec_hash=started.spec_hash,
                now=self._clock(),
                folder=folder,
                chain=CHAIN_START,
            )
            self._appender.append(run_id, (started,))
        return None

    def append(self, run_id: str, events: Iterable[Event]) -> None:
        """Append events in one transaction: after a kill all of them are there, or none.

        Where an episode or the run ends with them, this waits for the disk: a power cut takes neither it nor
        anything before. Otherwise it does not, and a power cut may take the last steps.

        Raises:
            StoreError: The run was not started, an event's episode has ended already, or the store cannot
                be written. Nothing was appended then.
        """
        batch = tuple(events)
        if not batch:
            return
        try:
            with self._database.transaction(durable=any(map(_waits_for_the_disk, batch))):
                self._appender.append(run_id, batch)
        except BaseException:
            self._appender.forget(run_id)  # it may be ahead of what was kept
            raise

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
        run = self._require(run_id)
        if episode is None:
            yield from self._pages("id >= :start AND id < :end", first_id(run), end=first_id(run + 1))
            return
        query = "SELECT id, started FROM episodes WHERE run = :run AND name = :name"
        for number, started in self._database.rows(query, run=run, name=str(episode)):
            start = first_id(run) if superseded or started is None else started
            yield from self._pages("episode = :episode AND id >= :start", start, episode=number)

    def _pages(self, condition: str, start: int, **parameters: int) -> Iterator[Event]:
        query = f"SELECT id, body, measured, at FROM events WHERE {condition} ORDER BY id LIMIT {_PAGE}"  # noqa: S608
        while True:
            page = self._database.rows(query, start=start, **parameters)
            for _, body, measured, at in page:
                yield parse_event(body, measured, at=at)
            if len(page) < _PAGE:
                return
            start = page[-1][0] + 1

    def finished_episodes(self, run_id: str) -> dict[EpisodeKey, EpisodeFinished | EpisodeFailed]:
        """Return how each ended episode ended, in the order they ended; empty for a run not started."""
        ended: dict[EpisodeKey, EpisodeFinished | EpisodeFailed] = {}
        for body, measured, at in self._ends(run_id):
            event = parse_event(body, measured, at=at)
            assert isinstance(event, EpisodeFinished | EpisodeFailed)  # noqa: S101 - append saw to it
            ended[event.episode] = event
        return ended

    def ended_keys(self, run_id: str) -> dict[EpisodeKey, bool]:
        """Return which episodes ended and whether each succeeded, several times as fast as the whole ends.

        In the order they ended; empty for a run not started.
        """
        found: dict[EpisodeKey, bool] = {}
        for body, _, _ in self._ends(run_id):
            end = json.loads(body)
            found[EpisodeKey.model_construct(**end["episode"])] = end.get("success", False)
        return found

    def _ends(self, run_id: str) -> Iterator[Row]:
        """Read the last events of ended episodes: body, measured, at."""
        query = """SELECT p.name, e.body, e.measured, e.at
            FROM episodes p LEFT JOIN events e ON e.id = p.ended
            WHERE p.run = (SELECT run FROM runs WHERE run_id = :run_id) AND p.ended IS NOT NULL
            ORDER BY p.ended"""
        for name, body, measured, at in self._database.rows(query, run_id=run_id):
            if body is None:
                raise StoreError(
                    f"The end of episode {name!r} is missing from the run {run_id!r}.",
                    got=self.location,
                    remedy="see what else is: lookalike runs verify; then restore the store from a copy",
                )
            yield body, measured, at

    def unfinished_episodes(self, run_id: str) -> dict[EpisodeKey, list[Event]]:
        """Return what is there of every episode that has not ended, in the order they first began.

        Returns:
            The events since the episode's last start, in order; what a killed process had written before
            that is superseded and left out. Empty for a run not started.
        """
        query = """SELECT p.id, p.name, p.started FROM episodes p
            WHERE p.run = (SELECT run FROM runs WHERE run_id = :run_id) AND p.ended IS NULL ORDER BY p.id"""
        return {
            EpisodeKey.parse(name): list(
                self._pages("episode = :episode AND id >= :start", started or 0, episode=number)
            )
            for number, name, started in self._database.rows(query, run_id=run_id)
        }

    def configuration(self, run_id: str) -> dict[str, Any]:
        """Return what the run was asked to do, as recorded when it started."""
        first = next(self.events(run_id), None)
        if not isinstance(first, RunStarted):
            raise StoreError(
                f"The run {run_id!r} has lost its first event.",
                got=self.location,
                remedy="restore the store from a copy",
            )
        return first.configuration

    def runs(self) -> list[RunSummary]:
        """Return all runs, oldest first."""
        return read_summaries(self._database)

    def summary(self, run_id: str) -> RunSummary:
        """Return a run at a glance, however long it is.

        Raises:
            StoreError: There is no such run.
        """
        found = read_summary(self._database, run_id)
        if found is None:
            self._require(run_id)
        assert found is not None  # noqa: S101 - _require raised
        return found

    def play_digest(self, run_id: str) -> str:
        """Return the SHA-256 of everything that was played, apart from times and the order of episodes.

        What befell the machine (a restarted game, a pause) is left out.

        Two runs of one seed have the same digest, whatever their names, however often they were
        interrupted, and however many episodes ran side by side.
        """
        digest = hashlib.sha256()
        for episode in sorted(str(key) for key in self.ended_keys(run_id)):
            for event in self.events(run_id, episode=episode):
                if is_incident(event):
                    continue
                digest.update(canonical_bytes(event) + b"\n")
        return digest.hexdigest()

    def verify(self, run_id: str, files: FileStore | None = None) -> VerifyReport:
        """Check that a run's events are unchanged, in order and complete, and its files with them.

        Args:
            run_id: Which run.
            files: Where the run's frames are; ``None`` leaves them unchecked.

        Returns:
            Everything that was found, not only the first; ``problems`` is empty where all is well.

        Raises:
            StoreError: There is no such run.
        """
        return verify_run(self._database, run_id, self._require(run_id), files)

    def delete_run(self, run_id: str) -> int:
        """Remove a run and its events; its files go with the next :meth:`collect_garbage`.

        Returns:
            How many events were removed.

        Raises:
            RunHeldError: It is being played.
            StoreError: There is no such run.
        """
        run = self._require(run_id)
        with self.hold(run_id):
            return delete_run(self._database, run)

    def collect_garbage(self, files: FileStore | None, *, dry_run: bool = False) -> GarbageReport:
        """Remove files that no run refers to, and give the space of deleted runs back.

        Args:
            files: Where frames are; ``None`` leaves files alone.
            dry_run: Only say what would be removed.
        """
        return collect_garbage(self._database, files, dry_run=dry_run)

    def _require(self, run_id: str) -> int:
        """Return the run's number.

        Raises:
            StoreError: There is no such run.
        """
        found = self._database.rows("SELECT run FROM runs WHERE run_id = :run_id", run_id=run_id)
        if found:
            return int(found[0][0])
        known = [name for (name,) in self._database.rows("SELECT run_id FROM runs ORDER BY created_at")]
        raise StoreError(
            f"There is no run {run_id!r} in this store.",
            got=self.location,
            expected=f"one of: {', '.join(known)}" if known else "a store with runs in it",
            remedy="see what there is: lookalike runs list",
        )


def open_log(
    location: str | Path, *, clock: Callable[[], float] = time.time, create: bool = True
) -> EventLog:
    """Open the event log of a store.

    Args:
        location: An SQLite file, a folder that holds ``events.sqlite``, or a ``postgresql://`` URL.
        clock: Where the times of events come from.
        create: Make the store where there is none; otherwise that is an error.

    Raises:
        StoreError: A malformed URL, a folder that is no store, no permission, a store from a newer version,
            a server that cannot be reached.
    """
    return EventLog(location, clock=clock, create=create)


def _refuse_other_folders(asked: Path, place: Path) -> None:
    """Refuse a folder that holds other things than a store; a new store belongs into an empty one."""
    folder = asked.expanduser()
    if folder.is_dir() and not place.exists() and any(folder.iterdir()):
        raise StoreError(
            "This folder is no store: it holds no events.sqlite.",
            got=str(folder),
            expected="a folder that a run has written into, an empty one, or a file",
            remedy=f"name the folder of a run, or a new file such as {folder / 'events.sqlite'}",
        )


def _waits_for_the_disk(event: Event) -> bool:
    return ends_episode(event) or isinstance(event, RunFinished)


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Name the entries in which two configurations differ."""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return ", ".join(f"{name}: {old.get(name)!r:.60} -> {new.get(name)!r:.60}" for name in names)
