"""SQLite behind the store: a file, so that nothing need be installed or started.

WAL mode, a busy timeout, and a translation of SQLite's errors into ones that say what to do next.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from lookalike.core.errors import StoreError
from lookalike.store.database import (
    Database,
    Holder,
    Row,
    Schema,
    apply_migrations,
    missing_migrations,
)
from lookalike.store.hold import hold_file, holder_of_file

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another process before it gives up."""

CHECKPOINT_PAGES = 4000
"""Pages (of 4 kB) after which the WAL is copied into the file. SQLite's 1,000 make a step wait for the disk
four times as often; beyond 16 MB little is gained."""

_REMEDIES: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: (
        "The disk is full, or a size limit was reached; nothing of this write was kept.",
        "free some space and run the same command again: it goes on where it stopped",
    ),
    sqlite3.SQLITE_NOTADB: (
        "This file is no LookALike store: it is not an SQLite database.",
        "name another file, or move this one away",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The store is damaged.",
        "restore it from a copy; a damaged response cache can simply be deleted",
    ),
    sqlite3.SQLITE_READONLY: (
        "The store cannot be written: no permission.",
        "make the file and its folder writable, or name another place",
    ),
    sqlite3.SQLITE_PERM: ("The store cannot be opened: no permission.", "check the file's permissions"),
    sqlite3.SQLITE_CANTOPEN: (
        "The store cannot be opened.",
        "check that the folder exists and may be written, or name another place",
    ),
    sqlite3.SQLITE_BUSY: (
        f"Another process held the store for more than {BUSY_TIMEOUT_S:.0f} s.",
        "end the other process, or give this run a store of its own",
    ),
    sqlite3.SQLITE_LOCKED: (
        "The store is locked.",
        "end the other process, or give this run a store of its own",
    ),
    sqlite3.SQLITE_IOERR: (
        "The disk refused to read or write the store.",
        "check the disk and its free space, then run the same command again",
    ),
}


def translate(error: sqlite3.Error, shown: str) -> StoreError:
    """Turn an SQLite error into one that says what to do."""
    code = getattr(error, "sqlite_errorcode", None)
    # Extended codes carry the primary one in their lowest byte.
    what, remedy = _REMEDIES.get(
        (code or 0) & 0xFF, ("The store cannot be used.", "check the file, or name another one")
    )
    return StoreError(what, got=f"{shown}: {error}", remedy=remedy)


class SqliteDatabase(Database):
    """An open SQLite file.

    Args:
        connection: In autocommit mode (``BEGIN`` is explicit), usable from any thread.
        path: The file.
        durable: Every commit waits for the disk.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, durable: bool = False) -> None:
        super().__init__(str(path), path)
        self._file = path
        self._durable = durable
        self._waits: bool | None = None
        self.connection = connection

    def rows(self, sql: str, /, **parameters: object) -> list[Row]:
        """See :meth:`Database.rows`."""
        with self.lock:
            try:
                return self.connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise translate(error, self.shown) from error

    def execute(self, sql: str, /, **parameters: object) -> None:
        """See :meth:`Database.execute`."""
        self.update(sql, **parameters)

    def define(self, sql: str) -> None:
        """See :meth:`Database.define`."""
        self.execute(sql)

    def update(self, sql: str, /, **parameters: object) -> int:
        """See :meth:`Database.update`."""
        with self.lock:
            try:
                return self.connection.execute(sql, parameters).rowcount
            except sqlite3.Error as error:
                raise translate(error, self.shown) from error

    def insert(
        self, table: str, columns: Mapping[str, str], rows: Sequence[Row], *, ignore: bool = False
    ) -> None:
        """See :meth:`Database.insert`."""
        places = ", ".join("?" * len(columns))
        verb = "INSERT OR IGNORE" if ignore else "INSERT"
        sql = f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({places})"
        with self.lock:
            try:
                self.connection.executemany(sql, rows)
            except sqlite3.Error as error:
                raise translate(error, self.shown) from error

    def begin(self, *, durable: bool) -> None:
        """See :meth:`Database.begin`. The write lock is taken at once: waiting later could not succeed.

        How long a commit waits cannot be changed inside a transaction, and costs a microsecond outside. The
        write-ahead log is one file, written front to back: with a commit, all before it are on the disk.
        """
        self.wait_for_the_disk(durable)
        self.execute("BEGIN IMMEDIATE")

    def wait_for_the_disk(self, durable: bool) -> None:
        """Say whether commits wait for the disk from here on; those of a durable database always do."""
        if (wanted := durable or self._durable) is not self._waits:
            self.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._waits = wanted

    def commit(self) -> None:
        """See :meth:`Database.commit`."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """See :meth:`Database.rollback`. SQLite may have rolled back by itself already (full disk)."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.connection.close()  # a transaction that can be neither kept nor undone ends with it

    def take_turns(self, what: str) -> None:
        """See :meth:`Database.take_turns`. They do: there is one writer at a time."""

    def hold(self, run_id: str, holder: Holder) -> AbstractContextManager[None]:
        """See :meth:`Database.hold`."""
        return hold_file(self._file, run_id, holder)

    def holder(self, run_id: str) -> Holder | None:
        """See :meth:`Database.holder`."""
        return holder_of_file(self._file, run_id)

    def check(self) -> list[str]:
        """See :meth:`Database.check`."""
        try:
            found = [str(text) for (text,) in self.rows("PRAGMA quick_check(20)")]
        except StoreError as error:
            return [str(error.got)]
        return [] if found == ["ok"] else found

    def compact(self) -> int:
        """See :meth:`Database.compact`."""
        before = self.size()
        with self.lock:
            self.execute("VACUUM")
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return max(0, before - self.size())

    def size(self) -> int:
        """See :meth:`Database.size`."""
        files = [self._file, *(self._file.with_name(self._file.name + end) for end in ("-wal", "-shm"))]
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """See :meth:`Database.close`."""
        with self.lock:
            self.connection.close()


