"""Reads the actions beside a video: one line a picture, in the formats people leave behind.

Understood, line by line: a JSON string; ``{"action": ...}`` with a name or a number (ours, and the simplest
that anybody writes); keyboard and mouse as VPT's recordings have them; and Doom's tics (forward, strafe,
turn, attack, use, weapon). Keys held together become one action, joined by `` + ``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lookalike.core.errors import RecordingError
from lookalike.core.types import PlayerKind
from lookalike.recordings.files import read_bytes
from lookalike.recordings.frames_recorder import ACTIONS_FORMAT, ACTIONS_VERSION
from lookalike.recordings.jsonl import FORMAT as EVENTS_FORMAT
from lookalike.recordings.text_safety import MAX_STEPS, clean_command

NOTHING = "noop"
_VPT_BUTTONS = {0: "attack", 1: "use", 2: "pick"}
_VPT_TURN = 2.0  # mouse units a picture from which looking around is meant
_TIC_KEYS = frozenset(("tic", "forward", "strafe", "turn"))


@dataclass(frozen=True)
class ActionLog:
    """The actions of a video.

    Attributes:
        path: The file.
        actions: One a picture, in order.
        rewards: Of each action, in points; empty where the file has none.
        header: Of our own recordings; empty elsewhere.
    """

    path: Path
    actions: tuple[str, ...]
    rewards: tuple[float, ...]
    header: Mapping[str, Any]

    def said(self, name: str) -> str | None:
        """Return a text of the header, cleaned, or ``None``."""
        value = self.header.get(name)
        return clean_command(value) or None if isinstance(value, str) else None

    def player_kind(self) -> PlayerKind | None:
        """Return who played, where the header says so."""
        kind = self.header.get("player_kind")
        return kind if kind in get_args(PlayerKind) else None

    def seed(self) -> int | None:
        """Return what the play started with, where the header says so."""
        seed = self.header.get("seed")
        return seed if isinstance(seed, int) and not isinstance(seed, bool) else None

    def levels(self) -> tuple[tuple[int, int], ...]:
        """Return each level's seed and first picture, where the header says that there are several."""
        listed = self.header.get("levels")
        if not isinstance(listed, list):
            return ()
        pairs = [
            one
            for one in listed
            if isinstance(one, list) and len(one) == 2 and all(type(n) is int for n in one)
        ]
        return tuple((level, picture) for level, picture in pairs)


def find_actions(video: Path) -> Path | None:
    """Return the actions file beside a video ``x.mp4``: ``x.jsonl`` or ``x.actions.jsonl``; ``None`` without.

    The log of a terminal recording is none.
    """
    for name in (f"{video.stem}.jsonl", f"{video.stem}.actions.jsonl"):
        path = video.with_name(name)
        if path.is_file() and not is_event_log(path):
            return path
    return None


def is_event_log(path: Path) -> bool:
    """Return whether a file is the event log of a terminal recording."""
    with path.open("rb") as file:
        return EVENTS_FORMAT.encode() in file.readline(4096)


def is_action_log(path: Path) -> bool:
    """Return whether a file begins as one of our own action logs."""
    with path.open("rb") as file:
        return ACTIONS_FORMAT.encode() in file.readline(4096)


def read_actions(path: Path) -> ActionLog:
    """Read an actions file.

    Raises:
        RecordingError: It cannot be read, is of a newer version, is too long, or a line is no action.
    """
    actions: list[str] = []
    rewards: list[float | None] = []
    header: Mapping[str, Any] = {}
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        if not line.strip():
            continue
        value = _json(path, number, line)
        if number == 1 and isinstance(value, dict) and value.get("format") == ACTIONS_FORMAT:
            header = _header(path, value)
            continue
        action = _action(value)
        if action is None:
            raise _fault(path, number, line, "an action: a name, keyboard and mouse, or a tic")
        actions.append(clean_command(action) or NOTHING)
        rewards.append(_reward(value))
        if len(actions) > MAX_STEPS:
            raise _fault(path, number, line, f"at most {MAX_STEPS} actions")
    if not actions:
        raise RecordingError(
            "The actions file holds no actions.",
            got=path.name,
            expected="one line of JSON a picture",
            remedy="leave it out, and the actions are not known",
        )
    known = [reward for reward in rewards if reward is not None]
    return ActionLog(path, tuple(actions), tuple(known) if len(known) == len(actions) else (), header)


def _json(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _fault(path, number, line, f"JSON ({error})") from error


def _header(path: Path, value: Mapping[str, Any]) -> Mapping[str, Any]:
    version = value.get("version")
    if not isinstance(version, int) or version > ACTIONS_VERSION:
        raise RecordingError(
            "This actions file is of a newer version.",
            got=f"{path.name}: version {version!r:.20}",
            expected=f"version {ACTIONS_VERSION}",
            remedy="read it with the program's newer version",
        )
    return value


def _action(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return None
    if value.keys() >= _TIC_KEYS:
        return _from_tic(value)
    if isinstance(value.get("keyboard"), dict) or isinstance(value.get("mouse"), dict):
        return _from_keys(value)
    action = value.get("action")
    if isinstance(action, bool):
        return None
    if isinstance(action, dict):
        return _action(action)
    return str(action) if isinstance(action, str | int) else None


def _from_tic(tic: Mapping[str, Any]) -> str | None:
    """Name a tic of Doom: what is held, without how far."""
    numbers = [tic[name] for name in ("forward", "strafe", "turn")]
    if not all(isinstance(number, int | float) for number in numbers):
        return None
    forward, strafe, turn = numbers
    parts = [
        "forward" if forward > 0 else "back" if forward < 0 else "",
        "strafe right" if strafe > 0 else "strafe left" if strafe < 0 else "",
        "turn left" if turn > 0 else "turn right" if turn < 0 else "",  # angles grow to the left
        "attack" if tic.get("attack") is True else "",
        "use" if tic.get("use") is True else "",
        f"weapon {tic['weapon']}" if isinstance(tic.get("weapon"), int) else "",
    ]
    return " + ".join(part for part in parts if part) or NOTHING


def _from_keys(value: Mapping[str, Any]) -> str | None:
    """Name the keys held and where the mouse went, as VPT's recordings have them."""
    keys = (value.get("keyboard") or {}).get("keys", [])
    mouse = value.get("mouse") or {}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return None
    parts = sorted(key.removeprefix("key.keyboard.").replace(".", " ") for key in keys)
    buttons = mouse.get("buttons", [])
    if isinstance(buttons, list):
        parts += [
            _VPT_BUTTONS.get(button, f"button {button}") for button in buttons if isinstance(button, int)
        ]
    for name, less, more in (("dx", "turn left", "turn right"), ("dy", "look up", "look down")):
        moved = mouse.get(name, 0)
        if isinstance(moved, int | float) and abs(moved) >= _VPT_TURN:
            parts.append(more if moved > 0 else less)
    return " + ".join(parts) or NOTHING


def _reward(value: Any) -> float | None:
    reward = value.get("reward") if isinstance(value, dict) else None
    return float(reward) if isinstance(reward, int | float) and not isinstance(reward, bool) else None


def _fault(path: Path, number: int, line: bytes, expected: str) -> RecordingError:
    return RecordingError(
        "The actions file is malformed.",
        got=f"{path.name}, line {number}: {line[:80]!r}",
        expected=expected,
        remedy="correct the line, or leave the file out, and the actions are not known",
    )
