"""From a blank store and from the oldest format there is; whole or not at all; never from a newer one.

``data/oldest.sqlite`` was written by the package before its store could do more than SQLite: three runs with
every kind of event there was.
"""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from stored_events import SPEC, finished, intact, key, started

from lookalike.core.errors import StoreError
from lookalike.store import EpisodeKey, EventLog, canonical_bytes, schema
from lookalike.store.database import Migration
from lookalike.store.response_cache import RESPONSES

OLDEST = Path(__file__).parent / "data" / "oldest.sqlite"
DIGESTS = {  # as that version computed them
    "finished": "0ecee8db295ebfbc6fb8492d05769c70e5883556ad509e03ef0c4a04850bdb7c",
    "stopped": "0f2107a3cf868cd91824fd293f42611f42b6129dbc4368de2bb75a2fc4be5c95",
    "killed": "4d7269b971084e9bc3368ea3e65fa08071c607b82925681029d6752346027046",
}


@pytest.fixture
def oldest(tmp_path):
    return Path(shutil.copy(OLDEST, tmp_path / "events.sqlite"))


def episode(seed):
    return EpisodeKey(condition="swarm+expert", goal="lamp", seed=seed)


def names(path, table="migrations"):
    with sqlite3.connect(path) as connection:
        found = [name for (name,) in connection.execute(f"SELECT name FROM {table} ORDER BY name")]
    connection.close()
    return found


def test_the_oldest_store_has_the_oldest_format():
    assert names(OLDEST) == ["0001-events"]


def test_the_oldest_store_is_read_with_everything_in_it(oldest):
    with EventLog(oldest) as log:
        runs = {run.run_id: run for run in log.runs()}
        assert list(runs) == ["finished", "stopped", "killed"]
        shown = {name: (r.status, r.reason, r.events, r.episodes, r.failures) for name, r in runs.items()}
        assert shown == {
            "finished": ("finished", None, 15, 3, 1),
            "stopped": ("stopped", "interrupted", 4, 1, 0),
            "killed": ("running", None, 8, 1, 0),
        }
        assert {name: intact(log, name) for name in runs} == {"finished": 15, "stopped": 4, "killed": 8}
        assert {name: log.play_digest(name) for name in runs} == DIGESTS
        assert log.ended_keys("finished") == {episode(1): True, episode(2): False, episode(3): False}
        assert [e.kind for e in log.unfinished_episodes("killed")[episode(8)]] == [
            "episode_started",
            "step_taken",
            "step_taken",
        ]
        assert runs["finished"].created_at == 1760000000.5
        assert runs["finished"].updated_at == list(log.events("finished"))[-1].measured.at == 1760000008.0
        assert log.configuration("stopped")["seeds"] == [7]
    assert names(oldest) == ["0001-events", "0002-heads"]


def test_events_of_the_oldest_store_have_the_bytes_they_had(oldest):
    with sqlite3.connect(OLDEST) as connection:
        bodies = [body for (body,) in connection.execute("SELECT body FROM events ORDER BY rowid")]
    connection.close()
    with EventLog(oldest) as log:
        events = [event for run in ("finished", "stopped", "killed") for event in log.events(run)]
    assert [canonical_bytes(event) for event in events] == bodies
    assert {event.kind for event in events} == {
        "run_started",
        "episode_started",
        "step_taken",
        "episode_finished",
        "episode_failed",
        "run_finished",
    }


def test_a_run_of_the_oldest_store_goes_on(oldest):
    with EventLog(oldest) as log:
        spec = SPEC | {"seeds": [8, 9]}
        assert log.start_run("killed", spec, package_version="9", folder="/out") is False
        with pytest.raises(StoreError, match="ended already"):
            log.append("killed", [started(9).model_copy(update={"episode": episode(9)})])
        begun = started(8).model_copy(update={"episode": episode(8)})
        log.append("killed", [begun, finished(8).model_copy(update={"episode": episode(8)})])
        log.append("killed", [started(10)])
        assert intact(log, "killed") == 11
        assert log.ended_keys("killed") == {episode(9): True, episode(8): True}
        assert list(log.unfinished_episodes("killed")) == [key(10)]
        assert log.summary("killed").folder == "/out"


def test_a_blank_store_has_todays_format(location, log):
    log.append("r", [started(1), finished(1)])
    table = "migrations" if log.path else "event_migrations"
    found = log._database.rows(f"SELECT name FROM {table} ORDER BY name")
    assert found == [("0001-events",), ("0002-heads",)]


def test_both_ways_lead_to_the_same_tables(oldest, tmp_path):
    def tables(path):
        with EventLog(path) as log:
            return log._database.rows("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name")

    assert tables(oldest) == tables(tmp_path / "blank.sqlite")


def broken(monkeypatch, then):
    migration = Migration("0003-broken", ("CREATE TABLE half (x INTEGER)",), then=then)
    changed = replace(schema.EVENT_LOG, migrations=(*schema.EVENT_LOG.migrations, migration))
    monkeypatch.setattr("lookalike.store.log.EVENT_LOG", changed)


def test_a_migration_that_fails_halfway_leaves_the_old_schema(location, log, monkeypatch):
    log.append("r", [started(1)])
    broken(monkeypatch, lambda database: database.execute("CREATE TABLE half (x INTEGER)"))
    with pytest.raises(StoreError):
        EventLog(location)
    monkeypatch.undo()
    with EventLog(location) as again:
        assert intact(again) == 2
        with pytest.raises(StoreError):
            again._database.rows("SELECT * FROM half")


def test_a_kill_in_the_middle_of_a_migration_leaves_the_oldest_format(oldest):
    import os

    if (child := os.fork()) == 0:
        fill = schema.EVENT_LOG.migrations[1]
        killed = replace(fill, then=lambda _: os.kill(os.getpid(), 9))
        changed = replace(schema.EVENT_LOG, migrations=(schema.EVENT_LOG.migrations[0], killed))
        import lookalike.store.log as module

        module.EVENT_LOG = changed
        EventLog(oldest)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 9
    assert names(oldest) == ["0001-events"]
    with EventLog(oldest) as log:
        assert intact(log, "finished") == 15


def test_a_store_from_a_newer_version_is_left_alone(location, log):
    table = "migrations" if log.path else "event_migrations"
    log._database.execute(f"INSERT INTO {table} (name) VALUES ('0099-dreams')")
    with pytest.raises(StoreError, match="newer version") as caught:
        EventLog(location)
    assert "0099-dreams" in caught.value.got
    assert "at most 0002-heads" in caught.value.expected


def test_a_damaged_last_event_does_not_stop_a_migration(oldest):
    with sqlite3.connect(oldest) as connection:
        connection.execute(
            "UPDATE events SET body = x'00' WHERE run_id = 'stopped' AND kind = 'run_finished'"
        )
    connection.close()
    with EventLog(oldest) as log:
        assert intact(log, "finished") == 15
        assert not log.verify("stopped").ok


def test_the_names_of_migrations_are_in_order():
    for known in (schema.EVENT_LOG, RESPONSES):
        found = [migration.name for migration in known.migrations]
        assert found == sorted(found)
        assert [name[:4] for name in found] == [f"{n + 1:04}" for n in range(len(found))]
