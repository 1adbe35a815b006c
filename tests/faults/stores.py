"""What lies in a run's stores, looked at without touching it; and the two ways to take it by force.

An SQLite file is never opened where the run keeps it: the first to open it after a kill repairs it, and that
is for the resumed run to do. A copy is opened instead.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import shutil
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from lookalike.store import EpisodeKey, EpisodeStarted, EventLog, canonical_bytes
from lookalike.store.events import ends_episode, episode_of

_CALL = re.compile(rb"call ([0-9a-f]{32})")
_FRAME_HEADER, _WAL_HEADER = 24, 32
_CACHESTAT = 451


@dataclass
class Held:
    """What the log of a run holds.

    Attributes:
        events: How many.
        finished: Canonical bytes of all events of each episode that ended, by its key.
        starts_after_end: Episodes that were started although they had ended.
        ended: Whether its last event says that the run is over.
        problems: What ``verify`` finds.
        digest: Of all that was played.
    """

    events: int = 0
    finished: dict[EpisodeKey, bytes] = field(default_factory=dict)
    starts_after_end: list[str] = field(default_factory=list)
    ended: bool = False
    problems: list[str] = field(default_factory=list)
    digest: str = ""


def read_log(log: EventLog, run_id: str) -> Held:
    """Read all of a run; nothing where it was not begun."""
    held = Held()
    if not any(run.run_id == run_id for run in log.runs()):
        return held
    ended: set[str] = set()
    for event in log.events(run_id):
        held.events += 1
        name = episode_of(event)
        if isinstance(event, EpisodeStarted) and name in ended:
            held.starts_after_end.append(str(name))
        if ends_episode(event):
            ended.add(str(name))
        held.ended = event.kind == "run_finished"
    for key in log.finished_episodes(run_id):
        held.finished[key] = b"\n".join(canonical_bytes(e) for e in log.events(run_id, episode=key))
    held.problems = [str(problem) for problem in log.verify(run_id).problems]
    held.digest = log.play_digest(run_id)
    return held


def flushed_bytes(path: Path) -> int | None:
    """Return how far a file is on the disk, from its beginning in bytes; ``None`` where nobody tells.

    Asks the kernel for dirty pages (``cachestat``, the same number on every architecture, Linux 6.5).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    size = path.stat().st_size

    def is_flushed(end: int) -> bool:
        place, counts = (ctypes.c_uint64 * 2)(0, end), (ctypes.c_uint64 * 5)()
        with path.open("rb") as file:
            if libc.syscall(_CACHESTAT, file.fileno(), place, counts, 0):
                raise OSError(ctypes.get_errno(), "cachestat")
        return counts[1] == counts[2] == 0  # dirty pages, and those on their way

    try:
        low, high = 0, size // mmap.PAGESIZE
        if is_flushed(size):
            return size
        while low < high:  # the first so many pages are flushed
            middle = (low + high + 1) // 2
            low, high = (middle, high) if is_flushed(middle * mmap.PAGESIZE) else (low, middle - 1)
    except OSError:
        return None
    return low * mmap.PAGESIZE


