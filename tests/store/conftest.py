"""Every test of the log runs over an SQLite file and over a PostgreSQL server."""

from __future__ import annotations

import pytest
from stored_events import SPEC

from lookalike.store import EventLog


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request, tmp_path):
    """Where an empty store goes: a path or a URL."""
    if request.param == "sqlite":
        return tmp_path / "events.sqlite"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def log(location):
    """An open log with one run, ``r``, whose clock stands still."""
    with EventLog(location, clock=lambda: 1000.0) as opened:
        opened.start_run("r", SPEC, package_version="0.1.0")
        yield opened
