"""Recordings of ``paper/procgen``: how many levels are searched, what goes on after a stop, what is read."""

from __future__ import annotations

import json

import pytest

from lookalike.core.errors import RecordingError
from lookalike.experiments.procgen import paper_goal
from lookalike.experiments.procgen_recordings import (
    PLAYS_FILE,
    first_play,
    levels_in,
    read_silent,
    record_game,
)
from visual_games import needs_visual

pytestmark = needs_visual


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maze")
    videos, unsolved = record_game("maze", paper_goal("maze"), folder, count=3, steps=20)
    return folder, videos, unsolved


def test_videos_are_filled_with_levels_in_order(recorded):
    folder, videos, unsolved = recorded
    levels = [level for video in videos for level, _ in levels_in(video)]
    searched = [json.loads(line) for line in (folder / PLAYS_FILE).read_text().splitlines()]
    assert len(videos) == 3
    assert unsolved == 0
    assert levels == [one["level"] for one in searched if one["solved"]] == list(range(len(levels)))
    assert len(levels) > len(videos)


def test_what_was_searched_is_not_searched_again_and_videos_are_kept(recorded, monkeypatch):
    folder, videos, _ = recorded
    written = [video.read_bytes() for video in videos]
    monkeypatch.setattr("lookalike.recordings.demonstrator.search_level", None)
    again, _ = record_game("maze", paper_goal("maze"), folder, count=3, steps=20)
    assert [video.read_bytes() for video in again] == written


def test_a_slow_game_has_fewer_levels(tmp_path):
    goal = paper_goal("maze")
    with pytest.raises(RecordingError, match="too few levels"):
        record_game("maze", goal, tmp_path / "a", count=3, steps=20, search_steps=1)
    videos, _ = record_game("maze", goal, tmp_path / "b", count=3, steps=1_000, search_steps=150)
    searched = [json.loads(line) for line in (tmp_path / "b" / PLAYS_FILE).read_text().splitlines()]
    assert len(videos) == 1
    assert sum(one["searched"] for one in searched) >= 150
    assert sum(one["searched"] for one in searched[:-1]) < 150


def test_the_expert_is_given_no_action_and_blind_replay_one_level(recorded):
    _, videos, _ = recorded
    silent = read_silent(videos)
    assert all(action is None for one in silent for action in one.trajectory.actions)
    assert [one.started_with for one in silent] == [levels_in(video)[0][0] for video in videos]
    levels = levels_in(videos[0])
    replay = first_play(videos[0], levels)
    assert len(replay) == levels[1][1] - 1
    assert None not in replay
