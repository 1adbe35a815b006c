"""Imitators with save and restore: they try ahead under the learned reward, and play the best they found.

Four imitators, each at its own temperature, go on together from places that are worth it, with copies of the
game. Where that leads is judged by frames alone: learned progress, learned ends, and how often the like was
seen. The game's own score, facts and rewards are not looked at. That an episode is over is seen; whether it
ended well is judged by the learned end score, and what ends otherwise is given up.

Where recordings end with the game, there is a place to reach: every place that was found is kept, and the
members go on from where it is promising and new, until one comes to a good end (after Ecoffet et al., First
return, then explore, arXiv 2004.12919). Where recordings stop while the game goes on, what counts is to stay
in it and to get further: the members play on side by side, those that fell are replaced by others, and the
first part of the best way is played before they look ahead again. They are seldom chosen by how far they
are: what counts there shows late, and members that all come from one have only its luck. Players that have
this help say so in their handicaps, and :attr:`LookaheadPlayer.interactions` counts what they tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import CapabilityError
from lookalike.core.seeds import derive_seed, generator
from lookalike.core.types import Frame, Proposal, Role, Situation
from lookalike.environments.batch import EnvironmentBatch
from lookalike.players.mimic import tempered
from lookalike.rewards.visual_network import NO_END, Floats, VisualModel

_LEAST_SPREAD, _HALF = 1e-6, 0.5


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
class _Place:
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
    parent: _Place | None
    actions: tuple[str, ...]
    steps: int
    potential: float
    like: bytes = b""
    age: int = 0
    tried: int = 0
    fell: int = 0

    def line(self) -> list[_Place]:
        """Return the places from where the search began to here."""
        places: list[_Place] = []
        place: _Place | None = self
        while place is not None:
            places.append(place)
            place = place.parent
        return places[::-1]

    def path(self) -> list[str]:
        """Return the actions from where the search began."""
        return [action for place in self.line() for action in place.actions]

    def as_root(self) -> _Place:
        """Return the same place as the beginning of another search."""
        return _Place(self.saved, self.frames, None, (), 0, self.potential, self.like, self.age)


@dataclass
class _Found:
    """What a search came to.

    Attributes:
        best: The most promising place, or the best end.
        over: It is an end.
    """

    best: _Place
    over: bool = False


class LookaheadPlayer:
    """A Player that searches with copies of the game, and plays what it found.

    Args:
        model: Weights with a policy and progress.
        copies: Copies of the game, with ``save_restore``; not closed here.
        level: Seed of the level that is played.
        settings: How far it looks.

    Raises:
        CapabilityError: The copies cannot save and restore.
    """

    name = "lookahead"

    def __init__(
        self,
        model: VisualModel,
        copies: EnvironmentBatch,
        *,
        level: int,
        settings: LookaheadSettings | None = None,
    ) -> None:
        if "save_restore" not in copies.capabilities:
            raise CapabilityError(
                f"{copies.id} cannot save and restore, so nothing can be tried ahead.",
                expected="the capability save_restore",
                remedy="choose a condition without lookahead",
            )
        self.model, self.settings = model, settings or LookaheadSettings()
        self._copies, self._level = copies, level
        self._plan: list[str] = []
        self._at: _Place | None = None
        self._searched = False
        self.interactions = 0
        """Steps that were tried ahead in this episode; they are on top of those that were played."""

    def start_episode(self, *, seed: int) -> None:
        """Begin at the level's beginning."""
        del seed
        seen = self._copies.reset_many([self._level] * self._copies.size)[0]
        if seen is None or seen.frame is None:
            raise CapabilityError(f"{self._copies.id} shows no frames.", expected="frames")
        saved, frame = self._copies.save_many()[0], seen.frame.copy()
        potential = float(self.model.progress(frame[None]).potential[0])
        self._at = _Place(saved, (frame, frame, frame), None, (), 0, potential, _like(frame))
        self._plan = []
        self._searched, self.interactions = False, 0

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return the plan's next action for every role; a new plan is made where there is none."""
        if not self._plan:
            self._plan = self._search(seed, situation.steps_left)
        action = self._plan.pop(0) if self._plan else None
        return [Proposal(role, action, 1.0 if action else None) for role in roles]

    def _search(self, seed: int, most: int) -> list[str]:
        """Look ahead from where the last plan ends; return the way to play now."""
        if self._at is None:
            return []
        root = self._at.as_root()
        members = _Members(self.model, self._copies, self.settings, derive_seed(seed, "lookahead"))
        forward = self.model.calibration.end_threshold >= NO_END or self._searched
        self._searched = True
        found = _forward(members, root, most) if forward else _reach(members, root, most)
        self._at = None if found.over else found.best
        if found.best is root:  # every way ends badly: play on as people would
            logits = self.model.policy(root.frames[0][None], root.frames[1][None])
            action = self.model.actions[int(np.argmax(logits))]
            self._at = members.after(root, action)
        self.interactions += members.played
        return [action] if found.best is root else found.best.path()


