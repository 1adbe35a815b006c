"""A PostgreSQL server of the tests' own: started once a test process, in a temporary folder, and stopped.

`postgres_url` is imported by ``tests/conftest.py``, so that tests of other rooms can use it too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_counter = itertools.count()


@dataclass(frozen=True)
class PostgresServer:
    """A running server.

    Attributes:
        folder: Its cluster.
        url: Of its database, with the password.
        process_id: Of the postmaster.
    """

    folder: Path
    url: str
    process_id: int


def program(name: str) -> str | None:
    """Find a program of PostgreSQL, also where Debian keeps it off the PATH; the newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: p.parts[4].zfill(4))
    return str(found[-1]) if found else shutil.which(name)


def _user() -> dict[str, object]:
    """Return how to run as somebody else than root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


def start(folder: Path) -> PostgresServer:
    """Make a cluster in an empty folder and start it on a free port of the loopback interface.

    Skips the test, with the reason, where that is not possible.
    """
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    account = _user()
    password = secrets.token_urlsafe(12)
    secret = folder / "password"
    secret.write_text(password)
    if account:
        for path in (folder, secret):
            os.chown(path, int(account["user"]), int(account["group"]))  # type: ignore[call-overload]
    cluster = [initdb, "-D", str(folder / "data"), "-U", "player", "-A", "scram-sha-256"]
    made = subprocess.run(
        [*cluster, "--pwfile", str(secret), "-E", "UTF8", "--locale=C", "--no-sync"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **account,
    )
    if made.returncode:
        pytest.skip(f"initdb failed: {made.stderr.strip()[-300:]}")
    for _ in range(3):  # somebody may take the port between asking and using it
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = f"-p {port} -h 127.0.0.1 -k {folder} -F -c shared_buffers=16MB -c max_connections=60"
        started = subprocess.run(
            [pg_ctl, "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "-o", options, "start"],
            cwd=folder,
            # The server inherits these; a pipe would never end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **account,
        )
        if started.returncode == 0:
            break
    else:
        pytest.skip(f"PostgreSQL did not start: {(folder / 'log').read_text()[-300:]}")
    process_id = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    return PostgresServer(folder, f"postgresql://player:{password}@127.0.0.1:{port}/postgres", process_id)


def stop(server: PostgresServer) -> None:
    """Stop a server at once; there is nothing to save."""
    subprocess.run(
        [str(program("pg_ctl")), "-D", str(server.folder / "data"), "-m", "immediate", "-w", "stop"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd=server.folder,
        **_user(),
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started for this test process; skips with the reason where there is none."""
    # Not pytest's folder: other users cannot enter that one.
    folder = Path(tempfile.mkdtemp(prefix="lookalike-postgres-"))
    try:
        server = start(folder)
        try:
            yield server
        finally:
            stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """URL of an empty store on the tests' PostgreSQL server: a schema that nobody else uses."""
    return f"{postgres_server.url}?schema=test_{os.getpid()}_{next(_counter)}"
