"""Videos to the browser: by byte ranges, so that it can jump; or picture by picture where it has no codec."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from lookalike.core.errors import RecordingError

_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska", ".mov": "video/quicktime"}
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_PIECE = 256 * 1024
_LARGEST_FRAME = 1_280
_MOST_PIXELS = 64_000_000


def video_response(path: Path, asked: str | None) -> Response:
    """Answer a video, or the range of it that was asked for.

    Args:
        path: The file.
        asked: The request's Range header.

    Raises:
        HTTPException: A range beyond the file's end, or a file that is gone.
    """
    try:
        size = path.stat().st_size
    except OSError:
        raise HTTPException(404, "The video's file is gone.") from None
    start, end = 0, size - 1
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
    match = _RANGE.fullmatch(asked.strip()) if asked else None
    if match and any(match.groups()):
        if match[1]:
            start, end = int(match[1]), min(int(match[2]), size - 1) if match[2] else size - 1
        else:
            start = max(0, size - int(match[2]))
        if start >= size or start > end:
            raise HTTPException(
                416, "This range is not in the video.", headers={"Content-Range": f"bytes */{size}"}
            )
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    headers["Content-Length"] = str(end - start + 1)
    kind = _TYPES.get(path.suffix.lower(), "application/octet-stream")
    status = 206 if "Content-Range" in headers else 200
    return StreamingResponse(_pieces(path, start, end), status_code=status, headers=headers, media_type=kind)


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        left = end - start + 1
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece


def frame_at(path: Path, time_s: float) -> bytes:
    """Return the picture shown at a time, as JPEG; the last one where the time is beyond the end.

    Raises:
        RecordingError: The video cannot be read.
    """
    import av

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            stream = container.streams.video[0]
            if stream.codec_context.width * stream.codec_context.height > _MOST_PIXELS:
                raise ValueError("its pictures are too large")
            start = float((stream.start_time or 0) * (stream.time_base or 0))
            base = float(stream.time_base or 1)
            container.seek(int((time_s + start) / base), stream=stream, backward=True)
            found: Any = None
            for frame in container.decode(stream):
                if found is not None and float(frame.time or 0.0) - start > time_s + 1e-3:
                    break
                found = frame
            if found is None:
                raise ValueError("no picture could be decoded")
            picture = found.to_image()
    except (OSError, ValueError, IndexError) as error:
        raise RecordingError(
            "The video cannot be read.", got=f"{path.name}: {error}", remedy="copy or record it again"
        ) from error
    picture.thumbnail((_LARGEST_FRAME, _LARGEST_FRAME))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def duration_of(path: Path) -> float | None:
    """Return a video's length in seconds as it declares it; ``None`` where it cannot be read."""
    import av

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            return None if container.duration is None else container.duration / 1_000_000
    except (OSError, ValueError):
        return None
