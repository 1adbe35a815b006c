"""Says what kind of dataset a file or folder is, and opens it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lookalike.recordings.export.dataset import Dataset
from lookalike.recordings.export.lerobot_format import INFO_PATH
from lookalike.recordings.export.minari_format import DATA_FOLDER, HDF5_FILE, METADATA_FILE

DatasetKind = Literal["lerobot", "minari", "run-tables", "run-lines"]
_HDF5_HEAD = b"\x89HDF\r\n\x1a\n"
_LINES_MARK = b'"format":"lookalike-run"'


def dataset_kind(path: Path) -> DatasetKind | None:
    """Return what kind of dataset is at a path, ``None`` where it is none; only looks at the beginning."""
    if path.is_dir():
        if (path / INFO_PATH).is_file():
            return "lerobot"
        if (path / "steps.parquet").is_file():
            return "run-tables"
        for folder in (path / DATA_FOLDER, path):
            if (folder / HDF5_FILE).is_file() or (folder / METADATA_FILE).is_file():
                return "minari"
        return None
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    if head.startswith(_HDF5_HEAD):
        return "minari"
    if _LINES_MARK in head.split(b"\n", 1)[0]:
        return "run-lines"
    if head.startswith(b"PAR1") and (path.parent / "steps.parquet").is_file():
        return "run-tables"
    return None


def open_dataset(path: str | Path) -> Dataset | None:
    """Open a dataset: LeRobot v3, Minari (HDF5), or one of our own exports.

    Args:
        path: A folder, or a file that stands for one (``main_data.hdf5``, ``steps.parquet``), or exported
            lines.

    Returns:
        Its trajectories, read one at a time and as they are in the file; ``None`` where it is no dataset.

    Raises:
        RecordingError: It is one and cannot be read.
    """
    path = Path(path)
    kind = dataset_kind(path)
    if kind == "lerobot":
        from lookalike.recordings.export.lerobot_reader import LeRobotDataset

        return LeRobotDataset(path)
    if kind == "minari":
        from lookalike.recordings.export.minari_reader import MinariDataset

        return MinariDataset(path)
    if kind == "run-tables":
        from lookalike.recordings.export.tables_reader import RunTables

        return RunTables(path if path.is_dir() else path.parent)
    if kind == "run-lines":
        from lookalike.recordings.export.lines_reader import RunLines

        return RunLines(path)
    return None