class SqliteStores:
    """A run's event log and the response cache beside it, each a file."""

    name = "sqlite"

    def __init__(self, folder: Path, cache: Path, scratch: Path) -> None:
        self.log = folder / "events.sqlite"
        self.cache = cache
        self.location: str | None = None  # the run's default
        self._scratch = scratch

    def read(self, run_id: str) -> Held:
        """Read the log; nobody may be writing."""
        with self._copied(self.log) as copy:
            if copy is None:
                return Held()
            with EventLog(copy) as log:
                return read_log(log, run_id)

    def progress(self, run_id: str) -> tuple[int, int]:
        """Count events and ended episodes of a run that is being played; 0 where there is no log yet."""
        rows = self._look(self.log, "SELECT events, episodes FROM runs WHERE run_id = ?", run_id)
        return rows[0] if rows else (0, 0)

    def kept_calls(self) -> set[str]:
        """Return the calls whose answers are in the cache, while the run goes on or not."""
        return _calls(value for (value,) in self._look(self.cache, "SELECT value FROM responses"))

    def cut_power(self, random: Random) -> str:
        """Take away a random part of what no flush to the disk protects; return what was done.

        The part of the write-ahead log that was copied into the database already had been flushed before
        that, so it stays, and so do pages of it that the kernel does not count as dirty: those were flushed.
        Where the kernel does not tell (Linux before 6.5), all of the rest is at risk. The response cache of a
        paid model flushes at every commit: it stays whole.
        """
        wal = self.log.with_name(self.log.name + "-wal")
        shm = self.log.with_name(self.log.name + "-shm")
        if not wal.exists() or wal.stat().st_size <= _WAL_HEADER or not shm.exists():
            return "nothing was at risk"
        index = shm.read_bytes()
        page_size, frames = struct.unpack_from("=H", index, 14)[0], struct.unpack_from("=I", index, 16)[0]
        copied = struct.unpack_from("=I", index, 96)[0]
        frame = _FRAME_HEADER + (65536 if page_size == 1 else page_size)
        safe, end = _WAL_HEADER + copied * frame, min(_WAL_HEADER + frames * frame, wal.stat().st_size)
        if (flushed := flushed_bytes(wal)) is not None and flushed > safe:
            # A page that was flushed and then written on counts as dirty as a whole; what had been flushed of
            # it ended with a frame, and no page holds the ends of two.
            safe = min(end, _WAL_HEADER + -(-(flushed - _WAL_HEADER) // frame) * frame)
        if end <= safe:
            return "nothing was at risk"
        lowest = max(safe, end - 40 * frame)  # the last few transactions
        cut = random.randrange(lowest, end)
        os.truncate(wal, cut)
        if random.random() < 0.5:  # a sector that was being written
            with wal.open("ab") as file:
                file.write(random.randbytes(random.randrange(1, 2 * frame)))
            return f"cut {end - cut} bytes, noise after"
        return f"cut {end - cut} bytes"

    @contextmanager
    def _copied(self, path: Path) -> Iterator[Path | None]:
        if not path.exists():
            yield None
            return
        folder = self._scratch / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for end in ("", "-wal"):
            if (beside := path.with_name(path.name + end)).exists():
                shutil.copy(beside, folder)
        if (folder / path.name).stat().st_size == 0 and not (folder / f"{path.name}-wal").exists():
            yield None  # it was killed before the first table
        else:
            yield folder / path.name
        shutil.rmtree(folder)

    @staticmethod
    def _look(path: Path, query: str, *parameters: str) -> list[tuple]:
        if not path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
                return connection.execute(query, parameters).fetchall()
        except sqlite3.OperationalError:  # before its first table, or between two of its files
            return []


class PostgresStores:
    """Both in one database."""

    name = "postgres"

    def __init__(self, url: str) -> None:
        from pg8000.native import Connection

        self.location: str | None = url
        parts = urlsplit(url)
        self._schema = parts.query.removeprefix("schema=")
        self._connection = Connection(
            parts.username, host=parts.hostname, port=parts.port, password=parts.password, database="postgres"
        )

    def read(self, run_id: str) -> Held:
        """Read the log."""
        assert self.location is not None
        with EventLog(self.location) as log:
            return read_log(log, run_id)

    def progress(self, run_id: str) -> tuple[int, int]:
        """Count events and ended episodes of a run that is being played."""
        query = f"SELECT events, episodes FROM {self._schema}.runs WHERE run_id = :name"
        rows = self._look(query, name=run_id)
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def kept_calls(self) -> set[str]:
        """Return the calls whose answers are in the cache."""
        return _calls(bytes(value) for (value,) in self._look(f"SELECT value FROM {self._schema}.responses"))

    def cut_connections(self) -> str:
        """End the server's side of all connections of the run."""
        ended = self._connection.run(
            """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = 'lookalike' AND pid <> pg_backend_pid()"""
        )
        return f"{ended[0][0]} connections"

    def wait_free(self) -> None:
        """Wait until the server has noticed that the run's processes are gone."""
        for _ in range(500):
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lookalike'"
            if self._connection.run(query)[0][0] == 0:
                return
            time.sleep(0.01)

    def close(self) -> None:
        """Drop the run's tables."""
        self._connection.run(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")
        self._connection.close()

    def _look(self, query: str, **parameters: str) -> list:
        from pg8000.exceptions import DatabaseError

        try:
            return list(self._connection.run(query, **parameters))
        except DatabaseError:  # before the first table
            return []


def _calls(values) -> set[str]:
    return {found.group(1).decode() for value in values if (found := _CALL.search(value))}
