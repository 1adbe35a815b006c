"""What a remote expert is shown of a recording: the video itself, chosen pictures, the transcript.

Pictures are chosen where the picture changes: change is added up from frame to frame, and the sum is cut
into equal parts, so that a still stretch costs nothing and a busy one is looked at often. Everything that
comes from a recording is fenced as data, and the whole stays within a budget of tokens.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import CapabilityError
from lookalike.core.protocols import Media, ModelCapabilities
from lookalike.core.types import Demonstration, Frame
from lookalike.models.pictures import picture
from lookalike.models.rendering import quoted

Unit = Literal["steps", "seconds"]

CHARACTERS_A_TOKEN = 4
TOKENS_AN_IMAGE = 1_000
MOST_IMAGES = 48
IMAGES_OF_A_SPAN = 4
PICTURE_SIDE = 1024
LEAST_TEXT_CHARACTERS = 60
MOST_TEXT_CHARACTERS = 1_000
_SMALL = 32
_SAME = 0.25
"""Mean difference of grey levels (of 255) below which two pictures are the same one."""
_VIDEO_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".avi": "video/avi",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}


@dataclass(frozen=True)
class Picture:
    """A picture of a recording, and when it was seen.

    Attributes:
        step: Index of the action that was chosen on it.
        time_s: Seconds from the start, or ``None`` without a clock.
        image: As it is sent.
    """

    step: int
    time_s: float | None
    image: Media


@dataclass(frozen=True)
class Showing:
    """One part of a demonstration, ready to be asked about.

    Attributes:
        demonstration: Which.
        unit: What claims are to be cited in.
        first: First step of this part.
        last: Last step of it.
        text: Lines that go into the prompt; all of the recording's own words are fenced.
        pictures: Chosen pictures, in order.
        video: The whole video, where it is sent as it is.
    """

    demonstration: Demonstration
    unit: Unit
    first: int
    last: int
    text: str
    pictures: tuple[Picture, ...] = ()
    video: Media | None = None

    @property
    def images(self) -> tuple[Media, ...]:
        """The pictures' images."""
        return tuple(found.image for found in self.pictures)

    def steps_of(self, start: float, end: float) -> tuple[int, int] | str:
        """Return the steps of a cited span, or why there is no such span.

        Args:
            start: First step, or second.
            end: Last step, or second.
        """
        times = self.demonstration.trajectory.times
        if not (np.isfinite(start) and np.isfinite(end)) or start > end:
            return f"the span {start:g} to {end:g} runs backwards"
        if self.unit == "seconds":
            if start < 0 or end > times[-1] + 1.0:
                return f"the recording has no span {start:g} to {end:g} s; it ends at {times[-1]:.1f} s"
            return _step_at(times, start), _step_at(times, end)
        if start != int(start) or end != int(end) or start < self.first or end > self.last:
            return f"the recording has no steps {start:g} to {end:g}, only {self.first} to {self.last}"
        return int(start), int(end)


