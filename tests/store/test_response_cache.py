"""The response cache: what was computed once stays, for several processes, until the file is damaged."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lookalike.core.errors import StoreError
from lookalike.core.protocols import ResponseCache
from lookalike.store import EventLog, ResponseStore, open_log, open_response_cache


@pytest.fixture
def path(tmp_path):
    return tmp_path / "responses.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where an empty cache goes: a path or a URL."""
    return tmp_path / "responses.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_it_is_a_response_cache(place):
    with ResponseStore(place) as cache:
        typed: ResponseCache = cache
        assert typed.get("k") is None
        typed.put("k", b"v\0w")
        assert typed.get("k") == b"v\0w"


def test_responses_outlive_the_process(place):
    with ResponseStore(place) as cache:
        for n in range(100):
            cache.put(f"k{n}", b"%d" % n)
    with ResponseStore(place) as cache:
        assert [cache.get(f"k{n}") for n in range(100)] == [b"%d" % n for n in range(100)]
        assert len(cache) == 100


def test_a_batch_of_one_is_on_disk_at_once(place):
    cache = ResponseStore(place, batch=1)
    cache.put("k", b"paid for")
    with ResponseStore(place) as other:
        assert other.get("k") == b"paid for"
    cache.close()


def test_a_killed_process_loses_less_than_a_batch(place):
    code = (
        "import os, sys; from lookalike.store import ResponseStore\n"
        "cache = ResponseStore(sys.argv[1], batch=10, flush_after_s=1e9)\n"
        "for n in range(25): cache.put(str(n), b'x')\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(place)], check=False).returncode == -9
    with ResponseStore(place) as cache:
        assert len(cache) == 20


def test_what_memory_forgets_is_still_on_disk_or_pending(place):
    with ResponseStore(place, memory_entries=3, batch=1000, flush_after_s=1e9) as cache:
        for n in range(10):
            cache.put(str(n), b"%d" % n)
        assert len(cache._memory) == 3
        assert [cache.get(str(n)) for n in range(10)] == [b"%d" % n for n in range(10)]
        cache.flush()
        assert [cache.get(str(n)) for n in range(10)] == [b"%d" % n for n in range(10)]


def test_two_processes_use_one_file(place):
    code = (
        "import sys; from lookalike.store import ResponseStore\n"
        "with ResponseStore(sys.argv[1], batch=3) as cache:\n"
        "    for n in range(200): cache.put(str(n), str(n).encode())"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(place)]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    with ResponseStore(place) as cache:
        assert len(cache) == 200
        assert cache.get("137") == b"137"


def test_one_process_sees_what_another_has_stored(place):
    with ResponseStore(place) as first, ResponseStore(place) as second:
        assert second.get("k") is None
        first.put("k", b"v")
        first.flush()
        assert second.get("k") == b"v"


def test_the_first_response_stays(place):
    with ResponseStore(place) as first, ResponseStore(place) as second:
        first.put("k", b"first")
        first.flush()
        second.put("k", b"second")
        second.flush()
    with ResponseStore(place) as cache:
        assert cache.get("k") == b"first"


def test_a_file_of_something_else(path, tmp_path):
    path.write_bytes(b"\x00garbage" * 1000)
    with pytest.raises(StoreError, match="not an SQLite database") as caught:
        ResponseStore(path)
    assert caught.value.remedy
    EventLog(tmp_path / "events.db").close()
    with pytest.raises(StoreError, match="something else"):
        ResponseStore(tmp_path / "events.db")


def test_a_changed_response_is_found(place):
    with ResponseStore(place) as cache:
        cache.put("k", b"go north")
    with ResponseStore(place) as cache:
        cache._database.execute("UPDATE responses SET value = :value", value=b"go south")
        with pytest.raises(StoreError, match="damaged") as caught:
            cache.get("k")
    assert "delete the file" in caught.value.remedy
    assert "table responses" in caught.value.remedy


def test_a_paid_response_is_safe_before_it_is_used(place):
    code = (
        "import os, sys; from lookalike.store import open_response_cache\n"
        "cache = open_response_cache(sys.argv[1], paid=True)\n"
        "for n in range(5): cache.put(str(n), b'x')\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(place)], check=False).returncode == -9
    with open_response_cache(place, paid=True) as cache:
        assert len(cache) == 5
        how = "PRAGMA synchronous" if isinstance(place, Path) else "SHOW synchronous_commit"
        assert cache._database.rows(how)[0][0] in (2, "on")
    with open_response_cache(place, paid=False) as cache:
        assert cache._database.rows(how)[0][0] in (1, "off")


def test_a_servers_responses_stand_beside_its_runs(postgres_url):
    with open_response_cache(postgres_url, paid=True) as cache, open_log(postgres_url) as log:
        cache.put("k", b"v")
        log.start_run("r", {}, package_version="0")
        tables = {name for (name,) in log._database.rows("SELECT tablename FROM pg_tables")}
        assert {"events", "responses"} <= tables
    with open_log(postgres_url) as log, open_response_cache(postgres_url, paid=True) as cache:
        assert cache.get("k") == b"v"
        assert [run.run_id for run in log.runs()] == ["r"]


def test_a_folder_keeps_its_responses_in_a_file_of_its_own(tmp_path):
    with open_response_cache(tmp_path, paid=False) as cache:
        cache.put("k", b"v")
    assert (tmp_path / "responses.sqlite").exists()


def test_a_corrupt_page_is_found(path):
    with ResponseStore(path) as cache:
        for n in range(2000):
            cache.put(f"key {n}", b"x" * 100)
    data = bytearray(path.read_bytes())
    data[8192:-4096] = b"\xff" * (len(data) - 4096 - 8192)
    path.write_bytes(data)
    with ResponseStore(path) as cache, pytest.raises(StoreError, match="damaged"):
        [cache.get(f"key {n}") for n in range(2000)]


def test_a_full_disk_keeps_the_response_and_tries_again(path):
    with ResponseStore(path, batch=1) as cache:
        cache._database.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="disk is full"):
            cache.put("k", b"x" * 100_000)
        assert cache.get("k") == b"x" * 100_000
        cache._database.execute("PRAGMA max_page_count = 100000")
    with ResponseStore(path) as cache:
        assert cache.get("k") == b"x" * 100_000


def test_time_alone_commits_the_next_put(place):
    with ResponseStore(place, batch=1000, flush_after_s=0.01) as cache:
        time.sleep(0.02)
        cache.put("k", b"v")
        assert cache._pending == {}
