"""What the visual expert learns from, in one form: plays as small frames, watched or the swarm's own.

Own random play goes through the same kind of video as a recording before anything looks at it: a network can
tell compressed pictures from crisp ones, and would call the compressed ones good.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import CapabilityError, RecordingError
from lookalike.core.protocols import Environment
from lookalike.core.seeds import generator
from lookalike.core.types import Demonstration, Frame
from lookalike.environments.levels import FIRST_TUNING_LEVEL, has_levels
from lookalike.recordings.frames_recorder import DEFAULT_FPS, enlarged
from lookalike.recordings.video_writer import VideoWriter
from lookalike.recordings.visual_frames import VideoPictures
from lookalike.rewards.visual_network import SIZE, fitted

UNKNOWN = -1
"""In :attr:`Plays.actions`: nobody knows what was done on this frame."""
HELD_OUT_SHARE = 0.15
HELD_STEPS = 3.0
"""Mean steps for which random play holds an action: less gets nowhere in most games."""

MOST_APART = 2.5
"""Grey levels, of 256, by which blocks of 8 x 8 pixels may be off from a level's beginning on average: videos
blur the pictures at a cut, but keep such means (at most 2.1 in three games; other levels, 2.9 and more)."""
_SAME = 0.5
LEAST_JUMP = 3.0
"""Grey levels, of 256, by which a picture differs at least from the one before where another level begins."""
LEAST_SPIKE = 1.3
"""How many times as much as the pictures around it, at the median: where all moves all the time, some picture
of a play looks like another level's beginning (in starpilot, at most 1.23 times where no level begins)."""
_AROUND = 12


@dataclass(frozen=True)
class Plays:
    """Several plays, their frames one behind the other.

    Attributes:
        frames: uint8 [F, 64, 64, 3].
        starts: int [P], where each play's frames begin.
        stops: int [P], one past where they end.
        actions: int [F], the action taken on each frame, :data:`UNKNOWN` where not known or the last frame.
        ended: bool [P], the game ended with the play (or the recording with it).
    """

    frames: NDArray[np.uint8]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    actions: NDArray[np.int64]
    ended: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each play."""
        return self.stops - self.starts

    def neighbours(self, indices: NDArray[np.int64], offset: int) -> NDArray[np.int64]:
        """Return the frames ``offset`` steps on in the same play, its first or last one beyond its ends."""
        play = np.searchsorted(self.starts, indices, side="right") - 1
        return np.clip(indices + offset, self.starts[play], self.stops[play] - 1)

    def time(self) -> NDArray[np.int64]:
        """Return every frame's step within its play, [F]."""
        return np.concatenate([np.arange(n) for n in self.lengths]) if len(self) else np.zeros(0, np.int64)

    def only(self, which: Sequence[int]) -> Plays:
        """Return some of the plays."""
        parts = [slice(self.starts[p], self.stops[p]) for p in which]
        return pack(
            [self.frames[part] for part in parts],
            [self.actions[part] for part in parts],
            [bool(self.ended[p]) for p in which],
        )

    def indices_of(self, which: Sequence[int]) -> NDArray[np.int64]:
        """Return the indices of all frames of some of the plays."""
        parts = [np.arange(self.starts[p], self.stops[p]) for p in which]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def with_actions(self, actions: NDArray[np.int64]) -> Plays:
        """Return the same plays with other actions."""
        return Plays(self.frames, self.starts, self.stops, actions, self.ended)


def pack(
    frames: Sequence[NDArray[np.uint8]], actions: Sequence[NDArray[np.int64]], ended: Sequence[bool]
) -> Plays:
    """Put plays one behind the other."""
    lengths = np.array([len(one) for one in frames], np.int64)
    stops = np.cumsum(lengths)
    empty = np.zeros((0, SIZE, SIZE, 3), np.uint8)
    return Plays(
        np.concatenate([empty, *frames]),
        stops - lengths,
        stops,
        np.concatenate([np.zeros(0, np.int64), *actions]),
        np.array(ended, bool),
    )


def held_out_plays(count: int) -> list[int]:
    """Return which recordings are held out: about one in seven, the last ones; none of one or two."""
    return list(range(count - max(1, round(HELD_OUT_SHARE * count)), count)) if count > 2 else []


