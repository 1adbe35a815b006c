"""Decodes the pictures of a video of play, small and upright, one at a time, whatever its size or length.

Rotation is taken from the file's display matrix, black bars are found and cut away, pictures that cannot be
decoded are skipped and counted, and times come from the file's own timestamps, so a frame rate that varies
does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lookalike.core.errors import RecordingError, UsageError
from lookalike.core.types import Frame
from lookalike.recordings.files import check_file
from lookalike.recordings.video_frames import MAX_PIXELS

DEFAULT_SIZE = 64
MAX_SIZE = 1024
_BAR_LUMA = 24
_LEAST_BAR, _LEAST_CONTENT = 0.02, 0.3
_PROBES = 12
_TURNS = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}


class VisualFrame(NamedTuple):
    """A picture of the video.

    Attributes:
        time_s: Seconds from the first picture.
        number: Which of the file's pictures it is, counting those that could not be decoded.
        frame: uint8 [size, size, 3].
    """

    time_s: float
    number: int
    frame: Frame


@dataclass(frozen=True)
class Shape:
    """How a video's pictures are brought into shape.

    Attributes:
        width: Of the file's pictures, in pixels, before anything.
        height: Likewise.
        rotation: Degrees, counter-clockwise, by which the file wants to be shown: 0, 90, 180 or 270.
        crop: (left, top, width, height) of what is inside the black bars, in the file's pixels; ``None``
            where there are none.
        rate: Pictures a second on average, or ``None`` where the file does not say.
        duration_s: As the file declares it, or ``None``.
    """

    width: int
    height: int
    rotation: int = 0
    crop: tuple[int, int, int, int] | None = None
    rate: float | None = None
    duration_s: float | None = None

    def notes(self) -> list[str]:
        """Return what was done to the pictures, in a few words each."""
        notes = [f"{self.width} x {self.height}"]
        if self.rotation:
            notes.append(f"turned by {self.rotation} degrees")
        if self.crop is not None:
            notes.append(f"black bars cut away, {self.crop[2]} x {self.crop[3]} left")
        return notes


class VideoPictures:
    """The pictures of a video; iterate to decode them, as often as wanted.

    Args:
        path: Any container and codec that FFmpeg reads; mp4, webm and gif among them.
        size: Sides of the pictures handed out, in pixels; other proportions are squeezed.
        sample_fps: Pictures a second: the one shown at each such time; ``None`` for every picture once.
        keep_bars: Leave black bars where they are.

    Attributes:
        shape: See :class:`Shape`.
        skipped: Pictures of the last pass that could not be decoded.

    Raises:
        RecordingError: Missing, empty, no video, too large, or in a codec that is not there.
        UsageError: The size or the rate cannot be meant.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: int = DEFAULT_SIZE,
        sample_fps: float | None = None,
        keep_bars: bool = False,
    ) -> None:
        if not 8 <= size <= MAX_SIZE:
            raise UsageError(
                "Frames of this size are not made.", got=size, expected=f"8 to {MAX_SIZE} pixels"
            )
        if sample_fps is not None and not 0 < sample_fps <= 1000:
            raise UsageError(
                "A video cannot be sampled so.", got=sample_fps, expected="pictures a second > 0"
            )
        self.path, self._size, self._sample_fps = path, size, sample_fps
        self.skipped = 0
        self.shape = _shape(path, keep_bars=keep_bars)

    def __iter__(self) -> Iterator[VisualFrame]:
        frames = self._decoded()
        return frames if self._sample_fps is None else _sampled(frames, self._sample_fps)

    def _decoded(self) -> Iterator[VisualFrame]:
        self.skipped = 0
        resize = _Resizer(self.shape, self._size)
        start: float | None = None
        index = 0
        with open_video(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for decoded in _whole_frames(container, stream):
                if decoded is None:
                    self.skipped += 1
                    index += 1
                    continue
                now = decoded.time
                rate = self.shape.rate or 25.0
                time_s = index / rate if now is None else float(now)
                start = time_s if start is None else start
                yield VisualFrame(max(0.0, time_s - start), index, resize(decoded))
                index += 1


def open_video(path: Path) -> Any:
    """Open a video, having made sure that its pictures can be decoded.

    Raises:
        RecordingError: It is none, has no pictures, or is in a codec that is not there.
    """
    import av

    check_file(path)
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    fault: RecordingError | None = None
    if not container.streams.video:
        fault = _unreadable(path, "it has no video stream")
    else:
        context = container.streams.video[0].codec_context
        if context is None or not getattr(context, "codec", None):
            fault = _no_codec(path, container.streams.video[0])
        elif context.width * context.height > MAX_PIXELS:
            fault = _unreadable(path, f"its pictures have {context.width} x {context.height} pixels")
    if fault is not None:
        container.close()
        raise fault
    return container


def _whole_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yield every picture in order, and ``None`` for each that cannot be decoded."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (OSError, ValueError):
            yield None  # the file goes on as nothing that could be told apart
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except (OSError, ValueError):
            yield None
            continue
        for frame in frames:
            yield None if frame.is_corrupt else frame


class _Resizer:
    """Brings pictures upright, without bars and to size; a filter graph is built only where it is needed."""

    def __init__(self, shape: Shape, size: int) -> None:
        self._shape, self._size = shape, size
        self._filtered = shape.rotation != 0 or shape.crop is not None
        from av.video.reformatter import VideoReformatter

        # One for all pictures: a frame's own would set its scaler up anew, which takes longer than scaling.
        self._reformatter: Any = VideoReformatter()
        self._graph: Any = None
        self._key: tuple[int, int, str] | None = None

    def __call__(self, frame: Any) -> Frame:
        if self._filtered:
            frame = self._straight(frame)
        small = self._reformatter.reformat(
            frame, width=self._size, height=self._size, format="rgb24", interpolation="AREA"
        )
        plane = small.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return rows[: self._size, : self._size * 3].reshape(self._size, self._size, 3).copy()

    def _straight(self, frame: Any) -> Any:
        key = (frame.width, frame.height, frame.format.name)
        if key != self._key:
            self._graph, self._key = self._build(frame), key
        self._graph.push(frame)
        return self._graph.pull()

    def _build(self, frame: Any) -> Any:
        import av.filter

        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        last = source
        if self._shape.crop is not None:
            left, top, width, height = self._shape.crop
            crop = graph.add("crop", f"{width}:{height}:{left}:{top}:exact=1")
            last.link_to(crop)
            last = crop
        if self._shape.rotation:
            for step in _TURNS[self._shape.rotation].split(","):
                name, _, argument = step.partition("=")
                turn = graph.add(name, argument) if argument else graph.add(name)
                last.link_to(turn)
                last = turn
        sink = graph.add("buffersink")
        last.link_to(sink)
        graph.configure()
        return graph


def _shape(path: Path, *, keep_bars: bool) -> Shape:
    """Look at pictures spread over the video: how they are turned, and what is black in all of them."""
    with open_video(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate) if stream.average_rate else None
        duration_s: float | None = None
        if stream.duration and stream.time_base:
            duration_s = float(stream.duration * stream.time_base)
        elif container.duration:
            duration_s = container.duration / 1_000_000
        first: Any = None
        brightest: Any = None
        for frame in _probes(container, stream, duration_s):
            first = frame if first is None else first
            if (frame.width, frame.height) != (first.width, first.height):
                continue
            luma = frame.reformat(format="gray").to_ndarray()
            brightest = luma if brightest is None else np.maximum(brightest, luma)
        if first is None:
            raise _unreadable(path, "no picture could be decoded")
        rotation = round(float(getattr(first, "rotation", 0) or 0)) % 360
        rotation = rotation if rotation in _TURNS else 0
        crop = None if keep_bars else _inside_bars(brightest)
        return Shape(first.width, first.height, rotation, crop, rate, duration_s)


def _probes(container: Any, stream: Any, duration_s: float | None) -> Iterator[Any]:
    """Yield a few pictures: the first ones, and key frames spread over the video."""
    found = 0
    for frame in _whole_frames(container, stream):
        if frame is not None:
            yield frame
            found += 1
        if found >= 3:
            break
    for number in range(_PROBES):
        if not duration_s:
            return
        try:
            container.seek(int(duration_s * (number + 0.5) / _PROBES * 1_000_000), backward=True)
            yield next(container.decode(stream))
        except (OSError, ValueError, StopIteration):
            continue


def _inside_bars(brightest: Any) -> tuple[int, int, int, int] | None:
    """Return what is inside black bars that lie opposite each other, or ``None``.

    A game may be dark at one side; bars are dark at both, by the same measure and in every picture.
    """
    height, width = brightest.shape
    left, right = _dark_ends(brightest.max(axis=0))
    top, bottom = _dark_ends(brightest.max(axis=1))
    across = left if _is_pair(left, right, width) else 0
    down = top if _is_pair(top, bottom, height) else 0
    if not across and not down:
        return None
    inner_width = width - (left + right if across else 0)
    inner_height = height - (top + bottom if down else 0)
    if inner_width < _LEAST_CONTENT * width or inner_height < _LEAST_CONTENT * height:
        return None
    return across, down, inner_width, inner_height


def _dark_ends(brightest: Any) -> tuple[int, int]:
    """Return how many lines are dark at the beginning and at the end."""
    lit = np.nonzero(brightest > _BAR_LUMA)[0]
    return (0, 0) if len(lit) == 0 else (int(lit[0]), int(len(brightest) - 1 - lit[-1]))


def _is_pair(one: int, other: int, whole: int) -> bool:
    return min(one, other) >= _LEAST_BAR * whole and abs(one - other) <= max(2, 0.02 * whole)


def _sampled(frames: Iterator[VisualFrame], fps: float) -> Iterator[VisualFrame]:
    """Yield the picture that is shown at each multiple of 1/fps seconds."""
    shown: VisualFrame | None = None
    number = 0
    for frame in frames:
        while shown is not None and number / fps < frame.time_s - 1e-9:
            yield shown._replace(time_s=number / fps)
            number += 1
        shown = frame
    if shown is not None and number / fps <= shown.time_s + 1e-9:
        yield shown._replace(time_s=number / fps)


def report_progress(
    frames: Iterator[VisualFrame], duration_s: float | None, progress: Callable[[float], None] | None
) -> Iterator[VisualFrame]:
    """Pass frames on, telling the finished fraction about a hundred times."""
    told = 0.0
    for frame in frames:
        yield frame
        if progress is not None and duration_s and frame.time_s / duration_s >= told + 0.01:
            told = min(1.0, frame.time_s / duration_s)
            progress(told)


def _no_codec(path: Path, stream: Any) -> RecordingError:
    name = getattr(stream, "name", None) or getattr(stream.codec_context, "name", None) or "unknown"
    return RecordingError(
        "There is no decoder for this video's codec here.",
        got=f"{path.name}: codec {name}",
        expected="one that the installed FFmpeg decodes: H.264, HEVC, VP8, VP9, AV1, MPEG-4, GIF",
        remedy=f"Convert it: ffmpeg -i {path.name} -c:v libx264 converted.mp4",
    )


def _unreadable(path: Path, reason: object) -> RecordingError:
    return RecordingError(
        "This file holds no video that can be read.",
        got=f"{path.name}: {reason}",
        expected="a whole mp4, webm, gif or other video file",
        remedy="copy or record it again",
    )
