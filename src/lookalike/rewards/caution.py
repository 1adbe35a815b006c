"""Follows dangers and thieves through an episode, and says what the hazard model makes of the moment.

A danger that was seen stays until the text would show it again and does not: taking something up says
nothing about who else is in the room.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lookalike.rewards.belief import Belief, Followed
from lookalike.rewards.hazards import Danger, HazardModel, Kind, kind_of, patience
from lookalike.rewards.plan import Plan, Waypoint
from lookalike.rewards.text import Reading

_LOOKS_AHEAD = 60
_NEAR_A_LAIR = 4
_BECKONS = 3.0
"""A thief is waited for where he comes this many times as often as elsewhere."""


@dataclass
class Caution:
    """What is dangerous now.

    Attributes:
        lingering: Keys of the sentences that told of the danger one is still beside.
        came_from: The place before this one.
        robbed: Somebody stole something in this episode.
        waited: Turns spent on waiting for a thief; ``waiting``: whether he is waited for now.
    """

    lingering: tuple[str, ...] = ()
    came_from: str | None = None
    robbed: bool = False
    waited: int = 0
    waiting: bool = False
    _most: int = 0
    _rates: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    def follow(self, action: str, before: Reading, after: Reading, seen: Followed) -> None:
        """Take in a step that was played."""
        rested = kind_of(action, None, None) == "rest" and after.anchor is None
        self.lingering = (*self.lingering, *before.sentences)[-40:] if rested else ()
        if after.setback is not None:
            self.lingering, self.came_from = (), None
        elif seen.place != seen.origin:
            self.came_from = seen.origin
        if after.robbed and after.setback is None:
            self.robbed, self.waiting = True, False
        if self.waiting:
            self.waited += 1
            self.waiting = self.waited < self._most

    def told(self, reading: Reading) -> tuple[str, ...]:
        """Return the sentences that hold now: those just read, and those of a danger one is still beside."""
        return (*reading.sentences, *self.lingering)

    def danger(self, model: HazardModel, reading: Reading) -> Danger | None:
        """Return the danger one is beside, or ``None``."""
        return model.danger(self.told(reading))

    def better_left(self, danger: Danger, plan: Plan, cursor: int, place: str | None) -> bool:
        """Return whether going on with the plan costs less than fighting, as far as plays have shown."""
        ahead = kinds_ahead(plan, cursor, place, self.came_from)
        return danger.cost_of_leaving(ahead) < danger.cost_of_fighting()

    def waits_for_thief(self, model: HazardModel, plan: Plan, target: Waypoint, belief: Belief) -> bool:
        """Say whether to wait near a waypoint for the thief who brings its object there.

        The person found stolen things at this place, nobody was robbed yet, something of worth is in hand,
        and the thief came here more often than elsewhere.
        """
        wanted = (
            target.gets in plan.store.due
            and target.at in plan.store.lairs.values()
            and not self.robbed
            and not belief.held.isdisjoint(plan.store.due)
        )
        if not wanted:
            self.waiting = False
            return False
        here, elsewhere = self._thief(model, plan, target.at)
        self._most = patience(here)
        self.waiting = here >= _BECKONS * elsewhere > 0 and self.waited < self._most
        return self.waiting

    def _thief(self, model: HazardModel, plan: Plan, lair: str) -> tuple[float, float]:
        """Return how often a thief comes near a lair, and how often anywhere."""
        if lair not in self._rates:
            near = [p for p in plan.places.places if _near(plan, p, lair)]
            self._rates[lair] = (model.thief_rate(near), model.thief_rate())
        return self._rates[lair]


def _near(plan: Plan, place: str, lair: str) -> bool:
    there = plan.places.distance(place, lair)
    return there is not None and there <= _NEAR_A_LAIR


def kinds_ahead(plan: Plan, cursor: int, place: str | None, came_from: str | None) -> Iterator[Kind]:
    """Yield the kinds of the actions that the plan has ahead, until it comes home."""
    here, before = place, came_from
    edges, home = plan.places.edges, plan.store.home
    number = 0
    for waypoint in plan.waypoints[cursor:]:
        while number < _LOOKS_AHEAD and here is not None and here != home:
            at_it = here == waypoint.at
            action = waypoint.do if at_it else _step_towards(plan, here, waypoint)
            if action is None:
                break
            end = edges.get((here, action))
            yield kind_of(action, end, before)
            number += 1
            if end is not None and end != here:
                before, here = here, end
            if at_it or end is None:
                break
        else:
            return
        if here != waypoint.at and edges.get((waypoint.at, waypoint.do)) != here:
            before, here = None, waypoint.at  # no way there is known beforehand


def _step_towards(plan: Plan, here: str, waypoint: Waypoint) -> str | None:
    left = waypoint.leg.get(here)
    if left is not None:
        return left[1]
    return next(iter(plan.places.next_moves(here, waypoint.at)), None)
