"""Play on the screen in a page: which keys act, how it is written down, and how it is filmed afterwards.

While a game is played only its actions are written, a line each, flushed before the page sees the answer.
The film is made from them when the play ends: the game is started again under the same seed, the actions are
played again, and `record_frames` leaves the video and the actions that every reader of recordings knows. So
a play that was cut off (the page closed, the server gone) is filmed as well, later.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.core.errors import RecordingError
from lookalike.core.types import Frame
from lookalike.environments import environment_ids, make_environment
from lookalike.environments.levels import LEVEL_FAMILIES, has_levels
from lookalike.recordings import record_frames
from lookalike.recordings.frames_recorder import ACTIONS_FORMAT, ACTIONS_VERSION, DEFAULT_FPS
from lookalike.recordings.visual_actions import NOTHING, is_action_log, read_actions

MOST_ACTIONS = 10_000
_LARGEST_EXACT = 200
_SHARPER = {"procgen:": "@512", "vizdoom:": "@240"}
"""Families that draw larger frames of the same play; a person sees those, and the small ones are filmed."""
_KEYS = {
    "left": "ArrowLeft",
    "turn left": "ArrowLeft",
    "right": "ArrowRight",
    "turn right": "ArrowRight",
    "up": "ArrowUp",
    "forward": "ArrowUp",
    "down": "ArrowDown",
    "back": "ArrowDown",
    "strafe left": "a",
    "strafe right": "d",
    "attack": " ",
    "fire": " ",
    "throw ahead": " ",
    "fire back": "b",
    "throw up": "w",
    "throw down": "s",
    "throw slanting up": "q",
    "throw slanting down": "e",
    "use": "e",
    "pick up": "p",
    "drop": "o",
    "toggle": "t",
    "done": "Enter",
    NOTHING: ".",
}
_SPARE = "1234567890zxcvnmfghjklyui"


def sharper(environment: str) -> str:
    """Return the id under which the same play is drawn larger, where there is one."""
    for family, size in _SHARPER.items():
        if environment.startswith(family) and "@" not in environment:
            return environment + size
    return environment


def keys_for(actions: Sequence[str]) -> dict[str, list[str]]:
    """Return for each action the keys that are held for it, as browsers name them.

    Directions are arrows, held together for what goes two ways at once; whatever has no usual key gets a
    spare one, so that every action can be done without a mouse.
    """
    found: dict[str, list[str]] = {}
    taken: set[tuple[str, ...]] = set()
    for action in actions:
        keys = _usual_keys(action)
        if keys and tuple(sorted(keys)) not in taken:
            found[action] = keys
            taken.add(tuple(sorted(keys)))
    spare = iter(key for key in _SPARE if (key,) not in taken)
    for action in actions:
        if action not in found and (key := next(spare, None)) is not None:
            found[action] = [key]
    return found


def _usual_keys(action: str) -> list[str]:
    if action in _KEYS:
        return [_KEYS[action]]
    parts = action.split(" + ") if " + " in action else action.split()
    keys = [_KEYS[part] for part in parts if part in _KEYS]
    return keys if len(keys) == len(parts) else []


def picture_of(frame: Frame) -> tuple[bytes, str]:
    """Return a frame as a file and its media type: exact where it is small, quickly made where it is large.

    The page enlarges small ones, pixel by pixel.
    """
    from PIL import Image

    small = max(frame.shape[:2]) <= _LARGEST_EXACT
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(frame))
    if small:
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue(), "image/png" if small else "image/jpeg"


class ActionsWriter:
    """Writes actions as they are played, each one flushed to the operating system.

    Args:
        path: The log; it may exist and is written anew.
        environment: Its id.
        seed: What the play begins with.
        licence: SPDX expression.

    Raises:
        RecordingError: It cannot be written; what was written before stays.
    """

    def __init__(self, path: Path, *, environment: str, seed: int, licence: str) -> None:
        self.path = path
        self._steps = 0
        try:
            self._file = path.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise _unwritten(path, error) from error
        self._write(
            {
                "format": ACTIONS_FORMAT,
                "version": ACTIONS_VERSION,
                "environment": environment,
                "seed": seed,
                "player_kind": "human",
                "licence": licence,
                "fps": DEFAULT_FPS,
                "outcome": "",
                "note": "played in the browser; not filmed yet",
            }
        )

    def append(self, action: str, reward: float) -> None:
        """Write one action."""
        self._write({"step": self._steps, "action": action, "reward": reward})
        self._steps += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritten(self.path, error) from error


def _unwritten(path: Path, error: OSError) -> RecordingError:
    return RecordingError(
        "The recording's actions could not be written; what was written before stays.",
        got=f"{path.name}: {error.strerror or error}",
        remedy="free some space, or check the folder's permissions",
    )


def check_named(environment: str) -> None:
    """Refuse an environment that a file names, where making it could load code named by its id.

    Raises:
        RecordingError: It is neither registered nor of a family on the screen.
    """
    if environment not in environment_ids() and not has_levels(environment):
        raise RecordingError(
            "A file asks for an environment that is not made on a file's word.",
            got=environment[:80],
            expected=f"{', '.join(environment_ids())}, or one of {', '.join(LEVEL_FAMILIES)}",
            remedy="play it again in the page, which films it at once",
        )


def waits_for_film(log: Path) -> bool:
    """Return whether a file holds the actions of a play that was not filmed."""
    try:
        return log.suffix == ".jsonl" and not log.with_suffix(".mp4").exists() and is_action_log(log)
    except OSError:
        return False


def film(log: Path, progress: Callable[[float], None], *, known: str | None = None) -> Path:
    """Play a log's actions again and leave the video beside it; the log gets its final form.

    Args:
        log: The actions.
        progress: Called with the finished fraction, 0 to 1.
        known: The environment, where it is this server that has just played it. Otherwise the file says it,
            and as anybody could have written the file, only environments that load no code named by their id
            are made.

    Returns:
        The video.

    Raises:
        RecordingError: The log says neither game nor seed, cannot be read, or the game answers otherwise than
            it did while it was played.
        GameError: The game cannot be started.
    """
    played = read_actions(log)
    environment, seed = known or played.said("environment"), played.seed()
    if known is None and environment is not None:
        check_named(environment)
    if environment is None or seed is None:
        raise RecordingError(
            "These actions do not say what was played, or under which seed.",
            got=log.name,
            remedy="film the game while it is played",
        )
    video = log.with_suffix(".mp4")
    game = make_environment(environment)
    try:
        record_frames(
            game,
            played.actions,
            seed=seed,
            out=video,
            licence=played.said("licence") or "unknown",
            player_kind="human" if played.player_kind() == "human" else "scripted",
            max_steps=max(1, len(played.actions)),
            note="played in the browser, filmed by playing the same actions again",
            progress=progress,
        )
    finally:
        game.close()
    if read_actions(log).rewards != played.rewards:
        raise RecordingError(
            "Played again for the film, the game answered otherwise; the film shows that second play.",
            got=video.name,
            remedy="play it again; `lookalike environments check` finds games that seeds do not fix",
        )
    return video
