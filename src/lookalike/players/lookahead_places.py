"""What a search with save and restore knows: places that were found, and how promising they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lookalike.core.types import Frame


@dataclass(frozen=True)
class LookaheadSettings:
    """How far members look ahead.

    Attributes:
        steps: Environment steps of the search for a place to reach. Where no good end was found by then, the
            best one there is is taken.
        look_on: Steps that the search goes on for after its first good end: a better one may come.
        longest: How many times as long as recordings an imitator plays on before it begins again.
        soon: Share of the steps that recordings take before which an end is doubted.
        haste: What is taken off the end score of one that comes at once.
        halfway: Learned potential below which an end is no good one, whatever its end score.
        agreed: End score that a potential of one more is worth: the lower of the two words counts.
        doubt: By how much an end's score may be below that of a good one, where no better one was found.
        further: What the learned potential counts beside the end score where ends are compared.
        late: What is taken off there for as many steps as recordings take.
        stretch: Steps a member goes on before it is judged.
        temperatures: The members', in turn.
        chance: Share of stretches in which one drawn action is held instead of imitating.
        novelty: What a place whose like was never seen is worth, in learned potential.
        depth: What being as many steps from the beginning as recordings take is worth.
        tried: What is taken off a place's promise each time a member went on from it.
        ahead: Stretches to look ahead where there is no place to reach.
        played: Stretches of them that are played before looking ahead again; half of the way where all
            members fell before they were as far ahead.
        choosiness: How much the better of the members that play on side by side are preferred: one is this
            power of e as likely to be gone on from for every standard deviation of their potentials.
        sifted: Stretches after which all of them, not only those that fell, go on from drawn places.
    """

    steps: int = 40_000
    look_on: int = 5_000
    longest: float = 1.5
    soon: float = 0.25
    haste: float = 3.0
    halfway: float = 0.5
    agreed: float = 3.0
    doubt: float = 1.5
    further: float = 1.0
    late: float = 0.5
    stretch: int = 4
    temperatures: tuple[float, ...] = (0.2, 0.6, 1.0, 1.4)
    chance: float = 0.3
    novelty: float = 0.5
    depth: float = 0.1
    tried: float = 0.08
    ahead: int = 64
    played: int = 48
    choosiness: float = 1.0
    sifted: int = 8


@dataclass(eq=False)
class Place:
    """Somewhere a member has been.

    Attributes:
        saved: The game's state.
        frames: The last three frames, the newest first; the first one where there is none before.
        parent: Where it was come from.
        actions: How.
        steps: Steps from where the search began.
        potential: The learned one.
        like: What places that look about like it have in common.
        age: Steps from the level's beginning.
        tried: How often members went on from here.
        fell: How often that ended the game.
    """

    saved: bytes
    frames: tuple[Frame, Frame, Frame]
    parent: Place | None
    actions: tuple[str, ...]
    steps: int
    potential: float
    like: bytes = b""
    age: int = 0
    tried: int = 0
    fell: int = 0

    def line(self) -> list[Place]:
        """Return the places from where the search began to here."""
        places: list[Place] = []
        place: Place | None = self
        while place is not None:
            places.append(place)
            place = place.parent
        return places[::-1]

    def path(self) -> list[str]:
        """Return the actions from where the search began."""
        return [action for place in self.line() for action in place.actions]

    def as_root(self) -> Place:
        """Return the same place as the beginning of another search."""
        return Place(self.saved, self.frames, None, (), 0, self.potential, self.like, self.age)


@dataclass
class Archive:
    """All places that were found, and how promising they are.

    Attributes:
        settings: What they are judged by.
        usual_steps: Steps that recordings take.
        places: In the order they were found.
        known: Screens that were seen; a place that looks just like another one is not kept.
        likes: How often places that look about alike were come to.
    """

    settings: LookaheadSettings
    usual_steps: float
    places: list[Place] = field(default_factory=list)
    known: set[bytes] = field(default_factory=set)
    likes: Counter[bytes] = field(default_factory=Counter)

    def add(self, place: Place) -> None:
        """Keep a place, unless its screen is known."""
        self.likes[place.like] += 1
        cell = _cell(place.frames[0])
        if cell not in self.known:
            self.known.add(cell)
            self.places.append(place)

    def choose(self, count: int, most: int) -> list[Place]:
        """Return where to go on from, the most promising places first; each counts as tried."""
        open_ones = [place for place in self.places if place.steps < most]
        if not open_ones:
            return []
        tried = np.array([place.tried for place in open_ones])
        likes = np.array([self.likes[place.like] for place in open_ones])
        promise = (
            self._worth(open_ones) + self.settings.novelty / np.sqrt(likes) - self.settings.tried * tried
        )
        chosen = []
        for _ in range(count):
            number = int(np.argmax(promise))
            place = open_ones[number]
            place.tried += 1
            promise[number] -= self.settings.tried
            chosen.append(place)
        return chosen

    def best(self) -> Place:
        """Return the place that is furthest, novelty aside."""
        return self.places[int(np.argmax(self._worth(self.places)))]

    def _worth(self, places: Sequence[Place]) -> NDArray[np.float64]:
        """Return what places are worth for themselves, [N]: less where going on from them ended the game."""
        settings = self.settings
        rows = [(one.potential, one.steps / self.usual_steps, one.fell / (one.tried + 1)) for one in places]
        potential, depth, fallen = np.array(rows, np.float64).T
        doomed = np.minimum(1.0, fallen) * (settings.novelty + settings.depth)
        return np.asarray(potential + settings.depth * np.minimum(1.0, depth) - doomed)


def _cell(frame: Frame) -> bytes:
    """Return what makes two screens one place: 16 x 16 pixels in 32 grey levels."""
    return _small(frame, 16, 3)


def like_of(frame: Frame) -> bytes:
    """Return what places that look about alike have in common: 8 x 8 pixels in 16 grey levels."""
    return _small(frame, 8, 4)


def _small(frame: Frame, side: int, shift: int) -> bytes:
    height, width = frame.shape[0] // side, frame.shape[1] // side
    cut = frame[: height * side, : width * side]
    small = cut.reshape(side, height, side, width, 3).mean(axis=(1, 3, 4))
    return bytes((small.astype(np.uint8) >> shift).tobytes())
