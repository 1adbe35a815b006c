"""Where a store is: an SQLite file, a folder that holds one, or a PostgreSQL server by URL.

A URL may carry a password. It is taken apart once, here; everything else is shown
:attr:`Server.shown`, which has none.
"""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from lookalike.core.errors import StoreError

STORE_FILE = "events.sqlite"
"""Name of the event log in a folder that holds a store."""

EXPECTED = (
    "the path of an SQLite file, a folder that holds events.sqlite, or "
    "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
)

Encryption = Literal["prefer", "disable", "require", "verify-full"]

_SCHEMES = ("postgresql", "postgres")
_URL_LIKE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters or more: C:/ is a path
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class Server:
    """A PostgreSQL database.

    Attributes:
        host: Name or address.
        port: TCP port.
        database: Database name.
        user: Who connects.
        password: From the URL, or else from the environment variable PGPASSWORD; never shown.
        schema: The schema that holds our tables; several stores can share a database.
        encryption: PostgreSQL's ``sslmode``; ``prefer`` encrypts where the server can.
    """

    host: str
    port: int
    database: str
    user: str
    password: str | None = field(repr=False)
    schema: str = "lookalike"
    encryption: Encryption = "prefer"

    @property
    def shown(self) -> str:
        """The URL without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        schema = "" if self.schema == "lookalike" else f"?schema={self.schema}"
        return f"postgresql://{self.user}@{host}:{self.port}/{self.database}{schema}"


def is_url(location: str | Path) -> bool:
    """Return whether a location is meant as a URL, malformed or not."""
    return isinstance(location, str) and _URL_LIKE.match(location) is not None


def shown(location: str | Path) -> str:
    """Return a location as it may be printed and written down: without a password."""
    if not is_url(location):
        return str(location)
    try:
        return _read_url(str(location)).shown
    except StoreError:
        return _masked(str(location))


def read_location(location: str | Path, *, file_name: str = STORE_FILE) -> Path | Server:
    """Take a location apart.

    Args:
        location: A path or a URL.
        file_name: Which file is meant where a folder is given.

    Returns:
        The SQLite file's path, or the server.

    Raises:
        StoreError: A URL that cannot be meant.
    """
    if is_url(location):
        return _read_url(str(location))
    path = Path(location).expanduser()
    return path / file_name if path.is_dir() else path


def _masked(url: str) -> str:
    """Leave out everything of a malformed URL that may be a password, wherever it was put."""
    scheme, _, rest = url.partition(":")
    place = rest.lstrip("/").partition("?")[0]
    return f"{scheme}://***@{place.rpartition('@')[2]}" if "@" in place else f"{scheme}://{place}"


def _read_url(url: str) -> Server:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        # The error's own words may quote the password ("Port could not be cast …"), so they are not kept.
        raise _malformed(url, "its port or host is no port or host") from (error if "@" not in url else None)
    if parts.scheme not in _SCHEMES:
        raise _malformed(url, f"the scheme {parts.scheme!r} is not known")
    database = unquote(parts.path.lstrip("/"))
    if not parts.netloc or not database or "/" in database or parts.fragment:
        raise _malformed(url, "it names no database" if not database else "it has a part too many")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema, encryption = options.pop("schema", "lookalike"), options.pop("sslmode", "prefer")
    if options:
        raise _malformed(url, f"the option {min(options)!r} is not known (there are schema and sslmode)")
    if not _SCHEMA.fullmatch(schema):
        raise _malformed(url, "a schema's name has small letters, digits and underscores")
    if encryption not in get_args(Encryption):
        raise _malformed(url, f"sslmode is one of {', '.join(get_args(Encryption))}")
    password = os.environ.get("PGPASSWORD") if parts.password is None else unquote(parts.password)
    return Server(
        host=parts.hostname or "localhost",
        port=5432 if port is None else port,
        database=database,
        user=unquote(parts.username) if parts.username else os.environ.get("PGUSER") or getpass.getuser(),
        password=password,
        schema=schema,
        encryption=cast(Encryption, encryption),
    )


def _malformed(url: str, why: str) -> StoreError:
    return StoreError(
        f"This is no location of a store: {why}.",
        got=_masked(url),
        expected=EXPECTED,
        remedy="write a special character of a password percent-encoded (@ is %40, / is %2F)"
        if "@" in url
        else None,
    )
