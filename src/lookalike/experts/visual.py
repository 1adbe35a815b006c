"""The embedded visual expert: watches silent videos of play, writes a reward model with weights beside it.

In order: the recordings are compared with the game (another game's are refused), the swarm plays at random to
learn what its actions look like, inverse dynamics label the recordings, pixels that tell the time are masked,
progress is learned with random play as negatives, its curve is cut into stages, and a policy and a preview of
actions are learned from the labelled recordings. No network, no key; a few minutes on two cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lookalike.core.errors import EnvironmentDiedError, EnvironmentHungError, RecordingError
from lookalike.core.protocols import Environment
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Demonstration
from lookalike.experts.visual_actions import agreement_with, label_plays, learn_actions, learn_policy
from lookalike.experts.visual_climbing import climb_plays
from lookalike.experts.visual_clock import Clock, find_clock
from lookalike.experts.visual_data import (
    UNKNOWN,
    Plays,
    Segment,
    find_segments,
    held_out_plays,
    play_at_random,
    spread,
    together,
    usual_length,
    watched_plays,
)
from lookalike.experts.visual_document import EXPERT, WEIGHTS_FILE, WatchReport, write_document
from lookalike.experts.visual_ends import LearnedEnds, SeenEnds, learn_ends, see_ends
from lookalike.experts.visual_progress import LearnedProgress, learn_preview, learn_progress
from lookalike.experts.visual_stages import find_stages
from lookalike.experts.visual_trying import recover_by_trying
from lookalike.rewards.document import RewardModel
from lookalike.rewards.visual_network import (
    Calibration,
    Floats,
    VisualModel,
    describe,
    end_frames,
    fitted,
    masked,
    nearest,
    require_torch,
    save_visual_model,
)

USUAL_DISTANCE = 0.13
"""How far recordings' frames are from own play of their game at most: 0.02 to 0.13 in six games (median of a
recording's frames to the nearest own one). Between different games it is 0.46 and more, but for dodgeball
seen as fruitbot (0.16)."""
FARTHEST = 3.0
"""In that unit, the distance beyond which recordings are another game's."""
SURE = 0.5
"""Probability from which an action counts as recovered where one action is wanted."""
_LANDMARKS, _PROBES = 600, 400


@dataclass(frozen=True)
class Effort:
    """How much is trained; the shipped size takes about four and a half minutes of one core a game.

    Attributes:
        random_steps: Steps of own random play.
        tried_steps: Steps in which actions are recovered by trying; beyond, inverse dynamics say them.
        actions: Updates of the inverse dynamics; likewise ``progress``, ``policy`` and ``preview``.
        progress: Updates.
        policy: Updates.
        preview: Updates.
        batch: Frames of an update.
        ends: Updates of what good ends look like.
        end_steps: Steps of looking for ends beside the recordings' paths.
    """

    random_steps: int = 12_000
    tried_steps: int = 100_000
    actions: int = 300
    progress: int = 450
    policy: int = 800
    preview: int = 80
    batch: int = 96
    ends: int = 300
    end_steps: int = 60_000

    def times(self, factor: float) -> Effort:
        """Return more, or less, of everything but the batch."""

        def scaled(count: int) -> int:
            return max(20, round(count * factor))

        return Effort(
            max(400, round(self.random_steps * factor)),
            self.tried_steps,
            scaled(self.actions),
            scaled(self.progress),
            scaled(self.policy),
            scaled(self.preview),
            self.batch,
            scaled(self.ends),
            self.end_steps,
        )