def show_whole(
    demonstration: Demonstration,
    *,
    has: ModelCapabilities,
    video: Path | None,
    budget_tokens: int,
    native: bool = True,
) -> list[Showing]:
    """Return a demonstration as a model can take it: one part, or several where it is too long.

    The video goes as it is where the model takes videos; otherwise pictures where it takes images. The
    transcript goes with either, where the recording has text.

    Args:
        demonstration: What was recorded.
        has: What the model takes.
        video: The recording's own video file, where there is one.
        budget_tokens: Most tokens of one part.
        native: Whether the video may be sent whole.

    Raises:
        CapabilityError: The recording has no text, and the model takes neither video nor images.
    """
    trajectory = demonstration.trajectory
    last = len(trajectory) - 1
    has_text = any(o.text is not None for o in trajectory.observations)
    unit: Unit = "steps" if has_text or not trajectory.times else "seconds"
    whole = _native_video(video) if native and has.video else None
    pictures: tuple[Picture, ...] = ()
    if whole is None and has.images:
        share = 2 if has_text else 1
        most = min(has.images, MOST_IMAGES, max(2, budget_tokens // TOKENS_AN_IMAGE // share))
        pictures = pictures_of(demonstration, video=video, most=most)
    if not has_text:
        if whole is None and not pictures:
            raise CapabilityError(
                "This recording can only be looked at, and the model takes neither video nor images.",
                got=demonstration.provenance.file,
                expected="a model that declares the capability 'images' or 'video'",
                remedy="use a vision model, or the expert embedded-visual",
            )
        text = _legend(pictures) if pictures else f"The video shows {last + 1} steps."
        return [Showing(demonstration, unit, 0, last, text, pictures, whole)]
    left = budget_tokens - TOKENS_AN_IMAGE * len(pictures)
    return _with_text(demonstration, unit, pictures, whole, max(left, budget_tokens // 4))


def show_span(showing: Showing, first: int, last: int, *, has: ModelCapabilities) -> Showing:
    """Return the evidence of one claim, and a step before and after: what the second pass looks at.

    Args:
        showing: What the claim was made on; its pictures are used again.
        first: First step of the evidence.
        last: Last step of it.
        has: What the model takes.
    """
    demonstration = showing.demonstration
    steps = len(demonstration.trajectory)
    first, last = max(0, first - 1), min(steps - 1, last + 1)
    has_text = any(o.text is not None for o in demonstration.trajectory.observations)
    pictures: tuple[Picture, ...] = ()
    if has.images and showing.pictures:
        inside = [p for p in showing.pictures if first <= p.step <= last + 1]
        nearest = min(showing.pictures, key=lambda p: abs(p.step - first))
        pictures = tuple(_spread(inside or [nearest], min(IMAGES_OF_A_SPAN, has.images)))
    elif has.images and demonstration.trajectory.observations[first].frame is not None:
        pictures = tuple(_frames(demonstration, range(first, last + 2), min(IMAGES_OF_A_SPAN, has.images)))
    lines = [_legend(pictures)] if pictures else []
    if has_text:
        lines += _lines(demonstration, first, min(last, first + 40), MOST_TEXT_CHARACTERS)
    video = showing.video if not lines else None
    return Showing(demonstration, showing.unit, first, last, "\n".join(lines), pictures, video)


def pictures_of(demonstration: Demonstration, *, video: Path | None, most: int) -> tuple[Picture, ...]:
    """Return at most ``most`` pictures, chosen where the picture changes; none where there are none."""
    if video is not None and video.suffix.lower() in _VIDEO_TYPES:
        return _of_video(demonstration, video, most)
    if demonstration.trajectory.observations[0].frame is None:
        return ()
    return tuple(_frames(demonstration, range(len(demonstration.trajectory.observations)), most))


def choose_changes(pictures: Iterable[NDArray[np.uint8]], most: int) -> list[int]:
    """Return indices of the pictures that show most of what changes: the first, the last, and between.

    Args:
        pictures: Grey or RGB pictures of one size, in order.
        most: Most indices, at least 1.
    """
    changes: list[float] = []
    before: NDArray[np.float32] | None = None
    for found in pictures:
        now = np.asarray(found, np.float32)
        change = 0.0 if before is None else float(np.abs(now - before).mean())
        changes.append(change if change >= _SAME else 0.0)
        before = now
    if not changes:
        return []
    changing = [0, *(index for index, change in enumerate(changes) if change)]
    if len(changing) <= most:
        return changing
    total = np.cumsum(changes)
    wanted = np.linspace(0.0, total[-1], most)
    # The first picture at which so much has changed.
    return sorted({int(np.searchsorted(total, want - 1e-6)) for want in wanted})


def _with_text(
    demonstration: Demonstration,
    unit: Unit,
    pictures: tuple[Picture, ...],
    video: Media | None,
    budget_tokens: int,
) -> list[Showing]:
    """Shorten what is said until the transcript fits; where that is not enough, make parts."""
    room = budget_tokens * CHARACTERS_A_TOKEN
    last = len(demonstration.trajectory) - 1
    limit = MOST_TEXT_CHARACTERS
    while True:
        lines = _lines(demonstration, 0, last, limit)
        if sum(map(len, lines)) <= room or limit <= LEAST_TEXT_CHARACTERS:
            break
        limit = max(LEAST_TEXT_CHARACTERS, limit * 2 // 3)
    parts: list[list[int]] = [[]]
    filled = 0
    for step, line in enumerate(lines[1:]):
        if parts[-1] and filled + len(line) > room:
            parts.append([])
            filled = 0
        parts[-1].append(step)
        filled += len(line)
    shown = []
    for number, part in enumerate(parts):
        mine = tuple(p for p in pictures if part[0] <= p.step <= part[-1] + 1)
        words = [_legend(mine)] if mine else []
        begin = lines[0] if part[0] == 0 else _seen_before(demonstration, part[0], limit)
        words += [begin, *(lines[step + 1] for step in part)]
        text = "\n".join(words)
        whole = video if number == 0 else None
        shown.append(Showing(demonstration, unit, part[0], part[-1], text, mine, whole))
    return shown


def _lines(demonstration: Demonstration, first: int, last: int, limit: int) -> list[str]:
    """Return what is seen before ``first``, and a line a step: what was typed and what followed."""
    trajectory = demonstration.trajectory
    lines = [_seen_before(demonstration, first, limit)]
    for step in range(first, last + 1):
        action = trajectory.actions[step]
        typed = "something not known" if action is None else f"typed: {quoted(action, 60)}"
        after = trajectory.observations[step + 1].text
        clock = f", {trajectory.times[step + 1]:.1f} s" if trajectory.times else ""
        lines.append(f"[step {step}{clock}] {typed} then {quoted(after, limit)}")
    return lines


def _seen_before(demonstration: Demonstration, step: int, limit: int) -> str:
    return f"[before step {step}] {quoted(demonstration.trajectory.observations[step].text, limit)}"


def _legend(pictures: Sequence[Picture]) -> str:
    said = [
        f"{number} at step {p.step}" + ("" if p.time_s is None else f", {p.time_s:.1f} s")
        for number, p in enumerate(pictures, start=1)
    ]
    return f"Images: {'; '.join(said)}."


def _native_video(path: Path | None) -> Media | None:
    if path is None or path.suffix.lower() not in _VIDEO_TYPES:
        return None
    return Media(path.read_bytes(), _VIDEO_TYPES[path.suffix.lower()])


def _frames(demonstration: Demonstration, indices: Sequence[int], most: int) -> list[Picture]:
    """Return pictures of the demonstration's own frames."""
    trajectory = demonstration.trajectory
    present = [(i, f) for i in indices if (f := trajectory.observations[i].frame) is not None]
    last = len(trajectory) - 1
    return [
        Picture(min(i, last), trajectory.times[i] if trajectory.times else None, picture(frame))
        for i, frame in (present[k] for k in choose_changes((_small(f) for _, f in present), most))
    ]


def _of_video(demonstration: Demonstration, path: Path, most: int) -> tuple[Picture, ...]:
    """Return pictures of the video file, which are larger than the demonstration's frames."""
    from lookalike.recordings import VideoPictures

    looked_at = VideoPictures(path, size=_SMALL, keep_bars=True)
    numbers: list[int] = []

    def small() -> Iterable[NDArray[np.uint8]]:
        for found in looked_at:
            numbers.append(found.number)
            yield found.frame

    wanted = {numbers[index] for index in choose_changes(small(), most)}
    times = demonstration.trajectory.times
    chosen: list[Picture] = []
    for found in VideoPictures(path, size=PICTURE_SIDE, keep_bars=True):
        if found.number not in wanted:
            continue
        image = _upright(found.frame, looked_at.shape.width, looked_at.shape.height)
        step = _step_at(times, found.time_s) if times else 0
        chosen.append(Picture(step, found.time_s, image))
        if len(chosen) == len(wanted):
            break
    return tuple(chosen)


def _upright(frame: Frame, width: int, height: int) -> Media:
    """Return a square picture in its own proportions again, as JPEG."""
    from PIL import Image

    shrink = PICTURE_SIDE / max(width, height, 1)
    image = Image.fromarray(frame).resize((max(1, round(width * shrink)), max(1, round(height * shrink))))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return Media(out.getvalue(), "image/jpeg")


def _small(frame: Frame) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(frame).convert("L").resize((_SMALL, _SMALL)))


def _spread(pictures: Sequence[Picture], most: int) -> list[Picture]:
    if len(pictures) <= most:
        return list(pictures)
    return [pictures[int(i)] for i in np.linspace(0, len(pictures) - 1, most)]


def _step_at(times: Sequence[float], time_s: float) -> int:
    """Return the step under way at a time."""
    return min(max(0, bisect_right(times, time_s) - 1), len(times) - 2)
