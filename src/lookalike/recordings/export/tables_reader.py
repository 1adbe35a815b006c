"""Our own Parquet tables as trajectories again."""

from __future__ import annotations

import collections
import itertools
from pathlib import Path
from typing import Any

from lookalike.core.ids import hash_bytes
from lookalike.core.types import Frame, Observation, Trajectory
from lookalike.recordings.export.dataset import (
    MAX_FRAME_BYTES,
    MAX_TEXT_BYTES,
    MAX_TRAJECTORIES,
    DatasetTrajectory,
    check_bytes,
    check_index,
    check_steps,
    damaged,
    own_facts,
)
from lookalike.recordings.export.parquet_rows import ParquetRows
from lookalike.recordings.export.pictures import decode_png

_STEP_COLUMNS = (
    "step",
    "observation",
    "frame",
    "action",
    "next_observation",
    "next_frame",
    "env_reward",
    "world",
    "part",
)
_EPISODE_COLUMNS = (
    "first_trajectory",
    "trajectories",
    "condition",
    "goal",
    "seed",
    "attempt",
    "player_kind",
    "environment_seed",
    "outcome",
)


class RunTables:
    """A folder with ``steps.parquet`` and ``episodes.parquet``.

    Args:
        path: The folder.

    Raises:
        RecordingError: A table is missing or damaged, or not ours.
    """

    reader = "run-tables"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._steps = ParquetRows(path / "steps.parquet")
        episodes = ParquetRows(path / "episodes.parquet")
        self._run = self._steps.metadata
        texts = ("observation", "frame", "action", "next_observation", "next_frame", "world")
        self._steps.require(texts=texts, numbers=("trajectory", "step", "env_reward", "part"))
        if missing := {"trajectory", *_STEP_COLUMNS} - set(self._steps.columns):
            raise damaged(path / "steps.parquet", f"no {', '.join(sorted(missing))}", "all columns")
        if self._run.get("lookalike.format") != "run-tables":
            raise damaged(path / "steps.parquet", "no note of ours", "tables written by `runs export`")
        if len(episodes) > MAX_TRAJECTORIES:
            raise damaged(path / "episodes.parquet", f"{len(episodes)} rows", f"at most {MAX_TRAJECTORIES}")
        self._episodes = list(episodes.rows(_EPISODE_COLUMNS))
        self._owner: list[int] = []
        for number, row in enumerate(self._episodes):
            count = row.get("trajectories")
            if not isinstance(count, int) or len(self._owner) + count > MAX_TRAJECTORIES:
                raise damaged(path / "episodes.parquet", f"trajectories {count!r:.40}", "whole numbers")
            self._owner += [number] * count
        rows = self._steps.rows(["trajectory"])
        self._lengths = collections.Counter(row["trajectory"] for row in rows)
        frames = path / "frames.parquet"
        self._frames = ParquetRows(frames) if frames.exists() else None
        if self._frames is not None:
            self._frames.require(texts=("sha256",))
        self._group_of: dict[str | None, int] | None = None

    def __len__(self) -> int:
        return len(self._owner)

    def steps(self, index: int) -> int:
        """Return how many steps a trajectory has."""
        return self._lengths.get(index, 0)

    def trajectory(self, index: int) -> DatasetTrajectory:
        """Read one trajectory; see :class:`~lookalike.recordings.export.dataset.Dataset`."""
        check_index(self.path, index, len(self))
        rows: list[dict[str, Any]] = []
        size = 0
        for row in self._steps.rows(_STEP_COLUMNS, where=("trajectory", index)):
            size += len(row.get("observation") or "") + len(row.get("next_observation") or "")
            check_bytes(self.path, size, MAX_TEXT_BYTES)
            check_steps(self.path, len(rows) + 1)
            rows.append(row)
        check_steps(self.path, len(rows))
        numbers = [row["step"] for row in rows]
        if None in numbers or any(a >= b for a, b in itertools.pairwise(numbers)):
            raise damaged(self.path / "steps.parquet", f"steps of trajectory {index}", "steps in order")
        texts = [rows[0]["observation"], *(row["next_observation"] for row in rows)]
        names = [rows[0]["frame"], *(row["next_frame"] for row in rows)]
        pictures = self._pictures({name for name in names if name})
        try:
            observations = tuple(
                Observation(text, pictures.get(name)) for text, name in zip(texts, names, strict=True)
            )
        except ValueError as error:
            raise damaged(self.path / "steps.parquet", error, "a text or a picture each step") from error
        about = self._episodes[self._owner[index]] | {k: rows[0].get(k) for k in ("world", "part")}
        return DatasetTrajectory(
            Trajectory(
                observations,
                tuple(row["action"] for row in rows),
                tuple(float(row["env_reward"] or 0.0) for row in rows),
            ),
            **own_facts(about, self._run),
        )

    def _pictures(self, names: set[str]) -> dict[str, Frame]:
        """Return the pictures of those names; what is not there was not exported."""
        if self._frames is None or not names:
            return {}
        if self._group_of is None:
            self._group_of = {
                row.get("sha256"): group
                for group in range(self._frames.groups)
                for row in self._frames.group(group, ["sha256"])
            }
        found: dict[str, Frame] = {}
        size = 0
        for group in sorted({self._group_of[name] for name in names if name in self._group_of}):
            for row in self._frames.group(group, ["sha256", "png"]):
                name, png = row.get("sha256"), row.get("png")
                if name not in names:
                    continue
                if not isinstance(png, bytes) or hash_bytes(png) != name:
                    raise damaged(self._frames.path, f"picture {name:.12}…", "a picture of that SHA-256")
                found[name] = decode_png(png, where=self._frames.path.name)
                size += found[name].nbytes
                check_bytes(self._frames.path, size, MAX_FRAME_BYTES)
        return found
