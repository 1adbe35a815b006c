"""PostgreSQL behind the store: one database for a team or for several machines.

A session-level advisory lock holds a run. It is taken on the same connection that appends, so a lock that
was lost with its connection can never be followed by a write: the process that lost it is refused, and the
server frees the run at once.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from lookalike.core.errors import StoreError, StoreLostError
from lookalike.store.database import (
    Database,
    Holder,
    Row,
    Schema,
    apply_migrations,
    held_error,
    missing_migrations,
)
from lookalike.store.location import Server

if TYPE_CHECKING:
    from pg8000.native import Connection, PreparedStatement

CONNECT_TIMEOUT_S = 10.0
_ROWS_AT_ONCE = 1000
_HOLD_AGAIN_S = 3.0

# SQLSTATE classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_REMEDIES: dict[str, tuple[str, str]] = {
    "28": (
        "The database server refuses this user or password.",
        "check the user and the password; a password can also be given in PGPASSWORD",
    ),
    "3D": ("There is no such database on the server.", "create it first: createdb NAME"),
    "42501": (
        "The database user may not do this: no permission.",
        "grant it CREATE on the database, or name a schema it owns: ?schema=NAME",
    ),
    "53100": (
        "The server's disk is full; nothing of this write was kept.",
        "free some space on the server and run the same command again: it goes on where it stopped",
    ),
    "53300": (
        "The server has no connection left.",
        "end some clients, raise max_connections, or try again later",
    ),
    "55P03": (
        "Another process held the store for too long.",
        "end the other process, or give this run a store of its own",
    ),
    "XX001": ("The store is damaged.", "restore the database from a backup"),
    "XX002": ("The store is damaged.", "restore the database from a backup"),
}
_LOST = ("08", "57P01", "57P02", "57P03", "57P05")
"""The connection has ended, or the server is ending it."""


class PostgresDatabase(Database):
    """A connection to a PostgreSQL server that is made again after it was lost, unless a run was held.

    Args:
        server: Where.
        schema: Which kind of store; for messages.
        durable: Wait at each commit until the server's disk has it.
    """

    for_update: ClassVar[str] = " FOR UPDATE"

    def __init__(self, server: Server, schema: Schema, *, durable: bool) -> None:
        super().__init__(server.shown, None)
        self._server = server
        self._schema = schema
        self._durable = durable
        self._connection: Connection | None = None
        self._statements: dict[str, PreparedStatement] = {}
        self._held: set[str] = set()
        self._closed = False
        self._in_transaction = False

    def connect(self) -> None:
        """Connect to the server.

        Raises:
            StoreError: The server cannot be reached, refuses us, or the driver is not installed.
        """
        self._connection = _connect(self._server)
        self._statements.clear()
        self._in_transaction = False
        # Without it a commit does not wait for the disk: like SQLite's WAL, a power cut may take the last
        # transactions, whole ones only.
        self.execute(f"SET synchronous_commit = {'on' if self._durable else 'off'}")
        # A client whose machine vanished must not hold its runs for two hours.
        self.execute("SET tcp_keepalives_idle = 30")
        self.execute("SET tcp_keepalives_interval = 10")
        self.execute("SET tcp_keepalives_count = 3")
        self.execute("SET lock_timeout = '30s'")
        self.execute(f"SET search_path = {self._server.schema}")

    def rows(self, sql: str, /, **parameters: object) -> list[Row]:
        """See :meth:`Database.rows`."""
        with self.lock:
            return [tuple(row) for row in self._run(sql, parameters)]

    def execute(self, sql: str, /, **parameters: object) -> None:
        """See :meth:`Database.execute`."""
        with self.lock:
            self._run(sql, parameters)

    def define(self, sql: str) -> None:
        """See :meth:`Database.define`."""
        self.execute(_in_postgres_words(sql))

    def update(self, sql: str, /, **parameters: object) -> int:
        """See :meth:`Database.update`."""
        return len(self.rows(sql + " RETURNING 1", **parameters))

    def insert(
        self, table: str, columns: Mapping[str, str], rows: Sequence[Row], *, ignore: bool = False
    ) -> None:
        """See :meth:`Database.insert`. Each column travels as one array: one round trip for all rows."""
        arrays = ", ".join(f"CAST(:{name} AS {_in_postgres_words(kind)}[])" for name, kind in columns.items())
        end = " ON CONFLICT DO NOTHING" if ignore else ""
        sql = f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays}){end}"  # noqa: S608
        with self.lock:
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                piece = zip(*rows[start : start + _ROWS_AT_ONCE], strict=True)
                self._run(sql, dict(zip(columns, map(list, piece), strict=True)))

    def begin(self, *, durable: bool) -> None:
        """See :meth:`Database.begin`. The server's log is one, too: a commit takes all before it along."""
        self.execute("BEGIN")
        self._in_transaction = True
        if durable and not self._durable:
            self.execute("SET LOCAL synchronous_commit = on")

    def commit(self) -> None:
        """See :meth:`Database.commit`."""
        self.execute("COMMIT")
        self._in_transaction = False

    def rollback(self) -> None:
        """See :meth:`Database.rollback`."""
        self._in_transaction = False
        try:
            if self._connection is not None:
                self._connection.run("ROLLBACK")
        except Exception:  # whatever the driver says: the transaction ends with the connection
            self._drop()

    def take_turns(self, what: str) -> None:
        """See :meth:`Database.take_turns`."""
        self.rows("SELECT pg_advisory_xact_lock(:key)", key=self._lock_key(f"\0{what}"))

    @contextlib.contextmanager
    def hold(self, run_id: str, holder: Holder) -> Iterator[None]:
        """See :meth:`Database.hold`."""
        key = self._lock_key(run_id)
        with self.lock:
            # A session gets its own lock twice, so this process asks itself first.
            if run_id in self._held or not self.rows("SELECT pg_try_advisory_lock(:key)", key=key)[0][0]:
                raise held_error(run_id, self.holder(run_id), self.shown)
            self._held.add(run_id)
        try:
            with self.transaction():
                self.execute("DELETE FROM holders WHERE run_id = :run_id", run_id=run_id)
                self.execute(
                    """INSERT INTO holders (run_id, host, process_id, since)
                        VALUES (:run_id, :host, :pid, :since)""",
                    run_id=run_id,
                    host=holder.host,
                    pid=holder.process_id,
                    since=holder.since,
                )
            yield
        finally:
            self._release(run_id, key)

    def _release(self, run_id: str, key: int) -> None:
        with self.lock:
            self._held.discard(run_id)
            if self._connection is None:
                return  # the lock went with the connection
            try:
                self.execute("DELETE FROM holders WHERE run_id = :run_id", run_id=run_id)
                self.rows("SELECT pg_advisory_unlock(:key)", key=key)
            except StoreError:
                self._drop()  # ends the session, and with it the lock

    def holder(self, run_id: str) -> Holder | None:
        """See :meth:`Database.holder`."""
        key = self._lock_key(run_id) & 0xFFFFFFFFFFFFFFFF
        locked = """SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND CAST(classid AS bigint) = :high AND CAST(objid AS bigint) = :low"""
        if not self.rows(locked, high=key >> 32, low=key & 0xFFFFFFFF):
            return None
        found = self.rows("SELECT host, process_id, since FROM holders WHERE run_id = :run_id", run_id=run_id)
        return Holder(*found[0]) if found else Holder("?", 0, 0.0)

    def _lock_key(self, run_id: str) -> int:
        text = f"lookalike/{self._server.schema}/{run_id}".encode()
        return int.from_bytes(sha256(text).digest()[:8], "big", signed=True)

    def check(self) -> list[str]:
        """See :meth:`Database.check`. The server checks its pages itself as they are read."""
        return []

    def compact(self) -> int:
        """See :meth:`Database.compact`."""
        before = self.size()
        for (table,) in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"):
            self.execute(f"VACUUM FULL {table}")
        return max(0, before - self.size())

    def size(self) -> int:
        """See :meth:`Database.size`."""
        sql = """SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = current_schema() AND c.relkind = 'r'"""
        return int(self.rows(sql)[0][0])

    def close(self) -> None:
        """See :meth:`Database.close`."""
        with self.lock:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is not None:
            with contextlib.suppress(Exception):  # it is gone either way
                connection.close()

    def _run(self, sql: str, parameters: Mapping[str, object]) -> list[Any]:
        from pg8000.exceptions import DatabaseError, InterfaceError

        connection = self._ready()
        try:
            if not parameters:
                return list(connection.run(sql) or ())
            statement = self._statements.get(sql)
            if statement is None:
                statement = self._statements[sql] = connection.prepare(sql)
            return list(statement.run(**parameters) or ())
        except DatabaseError as error:
            code, message = _code_and_message(error)
            if code.startswith(_LOST):
                self._drop()
                raise self._lost(message) from None
            raise _translate(code, message, self.shown) from None
        except (InterfaceError, OSError, struct.error) as error:
            # The driver notices a cut connection in different ways, depending on where it was cut.
            self._drop()
            raise self._lost(str(error)) from None
        except BaseException:
            self._drop()  # interrupted in the middle of an answer: what follows could not be told apart
            raise

    def _ready(self) -> Connection:
        if self._closed:
            raise StoreError("The store cannot be used: it was closed.", got=self.shown)
        if self._connection is None:
            if self._in_transaction:
                raise self._lost("in the middle of a transaction")
            self.connect()
            for run_id in sorted(self._held):
                self._hold_again(run_id)
        assert self._connection is not None  # noqa: S101 - connect raises otherwise
        return self._connection

    def _hold_again(self, run_id: str) -> None:
        """Take back the lock that went with a lost connection, unless somebody else has it by now."""
        deadline = time.monotonic() + _HOLD_AGAIN_S
        while not self.rows("SELECT pg_try_advisory_lock(:key)", key=self._lock_key(run_id))[0][0]:
            if time.monotonic() > deadline:
                holder = self.holder(run_id)
                self._drop()
                raise held_error(run_id, holder, self.shown)
            time.sleep(0.05)  # the server may not have noticed yet that our old session has ended

    def _lost(self, why: str) -> StoreLostError:
        return StoreLostError(
            "The connection to the database server was lost.",
            got=f"{self.shown}: {why}",
            remedy="check the server and run the same command again: it goes on where it stopped",
        )


