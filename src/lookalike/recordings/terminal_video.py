"""Reads a play off a video of a terminal, from its pictures alone.

Frames are compared, lines are followed until they are final (``screen_tracker``), final lines are read
(``glyphs``), and the transcript is split at its prompt lines into commands and observations. Memory does
not grow with the video: frames pass one at a time, and of a line only its text is kept.

An observation's text has the terminal's line breaks, and its blank lines as paragraphs; where the game
wrote longer lines than the terminal is wide, they are broken between words. After
:func:`~lookalike.recordings.text_safety.normalise_whitespace` it equals the game's own text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lookalike.core.errors import RecordingError
from lookalike.core.ids import hash_file
from lookalike.core.types import Demonstration, Observation, PlayerKind, Provenance, Trajectory
from lookalike.recordings.files import demonstration_id
from lookalike.recordings.glyphs import GlyphReader
from lookalike.recordings.line_recogniser import LineRecogniser, PlainReader, TextLine
from lookalike.recordings.screen_tracker import ScreenLine, ScreenTracker
from lookalike.recordings.text_grid import find_grid
from lookalike.recordings.text_safety import MAX_STEPS, clean_command, clean_observation
from lookalike.recordings.video_frames import luma_frames, sample_frames

READER = "terminal-video"
_SAMPLES = 24
_LINES_AT_ONCE = 64
# What a prompt's angle bracket is sometimes read as.
_PROMPTS = ">)}]›»"


class VideoTranscript(NamedTuple):
    """The text of a terminal video.

    Attributes:
        lines: In the order they were printed.
        duration_s: Time of the last frame, in seconds.
        recognised: How many strips the text recogniser was asked to read.
    """

    lines: list[TextLine]
    duration_s: float
    recognised: int


def read_terminal_video(
    path: Path,
    *,
    environment: str | None = None,
    licence: str = "unknown",
    player_kind: PlayerKind = "human",
    progress: Callable[[float], None] | None = None,
) -> Demonstration:
    """Read a video of a play in a terminal (mp4, webm, ...). A log beside it is not looked at.

    Args:
        path: The video.
        environment: Id of the environment it shows, where known.
        licence: SPDX expression of the recording.
        player_kind: Who played.
        progress: Called with the finished fraction, 0 to 1.

    Raises:
        RecordingError: Missing, empty, damaged or no video; no text in it; or text without commands.
    """
    path = Path(path)
    transcript = read_video_text(path, progress=progress)
    trajectory = split_at_prompts(path, transcript)
    content_hash = hash_file(path)
    doubtful = sum(line.doubtful for line in transcript.lines)
    printed = sum(bool(line.text.strip()) for line in transcript.lines)
    note = (
        f"{printed} lines, {doubtful} doubtful; {transcript.recognised} strips recognised; "
        f"{transcript.duration_s:.1f} s of video"
    )
    if progress is not None:
        progress(1.0)
    return Demonstration(
        id=demonstration_id(READER, content_hash),
        trajectory=trajectory,
        player_kind=player_kind,
        provenance=Provenance(path.name, READER, content_hash, licence, note),
        environment=environment,
    )


def read_video_text(path: Path, *, progress: Callable[[float], None] | None = None) -> VideoTranscript:
    """Return every line that the terminal in the video showed, in order.

    Raises:
        RecordingError: Missing, empty, damaged or no video; or no text in it.
    """
    grid = find_grid(sample_frames(path, _SAMPLES))
    if grid is None:
        raise _no_text(path, "no lines of text on an even background")
    tracker = ScreenTracker(grid)
    recogniser = LineRecogniser()
    reader = PlainReader(grid, recogniser) if grid.cell_width is None else GlyphReader(grid, recogniser)
    waiting: list[ScreenLine] = []
    duration_s = 0.0
    for frame in luma_frames(path, progress=progress):
        if frame.luma.shape != (grid.height, grid.width):
            raise RecordingError(
                "The picture changes its size within the video.",
                got=f"{path.name}: {frame.luma.shape[1]} x {frame.luma.shape[0]} at {frame.time_s:.1f} s",
                expected=f"{grid.width} x {grid.height} throughout",
                remedy="record with a window of one size",
            )
        waiting += tracker.see(frame.luma, frame.time_s)
        duration_s = frame.time_s
        if len(waiting) >= _LINES_AT_ONCE:
            reader.add(waiting)
            waiting = []
    reader.add(waiting + tracker.finish())
    lines = reader.finish()
    letters = sum(character.isalnum() for line in lines for character in line.text)
    signs = sum(not character.isspace() for line in lines for character in line.text)
    if letters < 8 or letters < 0.5 * signs:
        raise _no_text(path, f"{letters} readable characters")
    indent = min(len(line.text) - len(line.text.lstrip()) for line in lines if line.text.strip())
    lines = [line._replace(text=line.text[indent:]) for line in lines]
    return VideoTranscript(lines, duration_s, reader.strips_recognised)


def split_at_prompts(path: Path, transcript: VideoTranscript) -> Trajectory:
    """Split a transcript into commands and observations.

    Raises:
        RecordingError: No command was found.
    """
    prompts = _prompt_signs(transcript.lines)
    actions: list[str | None] = []
    texts: list[list[str]] = [[]]
    times: list[float | None] = [None]
    width = max(len(line.text) for line in transcript.lines)
    wrapped = False
    for line in transcript.lines:
        command = _command(line, prompts)
        if command:
            actions.append(command)
            texts.append([])
            times.append(None)
            wrapped = len(line.text) >= max(40, width)
        elif command is None and wrapped and line.extensions and actions[-1] is not None:
            actions[-1] = clean_command(actions[-1] + line.text)
            wrapped = len(line.text) >= width
        elif command is None:
            wrapped = False
            texts[-1].append(line.text)
            if times[-1] is None and line.text.strip():
                times[-1] = line.first_s
        if len(actions) >= MAX_STEPS:
            break
    if not actions:
        raise RecordingError(
            "The video shows text but no commands.",
            got=f"{path.name}: {len(transcript.lines)} lines, none starts with a prompt",
            expected="lines that start with '>' where the player typed",
            remedy="give a recording of a play in a terminal",
        )
    return Trajectory(
        observations=tuple(Observation(text=clean_observation("\n".join(lines))) for lines in texts),
        actions=tuple(actions),
        times=_filled(times, transcript.duration_s),
    )


def _prompt_signs(lines: Sequence[TextLine]) -> set[str]:
    """Return the characters that prompt lines start with, found by where typing happened."""
    typed = Counter(line.text[0] for line in lines if line.extensions and line.text[:1].strip())
    signs = {">"}
    if typed:
        sign, count = typed.most_common(1)[0]
        if count >= 0.6 * typed.total() and not sign.isalnum():
            # The same shape may have been read in two ways, but only as another bracket.
            signs = {sign, *(other for other in typed if sign in _PROMPTS and other in _PROMPTS)}
    return signs


def _command(line: TextLine, prompts: set[str]) -> str | None:
    """Return what was typed on a prompt line, empty where nothing was, or ``None`` for other lines."""
    if line.text[:1] not in prompts:
        return None
    rest = line.text[1:]
    while rest[:1] in prompts:
        rest = rest[1:]
    # A thin, flat or hollow cursor is read as a sign of its own, or as none that has a name.
    return clean_command(rest.rstrip().rstrip("_|\ufffd"))


def _filled(times: Sequence[float | None], end_s: float) -> tuple[float, ...]:
    """Give an observation without a line of its own the time of the next one that has one."""
    filled: list[float] = []
    following = end_s
    for time in reversed(times):
        following = following if time is None else time
        filled.append(following)
    return tuple(reversed(filled))


def _no_text(path: Path, reason: str) -> RecordingError:
    return RecordingError(
        "There is no text in this video that could be read.",
        got=f"{path.name}: {reason}",
        expected="a video of a terminal: light text on dark, or dark on light",
        remedy="give a recording of a text game, or describe the play in a transcript",
    )
