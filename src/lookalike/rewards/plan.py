"""The document compiled for play: a map, waypoints in order, indexes by cue. Built once, then shared."""

from __future__ import annotations

from dataclasses import dataclass, field

from lookalike.rewards.document import Hazard, Milestone, RewardModel, Rule
from lookalike.rewards.places import Place, PlaceMap
from lookalike.rewards.text import DROP_VERBS, GET_VERBS, content_words, split_action


@dataclass(frozen=True)
class Waypoint:
    """Something to do at a place, on the way through the pathways.

    Attributes:
        at: Place id.
        do: The command.
        milestone: Milestone it realises, or ``None``.
        holding: Objects the person held then.
        gets: Object it takes, or ``None``; ``leaves``: object it puts down, or ``None``.
    """

    at: str
    do: str
    milestone: str | None
    holding: frozenset[str]
    gets: str | None
    leaves: str | None


@dataclass(frozen=True)
class Plan:
    """A reward model ready to be applied.

    Attributes:
        model: The document.
        places: Map of the recordings; copied for each episode.
        waypoints: In the recording's order.
        milestones: By ("holds" | "leaves" | "place" | "says", value).
        rules: By cue; ``hazards``: by cue.
    """

    model: RewardModel
    places: PlaceMap
    waypoints: tuple[Waypoint, ...]
    milestones: dict[tuple[str, str], tuple[Milestone, ...]]
    by_id: dict[str, Milestone]
    rules: dict[str, tuple[Rule, ...]]
    hazards: dict[str, tuple[Hazard, ...]]
    _similar: dict[str, tuple[Rule, ...]] = field(default_factory=dict)

    def rules_for(self, sentence: str) -> tuple[Rule, ...]:
        """Return the rules whose cue is this sentence, or nearly.

        A cue of three or more content words is also met by a sentence that has three quarters of them
        ("there are 2 threatening little dwarves in the room with you").
        """
        if sentence in self.rules:
            return self.rules[sentence]
        if not self.rules or len(sentence) > 400:
            return ()
        if sentence not in self._similar:
            words = content_words(sentence)
            found = [
                rule
                for cue, rules in self.rules.items()
                for rule in rules
                if len(wanted := content_words(cue)) >= 3 and len(wanted & words) >= 0.75 * len(wanted)
            ]
            self._similar[sentence] = tuple(found)
        return self._similar[sentence]


def compile_plan(model: RewardModel) -> Plan:
    """Compile a reward model."""
    places = PlaceMap()
    for note in model.places:
        places.add(Place(note.id, list(note.cues), frozenset(note.words), note.ambiguous))
    waypoints = []
    for pathway in model.pathways:
        for step in pathway.steps:
            for name in (step.at, step.then):
                if name not in places.places:
                    places.add(Place(name, [], frozenset(), ambiguous=True))
            if step.at != step.then:
                places.add_edge(step.at, step.do, step.then)
            if step.at == step.then or step.milestone is not None:
                verb, thing = split_action(step.do)
                waypoints.append(
                    Waypoint(
                        at=step.at,
                        do=step.do,
                        milestone=step.milestone,
                        holding=frozenset(step.holding),
                        gets=thing if verb in GET_VERBS and thing else None,
                        leaves=thing if verb in DROP_VERBS and thing else None,
                    )
                )
    for waypoint in waypoints:
        places.distance(waypoint.at, waypoint.at)  # worked out once; every episode's copy has it
    by_key: dict[tuple[str, str], list[Milestone]] = {}
    for milestone in model.milestones:
        by_key.setdefault(milestone.detect.key(), []).append(milestone)
    rules: dict[str, list[Rule]] = {}
    for rule in model.rules:
        rules.setdefault(rule.cue, []).append(rule)
    hazards: dict[str, list[Hazard]] = {}
    for hazard in model.hazards:
        hazards.setdefault(hazard.cue, []).append(hazard)
    return Plan(
        model=model,
        places=places,
        waypoints=tuple(waypoints),
        milestones={k: tuple(v) for k, v in by_key.items()},
        by_id={m.id: m for m in model.milestones},
        rules={k: tuple(v) for k, v in rules.items()},
        hazards={k: tuple(v) for k, v in hazards.items()},
    )
