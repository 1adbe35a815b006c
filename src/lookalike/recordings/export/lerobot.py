"""A run as a LeRobot v3 dataset: one row a step in Parquet, pictures in mp4, a folder for its metadata.

LeRobot has robots in mind; a text game's observation and action are string features, which it carries but
does not normalise. A row is a step: what was seen, what was done, and under ``next.`` what came of it.
Timestamps are the frame's number by the frame rate, as the format wants them, and no clock's.

What the format has no name for (condition, seeds, outcome) stands in further columns of ``meta/episodes``
and in ``meta/lookalike.json``; the picture after an episode's last step is a PNG file of its own. LeRobot
passes over all of these.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from lookalike.core.errors import RecordingError
from lookalike.core.types import Frame
from lookalike.recordings.export.lerobot_format import (
    CHUNK_FILES,
    DATA_FILE_MB,
    DATA_PATH,
    EPISODES_PATH,
    FPS,
    INFO_PATH,
    LAST_FRAME_PATH,
    OWN_COLUMNS,
    OWN_PATH,
    STATS_PATH,
    TASKS_PATH,
    VIDEO_FILE_MB,
    VIDEO_KEY,
    VIDEO_PATH,
    arrow_type,
    features_for,
    info_for,
    tasks_table,
)
from lookalike.recordings.export.lerobot_video import StepVideo
from lookalike.recordings.export.meta import run_metadata, track_metadata
from lookalike.recordings.export.optional import need
from lookalike.recordings.export.pictures import encode_png
from lookalike.recordings.export.report import ExportReport, Progress
from lookalike.recordings.export.statistics import FeatureStatistics
from lookalike.recordings.export.tables import Table
from lookalike.recordings.export.target import new_target
from lookalike.recordings.export.tracks import EpisodeTracks, RunFacts, Track, episodes_of
from lookalike.store import EventLog, FileStore, StepTaken

NOT_HELD = (
    "proposals, their verdicts, votes, ties, dissent and recollections",
    "verdicts' components and feedback (their value is there)",
    "what was asked of models, times and cost",
    "attempts at an episode that were broken off and started over, and incidents",
)
_STATISTICS = ("min", "max", "mean", "std", "count")


def write_lerobot(
    log: EventLog,
    run_id: str,
    facts: RunFacts,
    *,
    out: Path,
    files: FileStore | None,
    licence: str,
    progress: Progress,
) -> ExportReport:
    """Write a run as a LeRobot v3 dataset folder.

    Raises:
        RecordingError: The target exists or cannot be written, there is no step to write, pictures or texts
            are there for some steps only, or pyarrow is not installed.
        StoreError: An event or a picture is damaged.
    """
    need("pyarrow", what="LeRobot datasets")
    done, dataset = 0, None
    empty = 0
    with new_target(out) as made:
        with contextlib.ExitStack() as open_files:
            for episode in episodes_of(log, run_id, facts):
                for track in episode.tracks:
                    if not track.steps:
                        empty += 1
                        continue
                    if dataset is None:
                        dataset = open_files.enter_context(_Dataset(made, track, files))
                    dataset.add(track_metadata(facts, episode, track), episode, track)
                done += 1
                progress(done, len(facts.keys), str(episode.key))
        if dataset is None:
            raise no_steps(run_id, done)
        dataset.write_metadata(run_metadata(run_id, facts, licence=licence))
        names = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    lost = [*NOT_HELD]
    if empty:
        lost.append(f"{empty} episodes without a step")
    if dataset.has_frames:
        lost.append("pictures to the last bit: mp4 is lossy (but for the one after an episode's last step)")
    elif dataset.missed_frames:
        lost.append("pictures, because the run's files were not given")
    return ExportReport((out, *(out / name for name in names)), done, dataset.frames, tuple(lost))


def no_steps(run_id: str, episodes: int) -> RecordingError:
    """Return the error for a run from which no trajectory can be made."""
    return RecordingError(
        f"The run {run_id!r} has no step to export.",
        got=f"{episodes} episodes without a step",
        expected="at least one step in one of the wanted episodes",
        remedy="export it as jsonl or parquet, or after more has been played",
    )


@dataclass
class _Place:
    """Which chunk and file are written to."""

    chunk: int = 0
    file: int = 0

    def next(self) -> None:
        self.file += 1
        if self.file == CHUNK_FILES:
            self.chunk, self.file = self.chunk + 1, 0


@dataclass
class _Dataset:
    """A dataset folder being written.

    Args:
        folder: The new folder.
        example: The first trajectory: says whether there are texts and pictures, and of what size.
        files: The run's pictures.
    """

    folder: Path
    example: Track
    files: FileStore | None
    frames: int = 0
    episodes: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    statistics: dict[str, FeatureStatistics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        first = self.example.first_frame
        self.missed_frames = first is not None and self.files is None
        self.shape: tuple[int, ...] | None = None
        if first is not None and self.files is not None:
            self.shape = self.files.get_frame(first).shape
        self.has_text = self.example.first_observation is not None
        self.features = features_for(has_text=self.has_text, shape=self.shape)
        self._data_place, self._video_place = _Place(), _Place()
        self._data: Table | None = None
        self._video: StepVideo | None = None
        self._episodes = Table(
            self.folder / EPISODES_PATH.format(chunk_index=0, file_index=0), self._schema()
        )

    @property
    def has_frames(self) -> bool:
        """Whether pictures are written."""
        return self.shape is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as closing:
            for table in (self._data, self._video, self._episodes):
                if table is not None:
                    closing.push(table.__exit__)
            closing.__exit__(kind, error, trace)

    def add(self, about: Mapping[str, Any], episode: EpisodeTracks, track: Track) -> None:
        """Write a trajectory of at least one step."""
        self._check_texts(episode, track)
        task = self.tasks.setdefault(str(about["goal"]), len(self.tasks))
        columns = _columns(track, has_text=self.has_text)
        length = len(track.steps)
        columns |= {
            "timestamp": np.arange(length, dtype=np.float32) / np.float32(FPS),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, self.episodes),
            "index": np.arange(self.frames, self.frames + length),
            "task_index": np.full(length, task),
        }
        own = {
            name: FeatureStatistics.of_rows(values)
            for name, values in columns.items()
            if isinstance(values, np.ndarray)
        }
        row: dict[str, Any] = {
            "episode_index": self.episodes,
            "tasks": [about["goal"]],
            "length": length,
            "data/chunk_index": self._data_place.chunk,
            "data/file_index": self._data_place.file,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + length,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        if self.shape is not None:
            video_row, own[VIDEO_KEY] = self._add_frames(episode, track)
            row |= video_row
        self._add_rows(columns, length)
        for name, statistics in own.items():
            picture = name == VIDEO_KEY
            row |= {f"stats/{name}/{k}": v for k, v in statistics.as_json(picture=picture).items()}
            known = self.statistics.get(name)
            self.statistics[name] = statistics if known is None else known.merged(statistics)
        self._episodes.add(row | {f"lookalike/{name}": about[name] for name in OWN_COLUMNS})
        self.frames += length
        self.episodes += 1

    def _check_texts(self, episode: EpisodeTracks, track: Track) -> None:
        for index, text in enumerate(track.texts):
            if (text is not None) != self.has_text:
                raise _mixed("text", episode, index)

    def _add_rows(self, columns: Mapping[str, Any], length: int) -> None:
        if self._data is None:
            import pyarrow as pa

            place = self._data_place
            path = self.folder / DATA_PATH.format(chunk_index=place.chunk, file_index=place.file)
            kept = [(name, arrow_type(f)) for name, f in self.features.items() if f["dtype"] != "video"]
            self._data = Table(path, pa.schema(kept))
        lists = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in columns.items()}
        for index in range(length):
            row = {name: values[index] for name, values in lists.items()}
            self._data.add(row, size=sum(len(v) for v in row.values() if isinstance(v, str)))
        if self._data.written_bytes() > DATA_FILE_MB * 1024 * 1024:
            self._data.__exit__(None, None, None)
            self._data = None
            self._data_place.next()

    def _add_frames(self, episode: EpisodeTracks, track: Track) -> tuple[dict[str, Any], FeatureStatistics]:
        """Write a trajectory's pictures but for the last, which has no row, and which is kept aside."""
        assert self.shape is not None  # noqa: S101 - the caller asked
        if self._video is None:
            place = self._video_place
            path = VIDEO_PATH.format(video_key=VIDEO_KEY, chunk_index=place.chunk, file_index=place.file)
            self._video = StepVideo(self.folder / path, shape=self.shape, fps=FPS)
        begin = self._video.frames
        own: FeatureStatistics | None = None
        for index, frame in enumerate(self._pictures(episode, track)):
            if index == len(track.steps):
                aside = self.folder / LAST_FRAME_PATH.format(episode_index=self.episodes)
                aside.parent.mkdir(parents=True, exist_ok=True)
                aside.write_bytes(encode_png(frame))
                break
            self._video.add(frame)
            one = FeatureStatistics.of_frame(frame)
            own = one if own is None else own.merged(one)
        assert own is not None  # noqa: S101 - at least one step
        row = {
            f"videos/{VIDEO_KEY}/chunk_index": self._video_place.chunk,
            f"videos/{VIDEO_KEY}/file_index": self._video_place.file,
            f"videos/{VIDEO_KEY}/from_timestamp": begin / FPS,
            f"videos/{VIDEO_KEY}/to_timestamp": self._video.frames / FPS,
        }
        if self._video.written_bytes() > VIDEO_FILE_MB * 1024 * 1024:
            self._video.__exit__(None, None, None)
            self._video = None
            self._video_place.next()
        return row, own

    def _pictures(self, episode: EpisodeTracks, track: Track) -> Iterator[Frame]:
        assert self.files is not None  # noqa: S101 - without files there is no shape
        for index, name in enumerate(track.frames):
            if name is None:
                raise _mixed("picture", episode, index)
            frame = self.files.get_frame(name)
            if frame.shape != self.shape:
                raise RecordingError(
                    "Pictures of different sizes cannot be in one LeRobot dataset.",
                    got=f"{list(frame.shape)} in {episode.key}, observation {index}",
                    expected=f"{list(self.shape or ())}, as in the first episode",
                    remedy="export as parquet or jsonl, or the episodes of each size by themselves",
                )
            yield frame

    def _schema(self) -> Any:
        import pyarrow as pa

        whole, texts = pa.int64(), pa.list_(pa.string())
        fields: list[tuple[str, Any]] = [
            ("episode_index", whole),
            ("tasks", texts),
            ("length", whole),
            ("data/chunk_index", whole),
            ("data/file_index", whole),
            ("dataset_from_index", whole),
            ("dataset_to_index", whole),
        ]
        if self.shape is not None:
            fields += [(f"videos/{VIDEO_KEY}/{name}", whole) for name in ("chunk_index", "file_index")]
            stamps = ("from_timestamp", "to_timestamp")
            fields += [(f"videos/{VIDEO_KEY}/{name}", pa.float64()) for name in stamps]
        for name, feature in self.features.items():
            if feature["dtype"] == "string":
                continue
            values = pa.list_(pa.float64())
            if feature["dtype"] == "video":
                values = pa.list_(pa.list_(values))
            for statistic in _STATISTICS:
                kind = pa.list_(whole) if statistic == "count" else values
                fields.append((f"stats/{name}/{statistic}", kind))
        fields += [("meta/episodes/chunk_index", whole), ("meta/episodes/file_index", whole)]
        kinds = {"text": pa.string(), "whole": whole, "number": pa.float64(), "yes_no": pa.bool_()}
        fields += [(f"lookalike/{name}", kinds[kind]) for name, kind in OWN_COLUMNS.items()]
        return pa.schema(fields)

    def write_metadata(self, about: Mapping[str, str]) -> None:
        """Write what stands beside the rows, once all of them are written."""
        parquet = need("pyarrow.parquet", what="LeRobot datasets")
        parquet.write_table(tasks_table(list(self.tasks)), self.folder / TASKS_PATH)
        info = info_for(self.features, episodes=self.episodes, frames=self.frames, tasks=len(self.tasks))
        statistics = {
            name: found.as_json(picture=name == VIDEO_KEY) for name, found in self.statistics.items()
        }
        for path, value in ((INFO_PATH, info), (STATS_PATH, statistics), (OWN_PATH, dict(about))):
            text = json.dumps(value, indent=4, ensure_ascii=False, allow_nan=False)
            (self.folder / path).write_text(text + "\n", encoding="utf-8")


