"""The event log over both back ends: order, transactions, kills, what goes on and what does not."""

from __future__ import annotations

import signal
import threading

import pytest
from stored_events import SPEC, finished, intact, key, started, stepped, strip, writer

from lookalike.core.errors import StoreError
from lookalike.store import EpisodeFailed, EpisodePaused, EventLog, RunFinished


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


def test_they_are_there_after_reopening(location, log):
    log.append("r", [started(1), finished(1)])
    with EventLog(location) as again:
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
    for after in (finished(2, success=False), stepped(2), started(2)):
        with pytest.raises(StoreError, match="ends twice in one batch, or goes on"):
            log.append("r", [started(2), finished(2), after])
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
    run = log.summary("r")
    assert run == log.runs()[0]
    assert (run.status, run.reason, run.events, run.episodes, run.failures) == ("stopped", "Ctrl-C", 6, 2, 1)
    assert (run.created_at, run.updated_at, run.folder, run.holder) == (1000.0, 1000.0, None, None)
    log.append("r", [started(3), finished(3)])
    assert (log.summary("r").status, log.summary("r").reason) == ("running", "Ctrl-C")
    log.append("r", [RunFinished(status="finished")])
    assert (log.summary("r").status, log.summary("r").reason) == ("finished", None)
    with pytest.raises(StoreError, match="no run 'x'"):
        log.summary("x")


def test_where_a_runs_results_go_is_kept_and_follows_it(log):
    log.start_run("s", SPEC, package_version="0.1.0", folder="/first")
    assert log.summary("s").folder == "/first"
    log.start_run("s", SPEC, package_version="0.1.0")
    assert log.summary("s").folder == "/first"
    log.start_run("s", SPEC, package_version="0.1.0", folder="/second")
    assert log.summary("s").folder == "/second"
    with pytest.raises(StoreError, match="asked for something else"):
        log.start_run("s", {"seeds": []}, package_version="0.1.0", folder="/third")
    assert log.summary("s").folder == "/second"


def test_the_time_of_the_last_event_is_the_runs(location):
    times = iter(range(100, 200))
    with EventLog(location, clock=lambda: float(next(times))) as log:
        log.start_run("r", SPEC, package_version="0.1.0")
        log.append("r", [started(1), stepped(1)])
        last = list(log.events("r"))[-1]
        assert log.summary("r").updated_at == last.measured.at > log.summary("r").created_at


def test_unfinished_episodes_are_what_a_resumed_run_goes_on_from(log):
    assert log.unfinished_episodes("r") == {}
    log.append("r", [started(2, first_observation="killed"), stepped(2, 0), stepped(2, 1)])
    log.append("r", [started(1), stepped(1, 0), finished(1)])
    log.append("r", [started(2, first_observation="again"), stepped(2, 0)])
    log.append("r", [started(3), EpisodePaused(episode=key(3), step=0, reason="calls: 1 of 1")])
    log.append("r", [started(4), EpisodeFailed(episode=key(4), failure="hung", will_retry=True)])
    found = log.unfinished_episodes("r")
    assert list(found) == [key(2), key(3), key(4)]
    assert strip(found[key(2)]) == [started(2, first_observation="again"), stepped(2, 0)]
    assert [event.kind for event in found[key(3)]] == ["episode_started", "episode_paused"]
    assert found[key(4)][-1].will_retry
    log.append("r", [stepped(2, 1), finished(2)])
    assert list(log.unfinished_episodes("r")) == [key(3), key(4)]
    assert log.unfinished_episodes("x") == {}


def test_an_episode_longer_than_a_page_is_read_whole(log):
    log.append("r", [started(1)])
    for start in range(0, 1300, 100):
        log.append(
            "r", [event for n in range(start, start + 100) for event in (stepped(1, n), stepped(2, n))]
        )
    assert [event.step for event in log.unfinished_episodes("r")[key(1)][1:]] == list(range(1300))
    assert [event.step for event in log.unfinished_episodes("r")[key(2)]] == list(range(1300))
    assert len(list(log.events("r"))) == intact(log) == 2602


def test_ended_keys_say_whether_each_succeeded(log):
    log.append("r", [started(1), finished(1), started(2), finished(2, success=False)])
    log.append("r", [started(3), EpisodeFailed(episode=key(3), failure="died")])
    assert log.ended_keys("r") == {key(1): True, key(2): False, key(3): False}
    assert list(log.ended_keys("r")) == list(log.finished_episodes("r"))
    assert log.ended_keys("x") == {}


def test_an_empty_batch_is_nothing(log):
    log.append("r", [])
    assert intact(log) == 1


def test_what_is_appended_again_after_a_refusal_is_in_place(log):
    log.append("r", [started(1), finished(1)])
    for _ in range(2):
        with pytest.raises(StoreError):
            log.append("r", [started(2), stepped(1)])
    log.append("r", [started(2), stepped(2)])
    assert intact(log) == 5


def test_two_logs_append_to_one_run_in_turns(location, log):
    with EventLog(location) as other:
        for n in range(10):
            (log, other)[n % 2].append("r", [started(n), stepped(n)])
        other.append("r", [finished(9)])
        with pytest.raises(StoreError, match="ended already"):
            log.append("r", [stepped(9, 1)])
        assert intact(log) == intact(other) == 22


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


def test_two_processes_write_one_store(location):
    processes = [writer(location, 0, 40), writer(location, 100, 140)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with EventLog(location) as log:
        assert intact(log) == 161
        assert len(log.finished_episodes("r")) == 80


@pytest.mark.parametrize("after", [1, 40])
def test_kill_9_leaves_whole_transactions_and_all_that_were_reported(location, after):
    process = writer(location, 0, 10**6)
    reported = [int(process.stdout.readline()) for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    reported += [int(line) for line in process.stdout]
    process.wait()
    with EventLog(location) as log:
        ended = log.finished_episodes("r")
        assert {key(seed) for seed in reported} <= set(ended)
        assert intact(log) == 1 + 2 * len(ended)
        log.append("r", [started(10**6)])  # and the run goes on


def test_a_closed_log_says_so(log):
    log.close()
    with pytest.raises(StoreError, match="cannot be used"):
        log.append("r", [started(9)])
