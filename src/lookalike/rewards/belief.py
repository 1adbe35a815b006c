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
    """

    places: PlaceMap
    place: str | None = None
    held: set[str] = field(default_factory=set)

    def start(self, reading: Reading) -> None:
        """Begin at an episode's first reply."""
        self.held.clear()
        self.place = self.places.locate(reading, None, None)

    def follow(self, action: str, reading: Reading) -> Followed:
        """Take in a command and its reply."""
        origin = self.place
        self.place = self.places.locate(reading, origin, action)
        taken = left = None
        verb, thing = split_action(action)
        if reading.failure and verb in DROP_VERBS:
            self.held.discard(thing)
        if not reading.failure:
            if thing and verb in GET_VERBS and not reading.questions:
                taken = thing
                self.held.add(thing)
            elif thing and verb in DROP_VERBS:
                left = thing
                self.held.discard(thing)
        for thing in [t for t in self.held if t.split()[-1] in reading.lying]:
            self.held.discard(thing)  # what lies here is not in the hand: stolen, or dropped by accident
        if reading.setback is not None:
            self.held.clear()
        return Followed(origin, self.place, taken, left)
