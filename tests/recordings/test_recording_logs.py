"""Our JSONL: what is written is read back; what is not ours, newer or malformed is refused by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lookalike.core.errors import RecordingError
from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory
from lookalike.recordings import read_recording, write_jsonl
from lookalike.recordings.jsonl import LogEvent, LogHeader, LogWriter, read_log

HEADER = {
    "format": "lookalike-recording",
    "version": 1,
    "environment": "cave",
    "seed": 0,
    "player_kind": "scripted",
}
EVENTS = [
    {"event": "observation", "time_s": 0.0, "text": "A ROOM."},
    {"event": "action", "time_s": 1.5, "text": "look"},
    {"event": "observation", "time_s": 1.5, "text": "A DARK ROOM.", "reward": 2.5},
    {"event": "end", "time_s": 2.0, "outcome": "2 points"},
]


def write(path: Path, lines: list[object]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def refused(path: Path, *words: str) -> None:
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    for word in words:
        assert word in str(caught.value)


def test_a_log_is_read(tmp_path: Path) -> None:
    read = read_recording(write(tmp_path / "x.jsonl", [HEADER, *EVENTS]), licence="CC0-1.0")
    assert read.trajectory.actions == ("look",)
    assert read.trajectory.rewards == (2.5,)
    assert read.trajectory.times == (0.0, 1.5)
    assert read.started_with == 0
    assert read.player_kind == "scripted"
    assert read.environment == "cave"
    assert read.outcome == "2 points"
    assert read.provenance.licence == "CC0-1.0"
    # Its content tells what it is, whatever it is called.
    assert read_recording(write(tmp_path / "x.dat", [HEADER, *EVENTS])).id == read.id


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    refused(
        write(tmp_path / "x.jsonl", [{**HEADER, "version": 2}, *EVENTS]),
        "newer version",
        "version 2",
        "upgrade",
    )


def test_unknown_fields_are_ignored(tmp_path: Path) -> None:
    lines = [{**HEADER, "weather": "fine"}, *({**event, "mood": 1} for event in EVENTS)]
    assert len(read_recording(write(tmp_path / "x.jsonl", lines)).trajectory) == 1


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("{not json", 3),
        ("[1, 2]", 3),
        ({"event": "dance"}, 3),
        ({"event": "observation", "time_s": 1}, 3),
        ({"event": "action", "time_s": "soon", "text": "x"}, 3),
        ({"event": "observation", "time_s": 1.0, "text": "two in a row"}, 3),
        ('{"event":"action","time_s":NaN,"text":"x"}', 3),
        ("[" * 100_000, 3),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: object, number: int) -> None:
    refused(
        write(tmp_path / "x.jsonl", [HEADER, EVENTS[0], line, *EVENTS[1:]]), f"line {number}", "malformed"
    )


def test_a_line_of_many_megabytes_is_refused(tmp_path: Path) -> None:
    huge = {"event": "action", "time_s": 1.0, "text": "x" * 3_000_000}
    refused(write(tmp_path / "x.jsonl", [HEADER, EVENTS[0], huge]), "line 3", "characters")


def test_long_texts_are_cut_and_escapes_removed(tmp_path: Path) -> None:
    dirty = {
        "event": "observation",
        "time_s": 0.0,
        "text": "\x1b[31mRED\x1b[0m\x07 \x1b]0;title\x07DOOR" + "x" * 1_000_000,
    }
    action = {"event": "action", "time_s": 1.0, "text": "open\x1b[2J\ndoor\x00"}
    read = read_recording(write(tmp_path / "x.jsonl", [HEADER, dirty, action, EVENTS[2]]))
    text = read.trajectory.observations[0].text or ""
    assert text.startswith("RED DOORxx")
    assert len(text) <= 4_000
    assert read.trajectory.actions == ("open door",)


def test_a_last_line_cut_off_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.jsonl", [HEADER, *EVENTS[:3], {"event": "action", "time_s": 2.0, "text": "go"}]
    )
    path.write_bytes(path.read_bytes()[:-9])
    assert read_recording(path).trajectory.actions == ("look",)


def test_no_commands_no_log_of_ours_and_bad_headers(tmp_path: Path) -> None:
    refused(write(tmp_path / "x.jsonl", [HEADER, EVENTS[0]]), "no commands")
    refused(write(tmp_path / "y.jsonl", [{"format": "other"}, *EVENTS]), "not a recording of ours")
    refused(write(tmp_path / "z.jsonl", [{**HEADER, "seed": "two"}, *EVENTS]), "line 1", "seed")
    refused(write(tmp_path / "v.jsonl", [{**HEADER, "version": "1"}, *EVENTS]), "line 1", "version")
    refused(write(tmp_path / "k.jsonl", [{**HEADER, "player_kind": "ghost"}, *EVENTS]), "line 1", "ghost")


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zs", "Zl", "Zp")), min_size=1, max_size=30
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(TEXTS, TEXTS | st.none(), st.integers(-5, 5)), min_size=1, max_size=6), st.booleans()
)
def test_what_is_saved_is_read_back(
    tmp_path: Path, steps: list[tuple[str, str | None, int]], with_rewards: bool
) -> None:
    trajectory = Trajectory(
        observations=(Observation(text="START"), *(Observation(text=text) for text, _, _ in steps)),
        actions=tuple(action for _, action, _ in steps),
        rewards=tuple(float(reward) for _, _, reward in steps) if with_rewards else (),
        times=tuple(float(i) for i in range(len(steps) + 1)),
    )
    made = Demonstration(
        "abc",
        trajectory,
        "agent",
        Provenance("x.mp4", "terminal-video", "f" * 64, "MIT", "a note"),
        "cave",
        0,
        "ok",
    )
    write_jsonl(made, tmp_path / "x.jsonl")
    assert read_recording(tmp_path / "x.jsonl") == made


def test_a_demonstration_of_frames_cannot_be_saved(tmp_path: Path) -> None:
    import numpy as np

    frame = Observation(frame=np.zeros((2, 2, 3), np.uint8))
    made = Demonstration("abc", Trajectory((frame, frame), (None,)), "human", Provenance("x", "y", "z"))
    with pytest.raises(RecordingError, match="without texts"):
        write_jsonl(made, tmp_path / "x.jsonl")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_the_log_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter(tmp_path / "x.jsonl", LogHeader("cave", 1, "human"))
    writer.append(LogEvent("observation", 0.0, "A ROOM."))
    writer.append(LogEvent("action", 1.0, "look"))
    writer.append(LogEvent("observation", 1.0, "DARK."))
    real = writer._file

    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            real.close()

    writer._file = Full()  # type: ignore[assignment]
    with pytest.raises(RecordingError, match="No space left"):
        writer.append(LogEvent("action", 2.0, "go"))
    writer.__exit__(None, None, None)
    assert len(read_log(tmp_path / "x.jsonl")[1]) == 3


def test_a_full_disk_leaves_no_half_saved_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_recording(write(tmp_path / "x.jsonl", [HEADER, *EVENTS]))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RecordingError, match="No space left"):
        write_jsonl(read, tmp_path / "y.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]
