"""The event log: appending against bare inserts, going on with a long run, opening a very long one."""

from __future__ import annotations

import hashlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lookalike.core.types import (
    Decision,
    Observation,
    Outcome,
    Proposal,
    Recollection,
    Role,
    Transition,
    Usage,
    Verdict,
)
from lookalike.store import (
    EpisodeFinished,
    EpisodeKey,
    EpisodeStarted,
    Event,
    EventLog,
    StepTaken,
    canonical_bytes,
)
from lookalike.store.codec import measured_bytes
from lookalike.store.schema import EPISODE_COLUMNS, EVENT_COLUMNS, first_id
from lookalike.store.sqlite_database import CHECKPOINT_PAGES

APPEND_TARGET = 0.5
RESUME_TARGET_S = 1.0
OPEN_TARGET_S = 1.0
_EPISODE_EVENTS = 30
_BATCHES = (1, 8, 30)
_ROUNDS = 5
_EVENTS_A_ROUND = 3600
_ROOM = (
    "You are standing at the end of a road before a small brick building. Around you is a forest. A small "
    "stream flows out of the building and down a gully."
)


def measure() -> list[dict[str, Any]]:
    """Return the append ratio for each batch size and the seconds for going on and for opening."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = [_appending(place, batch) for batch in _BATCHES]
        rows.append(_resuming(place / "resume.sqlite"))
        rows.append(_opening(place / "open.sqlite"))
    return rows


def step(key: EpisodeKey, number: int) -> StepTaken:
    """Return a step of four members as the swarm records it, about 1.6 kB."""
    roles = [Role(f"t{temperature}", temperature) for temperature in (0.2, 0.6, 1.0, 1.4)]
    return StepTaken.of(
        key,
        number,
        Transition(Observation(_ROOM), "enter building", Observation(f"{_ROOM} There is a lamp here."), 2.0),
        proposals=[
            Proposal(role, "enter building", 0.25 + number / 997, usage=Usage(1, 400, 3, 30, 0, 0.1))
            for role in roles
        ],
        proposal_verdicts=[Verdict(0.25, {"milestone:building": 0.25}, "The building matters.")] * 4,
        decision=Decision("enter building", "majority", {"enter building": 3.0, "look": 1.0}, ("t1.4",)),
        verdict=Verdict(0.25, {"milestone:building": 0.25}, "The building matters."),
        recollections=[Recollection(_ROOM, "in", 0.5, "Inside.", "member", f"t0.2@{number}/episode 1", 0.75)],
        score=36.0,
        seconds=0.42,
    )


def _key(number: int) -> EpisodeKey:
    return EpisodeKey(condition="swarm+expert", goal="get-lamp", seed=number)


def _appending(place: Path, batch: int) -> dict[str, Any]:
    """Append steps in transactions of ``batch``, in turns with inserting the same bytes."""
    tuned, plain, speeds = [], [], []
    steps = [step(_key(n // _EPISODE_EVENTS), n % _EPISODE_EVENTS) for n in range(_EVENTS_A_ROUND)]
    batches = [steps[at : at + batch] for at in range(0, len(steps), batch)]
    for turn in range(_ROUNDS):
        ours = _append(place / f"log-{batch}-{turn}.sqlite", batches)
        bare = _insert_bare(place / f"bare-{batch}-{turn}.sqlite", batches)
        same = _insert_bare(place / f"same-{batch}-{turn}.sqlite", batches, checkpoint=CHECKPOINT_PAGES)
        speeds.append(len(steps) / ours)
        plain.append(bare / ours)
        tuned.append(same / ours)
    few = batches[: max(8, 240 // batch)]  # each commit waits for the disk
    few_s = _insert_bare(place / f"few-{batch}.sqlite", few, defaults=True)
    untuned = statistics.median(speeds) * few_s / sum(map(len, few))
    ratio = statistics.median(plain)
    return {
        "name": f"event_log_append_batch_{batch}",
        "value": round(ratio, 2),
        "unit": "of bare sqlite3",
        "target": f">= {APPEND_TARGET:g}",
        "met": ratio >= APPEND_TARGET,
        "detail": f"{statistics.median(speeds):,.0f} step events of {len(canonical_bytes(steps[0]))} bytes a "
        f"second, {batch} a transaction; bare: the same rows, one table, no index, WAL, synchronous NORMAL; "
        f"{statistics.median(tuned):.2f} of inserts that also checkpoint every {CHECKPOINT_PAGES} pages, "
        f"{untuned:.1f} of inserts with sqlite3's own settings (no WAL, synchronous FULL)",
    }


def _append(path: Path, batches: list[list[StepTaken]]) -> float:
    with EventLog(path) as log:
        log.start_run("run", {"seeds": [1]}, package_version="0")
        keys = dict.fromkeys(event.episode for batch in batches for event in batch)
        log.append("run", [EpisodeStarted(episode=key, environment_seed=1) for key in keys])

        def append() -> None:
            for batch in batches:
                log.append("run", batch)

        with log.hold("run"):
            return _timed(append)


def _insert_bare(
    path: Path, batches: list[list[StepTaken]], *, checkpoint: int = 1000, defaults: bool = False
) -> float:
    """Insert the rows the log stores: the bytes are ready, nothing is computed, checked or indexed."""
    zero, number, rows = b"\0" * 32, 0, []
    for batch in batches:
        made = []
        for event in batch:
            number += 1
            body, measured = canonical_bytes(event), measured_bytes(event.measured)
            made.append((number, number // _EPISODE_EVENTS, event.kind, time.time(), body, measured, zero))
        rows.append(made)
    connection = sqlite3.connect(path, isolation_level=None)
    if not defaults:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}")
    connection.execute(
        """CREATE TABLE events (id INTEGER PRIMARY KEY, episode INTEGER, kind TEXT, at REAL, body BLOB,
            measured BLOB, chain BLOB)"""
    )

    def insert() -> None:
        for batch in rows:
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", batch)
            connection.execute("COMMIT")

    try:
        return _timed(insert)
    finally:
        connection.close()


def _resuming(path: Path) -> dict[str, Any]:
    """Ask what ended and what did not of a run of 100,000 events, four episodes of which go on."""
    events = _build(path, 100_000, unfinished=4)

    def resume() -> None:
        with EventLog(path) as log, log.hold("run"):
            log.start_run("run", {}, package_version="0")
            assert len(log.finished_episodes("run")) > 3000
            assert len(log.unfinished_episodes("run")) == 4

    def keys_only() -> None:
        with EventLog(path) as log:
            log.ended_keys("run")

    seconds = min(_timed(resume) for _ in range(3))
    return {
        "name": "event_log_resume_100k",
        "value": round(seconds, 3),
        "unit": "s",
        "target": f"<= {RESUME_TARGET_S:g}",
        "met": seconds <= RESUME_TARGET_S,
        "detail": f"open, hold, finished and unfinished episodes of {events:,} events; opening and "
        f"ended_keys alone {min(_timed(keys_only) for _ in range(3)):.3f} s",
    }


def _opening(path: Path) -> dict[str, Any]:
    """Open a run of 1,000,000 events."""
    events = _build(path, 1_000_000, unfinished=1, short=True)

    def show() -> None:
        with EventLog(path) as log:
            assert log.summary("run").events == events

    seconds = min(_timed(show) for _ in range(3))
    return {
        "name": "event_log_open_1m",
        "value": round(seconds, 4),
        "unit": "s",
        "target": f"<= {OPEN_TARGET_S:g}",
        "met": seconds <= OPEN_TARGET_S,
        "detail": f"open the store and read the summary of a run of {events:,} events",
    }


def _build(path: Path, events: int, *, unfinished: int, short: bool = False) -> int:
    """Write a run into a store the fast way: the same rows, made from one episode's bytes.

    Args:
        path: The store's file.
        events: How many, about.
        unfinished: Episodes that go on.
        short: Leave the bodies out: for a question that never looks at them, a gigabyte less to write.
    """
    with EventLog(path) as log:
        log.start_run("run", {}, package_version="0")
        run, episodes = 1, events // _EPISODE_EVENTS
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        # The bodies' hashes are not made: opening and going on do not look at them.
        _insert(
            connection, "events", list(EVENT_COLUMNS), _event_rows(run, episodes, unfinished, short=short)
        )
        total = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        _insert(connection, "episodes", list(EPISODE_COLUMNS), _episode_rows(run, episodes, unfinished))
        connection.execute(
            "UPDATE runs SET events = ?, keys = ?, episodes = ?", (total, episodes, episodes - unfinished)
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    return int(total)


def _insert(connection: sqlite3.Connection, table: str, columns: list[str], rows: Iterator[Any]) -> None:
    places = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)


def _event_rows(run: int, episodes: int, unfinished: int, *, short: bool) -> Iterator[tuple[Any, ...]]:
    template = _key(987654321)
    middle: list[Event] = [step(template, n) for n in range(_EPISODE_EVENTS - 2)]
    outcome = Outcome(True, len(middle), 36.0, False, False)
    end = EpisodeFinished.of(
        template, outcome, interactions=len(middle), usage=Usage(112), rewards=[0.25] * len(middle)
    )
    events: list[Event] = [
        EpisodeStarted(episode=template, environment_seed=5, first_observation=_ROOM),
        *middle,
        end,
    ]
    parts = [(e.kind, canonical_bytes(e), measured_bytes(e.measured)) for e in events]
    chain, number = hashlib.sha256(b"").digest(), first_id(run) + 1
    for episode in range(episodes):
        seed = str(episode).encode()
        kept = parts[:-1] if episode >= episodes - unfinished else parts
        for kind, body, measured in kept:
            own = b"{}" if short else body.replace(b"987654321", seed)
            yield number, first_id(run) + episode, kind, 1000.0, own, measured, chain
            number += 1


def _episode_rows(run: int, episodes: int, unfinished: int) -> Iterator[tuple[Any, ...]]:
    for episode in range(episodes):
        start = first_id(run) + 1 + episode * _EPISODE_EVENTS - max(0, episode - (episodes - unfinished))
        ended = None if episode >= episodes - unfinished else start + _EPISODE_EVENTS - 1
        yield first_id(run) + episode, run, str(_key(episode)), start, ended


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
