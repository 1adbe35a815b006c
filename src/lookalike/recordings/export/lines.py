"""A run as JSON lines, complete: every event is one line, in the log's order, and can be imported again.

The first line names the format, the last one counts and hashes the lines between, so that a file that was cut
off or edited is not taken for a whole one. A picture is a line too, before the first event that names it::

    {"kind":"export_started","format":"lookalike-run","version":1,"run_id":"paper"}
    {"kind":"run_started","version":1,"run_id":"paper",...,"measured":{"at":1754000000.0,...}}
    {"kind":"frame","sha256":"...","png":"iVBORw0KGgo..."}
    {"kind":"episode_started",...}
    ...
    {"kind":"export_ended","lines":812,"sha256":"..."}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lookalike.core.errors import RecordingError, StoreError
from lookalike.core.ids import hash_bytes
from lookalike.recordings.export.report import ExportReport, Progress
from lookalike.recordings.export.target import new_target
from lookalike.recordings.files import check_file
from lookalike.store import (
    EpisodeKey,
    EpisodeStarted,
    Event,
    EventLog,
    RunFinished,
    RunStarted,
    StepTaken,
    parse_event,
)
from lookalike.store.files import FRAME_SUFFIX, FileStore

FORMAT = "lookalike-run"
VERSION = 1
MAX_LINE_BYTES = 64 * 1024 * 1024
"""Longest line read, in bytes; an event holds two observations and its proposals, a frame one picture."""
_BATCH = 256
_REPORT_EVERY = 500


@dataclass(frozen=True)
class KeptFrame:
    """A picture among the lines.

    Attributes:
        name: What events call it: SHA-256 of ``png``.
        png: The file's bytes.
    """

    name: str
    png: bytes


def write_lines(
    log: EventLog,
    run_id: str,
    *,
    out: Path,
    files: FileStore | None,
    wanted: Collection[EpisodeKey] | None,
    progress: Progress,
) -> ExportReport:
    """Write a run's events as lines.

    Args:
        log: Where the run is.
        run_id: Which.
        out: The file.
        files: Its pictures, or ``None`` to leave them out.
        wanted: Only these episodes, and the run's own events; ``None`` for every event.
        progress: Takes events looked at, events in all and a few words.

    Raises:
        RecordingError: The target exists or cannot be written.
        StoreError: An event or a picture is damaged.
    """
    counts = _Counts(None if wanted is None else frozenset(map(str, wanted)))
    total = log.summary(run_id).events
    with new_target(out) as made, made.open("wb") as file:
        writer = _LineWriter(file, files)
        head = {"kind": "export_started", "format": FORMAT, "version": VERSION, "run_id": run_id}
        file.write(_dump(head))
        for number, event in enumerate(log.events(run_id), start=1):
            if counts.take(event):
                writer.add(event)
            if number % _REPORT_EVERY == 0:
                progress(number, max(total, number), "events")
        tail = {"kind": "export_ended", "lines": writer.lines, "sha256": writer.digest.hexdigest()}
        file.write(_dump(tail))
    progress(total, total, "events")
    lost = []
    if writer.missed:
        lost.append("pictures: only their SHA-256 names, because the run's files were not given")
    return ExportReport((out,), len(counts.begun), counts.steps, tuple(lost))


def read_lines(path: Path) -> Iterator[Event | KeptFrame]:
    """Read a run's events and pictures from its lines, one at a time.

    Raises:
        RecordingError: Not such a file, of a newer version, cut off, or not as it was written.
        StoreError: An event is damaged or from a newer version.
    """
    check_file(path)
    digest, count, ended = hashlib.sha256(), 0, False
    with path.open("rb") as file:
        _check_head(path, file)
        number = 1
        while line := _line(path, file, number := number + 1):
            data = _object(path, number, line)
            if ended:
                raise _malformed(path, number, "a line after the last one", "export_ended as the last line")
            if data.get("kind") == "export_ended":
                ended = True
                _check_tail(path, data, count, digest.hexdigest())
                continue
            digest.update(line)
            count += 1
            yield _frame(path, number, data) if data.get("kind") == "frame" else _event(data)
    if not ended:
        raise RecordingError(
            "The exported run is cut off.",
            got=f"{path.name}: {count} lines and no last one",
            expected="export_ended as the last line",
            remedy="copy or export it again",
        )


def import_run(
    path: str | Path, log: EventLog, *, run_id: str | None = None, files: FileStore | None = None
) -> str:
    """Put an exported run into a log, as if it had been played there.

    The file is read twice: it is checked whole before anything is written.

    Args:
        path: What :func:`~lookalike.recordings.export.export_run` wrote as ``jsonl``.
        log: Where to; must not have a run of that name.
        run_id: A new name; ``None`` keeps the one it had.
        files: Where the pictures go; ``None`` leaves them out.

    Returns:
        The run's name in the log.

    Raises:
        RecordingError: The file is damaged, or a picture in it is not the one that its name says.
        StoreError: The log has a run of that name, or cannot be written.
    """
    path = Path(path)
    first = None
    for line in read_lines(path):
        first = first or line
    if not isinstance(first, RunStarted):
        raise _malformed(path, 2, "no beginning of a run", "run_started")
    name = run_id if run_id is not None else first.run_id
    if any(run.run_id == name for run in log.runs()):
        raise StoreError(
            f"The store has a run {name!r} already; nothing was imported.",
            got=path,
            expected="a name that is not taken",
            remedy="import it under another name",
        )
    log.start_run(name, first.configuration, package_version=first.package_version)
    batch: list[Event] = []
    for line in read_lines(path):
        if isinstance(line, KeptFrame):
            if files is not None:
                files.put(line.png, FRAME_SUFFIX)
            continue
        if not isinstance(line, RunStarted):
            batch.append(line)
        if len(batch) >= _BATCH:
            log.append(name, batch)
            batch = []
    log.append(name, batch)
    return name


class _Counts:
    """Counts what is written, and says what is."""

    def __init__(self, wanted: frozenset[str] | None) -> None:
        self._wanted = wanted
        self.steps = 0
        self.begun: set[str] = set()

    def take(self, event: Event) -> bool:
        """Return whether the event is wanted, and count it if so."""
        if isinstance(event, RunStarted | RunFinished):
            return True
        key = str(event.episode)
        if self._wanted is not None and key not in self._wanted:
            return False
        if isinstance(event, EpisodeStarted):
            self.begun.add(key)
        self.steps += isinstance(event, StepTaken)
        return True


class _LineWriter:
    """Writes events, each picture once before the first event that names it, and hashes what it wrote."""

    def __init__(self, file: IO[bytes], files: FileStore | None) -> None:
        self._file = file
        self._files = files
        self._kept: set[bytes] = set()
        self.digest = hashlib.sha256()
        self.lines = 0
        self.missed = False

    def add(self, event: Event) -> None:
        """Write an event."""
        if isinstance(event, EpisodeStarted):
            self._picture(event.first_frame)
        elif isinstance(event, StepTaken):
            self._picture(event.next_frame)
        self._write(event.model_dump_json().encode() + b"\n")

    def _picture(self, name: str | None) -> None:
        if name is None or (key := name.encode()) in self._kept:
            return
        if self._files is None:
            self.missed = True
            return
        png = base64.b64encode(self._files.get(name)).decode()
        self._write(_dump({"kind": "frame", "sha256": name, "png": png}))
        self._kept.add(key)

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self.digest.update(line)
        self.lines += 1


def _check_head(path: Path, file: IO[bytes]) -> None:
    head = _object(path, 1, _line(path, file, 1))
    if head.get("format") != FORMAT:
        raise RecordingError(
            "This file is not an exported run.",
            got=f"{path.name}, line 1: format {head.get('format')!r:.60}",
            expected=f'a first line with "format":"{FORMAT}"',
            remedy="give a file written by `lookalike runs export --format jsonl`",
        )
    version = head.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
        raise RecordingError(
            "This exported run is of another version of the format.",
            got=f"{path.name}: version {version!r:.60}",
            expected=f"version {VERSION} or older",
            remedy="upgrade lookalike, or export it again with this version",
        )


def _check_tail(path: Path, tail: Mapping[str, Any], lines: int, digest: str) -> None:
    if tail.get("lines") != lines or tail.get("sha256") != digest:
        raise RecordingError(
            "The exported run was changed after it was written.",
            got=f"{path.name}: {lines} lines, SHA-256 {digest[:12]}…",
            expected=f"{tail.get('lines')!r:.20} lines, SHA-256 {tail.get('sha256')!s:.12}…",
            remedy="copy or export it again",
        )


def _line(path: Path, file: IO[bytes], number: int) -> bytes:
    line = file.readline(MAX_LINE_BYTES + 1)
    if len(line) > MAX_LINE_BYTES:
        raise _malformed(path, number, f"more than {MAX_LINE_BYTES} bytes", "shorter lines")
    return line


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, number, f"{line[:60]!r}", "a JSON object") from error
    if not isinstance(value, dict):
        raise _malformed(path, number, f"{line[:60]!r}", "a JSON object")
    return value


def _frame(path: Path, number: int, data: Mapping[str, Any]) -> KeptFrame:
    name, png = data.get("sha256"), data.get("png")
    if not isinstance(name, str) or not isinstance(png, str):
        raise _malformed(path, number, "a frame without its name or picture", "sha256 and png")
    try:
        raw = base64.b64decode(png, validate=True)
    except binascii.Error as error:
        raise _malformed(path, number, str(error), "a picture in base64") from error
    if hash_bytes(raw) != name:
        raise _malformed(path, number, f"a picture called {name:.12}…", "a picture of that SHA-256")
    return KeptFrame(name, raw)


def _event(data: dict[str, Any]) -> Event:
    measured = data.pop("measured", {})
    return parse_event(_compact(data), _compact(measured))


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _dump(value: Mapping[str, Any]) -> bytes:
    return _compact(value) + b"\n"


def _malformed(path: Path, number: int, got: str, expected: str) -> RecordingError:
    return RecordingError(
        f"Line {number} of the exported run is malformed.",
        got=f"{path.name}: {got}",
        expected=expected,
        remedy="copy or export it again",
    )
