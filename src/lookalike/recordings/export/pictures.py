"""Pictures in files that anybody may have made: encoded without loss, decoded within bounds."""

from __future__ import annotations

import io
import warnings

import numpy as np

from lookalike.core.errors import RecordingError
from lookalike.core.types import Frame

MAX_PICTURE_PIXELS = 64_000_000
"""Largest picture decoded (8K is 33 million)."""
MAX_PICTURE_BYTES = 256 * 1024 * 1024
"""Largest picture file read."""


def encode_png(frame: Frame) -> bytes:
    """Return a picture as a PNG file's bytes, without loss."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG")
    return buffer.getvalue()


def decode_png(data: bytes, *, where: str) -> Frame:
    """Return a PNG file's picture, uint8 ``[H, W, 3]``.

    Raises:
        RecordingError: Damaged, too large, or no PNG.
    """
    return _decode(data, ("PNG",), where)


def decode_picture(data: bytes, *, where: str) -> Frame:
    """Return a PNG or JPEG file's picture, uint8 ``[H, W, 3]``.

    Raises:
        RecordingError: Damaged, too large, or neither of them.
    """
    return _decode(data, ("PNG", "JPEG"), where)


def _decode(data: bytes, kinds: tuple[str, ...], where: str) -> Frame:
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=kinds) as image:
            warnings.simplefilter("ignore")
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RecordingError(
            "A picture cannot be decoded.",
            got=f"{where}: {error}",
            expected=f"a whole {' or '.join(kinds)} of at most {MAX_PICTURE_PIXELS} pixels",
            remedy="copy or export it again",
        ) from error