def open_sqlite(path: Path, schema: Schema, *, create: bool = True, durable: bool = False) -> SqliteDatabase:
    """Open or create an SQLite file and bring its schema up to date.

    Args:
        path: The file. Its folder must exist.
        schema: Which kind of store.
        create: Make the file where there is none.
        durable: Wait for the disk at each commit.

    Raises:
        StoreError: It cannot be opened, is something else, or is from a newer version.
    """
    _check_place(path, schema.what, create=create)
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=128
        )
        try:
            database = SqliteDatabase(connection, path, durable=durable)
            _prepare(database, schema)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translate(error, str(path)) from error
    return database


def open_damaged(path: Path) -> SqliteDatabase:
    """Open a damaged event log as far as it can be read; nothing is written.

    Raises:
        StoreError: Not even its first page can be read.
    """
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise translate(error, str(path)) from error
    database = SqliteDatabase(connection, path)
    try:
        # SQLite refuses a whole file that is shorter than its header says, unless it is told that somebody
        # is mending it: then pages that are there are read, and only those that are not are errors.
        database.execute("PRAGMA writable_schema = ON")
        database.rows("SELECT run FROM runs NOT INDEXED LIMIT 1")
    except StoreError as error:
        database.close()
        raise StoreError(
            "The store is damaged: nothing of it can be read any more.",
            got=error.got,
            remedy="restore it from a copy, or run the experiment again",
        ) from error
    except BaseException:
        database.close()
        raise
    return database


def _check_place(path: Path, what: str, *, create: bool) -> None:
    if path.is_dir():
        raise StoreError(
            f"The {what} must be a file.", got=f"{path} (a folder)", remedy="name a file inside it"
        )
    if not create and not path.exists():
        raise StoreError(
            f"There is no {what} here.",
            got=str(path),
            expected="a store that a run has written",
            remedy="check the path; a run's store is the file events.sqlite in its output folder",
        )
    if not path.parent.is_dir():
        raise StoreError(
            f"The folder for the {what} does not exist.",
            got=str(path.parent),
            expected="an existing folder",
            remedy=f"mkdir -p {path.parent}",
        )
    target = path if path.exists() else path.parent
    if not os.access(target, os.R_OK | os.W_OK):
        raise StoreError(
            f"The {what} cannot be written: no permission.",
            got=f"{target}: {os.strerror(errno.EACCES)}",
            remedy="make the file and its folder writable, or name another place",
        )


def _prepare(database: SqliteDatabase, schema: Schema) -> None:
    found_id = database.rows("PRAGMA application_id")[0][0]
    tables = database.rows("SELECT count(*) FROM sqlite_master")[0][0]
    if found_id != schema.application_id and (tables or found_id):
        raise StoreError(
            f"This file is no LookALike {schema.what}: it is a database of something else.",
            got=database.shown,
            remedy="name another file; this one is left as it was",
        )
    # WAL: readers never wait, and a killed writer leaves whole transactions only. How long a commit waits is
    # said at the beginning of each; without waiting, a power cut may take the last ones, never half of one.
    database.execute("PRAGMA journal_mode = WAL")
    database.wait_for_the_disk(False)
    database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    if found_id == schema.application_id:
        applied = [name for (name,) in database.rows("SELECT name FROM migrations")]
        if not missing_migrations(schema, applied, database.shown):
            return
    with database.transaction():
        database.execute(f"PRAGMA application_id = {int(schema.application_id)}")
        database.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
        # Asked again inside the transaction: another process may have migrated meanwhile.
        apply_migrations(database, schema, "migrations")
