"""Reads a video of play on the screen as a demonstration: small frames, and the actions where they are known.

Pictures pass one at a time; only the small ones are kept, in memory up to 64 MiB and beyond that in a
temporary file that the system maps in and drops when nobody uses it any more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import RecordingError
from lookalike.core.ids import hash_file, hash_json
from lookalike.core.types import Demonstration, Observation, PlayerKind, Provenance, Trajectory
from lookalike.recordings.text_safety import MAX_STEPS
from lookalike.recordings.visual_actions import ActionLog, find_actions, read_actions
from lookalike.recordings.visual_frames import (
    DEFAULT_SIZE,
    VideoPictures,
    VisualFrame,
    report_progress,
)

READER = "visual-video"
IN_MEMORY_BYTES = 64 << 20
MAX_KEPT_BYTES = 4 << 30
_FEW = 35
"""Pictures by which a video may be longer or shorter than its actions without anybody asking why."""


def read_visual_video(
    path: Path,
    *,
    environment: str | None = None,
    licence: str | None = None,
    player_kind: PlayerKind | None = None,
    size: int = DEFAULT_SIZE,
    sample_fps: float | None = None,
    actions: Path | bool = True,
    short_actions: bool = False,
    keep_bars: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Demonstration:
    """Read a video of play (mp4, webm, gif, ...), with the actions beside it where there are any.

    Args:
        path: The video.
        environment: Id of the environment it shows; ``None`` takes what the actions file says.
        licence: SPDX expression; ``None`` takes what the actions file says, or ``"unknown"``.
        player_kind: Who played; ``None`` takes what the actions file says, or ``"human"``.
        size: Sides of the frames, in pixels.
        sample_fps: Frames a second; ``None`` for every picture. Actions belong to pictures, so with them only
            every picture can be taken.
        actions: The actions file; ``True`` looks beside the video, ``False`` leaves the actions unknown.
        short_actions: Cut the video where the actions end, however early that is, instead of refusing.
        keep_bars: Leave black bars where they are.
        progress: Called with the finished fraction, 0 to 1.

    Raises:
        RecordingError: No video that can be read, a single picture, too long, or actions that do not fit.
    """
    path = Path(path)
    beside = find_actions(path) if actions is True else actions or None
    log = read_actions(beside) if beside is not None else None
    if log is not None and sample_fps is not None:
        raise RecordingError(
            "A video with actions cannot be sampled: each action belongs to one picture.",
            got=f"{sample_fps:g} pictures a second, and {log.path.name}",
            expected="every picture",
            remedy="leave the rate out, or the actions (actions=False)",
        )
    pictures = VideoPictures(path, size=size, sample_fps=sample_fps, keep_bars=keep_bars)
    seen = iter(pictures) if log is None else _one_a_step(iter(pictures))
    limit = min(MAX_STEPS + 1, MAX_KEPT_BYTES // (3 * size * size))
    if log is not None:
        limit = min(limit, len(log.actions) + _FEW + 2) if not short_actions else len(log.actions) + 1
    kept, times = _keep(path, report_progress(seen, pictures.shape.duration_s, progress), size, limit)
    if len(times) < 2:
        raise RecordingError(
            "The video shows a single picture, so nothing happens in it.",
            got=f"{path.name}: {len(times)} picture"
            + (f", {pictures.skipped} skipped" if pictures.skipped else ""),
            expected="at least two pictures",
            remedy="give the whole recording",
        )
    notes = [f"{len(times)} frames", *pictures.shape.notes()]
    if pictures.skipped:
        notes.append(f"{pictures.skipped} pictures could not be decoded")
    trajectory = _fitted(path, kept, times, log, notes, short_actions=short_actions)
    if progress is not None:
        progress(1.0)
    return _demonstration(
        path,
        log,
        trajectory,
        environment=environment,
        licence=licence,
        player_kind=player_kind,
        identity={"size": size, "sample_fps": sample_fps, "keep_bars": keep_bars, "notes": notes},
        note="; ".join(notes),
    )


def _fitted(
    path: Path,
    kept: NDArray[np.uint8],
    times: Sequence[float],
    log: ActionLog | None,
    notes: list[str],
    *,
    short_actions: bool,
) -> Trajectory:
    """Bring pictures and actions together: action i is what was done on picture i."""
    if log is None:
        return Trajectory(_observations(kept), (None,) * (len(kept) - 1), times=tuple(times))
    spare = len(kept) - 1 - len(log.actions)
    if spare > _FEW and not short_actions:
        raise RecordingError(
            "The actions file is shorter than the video.",
            got=f"{log.path.name}: {len(log.actions)} actions for more than {len(kept) - 1} pictures",
            expected=f"an action a picture, give or take {_FEW}",
            remedy="give the right file, or cut the video where the actions end (short_actions=True)",
        )
    if -spare > _FEW:
        raise RecordingError(
            "The video is shorter than its actions file.",
            got=f"{path.name}: {len(kept)} pictures for {len(log.actions)} actions",
            expected=f"an action a picture, give or take {_FEW}",
            remedy="give the whole video",
        )
    steps = min(len(kept) - 1, len(log.actions))
    if spare > 0:
        notes.append(f"{spare} pictures after the last action left out")
    elif spare < 0:
        notes.append(f"{-spare} actions after the last picture left out")
    return Trajectory(
        _observations(kept[: steps + 1]), log.actions[:steps], log.rewards[:steps], tuple(times[: steps + 1])
    )


def _observations(kept: NDArray[np.uint8]) -> tuple[Observation, ...]:
    return tuple(Observation(frame=frame) for frame in kept)


def _one_a_step(frames: Iterator[VisualFrame]) -> Iterator[VisualFrame]:
    """Fill in for pictures that could not be decoded by the one before: actions count all of them."""
    last: VisualFrame | None = None
    for frame in frames:
        while last is not None and last.number + 1 < frame.number:
            last = last._replace(number=last.number + 1)
            yield last
        yield frame
        last = frame


def _keep(
    path: Path, frames: Iterator[VisualFrame], size: int, limit: int
) -> tuple[NDArray[np.uint8], list[float]]:
    """Keep the small pictures: in memory, or past 64 MiB in a temporary file mapped in."""
    shape = (size, size, 3)
    each = 3 * size * size
    times: list[float] = []
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
        for frame in frames:
            if len(times) >= limit:
                break
            file.write(frame.frame.tobytes())
            times.append(frame.time_s)
        else:
            limit = max(limit, len(times) + 1)
        if len(times) >= min(MAX_STEPS + 1, MAX_KEPT_BYTES // each):
            raise RecordingError(
                "The video is too long.",
                got=f"{path.name}: more than {len(times)} frames",
                expected=f"at most {min(MAX_STEPS, MAX_KEPT_BYTES // each - 1)} frames of {size} x {size}",
                remedy="sample it (sample_fps=10), or split it",
            )
        if len(times) * each <= IN_MEMORY_BYTES:
            file.seek(0)
            kept = np.frombuffer(file.read(), np.uint8)
        else:
            file.rollover()
            file.flush()
            kept = np.memmap(file, np.uint8, "r", shape=(len(times) * each,)).view(np.ndarray)
    return kept.reshape(len(times), *shape), times


def _demonstration(
    path: Path,
    log: ActionLog | None,
    trajectory: Trajectory,
    *,
    environment: str | None,
    licence: str | None,
    player_kind: PlayerKind | None,
    identity: dict[str, Any],
    note: str,
) -> Demonstration:
    content_hash = hash_file(path)
    identity |= {"reader": READER, "content_hash": content_hash}
    if log is not None:
        identity["actions"] = hash_file(log.path)
        note += f"; actions from {log.path.name}"
    return Demonstration(
        id=hash_json(identity)[:16],
        trajectory=trajectory,
        player_kind=player_kind or (log.player_kind() if log is not None else None) or "human",
        provenance=Provenance(
            path.name,
            READER,
            content_hash,
            licence or (log.said("licence") if log is not None else None) or "unknown",
            note,
        ),
        environment=environment or (log.said("environment") if log is not None else None),
        started_with=log.seed() if log is not None else None,
        outcome=log.said("outcome") if log is not None else None,
    )
