"""The event log on a real SQLite file: transactions, kills, full disks, other people's files."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from lookalike.core.errors import StoreError
from lookalike.core.types import Outcome, Usage
from lookalike.store import EpisodeFailed, EpisodeFinished, EpisodeKey, EpisodeStarted, EventLog, RunFinished

SPEC = {"experiment": "paper/colossal-cave", "seeds": [1, 2]}


def key(seed=1, condition="solo"):
    return EpisodeKey(condition=condition, goal="lamp", seed=seed)


def started(seed=1, **changes):
    return EpisodeStarted(episode=key(seed), environment_seed=seed * 10, **changes)


def finished(seed=1, success=True):
    return EpisodeFinished.of(
        key(seed), Outcome(success, 3, 30.0, False, False), interactions=3, usage=Usage(3), seconds=1.5
    )


@pytest.fixture
def log(tmp_path):
    with EventLog(tmp_path / "events.db", clock=lambda: 1000.0) as opened:
        opened.start_run("r", SPEC, package_version="0.1.0")
        yield opened


def intact(log, run_id="r"):
    report = log.verify(run_id)
    assert report.problems == ()
    return report.events


def strip(events):
    return [
        event.model_copy(update={"measured": event.measured.model_copy(update={"at": None})})
        for event in events
    ]


def test_events_come_back_in_order_with_their_time(log):
    log.append("r", [started(1), finished(1)])
    log.append("r", [started(2)])
    first, *rest = log.events("r")
    assert first.kind == "run_started"
    assert first.configuration == SPEC
    assert first.package_version == "0.1.0"
    assert strip(rest) == [started(1), finished(1), started(2)]
    assert {event.measured.at for event in rest} == {1000.0}
    assert rest[1].measured.seconds == 1.5


def test_they_are_there_after_reopening(tmp_path, log):
    log.append("r", [started(1), finished(1)])
    with EventLog(tmp_path / "events.db") as again:
        assert list(again.finished_episodes("r")) == [key(1)]
        assert intact(again) == 3


def test_starting_a_run_twice_goes_on_with_it(log):
    assert (
        log.start_run("r", {"seeds": [1, 2], "experiment": "paper/colossal-cave"}, package_version="9")
        is False
    )
    assert log.start_run("s", SPEC, package_version="0.1.0") is True
    assert [run.run_id for run in log.runs()] == ["r", "s"]
    assert intact(log) == 1


def test_the_same_name_for_another_run_is_refused_and_says_what_differs(log):
    with pytest.raises(StoreError, match="asked for something else") as caught:
        log.start_run("r", SPEC | {"seeds": [3]}, package_version="0.1.0")
    assert caught.value.got == "seeds: [1, 2] -> [3]"


def test_appending_to_a_run_that_was_not_started(log):
    with pytest.raises(StoreError, match="no run 'x'"):
        log.append("x", [started()])
    with pytest.raises(StoreError, match="no run 'x'") as caught:
        list(log.events("x"))
    assert caught.value.expected == "one of: r"
    assert log.finished_episodes("x") == {}


def test_a_finished_episode_is_not_played_again(log):
    log.append("r", [started(1), finished(1)])
    for again in (started(1), finished(1), EpisodeFailed(episode=key(1), failure="died")):
        with pytest.raises(StoreError, match="ended already"):
            log.append("r", [again])
    with pytest.raises(StoreError, match="ends twice"):
        log.append("r", [started(2), finished(2), finished(2, success=False)])
    assert intact(log) == 3
    assert log.finished_episodes("r")[key(1)].success is True


def test_a_batch_is_appended_whole_or_not_at_all(log):
    log.append("r", [started(1), finished(1)])
    with pytest.raises(StoreError):
        log.append("r", [started(2), finished(2), started(1)])
    assert intact(log) == 3
    assert key(2) not in log.finished_episodes("r")


def test_a_failure_that_will_be_retried_does_not_end_the_episode(log):
    log.append("r", [started(1), EpisodeFailed(episode=key(1), failure="hung", will_retry=True)])
    assert log.finished_episodes("r") == {}
    log.append("r", [started(1), EpisodeFailed(episode=key(1), failure="hung again")])
    assert log.finished_episodes("r")[key(1)].failure == "hung again"
    assert log.runs()[0].failures == 1


def test_what_a_killed_process_left_of_an_episode_is_superseded(log):
    log.append("r", [started(1, first_observation="old")])
    log.append("r", [started(1, first_observation="new"), finished(1)])
    assert [e.kind for e in log.events("r", episode=key(1))] == ["episode_started", "episode_finished"]
    assert next(iter(log.events("r", episode=key(1)))).first_observation == "new"
    assert len(list(log.events("r", episode=str(key(1)), superseded=True))) == 3


def test_the_summary_of_a_run(log):
    assert log.runs()[0].status == "running"
    log.append("r", [started(1), finished(1), started(2), EpisodeFailed(episode=key(2), failure="died")])
    log.append("r", [RunFinished(status="stopped", reason="Ctrl-C")])
    run = log.runs()[0]
    assert (run.status, run.events, run.episodes, run.failures) == ("stopped", 6, 2, 1)
    log.append("r", [started(3), finished(3)])
    assert log.runs()[0].status == "running"


def test_runs_that_played_alike_have_one_digest_whatever_their_order_name_and_time(tmp_path, log):
    log.append("r", [started(1), started(2)])
    log.append("r", [finished(2)])
    log.append("r", [started(1), finished(1)])
    with EventLog(tmp_path / "other.db", clock=lambda: 5.0) as other:
        other.start_run("other", SPEC, package_version="0.1.0")
        other.append("other", [started(1), finished(1), started(2), finished(2)])
        assert other.play_digest("other") == log.play_digest("r")
        other.append("other", [started(3), finished(3)])
        assert other.play_digest("other") != log.play_digest("r")


def test_threads_append_side_by_side(log):
    def work(offset):
        for seed in range(offset, offset + 25):
            log.append("r", [started(seed), finished(seed)])

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert intact(log) == 201
    assert len(log.finished_episodes("r")) == 100


WRITER = """
    import sys
    from lookalike.core.types import Outcome, Usage
    from lookalike.store import EpisodeFinished, EpisodeKey, EpisodeStarted, EventLog
    log = EventLog(sys.argv[1])
    log.start_run("r", {spec!r}, package_version="0.1.0")
    for seed in range(int(sys.argv[2]), int(sys.argv[3])):
        key = EpisodeKey(condition="solo", goal="lamp", seed=seed)
        end = EpisodeFinished.of(key, Outcome(True, 3, 30.0, False, False), interactions=3, usage=Usage())
        log.append("r", [EpisodeStarted(episode=key, environment_seed=seed), end])
        print(seed, flush=True)