def open_postgres(
    server: Server, schema: Schema, *, create: bool = True, durable: bool = False
) -> PostgresDatabase:
    """Connect to a server and bring the schema up to date.

    Args:
        server: Where.
        schema: Which kind of store.
        create: Make the tables where there are none.
        durable: Wait at each commit until the server's disk has it.

    Raises:
        StoreError: The server cannot be reached, refuses us, or holds a store from a newer version.
    """
    database = PostgresDatabase(server, schema, durable=durable)
    try:
        database.connect()
        if _up_to_date(database, schema):
            return database
        if not create and not _has_table(database, schema.register):
            raise StoreError(
                f"There is no {schema.what} here.",
                got=database.shown,
                expected="a store that a run has written",
                remedy="check the URL and its schema",
            )
        with database.transaction():
            # Two processes that start on an empty database take turns.
            database.take_turns("schema")
            database.execute(f"CREATE SCHEMA IF NOT EXISTS {server.schema}")
            database.execute(f"CREATE TABLE IF NOT EXISTS {schema.register} (name TEXT PRIMARY KEY)")
            database.execute(
                """CREATE TABLE IF NOT EXISTS holders (run_id TEXT PRIMARY KEY, host TEXT NOT NULL,
                    process_id BIGINT NOT NULL, since DOUBLE PRECISION NOT NULL)"""
            )
            apply_migrations(database, schema, schema.register)
    except BaseException:
        database.close()
        raise
    return database


