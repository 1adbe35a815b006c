"""What the store asks of a database, so that SQLite and PostgreSQL are one code path.

SQL is written once, with named parameters (``:run``), which both drivers understand. What differs is in
the two back ends behind :class:`Database`: how a transaction begins, how many rows are sent at once, how a
run is held by one process, and what an error means.
"""

from __future__ import annotations

import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from lookalike.core.errors import RunHeldError, StoreError
from lookalike.store.location import Server

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Migration:
    """One named step from an older schema to the next; never edited once released.

    Attributes:
        name: Recorded in the store when applied, e.g. ``"0001-events"``.
        statements: SQL in SQLite's words, run in one transaction together with the record of the name.
        then: What SQL alone cannot say, in the same transaction.
    """

    name: str
    statements: tuple[str, ...]
    then: Callable[[Database], None] | None = None


@dataclass(frozen=True)
class Schema:
    """The tables of one kind of store.

    Attributes:
        what: For messages, e.g. ``"event log"``.
        application_id: Marks an SQLite file as this kind (the header's field of that name).
        register: Table that names the applied migrations on a server, where kinds share a database; an
            SQLite file holds one kind and calls it ``migrations``.
        migrations: All of them, oldest first.
    """

    what: str
    application_id: int
    register: str
    migrations: tuple[Migration, ...]


@dataclass(frozen=True)
class Holder:
    """Which process has a run.

    Attributes:
        host: Its machine's name.
        process_id: On that machine.
        since: Seconds since 1970.
    """

    host: str
    process_id: int
    since: float

    @classmethod
    def this_process(cls, now: float) -> Holder:
        """Describe the process that asks."""
        return cls(socket.gethostname(), os.getpid(), now)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        from datetime import UTC, datetime

        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.process_id} on {self.host}, since {since}"


def held_error(run_id: str, holder: Holder | None, where: str) -> RunHeldError:
    """Say who has a run."""
    return RunHeldError(
        f"The run {run_id!r} is being played by another process.",
        got="held by " + ("a process that did not leave its name" if holder is None else str(holder)),
        expected="one process at a time on one run",
        remedy=f"wait until it ends, or end it; another run can use the same store ({where}) meanwhile",
    )


class Database(ABC):
    """An open store: rows in, rows out, whole transactions. Safe for several threads.

    Attributes:
        shown: Where it is, without a password.
        path: The SQLite file, or ``None`` on a server.
        for_update: What ends a SELECT of rows that are about to be changed.
    """

    for_update: ClassVar[str] = ""

    def __init__(self, shown: str, path: Path | None) -> None:
        self.shown = shown
        self.path = path
        self.lock = threading.RLock()

    @abstractmethod
    def rows(self, sql: str, /, **parameters: object) -> list[Row]:
        """Run a query and return all of its rows."""

    @abstractmethod
    def execute(self, sql: str, /, **parameters: object) -> None:
        """Run a statement."""

    @abstractmethod
    def update(self, sql: str, /, **parameters: object) -> int:
        """Run an UPDATE and return how many rows it changed."""

    @abstractmethod
    def define(self, sql: str) -> None:
        """Run a migration's statement, written in SQLite's words."""

    @abstractmethod
    def insert(
        self, table: str, columns: Mapping[str, str], rows: Sequence[Row], *, ignore: bool = False
    ) -> None:
        """Insert rows at once.

        Args:
            table: Its name.
            columns: SQL type (in SQLite's words) by column, in the order of the rows.
            rows: What to insert.
            ignore: Leave rows alone whose key is there already.
        """

    @abstractmethod
    def begin(self, *, durable: bool) -> None:
        """Begin a write transaction.

        Args:
            durable: Its commit waits for the disk: a power cut takes neither it nor any before it.
        """

    @abstractmethod
    def commit(self) -> None:
        """Make the transaction last."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo the transaction, where there still is one; never raises."""

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[None]:
        """Run a block as one write transaction: all of it, or nothing; see :meth:`begin`."""
        return _Transaction(self, durable=durable)

    @abstractmethod
    def take_turns(self, what: str) -> None:
        """Make transactions that do the same wait for each other."""

    @abstractmethod
    def hold(self, run_id: str, holder: Holder) -> AbstractContextManager[None]:
        """Have a run to oneself until the block ends or the process dies."""

    @abstractmethod
    def holder(self, run_id: str) -> Holder | None:
        """Return who has a run now."""

    @abstractmethod
    def check(self) -> list[str]:
        """Return what the database itself finds wrong with its pages; empty where nothing is."""

    @abstractmethod
    def compact(self) -> int:
        """Give space of deleted rows back; return the bytes freed."""

    @abstractmethod
    def size(self) -> int:
        """Return the bytes the store takes on disk."""

    @abstractmethod
    def close(self) -> None:
        """Close it; further calls raise StoreError."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Transaction:
    """A class and no generator: small appends are many."""

    __slots__ = ("_database", "_durable")

    def __init__(self, database: Database, *, durable: bool) -> None:
        self._database = database
        self._durable = durable

    def __enter__(self) -> None:
        self._database.lock.acquire()
        try:
            self._database.begin(durable=self._durable)
        except BaseException:
            self._database.lock.release()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                try:
                    self._database.commit()
                except BaseException:
                    self._database.rollback()
                    raise
            else:
                self._database.rollback()
        finally:
            self._database.lock.release()


def missing_migrations(schema: Schema, applied: Iterable[str], where: str) -> list[Migration]:
    """Return what is still to be applied, oldest first.

    Raises:
        StoreError: A name that this package does not know: the store is from a newer one.
    """
    names = set(applied)
    unknown = names - {migration.name for migration in schema.migrations}
    if unknown:
        raise StoreError(
            f"This {schema.what} was written by a newer version of LookALike.",
            got=f"{where}, with {', '.join(sorted(unknown))}",
            expected=f"at most {schema.migrations[-1].name}",
            remedy="update the package: pip install --upgrade lookalike",
        )
    return [migration for migration in schema.migrations if migration.name not in names]


def apply_migrations(database: Database, schema: Schema, register: str) -> None:
    """Bring the schema up to date, inside the caller's transaction."""
    applied = [name for (name,) in database.rows(f"SELECT name FROM {register}")]  # noqa: S608
    for migration in missing_migrations(schema, applied, database.shown):
        for statement in migration.statements:
            database.define(statement)
        if migration.then is not None:
            migration.then(database)
        database.execute(f"INSERT INTO {register} (name) VALUES (:name)", name=migration.name)  # noqa: S608


def open_database(
    location: Path | Server, schema: Schema, *, create: bool = True, durable: bool = False
) -> Database:
    """Open or create a store and bring its schema up to date.

    Args:
        location: What :func:`~lookalike.store.location.read_location` returned.
        schema: Which kind of store.
        create: Make one where there is none.
        durable: Wait at each commit until a power cut could not take it away.

    Raises:
        StoreError: It cannot be opened, is something else, or is from a newer version.
    """
    if isinstance(location, Path):
        from lookalike.store.sqlite_database import open_sqlite

        return open_sqlite(location, schema, create=create, durable=durable)
    from lookalike.store.postgres_database import open_postgres

    return open_postgres(location, schema, create=create, durable=durable)
