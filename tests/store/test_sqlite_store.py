"""The log as an SQLite file: full disks, other people's files, power cuts, newer versions."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest
from stored_events import SPEC, finished, intact, key, started, stepped, writer

from faults.stores import flushed_bytes
from lookalike.core.errors import StoreError
from lookalike.store import EventLog, open_log
from lookalike.store.events import RunFinished


@pytest.fixture
def location(tmp_path):
    return tmp_path / "events.db"


def append_all(log, batches):
    for batch in batches:
        log.append("r", batch)


def test_a_full_disk_loses_nothing_and_goes_on_after_space_is_freed(tmp_path, log):
    log.append("r", [started(1), finished(1)])
    pages = log._database.rows("PRAGMA page_count")[0][0]
    log._database.rows(f"PRAGMA max_page_count = {pages + 1}")
    batches = ([started(seed, first_observation="x" * 4000)] for seed in range(2, 100))
    with pytest.raises(StoreError, match="disk is full") as caught:
        append_all(log, batches)
    assert "free some space" in caught.value.remedy
    events = intact(log)
    log._database.rows("PRAGMA max_page_count = 100000")
    log.append("r", [started(200), finished(200)])
    assert intact(log) == events + 2


def test_a_file_size_limit_of_the_system_is_a_full_disk_too(tmp_path):
    path = tmp_path / "events.db"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    process = writer(path, 0, 10**6, preexec_fn=limit, stderr=subprocess.PIPE)
    out, err = process.communicate()
    assert process.returncode == 1
    assert "StoreError: The disk" in err
    assert "remedy" in err
    with EventLog(path) as log:
        ended = log.finished_episodes("r")
        assert {key(int(seed)) for seed in out.split()} <= set(ended)
        log.append("r", [started(10**6), finished(10**6)])


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("this is a shopping list, " * 100)
    with pytest.raises(StoreError, match="not an SQLite database"):
        EventLog(path)
    assert path.read_text().startswith("this is a shopping list")


def test_a_database_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="database of something else"):
        EventLog(path)
    assert path.read_bytes() == before


def test_a_log_from_a_newer_version(tmp_path, log):
    log._database.execute("INSERT INTO migrations VALUES ('0099-dreams')")
    with pytest.raises(StoreError, match="newer version") as caught:
        EventLog(tmp_path / "events.db")
    assert "0099-dreams" in caught.value.got


def test_a_truncated_database_is_named_as_damaged(tmp_path, log):
    log.append("r", [started(seed, first_observation="x" * 2000) for seed in range(1, 60)])
    log.close()
    path = tmp_path / "events.db"
    path.write_bytes(path.read_bytes()[: 30 * 4096])
    with pytest.raises(StoreError, match="store is damaged") as caught, EventLog(path) as cut:
        list(cut.events("r"))
    assert "copy" in caught.value.remedy


def test_a_power_cut_leaves_a_prefix_of_whole_transactions(tmp_path):
    """The last writes to the WAL may be lost, cut off anywhere: what is left is whole transactions."""
    source = tmp_path / "source"
    source.mkdir()
    kept = [1]
    with EventLog(source / "events.sqlite") as log:
        log.start_run("r", SPEC, package_version="0.1.0")
        log._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for seed in range(40):
            steps = [stepped(seed, n) for n in range(seed % 5)]
            log.append("r", [started(seed), *steps, finished(seed)])
            kept.append(kept[-1] + 2 + len(steps))
        database, wal = ((source / f"events.sqlite{end}").read_bytes() for end in ("", "-wal"))
    draw = random.Random(3)
    cuts = [0, 10, 31, 32, len(wal) - 1, len(wal), *(draw.randrange(len(wal)) for _ in range(60))]
    seen = set()
    for number, cut in enumerate(cuts):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "events.sqlite").write_bytes(database)
        # Where the disk had begun another block, what stands there is anything.
        (folder / "events.sqlite-wal").write_bytes(wal[:cut] + draw.randbytes(draw.choice([0, 0, 100, 5000])))
        with EventLog(folder) as log:
            events = intact(log)
            assert events in kept
            assert len(log.ended_keys("r")) == kept.index(events)
            assert log.unfinished_episodes("r") == {}
            log.append("r", [started(99), finished(99)])  # and the run goes on
            assert intact(log) == events + 2
        seen.add(events)
        shutil.rmtree(folder)
    assert len(seen) > 15
    assert {1, kept[-1]} <= seen


def test_a_store_that_must_be_there(tmp_path):
    with pytest.raises(StoreError, match="no event log here"):
        open_log(tmp_path / "events.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_its_events_file(tmp_path):
    with open_log(tmp_path) as log:
        log.start_run("r", SPEC, package_version="0.1.0")
        assert log.path == tmp_path / "events.sqlite"
    with open_log(str(tmp_path), create=False) as log:
        assert [run.run_id for run in log.runs()] == ["r"]


def test_a_missing_folder(tmp_path):
    with pytest.raises(StoreError, match="folder for the event log does not exist") as caught:
        EventLog(tmp_path / "nowhere" / "events.db")
    assert caught.value.remedy.startswith("mkdir -p")


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "notes.txt").write_text("something else")
    with pytest.raises(StoreError, match="folder is no store") as caught:
        EventLog(tmp_path)
    assert str(tmp_path / "events.sqlite") in caught.value.remedy


def test_no_permission(tmp_path):
    if os.geteuid() == 0:
        place = Path("/proc")  # nobody may create files there, not even root
        if not place.is_dir():
            pytest.skip("root may write everywhere here")
    else:
        place = tmp_path / "locked"
        place.mkdir(mode=0o500)
    with pytest.raises(StoreError, match=r"no permission|cannot be opened"):
        EventLog(place / "events.db")


def test_a_writer_that_holds_the_file_too_long_is_named_as_the_reason(tmp_path, log):
    log._database.rows("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="Another process held the store"):
        log.append("r", [started(1)])
    other.execute("ROLLBACK")
    other.close()
    log.append("r", [started(1)])


def test_what_ends_an_episode_is_on_the_disk_when_append_returns(tmp_path):
    """Asks the kernel what it still has to write, not the code what it meant."""
    wal = tmp_path / "events.sqlite-wal"
    with EventLog(tmp_path / "events.sqlite") as log:
        log.start_run("r", SPEC, package_version="0.1.0")
        if flushed_bytes(wal) is None:
            pytest.skip("this kernel does not tell which pages are dirty (Linux 6.5 does)")
        log.append("r", [started(0)])
        for number in range(3):
            log.append("r", [stepped(0, number)])
            assert flushed_bytes(wal) < wal.stat().st_size  # a step does not wait
        log.append("r", [finished(0)])
        assert flushed_bytes(wal) == wal.stat().st_size  # all of the episode is there with its end
        log.append("r", [started(1)])
        assert flushed_bytes(wal) < wal.stat().st_size
        log.append("r", [RunFinished(status="stopped", reason="limit")])
        assert flushed_bytes(wal) == wal.stat().st_size
