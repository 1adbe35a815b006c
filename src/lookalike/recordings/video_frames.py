"""Decodes a video as a stream of grey pictures, one at a time, whatever its length.

Only the luma plane is looked at: it comes out of the decoder as it is, without a conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import RecordingError
from lookalike.recordings.files import check_file

Luma = NDArray[np.uint8]

MAX_PIXELS = 64_000_000
"""Largest picture decoded (8K is 33 million)."""
_MISSING_TAIL_S = 2.0


class LumaFrame(NamedTuple):
    """A picture of the video.

    Attributes:
        time_s: Seconds from the first frame.
        luma: uint8 ``[H, W]``; valid until the next frame is asked for.
    """

    time_s: float
    luma: Luma


def luma_frames(path: Path, *, progress: Callable[[float], None] | None = None) -> Iterator[LumaFrame]:
    """Yield every frame of the first video stream, in order.

    Args:
        path: Any container and codec that FFmpeg reads.
        progress: Called with the finished fraction, 0 to 1, about a hundred times.

    Raises:
        RecordingError: Missing, empty, not a video, without pictures, or cut off before its declared end.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        promised_s = _promised_s(container, stream)
        start: float | None = None
        seen_s, reported = 0.0, 0.0
        error: Exception | None = None
        frames = _decode(container, stream)
        while True:
            try:
                frame = next(frames, None)
            except (OSError, ValueError) as failure:
                error = failure
                break
            if frame is None:
                break
            now = float(frame.time or 0.0)
            start = now if start is None else start
            seen_s = max(seen_s, now - start)
            yield LumaFrame(now - start, _luma(frame))
            if progress is not None and promised_s and seen_s / promised_s >= reported + 0.01:
                reported = min(1.0, seen_s / promised_s)
                progress(reported)
        if start is None:
            raise _not_a_video(path, error or "no picture could be decoded")
        frame_s = 1 / float(stream.average_rate or 25)
        cut_off = promised_s is not None and seen_s + frame_s < 0.98 * promised_s - _MISSING_TAIL_S
        if cut_off or error is not None:
            raise RecordingError(
                "The video is cut off.",
                got=f"{path.name}: {seen_s:.1f} s of pictures"
                + (f" of {promised_s:.1f} s" if promised_s else "")
                + (f" ({error})" if error else ""),
                expected="a whole file",
                remedy="copy or record it again",
            )


def sample_frames(path: Path, count: int) -> list[Luma]:
    """Return about ``count`` pictures spread over the video, cheaply: the key frames nearest to each place.

    Raises:
        RecordingError: As :func:`luma_frames`, but for the end of the file.
    """
    samples: list[Luma] = []
    with _open(path) as container:
        stream = container.streams.video[0]
        promised_s = _promised_s(container, stream)
        places = [promised_s * (i + 0.5) / count for i in range(count)] if promised_s else []
        for place in places:
            try:
                container.seek(int(place * 1_000_000), backward=True)
                frame = next(container.decode(stream))
            except (OSError, ValueError, StopIteration):
                continue
            luma = _luma(frame).copy()
            if not any(luma.shape == other.shape and np.array_equal(luma, other) for other in samples):
                samples.append(luma)
    # A short video has few key frames, and one without an index cannot be searched.
    if len(samples) < min(count, 8):
        for number, frame in enumerate(_until_error(path)):
            if number % 20 == 0:
                samples.append(frame.luma.copy())
            if len(samples) >= 2 * count:
                break
    return samples


def _until_error(path: Path) -> Iterator[LumaFrame]:
    frames = luma_frames(path)
    yielded = False
    while True:
        try:
            frame = next(frames)
        except StopIteration:
            return
        except RecordingError:
            if yielded:
                return
            raise
        yielded = True
        yield frame


def _open(path: Path) -> Any:
    import av

    check_file(path)
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except (OSError, ValueError) as error:
        raise _not_a_video(path, error) from error
    if not container.streams.video:
        container.close()
        raise _not_a_video(path, "it has no video stream")
    context = container.streams.video[0].codec_context
    if context.width * context.height > MAX_PIXELS:
        container.close()
        raise _not_a_video(path, f"its pictures have {context.width} x {context.height} pixels")
    return container


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    yield from container.decode(stream)


def _luma(frame: Any) -> Luma:
    """Return the luma plane as a view, or convert where the format has none of 8 bits."""
    if frame.format.name not in (
        "yuv420p",
        "yuvj420p",
        "yuv422p",
        "yuvj422p",
        "yuv444p",
        "yuvj444p",
        "nv12",
        "gray",
    ):
        frame = frame.reformat(format="gray")
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


def _promised_s(container: Any, stream: Any) -> float | None:
    """Return the length that the file declares, in seconds."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None


def _not_a_video(path: Path, reason: object) -> RecordingError:
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"ftyp" or head[:4] == b"\x1a\x45\xdf\xa3":
        return RecordingError(
            "The video cannot be read: it is damaged, or cut off before its index.",
            got=f"{path.name}: {reason}",
            expected="a whole mp4 or webm file",
            remedy="copy or record it again",
        )
    return RecordingError(
        "This file is not a video.",
        got=f"{path.name}: {reason}",
        expected="an mp4, webm or other video file",
        remedy="give a video, a transcript (.txt), an asciicast (.cast) or a JSONL log (.jsonl)",
    )
