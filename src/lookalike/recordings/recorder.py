"""Makes recordings: a person playing in the terminal, or given commands replayed at a person's pace.

A recording is a video of the terminal (``x.mp4`` or ``x.webm``) and, beside it, the event log
``x.jsonl``. The log is written while the play goes on; the video is drawn from it afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from lookalike.core.errors import RecordingError, UsageError
from lookalike.core.protocols import Environment, StepResult
from lookalike.recordings.jsonl import LogEvent, LogHeader, LogWriter, read_log
from lookalike.recordings.terminal import TerminalLook, TerminalPainter, TerminalScreen, wrap
from lookalike.recordings.text_safety import clean_command, clean_observation
from lookalike.recordings.video_writer import VideoWriter

PROMPT = "> "
DEFAULT_FPS = 10


@dataclass(frozen=True)
class Pace:
    """How fast a replayed play is shown; the defaults are a brisk person's.

    Attributes:
        typing_s: Seconds a character, Enter included. 0.12 s is about 100 words a minute.
        thinking_s: Seconds between having read and starting to type.
        reading_speed: Characters read a second. 40 is about twice an average reader's: the play's author
            knows the game.
        pause_s: Seconds the last answer stays.
    """

    typing_s: float = 0.12
    thinking_s: float = 0.5
    reading_speed: float = 40.0
    pause_s: float = 1.0

    def __post_init__(self) -> None:
        if min(self.typing_s, self.thinking_s, self.pause_s) < 0 or self.reading_speed <= 0:
            raise UsageError(
                "A pace needs times of zero or more and a positive reading speed.",
                got=self,
                expected="seconds >= 0, reading_speed > 0",
                remedy="leave it out to take the default pace",
            )

    def reading_s(self, text: str) -> float:
        """Return the seconds that reading ``text`` takes."""
        return len(text) / self.reading_speed


class Recorded(NamedTuple):
    """What a recording left behind.

    Attributes:
        video: The mp4 or webm.
        log: The event log beside it.
        steps: Commands played.
        duration_s: Length of the play in seconds.
        outcome: How it ended, in a few words, or ``None``.
    """

    video: Path
    log: Path
    steps: int
    duration_s: float
    outcome: str | None


def record_replay(
    environment: Environment,
    commands: Sequence[str],
    *,
    seed: int,
    out: Path,
    licence: str,
    player_kind: Literal["human", "scripted"] = "scripted",
    pace: Pace | None = None,
    look: TerminalLook | None = None,
    fps: int = DEFAULT_FPS,
    progress: Callable[[float], None] | None = None,
) -> Recorded:
    """Play ``commands`` in ``environment`` and record them as video and log.

    Args:
        environment: Reset here with ``seed``; not closed.
        commands: Played in order until they end or the game does.
        seed: The environment's seed.
        out: The video, ``.mp4`` or ``.webm``; the log gets the same name with ``.jsonl``.
        licence: SPDX expression of the play.
        player_kind: Who chose the commands: ``human`` only where a person did.
        pace: How fast it is shown. Times come from it, never from the clock.
        look: What the terminal looks like.
        fps: Frames per second.
        progress: Called with the finished fraction, 0 to 1.

    Raises:
        RecordingError: The files cannot be written.
        UsageError: No commands, or a file name that is no video's.
    """
    pace = pace or Pace()
    out = _checked_out(out)
    if not commands:
        raise UsageError("There is nothing to replay.", got="no commands", expected="at least one command")
    header = LogHeader(environment.id, seed, player_kind, licence, {"pace": asdict(pace)})
    now = 0.0
    with LogWriter(out.with_suffix(".jsonl"), header) as log:
        text = _text(environment.reset(seed=seed).text)
        log.append(LogEvent("observation", now, text))
        last: StepResult | None = None
        for command in map(clean_command, commands):
            typing_starts = now + pace.reading_s(text) + pace.thinking_s
            now = typing_starts + pace.typing_s * (len(command) + 1)
            log.append(LogEvent("action", now, command, typing_s=typing_starts))
            last = environment.step(command)
            text = _text(last.observation.text)
            log.append(LogEvent("observation", now, text, reward=last.env_reward))
            if last.terminated or last.truncated:
                break
        now += pace.reading_s(text) + pace.pause_s
        outcome = _finish(log, environment, last, now)
        steps = sum(event.event == "action" for event in log.events)
    render_video(log.path, out, look=look, fps=fps, progress=progress)
    return Recorded(out, log.path, steps, now, outcome)


def record_person(
    environment: Environment,
    *,
    seed: int,
    out: Path,
    read_line: Callable[[str], str],
    write: Callable[[str], None],
    licence: str = "unknown",
    look: TerminalLook | None = None,
    fps: int = DEFAULT_FPS,
    clock: Callable[[], float] = time.monotonic,
) -> Recorded:
    """Let a person play and record it, in real time.

    Ctrl-C and the end of input end the play and keep it. The log is on the disk after every step, so a
    crash loses nothing; :func:`render_video` makes the video from it later.

    Args:
        environment: Reset here with ``seed``; not closed.
        seed: The environment's seed.
        out: The video, ``.mp4`` or ``.webm``.
        read_line: Shows a prompt and returns the line typed, like ``input``.
        write: Shows text to the player, like ``print``.
        licence: SPDX expression that the player gives the recording.
        look: What the terminal looks like in the video.
        fps: Frames per second.
        clock: Seconds, monotonic.

    Raises:
        RecordingError: The files cannot be written, or nothing was played.
        UsageError: A file name that is no video's.
    """
    out = _checked_out(out)
    start = clock()
    last: StepResult | None = None
    with LogWriter(out.with_suffix(".jsonl"), LogHeader(environment.id, seed, "human", licence)) as log:
        text = _text(environment.reset(seed=seed).text)
        log.append(LogEvent("observation", 0.0, text))
        write(text)
        while last is None or not (last.terminated or last.truncated):
            try:
                shown = clock() - start
                command = clean_command(read_line(PROMPT))
            except (EOFError, KeyboardInterrupt):
                break
            if not command:
                continue
            now = clock() - start
            # Only whole lines are seen; the typing is drawn as evenly spread over the last part of the wait.
            typing_starts = max(shown, now - Pace().typing_s * (len(command) + 1))
            log.append(LogEvent("action", now, command, typing_s=typing_starts))
            last = environment.step(command)
            text = _text(last.observation.text)
            log.append(LogEvent("observation", clock() - start, text, reward=last.env_reward))
            write(text)
        duration = clock() - start
        outcome = _finish(log, environment, last, duration)
        steps = sum(event.event == "action" for event in log.events)
    if not steps:
        raise RecordingError(
            "Nothing was played, so there is no video.",
            got="no commands",
            expected="at least one command before Ctrl-C or the end of input",
            remedy="start again and type a command",
        )
    render_video(log.path, out, look=look, fps=fps)
    return Recorded(out, log.path, steps, duration, outcome)


def render_video(
    log: Path,
    video: Path,
    *,
    look: TerminalLook | None = None,
    fps: int = DEFAULT_FPS,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Draw the video of a log: commands typed character by character, answers printed, text scrolling.

    An answer that is longer than the screen is shown in pages, so that every line can be seen.

    Args:
        log: The event log.
        video: Where to write, ``.mp4`` or ``.webm``.
        look: What the terminal looks like.
        fps: Frames per second, 1 to 60.
        progress: Called with the finished fraction, 0 to 1.

    Raises:
        RecordingError: The log cannot be read, or the video cannot be written.
        UsageError: ``fps`` is out of range, or the file name is no video's.
    """
    if not 1 <= fps <= 60:
        raise UsageError("This frame rate cannot be drawn.", got=fps, expected="1 to 60 frames per second")
    look = look or TerminalLook()
    _, events = read_log(Path(log))
    shots = _storyboard(events, look)
    painter, screen = TerminalPainter(look), TerminalScreen(look.columns, look.rows)
    with VideoWriter(Path(video), width=painter.width, height=painter.height, fps=fps) as writer:
        frame = 0
        for index, shot in enumerate(shots):
            shot.apply(screen)
            following = shots[index + 1].time_s if index + 1 < len(shots) else shot.time_s + 1.0
            # A state that nobody could see would be lost to the reader too: each gets a frame at least.
            until = max(round(following * fps), frame + 1 if shot.must_be_seen else frame)
            if until > frame:
                writer.add(painter.paint(screen), until - frame)
                frame = until
            if progress is not None:
                progress((index + 1) / len(shots))