def _up_to_date(database: PostgresDatabase, schema: Schema) -> bool:
    if not _has_table(database, schema.register):
        return False
    applied = [name for (name,) in database.rows(f"SELECT name FROM {schema.register}")]  # noqa: S608
    return not missing_migrations(schema, applied, database.shown)


def _has_table(database: PostgresDatabase, name: str) -> bool:
    sql = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = :name"
    return bool(database.rows(sql, name=name))


def _in_postgres_words(sql: str) -> str:
    """Rewrite SQLite's type names; the rest of our SQL is common to both."""
    return sql.replace("BLOB", "BYTEA").replace("INTEGER", "BIGINT").replace(" WITHOUT ROWID", "")


def _connect(server: Server) -> Connection:
    try:
        from pg8000.exceptions import DatabaseError, InterfaceError
        from pg8000.native import Connection
    except ImportError as error:
        raise StoreError(
            "The driver for PostgreSQL is not installed.",
            got=server.shown,
            remedy="pip install 'lookalike[postgres]'",
        ) from error
    remedy = "check that the server runs and can be reached from here, and the host and port of the URL"
    try:
        connected = socket.create_connection((server.host, server.port), CONNECT_TIMEOUT_S)
    except OSError as error:
        raise StoreLostError(
            "The database server cannot be reached.", got=f"{server.shown}: {error}", remedy=remedy
        ) from error
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        connection = Connection(
            server.user,
            host=server.host,
            port=server.port,
            database=server.database,
            password=server.password,
            ssl_context=_encryption(server),
            application_name="lookalike",
            sock=connected,
        )
    except DatabaseError as error:
        connected.close()
        raise _translate(*_code_and_message(error), server.shown) from None
    except (InterfaceError, OSError, struct.error) as error:
        connected.close()
        raise StoreError(
            "The database server cannot be reached.", got=f"{server.shown}: {error}", remedy=remedy
        ) from None
    # A long query is no dead server; keepalives find those. Where the driver encrypts, the socket is its own.
    getattr(connection, "_usock", connected).settimeout(None)
    return connection


def _encryption(server: Server) -> ssl.SSLContext | bool | None:
    """Return what the driver calls it: ``None`` prefers, ``True`` requires without checking the name."""
    if server.encryption == "verify-full":
        return ssl.create_default_context()
    return {"prefer": None, "disable": False, "require": True}[server.encryption]


def _code_and_message(error: Exception) -> tuple[str, str]:
    """Return SQLSTATE and message of a server's error; the code is empty where there is none."""
    detail = error.args[0] if error.args else ""
    if isinstance(detail, dict):
        return str(detail.get("C", "")), str(detail.get("M", ""))
    return "", str(detail)


def _translate(code: str, message: str, shown: str) -> StoreError:
    what, remedy = next(
        (found for start, found in _REMEDIES.items() if code.startswith(start)),
        ("The database server refused it.", "check the server's log, or name another store"),
    )
    return StoreError(what, got=f"{shown}: {message}{f' ({code})' if code else ''}", remedy=remedy)
