"""One door for every recording: looks at what a file is and hands it to the reader that understands it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lookalike.core.errors import RecordingError
from lookalike.core.types import Demonstration, PlayerKind
from lookalike.recordings.asciicast import read_asciicast
from lookalike.recordings.files import check_file
from lookalike.recordings.jsonl import FORMAT, read_jsonl
from lookalike.recordings.terminal_video import read_terminal_video
from lookalike.recordings.transcript import read_transcript

_VIDEO_SUFFIXES = {".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".ogv", ".mpg", ".mpeg", ".ts", ".flv"}
_TEXT_SUFFIXES = {".txt", ".log", ".transcript", ".script", ".rec", ".md"}
_HEAD_BYTES = 4096


def read_recording(
    path: Path,
    *,
    environment: str | None = None,
    licence: str | None = None,
    player_kind: PlayerKind | None = None,
    progress: Callable[[float], None] | None = None,
) -> Demonstration:
    """Read a recording of any kind: terminal video, transcript, asciicast v2, or our JSONL.

    What a file is, is decided by its content first and its suffix second. A log beside a video is not
    looked at; it is read where it is named itself.

    Args:
        path: The recording.
        environment: Id of the environment it shows, where known.
        licence: SPDX expression; ``None`` takes the one in the file, or ``"unknown"``.
        player_kind: Who played; ``None`` takes what the file says, or ``"human"``.
        progress: Called with the finished fraction, 0 to 1.

    Raises:
        RecordingError: The file cannot be read, or holds nothing to learn from.
    """
    path = Path(path)
    check_file(path)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    kind = _kind(path, head)
    if kind == "video":
        demonstration = read_terminal_video(
            path,
            environment=environment,
            licence=licence or "unknown",
            player_kind=player_kind or "human",
            progress=progress,
        )
    elif kind == "jsonl":
        demonstration = read_jsonl(path, environment=environment, licence=licence, player_kind=player_kind)
    else:
        read = read_asciicast if kind == "asciicast" else read_transcript
        demonstration = read(
            path, environment=environment, licence=licence or "unknown", player_kind=player_kind or "human"
        )
    if progress is not None:
        progress(1.0)
    return demonstration


def _kind(path: Path, head: bytes) -> str:
    """Return ``video``, ``jsonl``, ``asciicast`` or ``transcript``."""
    suffix = path.suffix.lower()
    if (
        head[4:8] == b"ftyp"
        or head[:4] in (b"\x1a\x45\xdf\xa3", b"RIFF", b"OggS")
        or suffix in _VIDEO_SUFFIXES
    ):
        return "video"
    if suffix == ".cast":
        return "asciicast"
    if suffix == ".jsonl":
        return "jsonl"
    first = head.split(b"\n", 1)[0].strip()
    if first.startswith(b"{"):
        if FORMAT.encode() in first:
            return "jsonl"
        try:
            header = json.loads(first)
        except (ValueError, RecursionError):
            header = None
        if isinstance(header, dict) and "version" in header and "width" in header:
            return "asciicast"
    if suffix in _TEXT_SUFFIXES or (b"\x00" not in head and _mostly_text(head)):
        return "transcript"
    raise RecordingError(
        "What kind of recording this is cannot be told.",
        got=f"{path.name}: first bytes {head[:12]!r}",
        expected="a video, a transcript (.txt), an asciicast (.cast) or a JSONL log (.jsonl)",
        remedy="check the file, or give it the suffix of what it is",
    )


def _mostly_text(head: bytes) -> bool:
    text = head.decode("utf-8", "replace")
    readable = sum(character.isprintable() or character.isspace() for character in text)
    return "\ufffd" not in text[:-4] and readable > 0.95 * len(text)
