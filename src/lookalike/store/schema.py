"""The event log's tables, and how older ones become today's.

An event's number packs the run's number and its place in the run (:func:`first_id`), so that the table's
own key keeps a run's events together and in order without an index beside it. An episode's number is made
the same way. What would have to be counted (events, episodes, failures, the last event's hash) stands in
the run's row and changes in the transaction that appends.
"""

from __future__ import annotations

import json

from lookalike.store.database import Database, Migration, Schema

PLACES = 1 << 32
"""Events (and episodes) a run can have."""

CHAIN_START = b"\0" * 32
"""What the first event's running hash is built on."""

EVENT_COLUMNS = {
    "id": "INTEGER",
    "episode": "INTEGER",
    "kind": "TEXT",
    "at": "DOUBLE PRECISION",
    "body": "BLOB",
    "measured": "BLOB",
    "chain": "BLOB",
}
EPISODE_COLUMNS = {
    "id": "INTEGER",
    "run": "INTEGER",
    "name": "TEXT",
    "started": "INTEGER",
    "ended": "INTEGER",
}

_EVENTS = (
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
)

_HEADS = (
    "DROP INDEX events_of_episode",
    "DROP INDEX one_end",
    "ALTER TABLE events RENAME TO old_events",
    "ALTER TABLE runs RENAME TO old_runs",
    # run: the number events and episodes are packed with. events, chain: how many there are and the last
    # one's running hash. keys: distinct episodes so far. episodes, failures: those that ended.
    """CREATE TABLE runs (
        run INTEGER NOT NULL PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        spec_hash TEXT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        updated_at DOUBLE PRECISION NOT NULL,
        folder TEXT,
        status TEXT NOT NULL,
        reason TEXT,
        events INTEGER NOT NULL,
        chain BLOB NOT NULL,
        keys INTEGER NOT NULL,
        episodes INTEGER NOT NULL,
        failures INTEGER NOT NULL)""",
    # started, ended: the events that did. An episode ends once: what is finished can be neither replayed
    # nor counted twice.
    """CREATE TABLE episodes (
        id INTEGER NOT NULL PRIMARY KEY,
        run INTEGER NOT NULL,
        name TEXT NOT NULL,
        started INTEGER,
        ended INTEGER,
        UNIQUE (run, name))""",
    """CREATE TABLE events (
        id INTEGER NOT NULL PRIMARY KEY,
        episode INTEGER,
        kind TEXT NOT NULL,
        at DOUBLE PRECISION NOT NULL,
        body BLOB NOT NULL,
        measured BLOB NOT NULL,
        chain BLOB NOT NULL)""",
    """INSERT INTO runs (run, run_id, spec_hash, created_at, updated_at, status, events, chain, keys,
            episodes, failures)
        SELECT row_number() OVER (ORDER BY r.created_at, r.run_id), r.run_id, r.spec_hash, r.created_at,
            coalesce(max(e.at), r.created_at), 'running', coalesce(max(e.seq) + 1, 0),
            (SELECT l.chain FROM old_events l WHERE l.run_id = r.run_id ORDER BY l.seq DESC LIMIT 1),
            count(DISTINCT e.episode), count(e.ends),
            count(CASE WHEN e.kind = 'episode_failed' THEN e.ends END)
        FROM old_runs r JOIN old_events e ON e.run_id = r.run_id
        GROUP BY r.run_id, r.spec_hash, r.created_at""",
    """INSERT INTO episodes (id, run, name, started, ended)
        SELECT r.run * 4294967296 + row_number() OVER (PARTITION BY r.run ORDER BY min(e.seq)) - 1,
            r.run, e.episode,
            r.run * 4294967296 + max(CASE WHEN e.kind = 'episode_started' THEN e.seq END),
            r.run * 4294967296 + max(CASE WHEN e.ends = 1 THEN e.seq END)
        FROM old_events e JOIN runs r ON r.run_id = e.run_id
        WHERE e.episode IS NOT NULL GROUP BY r.run, e.episode""",
    """INSERT INTO events (id, episode, kind, at, body, measured, chain)
        SELECT r.run * 4294967296 + e.seq, p.id, e.kind, e.at, e.body, e.measured, e.chain
        FROM old_events e JOIN runs r ON r.run_id = e.run_id
            LEFT JOIN episodes p ON p.run = r.run AND p.name = e.episode
        ORDER BY r.run, e.seq""",
    "DROP TABLE old_events",
    "DROP TABLE old_runs",
    "CREATE INDEX events_of_episode ON events (episode, id)",
)


def _ends_of_runs(database: Database) -> None:
    """Fill in how each run ended, which only its last event says."""
    query = "SELECT body FROM events WHERE id = :id AND kind = 'run_finished'"
    for run, events in database.rows("SELECT run, events FROM runs"):
        for (body,) in database.rows(query, id=first_id(run) + events - 1):
            try:
                last = json.loads(body)
                status, reason = str(last["status"]), last.get("reason")
            except (ValueError, KeyError, TypeError):
                continue  # a damaged event is for verify to name, and no reason to leave the rest behind
            database.execute(
                "UPDATE runs SET status = :status, reason = :reason WHERE run = :run",
                status=status,
                reason=reason,
                run=run,
            )


EVENT_LOG = Schema(
    what="event log",
    application_id=0x4C4B414C,  # "LKAL"
    register="event_migrations",
    migrations=(Migration("0001-events", _EVENTS), Migration("0002-heads", _HEADS, then=_ends_of_runs)),
)


def first_id(run: int) -> int:
    """Return the number of a run's first event, and of its first episode."""
    return run * PLACES
