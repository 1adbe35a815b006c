"""Every command: its help, what it prints, and what it says to input that cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lookalike import __version__
from lookalike.cli.reference import commands
from lookalike.rewards import load_reward_model

ALL = [words.split()[1:] for words, _ in commands()]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help(call, words: list[str]) -> None:
    result = call(*words, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_version_and_no_arguments(call) -> None:
    assert call("--version").stdout == f"lookalike {__version__}\n"
    assert "Usage" in call().output


def test_an_unknown_command_suggests_the_nearest(call) -> None:
    result = call("recordigns")
    assert result.exit_code == 2
    assert "recordings" in result.output


def refused(result, *says: str) -> None:
    """Check an error: exit code 2, nothing on stdout, what / expected / remedy on stderr."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "expected:" in result.stderr or "remedy:" in result.stderr
    for words in says:
        assert words in result.stderr


# --- listing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["environments", "list"], ["models", "list"], ["goals", "list", "colossal-cave"]]
)
def test_listings_come_as_table_and_as_json(call, words: list[str]) -> None:
    table, data = call(*words), call(*words, "--json")
    assert table.exit_code == data.exit_code == 0
    rows = json.loads(data.stdout)
    names = [row.get("name") or row["id"] for row in rows]
    assert names
    assert all(name in table.stdout for name in names)


def test_goals_say_what_decides_them(call) -> None:
    goals = json.loads(call("goals", "list", "colossal-cave", "--json").stdout)
    assert [g["complexity"] for g in goals] == sorted(g["complexity"] for g in goals)
    assert "inventory has lamp" in call("goals", "list", "colossal-cave").stdout


def test_an_unknown_environment_or_goal_suggests_the_nearest(call) -> None:
    refused(call("goals", "list", "colosal-cave"), "did you mean 'colossal-cave'")
    refused(call("play", "colossal-cave", "--goal", "lampp"), "did you mean 'lamp'")
    refused(call("environments", "check", "colosal-cave"), "did you mean 'colossal-cave'")


def test_doctor_names_what_it_found(call) -> None:
    result = call("doctor", "--json")
    checks = {c["name"]: c for c in json.loads(result.stdout)}
    assert checks["Python"]["status"] == "ok"
    assert checks["libraries"]["status"] == "ok"
    assert (result.exit_code == 2) == any(c["status"] == "missing" for c in checks.values())
    assert all(c["remedy"] for c in checks.values() if c["status"] != "ok")


# --- recordings ----------------------------------------------------------------------------------------


def test_record_a_replayed_file(call, tmp_path: Path) -> None:
    script = tmp_path / "commands.txt"
    script.write_text("enter\nget lamp\n")
    out = tmp_path / "new" / "x.mp4"
    result = call(
        "record", "colossal-cave", "--replay", script, "--seed", 0, "--out", out, "--licence", "CC0-1.0"
    )
    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 1000
    shown = json.loads(call("recordings", "show", out.with_suffix(".jsonl"), "--json").stdout)
    assert shown["actions"] == ["enter", "get lamp"]
    assert shown["player_kind"] == "scripted"
    assert shown["started_with"] == 0
    assert shown["provenance"]["licence"] == "CC0-1.0"


def test_record_a_person(call, tmp_path: Path) -> None:
    out = tmp_path / "me.mp4"
    result = call("record", "colossal-cave", "--out", out, "--json", stdin="enter\nget lamp\n")
    assert result.exit_code == 0, result.output
    shown = json.loads(call("recordings", "show", out.with_suffix(".jsonl"), "--json").stdout)
    assert shown["actions"] == ["enter", "get lamp"]
    assert shown["player_kind"] == "human"


def test_a_walkthrough_brings_its_own_seed_and_licence(play_log: Path, call) -> None:
    shown = json.loads(call("recordings", "show", play_log, "--json").stdout)
    assert shown["started_with"] == 2
    assert shown["provenance"]["licence"] == "Apache-2.0"


