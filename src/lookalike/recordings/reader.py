"""One door for every recording: looks at what a file is and hands it to the reader that understands it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from lookalike.core.errors import RecordingError
from lookalike.core.types import Demonstration, PlayerKind
from lookalike.recordings.asciicast import read_asciicast
from lookalike.recordings.datasets import Datasets, open_datasets
from lookalike.recordings.files import check_file
from lookalike.recordings.jsonl import FORMAT, read_jsonl
from lookalike.recordings.terminal_video import read_terminal_video
from lookalike.recordings.transcript import read_transcript
from lookalike.recordings.video_kind import shows_text
from lookalike.recordings.visual_actions import find_actions, is_action_log
from lookalike.recordings.visual_video import read_visual_video

VideoKind = Literal["auto", "terminal", "visual"]

_VIDEO_SUFFIXES = {
    ".mp4",
    ".m4v",
    ".mov",
    ".webm",
    ".mkv",
    ".avi",
    ".ogv",
    ".mpg",
    ".mpeg",
    ".ts",
    ".flv",
    ".gif",
}
_TEXT_SUFFIXES = {".txt", ".log", ".transcript", ".script", ".rec", ".md"}
_HEAD_BYTES = 4096


def read_recording(
    path: Path,
    *,
    environment: str | None = None,
    licence: str | None = None,
    player_kind: PlayerKind | None = None,
    episode: int | None = None,
    kind: VideoKind = "auto",
    progress: Callable[[float], None] | None = None,
) -> Demonstration:
    """Read a recording of any kind: a video, a transcript, asciicast v2, our JSONL, or a dataset.

    What a file is, is decided by its content first and its suffix second. A video with actions beside it
    (``x.jsonl`` or ``x.actions.jsonl``) is one of a game on the screen, and so is one in which no text can be
    read; any other is one of a terminal. A terminal recording's log beside its video is not looked at; it is
    read where it is named itself. Datasets are LeRobot v3 and Minari folders and exported
    runs; :func:`read_recordings` reads all of their episodes.

    Args:
        path: The recording.
        environment: Id of the environment it shows, where known.
        licence: SPDX expression; ``None`` takes the one in the file, or ``"unknown"``.
        player_kind: Who played; ``None`` takes what the file says, or ``"human"``.
        episode: Which of a dataset's episodes, 0-based; ``None`` where there is only one.
        kind: What a video shows: ``"terminal"`` is read as text, ``"visual"`` as frames of 64 x 64
            (``read_visual_video`` has more to choose); ``"auto"`` finds out.
        progress: Called with the finished fraction, 0 to 1.

    Raises:
        RecordingError: The file cannot be read, holds nothing to learn from, or is a dataset of several
            episodes and none was named.
    """
    path = Path(path)
    datasets = open_datasets(path, environment=environment, licence=licence, player_kind=player_kind)
    if datasets is not None or episode is not None:
        demonstration = _only(path, datasets, episode)
        if progress is not None:
            progress(1.0)
        return demonstration
    check_file(path)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    form = _form(path, head)
    if form == "frame-actions":
        path, form = _video_beside(path), "video"
    if form == "video" and (kind == "visual" or (kind == "auto" and _is_visual(path))):
        demonstration = read_visual_video(
            path, environment=environment, licence=licence, player_kind=player_kind, progress=progress
        )
    elif form == "video":
        demonstration = read_terminal_video(
            path,
            environment=environment,
            licence=licence or "unknown",
            player_kind=player_kind or "human",
            progress=progress,
        )
    elif form == "jsonl":
        demonstration = read_jsonl(path, environment=environment, licence=licence, player_kind=player_kind)
    else:
        read = read_asciicast if form == "asciicast" else read_transcript
        demonstration = read(
            path, environment=environment, licence=licence or "unknown", player_kind=player_kind or "human"
        )
    if progress is not None:
        progress(1.0)
    return demonstration


def read_recordings(
    path: Path,
    *,
    environment: str | None = None,
    licence: str | None = None,
    player_kind: PlayerKind | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Demonstration]:
    """Read all that a file or folder holds, one at a time: every episode of a dataset, or the one recording.

    Episodes without a step are passed over.

    Args:
        path: As for :func:`read_recording`, like the other arguments.
        environment: Id of the environment.
        licence: SPDX expression.
        player_kind: Who played.
        progress: Called with the finished fraction, 0 to 1.

    Raises:
        RecordingError: Something in it cannot be read, or no episode has a step.
    """
    path = Path(path)
    datasets = open_datasets(path, environment=environment, licence=licence, player_kind=player_kind)
    if datasets is None:
        yield read_recording(
            path, environment=environment, licence=licence, player_kind=player_kind, progress=progress
        )
        return
    found = False
    for number in range(len(datasets)):
        if datasets.has_steps(number):
            found = True
            yield datasets.demonstration(number)
        if progress is not None:
            progress((number + 1) / len(datasets))
    if not found:
        raise RecordingError(
            "The dataset holds nothing to learn from.",
            got=f"{path.name}: {len(datasets)} episodes without a step",
            expected="an episode with a step",
            remedy="export a run after something was played",
        )


def _only(path: Path, datasets: Datasets | None, episode: int | None) -> Demonstration:
    """Return the named episode, or the only one."""
    if datasets is None:
        raise RecordingError(
            "Only a dataset has episodes to choose from.",
            got=f"{path.name}, episode {episode}",
            expected="a LeRobot or Minari folder, or an exported run",
            remedy="leave the episode out",
        )
    if episode is None and len(datasets) != 1:
        raise RecordingError(
            "This dataset holds several episodes; a demonstration is one.",
            got=f"{path.name}: {len(datasets)} episodes",
            expected=f"one of them: episode=0 to {len(datasets) - 1}",
            remedy="name one (episode=0), or read all of them (read_recordings)",
        )
    return datasets.demonstration(episode or 0)


def _is_visual(path: Path) -> bool:
    return find_actions(path) is not None or not shows_text(path)


def _video_beside(actions: Path) -> Path:
    """Return the video that an actions file belongs to.

    Raises:
        RecordingError: There is none.
    """
    stem = actions.stem.removesuffix(".actions")
    for suffix in sorted(_VIDEO_SUFFIXES):
        if (video := actions.with_name(stem + suffix)).is_file():
            return video
    raise RecordingError(
        "These are the actions of a video that is not here.",
        got=actions.name,
        expected=f"{stem}.mp4 beside it",
        remedy="put the video beside its actions",
    )


def _form(path: Path, head: bytes) -> str:
    """Return ``video``, ``frame-actions``, ``jsonl``, ``asciicast`` or ``transcript``."""
    suffix = path.suffix.lower()
    if (
        head[4:8] == b"ftyp"
        or head[:4] in (b"\x1a\x45\xdf\xa3", b"RIFF", b"OggS", b"GIF8")
        or suffix in _VIDEO_SUFFIXES
    ):
        return "video"
    if suffix == ".cast":
        return "asciicast"
    if suffix == ".jsonl":
        return "frame-actions" if is_action_log(path) else "jsonl"
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
        expected="a video, a transcript (.txt), an asciicast (.cast), a JSONL log (.jsonl) or a dataset",
        remedy="check the file, or give it the suffix of what it is",
    )


def _mostly_text(head: bytes) -> bool:
    text = head.decode("utf-8", "replace")
    readable = sum(character.isprintable() or character.isspace() for character in text)
    return "\ufffd" not in text[:-4] and readable > 0.95 * len(text)