def usual_length(watched: Plays, steps: int) -> int:
    """Return how long own plays are: like recordings, but never so long that there are only a few plays.

    Args:
        watched: The recordings.
        steps: Steps of own play in all.
    """
    return max(40, min(int(np.quantile(watched.lengths, 0.9)), steps // 8))


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Return at most so many indices of ``count`` things, from the first to the last at even distances."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def together(one: Plays, other: Plays) -> Plays:
    """Return the plays of both, with their actions and ends."""

    def parts(plays: Plays, what: Any) -> list[Any]:
        return [what[a:b] for a, b in zip(plays.starts, plays.stops, strict=True)]

    return pack(
        parts(one, one.frames) + parts(other, other.frames),
        parts(one, one.actions) + parts(other, other.actions),
        [*one.ended.tolist(), *other.ended.tolist()],
    )


@dataclass(frozen=True)
class Segment:
    """One level's play within a recording.

    Attributes:
        recording: Which one.
        start: Its first picture there.
        stop: One past its last picture.
        level: Its level, where it is one of those kept for recordings; ``None`` where not known.
        seen: Its first picture is that level's beginning.
    """

    recording: int
    start: int
    stop: int
    level: int | None
    seen: bool = False


def watched_plays(
    demonstrations: Sequence[Demonstration], segments: Sequence[Segment] | None = None
) -> Plays:
    """Take in what recordings show. Their actions are left out, whether they have any or not.

    Args:
        demonstrations: The recordings.
        segments: What to take of them, a play each; ``None`` for every recording as one play.

    Raises:
        RecordingError: One of them shows no frames, or nothing happens in it.
    """
    seen = [_seen(demonstration) for demonstration in demonstrations]
    frames = seen if segments is None else [seen[one.recording][one.start : one.stop] for one in segments]
    unknown = [np.full(len(one), UNKNOWN, np.int64) for one in frames]
    return pack(frames, unknown, [True] * len(frames))


def _seen(demonstration: Demonstration) -> NDArray[np.uint8]:
    """Return a recording's frames, uint8 [N, 64, 64, 3]."""
    frames = [o.frame for o in demonstration.trajectory.observations if o.frame is not None]
    if len(frames) < max(2, len(demonstration.trajectory.observations)):
        raise RecordingError(
            "This recording shows no play on the screen.",
            got=f"{demonstration.provenance.file}: {len(demonstration.trajectory.observations)} observations",
            expected="two frames or more",
            remedy="leave it out; recordings of text are for the expert embedded-text",
        )
    return fitted(np.stack(frames))


def find_segments(demonstrations: Sequence[Demonstration], environment: Environment) -> list[Segment]:
    """Cut recordings where another level begins, and say which level each part shows.

    A person who plays level after level leaves one video. A level begins anew where the picture changes all
    at once and looks like the beginning of one of the levels kept for recordings, another one than before.
    No log is looked at, but where a recording says what it started with, that is believed.

    Returns:
        The parts in the recordings' order, at least one a recording. A level is ``None`` where no beginning
        looks like the part's.
    """
    known = [demonstration.started_with for demonstration in demonstrations]
    films = [_seen(demonstration) for demonstration in demonstrations]
    if not has_levels(environment.id):
        return [Segment(n, 0, len(film), _recorded(known[n])) for n, film in enumerate(films)]
    beginnings = _Beginnings(environment)
    segments: list[Segment] = []
    for number, film in enumerate(films):
        level = known[number]
        first = beginnings.of(film[:1])[0]
        if level is not None and _recorded(level) is None:  # a level that nobody may record
            segments.append(Segment(number, 0, len(film), None))
            continue
        start, seen = 0, first is not None and level in {None, first}
        level = first if level is None else level
        jumps = _jumps(film)
        for at, other in zip(jumps.tolist(), beginnings.of(film[jumps]), strict=True):
            if other is None or other == level or at - start < 2 or len(film) - at < 2:
                continue
            segments.append(Segment(number, start, at, _recorded(level), seen))
            start, level, seen = at, other, True
        segments.append(Segment(number, start, len(film), _recorded(level), seen))
    return segments


def _jumps(film: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the pictures that differ enough from the one before to be another level's, in order."""
    apart = [
        np.abs(film[a : a + 257][1:].astype(np.int16) - film[a : a + 257][:-1]).mean(axis=(1, 2, 3))
        for a in range(0, len(film) - 1, 256)
    ]
    change = np.concatenate([np.zeros(0), *apart])
    found = [
        at
        for at in np.nonzero(change >= LEAST_JUMP)[0].tolist()
        if change[at] >= LEAST_SPIKE * np.median(change[max(0, at - _AROUND) : at + _AROUND + 1])
    ]
    return np.array(found, np.int64) + 1


class _Beginnings:
    """The first frames of all levels that are kept for recordings."""

    def __init__(self, environment: Environment) -> None:
        frames = [environment.reset(seed=level).frame for level in range(FIRST_TUNING_LEVEL)]
        seen = [fitted(frame[None])[0] for frame in frames if frame is not None]
        self._frames = np.stack(seen).astype(np.int16) if len(seen) == len(frames) else None
        self._blocks = None if self._frames is None else _blocks(self._frames)

    def of(self, frames: NDArray[np.uint8]) -> list[int | None]:
        """Return the level that each frame is the beginning of, or ``None``."""
        if self._frames is None or self._blocks is None:
            return [None] * len(frames)
        found: list[int | None] = []
        for frame, blocks in zip(frames, _blocks(frames), strict=True):
            apart = np.abs(self._blocks - blocks).mean(axis=1)
            if apart.min() > MOST_APART:
                found.append(None)
                continue
            near = np.nonzero(apart <= apart.min() + _SAME)[0]  # some levels begin almost alike
            whole = np.abs(self._frames[near] - frame.astype(np.int16)).mean(axis=(1, 2, 3))
            found.append(int(near[int(np.argmin(whole))]))
        return found


def _blocks(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean colours of 8 x 8 blocks, [N, 192]."""
    means = frames.reshape(len(frames), 8, SIZE // 8, 8, SIZE // 8, 3).mean(axis=(2, 4))
    return np.asarray(means.reshape(len(frames), 192).astype(np.float32))


def _recorded(level: int | None) -> int | None:
    return level if level is not None and 0 <= level < FIRST_TUNING_LEVEL else None


def play_at_random(
    environment: Environment,
    *,
    seed: int,
    steps: int,
    longest: int,
    levels: Sequence[int | None] = (),
    actions: Sequence[str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Plays, tuple[str, ...]]:
    """Play at random in levels kept for recordings, each action held for a while.

    Args:
        environment: With ``frames``; reset here, not closed.
        seed: Of the draws.
        steps: Steps in all.
        longest: Steps of one play at most.
        levels: Levels that recordings show; every second play is in one of them.
        actions: What to draw from; ``None`` for what the environment offers at its beginning.
        progress: Called with the finished fraction, 0 to 1.

    Returns:
        The plays as a video would show them, and the actions' names.

    Raises:
        CapabilityError: The environment shows no frames, or offers no actions.
    """
    draw = generator(seed, environment.id, "random play")
    chosen = own_levels(draw, levels)
    names = tuple(actions or ())
    frames: list[NDArray[np.uint8]] = []
    taken: list[NDArray[np.int64]] = []
    ended: list[bool] = []
    done = 0
    while done < steps:
        frame = _frame_of(environment.reset(seed=next(chosen)).frame, environment)
        names = names or _offered(environment)
        seen = [frame]
        played: list[int] = []
        for _, action in zip(range(min(longest, steps - done)), held_actions(draw, len(names)), strict=False):
            result = environment.step(names[action])
            played.append(action)
            seen.append(_frame_of(result.observation.frame, environment))
            if result.terminated or result.truncated:
                break
        frames.append(np.stack(seen))
        taken.append(np.array([*played, UNKNOWN], np.int64))
        ended.append(result.terminated)
        done += len(played)
        if progress is not None:
            progress(min(1.0, done / steps))
    packed = pack(frames, taken, ended)
    return Plays(as_video(packed.frames), packed.starts, packed.stops, packed.actions, packed.ended), names


def own_levels(draw: np.random.Generator, shown: Sequence[int | None]) -> Iterator[int]:
    """Yield levels kept for recordings without end; every second one is of those that recordings show."""
    known = [level for level in shown if level is not None]
    for number in itertools.count():
        level = int(draw.integers(FIRST_TUNING_LEVEL))
        yield known[number // 2 % len(known)] if known and number % 2 else level


def held_actions(draw: np.random.Generator, count: int, *, steps: float = HELD_STEPS) -> Iterator[int]:
    """Yield actions 0 to ``count`` - 1 without end, drawn evenly, each held for ``steps`` on average."""
    while True:
        hold, action = int(draw.geometric(1 / steps)), int(draw.integers(count))
        yield from itertools.repeat(action, hold)


def as_video(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return frames as they come back from a recording: written as a video, and read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "play.mp4"
        with VideoWriter(path, width=2 * SIZE, height=2 * SIZE, fps=DEFAULT_FPS) as video:
            for frame in frames:
                video.add(enlarged(frame, 2))
        seen = [picture.frame for picture in VideoPictures(path, size=SIZE, keep_bars=True)]
    if len(seen) != len(frames):
        raise RecordingError(
            "A video of own play came back with another number of pictures.",
            got=len(seen),
            expected=str(len(frames)),
        )
    return np.stack(seen)


def _frame_of(frame: Frame | None, environment: Environment) -> Any:
    if frame is None:
        raise CapabilityError(
            f"{environment.id} shows no frames.",
            expected="frames",
            remedy="use the expert embedded-text for games of text",
        )
    return fitted(frame[None])[0]


def _offered(environment: Environment) -> tuple[str, ...]:
    offered = environment.admissible_actions() if "admissible_actions" in environment.capabilities else ()
    if not offered:
        raise CapabilityError(
            f"{environment.id} does not say what can be done in it.",
            expected="the capability admissible_actions",
            remedy="name the actions",
        )
    return offered
