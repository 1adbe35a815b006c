"""Our own recording format: one JSON object a line, so that a crash loses at most the line being written.

The first line is the header; every further line is one event, in order of time::

    {"format":"lookalike-recording","version":1,"environment":"colossal-cave","seed":2,
     "player_kind":"human","licence":"Apache-2.0"}
    {"event":"observation","time_s":0.0,"text":"YOU ARE STANDING ..."}
    {"event":"action","time_s":1.7,"typing_s":0.9,"text":"enter"}
    {"event":"observation","time_s":1.7,"text":"YOU ARE INSIDE A BUILDING ...","reward":0.0}
    {"event":"end","time_s":9.0,"terminated":true,"truncated":false,"outcome":"350 points"}

``docs/recordings.md`` lists every field. A file of a newer version is refused; unknown fields are ignored.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from lookalike.core.errors import RecordingError
from lookalike.core.types import Demonstration, Observation, PlayerKind, Provenance, Trajectory
from lookalike.recordings.files import atomic_text, demonstration_id, read_bytes
from lookalike.recordings.text_safety import MAX_STEPS, clean_command, clean_observation

FORMAT = "lookalike-recording"
VERSION = 1
MAX_JSON_LINE_BYTES = 2_000_000
READER = "jsonl"


@dataclass(frozen=True)
class LogHeader:
    """The first line of a log.

    Attributes:
        environment: Environment id, or ``None`` where not known.
        seed: What the play was started with, or ``None`` where not known.
        player_kind: Who played.
        licence: SPDX expression, or ``"unknown"``.
        extra: Further fields, e.g. ``pace`` or ``demonstration``; JSON values only.
    """

    environment: str | None
    seed: int | None
    player_kind: PlayerKind
    licence: str = "unknown"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the header as the object that is written."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "environment": self.environment,
            "seed": self.seed,
            "player_kind": self.player_kind,
            "licence": self.licence,
            **self.extra,
        }


@dataclass(frozen=True)
class LogEvent:
    """One line after the header.

    Attributes:
        event: ``observation``, ``action`` or ``end``.
        time_s: Seconds from the start; an action's is when it was sent. ``None`` where there is no clock.
        text: What was seen or typed; ``None`` for an unknown action and for ``end``.
        typing_s: When typing began, for actions; ``None`` where not known.
        reward: The environment's reward that came with an observation, in points; ``None`` at the start.
        terminated: For ``end``.
        truncated: For ``end``.
        outcome: For ``end``: in a few words, or ``None``.
    """

    event: Literal["observation", "action", "end"]
    time_s: float | None
    text: str | None = None
    typing_s: float | None = None
    reward: float | None = None
    terminated: bool = False
    truncated: bool = False
    outcome: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the event as the object that is written; times in milliseconds' precision."""
        value: dict[str, Any] = {"event": self.event, "time_s": _milliseconds(self.time_s)}
        if self.event == "end":
            value |= {"terminated": self.terminated, "truncated": self.truncated, "outcome": self.outcome}
        else:
            value["text"] = self.text
        if self.event == "action" and self.typing_s is not None:
            value["typing_s"] = _milliseconds(self.typing_s)
        if self.event == "observation" and self.reward is not None:
            value["reward"] = self.reward
        return value


class LogWriter:
    """Appends events to a log, each one flushed to the operating system before the call returns.

    Raises:
        RecordingError: The file cannot be created, or a line cannot be written (e.g. a full disk). What was
            written before stays and is a readable recording.
    """

    def __init__(self, path: Path, header: LogHeader) -> None:
        self.path = path
        self.events: list[LogEvent] = []
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", newline="\n")
        self._write(header.as_json())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def append(self, event: LogEvent) -> None:
        """Write one event."""
        self._write(event.as_json())
        self.events.append(event)

    def _write(self, value: Mapping[str, Any]) -> None:
        with self._errors():
            self._file.write(_dump(value) + "\n")
            self._file.flush()

    def _close(self) -> None:
        # A line that could not be flushed is still in the buffer; closing would only raise again.
        with contextlib.suppress(OSError):
            self._file.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(getattr(self, "_file", None), TextIOWrapper):
                self._close()
            raise RecordingError(
                "The recording's log could not be written; what was written before this line is kept.",
                got=f"{self.path}: {error}",
                expected="a folder that can be written, with enough space",
                remedy="free some space or choose another folder",
            ) from error


