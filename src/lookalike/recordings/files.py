"""Opening and saving recordings: every way a file can be unusable gets a message that says what to do."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lookalike.core.errors import RecordingError
from lookalike.core.ids import hash_json
from lookalike.recordings.text_safety import MAX_FILE_BYTES


def check_file(path: Path) -> None:
    """Make sure that ``path`` is a file with something in it that may be read.

    Raises:
        RecordingError: Missing, a folder, empty, or without permission.
    """
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise RecordingError(
            "The recording does not exist.", got=path, expected="an existing file", remedy="check the path"
        ) from error
    except IsADirectoryError as error:
        raise RecordingError(
            "The recording is a folder, and no dataset that is known.",
            got=path,
            expected="a file, or a folder of LeRobot v3, Minari (HDF5) or exported tables",
            remedy="name one file in it, or the dataset's own folder",
        ) from error
    except PermissionError as error:
        raise RecordingError(
            "The recording may not be read.",
            got=f"{path}: permission denied",
            expected="a file this user may read",
            remedy="change its permissions or copy it",
        ) from error
    except OSError as error:
        raise RecordingError(
            "The recording cannot be opened.",
            got=f"{path}: {error}",
            expected="a readable file",
            remedy="check the disk and the path",
        ) from error
    if empty:
        raise RecordingError(
            "The recording is empty.",
            got=f"{path}: zero bytes",
            expected="a video, a transcript, an asciicast or a JSONL log",
            remedy="record or copy it again",
        )


def read_bytes(path: Path) -> bytes:
    """Return a text recording's bytes, bounded.

    Raises:
        RecordingError: As :func:`check_file`, or larger than ``MAX_FILE_BYTES``.
    """
    check_file(path)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise RecordingError(
            "The recording is too large to be a text.",
            got=f"{path.name}: {size} bytes",
            expected=f"at most {MAX_FILE_BYTES} bytes",
            remedy="split it, or give the video itself",
        )
    return path.read_bytes()


def atomic_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all.

    Raises:
        RecordingError: It cannot be written, e.g. a full disk; the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RecordingError(
            "The recording could not be saved; nothing was left behind.",
            got=f"{path}: {error}",
            expected="a folder that can be written, with enough space",
            remedy="free some space or choose another folder",
        ) from error


def demonstration_id(reader: str, content_hash: str) -> str:
    """Return the id of what ``reader`` makes of a file: 16 hexadecimal digits, the same for equal bytes."""
    return hash_json({"reader": reader, "content_hash": content_hash})[:16]
