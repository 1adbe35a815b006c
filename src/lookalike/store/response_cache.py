"""Model responses on disk: what was computed or paid for once is never asked for again.

A dictionary answers most questions; a database behind it outlives the process, and on a server serves
several machines. Writes are committed in batches, because one commit for every short reply would cost more
than the reply; where a reply costs money, each is on the disk before it is used.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from lookalike.core.errors import DamagedResponseError, StoreLostError
from lookalike.store.database import Migration, Schema, open_database
from lookalike.store.location import read_location

CACHE_FILE = "responses.sqlite"
"""Name of the cache in a folder."""

RESPONSES = Schema(
    what="response cache",
    application_id=0x4C4B5243,  # "LKRC"
    register="response_migrations",
    migrations=(
        Migration(
            "0001-responses",
            (
                """CREATE TABLE responses (
                key TEXT PRIMARY KEY,
                value BLOB NOT NULL,
                crc32 INTEGER NOT NULL) WITHOUT ROWID""",
            ),
        ),
    ),
)
_PAUSES_S = (0.0, 0.2, 1.0, 3.0)
"""Before each attempt after the first, where the connection to a server was lost."""
_COLUMNS = {"key": "TEXT", "value": "BLOB", "crc32": "INTEGER"}


T = TypeVar("T")


class ResponseStore:
    """A :class:`~lookalike.core.protocols.ResponseCache` that outlives the process.

    Safe for several threads and for several processes on one store; the first response stored under a key
    stays.

    Args:
        location: An SQLite file (created where it does not exist, in a folder that must), a folder, where
            it is ``responses.sqlite``, or a ``postgresql://`` URL.
        batch: Responses per commit. A killed process loses at most ``batch - 1`` of them.
        durable: A commit waits until not even a power cut could take it away.
        flush_after_s: Seconds after which a ``put`` commits even a batch that is not full.
        memory_entries: Responses held in memory; the least recently used go first.

    Raises:
        StoreError: The store cannot be opened, is something else, is damaged, or is from a newer version.
    """

    def __init__(
        self,
        location: str | Path,
        *,
        batch: int = 32,
        durable: bool = False,
        flush_after_s: float = 1.0,
        memory_entries: int = 200_000,
    ) -> None:
        self._batch = batch
        self._flush_after_s = flush_after_s
        self._memory_entries = memory_entries
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._pending: dict[str, bytes] = {}
        self._flushed_at = time.monotonic()
        self._lock = threading.RLock()
        self._database = open_database(
            read_location(location, file_name=CACHE_FILE), RESPONSES, durable=durable
        )
        self.location = self._database.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock:
            self.flush()
            return int(self._database.rows("SELECT count(*) FROM responses")[0][0])

    def get(self, key: str) -> bytes | None:
        """Return the stored response or ``None``.

        Raises:
            DamagedResponseError: What is stored under this key is damaged; other keys can be read.
            StoreError: The store cannot be read.
        """
        with self._lock:
            value = self._memory.get(key)
            if value is not None:
                self._memory.move_to_end(key)
                return value
            value = self._pending.get(key)
            if value is None:
                value = self._insisting(lambda: self._read(key))
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

            def write() -> None:
                with self._database.transaction():
                    self._database.insert("responses", _COLUMNS, rows, ignore=True)

            self._insisting(write)
            self._pending.clear()

    def close(self) -> None:
        """Commit and close the file."""
        with self._lock:
            try:
                self.flush()
            finally:
                self._database.close()

    def _insisting(self, work: Callable[[], T]) -> T:
        """Do something again where the server was lost meanwhile: a response that was paid for is at stake.

        Reading, and inserting what is not there yet, may be done twice.
        """
        for pause_s in _PAUSES_S:
            try:
                return work()
            except StoreLostError:
                time.sleep(pause_s)
        return work()

    def _read(self, key: str) -> bytes | None:
        found = self._database.rows("SELECT value, crc32 FROM responses WHERE key = :key", key=key)
        if not found:
            return None
        value, crc32 = found[0]
        if zlib.crc32(value) != crc32:
            raise DamagedResponseError(
                "A response in the cache is damaged.",
                got=f"{self.location}, key {key:.40}",
                remedy="delete the file (on a server: its row in the table responses); "
                "what was in it is computed or asked for again",
            )
        return bytes(value)

    def _remember(self, key: str, value: bytes) -> None:
        self._memory[key] = value
        self._memory.move_to_end(key)
        if len(self._memory) > self._memory_entries:
            self._memory.popitem(last=False)


def open_response_cache(location: str | Path, *, paid: bool) -> ResponseStore:
    """Open the cache of model responses.

    Args:
        location: An SQLite file, a folder, or the ``postgresql://`` URL of a store, whose responses are kept
            in the same database, so that several machines share them.
        paid: Responses cost money: each is committed, and safe from a power cut, before ``put`` returns.
            Otherwise they only cost time, and are committed in batches.

    Raises:
        StoreError: The store cannot be opened, is something else, is damaged, or is from a newer version.
    """
    return ResponseStore(location, batch=1, durable=True) if paid else ResponseStore(location)
