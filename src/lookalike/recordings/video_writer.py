"""Writes pictures into a video file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import RecordingError, UsageError

# Per container: encoders in the order they are tried, with options that suit still, sharp pictures.
_ENCODERS: dict[str, tuple[tuple[str, dict[str, str]], ...]] = {
    ".mp4": (
        ("libx264", {"preset": "veryfast", "crf": "20", "bf": "0"}),
        ("libopenh264", {}),
        ("mpeg4", {}),
    ),
    ".webm": (
        ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0", "row-mt": "1"}),
        ("libvpx", {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "4M"}),
    ),
}


class VideoWriter:
    """A video file being written. Use it as a context manager.

    The file is written under a temporary name beside its place and renamed when it is whole, so that a
    full disk or a crash never leaves half a video under the final name.

    Args:
        path: ``.mp4`` (H.264 where the encoder is there, else MPEG-4) or ``.webm`` (VP9, else VP8).
        width: In pixels, even.
        height: In pixels, even.
        fps: Frames per second.
    """

    def __init__(self, path: Path, *, width: int, height: int, fps: int) -> None:
        self.path = path
        suffix = path.suffix.lower()
        if suffix not in _ENCODERS:
            raise UsageError(
                "This kind of video cannot be written.",
                got=path.name,
                expected="a name that ends in .mp4 or .webm",
                remedy="choose another file name",
            )
        self._suffix = suffix
        self._size = (width, height)
        self._fps = fps
        self._temporary = path.with_name(f".{path.name}.part{suffix}")
        self._next = 0
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> Self:
        import av

        with self._errors():
            self._container = av.open(str(self._temporary), "w")
            self._stream = self._open_stream(av)
        return self

    def add(self, picture: NDArray[np.uint8], count: int = 1) -> None:
        """Show ``picture`` (uint8 ``[height, width, 3]``, RGB) for ``count`` frames."""
        import av

        if count <= 0:
            return
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        with self._errors():
            for _ in range(count):
                frame.pts = self._next
                self._next += 1
                for packet in self._stream.encode(frame):
                    self._container.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with contextlib.suppress(OSError):
                self._container.close()
            self._temporary.unlink(missing_ok=True)
            return
        with self._errors():
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            self._container.close()
            os.replace(self._temporary, self.path)

    def _open_stream(self, av: Any) -> Any:
        for name, options in _ENCODERS[self._suffix]:
            try:
                stream = self._container.add_stream(name, rate=self._fps, options=options)
            except (av.codec.codec.UnknownCodecError, ValueError):
                continue
            stream.width, stream.height = self._size
            stream.pix_fmt = "yuv420p"
            if name in ("mpeg4", "libopenh264"):
                # Without a constant quality, a bit rate that keeps text sharp.
                stream.bit_rate = 6_000_000
            stream.time_base = Fraction(1, self._fps)
            return stream
        raise RecordingError(
            f"No encoder for {self._suffix} is available.",
            expected=" or ".join(name for name, _ in _ENCODERS[self._suffix]),
            remedy="install PyAV from its wheel, which brings the encoders",
        )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn an error of the file system into ours and remove the unfinished file."""
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                if self._container is not None:
                    self._container.close()
            self._temporary.unlink(missing_ok=True)
            raise RecordingError(
                "The video could not be written; nothing was left behind.",
                got=f"{self.path}: {error}",
                expected="a folder that can be written, with enough space",
                remedy="free some space or choose another folder",
            ) from error
