"""Making images fit what an API takes. What was changed is said; what cannot be read is refused."""

from __future__ import annotations

import io
from dataclasses import dataclass

from lookalike.core.errors import CapabilityError, ModelError
from lookalike.core.protocols import Media

IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
MAX_PIXELS = 120_000_000


@dataclass(frozen=True)
class MediaLimits:
    """What one API takes.

    Attributes:
        image_side: Longest side of an image, in pixels; larger ones would be made smaller there, and paid.
        image_bytes: Bytes of one image's file.
        video_bytes: Bytes of one video's file.
    """

    image_side: int
    image_bytes: int
    video_bytes: int = 0


# Published limits, below them where a larger image is only scaled down by the service itself.
LIMITS: dict[str, MediaLimits] = {
    "openai": MediaLimits(image_side=2048, image_bytes=20_000_000),
    "anthropic": MediaLimits(image_side=1568, image_bytes=3_700_000),
    "google": MediaLimits(image_side=3072, image_bytes=7_000_000, video_bytes=2_000_000_000),
}


def fit_image(image: Media, limits: MediaLimits) -> tuple[Media, str | None]:
    """Return an image that an API takes, and a sentence if it had to be changed.

    Args:
        image: PNG, JPEG, WebP or GIF.
        limits: The API's.

    Raises:
        ModelError: It is no image, of another kind, or absurdly large.
    """
    from PIL import Image

    if image.media_type not in IMAGE_TYPES:
        raise _bad(f"an image of type {image.media_type!r:.60}")
    try:
        with Image.open(io.BytesIO(image.data)) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                raise _bad(f"{width} x {height} pixels")
            if max(width, height) <= limits.image_side and len(image.data) <= limits.image_bytes:
                opened.verify()
                return image, None
            opened.load()
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _bad(f"{len(image.data):,} bytes that are no image ({type(error).__name__})") from None
    side = limits.image_side
    while True:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        small.save(out, "JPEG", quality=90)
        if out.tell() <= limits.image_bytes or side <= 64:
            break
        side = side * 3 // 4
    note = (
        f"An image of {width} x {height} pixels and {len(image.data):,} bytes was made smaller: "
        f"{small.width} x {small.height} pixels, {out.tell():,} bytes."
    )
    return Media(out.getvalue(), "image/jpeg"), note


def check_video(video: Media, limits: MediaLimits) -> None:
    """Refuse a video that an API does not take whole.

    Raises:
        CapabilityError: It is too large; sampling frames is the expert's business.
        ModelError: It is no video.
    """
    if not video.media_type.startswith("video/") or not video.data:
        raise ModelError(
            "What was given as a video is none.",
            got=f"{video.media_type!r:.60}, {len(video.data):,} bytes",
            expected="a file of type video/...",
        )
    if len(video.data) > limits.video_bytes:
        raise CapabilityError(
            "A video is larger than the service takes.",
            got=f"{len(video.data):,} bytes",
            expected=f"at most {limits.video_bytes:,} bytes",
            remedy="split it, or let the expert sample frames from it",
        )


def _bad(got: str) -> ModelError:
    return ModelError(
        "An image cannot be sent.",
        got=got,
        expected=f"PNG, JPEG, WebP or GIF of at most {MAX_PIXELS:,} pixels",
    )
