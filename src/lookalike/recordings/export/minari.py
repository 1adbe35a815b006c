"""A run as a Minari dataset: HDF5, N + 1 observations for N actions, pictures without loss.

Written with h5py alone, a step at a time: Minari's own writer keeps a whole episode's pictures in memory
twice and, as it comes, stores them as JPEG.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.core.errors import RecordingError
from lookalike.recordings.export.lerobot import no_steps
from lookalike.recordings.export.meta import run_metadata, track_metadata
from lookalike.recordings.export.minari_format import (
    DATA_FOLDER,
    HDF5_FILE,
    METADATA_FILE,
    MINARI_VERSION,
    NUL_STANDS_AS,
    OWN_PREFIX,
    dataset_id,
    observation_space,
    picture_space,
    text_space,
)
from lookalike.recordings.export.optional import need
from lookalike.recordings.export.report import ExportReport, Progress
from lookalike.recordings.export.target import new_target
from lookalike.recordings.export.tracks import EpisodeTracks, RunFacts, Track, episodes_of
from lookalike.store import EventLog, FileStore

NOT_HELD = (
    "proposals, their verdicts, votes, ties, dissent and recollections",
    "verdicts' components and feedback (their value is there)",
    "what was asked of models, times and cost",
    "attempts at an episode that were broken off and started over, and incidents",
)


def write_minari(
    log: EventLog,
    run_id: str,
    facts: RunFacts,
    *,
    out: Path,
    files: FileStore | None,
    licence: str,
    progress: Progress,
) -> ExportReport:
    """Write a run as a Minari dataset folder.

    Raises:
        RecordingError: The target exists or cannot be written, there is no step to write, pictures or texts
            are there for some observations only, or h5py is not installed.
        StoreError: An event or a picture is damaged.
    """
    h5py = need("h5py", what="Minari datasets")
    done, empty, dataset = 0, 0, None
    with new_target(out) as made:
        folder = made / DATA_FOLDER
        folder.mkdir(parents=True)
        with h5py.File(folder / HDF5_FILE, "w", track_order=True) as file:
            for episode in episodes_of(log, run_id, facts):
                for track in episode.tracks:
                    if not track.steps:
                        empty += 1
                        continue
                    dataset = dataset or _Dataset(h5py, file, track, files)
                    dataset.add(track_metadata(facts, episode, track), episode, track)
                done += 1
                progress(done, len(facts.keys), str(episode.key))
        if dataset is None:
            raise no_steps(run_id, done)
        size = (folder / HDF5_FILE).stat().st_size
        about = dataset.metadata(dataset_id(out.name), size=size) | run_metadata(
            run_id, facts, licence=licence
        )
        text = json.dumps(about, ensure_ascii=False, allow_nan=False)
        (folder / METADATA_FILE).write_text(text, encoding="utf-8")
    lost = [*NOT_HELD]
    if empty:
        lost.append(f"{empty} episodes without a step")
    if dataset.missed_frames:
        lost.append("pictures, because the run's files were not given")
    if dataset.nul_characters:
        lost.append(f"{dataset.nul_characters} NUL characters, written as {NUL_STANDS_AS}")
    paths = (out, out / DATA_FOLDER / HDF5_FILE, out / DATA_FOLDER / METADATA_FILE)
    return ExportReport(paths, done, dataset.steps, tuple(lost))


class _Dataset:
    """The HDF5 file being written and what its metadata will say.

    Args:
        h5py: The library.
        file: The open file.
        example: The first trajectory: says whether there are texts and pictures, and of what size.
        files: The run's pictures.
    """

    def __init__(self, h5py: Any, file: Any, example: Track, files: FileStore | None) -> None:
        self._file = file
        self._files = files
        self._strings = h5py.string_dtype(encoding="utf-8")
        first = example.first_frame
        self.missed_frames = first is not None and files is None
        self.shape: tuple[int, ...] | None = None
        if first is not None and files is not None:
            self.shape = files.get_frame(first).shape
        self.has_text = example.first_observation is not None
        if not self.has_text and self.shape is None:
            raise RecordingError(
                "Without the run's pictures there is nothing to see in its observations.",
                got="observations without texts, and no files",
                expected="the folder of the run's files",
                remedy="give the run's files, or export as jsonl or parquet",
            )
        self.episodes = self.steps = 0
        self.nul_characters = 0
        self._seen, self._done = _Characters(), _Characters()

    def add(self, about: Mapping[str, Any], episode: EpisodeTracks, track: Track) -> None:
        """Write a trajectory of at least one step."""
        group = self._file.create_group(f"episode_{self.episodes}", track_order=True)
        length = len(track.steps)
        group.attrs["id"] = self.episodes
        group.attrs["total_steps"] = length
        group.attrs["seed"] = episode.started.environment_seed
        for name, value in about.items():
            if value is not None:
                group.attrs[OWN_PREFIX + name] = self._clean(value) if isinstance(value, str) else value
        self._add_observations(group, episode, track)
        self._add_texts(group, "actions", [step.decision or "" for step in track.steps], self._done)
        steps = track.steps
        group["rewards"] = np.array([step.env_reward for step in steps], dtype=np.float64)
        group["terminations"] = np.array([step.terminated for step in steps])
        group["truncations"] = np.array([step.truncated for step in steps])
        infos = group.create_group("infos", track_order=True)
        infos["action_executable"] = np.array([True, *(step.decision is not None for step in steps)])
        infos["goal_reached"] = np.array([False, *(step.goal_reached for step in steps)])
        infos["score"] = np.array(
            [math.nan, *(math.nan if step.score is None else step.score for step in steps)]
        )
        infos["verdict"] = np.array(
            [math.nan, *(math.nan if step.verdict is None else step.verdict.value for step in steps)]
        )
        self.episodes += 1
        self.steps += length

    def _add_observations(self, group: Any, episode: EpisodeTracks, track: Track) -> None:
        both = self.has_text and self.shape is not None
        where = group.create_group("observations", track_order=True) if both else group
        if self.shape is not None:
            name = "frame" if both else "observations"
            self._add_frames(where, name, self.shape, episode, track)
        for index, text in enumerate(track.texts):
            if (text is not None) != self.has_text:
                raise _mixed("text", episode, index)
        if self.has_text:
            texts = [text or "" for text in track.texts]
            self._add_texts(where, "text" if both else "observations", texts, self._seen)

    def _add_texts(self, group: Any, name: str, texts: list[str], characters: _Characters) -> None:
        cleaned = [self._clean(text) for text in texts]
        for text in cleaned:
            characters.take(text)
        group.create_dataset(name, data=cleaned, dtype=self._strings, chunks=True, maxshape=(None,))

    def _clean(self, text: str) -> str:
        self.nul_characters += text.count("\0")
        return text.replace("\0", NUL_STANDS_AS)

    def _add_frames(
        self, group: Any, name: str, shape: tuple[int, ...], episode: EpisodeTracks, track: Track
    ) -> None:
        assert self._files is not None  # noqa: S101 - without files there is no shape
        frames = group.create_dataset(
            name,
            shape=(len(track.frames), *shape),
            maxshape=(None, *shape),
            dtype=np.uint8,
            chunks=(1, *shape),
            compression="gzip",
            compression_opts=4,
        )
        for index, sha in enumerate(track.frames):
            if sha is None:
                raise _mixed("picture", episode, index)
            frame = self._files.get_frame(sha)
            if frame.shape != shape:
                raise RecordingError(
                    "Pictures of different sizes cannot be in one Minari dataset.",
                    got=f"{list(frame.shape)} in {episode.key}, observation {index}",
                    expected=f"{list(shape)}, as in the first episode",
                    remedy="export as parquet or jsonl, or the episodes of each size by themselves",
                )
            frames[index] = frame

    def metadata(self, name: str, *, size: int) -> dict[str, Any]:
        """Return what ``metadata.json`` says."""
        text = self._seen.space() if self.has_text else None
        picture = picture_space(self.shape) if self.shape is not None else None
        return {
            "dataset_id": name,
            "minari_version": MINARI_VERSION,
            "data_format": "hdf5",
            "jpeg_encoding": False,
            "total_episodes": self.episodes,
            "total_steps": self.steps,
            "dataset_size": round(size / 1_000_000, 1),
            "observation_space": observation_space(text, picture),
            "action_space": json.dumps(self._done.space()),
            "algorithm_name": "LookALike swarm",
        }


class _Characters:
    """Which characters and how many at most: what a text space declares."""

    def __init__(self) -> None:
        self._all: set[str] = set()
        self._longest = 0

    def take(self, text: str) -> None:
        self._all.update(text)
        self._longest = max(self._longest, len(text))

    def space(self) -> dict[str, Any]:
        return text_space(self._longest, self._all)


def _mixed(what: str, episode: EpisodeTracks, index: int) -> RecordingError:
    return RecordingError(
        f"Some observations of the run have a {what} and some have none.",
        got=f"{episode.key}, observation {index}",
        expected="all or none: a Minari dataset has one observation space",
        remedy="export as parquet or jsonl, or only the episodes that are alike",
    )
