"""Recordings as people leave them: one video, several levels one after the other.

A level of most games is over in seconds, and nobody makes a video of ten of them. So a scripted recording is
a sitting: the levels' plays in one video, each from its level's first picture on. Between two levels the log
says that nothing was pressed, and its header says which level begins on which picture; who watches the video
without its log has to find the cuts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lookalike.core.errors import UsageError
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Observation
from lookalike.environments.levels import has_levels, require_part
from lookalike.recordings.frames_recorder import RecordedFrames, record_frames
from lookalike.recordings.visual_actions import NOTHING


class LevelPlay(NamedTuple):
    """What is played in one level.

    Attributes:
        level: Seed of the level.
        actions: From its beginning on.
    """

    level: int
    actions: tuple[str, ...]


def share_out(plays: Sequence[LevelPlay], *, videos: int, steps: int) -> list[list[LevelPlay]]:
    """Share plays out over videos, in order, about equally long.

    Args:
        plays: What there is.
        videos: Most videos.
        steps: A video goes on with another level as long as it is shorter than this.

    Returns:
        The plays of each video; what does not fit into them is left out.
    """
    shared: list[list[LevelPlay]] = []
    filled = steps
    for play in plays:
        if filled >= steps:
            if len(shared) == videos:
                break
            shared.append([])
            filled = 0
        shared[-1].append(play)
        filled += len(play.actions)
    return shared


def record_levels(
    environment: Environment, plays: Sequence[LevelPlay], *, out: Path, licence: str, note: str = ""
) -> RecordedFrames:
    """Play several levels one after the other and record them as one video, marked as scripted.

    Args:
        environment: With ``frames``; reset here, not closed.
        plays: At least one, each with actions.
        out: The video.
        licence: SPDX expression.
        note: How the plays were made.

    Raises:
        UsageError: Nothing to play, or a level that is kept for tuning or evaluation.
        CapabilityError: The environment shows no frames.
        RecordingError: The files cannot be written.
    """
    if not plays or not all(play.actions for play in plays):
        raise UsageError(
            "There is nothing to record.", got=f"{len(plays)} plays", expected="plays with actions"
        )
    if has_levels(environment.id):
        require_part([play.level for play in plays], "recording")
    pictures, actions, at = [], list(plays[0].actions), len(plays[0].actions) + 1
    pictures.append((plays[0].level, 0))
    for play in plays[1:]:
        pictures.append((play.level, at))
        actions += [NOTHING, *play.actions]
        at += len(play.actions) + 1
    sitting = _Sitting(environment, plays)
    return record_frames(
        sitting,
        actions,
        seed=plays[0].level,
        out=out,
        licence=licence,
        player_kind="scripted",
        note=note,
        levels=pictures,
        max_steps=len(actions),
    )


class _Sitting:
    """An environment that goes on to the next level once a level's play is over."""

    def __init__(self, environment: Environment, plays: Sequence[LevelPlay]) -> None:
        self._environment, self._plays = environment, plays
        self.id, self.capabilities = environment.id, environment.capabilities
        self.how_to_play = environment.how_to_play
        self._number = self._played = 0

    def reset(self, *, seed: int) -> Observation:
        self._number = self._played = 0
        return self._environment.reset(seed=seed)

    def step(self, action: str) -> StepResult:
        if self._played == len(self._plays[self._number].actions):
            self._number, self._played = self._number + 1, 0
            return StepResult(self._environment.reset(seed=self._plays[self._number].level))
        self._played += 1
        result = self._environment.step(action)
        last = self._number == len(self._plays) - 1
        ended = result.terminated and last, result.truncated and last
        return StepResult(result.observation, result.env_reward, *ended, result.info)

    def admissible_actions(self) -> tuple[str, ...]:
        return self._environment.admissible_actions()

    def save(self) -> bytes:
        return self._environment.save()

    def restore(self, state: bytes) -> None:
        self._environment.restore(state)

    def facts(self) -> Mapping[str, Any]:
        return self._environment.facts()

    def close(self) -> None:
        self._environment.close()