def _reach(members: _Members, root: _Place, most: int) -> _Found:
    """Look for a good end among all places that are known; return the best end, or place where none is.

    One half of the members goes on from promising places, a stretch at a time. The other half plays on as
    imitators do, until the game ends or takes much longer than in recordings, and begins again elsewhere.
    """
    settings = members.settings
    archive = _Archive(settings, members.usual_steps)
    archive.add(root)
    ends: list[tuple[float, _Place]] = []
    runners: list[_Place | None] = [None] * (members.size // 2)
    stop_at = settings.steps
    while members.played < stop_at:
        far = min(most, settings.longest * members.usual_steps)
        stopped = [n for n, place in enumerate(runners) if place is None or place.steps >= far]
        elsewhere = [number for number in stopped if members.heads()]
        fresh = archive.choose(members.size - len(runners) + len(elsewhere), most)
        if not fresh:
            break
        for number in stopped:
            runners[number] = fresh.pop() if number in elsewhere and len(fresh) > 1 else root
        running = [place for place in runners if place is not None]
        reached, over = members.go_on(running + fresh, most)
        runners = [*reached[: len(runners)]]
        if over and max(over, key=_score)[0] >= 0:
            stop_at = min(stop_at, members.played + settings.look_on)
        ends += over
        for child in reached:
            if child is not None:
                archive.add(child)
    likely = [end for end in ends if end[0] >= -settings.doubt]
    if likely:
        return _Found(max(likely, key=members.worth)[1], True)
    return _Found(archive.best())


def _forward(members: _Members, root: _Place, most: int) -> _Found:
    """Let the members play on side by side, and return the first part of the best way.

    Who falls goes on from where another one is. Where all fell, they begin again further back, each time
    twice as far until they come further than before.
    """
    settings = members.settings
    fronts, deepest, back = [[root] * members.size], [[root]], 1
    for _ in range(2 * settings.ahead):
        if len(fronts) > settings.ahead or all(place.steps >= most for place in fronts[-1]):
            break
        reached, ends = members.go_on(fronts[-1], most)
        children = [child for child in reached if child is not None]
        surplus, end = max(ends, key=_score, default=(-1.0, root))
        if surplus >= 0:
            return _Found(end, True)
        if not children:
            fronts = fronts[: max(1, len(fronts) - back)]
            back *= 2
            continue
        if len(fronts) % settings.sifted == 0:
            front = members.draw(children, members.size)
        else:
            others = iter(members.draw(children, reached.count(None)))
            front = [child if child is not None else next(others) for child in reached]
        fronts.append(front)
        if len(fronts) > len(deepest):
            deepest, back = list(fronts), 1
    line = max(deepest[-1], key=lambda place: place.potential).line()
    sure = settings.played if len(deepest) > settings.ahead or line[-1].steps >= most else len(line) // 2
    return _Found(line[min(max(1, sure), len(line) - 1)])


def _score(end: tuple[float, _Place]) -> float:
    return end[0]


@dataclass
class _Archive:
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
    places: list[_Place] = field(default_factory=list)
    known: set[bytes] = field(default_factory=set)
    likes: Counter[bytes] = field(default_factory=Counter)

    def add(self, place: _Place) -> None:
        """Keep a place, unless its screen is known."""
        self.likes[place.like] += 1
        cell = _cell(place.frames[0])
        if cell not in self.known:
            self.known.add(cell)
            self.places.append(place)

    def choose(self, count: int, most: int) -> list[_Place]:
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

    def best(self) -> _Place:
        """Return the place that is furthest, novelty aside."""
        return self.places[int(np.argmax(self._worth(self.places)))]

    def _worth(self, places: Sequence[_Place]) -> NDArray[np.float64]:
        """Return what places are worth for themselves, [N]: less where going on from them ended the game."""
        settings = self.settings
        rows = [(one.potential, one.steps / self.usual_steps, one.fell / (one.tried + 1)) for one in places]
        potential, depth, fallen = np.array(rows, np.float64).T
        doomed = np.minimum(1.0, fallen) * (settings.novelty + settings.depth)
        return np.asarray(potential + settings.depth * np.minimum(1.0, depth) - doomed)


class _Members:
    """The imitators, with a copy of the game each."""

    def __init__(
        self, model: VisualModel, copies: EnvironmentBatch, settings: LookaheadSettings, seed: int
    ) -> None:
        self._model, self._copies, self.settings = model, copies, settings
        self._draw = generator(seed, "members")
        self.size = copies.size
        self.usual_steps = max(model.calibration.most_steps, 1.0)
        self.played = 0

    def draw(self, front: Sequence[_Place], count: int) -> list[_Place]:
        """Return places to go on from, the further ones more often."""
        potential = np.array([place.potential for place in front])
        ranked = (potential - potential.max()) / max(float(potential.std()), _LEAST_SPREAD)
        weight = np.exp(self.settings.choosiness * ranked)
        chosen = [front[n] for n in self._draw.choice(len(front), count, p=weight / weight.sum())]
        for place in chosen:
            place.tried += 1
        return chosen

    def after(self, place: _Place, action: str) -> _Place | None:
        """Return where an action leads, ``None`` where the game is over then."""
        rest = [None] * (self.size - 1)
        self._copies.restore_many([place.saved, *rest])
        result = self._copies.step_many([action, *rest])[0]
        self.played += 1
        if result is None or result.observation.frame is None or result.terminated or result.truncated:
            return None
        newest = result.observation.frame.copy()
        potential = float(self._model.progress(newest[None]).potential[0])
        frames = (newest, *place.frames[:2])
        age = place.age + 1
        return _Place(self._copies.save_many()[0], frames, None, (), 0, potential, _like(newest), age)

    def heads(self) -> bool:
        """Return the toss of a coin."""
        return bool(self._draw.random() < _HALF)

    def go_on(
        self, chosen: Sequence[_Place], most: int
    ) -> tuple[list[_Place | None], list[tuple[float, _Place]]]:
        """Let members go on from places for a stretch.

        Returns:
            Where each came, ``None`` where it ended or could not go on; and the ends that they came to, with
            what is above a good end's score.
        """
        copies, count = self._copies, len(chosen)
        copies.restore_many([place.saved for place in chosen] + [None] * (copies.size - count))
        seen = [list(place.frames) for place in chosen]
        taken: list[list[str]] = [[] for _ in chosen]
        over = np.zeros(count, bool)
        held = self._held(count)
        for _ in range(self.settings.stretch):
            going = [n for n in range(count) if not over[n] and chosen[n].steps + len(taken[n]) < most]
            if not going:
                break
            logits = self._model.policy(np.stack([s[0] for s in seen]), np.stack([s[1] for s in seen]))
            actions: list[str | None] = [None] * copies.size
            for member in going:
                actions[member] = held[member] or self._imitate(logits[member], member)
            for member, result in enumerate(copies.step_many(actions)[:count]):
                if result is None or result.observation.frame is None:
                    continue
                self.played += 1
                taken[member].append(str(actions[member]))
                seen[member] = [result.observation.frame.copy(), *seen[member][:2]]
                over[member] = result.terminated or result.truncated
        return self._judge(chosen, taken, seen, over)

    def _judge(
        self,
        chosen: Sequence[_Place],
        taken: Sequence[Sequence[str]],
        seen: Sequence[Sequence[Frame]],
        over: NDArray[np.bool_],
    ) -> tuple[list[_Place | None], list[tuple[float, _Place]]]:
        potential = self._model.progress(np.stack([frames[0] for frames in seen])).potential
        surplus = self._surplus(seen) if over.any() else np.zeros(len(seen), np.float32)
        saved = self._copies.save_many()
        reached: list[_Place | None] = [None] * len(chosen)
        ends: list[tuple[float, _Place]] = []
        for member, place in enumerate(chosen):
            if not taken[member]:
                continue
            newest, before, earlier = seen[member]
            child = _Place(
                saved[member],
                (newest, before, earlier),
                place,
                tuple(taken[member]),
                place.steps + len(taken[member]),
                float(potential[member]),
                _like(newest),
                place.age + len(taken[member]),
            )
            if over[member]:
                above = min(float(surplus[member]), self._ahead(child)) - self._haste(child)
                if above >= -self.settings.doubt and self._forced(child):
                    above -= 2 * self.settings.doubt + max(above, 0.0)
                place.fell += above < 0
                ends.append((above, child))
            else:
                reached[member] = child
        return reached, ends

    def worth(self, end: tuple[float, _Place]) -> float:
        """Return what ends are compared by: the longer it took, the less the networks have seen the like."""
        settings, place = self.settings, end[1]
        late = settings.late * place.age / self.usual_steps
        return end[0] + settings.further * place.potential - late

    def _ahead(self, end: _Place) -> float:
        """Return what learned progress says of an end, in end score: good ones are more than half-way."""
        return self.settings.agreed * (end.potential - self.settings.halfway)

    def _forced(self, end: _Place) -> bool:
        """Return whether more of the actions would have ended the game than where recordings end."""
        names, most = self._model.actions, self._model.calibration.end_forced
        if most >= 1 or end.parent is None:
            return False
        over = 0
        for first in range(0, len(names), self.size):
            last = names[first : first + self.size]
            rest: list[Any] = [None] * (self.size - len(last))
            self._copies.restore_many([*[end.parent.saved] * len(last), *rest])
            for action in end.actions[:-1]:
                self._copies.step_many([*[action] * len(last), *rest])
            results = self._copies.step_many([*last, *rest])
            self.played += len(end.actions) * len(last)
            over += sum(result is not None and result.terminated for result in results)
        return over > most * len(names) + _LEAST_SPREAD

    def _haste(self, end: _Place) -> float:
        """Return what is taken off an end that comes much sooner than recordings end."""
        soon = self.settings.soon * self.usual_steps
        return self.settings.haste * max(0.0, 1.0 - end.age / max(soon, 1.0))

    def _surplus(self, seen: Sequence[Sequence[Frame]]) -> Floats:
        """Return by how much end scores are above a good end's; a frame that is repeated says nothing."""
        last, before = [], []
        for newest, second, third in seen:
            repeated = np.array_equal(newest, second)
            last.append(second if repeated else newest)
            before.append(third if repeated else second)
        scores = self._model.end_scores(np.stack(last), np.stack(before))
        return np.asarray(scores - self._model.calibration.end_threshold)

    def _held(self, count: int) -> list[str | None]:
        """Draw for every member whether it holds one action, and which."""
        names = self._model.actions
        draws = self._draw.random(count)
        picks = self._draw.integers(len(names), size=count)
        return [names[p] if d < self.settings.chance else None for d, p in zip(draws, picks, strict=True)]

    def _imitate(self, logits: Floats, member: int) -> str:
        temperatures = self.settings.temperatures
        chances = tempered(logits, temperatures[member % len(temperatures)])
        return self._model.actions[int(self._draw.choice(len(chances), p=chances))]


def _cell(frame: Frame) -> bytes:
    """Return what makes two screens one place: 16 x 16 pixels in 32 grey levels."""
    return _small(frame, 16, 3)


def _like(frame: Frame) -> bytes:
    """Return what places that look about alike have in common: 8 x 8 pixels in 16 grey levels."""
    return _small(frame, 8, 4)


def _small(frame: Frame, side: int, shift: int) -> bytes:
    height, width = frame.shape[0] // side, frame.shape[1] // side
    cut = frame[: height * side, : width * side]
    small = cut.reshape(side, height, side, width, 3).mean(axis=(1, 3, 4))
    return bytes((small.astype(np.uint8) >> shift).tobytes())
