"""The visual expert on silent videos of a real game: what it recovers, masks, refuses and writes."""

from __future__ import annotations

import bisect
from dataclasses import replace

import numpy as np
import pytest

from lookalike.core.errors import CapabilityError, RecordingError
from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory
from lookalike.experts.visual_clock import find_clock
from lookalike.experts.visual_data import UNKNOWN, Plays, find_segments, pack, play_at_random, watched_plays
from visual_games import GAME, LEVELS, needs_torch, needs_visual, record, small_effort

pytestmark = needs_visual


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return record(tmp_path_factory.mktemp("videos"), GAME, LEVELS)


@pytest.fixture(scope="module")
def silent(videos):
    from lookalike.recordings import read_visual_video

    return [read_visual_video(video, actions=False) for video in videos]


@pytest.fixture(scope="module")
def written(silent, tmp_path_factory):
    from lookalike.experts.visual import EmbeddedVisualExpert

    folder = tmp_path_factory.mktemp("model")
    expert = EmbeddedVisualExpert(effort=small_effort())
    return expert, expert.watch(silent, environment=f"procgen:{GAME}", folder=folder / "visual"), folder


@pytest.fixture
def game():
    from lookalike.environments.procgen import Procgen

    environment = Procgen(GAME)
    yield environment
    environment.close()


def test_levels_are_found_by_the_first_frame_alone(silent, game):
    assert [demonstration.started_with for demonstration in silent] == [None] * len(LEVELS)
    found = find_segments(silent, game)
    assert [segment.level for segment in found] == list(LEVELS)
    assert [segment.recording for segment in found] == [0, 1, 2]


def test_a_level_that_nobody_may_record_is_not_looked_for(silent, game):
    (segment,) = find_segments([replace(silent[0], started_with=10_000)], game)
    assert segment.level is None


def test_actions_are_recovered_by_trying(videos, silent, game):
    from lookalike.experts.visual_trying import recover_by_trying
    from lookalike.recordings import read_visual_video

    watched = watched_plays(silent)
    labels = recover_by_trying(game, watched, LEVELS, game.actions, most_steps=20_000)
    for number, video in enumerate(videos):
        true = read_visual_video(video).trajectory.actions
        own = labels[watched.starts[number] : watched.stops[number] - 1]
        right = [own[step, game.actions.index(action)] > 0 for step, action in enumerate(true)]
        assert np.mean(right) > 0.98
        assert (own > 0).sum(axis=1).mean() < len(game.actions) / 2, "ties must not hide everything"


def test_recordings_that_figures_are_taken_on_are_tried_first(silent, game):
    from lookalike.experts.visual_trying import recover_by_trying

    watched = watched_plays(silent)
    only, length = watched.only([2]), int(watched.lengths[2] - 1)

    def follows(most):
        found = recover_by_trying(game, only, LEVELS[2:], game.actions, most_steps=most)
        return bool(found[:length].any(axis=1).all())

    enough = bisect.bisect_left(range(20_000), True, key=follows)
    labels = recover_by_trying(game, watched, LEVELS, game.actions, most_steps=enough, first=[2])
    assert labels[watched.starts[2] : watched.stops[2] - 1].any(axis=1).all()
    assert not labels[: watched.stops[1]].any(), "there was nothing left for the others"


def test_trying_stops_where_the_track_is_lost(silent, game):
    from lookalike.experts.visual_trying import recover_by_trying

    watched = watched_plays(silent[:1])
    labels = recover_by_trying(game, watched, [LEVELS[1]], game.actions, most_steps=20_000)
    assert not labels.any(), "another level's play was followed"


def test_random_play_comes_back_as_a_video_would_show_it(game):
    own, names = play_at_random(game, seed=0, steps=80, longest=30)
    assert names == game.actions
    assert own.frames.shape[1:] == (64, 64, 3)
    assert (own.actions[own.stops - 1] == UNKNOWN).all()
    assert (own.actions >= 0).sum() == 80
    again, _ = play_at_random(game, seed=0, steps=80, longest=30)
    np.testing.assert_array_equal(own.frames, again.frames)


def test_the_document_says_how_far_to_trust_it(written):
    expert, model, folder = written
    assert model.visual is not None
    assert model.visual.actions_tried > 0.95
    assert model.visual.held_out == 1
    assert -1 <= model.visual.ridge_voc_good <= 1
    assert expert.report is not None
    assert model.content_hash() == model.model_copy().content_hash()
    for milestone in model.milestones:
        assert milestone.kind == "stage"
        assert milestone.thumbnail is not None
        assert (folder / milestone.thumbnail).read_bytes().startswith(b"\x89PNG")
        assert milestone.evidence.end_s is not None
        assert milestone.evidence.recording in {note.id for note in model.recordings}


def test_document_and_weights_come_back(written):
    from lookalike.rewards import load_reward_model, save_reward_model
    from lookalike.rewards.visual_scorer import load_visual

    _, model, folder = written
    save_reward_model(model, folder / "model.yaml")
    again = load_reward_model(folder / "model.yaml")
    assert again == model
    assert again.content_hash() == model.content_hash()
    networks = load_visual(again, folder)
    assert set(networks.networks) - {"ends"} >= {"actions", "progress", "base", "policy", "preview"}


def test_equal_videos_give_equal_models(silent, tmp_path):
    from lookalike.experts.visual import EmbeddedVisualExpert

    effort = replace(small_effort(), random_steps=300, actions=3, progress=3, policy=3, preview=3)
    made = [
        EmbeddedVisualExpert(effort=effort).watch(
            silent[:3], environment=f"procgen:{GAME}", folder=tmp_path / str(number) / "visual"
        )
        for number in range(2)
    ]
    assert made[0] == made[1]


