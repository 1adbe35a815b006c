"""Experiments from the command line: run, interrupt, go on, take a component away, report again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lookalike.store import EventLog

NAME = "paper/colossal-cave"


def run(call, out: Path, *options: object):
    return call("experiment", "run", NAME, "--seeds", "0-2", "--out", out, *options)


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_list(call) -> None:
    names = [e["name"] for e in json.loads(call("experiment", "list", "--json").stdout)]
    assert NAME in names
    assert NAME in call("experiment", "list").stdout


def test_run_prints_the_table_and_leaves_the_files(call, tmp_path: Path) -> None:
    result = run(call, tmp_path, "--conditions", "random", "--goals", "lamp,bird")
    assert result.exit_code == 0, result.output
    assert "plan success" in result.stdout
    assert {"results.json", "report.html", "rows.csv", "episodes.csv"} <= {p.name for p in tmp_path.iterdir()}
    found = results(tmp_path)
    assert found["rows"][0]["n"] == 6
    assert {e["goal"] for e in found["episodes"]} == {"lamp", "bird"}

    (tmp_path / "report.html").unlink()
    again = call("experiment", "report", tmp_path)
    assert again.exit_code == 0
    assert (tmp_path / "report.html").exists()
    assert json.loads(call("experiment", "report", tmp_path, "--json").stdout)["rows"] == found["rows"]


def test_curves_and_hazards_come_from_a_runs_own_log(call, model_file: Path, tmp_path: Path) -> None:
    own = ("--goals", "bird", "--seeds", "300", "--conditions", "expert-alone-free-text")
    out = tmp_path / "run"
    call("experiment", "run", "mastery/colossal-cave", *own, "--reward-model", model_file, "--out", out)
    drawn = call("experiment", "curves", out)
    assert drawn.exit_code == 0, drawn.output
    assert (out / "score-curve.svg").exists()
    learnt = call("experiment", "learn-hazards", out, "--out", tmp_path / "hazards.yaml")
    assert "1 plays of expert-alone-free-text" in learnt.stdout
    assert call("experiment", "curves", tmp_path).exit_code == 2
    assert call("experiment", "learn-hazards", tmp_path, "--out", tmp_path / "x.yaml").exit_code == 2


def test_json_is_the_whole_of_stdout(call, tmp_path: Path) -> None:
    result = run(call, tmp_path, "--conditions", "random", "--goals", "lamp", "--json")
    assert json.loads(result.stdout)["rows"][0]["condition"] == "random"


def test_a_component_taken_away_shows_its_effect(call, model_file: Path, tmp_path: Path) -> None:
    options = ["--conditions", "expert-alone", "--goals", "lamp,bird", "--reward-model", model_file]
    assert run(call, tmp_path / "whole", *options).exit_code == 0
    assert run(call, tmp_path / "part", *options, "--without", "milestone:get-bird").exit_code == 0

    def reached(folder: str, goal: str) -> list[bool]:
        return [e["success"] for e in results(tmp_path / folder)["episodes"] if e["goal"] == goal]

    assert all(reached("whole", "lamp"))
    assert all(reached("whole", "bird"))
    assert all(reached("part", "lamp"))
    assert not any(reached("part", "bird"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--conditions", "swarm+exprt"], "swarm+expert"),
        (["--goals", "lampp"], "lamp"),
        (["--seeds", "a-b"], "integer"),
        (["--seeds", "9-1"], "1-9"),
        (["--conditions", "expert-alone", "--reward-model", "no-such.yaml"], "no-such.yaml"),
        (["--conditions", "solo", "--goals", "lamp", "--model", "embeded"], "embedded"),
    ],
)
def test_what_cannot_be_run(call, tmp_path: Path, options: list[str], says: str) -> None:
    words = ["experiment", "run", NAME, "--out", tmp_path, "--seeds", "0", *options]
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_experiment_suggests_the_nearest(call, tmp_path: Path) -> None:
    result = call("experiment", "run", "paper/colosal-cave", "--out", tmp_path)
    assert result.exit_code == 2
    assert "did you mean 'paper/colossal-cave'" in result.stderr


def test_an_unknown_component_is_refused(call, model_file: Path, tmp_path: Path) -> None:
    options = [
        "--conditions",
        "expert-alone",
        "--reward-model",
        model_file,
        "--without",
        "milestone:get-brid",
    ]
    result = run(call, tmp_path, *options)
    assert result.exit_code == 2
    assert "milestone:get-bird" in result.stderr


def test_a_folder_with_another_run_is_not_touched(call, tmp_path: Path) -> None:
    assert run(call, tmp_path, "--conditions", "random", "--goals", "lamp").exit_code == 0
    before = (tmp_path / "results.json").read_bytes()
    result = run(call, tmp_path, "--conditions", "random", "--goals", "bird")
    assert result.exit_code == 2
    assert "remedy" in result.stderr
    assert (tmp_path / "results.json").read_bytes() == before


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(call, tmp_path: Path) -> None:
    words = ["experiment", "run", NAME, "--conditions", "random", "--goals", "diamonds", "--seeds", "0-7"]
    command = [sys.executable, "-c", "from lookalike.cli import main; main()", *words, "--out"]

    def finished(folder: Path) -> int:
        if not (folder / "events.sqlite").exists():
            return 0
        with EventLog(folder / "events.sqlite") as log:
            return len(log.finished_episodes(NAME)) if log.runs() else 0

    stopped = tmp_path / "stopped"
    process = subprocess.Popen(
        [*command, str(stopped)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while finished(stopped) < 1 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    kept = finished(stopped)
    assert process.returncode == 130, errors
    assert "Kept: " in errors
    assert "Traceback" not in errors
    assert 1 <= kept < 8

    assert call(*words, "--out", stopped).exit_code == 0
    assert call(*words, "--out", tmp_path / "whole").exit_code == 0
    one, other = results(stopped), results(tmp_path / "whole")
    assert one["complete"]
    assert one["created_with"]["play_digest"] == other["created_with"]["play_digest"]
    assert [e["success"] for e in one["episodes"]] == [e["success"] for e in other["episodes"]]


def test_a_random_player_is_shown_step_by_step(call) -> None:
    words = ["play", "colossal-cave", "--goal", "lamp", "--player", "random", "--condition", "solo"]
    first, again = call(*words, "--seed", 3), call(*words, "--seed", 3)
    assert first.exit_code == 0, first.output
    assert "Goal 'lamp'" in first.stdout
    assert first.stdout == again.stdout
    events = json.loads(call(*words, "--seed", 3, "--json").stdout)
    assert events[0]["kind"] == "episode_started"
    assert events[-1]["kind"] == "episode_finished"


def test_an_expert_condition_needs_a_reward_model(call) -> None:
    result = call(
        "play", "colossal-cave", "--goal", "lamp", "--condition", "swarm+expert", "--player", "random"
    )
    assert result.exit_code == 2
    assert "lookalike watch" in result.stderr


@pytest.mark.model
def test_the_embedded_model_plays_the_lamp(call, model_file: Path) -> None:
    result = call("play", "colossal-cave", "--goal", "lamp", "--reward-model", model_file, "--seed", 100)
    assert result.exit_code == 0, result.output
    assert "Goal 'lamp' reached" in result.stdout
