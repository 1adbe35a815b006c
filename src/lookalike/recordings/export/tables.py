"""A run as Parquet tables, for anybody's data tools: steps, episodes, proposals, and its pictures.

Written in row groups while the log is read, so that a long run is never held in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lookalike.core.errors import RecordingError
from lookalike.recordings.export.meta import run_metadata, track_metadata
from lookalike.recordings.export.optional import need
from lookalike.recordings.export.report import ExportReport, Progress
from lookalike.recordings.export.target import new_target
from lookalike.recordings.export.tracks import EpisodeTracks, RunFacts, Track, episodes_of
from lookalike.store import (
    EpisodeFailed,
    EpisodeFinished,
    EventLog,
    FileStore,
    Measured,
    StepTaken,
    UsageRecord,
    VerdictRecord,
)

NOT_HELD = (
    "attempts at an episode that were broken off and started over",
    "incidents: restarted games, pauses, the run's stops and when they were",
    "the order in which steps of different episodes were taken",
)
_FINISHED_COLUMNS = (
    "success",
    "score",
    "terminated",
    "truncated",
    "proposals",
    "executable_proposals",
    "agreement",
    "dissents",
    "correct_dissents",
)
_ROWS = 4096
_BYTES = 32 * 1024 * 1024


@dataclass
class Table:
    """A Parquet file being written, a row group at a time.

    Args:
        path: The file.
        schema: Its pyarrow schema, with metadata.
    """

    path: Path
    schema: Any
    _rows: list[Mapping[str, Any]] = field(default_factory=list)
    _bytes: int = 0
    _writer: Any = None

    def __post_init__(self) -> None:
        parquet = need("pyarrow.parquet", what="Parquet files")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = parquet.ParquetWriter(self.path, self.schema, compression="zstd")

    def add(self, row: Mapping[str, Any], *, size: int = 0) -> None:
        """Take a row; ``size`` is about how many bytes of text or pictures it has."""
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= _ROWS or self._bytes >= _BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was taken as a row group."""
        import pyarrow as pa

        if not self._rows:
            return
        try:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self.schema))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise RecordingError(
                "A value of the run does not fit its column.",
                got=f"{self.path.name}: {error}",
                expected="whole numbers of 64 bits",
                remedy="export as jsonl, which has no such limit",
            ) from error
        self._rows, self._bytes = [], 0

    def written_bytes(self) -> int:
        """Return how large the file is so far."""
        return self.path.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the rest and end the file; after an error only let it go."""
        if kind is None:
            try:
                self.flush()
            finally:
                self._writer.close()
        else:
            with contextlib.suppress(Exception):
                self._writer.close()


def write_tables(
    log: EventLog,
    run_id: str,
    facts: RunFacts,
    *,
    out: Path,
    files: FileStore | None,
    licence: str,
    progress: Progress,
) -> ExportReport:
    """Write a run as a folder of Parquet tables.

    Raises:
        RecordingError: The target exists or cannot be written, or pyarrow is not installed.
        StoreError: An event or a picture is damaged.
    """
    need("pyarrow", what="Parquet files")
    metadata = {"lookalike.format": "run-tables", **run_metadata(run_id, facts, licence=licence)}
    with new_target(out) as made:
        done = 0
        with _Tables(made, metadata, files) as tables:
            for episode in episodes_of(log, run_id, facts):
                tables.add(facts, episode)
                done += 1
                progress(done, len(facts.keys), str(episode.key))
        names = sorted(path.name for path in made.iterdir())
    lost = list(NOT_HELD)
    if tables.missed:
        lost.append("pictures: only their SHA-256 names, because the run's files were not given")
    paths = (out, *(out / name for name in names))
    return ExportReport(paths, done, tables.steps, tuple(lost))


class _Tables:
    """The run's tables and what was counted while they were written."""

    def __init__(self, folder: Path, metadata: Mapping[str, str], files: FileStore | None) -> None:
        folder.mkdir()
        self._folder = folder
        self._schemas = schemas_with(metadata)
        self._open = contextlib.ExitStack()
        self._tables = {name: self._table(name) for name in ("steps", "episodes", "proposals")}
        self._files = files
        self._kept: set[bytes] = set()
        self._trajectories = 0
        self.steps = 0
        self.missed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def _table(self, name: str) -> Table:
        return self._open.enter_context(Table(self._folder / f"{name}.parquet", self._schemas[name]))

    def add(self, facts: RunFacts, episode: EpisodeTracks) -> None:
        """Write an episode's rows."""
        first = self._trajectories
        for track in episode.tracks:
            self._add_track(facts, episode, track)
        self._tables["episodes"].add(_episode_row(facts, episode, first))

    def _add_track(self, facts: RunFacts, episode: EpisodeTracks, track: Track) -> None:
        about = track_metadata(facts, episode, track)
        key = {
            "trajectory": self._trajectories,
            **{name: about[name] for name in ("condition", "goal", "seed", "attempt", "world", "part")},
        }
        self._trajectories += 1
        frames = track.frames
        for name in frames:
            self._picture(name)
        for index, step in enumerate(track.steps):
            size = len(step.observation or "") + len(step.next_observation or "")
            self._tables["steps"].add(_step_row(key, step, frames[index]), size=size)
            for row in _proposal_rows(key, step):
                self._tables["proposals"].add(row, size=len(row["reply"] or ""))
            self.steps += 1

    def _picture(self, name: str | None) -> None:
        if name is None or (key := name.encode()) in self._kept:
            return
        if self._files is None:
            self.missed = True
            return
        if "frames" not in self._tables:
            self._tables["frames"] = self._table("frames")
        frame, png = self._files.get_frame(name), self._files.get(name)
        row = {"sha256": name, "height": frame.shape[0], "width": frame.shape[1], "png": png}
        self._tables["frames"].add(row, size=len(png))
        self._kept.add(key)


