"""What a follower of the text believes: where the player is and what is held. Never the game's own state."""

from __future__ import annotations

from dataclasses import dataclass, field

from lookalike.rewards.places import PlaceMap
from lookalike.rewards.text import DROP_VERBS, GET_VERBS, Reading, split_action


@dataclass(frozen=True)
class Followed:
    """What one step changed in the belief.

    Attributes:
        origin: Place before, or ``None``.
        place: Place after, or ``None``.
        taken: Object that was taken, or ``None``.
        left: Object that was put down, thrown or given away, or ``None``.
    """

    origin: str | None
    place: str | None
    taken: str | None
    left: str | None


@dataclass
class Belief:
    """Place and held objects, followed step by step.

    Attributes:
        places: The map; it learns new wordings and moves.
        place: Where the player seems to be, or ``None``.
        held: Objects that were taken and not put down since.
        lost: Objects that got out of hand (a setback, a blow), and the place where that was.
        visited: Places seen in this episode, in order.
    """

    places: PlaceMap
    place: str | None = None
    held: set[str] = field(default_factory=set)
    lost: dict[str, str | None] = field(default_factory=dict)
    visited: dict[str, None] = field(default_factory=dict)

    def start(self, reading: Reading) -> None:
        """Begin at an episode's first reply."""
        self.held.clear()
        self.lost.clear()
        self.visited.clear()
        self.place = self.places.locate(reading, None, None)
        self._arrive()

    def follow(self, action: str, reading: Reading) -> Followed:
        """Take in a command and its reply."""
        origin = self.place
        self.place = self.places.locate(reading, origin, action)
        taken = left = None
        verb, thing = split_action(action)
        if reading.failure and verb in DROP_VERBS:
            self.held.discard(thing)
        if not reading.failure:
            if thing and thing != "all" and verb in GET_VERBS and not reading.questions:
                taken = thing
                self.held.add(thing)
                self.lost.pop(thing, None)
            elif thing == "all" and verb in DROP_VERBS:
                self.held.clear()
            elif thing and verb in DROP_VERBS:
                left = thing
                self.held.discard(thing)
        if reading.absent:
            self._miss(reading.sentences[0], origin)
        for thing in [t for t in self.held if t.split()[-1] in reading.lying]:
            self.held.discard(thing)  # what lies here is not in the hand: stolen, or dropped by accident
        for thing in [t for t in self.held if t.split()[-1] in reading.dropped]:
            self.held.discard(thing)
            self.lost[thing] = origin
        if reading.setback is not None:
            self.lost.update(dict.fromkeys(self.held, origin))
            self.held.clear()
        self._arrive()
        return Followed(origin, self.place, taken, left)

    def take_stock(self, words: frozenset[str]) -> None:
        """Take in a list of what is carried: what is not on it is lost, nobody knows where."""
        for thing in [t for t in self.held if t.split()[-1] not in words]:
            self.held.discard(thing)
            self.lost[thing] = None

    def _miss(self, sentence: str, place: str | None) -> None:
        """Take in that something believed in hand is not ("You don't have the sword"): it fell here."""
        words = sentence.split()
        for thing in [t for t in self.held if t.split()[-1] in words]:
            self.held.discard(thing)
            self.lost[thing] = place

    def _arrive(self) -> None:
        if self.place is not None:
            self.visited.setdefault(self.place)
