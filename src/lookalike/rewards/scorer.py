"""Applies a reward model to one episode: reward or punishment after a step, and a preview before it.

The value of a step is the sum, clipped to [-1, 1], of what its components say:

- ``milestone:*``: a milestone reached now for the first time pays its value, once;
- ``progress``: potential shaping (Ng, Harada and Russell 1999, with gamma = 1). The potential is minus the
  number of moves from here to the next waypoint, ten at most, so a way there and back earns nothing, and
  neither does waiting; reaching the waypoint pays once;
- ``rule:*``: the action was (or was not) what people did on seeing the same sentence; once a place;
- ``hazard:*``: the action that preceded a setback on the same cue; ``setback``: one happened;
- ``refused``: the game refused the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from lookalike.core.types import Observation, Transition, Verdict
from lookalike.rewards.actions import canonical_action
from lookalike.rewards.belief import Followed
from lookalike.rewards.document import Hazard, Milestone, RewardModel
from lookalike.rewards.errands import REFUSALS_PER_WAYPOINT
from lookalike.rewards.guide import Guide
from lookalike.rewards.plan import Plan, Waypoint, compile_plan
from lookalike.rewards.text import Reading, is_look, read_text

_FARTHEST = 10


class RewardModelScorer:
    """One episode under a reward model (core.protocols.EpisodeScorer)."""

    def __init__(self, model: RewardModel | Plan) -> None:
        self.plan = model if isinstance(model, Plan) else compile_plan(model)
        self._begin()

    def _begin(self) -> None:
        self._guide = Guide(self.plan)
        self._reached: set[str] = set()
        self._paid: set[tuple[str, str | None]] = set()
        self._potential: float | None = None
        self._potential_at_cursor = 0

    def start(self, observation: Observation) -> None:
        """Begin an episode."""
        self._begin()
        self._guide.start(read_text(observation.text or ""))
        self._note_potential()

    def copy(self) -> RewardModelScorer:
        """Return an independent scorer at the same point of the episode (the plan is shared)."""
        other = RewardModelScorer(self.plan)
        state = {name: value for name, value in vars(self).items() if name != "plan"}
        vars(other).update(deepcopy(state, {id(self.plan): self.plan}))
        return other

    @property
    def reached(self) -> frozenset[str]:
        """Ids of the milestones reached so far."""
        return frozenset(self._reached)

    @property
    def place(self) -> str | None:
        """Where the player seems to be."""
        return self._guide.belief.place

    def known_end(self, place: str | None, action: str) -> str | None:
        """Return where a command is known to lead from a place, or ``None``."""
        if place is None:
            return None
        return self._guide.belief.places.edges.get((place, self._canonical(action)))

    def carries_booty(self) -> bool:
        """Return whether something that belongs home is in hand."""
        return not self._guide.belief.held.isdisjoint(self.plan.store.due)

    @property
    def waypoint(self) -> Waypoint | None:
        """What the recording did next and this episode has not."""
        return self._guide.waypoint

    def score(self, transition: Transition) -> Verdict:
        """Give reward or punishment for a step that was played, and follow it."""
        action = self._guide.meant(self._canonical(transition.action or ""))
        before = read_text(transition.before.text or "")
        after = read_text(transition.after.text or "")
        target = self.waypoint
        seen = self._guide.follow(action, after)
        parts: dict[str, float] = {}
        self._score_milestones(seen, after, parts)
        at_waypoint = target is not None and action == target.do and seen.origin == target.at
        self._score_progress(target, at_waypoint and not after.failure and self._guide.first_try, parts)
        self._score_cues(before, action, seen, after, parts)
        self._guide.advance(target, at_waypoint, after, action, seen)
        self._note_potential()
        return _verdict(parts)

    def note_admissible(self, actions: Sequence[str]) -> None:
        """Go past waypoints of this place whose action the environment does not offer here.

        A treasure that is not where the person found it is not waited for.
        """
        self._guide.note_admissible({self._canonical(action) for action in actions})

    def preview(self, observation: Observation, actions: Sequence[str]) -> list[Verdict]:
        """Say what actions would be worth here, before they are played.

        What the document does not cover is worth 0.
        """
        reading = read_text(observation.text or "")
        wanted = self.recommend(observation)
        return [self._preview(reading, self._canonical(a), wanted) for a in actions]

    def recommend(self, observation: Observation) -> list[str]:
        """Return actions worth doing here, best first; empty where the document does not help."""
        return self._guide.recommend(observation)

    def _canonical(self, action: str) -> str:
        return canonical_action(self.plan.model.environment, action)

    def _preview(self, reading: Reading, action: str, wanted: Sequence[str]) -> Verdict:
        parts: dict[str, float] = {}
        for rule in self._guide.rules(reading):
            if rule.action == action and (rule.id, self._guide.belief.place) not in self._paid:
                parts[f"rule:{rule.id}"] = rule.polarity * rule.weight
        for hazard in self._hazards(reading, action):
            parts[f"hazard:{hazard.id}"] = -hazard.weight
        weights = self.plan.model.weights
        place, target = self._guide.belief.place, self.waypoint
        if self._guide.refused.get(action, 0) >= REFUSALS_PER_WAYPOINT:
            parts["refused"] = weights.refused
        elif target is not None and place == target.at and action == target.do:
            parts["progress"] = weights.progress
            milestone = self.plan.by_id.get(target.milestone or "")
            if milestone is not None and milestone.id not in self._reached:
                parts[f"milestone:{milestone.id}"] = milestone.value
        elif place is not None and (end := self._guide.belief.places.edges.get((place, action))) is not None:
            if target is not None:
                now, then = self._potential_at(place, target), self._potential_at(end, target)
                if now is not None and then is not None and now != then:
                    parts["progress"] = round(then - now, 9)
            for milestone in self._visits(end):
                parts[f"milestone:{milestone.id}"] = milestone.value
        elif action in wanted and not parts:
            parts["progress"] = weights.progress
        return _verdict(parts)

    def _visits(self, place: str) -> list[Milestone]:
        found = self.plan.milestones.get(("place", place), ())
        return [m for m in found if m.id not in self._reached]

    def _hazards(self, reading: Reading, action: str) -> list[Hazard]:
        if not self.plan.hazards:
            return []
        return [
            h
            for s in reading.sentences
            if s in self.plan.hazards
            for h in self.plan.hazards[s]
            if h.action == action
        ]

    def _score_milestones(self, seen: Followed, after: Reading, parts: dict[str, float]) -> None:
        index = self.plan.milestones
        keys: list[tuple[str, str]] = []
        if seen.taken:
            keys.append(("holds", seen.taken))
        if seen.left:
            keys.append(("leaves", seen.left))
        if seen.place is not None and seen.place != seen.origin:
            keys.append(("place", seen.place))
        keys.extend(("says", s) for s in after.sentences if ("says", s) in index)
        for name in keys:
            for milestone in index.get(name, ()):
                if milestone.id in self._reached:
                    continue
                place = milestone.detect.place
                if place is None or place == seen.place:
                    self._reached.add(milestone.id)
                    parts[f"milestone:{milestone.id}"] = milestone.value

    def _score_progress(self, target: Waypoint | None, reached: bool, parts: dict[str, float]) -> None:
        """Pay the difference of the potential since it was last known for this target."""
        weight = self.plan.model.weights.progress
        if target is None or not weight:
            return
        if reached:
            parts["progress"] = weight
            return
        now = self._potential_at(self._guide.belief.place, target)
        if now is None:
            return
        if self._potential is not None and now != self._potential:
            parts["progress"] = round(now - self._potential, 9)
        self._potential = now

    def _potential_at(self, place: str | None, target: Waypoint | None) -> float | None:
        """Return minus the capped way to the target, weighted; ``None`` where it is not known."""
        if target is None or place is None:
            return None
        distance = self._guide.distance(place, target)
        if distance is None:
            return None
        return -self.plan.model.weights.progress * min(distance, _FARTHEST)

    def _note_potential(self) -> None:
        """Take the potential anew for a new waypoint."""
        if self._potential is None or self._potential_at_cursor != self._guide.cursor:
            self._potential_at_cursor = self._guide.cursor
            self._potential = self._potential_at(self._guide.belief.place, self.waypoint)

    def _score_cues(
        self, before: Reading, action: str, seen: Followed, after: Reading, parts: dict[str, float]
    ) -> None:
        plan = self.plan
        for rule in self._guide.cued(before):
            if rule.action == action and not after.failure and (rule.id, seen.origin) not in self._paid:
                self._paid.add((rule.id, seen.origin))
                parts[f"rule:{rule.id}"] = rule.polarity * rule.weight
        for sentence in before.sentences:
            for hazard in plan.hazards.get(sentence, ()):
                if hazard.action == action:
                    parts[f"hazard:{hazard.id}"] = -hazard.weight
        weights = plan.model.weights
        if after.setback is not None:
            parts["setback"] = weights.setback
        if after.failure and not is_look(action):
            parts["refused"] = weights.refused


def _verdict(parts: dict[str, float]) -> Verdict:
    value = max(-1.0, min(1.0, sum(parts.values())))
    return Verdict(round(value, 6), {k: round(v, 6) for k, v in parts.items()}, _feedback(parts))


def _feedback(parts: dict[str, float]) -> str:
    """Say in one sentence what spoke most."""
    if not parts:
        return ""
    name = max(parts, key=lambda k: (abs(parts[k]), k))
    kind, _, ident = name.partition(":")
    words = {
        "milestone": f"Reached {ident}.",
        "progress": "Nearer to the next milestone."
        if parts[name] > 0
        else "Further from the next milestone.",
        "rule": "People did this here." if parts[name] > 0 else "People avoided this here.",
        "hazard": "This led to a setback before.",
        "setback": "That was a setback.",
        "refused": "The game refused that.",
    }
    return words.get(kind, "")
