"""Makes small real videos with known pictures, for every way a recording can be odd."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SQUARE = 24


def picture(step: int, *, width: int = 128, height: int = 96) -> np.ndarray:
    """A white square on green that moves right by 2 pixels a step; the upper left corner is red."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 1] = 90
    image[: height // 4, : width // 4] = (220, 30, 30)
    left = 20 + 2 * step
    image[height // 2 : height // 2 + SQUARE, left : left + SQUARE] = 255
    return image


def square_left(frame: np.ndarray) -> float:
    """Where the square begins, as a share of the width."""
    lit = np.nonzero((frame.min(axis=2) > 160).any(axis=0))[0]
    return float(lit[0]) / frame.shape[1]


def write_video(
    path: Path,
    pictures: list[np.ndarray],
    *,
    times_ms: list[int] | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pixels: str = "yuv420p",
) -> Path:
    """Encode pictures at 20 a second, or at given times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts = times_ms[number] if times_ms else 50 * number
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn(path: Path, degrees: int) -> Path:
    """Write a display matrix into an mp4: players turn the picture by so many degrees, clockwise."""
    matrices = {
        90: (0, 1, -1, 0),
        180: (-1, 0, 0, -1),
        270: (0, -1, 1, 0),
    }
    a, b, c, d = (value * 65536 for value in matrices[degrees])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 4 * 2
    identity = b"".join(v.to_bytes(4, "big", signed=True) for v in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    assert data[at : at + 36] == identity
    new = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in new)
    path.write_bytes(data)
    return path
