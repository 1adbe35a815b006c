"""What should be in hand or at home and is not: what is missing, where it may be, when to go for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from lookalike.rewards.belief import Belief, Followed
from lookalike.rewards.plan import Store
from lookalike.rewards.text import Reading

PATROL_MOVES = 120
"""Moves spent on looking for something in places where nothing speaks for it."""


@dataclass
class Recovery:
    """Keeps account of the things that belong home.

    Attributes:
        stored: Things brought home.
        seen: Where a thing was last seen lying.
        checked: Places looked at since something was lost, where nothing was left to find.
        patrolled: Moves spent on looking around.
        steps: Steps played.
        visits: By place: the step of the last visit.
    """

    stored: set[str] = field(default_factory=set)
    seen: dict[str, str] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    patrolled: int = 0
    steps: int = 0
    visits: dict[str, int] = field(default_factory=dict)

    def follow(self, store: Store, belief: Belief, seen: Followed, reading: Reading) -> None:
        """Take in a step that was played."""
        self.steps += 1
        here = seen.place
        if seen.left is not None and store.home is not None and here == store.home and seen.left in store.due:
            self.stored.add(seen.left)
        if seen.taken is not None:
            self.stored.discard(seen.taken)
            self.seen.pop(seen.taken, None)
        if reading.robbed or reading.setback is not None:
            self.checked.clear()
        if here is None:
            return
        self.visits[here] = self.steps
        for thing in store.due:
            if thing.split()[-1] in reading.lying and thing not in belief.held:
                self.seen[thing] = here
            elif self.seen.get(thing) == here and seen.origin != here:
                del self.seen[thing]

    def missing(self, store: Store, belief: Belief, cursor: int) -> list[str]:
        """Return things that should be home by now, or in hand, and are not."""
        return [
            thing
            for thing, due in store.due.items()
            if thing not in self.stored
            and thing not in belief.held
            and (due < cursor or thing in belief.lost)
        ]

    def overdue(self, store: Store, belief: Belief, cursor: int) -> list[str]:
        """Return things in hand whose time to be brought home has passed."""
        return [t for t, due in store.due.items() if due < cursor and t in belief.held]

    def hiding_places(self, store: Store, things: list[str], cursor: int) -> list[str]:
        """Return where missing things may be, likeliest first, without the places looked at already.

        Where they were seen; then, for what was stolen, the places where the person found stolen things, as
        far as the person had been there by now; then where the person found them the first time.
        """
        found = Counter(place for index, place in store.lairs.items() if index < cursor)
        lairs = [place for place, _ in found.most_common()]
        places = [self.seen[t] for t in things if t in self.seen]
        places += lairs
        places += [place for t in things for place in store.found.get(t, ())]
        return [p for p in dict.fromkeys(places) if p not in self.checked]


def moves_to_any(belief: Belief, places: list[str]) -> list[str]:
    """Return moves towards the first of the places that a known way leads to."""
    if belief.place is None:
        return []
    for place in places:
        if place != belief.place and (moves := belief.places.next_moves(belief.place, place)):
            return moves
    return []


def stock(reading: Reading, spelling: Mapping[str, str]) -> frozenset[str]:
    """Return the words of a list of things carried, in the environment's spelling."""
    words = {word for sentence in reading.sentences for word in sentence.split()}
    return frozenset(words | {spelling[w] for w in words if w in spelling})
