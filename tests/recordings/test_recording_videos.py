"""Terminal videos are read from their pictures: other fonts, sizes, colours and codecs, and bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_games import BRISK, ScriptedGame, record_play

from lookalike.core.errors import RecordingError
from lookalike.core.types import Demonstration
from lookalike.environments import make_environment
from lookalike.recordings import (
    TerminalLook,
    normalise_whitespace,
    read_recording,
    record_replay,
    write_jsonl,
)
from lookalike.recordings.terminal import TerminalPainter, TerminalScreen
from lookalike.recordings.video_writer import VideoWriter


def texts(demonstration: Demonstration) -> list[str]:
    return [normalise_whitespace(o.text or "") for o in demonstration.trajectory.observations]


def fonts() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def test_sixty_commands_of_the_cave_are_read_exactly(sixty: tuple[Path, Demonstration]) -> None:
    video, truth = sixty
    seen: list[float] = []
    read = read_recording(video, environment="colossal-cave", licence="Apache-2.0", progress=seen.append)
    assert read.trajectory.actions == truth.trajectory.actions
    # Not only the words: line breaks and paragraphs too.
    assert [o.text for o in read.trajectory.observations] == [o.text for o in truth.trajectory.observations]
    assert np.abs(np.subtract(read.trajectory.times, truth.trajectory.times)).max() < 0.3
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert 5 < len(seen) < 200
    assert read.provenance.reader == "terminal-video"
    assert "0 doubtful" in read.provenance.note
    assert read.player_kind == "human"
    assert read.id != truth.id


LIGHT = {"foreground": (20, 20, 30), "background": (250, 248, 240)}
LOOKS = {
    "dark-on-light-12px": (TerminalLook(font_size=12, **LIGHT), ".mp4"),
    "scaled-down-to-640": (TerminalLook(width=640), ".mp4"),
    "scaled-up-to-1280": (TerminalLook(width=1280, **LIGHT), ".mp4"),
    "another-font-no-cursor": (TerminalLook(font=fonts() / "cmtt10.ttf", font_size=15, cursor=False), ".mp4"),
    "bold-green-no-margin": (
        TerminalLook(
            font=fonts() / "DejaVuSansMono-Bold.ttf",
            font_size=18,
            margin=0,
            foreground=(60, 255, 80),
            background=(0, 0, 0),
        ),
        ".mp4",
    ),
    "webm": (TerminalLook(font_size=14), ".webm"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_other_terminals(name: str, tmp_path: Path) -> None:
    look, suffix = LOOKS[name]
    truth = record_play(tmp_path / f"play{suffix}", 12, look)
    read = read_recording(tmp_path / f"play{suffix}")
    assert read.trajectory.actions == truth.trajectory.actions
    assert texts(read) == texts(truth)


def test_mixed_case_wrapped_lines_and_pages(tmp_path: Path) -> None:
    story = (
        "You are standing in an open field west of a white house, with a boarded front door. There is a "
        'small mailbox here (it is closed). "Welcome!" says the mat: 10 of 350 points, 3 moves.'
    )
    game = ScriptedGame(
        lambda command: (
            "\n\n".join(f"{n}. {story}" for n in range(6)) if command == "look" else "Taken: the oily lamp."
        )
    )
    commands = ["look", "take lamp", "put 5 coins in slot", "x oak door", "quit"]
    look = TerminalLook(columns=60, rows=14)
    truth = read_recording(
        record_replay(
            game, commands, seed=1, out=tmp_path / "p.mp4", licence="CC0-1.0", look=look, pace=BRISK
        ).log
    )
    read = read_recording(tmp_path / "p.mp4")
    assert read.trajectory.actions == tuple(commands)
    assert texts(read) == texts(truth)


def test_the_same_screen_again_and_again_is_counted(tmp_path: Path) -> None:
    game = ScriptedGame(lambda command: "YOU ARE IN A MAZE, ALL ALIKE.")
    commands = ["n"] * 14 + ["get axe"]
    record_replay(
        game,
        commands,
        seed=1,
        out=tmp_path / "p.mp4",
        licence="CC0-1.0",
        look=TerminalLook(rows=10),
        pace=BRISK,
    )
    assert read_recording(tmp_path / "p.mp4").trajectory.actions == tuple(commands)


def draw(path: Path, screens: list[list[str]], count: int = 8) -> Path:
    """Write a video that shows each screen for ``count`` frames."""
    painter = TerminalPainter(TerminalLook(rows=12, cursor=False))
    with VideoWriter(path, width=painter.width, height=painter.height, fps=10) as writer:
        for lines in screens:
            screen = TerminalScreen(80, 12)
            screen.lines = list(lines)
            writer.add(painter.paint(screen), count)
    return path


def test_prompts_without_a_blank_and_a_cleared_screen(tmp_path: Path) -> None:
    opening = ["WELCOME TO THE CAVE OF WONDERS", "", "THE DOOR IS OPEN.", ""]
    screens = [
        [*opening, ">"],
        [*opening, ">op"],
        [*opening, ">open box"],
        [*opening, ">open box", "IT IS EMPTY. VERY EMPTY INDEED.", "", ">"],
        ["A NEW CHAPTER BEGINS", "YOU WAKE UP ON A BEACH.", "", ">"],
        ["A NEW CHAPTER BEGINS", "YOU WAKE UP ON A BEACH.", "", ">swim", "YOU DROWN."],
    ]
    read = read_recording(draw(tmp_path / "p.mp4", screens))
    assert read.trajectory.actions == ("open box", "swim")
    assert "A NEW CHAPTER BEGINS" in texts(read)[1]
    assert texts(read)[2] == "YOU DROWN."


def test_a_font_whose_characters_differ_in_width(tmp_path: Path) -> None:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(fonts() / "DejaVuSerif.ttf"), 20)
    opening = ["You are standing in an open field.", "There is a small mailbox here.", ""]
    typed = [*opening, "> open mailbox", "Opening the small mailbox reveals a leaflet.", ""]
    screens = [[*opening, "> "], [*opening, "> open"], typed[:4], [*typed, "> "], [*typed, "> read leaflet"]]
    screens.append([*screens[-1], "Welcome to the great underground kingdom!"])
    with VideoWriter(tmp_path / "p.mp4", width=640, height=320, fps=10) as writer:
        for lines in screens:
            picture = Image.new("RGB", (640, 320), (255, 255, 255))
            for row, line in enumerate(lines):
                ImageDraw.Draw(picture).text((12, 10 + 28 * row), line, font=font, fill=(0, 0, 0))
            writer.add(np.asarray(picture), 6)
    read = read_recording(tmp_path / "p.mp4")
    assert read.trajectory.actions == ("open mailbox", "read leaflet")
    assert texts(read)[1:] == [" ".join(typed[4:5]), screens[-1][-1]]


def test_two_readings_agree_and_a_saved_one_is_the_same_evidence(short: Path, tmp_path: Path) -> None:
    read = read_recording(short, environment="colossal-cave")
    assert read_recording(short, environment="colossal-cave") == read
    write_jsonl(read, tmp_path / "saved.jsonl")
    saved = read_recording(tmp_path / "saved.jsonl")
    assert saved.id == read.id
    assert saved.provenance == read.provenance
    assert saved.trajectory.observations == read.trajectory.observations
    assert saved.trajectory.actions == read.trajectory.actions


# --- what is no recording ---


def refused(path: Path, *words: str, **options: Any) -> None:
    with pytest.raises(RecordingError) as caught:
        read_recording(path, **options)
    message = str(caught.value)
    assert caught.value.got is not None
    assert caught.value.expected is not None
    assert caught.value.remedy is not None
    for word in words:
        assert word in message


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.mp4", "does not exist")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path, "folder")


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", "empty", "zero bytes")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_video(short: Path, tmp_path: Path, share: float) -> None:
    data = short.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * share)])
    refused(tmp_path / "cut.mp4", "cut off")


def test_a_video_cut_off_behind_its_index(sixty: tuple[Path, Demonstration], tmp_path: Path) -> None:
    import av

    # The index in front, as files for the web have it: it still promises what is no longer there.
    with (
        av.open(str(sixty[0])) as source,
        av.open(str(tmp_path / "web.mp4"), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = (tmp_path / "web.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    refused(tmp_path / "cut.mp4", "cut off")


def test_not_a_video(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("just some notes\n" * 50)
    refused(tmp_path / "notes.mp4", "not a video")
    (tmp_path / "unknown.bin").write_bytes(bytes(range(256)) * 20)
    refused(tmp_path / "unknown.bin", "cannot be told")


def test_a_video_without_text(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    ramp = np.repeat(np.linspace(0, 255, 160, dtype=np.uint8)[None, :, None], 120, axis=0).repeat(3, axis=2)
    box = np.zeros((120, 160, 3), np.uint8)
    box[40:80, 50:100] = 255
    for name, picture in {"noise": noise, "ramp": ramp, "box": box, "black": np.zeros_like(box)}.items():
        with VideoWriter(tmp_path / f"{name}.mp4", width=160, height=120, fps=10) as writer:
            for shift in range(12):
                writer.add(np.roll(picture, 3 * shift, axis=1))
        # Unasked, a video without text is taken for one of a game on the screen; a text expert refuses that.
        refused(tmp_path / f"{name}.mp4", "no text", kind="terminal")


def test_text_without_commands(tmp_path: Path) -> None:
    lines = ["THIS IS A LECTURE ABOUT CAVES.", "NOBODY TYPES ANYTHING.", "", "IT GOES ON."]
    refused(draw(tmp_path / "p.mp4", [lines[:2], lines]), "no commands")


def test_a_file_without_permission(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, *args: object, **kwargs: object) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    # Tests may run as root, whom no permission stops.
    monkeypatch.setattr(Path, "open", denied)
    refused(short, "may not be read", "permission")


@pytest.mark.parametrize("font_size", [12, 16, 22])
@pytest.mark.parametrize("commands", [("enter", "get keys", "exit"), ("inventory",)])
def test_a_recording_of_a_few_commands_is_read_exactly(
    tmp_path: Path, commands: tuple[str, ...], font_size: int
) -> None:
    """Lines with blank lines between them, and few of each: the line height shows in little."""
    game = make_environment("colossal-cave", isolated=False)
    recorded = record_replay(
        game, commands, seed=2, out=tmp_path / "play.mp4", licence="CC0-1.0", player_kind="human",
        look=TerminalLook(font_size=font_size),
    )  # fmt: skip
    truth = read_recording(recorded.video.with_suffix(".jsonl"))
    read = read_recording(recorded.video, environment="colossal-cave")
    assert read.trajectory.actions == commands
    assert texts(read) == texts(truth)