class EmbeddedVisualExpert:
    """Watches silent videos and writes a reward model (core.protocols.Expert).

    Args:
        effort: How much is trained.
        seed: Of everything that is drawn.
        progress: Called with done, total and what is going on.
        make: Makes the environment that own random play needs; ``None`` for the registry.
        climbs: How often learned progress is played for alone, and learned again with that play among the
            negatives (needs a game that can go back).
    """

    name = EXPERT
    writes_files = True

    def __init__(
        self,
        *,
        effort: Effort | None = None,
        seed: int = 0,
        progress: Callable[[float, float | None, str], None] | None = None,
        make: Callable[[str], Environment] | None = None,
        climbs: int = 0,
    ) -> None:
        self.effort = effort or Effort()
        self.climbs = climbs
        self.seed = seed
        self.report: WatchReport | None = None
        self.progress = progress
        self._make = make

    def watch(
        self, demonstrations: Sequence[Demonstration], *, environment: str, folder: Path
    ) -> RewardModel:
        """Write the reward model of videos of one game, with its weights and thumbnails.

        Args:
            demonstrations: At least one, with frames; their actions are not looked at.
            environment: Environment id the model is for; played at random here.
            folder: Where weights and thumbnails go; made where it is missing. The document names them
                relative to the folder above.

        Raises:
            RecordingError: No frames, or they are another game's.
            CapabilityError: PyTorch is missing, or the environment shows no frames.
        """
        require_torch()
        if not demonstrations:
            raise RecordingError("There is no demonstration to watch.", expected="at least one recording")
        segments, watched, own, names, tried, seen_ends, landmarks = self._play(demonstrations, environment)
        known = sum(segment.seen for segment in segments) >= max(1, len(segments) / 2)
        distance = _distance(watched, landmarks, environment, refused=not known)
        clock = find_clock(watched, own)
        if clock.box is not None:
            watched, own = _without(watched, clock), _without(own, clock)
        held_out = held_out_plays(len(watched))
        shown = [p for p in range(len(watched)) if p not in set(held_out)]
        learned = learn_actions(
            own,
            names,
            seed=derive_seed(self.seed, "actions"),
            steps=self.effort.actions,
            batch=self.effort.batch,
            recovered=(watched.only(shown), tried[watched.indices_of(shown)]),
            progress=self._tell("learning what actions look like"),
        )
        labels = label_plays(learned.network, watched)
        agreement, compared = agreement_with(labels, tried, watched.indices_of(held_out))
        is_tried = tried.any(axis=1)
        labels[is_tried] = tried[is_tried]
        progress = self._learn_progress(watched, own, held_out)
        for number in range(self.climbs):
            longest = usual_length(watched, self.effort.random_steps)
            climbed = self._climb(environment, progress, names, clock, number=number, longest=longest)
            own = together(climbed, own)  # in front: the last of own play are held out
            progress = self._learn_progress(watched, own, held_out)
        calibration = replace(progress.calibration, typical_distance=USUAL_DISTANCE)
        networks = {"actions": learned.network, "progress": progress.network, "base": progress.base}
        ends = self._learn_ends(seen_ends, watched, clock, held_out)
        if ends.network is not None:
            networks["ends"] = ends.network
        if math.isfinite(ends.threshold):
            calibration = replace(calibration, end_threshold=ends.threshold)
        calibration = replace(calibration, end_forced=ends.forced)
        model = VisualModel(environment, names, networks, calibration, clock.mask, landmarks)
        self._learn_to_play(model, watched, own, labels)
        folder.mkdir(parents=True, exist_ok=True)
        save_visual_model(model, folder / WEIGHTS_FILE)
        steps = int((watched.lengths - 1).sum())
        self.report = WatchReport(
            distance,
            learned,
            progress,
            clock,
            len(held_out),
            tried=int(is_tried.sum()) / max(steps, 1),
            agreement=agreement,
            compared=compared,
            ends=ends,
            levels=len(segments),
        )
        stages = find_stages(_curves(model, watched))
        return write_document(
            demonstrations, segments, environment, folder, stages=stages, report=self.report
        )

    def _play(
        self, demonstrations: Sequence[Demonstration], environment: str
    ) -> tuple[list[Segment], Plays, Plays, tuple[str, ...], Floats, SeenEnds, Floats]:
        """Cut the recordings into levels, play at random, try what was done, and see how the game ends."""
        game = self._game(environment)
        try:
            segments = find_segments(demonstrations, game)
            watched = watched_plays(demonstrations, segments)
            levels = [segment.level for segment in segments]
            own, names = play_at_random(
                game,
                seed=derive_seed(self.seed, "own play"),
                steps=self.effort.random_steps,
                longest=usual_length(watched, self.effort.random_steps),
                levels=levels,
                progress=self._tell("playing at random"),
            )
            tried = recover_by_trying(
                game,
                watched,
                levels,
                names,
                most_steps=self.effort.tried_steps,
                first=held_out_plays(len(watched)),
                progress=self._tell("trying what was done"),
            )
            seen = see_ends(
                game,
                watched,
                levels,
                tried,
                names,
                seed=derive_seed(self.seed, "ends"),
                most_steps=self.effort.end_steps,
                progress=self._tell("looking for ends"),
            )
            return segments, watched, own, names, tried, seen, _landmarks(own, game, levels)
        finally:
            game.close()

    def _game(self, environment: str) -> Environment:
        """Make the environment; one that dies or hangs on the way is made once more."""
        from lookalike.environments import make_environment

        make = self._make or make_environment
        try:
            return make(environment)
        except (EnvironmentDiedError, EnvironmentHungError):
            return make(environment)

    def _learn_progress(self, watched: Plays, own: Plays, held_out: Sequence[int]) -> LearnedProgress:
        return learn_progress(
            watched,
            own,
            held_out=held_out,
            seed=derive_seed(self.seed, "progress"),
            steps=self.effort.progress,
            batch=self.effort.batch,
            progress=self._tell("learning what progress looks like"),
        )

    def _climb(
        self,
        environment: str,
        progress: LearnedProgress,
        names: tuple[str, ...],
        clock: Clock,
        *,
        number: int,
        longest: int,
    ) -> Plays:
        """Play for learned progress alone."""
        networks = {"progress": progress.network, "base": progress.base}
        model = VisualModel(environment, names, networks, progress.calibration, clock.mask)
        game = self._game(environment)
        try:
            climbed = climb_plays(
                game,
                lambda frames: model.progress(frames).potential,
                names,
                seed=derive_seed(self.seed, "climbing", number),
                steps=max(longest, self.effort.random_steps // 4),
                longest=longest,
                progress=self._tell("playing for learned progress alone"),
            )
        finally:
            game.close()
        return _without(climbed, clock) if clock.box is not None else climbed

    def _learn_ends(
        self, seen: SeenEnds, watched: Plays, clock: Clock, held_out: Sequence[int]
    ) -> LearnedEnds:
        if clock.box is not None:
            seen = replace(seen, plays=_without(seen.plays, clock))
        return learn_ends(
            seen,
            watched,
            held_out=held_out,
            seed=derive_seed(self.seed, "ends"),
            steps=self.effort.ends,
            batch=self.effort.batch,
            progress=self._tell("learning what good ends look like"),
        )

    def _learn_to_play(self, model: VisualModel, watched: Plays, own: Plays, labels: Floats) -> None:
        """Clone a policy from the recordings, and learn what actions gain."""
        model.networks["policy"] = learn_policy(
            watched,
            labels,
            seed=derive_seed(self.seed, "policy"),
            steps=self.effort.policy,
            batch=self.effort.batch,
            progress=self._tell("cloning a policy"),
        )
        sure = np.where(labels.max(axis=1) >= SURE, labels.argmax(axis=1), UNKNOWN)
        both = together(watched.with_actions(sure), own)
        found = model.progress(both.frames)
        ends = end_frames(both.frames, both.starts, both.stops)
        scores = model.end_scores(both.frames[ends], both.frames[both.neighbours(ends, -1)])
        died = both.ended & (scores < model.calibration.end_threshold)
        died[: len(watched)] = False
        model.networks["preview"] = learn_preview(
            both,
            found.potential,
            died,
            len(model.actions),
            seed=derive_seed(self.seed, "preview"),
            steps=self.effort.preview,
            batch=self.effort.batch,
            progress=self._tell("learning what actions gain"),
        )

    def _tell(self, what: str) -> Callable[[float], None] | None:
        if self.progress is None:
            return None
        told = self.progress
        return lambda fraction: told(fraction, 1.0, what)


def _landmarks(own: Plays, game: Environment, levels: Sequence[int | None]) -> Floats:
    """Return descriptors of frames spread over own play, and of the levels' beginnings: no play sees all."""
    seen = [own.frames[spread(len(own.frames), _LANDMARKS)]]
    for level in sorted({level for level in levels if level is not None}):
        frame = game.reset(seed=level).frame
        if frame is not None:
            seen.append(fitted(frame[None]))
    return np.ascontiguousarray(describe(np.concatenate(seen)))


def _distance(watched: Plays, landmarks: Floats, environment: str, *, refused: bool) -> float:
    """Return how far recordings are from a game, and refuse another game's.

    Recordings that begin as this game's levels do are this game's, however far they go where own play does
    not get: in ninja most of a level looks unlike what random play sees of it.
    """
    probes = watched.frames[spread(len(watched.frames), _PROBES)]
    distance = float(np.median(nearest(describe(probes), landmarks))) / USUAL_DISTANCE
    if refused and distance > FARTHEST:
        raise RecordingError(
            "The recordings do not look like this game.",
            got=f"frames {distance:.1f} times as far from {environment}'s as is usual within a game",
            expected=f"at most {FARTHEST:g} times as far",
            remedy="name the right --environment, or leave out what belongs to another game",
        )
    return distance


def _without(plays: Plays, clock: Clock) -> Plays:
    return replace(plays, frames=masked(plays.frames, clock.mask))


def _curves(model: VisualModel, watched: Plays) -> list[Floats]:
    potential = model.progress(watched.frames).potential
    return [potential[a:b] - potential[a] for a, b in zip(watched.starts, watched.stops, strict=True)]


__all__ = ["Calibration", "Effort", "EmbeddedVisualExpert", "WatchReport"]
