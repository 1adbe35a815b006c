"""Removing what nobody needs: runs by name, and files that no run mentions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from lookalike.store.codec import mentioned_digests
from lookalike.store.database import Database
from lookalike.store.files import FileStore
from lookalike.store.schema import first_id
from lookalike.store.summary import read_summaries

_PAGE = 2000
_CLOCKS_DIFFER_S = 60.0
"""How far the clocks of machines that share a folder may be apart."""


@dataclass(frozen=True)
class GarbageReport:
    """What was removed, or would be.

    Attributes:
        files: Files that no event mentions.
        leftovers: Temporary files of writers that were killed.
        bytes_freed: By files and by the database; of the database nothing where it was only looked at.
        kept: Files no event mentions yet, kept because a run that is being played may be about to.
        dry_run: Nothing was removed.
    """

    files: int
    leftovers: int
    bytes_freed: int
    kept: int
    dry_run: bool


def delete_run(database: Database, run: int) -> int:
    """Remove a run by number; return how many events went with it."""
    span = {"start": first_id(run), "end": first_id(run + 1)}
    with database.transaction():
        events = database.rows("SELECT count(*) FROM events WHERE id >= :start AND id < :end", **span)[0][0]
        database.execute("DELETE FROM events WHERE id >= :start AND id < :end", **span)
        database.execute("DELETE FROM episodes WHERE run = :run", run=run)
        database.execute("DELETE FROM runs WHERE run = :run", run=run)
    return int(events)


def collect_garbage(database: Database, files: FileStore | None, *, dry_run: bool) -> GarbageReport:
    """Remove files that no event mentions, and give space back; see :meth:`EventLog.collect_garbage`.

    A file is stored before the event that mentions it is appended. So of the runs that are being played, and
    of those that may begin meanwhile, every file that was stored (or asked for again) since is left alone.
    """
    now = time.time()
    holders = [run.holder for run in read_summaries(database) if run.holder is not None]
    before = min([now, *(holder.since - _CLOCKS_DIFFER_S for holder in holders)])
    removed = leftovers = freed = kept = 0
    if files is not None:
        used = _mentioned(database)
        unused = [path for digest, path in files.digests() if digest not in used]
        for path, is_leftover in [*((p, False) for p in unused), *((p, True) for p in files.leftovers())]:
            size = _remove(path, before=before, dry_run=dry_run)
            if size is None:
                kept += 1
                continue
            freed += size
            leftovers += is_leftover
            removed += not is_leftover
    if not dry_run and not holders:
        freed += database.compact()
    return GarbageReport(removed, leftovers, freed, kept, dry_run)


def _mentioned(database: Database) -> set[str]:
    """Return every digest that any event mentions, of any kind and version: rather one file too many."""
    used: set[str] = set()
    start = -1
    while page := database.rows(
        f"SELECT id, body FROM events WHERE id > :start ORDER BY id LIMIT {_PAGE}",  # noqa: S608
        start=start,
    ):
        for _, body in page:
            used |= mentioned_digests(body if isinstance(body, bytes) else str(body).encode())
        start = page[-1][0]
    return used


def _remove(path: Path, *, before: float, dry_run: bool) -> int | None:
    """Remove a file last used before a time; return its size, or ``None`` where it was kept."""
    try:
        found = path.stat()
        if found.st_mtime > before:
            return None
        if not dry_run:
            path.unlink()
    except FileNotFoundError:
        return 0  # somebody else's collection was faster
    return found.st_size
