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
from lookalike.rewards.belief import Belief, Followed
from lookalike.rewards.document import ANY_QUESTION, Hazard, Milestone, RewardModel, Rule
from lookalike.rewards.places import GUESSED
from lookalike.rewards.plan import Plan, Waypoint, compile_plan
from lookalike.rewards.text import Reading, is_look, read_text

_REFUSALS_PER_WAYPOINT = 2
_TRIES_PER_WAYPOINT = 6
_NEAR = 2
_FARTHEST = 10
_NO_TEXT = read_text("")


class RewardModelScorer:
    """One episode under a reward model (core.protocols.EpisodeScorer)."""

    def __init__(self, model: RewardModel | Plan) -> None:
        self.plan = model if isinstance(model, Plan) else compile_plan(model)
        self._begin()

    def _begin(self) -> None:
        self._belief = Belief(self.plan.places.copy())
        self._reached: set[str] = set()
        self._next = 0
        self._tries = 0
        self._refusals = 0
        self._refused: dict[str, int] = {}
        self._retried: set[str] = set()
        self._paid: set[tuple[str, str | None]] = set()
        self._potential: float | None = None
        self._put_down: set[str] = set()
        self._searched: set[str] = set()
        self._around: list[str] | None = None
        self._reading = _NO_TEXT

    def start(self, observation: Observation) -> None:
        """Begin an episode."""
        self._begin()
        self._reading = read_text(observation.text or "")
        self._belief.start(self._reading)
        self._skip_what_needs_no_doing()

    def copy(self) -> RewardModelScorer:
        """Return an independent scorer at the same point of the episode (the plan is shared)."""
        other = RewardModelScorer(self.plan)
        state = {name: value for name, value in vars(self).items() if name != "plan"}
        vars(other).update(deepcopy(state))
        return other

    @property
    def reached(self) -> frozenset[str]:
        """Ids of the milestones reached so far."""
        return frozenset(self._reached)

    @property
    def place(self) -> str | None:
        """Where the player seems to be."""
        return self._belief.place

    @property
    def waypoint(self) -> Waypoint | None:
        """What the recording did next and this episode has not."""
        return self.plan.waypoints[self._next] if self._next < len(self.plan.waypoints) else None

    def score(self, transition: Transition) -> Verdict:
        """Give reward or punishment for a step that was played, and follow it."""
        action = self._canonical(transition.action or "")
        before = read_text(transition.before.text or "")
        after = read_text(transition.after.text or "")
        target = self.waypoint
        seen = self._belief.follow(action, after)
        self._reading = after
        parts: dict[str, float] = {}
        self._score_milestones(seen, after, parts)
        at_waypoint = target is not None and action == target.do and seen.origin == target.at
        self._score_progress(target, at_waypoint and not after.failure, parts)
        self._score_cues(before, action, seen, after, parts)
        self._advance(target, at_waypoint, after, action, seen)
        return _verdict(parts)

    def note_admissible(self, actions: Sequence[str]) -> None:
        """Go past waypoints of this place whose action the environment does not offer here.

        A treasure that is not where the person found it is not waited for.
        """
        offered = {self._canonical(action) for action in actions}
        while (target := self.waypoint) is not None and target.at == self._belief.place:
            if target.do in offered or self._reading.questions or self._rules(self._reading):
                break  # it can be done, or something else comes first (a question, the dark, a fight)
            self._pass(None)
            self._skip_what_needs_no_doing()

    def preview(self, observation: Observation, actions: Sequence[str]) -> list[Verdict]:
        """Say what actions would be worth here, before they are played.

        What the document does not cover is worth 0.
        """
        reading = read_text(observation.text or "")
        wanted = self.recommend(observation)
        return [self._preview(reading, self._canonical(a), wanted) for a in actions]

    def recommend(self, observation: Observation) -> list[str]:
        """Return actions worth doing here, best first; empty where the document does not help."""
        reading = read_text(observation.text or "")
        rules = [rule.action for rule in self._rules(reading) if rule.polarity * rule.weight > 0]
        if reading.questions and rules:
            return rules
        missing = self._missing_here(reading) + self._too_much(reading)
        target = self.waypoint
        moves = self._search()
        place = self._belief.place
        if not moves and target is not None and place is not None:
            moves = [target.do] if place == target.at else self._belief.places.next_moves(place, target.at)
        return list(dict.fromkeys([*rules, *missing, *self._reopen(moves), *moves]))

    def _canonical(self, action: str) -> str:
        return canonical_action(self.plan.model.environment, action)

    def _preview(self, reading: Reading, action: str, wanted: Sequence[str]) -> Verdict:
        parts: dict[str, float] = {}
        for rule in self._rules(reading):
            if rule.action == action and (rule.id, self._belief.place) not in self._paid:
                parts[f"rule:{rule.id}"] = rule.polarity * rule.weight
        for hazard in self._hazards(reading, action):
            parts[f"hazard:{hazard.id}"] = -hazard.weight
        weights = self.plan.model.weights
        place, target = self._belief.place, self.waypoint
        if self._refused.get(action, 0) >= _REFUSALS_PER_WAYPOINT:
            parts["refused"] = weights.refused
        elif target is not None and place == target.at and action == target.do:
            parts["progress"] = weights.progress
            milestone = self.plan.by_id.get(target.milestone or "")
            if milestone is not None and milestone.id not in self._reached:
                parts[f"milestone:{milestone.id}"] = milestone.value
        elif place is not None and (end := self._belief.places.edges.get((place, action))) is not None:
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

    def _cued(self, reading: Reading) -> list[Rule]:
        """Return the rules whose cue is seen."""
        if not self.plan.rules:
            return []
        if reading.questions:
            asked = [rule for sentence in reading.questions for rule in self.plan.rules_for(sentence)]
            ends_the_game = any(word in reading.questions[-1].split() for word in ("quit", "restart"))
            return asked or ([] if ends_the_game else list(self.plan.rules.get(ANY_QUESTION, ())))
        return [rule for sentence in reading.sentences for rule in self.plan.rules_for(sentence)]

    def _rules(self, reading: Reading) -> list[Rule]:
        """Return the rules whose cue is seen and whose object is at hand."""
        held = self._belief.held
        return [
            rule
            for rule in self._cued(reading)
            if (rule.requires is None or rule.requires in held) and not self._refused.get(rule.action)
        ]

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

    def _missing_here(self, reading: Reading) -> list[str]:
        """Return commands that take what should be at hand and lies here.

        The person held it at this point of the recording, or a rule needs it. What the plan itself put
        down stays, unless a rule's cue is seen now.
        """
        target = self.waypoint
        if target is None:
            return []
        held, lost, here = self._belief.held, self._belief.lost, self._belief.place
        words = reading.lying
        tools = {rule.requires: f"get {rule.requires}" for rule in self.plan.model.rules if rule.requires}
        wanted = {thing: do for thing, do in tools.items() if thing and thing not in self._put_down}
        wanted |= {r.requires: f"get {r.requires}" for r in self._cued(reading) if r.requires}
        wanted |= {thing: f"get {thing}" for thing in sorted(target.holding)}
        return [
            do
            for thing, do in wanted.items()
            if thing not in held
            and (thing.split()[-1] in words or (here is not None and lost.get(thing) == here))
            and not self._refused.get(do)
        ]

    def _search(self) -> list[str]:
        """Return moves towards what a setback took away and the plan needs.

        First around where one came to (the places known from the episode's beginning that are near), then
        where it happened. Each place is searched once.
        """
        target, belief = self.waypoint, self._belief
        if target is None or belief.place is None or not belief.lost:
            return []
        needed = [thing for thing in sorted(belief.lost) if thing in target.holding]
        if self._reading.setback is not None:
            return []
        self._searched.add(belief.place)
        if not needed:
            return []
        if self._around is None:
            here, distance = belief.place, belief.places.distance
            self._around = [p for p in belief.visited if (d := distance(here, p)) and d % GUESSED <= _NEAR]
        scenes = [place for thing in needed if (place := belief.lost[thing])]
        for place in dict.fromkeys([*self._around, *scenes]):
            if place not in self._searched and (moves := belief.places.next_moves(belief.place, place)):
                return moves
        return []

    def _reopen(self, moves: Sequence[str]) -> list[str]:
        """Return what the person did at this place earlier, when the way on is refused now.

        A trap door that fell shut is opened again, a bridge made again. Each is tried once a stay.
        """
        place = self._belief.place
        if not any(self._refused.get(move) for move in moves):
            return []
        done = [w for w in self.plan.waypoints[: self._next] if w.at == place and not (w.gets or w.leaves)]
        return [w.do for w in reversed(done) if w.do not in self._refused and w.do not in self._retried]

    def _too_much(self, reading: Reading) -> list[str]:
        """Return commands that put down what the person did not carry here, when the hands are full."""
        target = self.waypoint
        if target is None or not reading.full_hands:
            return []
        spare = self._belief.held - target.holding
        return [f"drop {thing}" for thing in sorted(spare) if not self._refused.get(f"drop {thing}")]

    def _distance(self, target: Waypoint | None) -> int | None:
        place = self._belief.place
        if target is None or place is None:
            return None
        return self._belief.places.distance(place, target.at)

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
        now = self._potential_at(self._belief.place, target)
        if now is None:
            return
        if self._potential is not None and now != self._potential:
            parts["progress"] = round(now - self._potential, 9)
        self._potential = now

    def _potential_at(self, place: str | None, target: Waypoint | None) -> float | None:
        """Return minus the capped way to the target, weighted; ``None`` where it is not known."""
        if target is None or place is None:
            return None
        distance = self._belief.places.distance(place, target.at)
        if distance is None:
            return None
        return -self.plan.model.weights.progress * min(distance, _FARTHEST)

    def _score_cues(
        self, before: Reading, action: str, seen: Followed, after: Reading, parts: dict[str, float]
    ) -> None:
        plan = self.plan
        for rule in self._cued(before):
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

    def _advance(
        self, target: Waypoint | None, at_waypoint: bool, after: Reading, action: str, seen: Followed
    ) -> None:
        """Follow the plan: what was done is behind, what cannot be done is left out."""
        self._retried.add(action)
        if seen.place != seen.origin:
            self._refused.clear()
            self._retried.clear()
        if after.setback is not None:
            self._searched, self._around = set(), None
        if after.failure:
            self._refused[action] = self._refused.get(action, 0) + 1
            self._drop_closed_way(seen.origin, action)
        if target is not None and at_waypoint:
            if after.failure:
                self._refusals += _REFUSALS_PER_WAYPOINT if after.absent else 1
            else:
                self._tries += 1
                says = (
                    self.plan.by_id[target.milestone].detect.says
                    if target.milestone in self.plan.by_id
                    else None
                )
                if (
                    says is None
                    or says in after.sentences
                    or after.questions
                    or self._tries >= _TRIES_PER_WAYPOINT
                ):
                    self._pass(target)
            if target is self.waypoint and self._refusals >= _REFUSALS_PER_WAYPOINT:
                self._pass(None)
        self._skip_what_needs_no_doing()

    def _drop_closed_way(self, origin: str | None, action: str) -> None:
        """Forget a move that was refused again and again: the way is closed in this episode."""
        known = (origin, action) in self._belief.places.edges
        if origin is not None and self._refused[action] >= (2 * _REFUSALS_PER_WAYPOINT if known else 1):
            self._belief.places.remove_edge(origin, action)

    def _pass(self, accomplished: Waypoint | None) -> None:
        self._potential = None
        if accomplished is not None and accomplished.leaves:
            self._put_down.add(accomplished.leaves)
        self._next += 1
        self._tries = self._refusals = 0

    def _skip_what_needs_no_doing(self) -> None:
        """Go past waypoints whose effect is there already, or that nothing leads to from here."""
        while (target := self.waypoint) is not None:
            held = self._belief.held
            have = target.gets is not None and target.gets in held
            gone = target.leaves is not None and target.leaves in target.holding and target.leaves not in held
            if not (have or gone or self._unreachable(target)):
                break
            self._pass(None)
        if self._potential is None:
            self._potential = self._potential_at(self._belief.place, self.waypoint)

    def _unreachable(self, target: Waypoint) -> bool:
        place = self._belief.place
        if place is None or place not in self.plan.places.places:
            return False
        return self._distance(target) is None


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
