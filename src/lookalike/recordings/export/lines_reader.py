"""Our own exported run (JSON lines) as trajectories: put into a passing log, and read from there."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

from lookalike.core.types import Observation, Trajectory
from lookalike.recordings.export.dataset import (
    MAX_FRAME_BYTES,
    DatasetTrajectory,
    check_bytes,
    check_index,
    check_steps,
    damaged,
    own_facts,
)
from lookalike.recordings.export.lines import import_run
from lookalike.recordings.export.meta import run_metadata, track_metadata
from lookalike.recordings.export.tracks import EpisodeTracks, RunFacts, Track, episodes_of, survey
from lookalike.store import EventLog, FileStore

_RUN = "read"


class RunLines:
    """A run's events as lines, for :func:`~lookalike.recordings.read_recording`.

    Args:
        path: The file.

    Raises:
        RecordingError: Damaged, or not ours.
        StoreError: An event is damaged or from a newer version.
    """

    reader = "run-lines"

    def __init__(self, path: Path) -> None:
        self.path = path
        # Removed with this object; a long run does not fit into memory.
        self._folder = tempfile.TemporaryDirectory(prefix="lookalike-run-")
        self._files = FileStore(Path(self._folder.name) / "files")
        self._log = EventLog(Path(self._folder.name) / "events.sqlite")
        weakref.finalize(self, self._log.close)
        import_run(path, self._log, run_id=_RUN, files=self._files)
        # An export without the run's files names pictures that are not there.
        self._pictures = {digest for digest, _ in self._files.digests()}
        self._facts: RunFacts = survey(self._log, _RUN, None)
        self._where = [
            (episode.key, number, len(track.steps))
            for episode in self._episodes(self._facts)
            for number, track in enumerate(episode.tracks)
        ]

    def __len__(self) -> int:
        return len(self._where)

    def steps(self, index: int) -> int:
        """Return how many steps a trajectory has."""
        return self._where[index][2]

    def trajectory(self, index: int) -> DatasetTrajectory:
        """Read one trajectory; see :class:`~lookalike.recordings.export.dataset.Dataset`."""
        check_index(self.path, index, len(self))
        key, number, _ = self._where[index]
        one = RunFacts(self._facts.started, (key,))
        episode = next(self._episodes(one))
        track = episode.tracks[number]
        about = track_metadata(self._facts, episode, track)
        run = run_metadata(_RUN, self._facts, licence="")
        return DatasetTrajectory(self._follow(track), **own_facts(about, run))

    def _episodes(self, facts: RunFacts) -> Iterator[EpisodeTracks]:
        return episodes_of(self._log, _RUN, facts)

    def _follow(self, track: Track) -> Trajectory:
        check_steps(self.path, len(track.steps))
        observations, size = [], 0
        for index, (text, name) in enumerate(zip(track.texts, track.frames, strict=True)):
            frame = None
            if name in self._pictures:
                frame = self._files.get_frame(name)
                size += frame.nbytes
                check_bytes(self.path, size, MAX_FRAME_BYTES)
            if text is None and frame is None:
                raise damaged(self.path, f"observation {index} shows nothing", "a text or a picture")
            observations.append(Observation(text, frame))
        return Trajectory(
            tuple(observations),
            tuple(step.decision for step in track.steps),
            tuple(step.env_reward for step in track.steps),
        )