"""


def writer(path, first, last, **options):
    code = textwrap.dedent(WRITER.format(spec=SPEC))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(first), str(last)],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def test_two_processes_write_one_file(tmp_path):
    path = tmp_path / "events.db"
    processes = [writer(path, 0, 40), writer(path, 100, 140)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with EventLog(path) as log:
        assert intact(log) == 161
        assert len(log.finished_episodes("r")) == 80


@pytest.mark.parametrize("after", [1, 40])
def test_kill_9_leaves_whole_transactions_and_all_that_were_reported(tmp_path, after):
    path = tmp_path / "events.db"
    process = writer(path, 0, 10**6)
    reported = [int(process.stdout.readline()) for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    reported += [int(line) for line in process.stdout]
    process.wait()
    with EventLog(path) as log:
        ended = log.finished_episodes("r")
        assert {key(seed) for seed in reported} <= set(ended)
        assert intact(log) == 1 + 2 * len(ended)
        log.append("r", [started(10**6)])  # and the run goes on


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
    log._database.rows("INSERT INTO migrations VALUES ('0099-dreams')")
    with pytest.raises(StoreError, match="newer version") as caught:
        EventLog(tmp_path / "events.db")
    assert "0099-dreams" in caught.value.got


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


def test_a_closed_log_says_so(log):
    log.close()
    with pytest.raises(StoreError, match="cannot be used"):
        log.append("r", [started(9)])


def test_a_writer_that_holds_the_file_too_long_is_named_as_the_reason(tmp_path, log):
    log._database.rows("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="Another process held the store"):
        log.append("r", [started(1)])
    other.execute("ROLLBACK")
    other.close()
    log.append("r", [started(1)])
