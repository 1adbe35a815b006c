"""Reads asciicast v2 (asciinema): a terminal session as a stream of output with times.

What a play needs of a terminal is small, and handled here: text, newlines, carriage returns, backspaces,
tabs, erasing to the end of a line, moving left and right in a line, clearing the screen. Colours and all
other sequences are dropped. A full-screen program, which paints all over the screen, is not understood;
``docs/recordings.md`` says so. (``pyte``, a whole terminal emulator, is LGPL: see ``docs/decisions.md``.)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lookalike.core.errors import RecordingError
from lookalike.core.ids import hash_bytes
from lookalike.core.types import Demonstration, Observation, PlayerKind, Provenance, Trajectory
from lookalike.recordings.files import demonstration_id, read_bytes
from lookalike.recordings.text_safety import (
    MAX_LINE_CHARACTERS,
    MAX_STEPS,
    clean_command,
    clean_observation,
    clean_text,
)

READER = "asciicast"
MAX_EVENT_CHARACTERS = 1_000_000
_MAX_LINES = 1_000_000
_TOKEN = re.compile(
    r"\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
    r"|(?P<control>[\x00-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f\x1b]+)"
)


class _Line(NamedTuple):
    """A line of the session and when it appeared, in seconds."""

    text: str
    first_s: float


class _Paper:
    """A terminal without height: lines below each other, and a cursor in the last one."""

    def __init__(self) -> None:
        self.lines: list[_Line] = []
        self._characters: list[str] = []
        self._first_s: float | None = None
        self._column = 0

    def write(self, data: str, time_s: float) -> None:
        """Take a piece of output in."""
        for token in _TOKEN.finditer(data):
            if text := token["text"]:
                self._put(text, time_s)
            elif control := token["control"]:
                self._control(control, time_s)
            elif final := token["final"]:
                self._sequence(token["parameters"], final, time_s)

    def finish(self) -> list[_Line]:
        """Return all lines, the last included."""
        self._end_line(0.0)
        return self.lines

    def _put(self, text: str, time_s: float) -> None:
        if self._first_s is None:
            self._first_s = time_s
        for character in text:
            if self._column >= MAX_LINE_CHARACTERS:
                return
            if self._column > len(self._characters):
                self._characters.extend(" " * (self._column - len(self._characters)))
            self._characters[self._column : self._column + 1] = [character]
            self._column += 1

    def _control(self, control: str, time_s: float) -> None:
        if control == "\n":
            self._end_line(time_s)
        elif control == "\r":
            self._column = 0
        elif control == "\b":
            self._column = max(0, self._column - 1)
        elif control == "\t":
            self._put(" " * (8 - self._column % 8), time_s)

    def _sequence(self, parameters: str, final: str, time_s: float) -> None:
        first = parameters.split(";", maxsplit=1)[0]
        count = int(first) if first.isdecimal() and len(first) < 5 else 0
        if final == "K":
            if count == 0:
                del self._characters[self._column :]
            elif count == 2:
                self._characters.clear()
        elif final == "P":
            del self._characters[self._column : self._column + max(1, count)]
        elif final == "C":
            self._column = min(MAX_LINE_CHARACTERS, self._column + max(1, count))
        elif final == "D":
            self._column = max(0, self._column - max(1, count))
        elif final == "G":
            self._column = min(MAX_LINE_CHARACTERS, max(1, count) - 1)
        elif final == "J" and count >= 2 and self._characters:
            self._end_line(time_s)

    def _end_line(self, time_s: float) -> None:
        if len(self.lines) < _MAX_LINES:
            text = clean_text("".join(self._characters)).rstrip()
            self.lines.append(_Line(text, time_s if self._first_s is None else self._first_s))
        self._characters, self._column, self._first_s = [], 0, None


def read_asciicast(
    path: Path,
    *,
    environment: str | None = None,
    licence: str = "unknown",
    player_kind: PlayerKind = "human",
) -> Demonstration:
    """Read an asciicast v2 file of a play at a ``>`` prompt.

    Raises:
        RecordingError: Missing, empty, another version, a malformed line, or without a command.
    """
    path = Path(path)
    data = read_bytes(path)
    paper = _Paper()
    for time_s, output in _output(path, data):
        paper.write(output, time_s)
    actions: list[str | None] = []
    texts: list[list[str]] = [[]]
    times: list[float | None] = [None]
    for line in paper.finish():
        command = clean_command(line.text.lstrip(">")) if line.text.startswith(">") else None
        if command and len(actions) < MAX_STEPS:
            actions.append(command)
            texts.append([])
            times.append(None)
        elif command is None:
            texts[-1].append(line.text)
            if times[-1] is None and line.text.strip():
                times[-1] = line.first_s
    if not actions:
        raise RecordingError(
            "The asciicast shows no commands.",
            got=f"{path.name}: {len(paper.lines)} lines, none starts with '>'",
            expected="a session in which the player typed behind a '>' prompt",
            remedy="record the game itself, not a full-screen program",
        )
    content_hash = hash_bytes(data)
    filled: list[float] = []
    for time in times:
        filled.append(time if time is not None else (filled[-1] if filled else 0.0))
    return Demonstration(
        id=demonstration_id(READER, content_hash),
        trajectory=Trajectory(
            observations=tuple(Observation(text=clean_observation("\n".join(part))) for part in texts),
            actions=tuple(actions),
            times=tuple(filled),
        ),
        player_kind=player_kind,
        provenance=Provenance(path.name, READER, content_hash, licence, f"{len(actions)} commands"),
        environment=environment,
    )


def _output(path: Path, data: bytes) -> Iterator[tuple[float, str]]:
    """Yield time in seconds and text of each output event; a last line that was cut off is ignored."""
    lines = data.decode("utf-8", "replace").split("\n")
    header = _parse(path, 1, lines[0])
    if not isinstance(header, dict) or header.get("version") != 2:
        version = header.get("version") if isinstance(header, dict) else None
        raise RecordingError(
            "This file is not an asciicast of version 2.",
            got=f"{path.name}: version {version!r}",
            expected='a first line like {"version": 2, "width": 80, "height": 24}',
            remedy="convert it with `asciinema convert`",
        )
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        if number == len(lines) and not _is_json(line):
            return
        event = _parse(path, number, line)
        if (
            not isinstance(event, list)
            or len(event) != 3
            or isinstance(event[0], bool)
            or not isinstance(event[0], int | float)
            or not math.isfinite(event[0])
            or not isinstance(event[2], str)
        ):
            raise _malformed(path, number, f"{line[:60]!r}")
        if event[1] == "o":
            yield float(event[0]), event[2]


def _parse(path: Path, number: int, line: str) -> Any:
    if len(line) > MAX_EVENT_CHARACTERS:
        raise _malformed(path, number, f"{len(line)} characters")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, number, f"{line[:60]!r} ({error})") from error


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _malformed(path: Path, number: int, got: str) -> RecordingError:
    return RecordingError(
        f"Line {number} of the asciicast is malformed.",
        got=f"{path.name}, line {number}: {got}",
        expected='[seconds, "o", "text"]',
        remedy="remove or repair the line",
    )