def test_what_cannot_be_recorded(call, tmp_path: Path) -> None:
    out = tmp_path / "x.mp4"
    refused(call("record", "colossal-cave", "--replay", "walkthrough:9", "--out", out), "1, 2, 3 or 4")
    refused(call("record", "colossal-cave", "--replay", "walkthrough:two", "--out", out), "walkthrough:2")
    refused(call("record", "colossal-cave", "--replay", tmp_path / "none.txt", "--out", out), "none.txt")
    refused(call("record", "colossal-cave", "--replay", "walkthrough:2", "--out", tmp_path / "x.avi"), ".mp4")
    refused(call("record", "colossal-cave", "--replay", "walkthrough:2", "--out", out, "--seed", "x"), "seed")
    refused(call("record", "no-game", "--replay", "walkthrough:2", "--out", out), "no-game")


def test_show_and_convert(call, play_log: Path, tmp_path: Path) -> None:
    text = call("recordings", "show", play_log, "--steps", 3).stdout
    assert "60 steps" in text
    assert "licence Apache-2.0" in text
    copy = tmp_path / "copy.jsonl"
    assert call("recordings", "convert", play_log, copy).exit_code == 0
    first, second = (json.loads(call("recordings", "show", f, "--json").stdout) for f in (play_log, copy))
    assert first["actions"] == second["actions"]
    assert first["observations"] == second["observations"]


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x00\x18ftypmp42 and then nothing"])
def test_broken_videos(call, tmp_path: Path, content: bytes) -> None:
    video = tmp_path / "broken.mp4"
    video.write_bytes(content)
    refused(call("recordings", "show", video), "broken.mp4")
    refused(call("watch", video, "--environment", "colossal-cave", "--out", tmp_path / "m.yaml"))
    assert not (tmp_path / "m.yaml").exists()


def test_a_recording_that_is_not_there(call, tmp_path: Path) -> None:
    refused(call("recordings", "show", tmp_path / "none.mp4"), "none.mp4")


# --- reward models -------------------------------------------------------------------------------------


