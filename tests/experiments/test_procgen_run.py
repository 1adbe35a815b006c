"""``paper/procgen`` on one game with little training: recorded, watched, played, resumed; what is refused."""

from __future__ import annotations

import json

import pytest

from lookalike.core.errors import UnknownNameError, UsageError
from lookalike.environments.procgen_games import known_games
from lookalike.experiments.conditions import find_condition
from lookalike.experiments.procgen import MOST_VIDEOS, paper_goal, procgen_spec, run_procgen
from visual_games import needs_visual

CONDITIONS = ("random", "mimic-swarm+expert", "mimic-swarm+expert+restore")


def test_the_shipped_experiment_is_what_it_says():
    spec = procgen_spec()
    assert set(spec.games) == set(known_games())
    assert spec.videos <= MOST_VIDEOS
    assert [find_condition(name).name for name in spec.conditions] == list(spec.conditions)
    assert all(paper_goal(game).in_paper_table for game in spec.games)
    assert find_condition("mimic-swarm+expert+restore").handicaps().save_restore
    assert not find_condition("mimic-swarm+expert").handicaps().save_restore


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"games": ["chess"]}, UnknownNameError, "chess"),
        ({"seeds": [150]}, UsageError, "kept for another use"),
        ({"seeds": [9_999]}, UsageError, "kept for another use"),
        ({"videos": 21}, UsageError, "videos"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_made(tmp_path, asked, error, words):
    with pytest.raises(error, match=words):
        run_procgen(out=tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@needs_visual
def test_a_game_is_recorded_watched_and_played_and_goes_on_where_it_was(tmp_path):
    asked = {
        "out": tmp_path,
        "games": ["maze"],
        "videos": 3,
        "effort": 0.02,
        "lookahead_steps": 300,
        "conditions": CONDITIONS,
    }
    first = run_procgen(seeds=[10_000], **asked)
    assert first.complete
    assert [row.condition for row in first.rows] == list(CONDITIONS)
    assert {episode.goal for episode in first.episodes} == {"maze/complete"}
    assert all(row.n == 1 for row in first.rows)
    assert json.loads((tmp_path / "results.json").read_text())["name"] == "paper/procgen"
    assert (tmp_path / "report.html").exists()
    recorded = sorted((tmp_path / "maze" / "recordings").glob("*.mp4"))
    assert [video.stem for video in recorded] == ["000", "001", "002"]
    model = (tmp_path / "maze" / "reward-model.yaml").read_bytes()
    again = run_procgen(seeds=[10_000], **asked)
    assert again.episodes == first.episodes
    assert (tmp_path / "maze" / "reward-model.yaml").read_bytes() == model
    kept = [r.content_hash for r in first.created_with.recordings]
    assert len(set(kept)) == 3