def read_log(path: Path) -> tuple[LogHeader, list[LogEvent]]:
    """Read and check a log.

    A last line that was cut off by a crash is ignored; any other malformed line is an error.

    Raises:
        RecordingError: Not a log of ours, a newer version, or a malformed line (with its number).
    """
    data = read_bytes(path)
    lines = data.decode("utf-8", "replace").split("\n")
    complete = data.endswith(b"\n")
    header = _parse_header(path, lines[0])
    events: list[LogEvent] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        if number == len(lines) and not complete and not _is_json(line):
            break
        if len(events) >= 2 * MAX_STEPS + 2:
            raise _malformed(path, number, "too many events", f"at most {MAX_STEPS} commands")
        events.append(_parse_event(path, number, line))
    return header, events


def read_jsonl(
    path: Path,
    *,
    environment: str | None = None,
    licence: str | None = None,
    player_kind: PlayerKind | None = None,
) -> Demonstration:
    """Read a log as a demonstration.

    A log that was saved from another demonstration (:func:`write_jsonl`) keeps that one's id and
    provenance, so that a saved reading of a video is the same evidence as reading the video again.

    Args:
        path: The log.
        environment: Overrides the header's where given.
        licence: Likewise.
        player_kind: Likewise.

    Raises:
        RecordingError: As :func:`read_log`, or the events do not alternate, or there is no command.
    """
    path = Path(path)
    header, events = read_log(path)
    observations, actions, rewards, times, outcome = _follow(path, events)
    saved = header.extra.get("demonstration")
    content_hash, provenance, identity = _identity(path, saved if isinstance(saved, dict) else None)
    has_clock = all(time is not None for time in times)
    return Demonstration(
        id=identity or demonstration_id(READER, content_hash),
        trajectory=Trajectory(
            observations=tuple(Observation(text=text) for text in observations),
            actions=tuple(actions),
            rewards=tuple(reward or 0.0 for reward in rewards)
            if any(reward is not None for reward in rewards)
            else (),
            times=tuple(float(time or 0.0) for time in times) if has_clock else (),
        ),
        player_kind=player_kind or header.player_kind,
        provenance=provenance or Provenance(path.name, READER, content_hash, licence or header.licence),
        environment=environment or header.environment,
        started_with=header.seed,
        outcome=outcome,
    )


def write_jsonl(demonstration: Demonstration, path: Path) -> None:
    """Save a demonstration as a log, whole or not at all. Frames are not saved.

    Raises:
        RecordingError: An observation has no text, or the file cannot be written.
    """
    path = Path(path)
    trajectory = demonstration.trajectory
    missing = [i for i, observation in enumerate(trajectory.observations) if observation.text is None]
    if missing:
        raise RecordingError(
            "A demonstration without texts cannot be saved as JSONL.",
            got=f"observation {missing[0]} has a frame only",
            expected="a text in every observation",
            remedy="keep the video itself",
        )
    source = demonstration.provenance
    header = LogHeader(
        demonstration.environment,
        demonstration.started_with,
        demonstration.player_kind,
        source.licence,
        {
            "demonstration": {
                "id": demonstration.id,
                "file": source.file,
                "reader": source.reader,
                "content_hash": source.content_hash,
                "note": source.note,
            }
        },
    )
    times: tuple[float | None, ...] = trajectory.times or (None,) * len(trajectory.observations)
    lines = [header.as_json()]
    for i, observation in enumerate(trajectory.observations):
        if i:
            lines.append(LogEvent("action", times[i], trajectory.actions[i - 1]).as_json())
        reward = trajectory.rewards[i - 1] if i and trajectory.rewards else None
        lines.append(LogEvent("observation", times[i], observation.text, reward=reward).as_json())
    lines.append(LogEvent("end", times[-1], outcome=demonstration.outcome).as_json())
    atomic_text(path, "".join(_dump(line) + "\n" for line in lines))


def _follow(
    path: Path, events: list[LogEvent]
) -> tuple[list[str], list[str | None], list[float | None], list[float | None], str | None]:
    """Return observations, actions, rewards, times and outcome; a last unanswered action is dropped."""
    observations: list[str] = []
    actions: list[str | None] = []
    rewards: list[float | None] = []
    times: list[float | None] = []
    outcome: str | None = None
    waiting = False
    for number, event in enumerate(events, start=2):
        if event.event == "action":
            if waiting or not observations:
                raise _malformed(path, number, "an action without an observation before it", "alternation")
            actions.append(event.text)
            waiting = True
        elif event.event == "observation":
            if observations and not waiting:
                raise _malformed(path, number, "two observations in a row", "an action between them")
            if observations:
                rewards.append(event.reward)
            observations.append(event.text or "")
            times.append(event.time_s)
            waiting = False
        else:
            outcome = event.outcome
    if waiting:
        actions.pop()
    if not actions:
        raise RecordingError(
            "The recording holds no commands.",
            got=f"{path.name}: {len(events)} events",
            expected="at least one action with an observation before and after it",
            remedy="record a longer play",
        )
    return observations, actions, rewards, times, outcome


