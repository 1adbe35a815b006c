"""One process at a time on a run, over both back ends; however it dies, the run is free again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time

import pytest
from stored_events import SPEC, finished, intact, python, started

from lookalike.core.errors import RunHeldError, StoreError
from lookalike.store import EventLog
from lookalike.store.hold import lock_path

HOLDER = """
    import sys, time
    from lookalike.store import EventLog
    with EventLog(sys.argv[1]) as log, log.hold(sys.argv[2]) as holder:
        print(holder.process_id, flush=True)
        time.sleep(60)
"""


@pytest.fixture
def other(location, log):
    """Another process that holds run r."""
    process = python(HOLDER, location, "r")
    assert int(process.stdout.readline()) == process.pid
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_is_refused_and_told_who_has_it(log, other):
    before = time.time()
    with pytest.raises(RunHeldError, match="being played by another process") as caught, log.hold("r"):
        pass
    assert f"process {other.pid} on {socket.gethostname()}, since 20" in caught.value.got
    assert "wait until it ends" in caught.value.remedy
    assert isinstance(caught.value, StoreError)
    holder = log.summary("r").holder
    assert (holder.process_id, holder.host) == (other.pid, socket.gethostname())
    assert before - 30 < holder.since <= before
    with log.hold("another run"):
        assert log.summary("r").holder is not None


def test_a_killed_holder_leaves_the_run_free(log, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    deadline = time.monotonic() + 10
    while log.summary("r").holder is not None:  # a server takes a moment to notice
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with log.hold("r") as holder:
        assert holder.process_id == os.getpid()
        assert log.summary("r").holder == holder


def test_a_held_run_is_played_and_free_afterwards(location, log):
    with log.hold("r"):
        log.append("r", [started(1), finished(1)])
        assert log.runs()[0].holder.process_id == os.getpid()
    assert log.runs()[0].holder is None
    with EventLog(location) as second, second.hold("r"):
        assert intact(second) == 3


def test_one_process_is_refused_by_itself_too(location, log):
    with log.hold("r"):
        with pytest.raises(RunHeldError), log.hold("r"):
            pass
        with EventLog(location) as second, pytest.raises(RunHeldError), second.hold("r"):
            pass
        assert log.summary("r").holder is not None
    assert log.summary("r").holder is None


def test_a_block_that_fails_lets_go(log):
    with pytest.raises(ZeroDivisionError), log.hold("r"):
        1 / 0  # noqa: B018 - it raises
    with log.hold("r"):
        pass


def test_a_run_may_be_held_before_it_is_started(log):
    with log.hold("new"):
        assert log.start_run("new", SPEC, package_version="0.1.0")
        assert log.summary("new").holder is not None


def test_many_who_want_it_get_it_one_after_the_other(location, log):
    got, refused, inside = [], [], []

    def want(number):
        with EventLog(location) as own:
            for _ in range(200):
                try:
                    with own.hold("r"):
                        inside.append(number)
                        assert inside == [number]
                        got.append(number)
                        time.sleep(0.005)
                        inside.remove(number)
                    return
                except RunHeldError:
                    refused.append(number)

    threads = [threading.Thread(target=want, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(6))


def test_looking_does_not_get_in_the_way(tmp_path):
    """Who only asks who holds a run takes the lock for a moment; a holder is not refused for that."""
    path = tmp_path / "events.sqlite"
    stop = threading.Event()
    with EventLog(path) as log, EventLog(path) as second:
        log.start_run("r", SPEC, package_version="0.1.0")

        def look():
            while not stop.is_set():
                second.summary("r")

        thread = threading.Thread(target=look)
        thread.start()
        try:
            for _ in range(100):
                with log.hold("r"):
                    pass
        finally:
            stop.set()
            thread.join()


def test_a_lock_file_is_gone_after_the_hold_and_left_by_a_kill(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventLog(path) as log:
        log.start_run("r", SPEC, package_version="0.1.0")
        with log.hold("r"):
            assert lock_path(path, "r").exists()
        assert not lock_path(path, "r").exists()
        process = python(HOLDER, path, "r")
        process.stdout.readline()
        process.kill()
        process.communicate()
        assert lock_path(path, "r").exists()
        assert log.summary("r").holder is None


def test_a_forked_child_does_not_keep_the_run(tmp_path):
    """The child of a holder that was killed has no claim of its own."""
    path = tmp_path / "events.sqlite"
    code = """
        import os, sys, time
        from lookalike.store import EventLog
        log = EventLog(sys.argv[1])
        hold = log.hold("r")
        hold.__enter__()
        child = os.fork()
        if child == 0:
            time.sleep(60)
        print(child, flush=True)
        os.kill(os.getpid(), 9)
    """
    with EventLog(path) as log:
        log.start_run("r", SPEC, package_version="0.1.0")
        process = python(code, path)
        child = int(process.stdout.readline())
        process.wait()
        try:
            with log.hold("r"):
                pass
        finally:
            os.kill(child, signal.SIGKILL)
            process.stdout.close()


def test_a_subprocess_does_not_keep_the_run(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventLog(path) as log:
        log.start_run("r", SPEC, package_version="0.1.0")
        with log.hold("r"):
            sleeper = subprocess.Popen(["sleep", "60"], close_fds=False)
        try:
            with log.hold("r"):
                pass
        finally:
            sleeper.kill()
            sleeper.wait()


def test_a_lock_that_cannot_be_written_says_so(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventLog(path) as log:
        lock_path(path, "r").mkdir()
        with pytest.raises(StoreError, match="cannot be locked"), log.hold("r"):
            pass
