"""What only a server can do: be out of reach, refuse, cut the connection, and come back."""

from __future__ import annotations

import os
import socket
import sys
import traceback

import pytest
from stored_events import SPEC, finished, intact, key, started, stepped

from lookalike.core.errors import RunHeldError, StoreError
from lookalike.store import EventLog, open_log, open_response_cache
from lookalike.store.location import read_location


def cut(log, url):
    """End the log's connection on the server."""
    (pid,) = log._database.rows("SELECT pg_backend_pid()")[0]
    with EventLog(url) as other:
        assert other._database.rows("SELECT pg_terminate_backend(:pid, 5000)", pid=pid) == [(True,)]


@pytest.fixture
def location(postgres_url):
    return postgres_url


def test_a_server_that_cannot_be_reached():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_log(f"postgresql://ann:s3cret@127.0.0.1:{port}/games")
    assert f"postgresql://ann@127.0.0.1:{port}/games" in caught.value.got
    assert "s3cret" not in str(caught.value)
    assert "server runs" in caught.value.remedy


def test_a_server_of_something_else():
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(StoreError, match=r"cannot be reached|refused"):
            open_log(f"postgresql://ann:s3cret@127.0.0.1:{server.getsockname()[1]}/games")
        thread.join()


def test_a_wrong_password_is_refused_and_not_shown(postgres_server):
    server = read_location(postgres_server.url)
    with pytest.raises(StoreError, match="refuses this user or password") as caught:
        open_log(f"postgresql://player:wr0ng-one@{server.host}:{server.port}/postgres")
    text = "".join(traceback.format_exception(caught.value))
    assert "wr0ng-one" not in str(caught.value)
    assert "wr0ng-one" not in "\n".join(line for line in text.splitlines() if "open_log(f" not in line)
    assert "PGPASSWORD" in caught.value.remedy


def test_a_password_may_come_from_the_environment(postgres_server, monkeypatch):
    server = read_location(postgres_server.url)
    monkeypatch.setenv("PGPASSWORD", server.password)
    with open_log(
        f"postgresql://player@{server.host}:{server.port}/postgres?schema=env_{os.getpid()}"
    ) as log:
        assert log.runs() == []
        assert server.password not in log.location


def test_a_database_that_is_not_there(postgres_server):
    with pytest.raises(StoreError, match="no such database") as caught:
        open_log(postgres_server.url.replace("/postgres", "/nowhere"))
    assert "createdb" in caught.value.remedy


def test_a_store_that_must_be_there(postgres_url):
    with pytest.raises(StoreError, match="no event log here"):
        open_log(postgres_url, create=False)
    open_log(postgres_url).close()
    open_log(postgres_url, create=False).close()


def test_no_password_is_in_anything_the_log_says(postgres_url, log):
    password = read_location(postgres_url).password
    said = [log.location, repr(log.runs()), repr(vars(log))]
    with pytest.raises(StoreError) as caught:
        log.append("x", [started(1)])
    said.append(str(caught.value))
    with (
        EventLog(postgres_url) as other,
        log.hold("r"),
        pytest.raises(RunHeldError) as caught,
        other.hold("r"),
    ):
        pass
    said.append(str(caught.value))
    cut(log, postgres_url)
    with pytest.raises(StoreError) as caught:
        log.runs()
    said.append(str(caught.value))
    assert password not in "\n".join(said)
    rows = log._database.rows("SELECT CAST(r.* AS text) FROM runs r")
    assert password not in repr(rows)


def test_stores_in_one_database_do_not_see_each_other(postgres_server, log):
    with EventLog(f"{postgres_server.url}?schema=second_{os.getpid()}") as other:
        assert other.runs() == []
        other.start_run("r", {"other": 1}, package_version="0")
        with log.hold("r"), other.hold("r"):
            log.append("r", [started(1)])
    assert intact(log) == 2


def test_a_cut_connection_loses_nothing_and_the_next_call_connects_again(postgres_url, log):
    log.append("r", [started(1), finished(1)])
    cut(log, postgres_url)
    with pytest.raises(StoreError, match="connection to the database server was lost") as caught:
        log.append("r", [started(2), finished(2)])
    assert "goes on where it stopped" in caught.value.remedy
    assert list(log.finished_episodes("r")) == [key(1)]
    log.append("r", [started(2), finished(2)])
    assert intact(log) == 5


