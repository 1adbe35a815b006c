"""The embedded text expert: reads plays of a text game, writes a reward model. No network, no key.

What it looks for, and where it ends in the document:

- *places* and the moves between them (``lookalike.rewards.places``),
- *milestones*: objects taken, objects put down for good, places first seen, replies never seen before;
- *rules*: a sentence after which people did the same thing in several places (a dwarf appears: throw the
  axe), and the answers they gave to questions;
- *pathways*: what was done from one milestone to the next, without refused commands, detours and what a
  rule already explains;
- *hazards*: what was seen and done just before a death.

The same demonstrations always give the same document.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.core.errors import RecordingError
from lookalike.core.types import Demonstration
from lookalike.experts.route import build_route
from lookalike.rewards.actions import canonical_action
from lookalike.rewards.belief import Belief
from lookalike.rewards.document import (
    ANY_QUESTION,
    Hazard,
    MadeBy,
    PlaceNote,
    RecordingNote,
    RewardModel,
    Rule,
    Span,
)
from lookalike.rewards.places import PlaceMap
from lookalike.rewards.text import Reading, is_look, read_text, split_action

VERSION = 1
MIN_RULE_PLACES = 2
MIN_RULE_CONFIDENCE = 0.6


@dataclass(frozen=True)
class WatchedStep:
    """One step of a demonstration as the expert sees it.

    Attributes:
        index: 0-based index of the action in the demonstration.
        action: The command, normalised.
        before: The reply the command was chosen on.
        after: The reply to it.
        origin: Place before; ``place``: place after.
        taken: Object taken; ``left``: object put down.
        holding: Objects held before the step.
    """

    index: int
    action: str
    before: Reading
    after: Reading
    origin: str | None
    place: str | None
    taken: str | None
    left: str | None
    holding: frozenset[str]


@dataclass(frozen=True)
class Watched:
    """A demonstration, followed step by step."""

    demonstration: Demonstration
    steps: tuple[WatchedStep, ...]

    def span(self, start: int, end: int | None = None) -> Span:
        """Return the evidence for steps ``start``..``end``, with seconds where the recording has a clock."""
        end = start if end is None else end
        times = self.demonstration.trajectory.times
        return Span(
            recording=self.demonstration.id,
            start=start,
            end=end,
            start_s=round(times[start], 2) if times else None,
            end_s=round(times[end + 1], 2) if times else None,
        )


class EmbeddedTextExpert:
    """Watches text demonstrations and writes a reward model (core.protocols.Expert)."""

    name = "embedded-text"

    def watch(self, demonstrations: Sequence[Demonstration], *, environment: str) -> RewardModel:
        """Write the reward model of one or several demonstrations of one game.

        Args:
            demonstrations: At least one, each with text and known actions. The one that achieves most
                becomes the route; all of them give places, rules and hazards.
            environment: Environment id the model is for.

        Raises:
            RecordingError: There is nothing to learn from.
        """
        if not demonstrations:
            raise RecordingError("There is no demonstration to watch.", expected="at least one recording")
        places = PlaceMap()
        watched = [_follow(d, places, environment) for d in demonstrations]
        merged = places.merge_twins()
        watched = [_renamed(w, merged) for w in watched]
        primary = max(watched, key=_achievement)
        rules = _mine_rules(watched)
        milestones, pathways = build_route(primary, rules)
        if not milestones:
            raise RecordingError(
                "The recording shows nothing worth a milestone.",
                got=f"{len(primary.steps)} step(s) of {primary.demonstration.provenance.file}",
                expected="objects taken, places reached or replies never seen before",
                remedy="Record a longer play.",
            )
        return RewardModel(
            environment=environment,
            goal=_goal(primary),
            made_by=MadeBy(expert=self.name, expert_version=VERSION),
            recordings=tuple(RecordingNote.of(w.demonstration) for w in watched),
            milestones=milestones,
            pathways=pathways,
            rules=rules,
            hazards=_find_hazards(watched),
            places=_note_places(places),
        )


def _follow(demonstration: Demonstration, places: PlaceMap, environment: str) -> Watched:
    belief = Belief(places)
    steps = []
    transitions = demonstration.trajectory.transitions()
    if not transitions or transitions[0].before.text is None:
        raise RecordingError(
            "The text expert needs a recording with text and commands.",
            got=f"{demonstration.provenance.file}: {len(transitions)} step(s)",
            remedy="For recordings without text, use an expert that watches frames.",
        )
    belief.start(read_text(transitions[0].before.text))
    for index, transition in enumerate(transitions):
        if transition.action is None or transition.before.text is None or transition.after.text is None:
            continue
        action = canonical_action(environment, transition.action)
        holding = frozenset(belief.held)
        before, after = read_text(transition.before.text), read_text(transition.after.text)
        seen = belief.follow(action, after)
        steps.append(
            WatchedStep(index, action, before, after, seen.origin, seen.place, seen.taken, seen.left, holding)
        )
    return Watched(demonstration, tuple(steps))


def _renamed(watched: Watched, merged: dict[str, str]) -> Watched:
    def name(place: str | None) -> str | None:
        while place in merged:
            place = merged[place]
        return place

    steps = tuple(
        WatchedStep(
            s.index, s.action, s.before, s.after, name(s.origin), name(s.place), s.taken, s.left, s.holding
        )
        for s in watched.steps
    )
    return Watched(watched.demonstration, steps)


def _achievement(watched: Watched) -> tuple[int, int]:
    """Rank demonstrations: the score shown last, then what was taken and kept, less what deaths cost."""
    scores = [s.after.score for s in watched.steps if s.after.score is not None]
    taken = {s.taken for s in watched.steps if s.taken}
    left = {s.left for s in watched.steps if s.left}
    deaths = sum(1 for s in watched.steps if s.after.setback)
    return (scores[-1] if scores else 0, len(taken) + len(left) - 5 * deaths)


def _mine_rules(watched: Sequence[Watched]) -> tuple[Rule, ...]:
    seen: Counter[str] = Counter()
    uses: dict[tuple[str, str], list[tuple[Watched, WatchedStep]]] = defaultdict(list)
    questions: set[str] = set()
    for play in watched:
        for step in play.steps:
            asked = step.before.questions
            for cue in dict.fromkeys(asked if asked else step.before.cues):
                seen[cue] += 1
                questions.update(asked)
                if not step.after.failure and not is_look(step.action):
                    uses[(cue, step.action)].append((play, step))
    rules = []
    for (cue, action), steps in uses.items():
        confidence = len(steps) / seen[cue]
        places = {step.origin for _, step in steps}
        answered = cue in questions and confidence > 0.5 and len(action.split()) == 1
        general = (
            len(places) >= MIN_RULE_PLACES
            and confidence >= MIN_RULE_CONFIDENCE
            and len(cue.split()) >= 3
            and cue not in questions
            and any(step.origin == step.place for _, step in steps)  # moves belong to pathways
        )
        if not (answered or general):
            continue
        play, first = steps[0]
        thing = split_action(action)[1]
        requires = thing if thing and all(thing in step.holding for _, step in steps) else None
        rules.append(
            Rule(
                id=f"{_slug(cue)}--{_slug(action)}",
                cue=cue,
                action=action,
                weight=0.8,
                support=len(steps),
                confidence=round(confidence, 3),
                requires=requires,
                evidence=play.span(first.index),
            )
        )
    return tuple(_distinct([*rules, *_usual_answer(rules, questions)]))


def _usual_answer(rules: Sequence[Rule], questions: set[str]) -> list[Rule]:
    """Return a rule for questions that were never asked: the answer people gave most."""
    answers = Counter({rule.action: 0 for rule in rules})
    for rule in rules:
        answers[rule.action] += rule.support if rule.cue in questions else 0
    total = sum(answers.values())
    if not total:
        return []
    action, support = min(answers.items(), key=lambda item: (-item[1], item[0]))
    model = next(rule for rule in rules if rule.action == action and rule.cue in questions)
    return [
        model.model_copy(
            update={
                "id": f"any-question--{_slug(action)}",
                "cue": ANY_QUESTION,
                "weight": 0.3,
                "support": support,
                "confidence": round(support / total, 3),
            }
        )
    ]


def _distinct(rules: list[Rule]) -> list[Rule]:
    """Keep one rule an action where cues always come together, the best supported; then fix the order."""
    rules = sorted(rules, key=lambda r: (-r.support, -r.confidence, r.cue))
    kept: list[Rule] = []
    names: Counter[str] = Counter()
    for rule in rules:
        names[rule.id] += 1
        kept.append(
            rule if names[rule.id] == 1 else rule.model_copy(update={"id": f"{rule.id}-{names[rule.id]}"})
        )
    return kept


def _find_hazards(watched: Sequence[Watched]) -> tuple[Hazard, ...]:
    frequency: Counter[str] = Counter()
    for play in watched:
        for step in play.steps:
            frequency.update(set(step.before.sentences))
    found: dict[tuple[str, str], Hazard] = {}
    for play in watched:
        for step in play.steps:
            if step.after.setback is None or not step.before.sentences:
                continue
            cue = min(step.before.sentences, key=lambda s: (frequency[s], s))
            known = found.get((cue, step.action))
            if known is not None:
                found[(cue, step.action)] = known.model_copy(update={"support": known.support + 1})
                continue
            found[(cue, step.action)] = Hazard(
                id=f"{_slug(cue)}--{_slug(step.action)}",
                cue=cue,
                action=step.action,
                outcome=step.after.setback,
                evidence=play.span(step.index),
            )
    hazards = sorted(found.values(), key=lambda h: (-h.support, h.id))
    names: Counter[str] = Counter()
    out = []
    for hazard in hazards:
        names[hazard.id] += 1
        number = names[hazard.id]
        out.append(hazard if number == 1 else hazard.model_copy(update={"id": f"{hazard.id}-{number}"}))
    return tuple(out)


def _note_places(places: PlaceMap) -> tuple[PlaceNote, ...]:
    return tuple(
        PlaceNote(id=p.id, cues=tuple(p.anchors), words=tuple(sorted(p.words)), ambiguous=p.ambiguous)
        for p in places.places.values()
    )


def _goal(primary: Watched) -> str:
    outcome = primary.demonstration.outcome
    ending = f", which ended with {outcome}" if outcome else ""
    return f"Achieve what {primary.demonstration.provenance.file} shows{ending}."


def _slug(text: str) -> str:
    return "-".join(text.split()[:6]) or "x"
