"""Where the player is, told from the text alone: places with their wordings, and the moves between them.

A place is described at length once and in short later, and a maze describes many places alike. So a place
is recognised by its wording *and* by the move that led there: an unseen short wording is taken for the
place that the known move leads to when the two share a word; a wording that is met again by moving away
from it is *ambiguous* and its places are told apart by the moves alone (dead reckoning).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from lookalike.rewards.text import (
    DROP_VERBS,
    GET_VERBS,
    Reading,
    content_words,
    is_look,
    normalise_action,
    split_action,
)

Edge = tuple[str, str]
_GUESSED_MARK = "?"
GUESSED = 1000
"""Added to a distance that rests on guessed moves."""
_PAIRS = (
    "n s,north south,e w,east west,ne sw,northeast southwest,nw se,northwest southeast,u d,up down,in out"
)
_OPPOSITES: dict[str, tuple[str, ...]] = {"enter": ("out",), "out": ("in", "enter")}
for _pair in _PAIRS.split(","):
    _a, _b = _pair.split()
    _OPPOSITES.setdefault(_a, (_b,))
    _OPPOSITES.setdefault(_b, (_a,))


@dataclass
class Place:
    """A place of the game.

    Attributes:
        id: Short readable name, unique.
        anchors: Keys of the sentences (or headings) that name it.
        words: Content words of its longest description.
        ambiguous: Other places have the same wording.
    """

    id: str
    anchors: list[str]
    words: frozenset[str]
    ambiguous: bool = False


@dataclass
class PlaceMap:
    """Places and moves, learnt from recordings and, on a copy, while playing.

    Attributes:
        places: By id.
        edges: (place id, action) -> place id, the newest observation of that move.
        refuted: Moves that were refused again and again.
    """

    places: dict[str, Place] = field(default_factory=dict)
    edges: dict[Edge, str] = field(default_factory=dict)
    refuted: set[Edge] = field(default_factory=set)
    _by_anchor: dict[str, list[str]] = field(default_factory=dict)
    _incoming: dict[str, list[Edge]] | None = field(default=None, repr=False)
    _distances: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)

    def copy(self) -> PlaceMap:
        """Return an independent copy: what is learnt in one episode stays there."""
        places = {k: Place(p.id, list(p.anchors), p.words, p.ambiguous) for k, p in self.places.items()}
        by_anchor = {k: list(v) for k, v in self._by_anchor.items()}
        return PlaceMap(
            places, dict(self.edges), set(self.refuted), by_anchor, self._incoming, dict(self._distances)
        )

    def add(self, place: Place) -> None:
        """Add a place (used when a document is loaded)."""
        self.places[place.id] = place
        for anchor in place.anchors:
            self._by_anchor.setdefault(anchor, []).append(place.id)

    def add_edge(self, origin: str, action: str, target: str) -> None:
        """Note that ``action`` led from ``origin`` to ``target``."""
        before = self.edges.get((origin, action))
        if before == target:
            return
        self.edges[(origin, action)] = target
        self._incoming = None
        if before is not None:
            self._distances.clear()
            return
        # One more move changes only the distances that it shortens; guesses change with every move.
        for name, found in list(self._distances.items()):
            end = found.get(target)
            if name.endswith(_GUESSED_MARK) or (end is not None and found.get(origin, end + 2) > end + 1):
                del self._distances[name]

    def remove_edge(self, origin: str, action: str) -> None:
        """Forget a move, known or guessed."""
        self.refuted.add((origin, action))
        self.edges.pop((origin, action), None)
        self._incoming = None
        self._distances.clear()

    def locate(self, reading: Reading, previous: str | None, action: str | None) -> str | None:
        """Say where a reply shows the player, learning new wordings, places and moves on the way.

        Args:
            reading: The reply.
            previous: Place before the action, or ``None`` where unknown.
            action: The command that led here, or ``None`` at the start.

        Returns:
            A place id, ``previous`` where the reply describes no place, or ``None`` where a maze's wording
            was met in a way that is not known yet.
        """
        act = normalise_action(action) if action is not None else None
        if reading.anchor is None:
            reading = self._read_unconventional(reading, act)
        if reading.anchor is None:
            return previous
        place = self._identify(reading, previous, act)
        if place is not None and previous is not None and act and place != previous and not is_look(act):
            self.add_edge(previous, act, place)
        return place

    def _read_unconventional(self, reading: Reading, action: str | None) -> Reading:
        """Take a reply's first sentence for a place where a known move was not refused."""
        first = reading.sentences[0] if reading.sentences else ""
        if reading.failure or reading.questions or len(first.split()) < 4 or first.startswith("your "):
            return reading
        if len({origin for (origin, a) in self.edges if a == action}) < 2:
            return reading
        return replace(reading, anchor=first, description=content_words(first), lead=())

    def _identify(self, reading: Reading, previous: str | None, action: str | None) -> str | None:
        anchor = reading.anchor or ""
        predicted = (
            self.edges.get((previous, action)) if previous is not None and action is not None else None
        )
        known = self._by_anchor.get(anchor, [])
        if predicted is not None and reading.dark and "dark" in anchor and not reading.titled:
            return predicted  # it cannot be seen, but the move is known
        if previous is not None and _stays(reading, action):
            return self._stayed(anchor, reading, previous, action, known)
        if known and not self.places[known[0]].ambiguous:
            if self._moved_to_same_wording(reading, previous, action, known[0], predicted):
                self.places[known[0]].ambiguous = True
                return self._new(anchor, reading.description, ambiguous=True)
            return known[0]
        if known:
            return self._in_maze(anchor, reading, previous, action, predicted)
        if reading.titled:
            return self._new(anchor, reading.description)
        words = content_words(anchor)
        if predicted is not None and words & self.places[predicted].words and "dark" not in words:
            return self._extend(predicted, anchor, reading.description)
        if previous is not None and self._works_here(action, words, previous):
            return self._extend(previous, anchor, reading.description)
        if len(anchor.split()) <= 8 and words:
            fits = [p for p in self.places.values() if words <= p.words and not p.ambiguous]
            fits.sort(key=lambda p: (len(p.words), p.id))
            if not fits and anchor.startswith("youre ") and len(words) >= 3:
                fits = self._nearly(words)
            if fits and "dark" not in words:
                return self._extend(fits[0].id, anchor, reading.description)
        return self._new(anchor, reading.description)

    def _stayed(
        self, anchor: str, reading: Reading, previous: str, action: str | None, known: list[str]
    ) -> str:
        """Say where one is after a command that leads nowhere: here, unless something carried one away."""
        if reading.titled and anchor not in self.places[previous].anchors:
            return known[0] if known else self._new(anchor, reading.description)
        elsewhere = len(known) == 1 and previous != known[0] and not reading.failure and not reading.dark
        if elsewhere and not self.places[known[0]].ambiguous and action is not None and is_look(action):
            return known[0]
        return previous if known else self._extend(previous, anchor, reading.description)

    def _works_here(self, action: str | None, words: frozenset[str], previous: str) -> bool:
        """Tell a short wording of the same place: the command never led anywhere, and they share a word."""
        if (
            action is None
            or action in _OPPOSITES
            or not words & self.places[previous].words
            or "dark" in words
        ):
            return False
        return " " in action and not any(a == action for _, a in self.edges)

    def _nearly(self, words: frozenset[str]) -> list[Place]:
        """Return the one place that has most of the words of a short wording, if there is just one."""
        shared = {
            p.id: len(words & p.words) + len(words & content_words(p.anchors[0]))
            for p in self.places.values()
            if not p.ambiguous and 3 * len(words & p.words) >= 2 * len(words)
        }
        most = max(shared.values(), default=0)
        best = [self.places[name] for name, n in shared.items() if n == most]
        return best if len(best) == 1 else []

    def _moved_to_same_wording(
        self, reading: Reading, previous: str | None, action: str | None, known: str, predicted: str | None
    ) -> bool:
        """Tell a maze: a move that works elsewhere ends in the very words it began with."""
        if previous != known or action is None or is_look(action) or reading.lead or reading.failure:
            return False
        moves_elsewhere = any(a == action for (_, a) in self.edges)
        return predicted not in (None, known) or (moves_elsewhere and reading.anchor in reading.sentences[:1])

    def _in_maze(
        self, anchor: str, reading: Reading, previous: str | None, action: str | None, predicted: str | None
    ) -> str | None:
        if predicted is not None and anchor in self.places[predicted].anchors:
            return predicted
        if previous is None or action is None:
            return None
        moves = action in _OPPOSITES or any(a == action for _, a in self.edges)
        if (reading.lead or not moves) and anchor in self.places[previous].anchors:
            return previous
        return self._new(anchor, reading.description, ambiguous=True)

    def _extend(self, place_id: str, anchor: str, words: frozenset[str]) -> str:
        place = self.places[place_id]
        place.anchors.append(anchor)
        place.words = place.words | words
        self._by_anchor.setdefault(anchor, []).append(place_id)
        return place_id

    def _new(self, anchor: str, words: frozenset[str], *, ambiguous: bool = False) -> str:
        names = [w for w in anchor.split() if content_words(w)][:4] or anchor.split()[:3]
        stem = "-".join(names) or "place"
        place_id, n = stem, 1
        while place_id in self.places:
            n += 1
            place_id = f"{stem}-{n}"
        self.add(Place(place_id, [anchor], words | content_words(anchor), ambiguous))
        return place_id

    def merge_twins(self) -> dict[str, str]:
        """Join places that turn out to be one.

        A long and a short wording met on different ways in look like two places. They are one when they
        share a word and a move to or from the same place, and no move contradicts it.

        Returns:
            Which place id was taken into which.
        """
        merged: dict[str, str] = {}
        while pair := self._find_twins():
            keep, drop = pair
            merged[drop] = keep
            gone = self.places.pop(drop)
            kept = self.places[keep]
            kept.anchors += [a for a in gone.anchors if a not in kept.anchors]
            kept.words |= gone.words
            for anchor in gone.anchors:
                self._by_anchor[anchor] = [keep]
            edges = [
                ((keep if p == drop else p, a), keep if q == drop else q) for (p, a), q in self.edges.items()
            ]
            self.edges = {edge: end for edge, end in edges if edge[0] != end}
            self._incoming = None
            self._distances.clear()
        return merged

    def _find_twins(self) -> tuple[str, str] | None:
        """Find a place first met in a short wording ("You're in …") and the long one it belongs to."""
        outgoing: dict[str, dict[str, str]] = {}
        incoming: dict[str, set[Edge]] = {}
        for (origin, action), end in self.edges.items():
            outgoing.setdefault(origin, {})[action] = end
            incoming.setdefault(end, set()).add((origin, action))
        best: tuple[tuple[int, int], str, str] | None = None
        for short in self.places.values():
            if short.ambiguous or not short.anchors[0].startswith("youre "):
                continue
            for place in self.places.values():
                if place is short or place.ambiguous or place.anchors[0].startswith("youre "):
                    continue
                ours, theirs = outgoing.get(place.id, {}), outgoing.get(short.id, {})
                shared = ours.keys() & theirs.keys()
                if (
                    any(ours[a] != theirs[a] for a in shared)
                    or short.id in ours.values()
                    or place.id in theirs.values()
                ):
                    continue
                words = len(content_words(short.anchors[0]) & place.words)
                moves = len(shared) + len(incoming.get(place.id, set()) & incoming.get(short.id, set()))
                back, by_word = _ways_back(incoming.get(place.id, set()), theirs)
                moves += back
                if moves and (words or by_word) and (best is None or (moves, words) > best[0]):
                    best = ((moves, words), place.id, short.id)
        return (best[1], best[2]) if best else None

    def distance(self, place: str, target: str) -> int | None:
        """Return the number of moves to ``target``; ``None`` where nothing known or guessed leads there.

        Only where no known way exists are moves guessed: what goes east comes back west. A guessed way
        counts as longer than any known one.
        """
        known = self._distances_to(target, guessed=False).get(place)
        if known is not None:
            return known
        guess = self._distances_to(target, guessed=True).get(place)
        return None if guess is None else guess + GUESSED

    def next_moves(self, place: str, target: str) -> list[str]:
        """Return the actions that bring ``place`` one move nearer to ``target``, in a fixed order."""
        if place == target:
            return []
        for guessed in (False, True):
            distances = self._distances_to(target, guessed=guessed)
            if place in distances:
                want = distances[place] - 1
                moves = {**self._guesses(), **self.edges} if guessed else self.edges
                return [a for (p, a), end in moves.items() if p == place and distances.get(end) == want]
        return []

    def _distances_to(self, target: str, *, guessed: bool) -> dict[str, int]:
        """Breadth-first search backwards from ``target``; unreachable places are absent."""
        name = target + _GUESSED_MARK if guessed else target
        if name not in self._distances:
            incoming = self._incoming_edges(guessed)
            found = {target: 0}
            queue = deque([target])
            while queue:
                here = queue.popleft()
                for origin, _ in incoming.get(here, ()):
                    if origin not in found:
                        found[origin] = found[here] + 1
                        queue.append(origin)
            self._distances[name] = found
        return self._distances[name]

    def _incoming_edges(self, guessed: bool) -> dict[str, list[Edge]]:
        if guessed:
            return _by_end({**self._guesses(), **self.edges})
        if self._incoming is None:
            self._incoming = _by_end(self.edges)
        return self._incoming

    def _guesses(self) -> dict[Edge, str]:
        """Return the moves back that nobody has tried yet."""
        return {
            (end, back): origin
            for (origin, action), end in self.edges.items()
            for back in _OPPOSITES.get(action, ())
            if (end, back) not in self.edges and (end, back) not in self.refuted
        }


def _stays(reading: Reading, action: str | None) -> bool:
    """Tell that a command led nowhere: refused, only looked, took or put something down, no description."""
    if reading.failure or reading.unmoved:
        return True
    return action is not None and (is_look(action) or split_action(action)[0] in GET_VERBS | DROP_VERBS)


def _ways_back(incoming: set[Edge], outgoing: dict[str, str]) -> tuple[int, bool]:
    """Count moves that lead back to where a way into a place began; tell whether one is a magic word.

    North from a room and south to the same room: it is one place. A word that is no direction and leads both
    ways says it without any shared wording.
    """
    back = [a for origin, a in incoming for b in (*_OPPOSITES.get(a, ()), a) if outgoing.get(b) == origin]
    return len(back), any(action not in _OPPOSITES for action in back)


def _by_end(edges: dict[Edge, str]) -> dict[str, list[Edge]]:
    incoming: dict[str, list[Edge]] = {}
    for edge, end in edges.items():
        incoming.setdefault(end, []).append(edge)
    return incoming
