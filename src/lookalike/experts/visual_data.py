"""What the visual expert learns from, in one form: plays as small frames, watched or the swarm's own.

Own random play goes through the same kind of video as a recording before anything looks at it: a network can
tell compressed pictures from crisp ones, and would call the compressed ones good.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
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
HELD_STEPS = 3.0
"""Mean steps for which random play holds an action: less gets nowhere in most games."""

MOST_APART = 8.0
"""Grey levels, of 256, by which a video's first frame may be off from its level's beginning (compression)."""


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


def watched_plays(demonstrations: Sequence[Demonstration]) -> Plays:
    """Take in what recordings show. Their actions are left out, whether they have any or not.

    Raises:
        RecordingError: One of them shows no frames, or nothing happens in it.
    """
    frames = []
    for demonstration in demonstrations:
        seen = [observation.frame for observation in demonstration.trajectory.observations]
        if any(frame is None for frame in seen) or len(seen) < 2:
            raise RecordingError(
                "This recording shows no play on the screen.",
                got=f"{demonstration.provenance.file}: {len(seen)} observations",
                expected="two frames or more",
                remedy="leave it out; recordings of text are for the expert embedded-text",
            )
        frames.append(fitted(np.stack([frame for frame in seen if frame is not None])))
    unknown = [np.full(len(one), UNKNOWN, np.int64) for one in frames]
    return pack(frames, unknown, [True] * len(frames))


def find_levels(demonstrations: Sequence[Demonstration], environment: Environment) -> list[int | None]:
    """Say which of the levels kept for recordings each recording began in.

    The recording says so, or else its first frame is compared with the beginnings of all of them.

    Returns:
        A level, or ``None`` where no beginning looks like it.
    """
    found = [demonstration.started_with for demonstration in demonstrations]
    if not has_levels(environment.id) or all(level is not None for level in found):
        return [_recorded(level) for level in found]
    beginnings = []
    for level in range(FIRST_TUNING_LEVEL):
        frame = environment.reset(seed=level).frame
        if frame is None:
            return [None] * len(found)
        beginnings.append(fitted(frame[None])[0])
    known = np.stack(beginnings).astype(np.int16)
    for number, demonstration in enumerate(demonstrations):
        first = demonstration.trajectory.observations[0].frame
        if found[number] is None and first is not None:
            apart = np.abs(known - fitted(first[None]).astype(np.int16)).mean(axis=(1, 2, 3))
            best, second = np.argsort(apart)[:2]
            alike = apart[best] <= MOST_APART and apart[best] < 0.99 * apart[second]
            found[number] = int(best) if alike else None
    return [_recorded(level) for level in found]


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
    known = [level for level in levels if level is not None]
    names = tuple(actions or ())
    frames: list[NDArray[np.uint8]] = []
    taken: list[NDArray[np.int64]] = []
    ended: list[bool] = []
    done = 0
    while done < steps:
        level = int(draw.integers(FIRST_TUNING_LEVEL))
        if known and len(frames) % 2:
            level = known[len(frames) // 2 % len(known)]
        frame = _frame_of(environment.reset(seed=level).frame, environment)
        names = names or _offered(environment)
        seen, over = [frame], False
        played: list[int] = []
        hold, action = 0, 0
        while len(played) < min(longest, steps - done) and not over:
            if hold <= 0:
                hold, action = int(draw.geometric(1 / HELD_STEPS)), int(draw.integers(len(names)))
            result = environment.step(names[action])
            hold -= 1
            played.append(action)
            seen.append(_frame_of(result.observation.frame, environment))
            over = result.terminated or result.truncated
        frames.append(np.stack(seen))
        taken.append(np.array([*played, UNKNOWN], np.int64))
        ended.append(result.terminated)
        done += len(played)
        if progress is not None:
            progress(min(1.0, done / steps))
    packed = pack(frames, taken, ended)
    return Plays(as_video(packed.frames), packed.starts, packed.stops, packed.actions, packed.ended), names


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
