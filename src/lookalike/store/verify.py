"""Is everything still as it was written? Every problem is named, not only the first.

What is compared: each event's running hash (bodies changed, missing or moved), how many there are with the
run's row (missing from the end), what the tables derive from the bodies (kinds, episodes, their starts and
ends), and the bytes of every file that an event names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lookalike.core.errors import StoreError
from lookalike.store.codec import CURRENT_VERSIONS
from lookalike.store.database import Database, Row
from lookalike.store.files import FileStore
from lookalike.store.schema import CHAIN_START, first_id

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
    names: dict[int, str]
    problems: list[Problem] = field(default_factory=list)
    changed: list[tuple[int, bytes, bytes, bytes]] = field(default_factory=list)
    started: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    files: dict[str, int] = field(default_factory=dict)
    events: int = 0

    def say(self, what: str, *, seq: int | None = None, file: str | None = None, **more: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.run_id, what, seq, file, **more))


def verify_run(database: Database, run_id: str, files: FileStore | None) -> VerifyReport:
    """Check one run; see :meth:`EventLog.verify`."""
    pages = database.check()
    try:
        check = _begin(database, run_id)
    except StoreError as error:
        problem = Problem(run_id, f"its entry cannot be read: {error.got}")
        return VerifyReport(run_id, 0, 0, (problem,))
    for found in pages:
        check.say(f"the database is damaged (this run may or may not be touched): {found}")
    chain, next_seq = _read_events(check)
    _compare_head(check, chain, next_seq)
    _explain_changes(check)
    _compare_episodes(check)
    checked = _read_files(check, files)
    return VerifyReport(run_id, check.events, checked, tuple(check.problems))


def _begin(database: Database, run_id: str) -> _Check:
    found = database.rows("SELECT run FROM runs WHERE run_id = :run_id", run_id=run_id)
    if not found:
        raise StoreError("There is no such run.", got=run_id)
    run = int(found[0][0])
    rows = database.rows("SELECT id, name FROM episodes WHERE run = :run", run=run)
    return _Check(database, run_id, run, dict(rows))


def _read_events(check: _Check) -> tuple[bytes, int]:
    """Follow the running hash; return the last one and the number of the event that would follow."""
    chain, expected = CHAIN_START, 0
    for number, episode, kind, found, stored in _rows(check):
        seq = number - first_id(check.run)
        body = found if isinstance(found, bytes) else str(found).encode()  # edited by hand, it may be text
        if seq != expected:
            gap = f"event {expected} is" if seq == expected + 1 else f"events {expected} to {seq - 1} are"
            check.say(f"{gap} missing", seq=expected)
            # What the missing one's hash was is not known any more, so this event's cannot be checked.
        elif hashlib.sha256(chain + body).digest() != stored:
            check.changed.append((seq, chain, body, stored))
        chain, expected = stored, seq + 1
        check.events += 1
        _compare_columns(check, seq, episode, kind, body)
    return chain, expected


def _rows(check: _Check) -> Iterator[Row]:
    """Read the run's events piece by piece; where pages are damaged, go on behind them."""
    query = f"""SELECT id, episode, kind, body, chain FROM events
        WHERE id >= :start AND id < :end ORDER BY id LIMIT {_PAGE}"""  # noqa: S608
    start, end = first_id(check.run), first_id(check.run + 1)
    while start < end:
        try:
            page = check.database.rows(query, start=start, end=end)
        except StoreError as error:
            check.say(f"its events cannot be read: {error.got}", seq=start - first_id(check.run))
            return
        yield from page
        if len(page) < _PAGE:
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
    if told != kind or name != (None if episode is None else check.names.get(episode)):
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
    if next_seq < events:
        lost = events - next_seq
        check.say(
            f"the last {lost} events are missing" if lost > 1 else "the last event is missing", seq=next_seq
        )
    elif next_seq > events:
        check.say(f"has {next_seq - events} events more than were appended", seq=events)
    elif head != chain:
        check.say("the last event is not the one that was appended last", seq=max(0, events - 1))
    elif (episodes, failures) != (len(check.ended), check.failed) or keys != len(check.names):
        check.say("its counts of episodes are not those of its events")


def _explain_changes(check: _Check) -> None:
    """Tell events that were altered from events that changed places."""
    window = check.changed[:_WINDOW]
    for position, (seq, chain, body, stored) in enumerate(check.changed):
        others = [c for c in window if c[0] != seq] if position < _WINDOW else []
        # The content of another place fits here, or this whole event follows another place's predecessor.
        swapped = next((c for c in others if hashlib.sha256(chain + c[2]).digest() == stored), None)
        moved = next((c for c in others if hashlib.sha256(c[1] + body).digest() == stored), None)
        after = next((c for c in others if hashlib.sha256(c[3] + body).digest() == stored), None)
        if swapped is not None:
            check.say(f"is out of order: what was appended here is at {swapped[0]}", seq=seq)
        elif moved is not None:
            check.say(f"is out of order: it was appended as event {moved[0]}", seq=seq)
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
        wrong = files.damage(digest)
        if wrong is not None:
            path = files.folder / digest[:2] / digest
            check.say(
                f"its file {path} {wrong}",
                seq=seq,
                file=str(path),
                remedy="restore the file from a copy, or run the experiment again",
            )
    return len(check.files)
