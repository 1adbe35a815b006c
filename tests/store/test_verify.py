"""Verify finds what was changed, lost or moved afterwards, names each, and goes on to the next."""

from __future__ import annotations

import numpy as np
import pytest
from stored_events import SPEC, finished, intact, key, started, stepped

from lookalike.core.errors import StoreError
from lookalike.store import EpisodeFailed, EventLog, FileStore, verify_store
from lookalike.store.schema import first_id

FIRST = first_id(1)


@pytest.fixture
def played(log):
    """A run of seven events: its start, a finished episode of four, and two of another."""
    log.append("r", [started(1), stepped(1, 0), stepped(1, 1), finished(1), started(2), stepped(2)])
    assert intact(log) == 7
    return log


def exchange(column, table, first, second):
    """Exchange a value of two rows: SQLite changes one row after the other, so by way of a third."""
    value = f"(SELECT {column} FROM {table} WHERE id = %d)"
    return [
        f"CREATE TABLE kept AS SELECT {column} FROM {table} WHERE id = {first}",
        f"UPDATE {table} SET {column} = {value % second} WHERE id = {first}",
        f"UPDATE {table} SET {column} = (SELECT {column} FROM kept) WHERE id = {second}",
    ]


DAMAGE = {
    "altered": (
        [f"UPDATE events SET body = (SELECT body FROM events WHERE id = {FIRST + 2}) WHERE id = {FIRST + 6}"],
        [(6, "is not what was appended")],
    ),
    "deleted in the middle": ([f"DELETE FROM events WHERE id = {FIRST + 2}"], [(2, "event 2 is missing")]),
    "several deleted": (
        [f"DELETE FROM events WHERE id BETWEEN {FIRST + 2} AND {FIRST + 4}"],
        [(2, "events 2 to 4 are missing")],
    ),
    "deleted at the start": ([f"DELETE FROM events WHERE id = {FIRST}"], [(0, "event 0 is missing")]),
    "deleted at the end": ([f"DELETE FROM events WHERE id = {FIRST + 6}"], [(6, "last event is missing")]),
    "two deleted at the end": (
        [f"DELETE FROM events WHERE id > {FIRST + 4}"],
        [(5, "last 2 events are missing")],
    ),
    "contents exchanged": (
        exchange("body", "events", FIRST + 3, FIRST + 4),
        [
            (3, "out of order: what was appended here is at 4"),
            (4, "out of order: what was appended here is at 3"),
        ],
    ),
    "events exchanged": (
        [
            f"UPDATE events SET id = {FIRST + 90} WHERE id = {FIRST + 1}",
            f"UPDATE events SET id = {FIRST + 1} WHERE id = {FIRST + 2}",
            f"UPDATE events SET id = {FIRST + 2} WHERE id = {FIRST + 90}",
        ],
        [(1, "out of order"), (2, "out of order")],
    ),
    "moved behind the end": (
        [f"UPDATE events SET id = {FIRST + 7} WHERE id = {FIRST + 2}"],
        [(2, "event 2 is missing"), (7, "out of order: it was appended as event 2")],
    ),
    "given to another episode": (
        [f"UPDATE events SET episode = {FIRST + 1} WHERE id = {FIRST + 2}"],
        [(2, "of another episode")],
    ),
    "called another kind": (
        [f"UPDATE events SET kind = 'episode_paused' WHERE id = {FIRST + 2}"],
        [(2, "'episode_paused'")],
    ),
    "an end that is forgotten": (
        ["UPDATE episodes SET ended = NULL"],
        [(None, "table of episodes says of 'solo/lamp/1/0'")],
    ),
    "counts that are wrong": (["UPDATE runs SET episodes = 3"], [(None, "counts of episodes")]),
    "an event too many": (
        [
            f"""INSERT INTO events (id, episode, kind, at, body, measured, chain)
                SELECT {FIRST + 7}, episode, kind, at, body, measured, chain
                FROM events WHERE id = {FIRST + 6}"""
        ],
        [(7, "not what was appended"), (7, "1 events more than were appended")],
    ),
    "no event at all": (
        ["UPDATE events SET body = :blob WHERE id = " + str(FIRST + 5)],
        [(5, "is no event"), (5, "not what was appended")],
    ),
    "two places at once": (
        [
            f"DELETE FROM events WHERE id = {FIRST + 2}",
            f"UPDATE events SET chain = :blob WHERE id = {FIRST + 5}",
        ],
        [(2, "event 2 is missing"), (5, "not what was appended"), (6, "not what was appended")],
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_changed_afterwards_is_found(played, damage):
    statements, expected = DAMAGE[damage]
    for statement in statements:
        arguments = {"blob": b"\xff nonsense"} if ":blob" in statement else {}
        played._database.execute(statement, **arguments)
    report = played.verify("r")
    assert not report.ok
    found = [(problem.seq, problem.what) for problem in report.problems]
    for seq, what in expected:
        assert any(seq == s and what in w for s, w in found), found
    assert {problem.run_id for problem in report.problems} == {"r"}
    assert all(problem.remedy for problem in report.problems)
    assert "run 'r'" in str(report.problems[0])


def test_other_runs_are_not_blamed(played):
    played.start_run("s", SPEC, package_version="0.1.0")
    played.append("s", [started(1), finished(1)])
    played._database.execute(f"DELETE FROM events WHERE id = {FIRST + 2}")
    assert not played.verify("r").ok
    assert intact(played, "s") == 3
    with pytest.raises(StoreError, match="no run 'x'"):
        played.verify("x")


def test_a_run_with_everything_in_it_is_intact(log):
    log.append("r", [started(1), stepped(1)])
    log.append("r", [started(1), EpisodeFailed(episode=key(1), failure="hung", will_retry=True)])
    log.append("r", [started(1), EpisodeFailed(episode=key(1), failure="hung again")])
    log.append("r", [stepped(5), started(6), finished(6), started(7)])
    assert intact(log) == 11


@pytest.fixture
def pictures(tmp_path, log):
    """A file store and a run whose steps show two of its three frames."""
    files = FileStore(tmp_path / "files")
    frames = [np.full((4, 5, 3), value, np.uint8) for value in (0, 100, 200)]
    digests = [files.put_frame(frame) for frame in frames]
    log.append("r", [started(1, first_frame=digests[0]), stepped(1, next_frame=digests[1]), finished(1)])
    return files, digests


def test_files_are_checked_with_the_run_that_names_them(log, pictures):
    files, _ = pictures
    report = log.verify("r", files)
    assert (report.ok, report.events, report.files) == (True, 4, 2)


def test_a_flipped_byte_in_a_frame_is_found(log, pictures):
    files, digests = pictures
    path = files.path(digests[1])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (problem,) = log.verify("r", files).problems
    assert problem.seq == 2
    assert problem.file == str(path)
    assert "has changed" in problem.what
    assert "restore the file" in problem.remedy
    assert log.verify("r").ok


def test_a_missing_frame_is_found(log, pictures):
    files, digests = pictures
    files.path(digests[0]).unlink()
    (problem,) = log.verify("r", files).problems
    assert problem.seq == 1
    assert "is missing" in problem.what
    assert digests[0] in problem.file


def test_a_whole_store_is_checked_at_once(location, played, tmp_path):
    played.start_run("s", SPEC, package_version="0.1.0")
    reports = verify_store(location)
    assert [(report.run_id, report.events, report.ok) for report in reports] == [
        ("r", 7, True),
        ("s", 1, True),
    ]
    assert [report.run_id for report in verify_store(location, run_id="s")] == ["s"]
    with pytest.raises(StoreError, match="no run 'x'"):
        verify_store(location, run_id="x")
    with pytest.raises(StoreError, match="no event log here"):
        verify_store(tmp_path / "nothing.sqlite")


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8, 0.97])
def test_of_a_truncated_file_each_run_is_judged_by_what_is_left(tmp_path, kept):
    path = tmp_path / "events.sqlite"
    runs = [f"run {n}" for n in range(5)]
    with EventLog(path) as log:
        for n, run in enumerate(runs):
            log.start_run(run, SPEC | {"n": n}, package_version="0.1.0")
        for run in runs:
            for seed in range(20):
                log.append(run, [started(seed, first_observation="x" * 2000), stepped(seed), finished(seed)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    reports = verify_store(path)
    assert [report.run_id for report in reports] == runs
    assert all(not report.ok for report in reports)  # the file is damaged, whichever run one asks about
    read = [report.events for report in reports]
    assert sum(read) == pytest.approx(kept * 5 * 61, rel=0.35)
    assert read == sorted(read, reverse=True)
    last = reports[-1].problems
    assert any("damaged" in problem.what or "cannot be read" in problem.what for problem in last)
    own = [[p for p in report.problems if "may or may not" not in p.what] for report in reports]
    if kept >= 0.5:
        assert own[0] == []  # and what is whole is told apart
    assert own[-1] != []


def test_nothing_is_left_to_judge(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventLog(path) as log:
        log.start_run("r", SPEC, package_version="0.1.0")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(StoreError, match=r"damaged|not an SQLite") as caught:
        verify_store(path)
    assert caught.value.remedy
