"""Opening an SQLite file so that nothing is lost and every failure says what to do next.

The event log and the response cache are two files of different schemas with the same needs: WAL mode, a
busy timeout, named migrations, and the same translation of SQLite's errors. Both come here for them.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lookalike.core.errors import StoreError

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another process before it gives up."""

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


@dataclass(frozen=True)
class Migration:
    """One named step from an older schema to the next; never edited once released.

    Attributes:
        name: Recorded in the file when applied, e.g. ``"0001-events"``.
        statements: SQL, run in one transaction together with the record of the name.
    """

    name: str
    statements: tuple[str, ...]


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """Turn an SQLite error into one that says what to do."""
    code = getattr(error, "sqlite_errorcode", None)
    # Extended codes carry the primary one in their lowest byte.
    what, remedy = _REMEDIES.get(
        (code or 0) & 0xFF, ("The store cannot be used.", "check the file, or name another one")
    )
    return StoreError(what, got=f"{path}: {error}", remedy=remedy)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise :class:`StoreError` in place of SQLite's errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error


def open_database(
    path: Path, *, what: str, application_id: int, migrations: Sequence[Migration]
) -> sqlite3.Connection:
    """Open or create an SQLite file and bring its schema up to date.

    Args:
        path: The file. Its folder must exist.
        what: What the file is, for messages, e.g. ``"event log"``.
        application_id: Marks the file as ours (SQLite's header field of that name).
        migrations: All of them, oldest first.

    Returns:
        A connection in autocommit mode (``BEGIN`` is explicit), usable from any thread under a lock.

    Raises:
        StoreError: It cannot be opened, is something else, or is from a newer version.
    """
    _check_place(path, what)
    with translated(path):
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            _prepare(connection, path, what, application_id, migrations)
        except BaseException:
            connection.close()
            raise
    return connection


def _check_place(path: Path, what: str) -> None:
    if path.is_dir():
        raise StoreError(
            f"The {what} must be a file.", got=f"{path} (a folder)", remedy="name a file inside it"
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


def _prepare(
    connection: sqlite3.Connection,
    path: Path,
    what: str,
    application_id: int,
    migrations: Sequence[Migration],
) -> None:
    found_id = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if found_id != application_id and (tables or found_id):
        raise StoreError(
            f"This file is no LookALike {what}: it is a database of something else.",
            got=str(path),
            remedy="name another file; this one is left as it was",
        )
    # WAL: readers never wait, and a killed writer leaves whole transactions only. NORMAL: no wait for the
    # disk at each commit; a power cut may lose the last transactions but never leaves half of one.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if found_id == application_id and not _missing(connection, path, what, migrations):
        return
    with transaction(connection):
        connection.execute(f"PRAGMA application_id = {int(application_id)}")
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
        # Asked again inside the transaction: another process may have migrated meanwhile.
        for migration in _missing(connection, path, what, migrations):
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute("INSERT INTO migrations (name) VALUES (?)", (migration.name,))


def _missing(
    connection: sqlite3.Connection, path: Path, what: str, migrations: Sequence[Migration]
) -> list[Migration]:
    applied = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    unknown = applied - {migration.name for migration in migrations}
    if unknown:
        raise StoreError(
            f"This {what} was written by a newer version of LookALike.",
            got=f"{path}, with {', '.join(sorted(unknown))}",
            expected=f"at most {migrations[-1].name}",
            remedy="update the package: pip install --upgrade lookalike",
        )
    return [migration for migration in migrations if migration.name not in applied]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a block as one write transaction: all of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself already (full disk).
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
