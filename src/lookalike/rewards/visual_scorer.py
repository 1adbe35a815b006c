"""Applies a visual reward model to one episode: learned progress, stages that pay once, bad ends.

The value of a step is the sum, clipped to [-1, 1], of

- ``progress``: the difference of the learned potential (0 where recordings begin, 1 where they end), so that
  waiting, and a way there and back, earn nothing;
- ``milestone:stage-N``: the potential has gained that much for three frames; pays once. The last stage is
  reached only where the game ends as recordings do;
- ``setback``: the game ended otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lookalike.core.errors import RewardModelError, UsageError
from lookalike.core.ids import hash_file
from lookalike.core.types import Frame, Observation, Transition, Verdict
from lookalike.rewards.document import RewardModel
from lookalike.rewards.visual_network import Floats, VisualModel, load_visual_model

CONFIRMED = 3
"""Frames for which a stage must hold before it pays."""
IMITATION = 0.5
"""How much a recommendation goes by what people did, against what an action is expected to gain."""


def load_visual(model: RewardModel, folder: Path) -> VisualModel:
    """Load the weights that a document names.

    Args:
        model: A document with a visual part.
        folder: Where the document lies.

    Raises:
        RewardModelError: The document has no weights, they are missing, or are not the ones it was written
            with.
        CapabilityError: PyTorch is not installed.
    """
    if model.visual is None:
        raise RewardModelError(
            "This reward model has no weights: it was written from text.",
            got=model.environment,
            expected="one that `lookalike watch --expert embedded-visual` wrote",
        )
    path = folder / model.visual.weights
    if folder.resolve() not in path.resolve().parents:
        raise RewardModelError(
            "A document's weights lie beside it.", got=model.visual.weights, expected="a path below it"
        )
    if not path.is_file():
        raise RewardModelError(
            "The weights of this reward model are missing.",
            got=str(path),
            remedy="Copy the folder that lies beside the YAML file as well.",
        )
    if hash_file(path) != model.visual.weights_hash:
        raise RewardModelError(
            "The weights are not the ones that this document was written with.",
            got=f"{path.name}, {hash_file(path)[:16]}",
            expected=model.visual.weights_hash[:16],
            remedy="Put the right file back, or watch the recordings again.",
        )
    return load_visual_model(path)


class VisualScorer:
    """One episode under a visual reward model (core.protocols.EpisodeScorer).

    Args:
        model: The document; its stages and weights count as they stand there.
        networks: Its weights.
    """

    def __init__(self, model: RewardModel, networks: VisualModel) -> None:
        self.model, self.networks = model, networks
        self._begin()

    def _begin(self) -> None:
        self._potential = self._first = 0.0
        self._recent: deque[float] = deque(maxlen=CONFIRMED)
        self._reached: set[str] = set()
        self._before: Frame | None = None

    @property
    def potential(self) -> float:
        """The learned potential of the last observation."""
        return self._potential

    @property
    def reached(self) -> frozenset[str]:
        """Ids of the milestones reached so far."""
        return frozenset(self._reached)

    def start(self, observation: Observation) -> None:
        """Begin an episode."""
        self._begin()
        self._before = _frame(observation)
        self._potential = self._first = float(self.networks.progress(self._before[None]).potential[0])

    def score(self, transition: Transition) -> Verdict:
        """Give reward or punishment for a step that was played, and follow it."""
        frame = _frame(transition.after)
        found = self.networks.progress(frame[None])
        potential = float(found.potential[0])
        parts: dict[str, float] = {}
        gain = self.model.weights.progress * (potential - self._potential)
        if gain:
            parts["progress"] = gain
        self._recent.append(potential - self._first)
        won = transition.terminated and self._is_good_end(_frame(transition.before), frame)
        self._stages(won, parts)
        if transition.terminated and not won and self.model.weights.setback:
            parts["setback"] = self.model.weights.setback
        self._potential = potential
        self._before = _frame(transition.before)
        return _verdict(parts, float(found.steps_left[0]))

    def preview(self, observation: Observation, actions: Sequence[str]) -> list[Verdict]:
        """Say what actions are expected to gain here; an action that was never learned is worth 0."""
        if not actions:
            return []
        gains = self._gains(observation)
        worth = {name: float(gains[number]) for number, name in enumerate(self.networks.actions)}
        weight = self.model.weights.progress
        return [_verdict({"progress": weight * worth[a]} if a in worth else {}) for a in actions]

    def note_admissible(self, actions: Sequence[str]) -> None:
        """What is possible changes nothing here."""

    def recommend(self, observation: Observation) -> list[str]:
        """Return the actions, best first: what is expected to gain, and what people did on such frames."""
        frame = _frame(observation)
        gains = self._gains(observation) * self.model.weights.progress
        order = gains
        if "policy" in self.networks.networks:
            before = frame if self._before is None else self._before
            logits = self.networks.policy(frame[None], before[None])[0]
            order = gains + IMITATION * (logits - logits.max())
        ranked = np.argsort(-order, kind="stable")
        return [self.networks.actions[number] for number in ranked]

    def copy(self) -> VisualScorer:
        """Return an independent scorer at the same point of the episode (the networks are shared)."""
        other = VisualScorer(self.model, self.networks)
        other._potential, other._first, other._before = self._potential, self._first, self._before
        other._recent = deque(self._recent, maxlen=CONFIRMED)
        other._reached = set(self._reached)
        return other

    def _is_good_end(self, before: Frame, frame: Frame) -> bool:
        """Judge an end by its last frame that shows something new, and the one before."""
        if np.array_equal(frame, before) and self._before is not None:
            frame, before = before, self._before
        score = float(self.networks.end_scores(frame[None], before[None])[0])
        return score >= self.networks.calibration.end_threshold

    def _gains(self, observation: Observation) -> Floats:
        frame = _frame(observation)
        before = frame if self._before is None else self._before
        gains: Floats = self.networks.preview(frame[None], before[None])[0]
        return gains

    def _stages(self, won: bool, parts: dict[str, float]) -> None:
        for milestone in self.model.milestones:
            wanted = milestone.detect.stage
            if wanted is None or milestone.id in self._reached:
                continue
            confirmed = len(self._recent) == CONFIRMED and min(self._recent) >= wanted
            if won if wanted >= 1.0 else confirmed:
                self._reached.add(milestone.id)
                parts[f"milestone:{milestone.id}"] = milestone.value


def _frame(observation: Observation) -> Frame:
    if observation.frame is None:
        raise UsageError(
            "A visual reward model judges frames, and there is none to see.",
            got="an observation of text",
            expected="an environment, or a recording, with frames",
            remedy="use a reward model that was written from text",
        )
    return observation.frame


def _verdict(parts: dict[str, float], steps_left: float | None = None) -> Verdict:
    value = max(-1.0, min(1.0, sum(parts.values())))
    return Verdict(round(value, 6), {k: round(v, 6) for k, v in parts.items()}, _feedback(parts, steps_left))


def _feedback(parts: dict[str, float], steps_left: float | None) -> str:
    """Say in one sentence what spoke most."""
    if not parts:
        return ""
    name = max(parts, key=lambda k: (abs(parts[k]), k))
    if name == "setback":
        return "That was a bad end."
    if name.startswith("milestone:"):
        return f"Reached {name.partition(':')[2]}."
    where = "Further along" if parts[name] > 0 else "Further back"
    return (
        f"{where}." if steps_left is None else f"{where}; about {max(0, round(steps_left))} steps are left."
    )
