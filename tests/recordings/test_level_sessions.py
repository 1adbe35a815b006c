"""Several levels in one video: what is recorded, what its log says, and cuts found without it."""

from __future__ import annotations

import pytest

from lookalike.core.errors import UsageError
from lookalike.recordings import read_visual_video
from lookalike.recordings.demonstrator import search_level
from lookalike.recordings.level_sessions import LevelPlay, record_levels, share_out
from lookalike.recordings.procgen_guides import procgen_guide
from lookalike.recordings.visual_actions import read_actions
from visual_games import needs_visual


def play(level: int, steps: int) -> LevelPlay:
    return LevelPlay(level, ("right",) * steps)


def test_plays_are_shared_out_in_order_and_what_does_not_fit_is_left_out():
    plays = [play(level, steps) for level, steps in enumerate((5, 6, 30, 2, 9, 4))]
    shared = share_out(plays, videos=3, steps=10)
    assert [[one.level for one in video] for video in shared] == [[0, 1], [2], [3, 4]]
    assert share_out([], videos=3, steps=10) == []


@needs_visual
@pytest.mark.parametrize("game", ["maze", "jumper"])
def test_a_video_of_several_levels_is_cut_where_they_begin_without_its_log(tmp_path, game):
    from lookalike.environments.procgen import Procgen
    from lookalike.experts.visual_data import find_segments, watched_plays

    environment = Procgen(game)
    plays = [
        LevelPlay(level, found.actions)
        for level in (0, 4, 7, 9)
        if (found := search_level(environment, procgen_guide(game), seed=level, max_steps=20_000)).solved
    ]
    made = record_levels(environment, plays, out=tmp_path / "a.mp4", licence="CC0-1.0")
    assert made.steps == sum(len(one.actions) + 1 for one in plays) - 1
    log = read_actions(made.log)
    assert [level for level, _ in log.levels()] == [one.level for one in plays]
    silent = read_visual_video(made.video, actions=False)
    segments = find_segments([silent], environment)
    assert [(one.level, one.start) for one in segments] == list(log.levels())
    watched = watched_plays([silent], segments)
    assert watched.lengths.tolist() == [len(one.actions) + 1 for one in plays]
    known = read_visual_video(made.video).trajectory.actions
    for one, segment in zip(plays, segments, strict=True):
        assert known[segment.start : segment.stop - 1] == one.actions
    environment.close()


@needs_visual
def test_no_level_kept_for_judging_gets_into_a_video(tmp_path):
    from lookalike.environments.procgen import Procgen

    environment = Procgen("maze")
    with pytest.raises(UsageError, match="kept for another use"):
        record_levels(environment, [play(3, 2), play(200, 2)], out=tmp_path / "a.mp4", licence="MIT")
    with pytest.raises(UsageError, match="nothing to record"):
        record_levels(environment, [], out=tmp_path / "a.mp4", licence="MIT")
    environment.close()
    assert list(tmp_path.iterdir()) == []
