"""Experiments that nobody shipped: read from a file, played, gone on with after the file is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lookalike.core.errors import LookalikeError, StoreError, UnknownNameError, UsageError
from lookalike.environments import make_environment
from lookalike.experiments import find_experiment, resolve, resume_run, run_experiment
from lookalike.experiments.experiment_files import experiment_file_text, read_experiment_file
from lookalike.recordings import record_replay

GOALS = """
format: lookalike-goals/1
environment: colossal-cave
goals:
  - name: keys-outside
    description: Fetch the keys and come out of the building again.
    success:
      - {fact: inventory, op: contains, value: keys}
      - {fact: place, op: equals, value: 1}
    step_limit: 12
    complexity: 3
"""
SAID = {
    "format": "lookalike-experiment/1",
    "name": "my/keys",
    "environment": "colossal-cave",
    "recordings": ["play.mp4"],
    "goals_file": "goals.yaml",
    "seeds": "1000-1001",
    "conditions": [
        "random",
        "replay",
        {"name": "quick-expert", "like": "expert-alone", "description": "no language model"},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a person would have it: a recording, goals, and the experiment's file."""
    place = tmp_path_factory.mktemp("own")
    game = make_environment("colossal-cave", isolated=False)
    commands = ["enter", "get keys", "exit"]
    record_replay(game, commands, seed=2, out=place / "play.mp4", licence="CC0-1.0", player_kind="human")
    (place / "play.jsonl").unlink(missing_ok=True)  # the picture alone
    (place / "goals.yaml").write_text(GOALS)
    (place / "mine.yaml").write_text(yaml.safe_dump(SAID))
    return place


def written(folder: Path, **changes: object) -> Path:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in (SAID | changes).items() if v is not None}))
    return path


def test_a_file_is_played_from_the_video_to_the_table(folder: Path, tmp_path: Path, no_plots: None) -> None:
    result = run_experiment(str(folder / "mine.yaml"), out=tmp_path / "out")
    assert result.complete
    assert result.name == "my/keys"
    rates = {row.condition: row.successes for row in result.rows}
    assert rates["replay"] == rates["quick-expert"] == 2
    assert [goal.name for goal in result.goals] == ["keys-outside"]
    assert any("1 recording(s) (human)" in note or "play.mp4" in note for note in result.notes)


def test_a_run_goes_on_without_its_file(folder: Path, tmp_path: Path, no_plots: None) -> None:
    whole = run_experiment(str(folder / "mine.yaml"), out=tmp_path / "whole")
    out = tmp_path / "out"
    from lookalike.experiments.budget import Budget, Budgets

    for name in ("play.mp4", "goals.yaml", "mine.yaml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    run_experiment(str(tmp_path / "mine.yaml"), out=out, budgets=Budgets(run=Budget(seconds=1e-6)))
    for name in ("play.mp4", "goals.yaml", "mine.yaml"):
        (tmp_path / name).unlink()
    ended = resume_run("my/keys", store=str(out / "events.sqlite"))
    assert ended.complete
    assert ended.created_with.play_digest == whole.created_with.play_digest


def test_another_recording_under_the_same_name_is_another_run(
    folder: Path, tmp_path: Path, no_plots: None
) -> None:
    for name in ("play.mp4", "goals.yaml", "mine.yaml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    arguments = {"out": tmp_path / "out", "conditions": ["random"]}
    run_experiment(str(tmp_path / "mine.yaml"), **arguments)
    with (tmp_path / "play.mp4").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(StoreError, match="asked for something else"):
        run_experiment(str(tmp_path / "mine.yaml"), **arguments)


def test_a_condition_is_like_another_but_for_what_is_said(folder: Path) -> None:
    path = written(
        folder, conditions=[{"name": "cold", "like": "swarm+expert", "temperatures": [0.1, 0.2]}, "solo"]
    )
    cold, solo = resolve(str(path)).conditions
    assert cold.temperatures == (0.1, 0.2)
    assert cold.recommendation
    assert solo.name == "solo"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "lookalike-experiment/9"}, "format"),
        ({"colour": "red"}, "colour"),
        ({"seeds": "many"}, "seeds"),
        ({"name": "../up"}, "name"),
        ({"recordings": ["missing.mp4"]}, "missing.mp4"),
        ({"recordings": ["adventure:2", "play.mp4"]}, "one shipped play"),
        ({"recordings": None}, "replays it"),
        ({"recordings": None, "conditions": ["swarm+expert"]}, "reward_model"),
        ({"conditions": []}, "conditions"),
        ({"conditions": ["solo", "solo"]}, "each name once"),
        ({"conditions": [{"like": "solo"}]}, "name of its own"),
        ({"conditions": [{"name": "x", "like": "solo", "temperatures": "hot"}]}, "temperatures"),
    ],
)
def test_a_mistake_is_named(folder: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_experiment_file(written(folder, **changes))
    assert said in str(caught.value)


def test_unknown_names_get_suggestions(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="swarm"):
        read_experiment_file(written(folder, conditions=["swarn"]))
    with pytest.raises(UnknownNameError, match="keys-outside"):
        resolve(str(written(folder)), goals=["keys-outsid"])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1, 2]", b"a: [", b"x" * 1_000_001])
def test_what_is_no_experiment_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(LookalikeError, match="experiment file"):
        read_experiment_file(path)
    with pytest.raises(UsageError, match="cannot be read"):
        resolve(str(tmp_path / "none.yaml"))


def test_a_shipped_experiment_is_a_file_to_start_from(tmp_path: Path) -> None:
    shipped = find_experiment("paper/colossal-cave")
    path = tmp_path / "mine.yaml"
    path.write_text(experiment_file_text(shipped))
    mine, theirs = resolve(str(path)), resolve(shipped.name)
    assert (mine.goals, mine.seeds, mine.conditions) == (theirs.goals, theirs.seeds, theirs.conditions)
    assert mine.spec.recording == shipped.recording
    assert json.dumps(mine.own)  # JSON values
