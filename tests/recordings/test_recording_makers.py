"""Recordings are made whole or not at all, and a crash or a full disk keeps what was played."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from recording_games import BRISK, ScriptedGame

from lookalike.core.errors import RecordingError, UsageError
from lookalike.core.types import Demonstration
from lookalike.environments import make_environment
from lookalike.recordings import (
    Pace,
    TerminalLook,
    read_recording,
    record_person,
    record_replay,
    render_video,
    shipped_play,
)
from lookalike.recordings.jsonl import read_log


def echo() -> ScriptedGame:
    return ScriptedGame(lambda command: f"YOU SAID {command.upper()}.")


def test_a_replay_is_logged_at_the_stated_pace(tmp_path: Path) -> None:
    pace = Pace(typing_s=0.1, thinking_s=0.5, reading_speed=18.0, pause_s=2.0)
    made = record_replay(
        echo(), ["look", "quit", "never"], seed=0, out=tmp_path / "x.mp4", licence="MIT", pace=pace
    )
    header, events = read_log(made.log)
    assert (header.seed, header.player_kind, header.licence) == (0, "scripted", "MIT")
    # "YOU ARE IN A ROOM." is read in one second; four letters and Enter are typed in half a second.
    assert [event.time_s for event in events[:3]] == [0.0, 2.0, 2.0]
    assert events[1].typing_s == 1.5
    assert events[2].reward == 1.0
    assert made.steps == 2
    assert events[-1].terminated
    assert made.outcome == "game over"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.jsonl", "x.mp4"]
    import av

    with av.open(str(made.video)) as container:
        seconds = float(container.duration or 0) / 1e6
    assert seconds == pytest.approx(made.duration_s, abs=1.5)


def test_two_replays_are_equal_byte_for_byte(tmp_path: Path) -> None:
    made = [
        record_replay(echo(), ["look"], seed=1, out=tmp_path / name, licence="MIT", pace=BRISK)
        for name in ("a.mp4", "b.mp4")
    ]
    assert made[0].log.read_bytes() == made[1].log.read_bytes()


def test_the_log_of_the_cave_is_a_demonstration(sixty: tuple[Path, Demonstration]) -> None:
    truth = sixty[1]
    assert truth.environment == "colossal-cave"
    assert truth.started_with == shipped_play(2).seed
    assert truth.player_kind == "scripted"
    assert sum(truth.trajectory.rewards) > 0


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_a_person_plays_until_they_stop(tmp_path: Path, end: type[BaseException]) -> None:
    typed = iter(["look", "   ", "go\x1b[A north", end])
    now = iter(range(1000))
    shown: list[str] = []

    def read_line(prompt: str) -> str:
        assert prompt == "> "
        line = next(typed)
        if isinstance(line, str):
            return line
        raise line

    made = record_person(
        echo(),
        seed=5,
        out=tmp_path / "x.mp4",
        read_line=read_line,
        write=shown.append,
        clock=lambda: float(next(now)),
    )
    read = read_recording(made.log)
    assert read.trajectory.actions == ("look", "go north")
    assert read.player_kind == "human"
    assert read.started_with == 5
    assert shown == ["YOU ARE IN A ROOM.", "YOU SAID LOOK.", "YOU SAID GO NORTH."]
    times = read.trajectory.times
    assert list(times) == sorted(times)
    assert times[-1] > 0
    assert read_recording(made.video).trajectory.actions == ("look", "go north")


def test_a_crash_loses_nothing_that_was_played(tmp_path: Path) -> None:
    typed = iter(["look", "jump"])

    class Crashing(ScriptedGame):
        def step(self, action: str):  # type: ignore[no-untyped-def]
            if action == "jump":
                raise RuntimeError("the game broke")
            return super().step(action)

    game = Crashing(lambda command: "DARK.")
    with pytest.raises(RuntimeError, match="broke"):
        record_person(
            game, seed=1, out=tmp_path / "x.mp4", read_line=lambda _: next(typed), write=lambda _: None
        )
    assert read_recording(tmp_path / "x.jsonl").trajectory.actions == ("look",)
    render_video(tmp_path / "x.jsonl", tmp_path / "x.mp4")
    assert (tmp_path / "x.mp4").stat().st_size > 1000


def test_nothing_played_is_no_recording(tmp_path: Path) -> None:
    def read_line(_: str) -> str:
        raise EOFError

    with pytest.raises(RecordingError, match="Nothing was played"):
        record_person(echo(), seed=1, out=tmp_path / "x.mp4", read_line=read_line, write=lambda _: None)


def test_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="video"):
        record_replay(echo(), ["look"], seed=1, out=tmp_path / "x.gif", licence="MIT")
    with pytest.raises(UsageError, match="nothing to replay"):
        record_replay(echo(), [], seed=1, out=tmp_path / "x.mp4", licence="MIT")
    with pytest.raises(UsageError, match="reading speed"):
        Pace(reading_speed=0)
    with pytest.raises(UsageError, match="font_size"):
        TerminalLook(font_size=2)
    with pytest.raises(UsageError, match="font"):
        record_replay(
            echo(),
            ["look"],
            seed=1,
            out=tmp_path / "x.mp4",
            licence="MIT",
            look=TerminalLook(font=tmp_path / "no.ttf"),
        )


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordingError, match="could not be written"):
        record_replay(echo(), ["look"], seed=1, out=tmp_path / "file" / "x.mp4", licence="MIT")


def test_a_full_disk_keeps_the_log_and_leaves_no_half_video(tmp_path: Path) -> None:
    # The kernel's limit on a file's size, as near to a full disk as a test gets, in a process of its own.
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from recording_games import ScriptedGame
from lookalike.core.errors import RecordingError
from lookalike.recordings import record_replay
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
game = ScriptedGame(lambda command: "THE CAVE IS FULL OF " + command.upper() + ".")
try:
    record_replay(game, ["look", "bats"], seed=1, out=Path({str(tmp_path)!r}) / "x.mp4", licence="MIT")
except RecordingError as error:
    print(error)
    sys.exit(7)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 7, result.stderr
    assert "could not be written" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]
    assert read_recording(tmp_path / "x.jsonl").trajectory.actions == ("look", "bats")


def test_the_shipped_plays_replay_to_their_scores(tmp_path: Path) -> None:
    # Without the answer to the question about instructions, and without what a resume undid.
    for number, score in ((2, 350), (3, None)):
        play = shipped_play(number)
        environment = make_environment("colossal-cave", isolated=False)
        environment.reset(seed=play.seed)
        for command in play.commands:
            result = environment.step(command)
        if score is not None:
            assert environment.facts()["score"] == score
            assert result.terminated
        environment.close()