def _columns(track: Track, *, has_text: bool) -> dict[str, Any]:
    """Return the rows' values by feature: texts as lists, numbers as arrays."""
    steps: Sequence[StepTaken] = track.steps
    columns: dict[str, Any] = {}
    if has_text:
        columns["observation.text"] = [text or "" for text in track.texts[:-1]]
        columns["next.observation.text"] = [step.next_observation or "" for step in steps]
    ended = [step.terminated or step.truncated for step in steps]
    return columns | {
        "action": [step.decision or "" for step in steps],
        "action_executable": np.array([step.decision is not None for step in steps]),
        "next.reward": np.array([step.env_reward for step in steps], dtype=np.float64),
        "next.score": np.array([step.score or 0.0 for step in steps], dtype=np.float64),
        "next.score_known": np.array([step.score is not None for step in steps]),
        "next.verdict": np.array([step.verdict.value if step.verdict else 0.0 for step in steps]),
        "next.verdict_given": np.array([step.verdict is not None for step in steps]),
        "next.terminated": np.array([step.terminated for step in steps]),
        "next.truncated": np.array([step.truncated for step in steps]),
        "next.done": np.array(ended),
        "next.success": np.array([step.goal_reached for step in steps]),
    }


def _mixed(what: str, episode: EpisodeTracks, index: int) -> RecordingError:
    return RecordingError(
        f"Some observations of the run have a {what} and some have none.",
        got=f"{episode.key}, observation {index}",
        expected="all or none: a LeRobot feature is there in every row",
        remedy="export as parquet or jsonl, or only the episodes that are alike",
    )
