"""Which recording a reward model's evidence lies in, and which text belongs to which video."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.core.errors import LookalikeError
from lookalike.core.types import Demonstration
from lookalike.recordings import read_recording
from lookalike.recordings.visual_actions import ActionLog, find_actions, is_action_log, read_actions
from lookalike.rewards import RewardModel
from lookalike.web.library import VIDEOS, FoundFile, Library

_HEADER_BYTES = 65_536


@dataclass(frozen=True)
class Source:
    """A recording of a reward model.

    Attributes:
        id: Demonstration id.
        file: File name as the document says it.
        recording: What it is here; ``None`` where it was not found.
        video: Whether that is a video.
        changed: The file's bytes are not those the document was made from.
    """

    id: str
    file: str
    recording: FoundFile | None
    video: bool
    changed: bool


def text_of(video: Path) -> Path | None:
    """Return the log that holds a video's text: what was read off it, or what its recorder wrote."""
    read = video.parent / "demonstration.jsonl"
    if read.is_file() and (_header(read).get("demonstration") or {}).get("file") == video.name:
        return read
    log = video.with_suffix(".jsonl")
    return log if log.is_file() and _header(log).get("format") == "lookalike-recording" else None


def actions_of(recording: FoundFile) -> ActionLog | None:
    """Return the actions of a play on the screen: those beside its video, or a log that was not filmed yet.

    Raises:
        RecordingError: They cannot be read.
    """
    path = recording.path
    if path.suffix.lower() in VIDEOS:
        beside = find_actions(path)
        return read_actions(beside) if beside is not None else None
    return read_actions(path) if path.suffix == ".jsonl" and is_action_log(path) else None


def demonstration_of(recording: FoundFile) -> tuple[Demonstration | None, str | None, bool]:
    """Return what a recording shows, what is wrong with it, and whether the text was read off the video.

    A bare video's text takes minutes to read; that is a job, and nothing is returned here.
    """
    path, read_off = recording.path, False
    if path.suffix.lower() in VIDEOS:
        log = text_of(path)
        if log is None:
            return None, None, False
        path, read_off = log, log.name == "demonstration.jsonl"
    try:
        return read_recording(path), None, read_off
    except LookalikeError as error:
        return None, f"{error.what} {error.remedy or ''}".strip(), False


def sources(library: Library, document: FoundFile, model: RewardModel) -> list[Source]:
    """Find the recordings that a reward model cites, near the document first."""
    recordings = library.recordings()
    near = sorted(recordings, key=lambda f: _distance(f.path.parent, document.path.parent))
    found = []
    for note in model.recordings:
        name = Path(note.file).name
        stems = {name, *(Path(name).stem + end for end in VIDEOS)}
        here = [f for f in near if f.path.name in stems]
        exact = next((f for f in here if _same(library, f.path, note.content_hash)), None)
        chosen = exact or next(iter(here), None)
        found.append(
            Source(
                note.id,
                note.file,
                chosen,
                chosen is not None and chosen.path.suffix.lower() in VIDEOS,
                chosen is not None and exact is None,
            )
        )
    return found


def _same(library: Library, path: Path, content_hash: str) -> bool:
    """Return whether a file, or the log beside a video, has the bytes that were watched."""
    for candidate in (path, path.with_suffix(".jsonl")):
        try:
            if library.content_hash(candidate) == content_hash:
                return True
        except OSError:
            continue
    return False


def _distance(one: Path, other: Path) -> int:
    shared = sum(1 for a, b in zip(one.parts, other.parts, strict=False) if a == b)
    return len(one.parts) + len(other.parts) - 2 * shared


def _header(log: Path) -> dict[str, Any]:
    try:
        with log.open("rb") as file:
            value = json.loads(file.readline(_HEADER_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
