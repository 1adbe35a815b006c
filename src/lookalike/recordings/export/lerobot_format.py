"""The names of LeRobot's dataset format, version 3.0, in one place for the writer and the reader.

As published in LeRobot 0.4 (``lerobot/datasets/utils.py``, Apache-2.0; names and shapes only).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

CODEBASE_VERSION = "v3.0"
CHUNK_FILES = 1000
"""Files a chunk folder may hold."""
DATA_FILE_MB = 100
VIDEO_FILE_MB = 200
FPS = 10
"""Frames a second; a step has no duration of its own, so this only says how quickly a viewer shows them."""

INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
TASKS_PATH = "meta/tasks.parquet"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
VIDEO_KEY = "observation.images.screen"

OWN_PATH = "meta/lookalike.json"
LAST_FRAME_PATH = "lookalike/last_frames/episode_{episode_index:06d}.png"
OWN_COLUMNS: Mapping[str, str] = {
    "condition": "text",
    "goal": "text",
    "seed": "whole",
    "attempt": "whole",
    "world": "text",
    "part": "whole",
    "environment_seed": "whole",
    "player_kind": "text",
    "outcome": "text",
    "success": "yes_no",
    "score": "number",
    "failure": "text",
}
"""What ``meta/episodes`` says besides, as columns ``lookalike/NAME``."""


def features_for(*, has_text: bool, shape: tuple[int, ...] | None) -> dict[str, dict[str, Any]]:
    """Return the dataset's features by name, in LeRobot's form.

    Args:
        has_text: Observations have texts.
        shape: Of their pictures, ``(H, W, 3)``, or ``None``.
    """
    features: dict[str, dict[str, Any]] = {}
    if has_text:
        features["observation.text"] = _feature("string")
    if shape is not None:
        height, width = shape[:2]
        features[VIDEO_KEY] = {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": pixel_format(shape),
                "video.is_depth_map": False,
                "video.fps": FPS,
                "video.channels": 3,
                "has_audio": False,
            },
        }
    features["action"] = _feature("string")
    features["action_executable"] = _feature("bool")
    if has_text:
        features["next.observation.text"] = _feature("string")
    for name in ("next.reward", "next.score", "next.verdict"):
        features[name] = _feature("float64")
    for name in ("score_known", "verdict_given", "terminated", "truncated", "done", "success"):
        features[f"next.{name}"] = _feature("bool")
    features["timestamp"] = _feature("float32")
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = _feature("int64")
    return features


def pixel_format(shape: tuple[int, ...]) -> str:
    """Return how a picture's colours are stored: every player reads 4:2:0, but only of even sizes."""
    return "yuv420p" if shape[0] % 2 == 0 and shape[1] % 2 == 0 else "yuv444p"


def arrow_type(feature: Mapping[str, Any]) -> Any:
    """Return the pyarrow type of a feature's column."""
    import pyarrow as pa

    named = {
        "string": pa.string(),
        "bool": pa.bool_(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "int64": pa.int64(),
    }
    return named[feature["dtype"]]


def info_for(
    features: Mapping[str, Mapping[str, Any]], *, episodes: int, frames: int, tasks: int
) -> dict[str, Any]:
    """Return what ``meta/info.json`` says."""
    has_video = any(feature["dtype"] == "video" for feature in features.values())
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": None,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": FPS,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if has_video else None,
        "features": dict(features),
    }


def tasks_table(tasks: Sequence[str]) -> Any:
    """Return ``meta/tasks.parquet``: a pandas frame of ``task_index`` whose index are the tasks' texts.

    pandas reads its index back from a note in the schema, which is written here without pandas.
    """
    import pyarrow as pa

    def column(name: str, kind: str, numpy_kind: str) -> dict[str, Any]:
        return {
            "name": name,
            "field_name": name,
            "pandas_type": kind,
            "numpy_type": numpy_kind,
            "metadata": None,
        }

    note = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [column("task_index", "int64", "int64"), column("task", "unicode", "object")],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    schema = pa.schema(
        [("task_index", pa.int64()), ("task", pa.string())], metadata={"pandas": json.dumps(note)}
    )
    return pa.table({"task_index": list(range(len(tasks))), "task": list(tasks)}, schema=schema)


def _feature(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [1], "names": None}
