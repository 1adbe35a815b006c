"""Command files, transcripts, Python-prompt plays and asciicasts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lookalike.core.errors import RecordingError, UsageError
from lookalike.environments import make_environment
from lookalike.recordings import (
    normalise_whitespace,
    read_commands,
    read_recording,
    shipped_play,
    shipped_play_path,
)
from lookalike.recordings.commands import parse_prompt_line


def refused(path: Path, *words: str) -> None:
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    for word in words:
        assert word in str(caught.value)


# --- commands ---


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("look\n\n# a remark\n  get   lamp \n", ("look", "get lamp")),
        ("WELCOME\n\n> look\nDARK.\n>get lamp\nOK\n", ("look", "get lamp")),
        (
            ">>> import adventure\n>>> adventure.play(seed=2)\nHI\n>>> get(lamp)\nOK\n>>> xyzzy\n",
            ("get lamp", "xyzzy"),
        ),
    ],
)
def test_three_forms_of_command_files(tmp_path: Path, text: str, commands: tuple[str, ...]) -> None:
    (tmp_path / "commands.txt").write_text(text)
    assert read_commands(tmp_path / "commands.txt") == commands


def test_a_command_file_without_commands(tmp_path: Path) -> None:
    (tmp_path / "commands.txt").write_text("# nothing\n\n")
    with pytest.raises(RecordingError, match="no commands"):
        read_commands(tmp_path / "commands.txt")


@pytest.mark.parametrize(
    ("source", "kind", "command"),
    [
        ("get(lamp)", "command", "get lamp"),
        ("get.lamp", "command", "get lamp"),
        ("inven()", "command", "inven"),
        ("throw(axe)", "command", "throw axe"),
        ("import adventure", "other", ""),
        ("adventure.play(seed=1)", "other", ""),
        ("adventure._game.clock1", "other", ""),
        ("savefile = io.BytesIO()", "other", ""),
        ("savefile.seek(0)", "other", ""),
        ("save(savefile)", "save", ""),
        ("adventure.resume(savefile)", "resume", ""),
        ("__import__('os').system('rm -rf /')", "command", "__import__ os system rm -rf /"),
        ("f(1, 2)", "other", ""),
        ("(" * 5000, "other", ""),
    ],
)
def test_prompt_lines_are_parsed_and_never_run(source: str, kind: str, command: str) -> None:
    assert tuple(parse_prompt_line(source)) == (kind, command)


def test_shipped_plays() -> None:
    play = shipped_play(2)
    assert (len(play.commands), play.seed, play.licence) == (267, 2, "Apache-2.0")
    assert play.commands[:5] == ("brief", "enter", "get lamp", "xyzzy", "on")
    assert [len(shipped_play(number).commands) for number in (1, 3, 4)] == [715, 80, 82]
    with pytest.raises(UsageError, match="no play 5"):
        shipped_play(5)


# --- transcripts ---


def test_a_plain_transcript(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(
        b"\xef\xbb\xbfWest of House\r\n\r\nA mailbox.\r\n\r\n"
        b">open mailbox\r\nA leaflet.\r\n\r\n>\r\n> read leaflet\r\nWELCOME\r\n"
    )
    read = read_recording(tmp_path / "t.txt", environment="zork1", licence="MIT")
    assert read.trajectory.actions == ("open mailbox", "read leaflet")
    assert [o.text for o in read.trajectory.observations] == [
        "West of House\n\nA mailbox.",
        "A leaflet.",
        "WELCOME",
    ]
    assert read.trajectory.times == ()
    assert (read.environment, read.provenance.reader, read.provenance.licence) == (
        "zork1",
        "transcript",
        "MIT",
    )


def test_the_shipped_play_reads_as_it_replays() -> None:
    read = read_recording(shipped_play_path(2))
    play = shipped_play(2)
    assert read.trajectory.actions == play.commands
    assert read.started_with == 2
    environment = make_environment("colossal-cave", isolated=False)
    seen = [
        environment.reset(seed=2).text,
        *(environment.step(command).observation.text for command in play.commands),
    ]
    environment.close()
    assert [normalise_whitespace(o.text or "") for o in read.trajectory.observations] == [
        normalise_whitespace(text or "") for text in seen
    ]


def test_a_jump_to_a_saved_game_is_an_unknown_action() -> None:
    read = read_recording(shipped_play_path(1))
    jump = read.trajectory.actions.index(None)
    assert read.trajectory.actions.count(None) == 1
    assert read.trajectory.observations[jump + 1].text == "GAME RESTORED"
    # The death that it undid is there to be learnt from.
    assert "GOTTEN YOURSELF KILLED" in (read.trajectory.observations[jump].text or "")
    assert not any("BytesIO" in (o.text or "") for o in read.trajectory.observations)


def test_wrong_formats(tmp_path: Path) -> None:
    (tmp_path / "essay.txt").write_text("This is an essay about caves.\nIt has no commands.\n")
    refused(tmp_path / "essay.txt", "not a transcript", "starts with '>'")
    (tmp_path / "binary.txt").write_bytes(b"> look\n\x00\x01\x02")
    refused(tmp_path / "binary.txt", "not a transcript", "binary")
    (tmp_path / "empty.txt").touch()
    refused(tmp_path / "empty.txt", "empty")


def test_hostile_text_is_cleaned_and_bounded(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(
        "\x1b]0;owned\x07HALL\x1b[2J\u202e.\n> " + "go " * 500_000 + "\nOK" + "K" * 1_000_000
    )
    read = read_recording(tmp_path / "t.txt")
    assert read.trajectory.observations[0].text == "HALL."
    assert len(read.trajectory.actions[0] or "") <= 400
    assert len(read.trajectory.observations[1].text or "") <= 4_000


# --- asciicasts ---


def cast(path: Path, events: list[object], header: object = None) -> Path:
    lines = [header or {"version": 2, "width": 80, "height": 24}, *events]
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_an_asciicast(tmp_path: Path) -> None:
    events = [
        [0.1, "o", "\x1b[?1049h\x1b[1;32mA ROOM.\x1b[0m\r\n\r\n> "],
        [1.0, "i", "l"],
        *([1.0 + i / 10, "o", character] for i, character in enumerate("lok\b \bok".replace("ok", "ook", 1))),
        [2.0, "o", "\r\nIT IS DARK.\r\n\r\n> get lmp"],
        [2.5, "o", "\r\x1b[K> get lamp"],
        [3.0, "o", "\r\nOK\r\n> "],
    ]
    read = read_recording(cast(tmp_path / "play.cast", events))
    assert read.trajectory.actions[1] == "get lamp"
    assert [o.text for o in read.trajectory.observations] == ["A ROOM.", "IT IS DARK.", "OK"]
    assert read.trajectory.times == (0.1, 2.0, 3.0)
    assert read.provenance.reader == "asciicast"
    assert read_recording(cast(tmp_path / "play.json", events)).id == read.id


def test_line_editing_in_an_asciicast(tmp_path: Path) -> None:
    events = [
        [0.0, "o", "HALL\r\n> go nroth\b\b\b\b\x1b[Korth\x1b[3D\x1b[3C\r\nYOU WALK.\x1b[2J\x1b[HCLEAR\r\n"]
    ]
    read = read_recording(cast(tmp_path / "x.cast", events))
    assert read.trajectory.actions == ("go north",)
    assert read.trajectory.observations[1].text == "YOU WALK.\nCLEAR"


def test_bad_asciicasts(tmp_path: Path) -> None:
    ok = [[0.0, "o", "HALL\r\n> look\r\nDARK\r\n"]]
    refused(cast(tmp_path / "a.cast", ok, {"version": 3, "width": 80}), "version 2", "version 3")
    refused(cast(tmp_path / "b.cast", [*ok, "{oops", *ok]), "line 3", "malformed")
    refused(cast(tmp_path / "c.cast", [*ok, ["soon", "o", "x"]]), "line 3")
    refused(cast(tmp_path / "d.cast", [[0.0, "o", "JUST TEXT\r\n"]]), "no commands")
    refused(cast(tmp_path / "e.cast", [[0.0, "o", "x" * 1_100_000], *ok]), "line 2", "characters")
    whole = cast(tmp_path / "f.cast", [*ok, [1.0, "o", "MORE"]])
    whole.write_bytes(whole.read_bytes()[:-6])
    assert read_recording(whole).trajectory.actions == ("look",)