def test_watch_writes_what_show_prints(call, play_log: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.yaml"
    result = call("watch", play_log, "--environment", "colossal-cave", "--out", out)
    assert result.exit_code == 0, result.output
    shown = call("rewards", "show", out)
    assert shown.exit_code == 0
    model = load_reward_model(out)
    assert all(f"milestone:{m.id}" in shown.stdout for m in model.milestones)
    data = json.loads(call("rewards", "show", out, "--json").stdout)
    assert len(data["milestones"]) == len(model.milestones)


def test_show_one_component_with_its_evidence(call, model_file: Path) -> None:
    text = call("rewards", "show", model_file, "--component", "milestone:get-lamp").stdout
    assert "evidence" in text
    refused(call("rewards", "show", model_file, "--component", "milestone:get-lmap"), "milestone:get-lamp")


def test_edit_sets_scales_and_negates(call, model_file: Path, tmp_path: Path) -> None:
    before = load_reward_model(model_file).component("milestone:get-lamp").value
    out = tmp_path / "m.yaml"

    def edited(*options: object) -> float:
        words = ["rewards", "edit", model_file, "--component", "milestone:get-lamp", *options, "--out", out]
        result = call(*words)
        assert result.exit_code == 0, result.output
        return load_reward_model(out).component("milestone:get-lamp").value

    assert edited("--value", 0.25) == 0.25
    assert edited("--value", 0) == 0
    assert edited("--negate") == -before
    assert edited("--weight", 0.5) == pytest.approx(before / 2)
    assert edited("--weight", 100) == 1
    # The original stays as it was when --out is given.
    assert load_reward_model(model_file).component("milestone:get-lamp").value == before


def test_edit_wants_exactly_one_change(call, model_file: Path) -> None:
    words = ["rewards", "edit", model_file, "--component", "milestone:get-lamp"]
    refused(call(*words), "exactly one")
    refused(call(*words, "--negate", "--value", 0.1), "exactly one")
    refused(call("rewards", "edit", model_file, "--component", "milestone:x", "--negate"), "milestone:x")
    assert call(*words, "--value", 7).exit_code == 2


def test_without_changes_the_verdicts_that_rest_on_it_and_no_others(
    call, model_file: Path, play_log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.yaml"
    assert (
        call("rewards", "without", model_file, "--component", "milestone:get-lamp", "--out", out).exit_code
        == 0
    )

    def verdicts(model: Path) -> list[dict]:
        return json.loads(call("rewards", "score", model, play_log, "--json").stdout)["verdicts"]

    before, after = verdicts(model_file), verdicts(out)
    changed = [b["step"] for b, a in zip(before, after, strict=True) if b["value"] != a["value"]]
    rests = [b["step"] for b in before if "milestone:get-lamp" in b["components"]]
    assert rests
    assert changed == rests


def test_score_prints_a_table(call, model_file: Path, play_log: Path) -> None:
    text = call("rewards", "score", model_file, play_log).stdout
    assert "milestone:get-lamp" in text
    assert "sum of the verdicts" in text


def test_files_that_are_no_reward_model(call, model_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    refused(call("rewards", "show", path), "m.yaml")
    path.write_text("a: [1, 2")
    refused(call("rewards", "show", path))
    path.write_text("title: shopping list\n")
    refused(call("rewards", "show", path))
    path.write_text(model_file.read_text().replace("version: 1\n", "version: 99\n", 1))
    refused(call("rewards", "show", path), "version 99", "Upgrade")


# --- playing -------------------------------------------------------------------------------------------


def test_play_by_hand_under_the_same_limits(call, model_file: Path) -> None:
    words = ["play", "colossal-cave", "--goal", "lamp", "--player", "human", "--reward-model", model_file]
    result = call(*words, stdin="enter\nget lamp\n")
    assert result.exit_code == 0, result.output
    assert "Goal 'lamp' reached in 2 of 20 steps" in result.stdout
    assert "[+" in result.stdout  # the verdict on a step


def test_leaving_a_play_is_no_error(call) -> None:
    result = call("play", "colossal-cave", "--goal", "lamp", "--player", "human", stdin="enter\n")
    assert result.exit_code == 0
    assert "You left the game" in result.stdout


def test_what_cannot_be_played(call, tmp_path: Path) -> None:
    refused(call("play", "colossal-cave", "--goal", "lamp", "--seed", "first"), "seed")
    refused(call("play", "colossal-cave", "--goal", "lamp", "--reward-model", tmp_path / "x.yaml"), "x.yaml")


# --- environments --------------------------------------------------------------------------------------


def test_a_shipped_environment_keeps_the_contract(call) -> None:
    result = call("environments", "check", "colossal-cave", "--steps", 15, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["kept"]
    assert "save and restore" in found["checks"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [("UnseededEnvironment", "one seed"), ("StatefulBeyondSaveEnvironment", "restor")],
)
def test_a_broken_promise_is_named_with_its_cause(call, monkeypatch, kind: str, says: str) -> None:
    from lookalike.environments import registry
    from lookalike.testing import environments

    name = f"broken-{kind.lower()}"
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.register_environment(name, getattr(environments, kind))
    result = call("environments", "check", name)
    assert result.exit_code == 2
    assert "likely cause" in result.stderr
    assert says in result.stderr


# --- games and reports ---------------------------------------------------------------------------------


def test_games_are_listed_with_what_is_missing(call) -> None:
    games = {g["id"]: g for g in json.loads(call("games", "list", "--json").stdout)}
    assert games["colossal-cave"]["ready"]
    assert (
        games["zork1"]["ready"]
        or "lookalike games install zork1" in games["zork1"]["detail"]
        or "make zork" in games["zork1"]["detail"]
    )


def test_what_cannot_be_installed(call, tmp_path: Path) -> None:
    wrong = tmp_path / "zork1.z3"
    wrong.write_bytes(b"\x03" * 1000)
    refused(call("games", "install", "zork1", "--from", wrong), "SHA-256")
    refused(call("games", "install", "zork1", "--from", tmp_path / "none.z3"), "none.z3")
    refused(call("games", "install", "zork7"), "zork1")


def test_a_report_needs_results(call, tmp_path: Path) -> None:
    refused(call("experiment", "report", tmp_path), "results.json")
    (tmp_path / "results.json").write_text('{"schema_version": "99"}')
    refused(call("experiment", "report", tmp_path), "newer")


def test_check_a_reward_model(call, model_file: Path, play_log: Path) -> None:
    words = ["rewards", "check", model_file, "--recordings", play_log, "--random-plays", 3, "--steps", 40]
    data = json.loads(call(*words, "--json").stdout)
    assert data["success_auc"] == 1
    assert len(data["bad"]) == 3
    assert any("made from play.jsonl" in w for w in data["warnings"])
    text = call(*words).stdout
    assert "VOC gap" in text
    assert "reward alone" in text
