"""From a human play to a reward model, over a real video of its first commands."""

from __future__ import annotations

import pytest

from lookalike.core.errors import UsageError
from lookalike.experiments import preparation
from lookalike.experiments.preparation import HumanPlay, exact_commands, human_play, watch_play
from lookalike.rewards import load_reward_model


def test_the_shipped_play():
    play = human_play("adventure:2")
    assert play.commands[:3] == ("brief", "enter", "get lamp")
    assert (len(play.commands), play.seed, play.licence) == (267, 2, "Apache-2.0")


def test_the_zork_walkthrough():
    pytest.importorskip("jericho", reason="the optional Z-machine is not installed: make zork")
    play = human_play("jericho:zork1")
    assert len(play.commands) == 396
    assert play.commands == tuple(command.strip().lower() for command in play.commands)
    assert play.licence.startswith("GPL")


@pytest.mark.parametrize("source", ["adventure", "adventure:x", "jericho:zork2", "video.mp4", ""])
def test_another_source_is_refused(source):
    with pytest.raises(UsageError, match="adventure:1 to adventure:4"):
        human_play(source)


@pytest.mark.parametrize(
    ("typed", "found", "exact"),
    [
        (("n", "s", "e"), ("n", "s", "e"), 3),
        (("n", "s", "e"), ("n", "5", "e"), 2),
        (("n", "s", "e"), ("s", "e"), 2),
        (("n", "s", "e"), ("n", None, "s", "e"), 3),
        (("n", "s"), (), 0),
    ],
)
def test_commands_recovered_exactly(typed, found, exact):
    assert exact_commands(typed, found) == exact


def test_watch_a_short_play_and_take_what_lies_there(monkeypatch, tmp_path):
    play = human_play("adventure:2")
    monkeypatch.setattr(
        preparation, "human_play", lambda _: HumanPlay(play.commands[:12], play.seed, play.licence)
    )
    notes: list[str] = []

    def watch(**changes):
        return watch_play(
            "adventure:2",
            environment="colossal-cave",
            folder=tmp_path / "recording",
            progress=lambda done, total, note: notes.append(note),
            **changes,
        )

    first = watch()
    assert first.demonstration.trajectory.actions == play.commands[:12]
    assert (first.commands, first.recovered, first.seeds) == (12, 12, (2,))
    assert first.demonstration.provenance.reader != "jsonl", "read off the picture, not the log"
    assert set(notes) == {"drawing the recording", "reading the video"}
    assert load_reward_model(first.path) == first.reward_model
    assert "get-lamp" in {milestone.id for milestone in first.reward_model.milestones}

    times = {
        path: path.stat().st_mtime_ns for path in (first.video, tmp_path / "recording/demonstration.jsonl")
    }
    notes.clear()
    second = watch()
    assert notes == []
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert second.reward_model.content_hash() == first.reward_model.content_hash()

    # A newer video is read again.
    (tmp_path / "recording/demonstration.jsonl").unlink()
    assert watch().recovered == 12
    assert set(notes) == {"reading the video"}
