"""Episodes of datasets as demonstrations: cleaned like every recording, with their provenance."""

from __future__ import annotations

from pathlib import Path

from lookalike.core.ids import hash_json
from lookalike.core.types import Demonstration, Observation, PlayerKind, Provenance, Trajectory
from lookalike.recordings.export.dataset import Dataset, content_hash
from lookalike.recordings.export.open_dataset import open_dataset
from lookalike.recordings.text_safety import clean_command, clean_observation


class Datasets:
    """A dataset's episodes, read one at a time.

    Args:
        dataset: The open dataset.
        environment: Overrides what the dataset says, where given.
        licence: Likewise.
        player_kind: Likewise.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        environment: str | None = None,
        licence: str | None = None,
        player_kind: PlayerKind | None = None,
    ) -> None:
        self._dataset = dataset
        self._environment = environment
        self._licence = licence
        self._player_kind = player_kind
        self._content_hash = content_hash(dataset.path)

    def __len__(self) -> int:
        return len(self._dataset)

    def has_steps(self, index: int) -> bool:
        """Return whether there is anything to learn from an episode."""
        return self._dataset.steps(index) > 0

    def demonstration(self, index: int) -> Demonstration:
        """Read an episode.

        Raises:
            RecordingError: There is no such episode, it has no step, is damaged, or is too large.
        """
        found = self._dataset.trajectory(index)
        reader, path = self._dataset.reader, self._dataset.path
        note = f"episode {index} of {len(self)}"
        if found.note:
            note = f"{note}; {clean_command(found.note)}"
        licence = self._licence or clean_command(found.licence or "") or "unknown"
        identity = {"reader": reader, "content_hash": self._content_hash, "episode": index}
        return Demonstration(
            id=hash_json(identity)[:16],
            trajectory=_cleaned(found.trajectory),
            # Nobody says who played: as for every other recording, a person.
            player_kind=self._player_kind or found.player_kind or "human",
            provenance=Provenance(path.name, reader, self._content_hash, licence, note),
            environment=self._environment or clean_command(found.environment or "") or None,
            started_with=found.started_with,
            outcome=clean_command(found.outcome or "") or None,
        )


def open_datasets(
    path: Path,
    *,
    environment: str | None = None,
    licence: str | None = None,
    player_kind: PlayerKind | None = None,
) -> Datasets | None:
    """Open a dataset; ``None`` where the path is none.

    Raises:
        RecordingError: It is one and cannot be read.
    """
    dataset = open_dataset(path)
    if dataset is None:
        return None
    return Datasets(dataset, environment=environment, licence=licence, player_kind=player_kind)


def _cleaned(trajectory: Trajectory) -> Trajectory:
    """Return a trajectory whose texts are plain and bounded."""
    return Trajectory(
        tuple(
            Observation(None if seen.text is None else clean_observation(seen.text), seen.frame)
            for seen in trajectory.observations
        ),
        tuple(None if action is None else clean_command(action) for action in trajectory.actions),
        trajectory.rewards,
        trajectory.times,
    )
