"""Is everything still as it was written? Every problem is named, not only the first.

What is compared: each event's running hash (bodies changed, missing or moved), how many there are with the
run's row (missing from the end), what the tables derive from the bodies (kinds, episodes, their starts and
ends), and the bytes of every file that an event names.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookalike.core.errors import StoreError
from lookalike.store.codec import CURRENT_VERSIONS
from lookalike.store.database import Database, Row, open_database
from lookalike.store.files import FileStore
from lookalike.store.location import read_location
from lookalike.store.schema import CHAIN_START, EVENT_LOG, first_id
from lookalike.store.sqlite_database import open_damaged

FROM_A_COPY = "restore the store from a copy, or run the experiment again under another name"
_WINDOW = 64
"""Changed events among which an exchanged order is looked for."""

_PAGE = 512


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was written.

    Attributes:
        run_id: Which run.
        what: What is wrong, in a few words.
        seq: 0-based place of the event in its run, or ``None``.
        file: The file, or ``None``.
        remedy: What can be done.
    """

    run_id: str
    what: str
    seq: int | None = None
    file: str | None = None
    remedy: str = FROM_A_COPY

    def __str__(self) -> str:
        where = f", event {self.seq}" if self.seq is not None else ""
        return f"run {self.run_id!r}{where}: {self.what}"


@dataclass(frozen=True)
class VerifyReport:
    """What was checked of a run and what was found.

    Attributes:
        run_id: Which run.
        events: Events read.
        files: Files read.
        problems: Empty where everything is as it was written.
    """

    run_id: str
    events: int
    files: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problems


@dataclass
class _Check:
    """What is known of a run while its events are read."""

    database: Database
    run_id: str
    run: int
    names: dict[int, str] | None
    problems: list[Problem] = field(default_factory=list)
    changed: list[tuple[int, bytes, bytes, bytes]] = field(default_factory=list)
    gaps: list[tuple[int, bytes]] = field(default_factory=list)
    started: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    files: dict[str, int] = field(default_factory=dict)
    events: int = 0
    unreadable: bool = False

    def say(self, what: str, *, seq: int | None = None, file: str | None = None, **more: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.run_id, what, seq, file, **more))


def verify_store(
    location: str | Path, *, run_id: str | None = None, files: FileStore | None = None
) -> list[VerifyReport]:
    """Check a store's runs, also where the store is too damaged to be opened for anything else.

    Args:
        location: Where the store is; it must exist.
        run_id: Only this run; ``None`` for all.
        files: Where frames are; ``None`` leaves them unchecked.

    Returns:
        A report for each run that the store still knows of, oldest first.

    Raises:
        StoreError: There is no store, no such run, or nothing of it can be read any more.
    """
    place = read_location(location)
    try:
        database = open_database(place, EVENT_LOG, create=False)
    except StoreError as error:
        if not isinstance(place, Path) or not isinstance(error.__cause__, sqlite3.DatabaseError):
            raise
        database = open_damaged(place)
    with database:
        try:
            found = database.rows("SELECT run_id, run FROM runs ORDER BY created_at, run_id")
        except StoreError:
            # The index of names is gone; the rows may still be there.
            found = database.rows("SELECT run_id, run FROM runs NOT INDEXED")
        known = {name: int(run) for name, run in found}
        if run_id is not None and run_id not in known:
            raise StoreError(
                f"There is no run {run_id!r} in this store.",
                got=database.shown,
                expected=f"one of: {', '.join(known)}" if known else "a store with runs in it",
            )
        # By its number from here on: the index of names may know of no run any more.
        wanted = known if run_id is None else {run_id: known[run_id]}
        return [verify_run(database, name, run, files) for name, run in wanted.items()]


def verify_run(database: Database, run_id: str, run: int, files: FileStore | None) -> VerifyReport:
    """Check one run, of that name and number; see :meth:`EventLog.verify`."""
    pages = database.check()
    try:
        check = _begin(database, run_id, run)
        for found in pages:
            check.say(f"the database is damaged (this run may or may not be touched): {found}")
        chain, next_seq = _read_events(check)
        _compare_head(check, chain, next_seq)
        _explain_changes(check)
        _compare_episodes(check)
    except StoreError as error:
        problem = Problem(run_id, f"the database is damaged: {error.got}")
        return VerifyReport(run_id, 0, 0, (problem,))
    checked = _read_files(check, files)
    return VerifyReport(run_id, check.events, checked, tuple(check.problems))


def _begin(database: Database, run_id: str, run: int) -> _Check:
    query = "SELECT id, name FROM episodes WHERE id >= :start AND id < :end"
    check = _Check(database, run_id, run, None)
    try:
        check.names = dict(database.rows(query, start=first_id(run), end=first_id(run + 1)))
    except StoreError as error:
        check.say(f"its table of episodes cannot be read: {error.got}")
    return check


def _read_events(check: _Check) -> tuple[bytes, int]:
    """Follow the running hash; return the last one and the number of the event that would follow."""
    chain, expected = CHAIN_START, 0
    for number, episode, kind, found, stored in _rows(check):
        seq = number - first_id(check.run)
        body = found if isinstance(found, bytes) else str(found).encode()  # edited by hand, it may be text
        if seq != expected:
            gap = f"event {expected} is" if seq == expected + 1 else f"events {expected} to {seq - 1} are"
            check.say(f"{gap} missing", seq=expected)
            check.gaps.append((expected, chain))
            # What the missing one's hash was is not known any more, so this event's cannot be checked.
        elif hashlib.sha256(chain + body).digest() != stored:
            check.changed.append((seq, chain, body, stored))
        chain, expected = stored, seq + 1
        check.events += 1
        _compare_columns(check, seq, episode, kind, body)
    return chain, expected


