"""``lookalike runs``: what there is, going on, verifying, tidying, and what is refused."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from lookalike.store import EventLog, open_log

NAME = "paper/colossal-cave"


@pytest.fixture
def folder(call, tmp_path: Path, monkeypatch) -> Path:
    """Return the folder of a run that its budget stopped in the middle; the current folder holds ``runs``."""
    monkeypatch.chdir(tmp_path)
    result = call(
        "experiment", "run", NAME, "--conditions", "random", "--goals", "lamp,lit-with-rod", "--seeds", "0-3",
        "--limit", "seconds=0.03", "--out", "runs/cave",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return tmp_path / "runs" / "cave"


def status(folder: Path) -> tuple[str, str | None]:
    with EventLog(folder / "events.sqlite") as log:
        summary = log.summary(NAME)
        return summary.status, summary.reason


def test_a_stopped_run_is_listed_shown_and_resumed(call, folder: Path) -> None:
    assert status(folder)[0] == "stopped"
    listed = call("runs", "list")
    assert NAME in listed.stdout
    assert "stopped" in listed.stdout
    (entry,) = json.loads(call("runs", "list", "--json").stdout)
    assert (entry["run_id"], entry["status"], entry["store"]) == (NAME, "stopped", "runs/cave/events.sqlite")
    shown = call("runs", "show", "runs/cave").stdout
    assert "budget reached: seconds" in shown
    assert "lookalike runs resume runs/cave" in shown
    so_far = call("runs", "report", NAME)
    assert so_far.exit_code == 0, so_far.output
    assert "has not finished" in so_far.output
    assert not json.loads((folder / "results.json").read_text())["complete"]
    resumed = call("runs", "resume", NAME)
    assert resumed.exit_code == 0, resumed.output
    assert status(folder) == ("finished", None)
    assert json.loads((folder / "results.json").read_text())["complete"]
    assert json.loads(call("runs", "show", NAME, "--json").stdout)["configuration"]["seeds"] == [0, 1, 2, 3]


def test_verify_says_what_is_wrong_and_fails(call, folder: Path) -> None:
    whole = call("runs", "verify", NAME)
    assert whole.exit_code == 0
    assert "as it was written" in whole.stdout
    with sqlite3.connect(folder / "events.sqlite") as connection:
        connection.execute("DELETE FROM events WHERE rowid = (SELECT max(rowid) FROM events)")
    broken = call("runs", "verify", "runs/cave")
    assert broken.exit_code == 2
    assert NAME in broken.stdout
    assert "remedy:" in broken.stdout
    assert json.loads(call("runs", "verify", "runs/cave", "--json").stdout)[0]["problems"]


def test_verify_reads_what_nothing_else_can_open(call, folder: Path) -> None:
    path = folder / "events.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    page = 4096
    for cut in (len(whole) * 2 // 3, *(page * number + 1365 for number in range(4, len(whole) // page))):
        path.write_bytes(whole[:cut])
        broken = call("runs", "verify", "runs/cave")
        assert broken.exit_code == 2, f"cut at {cut}: {broken.output}"
        assert "remedy:" in broken.output


def test_export_writes_says_what_is_lost_and_refuses_what_is_there(call, folder: Path) -> None:
    written = call("runs", "export", NAME, "--format", "jsonl", "--out", "cave.jsonl")
    assert written.exit_code == 0, written.output
    kinds = [json.loads(line).get("kind") for line in Path("cave.jsonl").read_text().splitlines()]
    assert "step_taken" in kinds
    tables = call("runs", "export", NAME, "--format", "parquet", "--out", "cave")
    assert tables.exit_code == 0, tables.output
    assert "steps" in tables.stdout
    again = call("runs", "export", NAME, "--format", "jsonl", "--out", "cave.jsonl")
    assert again.exit_code == 2
    assert "cave.jsonl" in again.output
    unknown = call("runs", "export", NAME, "--format", "parquett", "--out", "other")
    assert "did you mean 'parquet'" in unknown.output


def test_gc_deletes_only_what_is_named(call, folder: Path) -> None:
    (folder / "files").mkdir(exist_ok=True)
    assert "would free" in call("runs", "gc", "--dry-run").stdout
    missing = call("runs", "gc", "--delete", "nothing")
    assert missing.exit_code != 0
    assert call("runs", "gc", "--delete", NAME).exit_code == 0
    with open_log(folder) as log:
        assert log.runs() == []


def test_a_run_that_another_process_plays_is_refused_with_its_holder(call, folder: Path) -> None:
    with open_log(folder) as log, log.hold(NAME):
        refused = call("runs", "resume", NAME)
    assert refused.exit_code == 2
    assert str(os.getpid()) in refused.output
    assert status(folder)[0] == "stopped"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["runs", "show", "nobody"], "no run 'nobody'"),
        (["runs", "list", "--store", "missing.sqlite"], "missing.sqlite"),
        (["runs", "list", "--store", "."], "holds no events.sqlite"),
        (["runs", "list", "--store", "postgresql:/host"], "postgresql://"),
        (["experiment", "run", NAME, "--store", "mysql://host/db", "--seeds", "0"], "postgresql://"),
        (["runs", "resume", NAME, "--limit", "calls=0"], "above 0"),
        (["runs", "resume", NAME, "--limit", "callls=10"], "did you mean 'calls'"),
        (["runs", "resume", NAME, "--episode-limit", "cost"], "cost=NUMBER"),
        (["runs", "resume", NAME, "--limit", "calls=1", "--limit", "calls=2"], "named twice"),
        (["runs", "resume", NAME, "--limit", "seconds=nan"], "above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(call, folder: Path, words, expected) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert expected in result.output


def test_a_password_is_never_shown(call, folder: Path) -> None:
    result = call("runs", "list", "--store", "postgresql://me:s3cret-word@127.0.0.1:1/none")
    assert result.exit_code == 2
    assert "127.0.0.1" in result.output
    assert "s3cret-word" not in result.output


def test_a_store_from_a_newer_version_says_so(call, folder: Path) -> None:
    with sqlite3.connect(folder / "events.sqlite") as connection:
        connection.execute("INSERT INTO migrations (name) VALUES ('9999-tomorrow')")
    result = call("runs", "list")
    assert result.exit_code == 2
    assert "newer version" in result.output


def test_no_runs_says_what_to_do(call, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "lookalike experiment run" in call("runs", "list").output
