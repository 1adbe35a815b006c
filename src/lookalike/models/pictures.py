"""Frames as images that vision models are shown."""

from __future__ import annotations

import io

from lookalike.core.protocols import Media
from lookalike.core.types import Frame

LEAST_SIDE = 256
"""Pixels of the shorter side, at least: small frames are enlarged by whole numbers, without smoothing."""


def picture(frame: Frame) -> Media:
    """Return a frame as PNG. Equal frames give equal bytes, so that cached responses are found again.

    Args:
        frame: RGB, uint8 ``[H, W, 3]``. Vision models see little in 64 x 64 pixels, so a small frame is
            shown larger.
    """
    from PIL import Image

    height, width = frame.shape[:2]
    factor = max(1, -(-LEAST_SIDE // min(height, width)))
    image = Image.fromarray(frame)
    if factor > 1:
        image = image.resize((width * factor, height * factor), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG")
    return Media(out.getvalue(), "image/png")
