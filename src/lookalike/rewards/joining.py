"""Joins the plan in the middle: which part of it is done, told from what is carried and what lies at home.

Who begins where the recording did begins at its first waypoint. Who begins elsewhere looks round, takes
stock, goes home where a way is known, and takes the point of the plan that fits best with what was seen: what
should be in hand there, what at home, and what nowhere yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.rewards.belief import Belief
from lookalike.rewards.plan import Plan
from lookalike.rewards.text import Reading

_MOVES_HOME = 30
_TAKE_STOCK = "inventory"
_TOOL_COUNTS = 0.5
_SURE = 3.0
"""Who is not sure begins at the beginning: what was done before is refused, or done once more."""


@dataclass
class Joining:
    """What was found out about where the plan stands.

    Attributes:
        open: It is not known yet where to join.
        stocked: What is carried was looked at; ``looked``: the place was.
        moves: Steps spent on the way home.
    """

    open: bool = False
    stocked: bool = False
    looked: bool = False
    moves: int = 0

    def start(self, plan: Plan, belief: Belief, reading: Reading) -> None:
        """Begin an episode: in the middle, if this is not where the recording began."""
        steps = [step for pathway in plan.model.pathways[:1] for step in pathway.steps[:1]]
        self.open = bool(steps) and (belief.place != steps[0].at or reading.setback is not None)

    def follow(self, action: str, after: Reading) -> None:
        """Take in a step that was played."""
        self.moves += 1
        self.stocked |= action == _TAKE_STOCK and not after.failure
        self.looked |= after.anchor is not None

    def wants(self, plan: Plan, belief: Belief) -> list[str]:
        """Return what to do to find out more; empty where enough is known."""
        if not self.stocked and self.moves < _MOVES_HOME:
            return [_TAKE_STOCK] if belief.place is not None or self.looked else ["look", _TAKE_STOCK]
        home, place = plan.store.home, belief.place
        if home is None or place is None or place == home or self.moves >= _MOVES_HOME:
            return []
        return belief.places.next_moves(place, home)


def things_of(plan: Plan) -> frozenset[str]:
    """Return all things that the plan has in hand at some point."""
    return frozenset(thing for waypoint in plan.waypoints for thing in waypoint.holding)


def where_to_join(plan: Plan, place: str | None, held: set[str], at_home: frozenset[str] | None) -> int:
    """Return the number of waypoints that count as done.

    Args:
        plan: The plan.
        place: Where one is; the person was here on the way to the waypoint, wherever that is so for any.
        held: What is carried.
        at_home: Words of what lies at home; ``None`` where nobody has looked.
    """
    tools = {rule.requires for rule in plan.model.rules if rule.requires}
    things = things_of(plan) - tools

    def fits(cursor: int) -> float:
        expected = plan.waypoints[cursor].holding if cursor < len(plan.waypoints) else frozenset()
        score = 0.0
        for thing in things:
            weight = 1.0 if thing in plan.store.due else _TOOL_COUNTS
            in_hand, wanted = thing in held, thing in expected
            score += weight * (in_hand == wanted)
            if in_hand or thing not in plan.store.due or at_home is None:
                continue
            stored = plan.store.due[thing] < cursor
            score += weight * ((thing.split()[-1] in at_home) == stored)
        return score

    passed = [
        index
        for index, w in enumerate(plan.waypoints)
        if place in w.leg or place in (w.at, plan.waypoints[max(index - 1, 0)].at)
    ]
    best = max(passed or range(len(plan.waypoints)), key=lambda cursor: (round(fits(cursor), 6), -cursor))
    return best if fits(best) - fits(0) >= _SURE else 0
