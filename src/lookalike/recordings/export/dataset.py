"""What every dataset reader answers alike: how many trajectories there are, and each as it is in the file.

A dataset is somebody else's: sizes are bounded before anything is read, texts are handed on as they are (the
door in ``recordings.reader`` cleans them), and nothing in a file says which other file is opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

from lookalike.core.errors import RecordingError
from lookalike.core.ids import hash_file, hash_json
from lookalike.core.types import PlayerKind, Trajectory

MAX_TRAJECTORIES = 1_000_000
MAX_TRAJECTORY_STEPS = 200_000
MAX_TEXT_BYTES = 256 * 1024 * 1024
"""Most text of one trajectory, in bytes."""
MAX_FRAME_BYTES = 2 * 1024 * 1024 * 1024
"""Most pictures of one trajectory, in bytes: they are all in memory at once."""
MAX_METADATA_BYTES = 64 * 1024 * 1024
MAX_FILES = 100_000
_MAX_NUMBERS = 1024


@dataclass(frozen=True)
class DatasetTrajectory:
    """A trajectory of a dataset, as it is in the file.

    Attributes:
        trajectory: What happened; texts are not cleaned.
        player_kind: Who played, where the file says so.
        environment: Id of the environment, where the file says so.
        started_with: Seed of the environment, where the file says so.
        outcome: In a few words, where the file says so.
        licence: SPDX expression, where the file says so.
        note: What a later reader should know.
    """

    trajectory: Trajectory
    player_kind: PlayerKind | None = None
    environment: str | None = None
    started_with: int | None = None
    outcome: str | None = None
    licence: str | None = None
    note: str = ""


class Dataset(Protocol):
    """Trajectories in a file or folder."""

    path: Path
    reader: str
    """Name of the reader, for the provenance."""

    def __len__(self) -> int:
        """Return how many trajectories there are."""
        ...

    def steps(self, index: int) -> int:
        """Return how many steps one of them has, without reading it."""
        ...

    def trajectory(self, index: int) -> DatasetTrajectory:
        """Read one of them.

        Raises:
            RecordingError: It is damaged, too large, or has no step.
        """
        ...


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder: of its files' names and hashes, in order.

    Raises:
        RecordingError: Too many files, or one that cannot be read.
    """
    try:
        if path.is_file():
            return hash_file(path)
        files = sorted(_files(path))
        return hash_json([[name, hash_file(path / name)] for name in files])
    except OSError as error:
        raise RecordingError(
            "The dataset cannot be read.",
            got=f"{path}: {error}",
            expected="files that this user may read",
            remedy="change their permissions, or copy the dataset",
        ) from error


def _files(folder: Path) -> Iterator[str]:
    for number, path in enumerate(folder.rglob("*")):
        if number >= MAX_FILES:
            raise damaged(folder, f"more than {MAX_FILES} files", "a dataset's folder")
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def read_json(path: Path) -> dict[str, Any]:
    """Read a metadata file, bounded.

    Raises:
        RecordingError: Missing, too large, or no JSON object.
    """
    try:
        size = path.stat().st_size
        if size > MAX_METADATA_BYTES:
            raise damaged(path, f"{size} bytes", f"at most {MAX_METADATA_BYTES} bytes")
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error, "a whole JSON file") from error
    if not isinstance(value, dict):
        raise damaged(path, type(value).__name__, "a JSON object")
    return value


def damaged(path: Path, got: object, expected: str) -> RecordingError:
    """Return the error for a dataset's file that is not as it should be."""
    return RecordingError(
        "The dataset is damaged, or not what its name says.",
        got=f"{path.name}: {got}",
        expected=expected,
        remedy="copy or export it again",
    )


def check_index(path: Path, index: int, count: int) -> None:
    """Make sure that there is such a trajectory.

    Raises:
        RecordingError: There is not.
    """
    if not 0 <= index < count:
        raise RecordingError(
            "The dataset has no such episode.",
            got=index,
            expected=f"0 to {count - 1}" if count else "a dataset with episodes in it",
            remedy=f"choose one of the {count} in {path.name}",
        )


def check_steps(path: Path, steps: int) -> None:
    """Make sure that a trajectory has steps, and not too many.

    Raises:
        RecordingError: None, or too many.
    """
    if not 1 <= steps <= MAX_TRAJECTORY_STEPS:
        raise RecordingError(
            "This episode of the dataset cannot be read as a demonstration.",
            got=f"{path.name}: {steps} steps",
            expected=f"1 to {MAX_TRAJECTORY_STEPS} steps with an observation before and after",
            remedy="choose another episode",
        )


def check_bytes(path: Path, count: int, limit: int) -> None:
    """Make sure that what is about to be read fits.

    Raises:
        RecordingError: It is more than ``limit`` bytes.
    """
    if count > limit:
        raise RecordingError(
            "This episode of the dataset is too large.",
            got=f"{path.name}: {count} bytes",
            expected=f"at most {limit} bytes",
            remedy="split the episode, or make its pictures smaller",
        )


def numbers_as_text(value: Any) -> str:
    """Return a number, or numbers in any nesting of lists, as short JSON text: six significant digits.

    What other tools call an action or a state is often a vector; here an action is a text.
    """
    left = [_MAX_NUMBERS]

    def short(item: Any) -> Any:
        if isinstance(item, list | tuple):
            return [short(entry) for entry in item]
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"more than {_MAX_NUMBERS} numbers")
        return float(f"{item:.6g}") if isinstance(item, float) else item

    return json.dumps(short(value), separators=(",", ":"))


def own_facts(about: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what our own exports say of a trajectory, as :class:`DatasetTrajectory` wants it.

    Args:
        about: Of the trajectory (``condition``, ``environment_seed``, …), unchecked.
        run: Of the run (``lookalike.environment``, …), unchecked.
    """
    kind, seed = about.get("player_kind"), about.get("environment_seed")
    words = [f"{name} {about[name]}" for name in ("condition", "goal", "seed", "attempt") if name in about]
    if about.get("world") is not None:
        words.append(f"world {about['world']}, part {about.get('part', 0)}")
    return {
        "player_kind": kind if kind in get_args(PlayerKind) else None,
        "environment": text_or_none(run.get("lookalike.environment")),
        "started_with": seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        "outcome": text_or_none(about.get("outcome")),
        "licence": text_or_none(run.get("lookalike.licence")),
        "note": ", ".join(words),
    }


def text_or_none(value: object) -> str | None:
    """Return a text that says something, or ``None``."""
    return value if isinstance(value, str) and value else None
