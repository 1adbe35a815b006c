"""Model responses on disk: what was computed or paid for once is never asked for again.

A dictionary answers most questions; SQLite behind it outlives the process. Writes are committed in
batches, because one commit for every short reply would cost more than the reply.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Self

from lookalike.core.errors import StoreError
from lookalike.store.database import Migration, open_database, transaction, translated

_APPLICATION_ID = 0x4C4B5243  # "LKRC"

MIGRATIONS = (
    Migration(
        "0001-responses",
        (
            """CREATE TABLE responses (
                key TEXT PRIMARY KEY,
                value BLOB NOT NULL,
                crc32 INTEGER NOT NULL) WITHOUT ROWID""",
        ),
    ),
)


class SqliteResponseCache:
    """A :class:`~lookalike.core.protocols.ResponseCache` that outlives the process.

    Safe for several threads and for several processes on one file; the first response stored under a key
    stays.

    Args:
        path: The file; created where it does not exist, in a folder that must.
        batch: Responses per commit. A killed process loses at most ``batch - 1`` of them; use 1 for
            responses that cost money.
        flush_after_s: Seconds after which a ``put`` commits even a batch that is not full.
        memory_entries: Responses held in memory; the least recently used go first.

    Raises:
        StoreError: The file cannot be opened, is something else, is damaged, or is from a newer version.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        batch: int = 32,
        flush_after_s: float = 1.0,
        memory_entries: int = 200_000,
    ) -> None:
        self.path = Path(path)
        self._batch = batch
        self._flush_after_s = flush_after_s
        self._memory_entries = memory_entries
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._pending: dict[str, bytes] = {}
        self._flushed_at = time.monotonic()
        self._lock = threading.RLock()
        self._connection = open_database(
            self.path, what="response cache", application_id=_APPLICATION_ID, migrations=MIGRATIONS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock:
            self.flush()
            with translated(self.path):
                return int(self._connection.execute("SELECT count(*) FROM responses").fetchone()[0])

    def get(self, key: str) -> bytes | None:
        """Return the stored response or ``None``.

        Raises:
            StoreError: The file is damaged.
        """
        with self._lock:
            value = self._memory.get(key)
            if value is not None:
                self._memory.move_to_end(key)
                return value
            value = self._pending.get(key)
            if value is None:
                value = self._read(key)
            if value is not None:
                self._remember(key, value)
            return value

    def put(self, key: str, value: bytes) -> None:
        """Store a response; it is on disk after the next :meth:`flush`, at the latest on :meth:`close`.

        Raises:
            StoreError: The file cannot be written. The response is kept in memory and tried again.
        """
        with self._lock:
            self._remember(key, value)
            self._pending[key] = value
            waited = time.monotonic() - self._flushed_at
            if len(self._pending) >= self._batch or waited >= self._flush_after_s:
                self.flush()

    def flush(self) -> None:
        """Commit what has been put so far."""
        with self._lock:
            self._flushed_at = time.monotonic()
            if not self._pending:
                return
            rows = [(key, value, zlib.crc32(value)) for key, value in self._pending.items()]
            with translated(self.path), transaction(self._connection):
                self._connection.executemany(
                    "INSERT INTO responses (key, value, crc32) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows
                )
            self._pending.clear()

    def close(self) -> None:
        """Commit and close the file."""
        with self._lock:
            try:
                self.flush()
            finally:
                self._connection.close()

    def _read(self, key: str) -> bytes | None:
        with translated(self.path):
            row = self._connection.execute(
                "SELECT value, crc32 FROM responses WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        value = bytes(row[0])
        if zlib.crc32(value) != row[1]:
            raise StoreError(
                "A response in the cache is damaged.",
                got=f"{self.path}, key {key:.40}",
                remedy="delete the file; what was in it is computed or asked for again",
            )
        return value

    def _remember(self, key: str, value: bytes) -> None:
        self._memory[key] = value
        self._memory.move_to_end(key)
        if len(self._memory) > self._memory_entries:
            self._memory.popitem(last=False)