class _Shot(NamedTuple):
    """A change of the screen: when, what, and whether it must not be skipped."""

    time_s: float
    lines: list[str]
    typed: str
    ends: bool
    must_be_seen: bool

    def apply(self, screen: TerminalScreen) -> None:
        if self.ends:
            screen.new_line()
        if self.lines:
            screen.print(self.lines)
        for character in self.typed:
            screen.put(character)


def _storyboard(events: list[LogEvent], look: TerminalLook) -> list[_Shot]:
    """Return what happens on the screen, in order of time."""
    shots: list[_Shot] = []
    reading_speed = Pace().reading_speed
    page_rows = look.rows - 3
    for index, event in enumerate(events):
        now = event.time_s or 0.0
        following = next(
            (e.typing_s or e.time_s for e in events[index + 1 :] if e.event != "observation"), now
        )
        if event.event == "observation":
            lines = [*wrap(event.text or "", look.columns), ""]
            pages = [lines[i : i + page_rows] for i in range(0, len(lines), page_rows)]
            room = max(0.0, (following or now) - now)
            for number, page in enumerate(pages):
                shots.append(_Shot(now, page, "", False, True))
                reading = sum(map(len, page)) / reading_speed
                now += min(reading, room / len(pages)) if number + 1 < len(pages) else 0.0
            shots.append(_Shot(now, [], PROMPT, False, True))
        elif event.event == "action":
            text = event.text or ""
            start = min(event.typing_s if event.typing_s is not None else now, now)
            each = (now - start) / (len(text) + 1)
            for number, character in enumerate(text):
                shots.append(
                    _Shot(start + each * (number + 1), [], character, False, number + 1 == len(text))
                )
            shots.append(_Shot(now, [], "", True, False))
        else:
            shots.append(_Shot(now, [], "", False, True))
    return shots


def _finish(log: LogWriter, environment: Environment, last: StepResult | None, now: float) -> str | None:
    """Write the log's last line and return the outcome in a few words."""
    score = environment.facts().get("score") if "score" in environment.capabilities else None
    parts = [] if score is None else [f"{score} points"]
    if last is not None and last.terminated:
        parts.append("game over")
    outcome = ", ".join(parts) or None
    log.append(
        LogEvent(
            "end",
            now,
            terminated=last is not None and last.terminated,
            truncated=last is not None and last.truncated,
            outcome=outcome,
        )
    )
    return outcome


def _text(text: str | None) -> str:
    return clean_observation(text or "")


def _checked_out(out: Path) -> Path:
    out = Path(out)
    if out.suffix.lower() not in (".mp4", ".webm"):
        raise UsageError(
            "A recording is a video.",
            got=out.name,
            expected="a name that ends in .mp4 or .webm",
            remedy="choose another file name",
        )
    return out
