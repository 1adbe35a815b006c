"""A run at a glance, from its row alone: as fast for a million events as for ten."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lookalike.store.database import Database, Holder, Row

RunStatus = Literal["running", "finished", "stopped"]

_COLUMNS = "run_id, spec_hash, created_at, status, events, episodes, failures, folder, updated_at, reason"


@dataclass(frozen=True)
class RunSummary:
    """A run at a glance.

    Attributes:
        run_id: Its name.
        spec_hash: SHA-256 of its resolved configuration.
        created_at: Seconds since 1970.
        status: ``running`` also where the process was killed: nobody wrote an end (see ``holder``).
        events: How many were appended.
        episodes: Episodes that ended.
        failures: Those of them that failed.
        folder: Where its results go, as last given to ``start_run``; ``None`` where it was not told.
        updated_at: When something was last appended, in seconds since 1970.
        reason: Why it was stopped last; ``None`` where it never was, or has finished since.
        holder: The process that plays it now, or ``None``.
    """

    run_id: str
    spec_hash: str
    created_at: float
    status: RunStatus
    events: int
    episodes: int
    failures: int
    folder: str | None = None
    updated_at: float = 0.0
    reason: str | None = None
    holder: Holder | None = None


def read_summary(database: Database, run_id: str) -> RunSummary | None:
    """Return one run's summary, or ``None`` where there is no such run."""
    found = database.rows(f"SELECT {_COLUMNS} FROM runs WHERE run_id = :run_id", run_id=run_id)  # noqa: S608
    return _summary(database, found[0]) if found else None


def read_summaries(database: Database) -> list[RunSummary]:
    """Return all runs, oldest first."""
    query = f"SELECT {_COLUMNS} FROM runs ORDER BY created_at, run_id"  # noqa: S608
    return [_summary(database, row) for row in database.rows(query)]


def _summary(database: Database, row: Row) -> RunSummary:
    return replace(RunSummary(*row), holder=database.holder(row[0]))