def _rows(check: _Check) -> Iterator[Row]:
    """Read the run's events piece by piece, up to the first that cannot be read."""
    start, end, size = first_id(check.run), first_id(check.run + 1), _PAGE
    query = """SELECT id, episode, kind, body, chain FROM events
        WHERE id >= :start AND id < :end ORDER BY id LIMIT :size"""
    while True:
        try:
            page = check.database.rows(query, start=start, end=end, size=size)
        except StoreError as error:
            if size > 1:
                size //= 2  # closer and closer to the damaged place
                continue
            check.unreadable = True
            check.say(f"cannot be read, nor what follows: {error.got}", seq=start - first_id(check.run))
            return
        yield from page
        if len(page) < size:
            return
        start = page[-1][0] + 1


def _compare_columns(check: _Check, seq: int, episode: int | None, kind: str, body: bytes) -> None:
    """Compare what the tables say of an event with its body, and note what its episode is about."""
    try:
        data: Any = json.loads(body)
        told, version = data["kind"], data["version"]
        key = data.get("episode")
        name = None if key is None else _name(key)
    except (ValueError, TypeError, KeyError, AttributeError):
        check.say("cannot be read: it is no event", seq=seq)
        return
    if version > CURRENT_VERSIONS.get(told, 0):
        check.say(
            f"is from a newer version of LookALike ({told!r}, version {version})",
            seq=seq,
            remedy="update the package: pip install --upgrade lookalike",
        )
        return
    if told != kind or (check.names is not None and name != check.names.get(episode or 0)):
        check.say(f"stands in the table as {kind!r} of another episode than its content says", seq=seq)
    if name is not None and kind == "episode_started":
        check.started[name] = seq
    if name is not None and (
        told == "episode_finished" or (told == "episode_failed" and not data["will_retry"])
    ):
        if name in check.ended:
            check.say(f"ends the episode {name!r}, which event {check.ended[name]} ended already", seq=seq)
        check.ended[name] = seq
        check.failed += told == "episode_failed"
    for digest in (data.get("first_frame"), data.get("next_frame")):
        if isinstance(digest, str):
            check.files.setdefault(digest, seq)


def _name(key: dict[str, Any]) -> str:
    from lookalike.store.records import EpisodeKey

    return str(EpisodeKey.model_construct(**key))


def _compare_head(check: _Check, chain: bytes, next_seq: int) -> None:
    """Compare the events with what the run's row says of them."""
    columns = "events, chain, episodes, failures, keys"
    query = f"SELECT {columns} FROM runs WHERE run = :run"  # noqa: S608 - our own names
    events, head, episodes, failures, keys = check.database.rows(query, run=check.run)[0]
    if check.unreadable:
        return
    if next_seq < events:
        lost = events - next_seq
        check.say(
            f"the last {lost} events are missing" if lost > 1 else "the last event is missing", seq=next_seq
        )
    elif next_seq > events:
        check.say(f"has {next_seq - events} events more than were appended", seq=events)
    elif head != chain:
        check.say("the last event is not the one that was appended last", seq=max(0, events - 1))
    elif (episodes, failures) != (len(check.ended), check.failed) or (
        check.names is not None and keys != len(check.names)
    ):
        check.say("its counts of episodes are not those of its events")


def _explain_changes(check: _Check) -> None:
    """Tell events that were altered from events that changed places."""
    window = check.changed[:_WINDOW]
    for position, (seq, chain, body, stored) in enumerate(check.changed):
        others = [c for c in window if c[0] != seq] if position < _WINDOW else []
        # The content of another place fits here, or this whole event follows another place's predecessor.
        swapped = next((c for c in others if hashlib.sha256(chain + c[2]).digest() == stored), None)
        moved = next((c for c in others if hashlib.sha256(c[1] + body).digest() == stored), None)
        gap = next((g for g in check.gaps[:_WINDOW] if hashlib.sha256(g[1] + body).digest() == stored), None)
        after = next((c for c in others if hashlib.sha256(c[3] + body).digest() == stored), None)
        if swapped is not None:
            check.say(f"is out of order: what was appended here is at {swapped[0]}", seq=seq)
        elif moved is not None:
            check.say(f"is out of order: it was appended as event {moved[0]}", seq=seq)
        elif gap is not None:
            check.say(f"is out of order: it was appended as event {gap[0]}", seq=seq)
        elif after is not None:
            check.say(f"is out of order: it was appended after what is event {after[0]} now", seq=seq)
        else:
            check.say("is not what was appended", seq=seq)


def _compare_episodes(check: _Check) -> None:
    """Compare the table of episodes with the events, unless events are missing and say so already."""
    if check.problems:
        return
    base = first_id(check.run)
    for name, started, ended in check.database.rows(
        "SELECT name, started, ended FROM episodes WHERE run = :run", run=check.run
    ):
        told = tuple(None if number is None else number - base for number in (started, ended))
        if told != (check.started.get(name), check.ended.get(name)):
            check.say(f"the table of episodes says of {name!r} what its events do not")


def _read_files(check: _Check, files: FileStore | None) -> int:
    if files is None:
        return 0
    for digest, seq in check.files.items():
        path, wrong = files.damage(digest)
        if wrong is not None:
            check.say(
                f"its file {path} {wrong}",
                seq=seq,
                file=str(path),
                remedy="restore the file from a copy, or run the experiment again",
            )
    return len(check.files)