def test_a_video_of_another_game_is_refused_with_its_distance(tmp_path):
    from lookalike.experts.visual import EmbeddedVisualExpert
    from lookalike.recordings import read_visual_video

    other = [read_visual_video(video, actions=False) for video in record(tmp_path, "fruitbot", (0,))]
    effort = replace(small_effort(), random_steps=300)
    with pytest.raises(RecordingError, match=r"do not look like this game.*\n?") as caught:
        EmbeddedVisualExpert(effort=effort).watch(other, environment="procgen:maze", folder=tmp_path / "v")
    assert "as far from procgen:maze" in str(caught.value)


def test_text_is_refused():
    provenance = Provenance("a.txt", "transcript", "0" * 64)
    talk = Trajectory((Observation(text="a"), Observation(text="b")), ("look",))
    with pytest.raises(RecordingError, match="shows no play on the screen"):
        watched_plays([Demonstration("x", talk, "human", provenance)])


def with_clock(plays: Plays, *, offset: int = 0) -> Plays:
    """Draw a running clock over plays: a bar of two digits' size that counts in binary."""
    frames = plays.frames.copy()
    for start, stop in zip(plays.starts, plays.stops, strict=True):
        for step in range(stop - start):
            for bit in range(6):
                on = (step + offset) >> bit & 1
                frames[start + step, 2:6, 4 + 6 * bit : 8 + 6 * bit] = 255 if on else 0
    return replace(plays, frames=frames)


def test_a_clock_over_recordings_is_found_and_nothing_else_is(game):
    watched, _ = play_at_random(game, seed=1, steps=500, longest=50)
    own, _ = play_at_random(game, seed=0, steps=500, longest=50)
    assert find_clock(watched, own).box is None
    found = find_clock(with_clock(watched), own)
    assert found.box is not None
    left, top, right, bottom = found.box
    assert left >= 0
    assert top >= 0
    assert right <= 46
    assert bottom <= 10
    assert found.mask[3, 5]
    assert not found.in_own_play
    assert "tell the time" in found.sentence()
    assert find_clock(with_clock(watched), with_clock(own)).in_own_play


def test_what_stands_still_over_recordings_of_many_levels_is_masked_as_well(game):
    watched, _ = play_at_random(game, seed=1, steps=500, longest=50)
    own, _ = play_at_random(game, seed=0, steps=500, longest=50)
    found = find_clock(with_logo(watched), own)
    assert found.mask[41:49, 51:59].all()
    assert found.box == (49, 39, 61, 51)  # and what is beside it, which a video blurs
    assert found.pixels == 0
    assert "64 stand still in the recordings" in found.sentence()
    assert find_clock(with_logo(watched), with_logo(own)).box is None, "the game shows it as well"
    one_level = watched.only([0] * 12)
    assert find_clock(one_level, own).box is None, "a level's background stands still"


def with_logo(plays: Plays) -> Plays:
    """Draw something that stands still over plays, where nothing of the game stands still."""
    frames = plays.frames.copy()
    frames[:, 41:49, 51:59] = (250, 10, 160)
    return replace(plays, frames=frames)


def test_nothing_is_called_a_clock_in_a_few_recordings(silent, game):
    own, _ = play_at_random(game, seed=0, steps=100, longest=50)
    assert find_clock(with_clock(watched_plays(silent)), own).box is None


def test_no_torch_has_a_remedy_in_one_line(monkeypatch):
    import sys

    from lookalike.rewards.visual_network import require_torch

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CapabilityError, match="PyTorch") as caught:
        require_torch()
    assert "pip install" in str(caught.value)


@needs_torch
def test_progress_needs_negatives_to_beat_the_clock():
    """Frames whose only rising part is a clock that random play shows too must not rise."""
    from lookalike.experts.visual_progress import learn_progress

    draw = np.random.default_rng(0)

    def play(steps: int, *, good: bool) -> np.ndarray:
        frames = draw.integers(0, 40, (steps, 64, 64, 3)).astype(np.uint8)
        for step in range(steps):
            frames[step, :4, : 1 + step] = 255
            if good:
                frames[step, 40 : 44 + step // 2, 20:30] = (200, 30, 30)
        return frames

    def several(count: int, *, good: bool) -> Plays:
        seen = [play(40, good=good) for _ in range(count)]
        return pack(seen, [np.full(40, UNKNOWN, np.int64)] * count, [True] * count)

    learned = learn_progress(
        several(8, good=True), several(10, good=False), held_out=[6, 7], seed=0, steps=60, batch=48
    )
    assert learned.figures.voc_good > 0.9
    assert learned.figures.voc_good - learned.figures.voc_bad > 0.5
    assert learned.figures.pairwise > 0.9
    assert learned.ridge.voc_bad > 0.5, "without negatives the clock wins"


@needs_torch
def test_actions_that_do_the_same_are_one_and_steps_that_tell_nothing_teach_nothing():
    import torch

    from lookalike.experts.visual_actions import any_of, telling

    labels = np.array([[0.5, 0.5, 0.0], [1 / 3] * 3, [0.0] * 3, [0.0, 1.0, 0.0]], np.float32)
    assert telling(labels).tolist() == [True, False, False, True]
    sure_of_one = torch.tensor([[9.0, 0.0, 0.0]])
    sure_of_other = torch.tensor([[0.0, 9.0, 0.0]])
    same = torch.from_numpy(labels[:1])
    assert float(any_of(sure_of_one, same)) == pytest.approx(float(any_of(sure_of_other, same)), abs=1e-4)
    assert float(any_of(sure_of_one, same)) < 0.01
    assert float(any_of(torch.tensor([[0.0, 0.0, 9.0]]), same)) > 5
