"""A LeRobot v3 dataset as trajectories: our own exports whole, anybody's as far as the format says.

A row has what was seen before its action. Our own exports say what came after the last one; elsewhere nobody
does, so there the last action is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lookalike.core.errors import RecordingError
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
    numbers_as_text,
    own_facts,
    read_json,
)
from lookalike.recordings.export.lerobot_format import (
    DATA_PATH,
    INFO_PATH,
    LAST_FRAME_PATH,
    OWN_COLUMNS,
    OWN_PATH,
    VIDEO_PATH,
)
from lookalike.recordings.export.parquet_rows import ParquetRows
from lookalike.recordings.export.pictures import MAX_PICTURE_BYTES, decode_picture, decode_png
from lookalike.recordings.export.step_frames import read_step_frames

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_TEXT = "observation.text"
_NEXT_TEXT = "next.observation.text"
_PLACE = ("episode_index", "length", "data/chunk_index", "data/file_index")
_LEFT_OUT = "the last action is left out: the dataset does not show what followed it"


class LeRobotDataset:
    """A dataset folder.

    Args:
        path: The folder, with ``meta/info.json``.

    Raises:
        RecordingError: Damaged, of another version of the format, or of a layout that is not the usual one.
    """

    reader = "lerobot"

    def __init__(self, path: Path) -> None:
        self.path = path
        info = read_json(path / INFO_PATH)
        _check_version(path, info)
        self._features = _features(path, info)
        self._fps = _fps(path, info)
        self._video_key = self._camera("video")
        self._image_key = None if self._video_key else self._camera("image")
        usual = {"data_path": DATA_PATH} | ({"video_path": VIDEO_PATH} if self._video_key else {})
        for name, template in usual.items():
            # A template from a file could name any other file.
            if info.get(name) != template:
                raise damaged(path / INFO_PATH, f"{name} {info.get(name)!r:.80}", f"{template!r}")
        own = path / OWN_PATH
        self._own = read_json(own) if own.is_file() else None
        # Our own exports say what the last action led to.
        self._whole = self._own is not None and (_NEXT_TEXT in self._features or _TEXT not in self._features)
        self._episodes = self._read_episodes()

    def __len__(self) -> int:
        return len(self._episodes)

    def steps(self, index: int) -> int:
        """Return how many rows a trajectory has; without what followed, one of them has no step."""
        return _whole(self.path, self._episodes[index], "length") - (0 if self._whole else 1)

    def trajectory(self, index: int) -> DatasetTrajectory:
        """Read one trajectory; see :class:`~lookalike.recordings.export.dataset.Dataset`."""
        check_index(self.path, index, len(self))
        episode = self._episodes[index]
        rows = self._rows(index, episode)
        texts = self._texts(rows)
        frames = self._frames(index, episode, rows)
        actions = [self._action(row) for row in rows]
        if not self._whole:
            actions.pop()
            frames = frames[: len(rows)]
        check_steps(self.path, len(actions))
        if not texts and not frames:
            texts = [_state_text(self.path, row) for row in rows]
        count = len(actions) + 1
        observations = []
        for number in range(count):
            text = texts[number] if texts else None
            frame = frames[number] if frames else None
            observations.append(Observation(text, frame))
        rewards = tuple(_number(row.get("next.reward")) for row in rows[: len(actions)])
        has_rewards = "next.reward" in self._features
        if self._own is not None:
            about = {name: episode.get(f"lookalike/{name}") for name in OWN_COLUMNS}
            facts = own_facts({k: v for k, v in about.items() if v is not None}, self._own)
            return DatasetTrajectory(
                Trajectory(tuple(observations), tuple(actions), rewards if has_rewards else ()), **facts
            )
        times = tuple(_number(row.get("timestamp")) for row in rows[:count])
        trajectory = Trajectory(tuple(observations), tuple(actions), rewards if has_rewards else (), times)
        return DatasetTrajectory(trajectory, note=_LEFT_OUT)

    def _camera(self, dtype: str) -> str | None:
        """Return the first feature of that kind; one camera of several is read."""
        return next((name for name, kind in self._features.items() if kind == dtype), None)

    def _read_episodes(self) -> list[dict[str, Any]]:
        columns = [*_PLACE, *(f"lookalike/{name}" for name in OWN_COLUMNS)]
        if self._video_key:
            names = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
            columns += [f"videos/{self._video_key}/{name}" for name in names]
        episodes: list[dict[str, Any]] = []
        folder = self.path / "meta" / "episodes"
        for path in sorted(folder.glob("*/*.parquet")):
            for row in ParquetRows(path).rows(columns):
                if len(episodes) >= MAX_TRAJECTORIES:
                    raise damaged(path, f"more than {MAX_TRAJECTORIES} episodes", "fewer")
                if row.get("episode_index") != len(episodes):
                    raise damaged(path, f"episode {row.get('episode_index')!r:.40}", f"{len(episodes)}")
                episodes.append(row)
        if not episodes:
            raise damaged(folder, "no episodes", "chunk-000/file-000.parquet with a row an episode")
        return episodes

    def _rows(self, index: int, episode: Mapping[str, Any]) -> list[dict[str, Any]]:
        length = _whole(self.path, episode, "length")
        check_steps(self.path, length)
        place = {
            "chunk_index": _whole(self.path, episode, "data/chunk_index"),
            "file_index": _whole(self.path, episode, "data/file_index"),
        }
        columns = [name for name, kind in self._features.items() if kind != "video"]
        rows: list[dict[str, Any]] = []
        size = 0
        table = ParquetRows(self.path / DATA_PATH.format(**place))
        for row in table.rows(columns, where=("episode_index", index)):
            size += sum(len(value) for value in row.values() if isinstance(value, str))
            check_bytes(table.path, size, MAX_TEXT_BYTES)
            rows.append(row)
            if len(rows) > length:
                break
        if len(rows) != length:
            raise damaged(table.path, f"{len(rows)} rows of episode {index}", f"{length} rows")
        return rows

    def _texts(self, rows: list[dict[str, Any]]) -> list[str]:
        if self._features.get(_TEXT) != "string":
            return []
        texts = [row.get(_TEXT) for row in rows]
        if self._own is not None and self._features.get(_NEXT_TEXT) == "string":
            texts.append(rows[-1].get(_NEXT_TEXT))
        return [text if isinstance(text, str) else "" for text in texts]

    def _action(self, row: Mapping[str, Any]) -> str | None:
        if row.get("action_executable") is False and self._own is not None:
            return None
        action = row.get("action")
        if action is None or isinstance(action, str):
            return action
        try:
            return numbers_as_text(action)
        except (TypeError, ValueError) as error:
            raise damaged(self.path, f"action {error}", "a text or numbers") from error

    def _frames(self, index: int, episode: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[Frame]:
        """Return a picture a row; for our own exports also the one after the last step."""
        if self._video_key is not None:
            frames = self._video_frames(episode, len(rows))
        elif self._image_key is not None:
            frames = self._image_frames(rows)
        else:
            return []
        if self._own is not None:
            path = self.path / LAST_FRAME_PATH.format(episode_index=index)
            try:
                if path.stat().st_size > MAX_PICTURE_BYTES:
                    raise damaged(path, f"{path.stat().st_size} bytes", f"at most {MAX_PICTURE_BYTES}")
                frames.append(decode_png(path.read_bytes(), where=path.name))
            except OSError as error:
                raise damaged(path, error, "the picture after the last step") from error
        return frames

    def _video_frames(self, episode: Mapping[str, Any], count: int) -> list[Frame]:
        prefix = f"videos/{self._video_key}/"
        path = self.path / VIDEO_PATH.format(
            video_key=self._video_key,
            chunk_index=_whole(self.path, episode, prefix + "chunk_index"),
            file_index=_whole(self.path, episode, prefix + "file_index"),
        )
        begin = _number(episode.get(prefix + "from_timestamp"))
        return read_step_frames(path, start_s=begin, count=count, fps=self._fps)

    def _image_frames(self, rows: list[dict[str, Any]]) -> list[Frame]:
        frames, size = [], 0
        for row in rows:
            picture = row.get(self._image_key or "")
            data = picture.get("bytes") if isinstance(picture, dict) else None
            if not isinstance(data, bytes):
                raise damaged(self.path, f"{self._image_key} without its bytes", "PNG or JPEG in the table")
            frames.append(decode_picture(data, where=str(self._image_key)))
            size += frames[-1].nbytes
            check_bytes(self.path, size, MAX_FRAME_BYTES)
        return frames


def _check_version(path: Path, info: Mapping[str, Any]) -> None:
    version = info.get("codebase_version")
    if not isinstance(version, str) or not version.startswith("v3."):
        raise RecordingError(
            "This LeRobot dataset is of another version of the format.",
            got=f"{path.name}: codebase_version {version!r:.40}",
            expected="v3.0",
            remedy="convert it with LeRobot's own converter (lerobot.datasets.v30)",
        )


def _features(path: Path, info: Mapping[str, Any]) -> dict[str, str]:
    """Return each feature's dtype by its name; a name becomes part of a file's."""
    features = info.get("features")
    if not isinstance(features, dict):
        raise damaged(path / INFO_PATH, f"features {type(features).__name__}", "an object")
    kinds: dict[str, str] = {}
    for name, feature in features.items():
        dtype = feature.get("dtype") if isinstance(feature, dict) else None
        if not isinstance(dtype, str) or not _SAFE_NAME.fullmatch(name):
            raise damaged(path / INFO_PATH, f"feature {name!r:.60}: {dtype!r:.40}", "a name and a dtype")
        kinds[name] = dtype
    return kinds


def _fps(path: Path, info: Mapping[str, Any]) -> float:
    fps = info.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps <= 10_000:
        raise damaged(path / INFO_PATH, f"fps {fps!r:.40}", "frames a second, above 0")
    return float(fps)


def _whole(path: Path, row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9:
        raise damaged(path / "meta", f"{name} {value!r:.40}", "a whole number from 0")
    return value


def _number(value: object) -> float:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value) if isinstance(value, int | float) else 0.0


def _state_text(path: Path, row: Mapping[str, Any]) -> str:
    """Return what was observed as text, where it is neither text nor a picture."""
    seen = {
        name: value for name, value in row.items() if name.startswith("observation.") and value is not None
    }
    if not seen:
        raise damaged(path, "no observations", "a feature called observation.…")
    try:
        return "\n".join(
            f"{name.removeprefix('observation.')}: {numbers_as_text(v)}" for name, v in seen.items()
        )
    except (TypeError, ValueError) as error:
        raise damaged(path, f"observation {error}", "texts, pictures or a few numbers") from error
