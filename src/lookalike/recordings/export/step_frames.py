"""Pictures of a dataset's video by their place in it: one a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lookalike.core.errors import RecordingError
from lookalike.core.types import Frame
from lookalike.recordings.export.dataset import MAX_FRAME_BYTES, check_bytes, damaged
from lookalike.recordings.export.pictures import MAX_PICTURE_PIXELS


def read_step_frames(path: Path, *, start_s: float, count: int, fps: float) -> list[Frame]:
    """Return ``count`` pictures from ``start_s`` on, one every 1 / ``fps`` seconds.

    Raises:
        RecordingError: Missing, damaged, too large, or not that many pictures from there on.
    """
    import av

    frames: list[Frame] = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            if context is None:
                raise damaged(path, "a codec that is not known", "an mp4 file")
            pixels = context.width * context.height
            if pixels > MAX_PICTURE_PIXELS:
                raise damaged(path, f"{pixels} pixels", f"at most {MAX_PICTURE_PIXELS}")
            check_bytes(path, 3 * pixels * count, MAX_FRAME_BYTES)
            begin = round(start_s * fps)
            if begin:
                # Lands on the key frame before it.
                container.seek(int(start_s * 1_000_000), backward=True)
            for picture in container.decode(stream):
                place = round(float(picture.time or 0.0) * fps) - begin
                if place < len(frames):
                    continue
                if place > len(frames) or len(frames) == count:
                    break
                if (picture.height, picture.width) != (context.height, context.width):
                    raise damaged(path, "pictures of different sizes", "one size")
                frames.append(np.ascontiguousarray(picture.to_ndarray(format="rgb24"), dtype=np.uint8))
                if len(frames) == count:
                    break
    except RecordingError:
        raise
    except (OSError, ValueError, IndexError) as error:
        raise damaged(path, error, "a whole mp4 file") from error
    if len(frames) < count:
        raise damaged(path, f"{len(frames)} pictures from {start_s:g} s on", f"{count}, one a step")
    return frames
