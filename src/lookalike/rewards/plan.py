"""The document compiled for play: a map, waypoints in order, indexes by cue. Built once, then shared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lookalike.rewards.document import Hazard, Milestone, PathStep, RewardModel, Rule
from lookalike.rewards.hazards import HazardModel
from lookalike.rewards.places import Place, PlaceMap
from lookalike.rewards.text import DROP_VERBS, FIGHT_VERBS, GET_VERBS, content_words, read_text, split_action

_FEWEST_STORED = 3
_NEARLY_ALL = 0.7
_PITCH_DARK = "pitch dark"


@dataclass(frozen=True)
class Waypoint:
    """Something to do at a place, on the way through the pathways.

    Attributes:
        at: Place id.
        do: The command.
        milestone: Milestone it realises, or ``None``.
        holding: Objects the person held then.
        gets: Object it takes, or ``None``; ``leaves``: object it puts down, or ``None``.
        refused: The game is expected to refuse it: the attempt is what counts.
        leg: How the person came here from the waypoint before: by place, the moves left and the next one.
    """

    at: str
    do: str
    milestone: str | None
    holding: frozenset[str]
    gets: str | None
    leaves: str | None
    refused: bool = False
    leg: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def fights(self) -> bool:
        """Whether this attacks somebody."""
        return split_action(self.do)[0] in FIGHT_VERBS


@dataclass(frozen=True)
class Store:
    """Where the person brought things for good, and what is known about things that got lost.

    Attributes:
        home: The place with the most things put down for good, or ``None``.
        last_visit: Index of the last waypoint there.
        due: By thing: index of the waypoint that puts it down there.
        found: By thing: the places where the person took it, the first one first.
        lairs: Places where the person found something again that had been lost, by the waypoint's index.
        needed: By thing: index of the last waypoint that uses it.
    """

    home: str | None
    last_visit: int
    due: Mapping[str, int]
    found: Mapping[str, tuple[str, ...]]
    lairs: Mapping[int, str]
    needed: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """A reward model ready to be applied.

    Attributes:
        model: The document.
        places: Map of the recordings; copied for each episode.
        waypoints: In the recording's order.
        milestones: By ("holds" | "leaves" | "place" | "says", value).
        rules: By cue; ``hazards``: by cue.
        store: Where things belong.
        moves: Commands that led from one place to another.
        lights: Rules that answer to darkness.
        kindle: Commands that made light where it was dark.
        companions: Things the person had in hand nearly all the way, as a lamp.
        learnt: What own plays taught about dangers and thieves, or ``None``.
    """

    model: RewardModel
    places: PlaceMap
    waypoints: tuple[Waypoint, ...]
    milestones: dict[tuple[str, str], tuple[Milestone, ...]]
    by_id: dict[str, Milestone]
    rules: dict[str, tuple[Rule, ...]]
    hazards: dict[str, tuple[Hazard, ...]]
    store: Store
    moves: frozenset[str]
    lights: tuple[Rule, ...]
    kindle: tuple[str, ...] = ()
    companions: frozenset[str] = frozenset()
    learnt: HazardModel | None = None
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


def compile_plan(model: RewardModel, *, learnt: HazardModel | None = None) -> Plan:
    """Compile a reward model, with what own plays taught where there is such a document."""
    places = PlaceMap()
    for note in model.places:
        places.add(Place(note.id, list(note.cues), frozenset(note.words), note.ambiguous))
    waypoints: list[Waypoint] = []
    moves: list[PathStep] = []
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
                        refused=step.refused,
                        leg=_leg(moves, step.at),
                    )
                )
                moves = []
            if step.at != step.then:
                moves.append(step)
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
        moves=frozenset(action for _, action in places.edges),
        lights=tuple(rule for rule in model.rules if read_text(rule.cue).dark),
        store=_store(waypoints, {m.id: m for m in model.milestones}),
        kindle=_kindle(places),
        companions=_companions(waypoints),
        learnt=learnt if model.following.hazards else None,
    )


def _kindle(places: PlaceMap) -> tuple[str, ...]:
    """Return commands that led from a dark place to one that is not, and nowhere else from place to place."""
    dark = {name for name, place in places.places.items() if any(_PITCH_DARK in a for a in place.anchors)}
    makes_light = {action for (at, action), then in places.edges.items() if at in dark and then not in dark}
    moves = {action for (at, action) in places.edges if at not in dark}
    return tuple(sorted(makes_light - moves))


def _companions(waypoints: Sequence[Waypoint]) -> frozenset[str]:
    held = Counter(thing for waypoint in waypoints for thing in waypoint.holding)
    return frozenset(thing for thing, number in held.items() if number >= _NEARLY_ALL * len(waypoints))


def _store(waypoints: Sequence[Waypoint], milestones: Mapping[str, Milestone]) -> Store:
    """Work out where things belong: the one place where at least three were put down for good."""
    for_good = [
        (index, w)
        for index, w in enumerate(waypoints)
        if w.leaves
        and w.milestone
        and w.milestone in milestones
        and milestones[w.milestone].kind == "deposit"
    ]
    places = Counter(w.at for _, w in for_good)
    home, number = max(places.items(), key=lambda item: item[1], default=(None, 0))
    if number < _FEWEST_STORED:
        home = None
    due = {w.leaves: index for index, w in for_good if w.at == home and w.leaves}
    found: dict[str, list[str]] = {}
    lairs: dict[int, str] = {}
    for index, waypoint in enumerate(waypoints):
        thing = waypoint.gets
        if thing is None:
            continue
        if thing in found and index < due.get(thing, -1) and waypoint.at not in (home, *found[thing]):
            lairs[index] = waypoint.at
        found.setdefault(thing, []).append(waypoint.at)
    needed: dict[str, int] = {}
    for index, waypoint in enumerate(waypoints):
        for thing in waypoint.holding:
            if thing == waypoint.leaves or set(thing.split()) <= set(waypoint.do.split()):
                needed[thing] = index
    return Store(
        home=home,
        last_visit=max((i for i, w in enumerate(waypoints) if w.at == home), default=-1),
        due=due,
        found={thing: tuple(dict.fromkeys(at)) for thing, at in found.items()},
        lairs=lairs,
        needed=needed,
    )


def _leg(moves: Sequence[PathStep], end: str) -> dict[str, tuple[int, str]]:
    """Return, for each place of a way, how many moves are left and the next one, circles taken out."""
    way: list[PathStep] = []
    for step in moves:
        for index, earlier in enumerate(way):
            if earlier.at == step.at:
                del way[index:]
                break
        way.append(step)
    if not way or way[-1].then != end:
        return {}
    return {step.at: (len(way) - index, step.do) for index, step in enumerate(way)}
