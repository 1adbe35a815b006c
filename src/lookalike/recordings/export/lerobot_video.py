"""The pictures of a LeRobot dataset: one frame a step, all episodes of a file one after the other."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from lookalike.core.types import Frame
from lookalike.recordings.export.lerobot_format import pixel_format

# Small pictures with sharp edges: little loss; a key frame every other frame, so that any step is reached at
# once, as LeRobot's own files have it.
_OPTIONS = {"preset": "veryfast", "crf": "10", "bf": "0", "g": "2"}


class StepVideo:
    """An mp4 file being written (H.264).

    Args:
        path: The file; its folder is made.
        shape: Of every picture, ``(H, W, 3)``.
        fps: Frames a second.
    """

    def __init__(self, path: Path, *, shape: tuple[int, ...], fps: int) -> None:
        import av

        path.parent.mkdir(parents=True, exist_ok=True)
        self.frames = 0
        self._path = path
        self._container: Any = av.open(str(path), "w")
        self._stream: Any = self._container.add_stream("libx264", rate=fps, options=_OPTIONS)
        self._stream.height, self._stream.width = shape[:2]
        self._stream.pix_fmt = self._format = pixel_format(shape)
        self._stream.time_base = Fraction(1, fps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the file; after an error only let it go."""
        if kind is not None:
            with contextlib.suppress(OSError):
                self._container.close()
            return
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, picture: Frame) -> None:
        """Write one picture, uint8 ``[H, W, 3]``."""
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = frame.reformat(format=self._format)
        frame.pts = self.frames
        self.frames += 1
        self._container.mux(self._stream.encode(frame))

    def written_bytes(self) -> int:
        """Return how large the file is so far."""
        return self._path.stat().st_size
