"""A Minari dataset (HDF5) as trajectories: our own exports and anybody's.

Read with h5py alone, and in another process first. A file may point to other files (external links, external
and virtual storage); such are refused, so that a dataset cannot show what else is on the disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.core.errors import LookalikeError, RecordingError
from lookalike.core.types import Frame, Observation, PlayerKind, Trajectory
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
from lookalike.recordings.export.minari_format import DATA_FOLDER, HDF5_FILE, METADATA_FILE, OWN_PREFIX
from lookalike.recordings.export.minari_probe import Probe
from lookalike.recordings.export.optional import need
from lookalike.recordings.export.pictures import decode_picture

_MAX_NUMBER_BYTES = 64 * 1024 * 1024
_TEXT_ROWS = 1024
_PICTURE_NAMES = ("frame", "rgb", "image", "pixels", "screen", "obs")
_MAX_MEMBERS = 64


class MinariDataset:
    """A dataset folder or its HDF5 file.

    Args:
        path: The dataset's folder, its ``data`` folder, or ``main_data.hdf5``.
        probed: Read everything in another process first (see ``minari_probe``).

    Raises:
        RecordingError: Damaged, of another storage format, or no dataset.
    """

    reader = "minari"

    def __init__(self, path: Path, *, probed: bool = True) -> None:
        self.path = path
        folder = path.parent if path.is_file() else path
        if (folder / DATA_FOLDER).is_dir():
            folder = folder / DATA_FOLDER
        self._file = path if path.is_file() else folder / HDF5_FILE
        about = folder / METADATA_FILE
        self._metadata: Mapping[str, Any] = read_json(about) if about.is_file() else {}
        if (kind := self._metadata.get("data_format", "hdf5")) != "hdf5":
            raise RecordingError(
                "This Minari dataset is not stored as HDF5.",
                got=f"{path.name}: data_format {kind!r:.40}",
                expected="hdf5",
                remedy="write it again with minari, data_format='hdf5'",
            )
        self._h5py = need("h5py", what="Minari datasets")
        self._probe = Probe(path, self._file) if probed else None
        if self._probe is not None:
            self._probe.open()
        with self._reading("the file") as file:
            self._count = sum(1 for name in file if name.startswith("episode_"))
        if not 1 <= self._count <= MAX_TRAJECTORIES:
            raise damaged(self._file, f"{self._count} episodes", f"1 to {MAX_TRAJECTORIES}")

    def __len__(self) -> int:
        return self._count

    def steps(self, index: int) -> int:
        """Return how many steps a trajectory has."""
        if self._probe is not None:
            self._probe.read(index)
        with self._reading(f"episode {index}") as file:
            rewards = self._member(self._member(file, f"episode_{index}"), "rewards")
            return len(self._numbers(rewards))

    def trajectory(self, index: int) -> DatasetTrajectory:
        """Read one trajectory; see :class:`~lookalike.recordings.export.dataset.Dataset`."""
        check_index(self.path, index, len(self))
        if self._probe is not None:
            self._probe.read(index)
        with self._reading(f"episode {index}") as file:
            return self._read(self._member(file, f"episode_{index}"))

    def _read(self, group: Any) -> DatasetTrajectory:
        rewards = self._numbers(self._member(group, "rewards"))
        if rewards.ndim != 1:
            raise damaged(self._file, f"rewards of shape {list(rewards.shape)}", "one number a step")
        steps = len(rewards)
        check_steps(self.path, steps)
        executable = self._executable(group, steps)
        actions = self._actions(self._member(group, "actions"), steps)
        texts, frames = self._observations(self._member(group, "observations"), steps + 1)
        observations = tuple(
            Observation(texts[i] if texts else None, frames[i] if frames else None) for i in range(steps + 1)
        )
        trajectory = Trajectory(
            observations,
            tuple(action if executable[i] else None for i, action in enumerate(actions)),
            tuple(float(reward) for reward in rewards),
        )
        about = {
            name.removeprefix(OWN_PREFIX): _plain(value)
            for name, value in group.attrs.items()
            if name.startswith(OWN_PREFIX)
        }
        if about:
            return DatasetTrajectory(trajectory, **own_facts(about, self._metadata))
        seed = _plain(group.attrs.get("seed"))
        return DatasetTrajectory(
            trajectory, player_kind=self._player_kind(), started_with=seed if isinstance(seed, int) else None
        )

    def _player_kind(self) -> PlayerKind:
        """Return who played as far as the metadata tells; most of these datasets are agents' play."""
        words = f"{self._metadata.get('algorithm_name', '')} {self._metadata.get('dataset_id', '')}"
        return "human" if "human" in words.lower() else "agent"

    def _executable(self, group: Any, steps: int) -> list[bool]:
        """Return which actions were played, where our own export says so."""
        if "infos" not in group or "action_executable" not in (infos := self._member(group, "infos")):
            return [True] * steps
        values = self._numbers(self._member(infos, "action_executable"))
        if values.shape != (steps + 1,):
            raise damaged(self._file, f"action_executable of shape {list(values.shape)}", f"[{steps + 1}]")
        return [bool(value) for value in values[1:]]

    def _actions(self, dataset: Any, steps: int) -> list[str]:
        if not isinstance(dataset, self._h5py.Dataset):
            raise damaged(self._file, "actions of several parts", "texts, numbers or vectors")
        if self._is_text(dataset):
            actions = self._strings(dataset)
        else:
            actions = [numbers_as_text(value) for value in self._numbers(dataset).tolist()]
        return _checked(self._file, "actions", actions, steps)

    def _observations(self, found: Any, count: int) -> tuple[list[str], list[Frame]]:
        """Return texts and pictures, each ``count`` or none; numbers become texts where there is nothing."""
        members = self._members(found, "")
        texts = {name: item for name, item in members.items() if self._is_text(item)}
        pictures = {n: item for n, item in members.items() if n not in texts and self._is_picture(item)}
        frames: list[Frame] = []
        if pictures:
            name = min(pictures, key=_picture_rank)
            frames = _checked(self._file, name or "observations", self._frames(pictures[name]), count)
        if texts:
            columns = {
                name: _checked(self._file, name, self._strings(item), count) for name, item in texts.items()
            }
            if len(columns) == 1:
                return next(iter(columns.values())), frames
            return [_joined({n: column[i] for n, column in columns.items()}) for i in range(count)], frames
        if frames:
            return [], frames
        numbers = {
            name: _checked(self._file, name, self._numbers(item).tolist(), count)
            for name, item in members.items()
        }
        rows = [{n: numbers_as_text(column[i]) for n, column in numbers.items()} for i in range(count)]
        return [_joined(row) for row in rows], []

    def _members(self, found: Any, prefix: str) -> dict[str, Any]:
        """Return a group's datasets by their names, nested ones with dots."""
        if isinstance(found, self._h5py.Dataset):
            return {prefix: found}
        members: dict[str, Any] = {}
        for name in found:
            whole = f"{prefix}.{name}" if prefix else str(name)
            members |= self._members(self._member(found, name), whole)
            if len(members) > _MAX_MEMBERS:
                raise damaged(self._file, f"more than {_MAX_MEMBERS} parts", "fewer parts of an observation")
        return members

    def _member(self, group: Any, name: str) -> Any:
        """Return what a group holds under a name, if it is in this file."""
        if not isinstance(group, self._h5py.Group):
            raise damaged(self._file, "a dataset where a group belongs", f"a group with {name!r}")
        link = group.get(name, getlink=True)
        if link is None:
            raise damaged(self._file, f"no {name!r} in {group.name}", "a Minari episode")
        if not isinstance(link, self._h5py.HardLink):
            raise damaged(self._file, f"{name!r} is a link to elsewhere", "data in this file")
        item = group[name]
        if isinstance(item, self._h5py.Dataset) and (item.external or item.is_virtual):
            raise damaged(self._file, f"{name!r} is stored elsewhere", "data in this file")
        return item

    def _is_text(self, item: Any) -> bool:
        return self._h5py.check_string_dtype(item.dtype) is not None

    def _is_picture(self, item: Any) -> bool:
        """Return whether a dataset has pictures: RGB arrays, or JPEG files as byte rows."""
        if self._h5py.check_vlen_dtype(item.dtype) == np.uint8:
            return True
        if item.dtype != np.uint8:
            return False
        if item.ndim == 4:
            return bool(item.shape[3] == 3)
        return item.ndim == 2 and item.shape[0] > 0 and bytes(item[0, :3]) == b"\xff\xd8\xff"

    def _frames(self, item: Any) -> list[Frame]:
        if item.ndim == 4:
            check_bytes(self._file, item.size, MAX_FRAME_BYTES)
            return list(item[()])
        frames: list[Frame] = []
        size = 0
        check_steps(self.path, max(1, item.shape[0] - 1))
        for row in range(item.shape[0]):
            frames.append(decode_picture(bytes(item[row]), where=f"{self._file.name}, {item.name}"))
            size += frames[-1].nbytes
            check_bytes(self._file, size, MAX_FRAME_BYTES)
        return frames

    def _strings(self, item: Any) -> list[str]:
        if item.ndim != 1:
            raise damaged(self._file, f"texts of shape {list(item.shape)}", "one text a step")
        check_steps(self.path, max(1, item.shape[0] - 1))
        check_bytes(self._file, item.dtype.itemsize * item.shape[0], MAX_TEXT_BYTES)
        texts: list[str] = []
        size = 0
        for begin in range(0, item.shape[0], _TEXT_ROWS):
            for value in item[begin : begin + _TEXT_ROWS]:
                data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
                size += len(data)
                check_bytes(self._file, size, MAX_TEXT_BYTES)
                texts.append(data.decode("utf-8", "replace"))
        return texts

    def _numbers(self, item: Any) -> np.ndarray[Any, Any]:
        if not isinstance(item, self._h5py.Dataset) or item.dtype.kind not in "biuf":
            raise damaged(self._file, f"{getattr(item, 'name', '?')} has no numbers", "numbers")
        check_bytes(self._file, item.size * item.dtype.itemsize, _MAX_NUMBER_BYTES)
        return np.asarray(item[()])

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[Any]:
        """Open the file; whatever the library finds wrong with it becomes one of our errors."""
        try:
            with self._h5py.File(self._file, "r") as file:
                yield file
        except LookalikeError:
            raise
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError) as error:
            raise damaged(self._file, f"{what}: {error}", "a whole HDF5 file of Minari's") from error


def _checked(path: Path, name: str, values: list[Any], count: int) -> list[Any]:
    if len(values) != count:
        raise damaged(path, f"{len(values)} of {name}", f"{count}")
    return values


def _joined(row: Mapping[str, str]) -> str:
    """Return an observation of several parts as lines, each with its name where it has one."""
    return "\n".join(f"{name}: {text}" if name else text for name, text in row.items())


def _picture_rank(name: str) -> tuple[int, str]:
    last = name.rpartition(".")[2]
    return (_PICTURE_NAMES.index(last) if last in _PICTURE_NAMES else len(_PICTURE_NAMES), name)


def _plain(value: object) -> object:
    """Return an attribute's value as one of Python's own types."""
    if isinstance(value, np.generic):
        return value.item()
    return value