def _identity(path: Path, saved: dict[str, Any] | None) -> tuple[str, Provenance | None, str | None]:
    """Return content hash, and provenance and id where the log was saved from a demonstration."""
    from lookalike.core.ids import hash_file

    content_hash = hash_file(path)
    if saved is None:
        return content_hash, None, None
    fields = [saved.get(name) for name in ("id", "file", "reader", "content_hash", "licence", "note")]
    identity, file, reader, original, licence, note = (clean_command(str(f)) if f else "" for f in fields)
    return content_hash, Provenance(file, reader, original, licence or "unknown", note), identity


def _parse_header(path: Path, line: str) -> LogHeader:
    value = _parse_object(path, 1, line)
    if value.get("format") != FORMAT:
        raise RecordingError(
            "This JSONL file is not a recording of ours.",
            got=f"{path.name}, line 1: format {value.get('format')!r}",
            expected=f'a header line with "format": "{FORMAT}"',
            remedy="give a file written by `lookalike record`, or a transcript as .txt",
        )
    version = value.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _malformed(path, 1, f"version {version!r}", "an integer from 1")
    if version > VERSION:
        raise RecordingError(
            "This recording was written by a newer version of the format.",
            got=f"{path.name}: version {version}",
            expected=f"version {VERSION} or older",
            remedy="upgrade lookalike, or record it again with this version",
        )
    environment, seed = value.get("environment"), value.get("seed")
    player_kind, licence = value.get("player_kind", "human"), value.get("licence", "unknown")
    if not (environment is None or isinstance(environment, str)) or not isinstance(licence, str):
        raise _malformed(path, 1, "environment or licence is no text", "texts")
    if not (seed is None or (isinstance(seed, int) and not isinstance(seed, bool))):
        raise _malformed(path, 1, f"seed {seed!r}", "an integer or null")
    if player_kind not in get_args(PlayerKind):
        raise _malformed(path, 1, f"player_kind {player_kind!r}", "human, scripted or agent")
    known = {"format", "version", "environment", "seed", "player_kind", "licence"}
    extra = {key: item for key, item in value.items() if key not in known}
    if isinstance(extra.get("demonstration"), dict):
        extra["demonstration"] = {**extra["demonstration"], "licence": licence}
    return LogHeader(environment, seed, player_kind, clean_command(licence), extra)


def _parse_event(path: Path, number: int, line: str) -> LogEvent:
    value = _parse_object(path, number, line)
    kind = value.get("event")
    if kind not in ("observation", "action", "end"):
        raise _malformed(path, number, f"event {kind!r}", "observation, action or end")
    text = value.get("text")
    if not (isinstance(text, str) or (text is None and kind != "observation")):
        raise _malformed(path, number, f"text {text!r:.60}", "a text")
    if isinstance(text, str):
        text = clean_command(text) if kind == "action" else clean_observation(text)
    outcome = value.get("outcome")
    return LogEvent(
        event=kind,
        time_s=_number(path, number, value, "time_s"),
        text=text,
        typing_s=_number(path, number, value, "typing_s"),
        reward=_number(path, number, value, "reward"),
        terminated=value.get("terminated") is True,
        truncated=value.get("truncated") is True,
        outcome=clean_command(outcome) if isinstance(outcome, str) else None,
    )


def _number(path: Path, number: int, value: Mapping[str, Any], name: str) -> float | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise _malformed(path, number, f"{name} {found!r:.60}", "a finite number")
    return float(found)


def _parse_object(path: Path, number: int, line: str) -> dict[str, Any]:
    if len(line) > MAX_JSON_LINE_BYTES:
        raise _malformed(path, number, f"{len(line)} characters", f"at most {MAX_JSON_LINE_BYTES}")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, number, f"{line[:60]!r} ({error})", "a JSON object") from error
    if not isinstance(value, dict):
        raise _malformed(path, number, f"{line[:60]!r}", "a JSON object")
    return value


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _malformed(path: Path, number: int, got: str, expected: str) -> RecordingError:
    return RecordingError(
        f"Line {number} of the recording is malformed.",
        got=f"{path.name}, line {number}: {got}",
        expected=expected,
        remedy="remove or repair the line",
    )


def _milliseconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
