"""Deleting runs and collecting what nobody mentions: never what somebody needs or is about to."""

from __future__ import annotations

import os
import random
import threading
import time

import numpy as np
import pytest
from stored_events import SPEC, finished, intact, started, stepped

from lookalike.core.errors import RunHeldError, StoreError
from lookalike.store import EventLog, FileStore


@pytest.fixture
def files(tmp_path):
    return FileStore(tmp_path / "files")


def frame(files, value):
    return files.put_frame(np.full((6, 6, 3), value, np.uint8))


def names(files):
    return {digest for digest, _ in files.digests()}


def test_a_deleted_run_is_gone_and_the_others_are_not(log):
    log.start_run("s", SPEC, package_version="0.1.0")
    log.append("r", [started(1), finished(1), started(2)])
    log.append("s", [started(1), finished(1)])
    assert log.delete_run("r") == 4
    assert [run.run_id for run in log.runs()] == ["s"]
    assert intact(log, "s") == 3
    with pytest.raises(StoreError, match="no run 'r'"):
        log.append("r", [started(3)])
    with pytest.raises(StoreError, match="no run 'r'"):
        log.delete_run("r")
    assert log.start_run("r", SPEC | {"seeds": [5]}, package_version="0.1.0")
    log.append("r", [started(1)])
    assert intact(log) == 2
    assert list(log.events("s"))[-1].kind == "episode_finished"


def test_the_last_run_may_be_deleted_and_begun_again(location, log):
    log.append("r", [started(1)])
    with EventLog(location) as second:
        second.append("r", [started(2)])
        log.delete_run("r")
        log.start_run("r", SPEC, package_version="0.1.0")
        with pytest.raises(StoreError):  # a number of the old run, from before it was deleted
            second.append("gone", [started(3)])
        second.append("r", [started(3)])
        assert intact(log) == 2


def test_a_run_in_the_place_of_a_deleted_one_is_not_taken_for_it(location, log):
    log.append("r", [started(1)])
    with EventLog(location) as second:
        second.append("r", [started(2)])  # second knows where the run stands
        log.delete_run("r")
        log.start_run("s", SPEC, package_version="0.1.0")
        log.append("s", [started(5), started(6)])  # and this one stands at the same number
        with pytest.raises(StoreError, match="no run 'r'"):
            second.append("r", [started(3)])
    assert intact(log, "s") == 3


def test_a_held_run_is_not_deleted(location, log):
    with EventLog(location) as other, other.hold("r"), pytest.raises(RunHeldError):
        log.delete_run("r")
    assert intact(log) == 1


def test_only_files_that_no_event_mentions_are_removed(log, files):
    kept = frame(files, 1), frame(files, 2)
    log.append("r", [started(1, first_frame=kept[0]), stepped(1, next_frame=kept[1])])
    video = files.put(b"mentioned in words", ".mp4")
    log.append("r", [stepped(1, 1).model_copy(update={"next_observation": f"see {video}"})])
    loose = frame(files, 3)
    (files.folder / loose[:2] / "abc-1-1.part").write_bytes(b"x" * 50)
    size = files.path(loose).stat().st_size
    looked = log.collect_garbage(files, dry_run=True)
    assert (looked.files, looked.leftovers, looked.bytes_freed, looked.kept) == (1, 1, size + 50, 0)
    assert looked.dry_run
    assert loose in names(files)
    done = log.collect_garbage(files, dry_run=False)
    assert (done.files, done.leftovers, done.kept) == (1, 1, 0)
    assert done.bytes_freed >= size + 50
    assert names(files) == {*kept, video}
    assert list(files.leftovers()) == []
    assert log.verify("r", files).ok


def test_a_deleted_runs_files_and_space_are_given_back(log, files):
    shared, own = frame(files, 1), frame(files, 2)
    log.start_run("s", SPEC, package_version="0.1.0")
    log.append("s", [stepped(1, next_frame=shared)])
    draw = random.Random(5)  # a server compresses what repeats
    texts = [{"next_observation": draw.randbytes(4000).hex()} for _ in range(200)]
    long = [stepped(1, n).model_copy(update=text) for n, text in enumerate(texts)]
    log.append("r", [stepped(1, next_frame=own), stepped(1, next_frame=shared), *long])
    before = log._database.size()
    log.delete_run("r")
    report = log.collect_garbage(files)
    assert names(files) == {shared}
    assert log._database.size() < before / 2
    assert report.bytes_freed > 500_000
    assert intact(log, "s", files) == 2


def test_what_a_run_that_is_played_may_be_about_to_mention_is_kept(location, log, files):
    old, again = frame(files, 1), frame(files, 2)
    for digest in (old, again):
        os.utime(files.path(digest), (1000, 1000))
    with EventLog(location, clock=time.time) as other, other.hold("r"):
        new = frame(files, 3)
        frame(files, 2)
        report = log.collect_garbage(files)
        assert (report.files, report.kept) == (1, 2)
        assert names(files) == {new, again}
    assert log.collect_garbage(files).files == 2


def test_collecting_while_a_run_is_played_loses_nothing(location, log, files):
    stop = threading.Event()

    def play():
        with EventLog(location) as own, own.hold("r"):
            for n in range(40):
                own.append("r", [stepped(1, n, next_frame=frame(files, n % 7))])
        stop.set()

    thread = threading.Thread(target=play)
    thread.start()
    while not stop.is_set():
        log.collect_garbage(files)
    thread.join()
    report = log.verify("r", files)
    assert (report.ok, report.files) == (True, 7)


def test_without_a_file_store_only_the_database_is_compacted(log):
    report = log.collect_garbage(None)
    assert (report.files, report.leftovers, report.kept) == (0, 0, 0)