def test_a_hold_comes_back_with_the_connection(postgres_url, log):
    with log.hold("r"):
        log.append("r", [started(1)])
        cut(log, postgres_url)
        with pytest.raises(StoreError, match=r"connection .* was lost"):
            log.append("r", [stepped(1)])
        log.append("r", [stepped(1)])
        with EventLog(postgres_url) as other, pytest.raises(RunHeldError), other.hold("r"):
            pass
        assert log.summary("r").holder.process_id == os.getpid()
    assert log.summary("r").holder is None


def test_a_hold_that_somebody_else_took_meanwhile_is_lost(postgres_url, log, monkeypatch):
    monkeypatch.setattr("lookalike.store.postgres_database._HOLD_AGAIN_S", 0.2)
    with EventLog(postgres_url) as other, log.hold("r"):
        cut(log, postgres_url)
        with other.hold("r"):
            with pytest.raises(StoreError, match="was lost"):
                log.append("r", [started(1)])
            other.append("r", [started(1), finished(1)])
            with pytest.raises(RunHeldError):
                log.append("r", [started(1)])
    assert intact(log) == 3


def test_what_another_process_wrote_into_a_held_run_is_noticed(postgres_url, log):
    """A hold that was lost and won back in between: the head has moved."""
    with EventLog(postgres_url) as other, log.hold("r"):
        log.append("r", [started(1)])
        other.append("r", [stepped(1)])
        with pytest.raises(StoreError, match="written by another process while this one held it"):
            log.append("r", [stepped(1)])
    assert intact(log) == 3


def test_an_interrupted_query_does_not_confuse_the_next(log, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    log.append("r", [started(1)])
    monkeypatch.setattr("pg8000.native.PreparedStatement.run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        log.append("r", [stepped(1)])
    monkeypatch.undo()
    log.append("r", [stepped(1)])
    assert intact(log) == 3


def test_without_the_driver_it_says_how_to_get_it(monkeypatch, postgres_url):
    monkeypatch.setitem(sys.modules, "pg8000.native", None)
    with pytest.raises(StoreError, match="driver for PostgreSQL is not installed") as caught:
        open_log(postgres_url)
    assert "lookalike[postgres]" in caught.value.remedy


def test_two_processes_that_start_on_an_empty_database_take_turns(postgres_url):
    from stored_events import writer

    processes = [writer(postgres_url, n, n + 3) for n in (0, 10, 20)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with EventLog(postgres_url) as log:
        assert log.start_run("r", SPEC, package_version="9") is False
        assert intact(log) == 19


def test_what_ends_an_episode_is_on_the_servers_disk_when_append_returns(log, location):
    """Asks the server how much of its log it still has to write.

    Where a record ends with a page (8,192 bytes), the next one's place is behind the next page's header, of
    24 or 40 bytes, which is nothing that has to be written.
    """

    def waiting():
        query = "SELECT pg_current_wal_flush_lsn() - '0/0', pg_current_wal_insert_lsn() - '0/0'"
        written, put = (int(at) for at in asker._database.rows(query)[0])
        header = {24, 40} if written % 8192 == 0 else set()
        return 0 if put - written in header else put - written

    behind = []
    with EventLog(location) as asker:
        for seed in range(20):
            log.append("r", [started(seed), stepped(seed, 0)])
            behind.append(waiting())
            log.append("r", [finished(seed)])
            assert waiting() == 0
    assert max(behind) > 0  # a step does not wait


def test_a_response_survives_a_cut_connection(location):
    """It was paid for: it is put again over a new connection, and what is there is found."""

    def cut_cache():
        (pid,) = cache._database.rows("SELECT pg_backend_pid()")[0]
        with EventLog(location) as other:
            other._database.rows("SELECT pg_terminate_backend(:pid, 5000)", pid=pid)

    with open_response_cache(location, paid=True) as cache:
        cache.put("a", b"1")
        cut_cache()
        cache.put("b", b"2")
    with open_response_cache(location, paid=True) as cache:
        cut_cache()
        assert cache.get("a") == b"1"
        assert cache.get("b") == b"2"
        assert cache.get("c") is None