def schemas_with(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the tables' pyarrow schemas by name, each with ``metadata``."""
    import pyarrow as pa

    weights = pa.map_(pa.string(), pa.float64())
    recollection = pa.struct([("provenance", pa.string()), ("source", pa.string()), ("score", pa.float64())])
    key = [
        ("condition", pa.string()),
        ("goal", pa.string()),
        ("seed", pa.int64()),
        ("attempt", pa.int32()),
    ]
    where = [("trajectory", pa.int32()), *key, ("world", pa.string()), ("part", pa.int32())]
    verdict = [
        ("verdict", pa.float64()),
        ("verdict_components", weights),
        ("verdict_feedback", pa.string()),
    ]
    asked = [("calls", pa.int64()), ("prompt_tokens", pa.int64()), ("completion_tokens", pa.int64())]
    measured = [
        ("at", pa.float64()),
        ("seconds", pa.float64()),
        ("model_seconds", pa.float64()),
        ("computed_tokens", pa.int64()),
        ("cached_calls", pa.int64()),
        ("cost", pa.float64()),
        ("unpriced_calls", pa.int64()),
    ]
    steps = [
        *where,
        ("step", pa.int32()),
        ("observation", pa.string()),
        ("frame", pa.string()),
        ("action", pa.string()),
        ("next_observation", pa.string()),
        ("next_frame", pa.string()),
        ("env_reward", pa.float64()),
        ("score", pa.float64()),
        ("terminated", pa.bool_()),
        ("truncated", pa.bool_()),
        ("goal_reached", pa.bool_()),
        *verdict,
        ("by", pa.string()),
        ("votes", weights),
        ("tie_break", pa.string()),
        ("dissent", pa.list_(pa.string())),
        ("recollections", pa.list_(recollection)),
        *asked,
        *measured,
    ]
    episodes = [
        ("first_trajectory", pa.int32()),
        ("trajectories", pa.int32()),
        *key,
        ("player_kind", pa.string()),
        ("environment_seed", pa.int64()),
        ("first_observation", pa.string()),
        ("first_frame", pa.string()),
        ("started_at", pa.float64()),
        ("ended", pa.string()),
        ("outcome", pa.string()),
        ("success", pa.bool_()),
        ("steps", pa.int32()),
        ("interactions", pa.int32()),
        ("score", pa.float64()),
        ("terminated", pa.bool_()),
        ("truncated", pa.bool_()),
        ("failure", pa.string()),
        ("rewards", pa.list_(pa.float64())),
        ("proposals", pa.int32()),
        ("executable_proposals", pa.int32()),
        ("agreement", pa.float64()),
        ("dissents", pa.int32()),
        ("correct_dissents", pa.int32()),
        *asked,
        *measured,
    ]
    proposals = [
        *where,
        ("step", pa.int32()),
        ("member", pa.int32()),
        ("role", pa.string()),
        ("action", pa.string()),
        ("probability", pa.float64()),
        ("rationale", pa.string()),
        ("reply", pa.string()),
        *verdict,
    ]
    frames = [("sha256", pa.string()), ("height", pa.int32()), ("width", pa.int32()), ("png", pa.binary())]
    named = {"steps": steps, "episodes": episodes, "proposals": proposals, "frames": frames}
    return {name: pa.schema(fields, metadata=dict(metadata)) for name, fields in named.items()}


def _step_row(key: Mapping[str, Any], step: StepTaken, frame: str | None) -> dict[str, Any]:
    return {
        **key,
        "step": step.step,
        "observation": step.observation,
        "frame": frame,
        "action": step.decision,
        "next_observation": step.next_observation,
        "next_frame": step.next_frame,
        "env_reward": step.env_reward,
        "score": step.score,
        "terminated": step.terminated,
        "truncated": step.truncated,
        "goal_reached": step.goal_reached,
        **_verdict_columns(step.verdict),
        "by": step.by,
        "votes": list(step.votes.items()),
        "tie_break": step.tie_break,
        "dissent": step.dissent,
        "recollections": [recollection.model_dump() for recollection in step.recollections],
        **_cost_columns(step.usage, step.measured),
    }


def _proposal_rows(key: Mapping[str, Any], step: StepTaken) -> Iterator[dict[str, Any]]:
    verdicts = step.proposal_verdicts or (None,) * len(step.proposals)
    for member, (proposal, verdict) in enumerate(zip(step.proposals, verdicts, strict=True)):
        yield {
            **key,
            "step": step.step,
            "member": member,
            **proposal.model_dump(),
            **_verdict_columns(verdict),
        }


def _episode_row(facts: RunFacts, episode: EpisodeTracks, first: int) -> dict[str, Any]:
    about = track_metadata(facts, episode, episode.tracks[0])
    names = ("condition", "goal", "seed", "attempt", "player_kind", "environment_seed", "outcome")
    row: dict[str, Any] = {name: about[name] for name in names} | {
        "first_trajectory": first,
        "trajectories": len(episode.tracks),
        "first_observation": episode.started.first_observation,
        "first_frame": episode.started.first_frame,
        "started_at": episode.started.measured.at,
    }
    ended = episode.ended
    if ended is None:
        return row
    row |= {"ended": ended.kind.removeprefix("episode_"), **_cost_columns(ended.usage, ended.measured)}
    row |= {name: getattr(ended, name) for name in ("steps", "interactions", "rewards")}
    own = _FINISHED_COLUMNS if isinstance(ended, EpisodeFinished) else ("failure",)
    row |= {name: getattr(ended, name) for name in own}
    if isinstance(ended, EpisodeFailed):
        row["success"] = False
    return row


def _verdict_columns(verdict: VerdictRecord | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    return {
        "verdict": verdict.value,
        "verdict_components": list(verdict.components.items()),
        "verdict_feedback": verdict.feedback,
    }


def _cost_columns(usage: UsageRecord, measured: Measured) -> dict[str, Any]:
    return {**usage.model_dump(), **measured.model_dump()}
