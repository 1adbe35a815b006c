"""Imitators with save and restore: they try ahead under the learned reward, and play the best they found.

Each member of the swarm goes on from one of the most promising places known, imitating at its own temperature
for a few steps; where that leads is judged by the learned potential alone, and kept if it is new. The game's
own score, facts and rewards are not looked at. The game's end is seen (the episode is over), and whether it
is a good one is judged by the learned end score. Players that have this help say so in their handicaps.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lookalike.core.errors import CapabilityError
from lookalike.core.seeds import derive_seed, generator
from lookalike.core.types import Frame, Proposal, Role, Situation
from lookalike.environments.batch import EnvironmentBatch
from lookalike.players.mimic import tempered
from lookalike.rewards.visual_network import Floats, VisualModel


@dataclass(frozen=True)
class LookaheadSettings:
    """How far members look ahead.

    Attributes:
        steps: Environment steps of one search.
        stretch: Steps a member goes on before it is judged.
        temperatures: The members', in turn.
        chance: Share of stretches in which one drawn action is held instead of imitating.
        depth: What going on is worth by itself: potential for every step that recordings take on average,
            as a share of it.
        tried: What is taken off a place's promise each time a member went on from it.
    """

    steps: int = 3_000
    stretch: int = 4
    temperatures: tuple[float, ...] = (0.2, 0.6, 1.0, 1.4)
    chance: float = 0.3
    depth: float = 0.3
    tried: float = 0.08


@dataclass
class _Place:
    """Somewhere a member has been.

    Attributes:
        saved: The game's state.
        frame: What is seen there.
        before: The frame before.
        parent: Where it was come from.
        actions: How.
        steps: Steps from where the search began.
        potential: The learned one.
        tried: How often members went on from here.
    """

    saved: bytes
    frame: Frame
    before: Frame
    parent: _Place | None
    actions: tuple[str, ...]
    steps: int
    potential: float
    tried: int = 0

    def path(self) -> list[str]:
        """Return the actions from where the search began."""
        parts: list[tuple[str, ...]] = []
        place: _Place | None = self
        while place is not None:
            parts.append(place.actions)
            place = place.parent
        return [action for part in reversed(parts) for action in part]


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
        self.interactions = 0
        """Steps that were tried ahead in this episode; they are on top of those that were played."""

    def start_episode(self, *, seed: int) -> None:
        """Begin at the level's beginning."""
        del seed
        seen = self._copies.reset_many([self._level] * self._copies.size)[0]
        if seen is None or seen.frame is None:
            raise CapabilityError(f"{self._copies.id} shows no frames.", expected="frames")
        saved = self._copies.save_many()[0]
        self._at = _Place(saved, seen.frame, seen.frame, None, (), 0, self._potential(seen.frame[None])[0])
        self._plan = []
        self.interactions = 0

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return the plan's next action for every role; a new plan is made where there is none."""
        if not self._plan:
            self._plan = self._search(seed, situation.steps_left)
        action = self._plan.pop(0) if self._plan else None
        return [Proposal(role, action, 1.0 if action else None) for role in roles]

    def _search(self, seed: int, most: int) -> list[str]:
        """Look ahead from where the last plan ends; return the way to the best place."""
        if self._at is None:
            return []
        root = _Place(self._at.saved, self._at.frame, self._at.before, None, (), 0, self._at.potential)
        search = _Search(self.model, self._copies, self.settings, derive_seed(seed, "lookahead"))
        best, ended = search.run(root, most)
        self.interactions += search.played
        self._at = None if ended else best
        if best is root:  # every way ends badly: play on as people would
            self._at = root
            return [
                self.model.actions[int(np.argmax(self.model.policy(root.frame[None], root.before[None])))]
            ]
        return best.path()

    def _potential(self, frames: Frame) -> list[float]:
        return [float(value) for value in self.model.progress(frames).potential]


class _Search:
    """One search; best first by promise, several members at once."""

    def __init__(
        self, model: VisualModel, copies: EnvironmentBatch, settings: LookaheadSettings, seed: int
    ) -> None:
        self._model, self._copies, self._settings = model, copies, settings
        self._draw = generator(seed, "members")
        self._numbers = itertools.count()
        self._heap: list[tuple[float, int, _Place]] = []
        self._known: set[bytes] = set()
        self.played = 0

    def run(self, root: _Place, most: int) -> tuple[_Place, bool]:
        """Return the best place that was found, and whether the game ends there, well."""
        best, best_promise = root, -np.inf
        self._known.add(_cell(root.frame))
        self._push(root)
        while self.played < self._settings.steps and self._heap:
            chosen = self._choose(most)
            if not chosen:
                break
            children, won = self._go_on(chosen, most)
            if won is not None:
                return won, True
            for child in children:
                self._push(child)
                if (promise := self._promise(child)) > best_promise:
                    best, best_promise = child, promise
        return best, False

    def _promise(self, place: _Place) -> float:
        settings = self._settings
        ahead = settings.depth * place.steps / max(self._model.calibration.most_steps, 1.0)
        return place.potential + ahead - settings.tried * place.tried

    def _push(self, place: _Place) -> None:
        heapq.heappush(self._heap, (-self._promise(place), next(self._numbers), place))

    def _choose(self, most: int) -> list[_Place]:
        """Take a place for every copy; one may be gone on from several times, at less and less promise."""
        chosen: list[_Place] = []
        while len(chosen) < self._copies.size and self._heap:
            place = heapq.heappop(self._heap)[-1]
            if place.steps >= most:
                continue
            place.tried += 1
            chosen.append(place)
            self._push(place)
        return chosen

    def _go_on(self, chosen: list[_Place], most: int) -> tuple[list[_Place], _Place | None]:
        """Let members go on from places for a stretch, and judge where they come."""
        copies, count = self._copies, len(chosen)
        states = [place.saved for place in chosen] + [None] * (copies.size - count)
        copies.restore_many(states)
        frames = np.stack([place.frame for place in chosen])
        before = np.stack([place.before for place in chosen])
        taken: list[list[str]] = [[] for _ in chosen]
        alive = np.ones(count, bool)
        over = np.zeros(count, bool)
        held = self._held(count)
        for _ in range(self._settings.stretch):
            logits = self._model.policy(frames, before)
            actions: list[str | None] = [None] * copies.size
            for member in np.nonzero(alive)[0].tolist():
                if chosen[member].steps + len(taken[member]) >= most:
                    alive[member] = False
                    continue
                actions[member] = held[member] or self._imitate(logits[member], member)
            results = copies.step_many(actions)
            for member, result in enumerate(results[:count]):
                if result is None or result.observation.frame is None:
                    continue
                self.played += 1
                taken[member].append(str(actions[member]))
                before[member], frames[member] = frames[member].copy(), result.observation.frame
                if result.terminated or result.truncated:
                    alive[member], over[member] = False, True
        return self._judge(chosen, taken, frames, before, over)

    def _judge(
        self,
        chosen: list[_Place],
        taken: list[list[str]],
        frames: Frame,
        before: Frame,
        over: np.ndarray[tuple[int], np.dtype[np.bool_]],
    ) -> tuple[list[_Place], _Place | None]:
        found = self._model.progress(frames)
        saved = self._copies.save_many()
        children: list[_Place] = []
        won: tuple[float, _Place] | None = None
        for member, place in enumerate(chosen):
            if not taken[member]:
                continue
            child = _Place(
                saved[member],
                frames[member].copy(),
                before[member].copy(),
                place,
                tuple(taken[member]),
                place.steps + len(taken[member]),
                float(found.potential[member]),
            )
            if over[member]:
                surplus = float(found.end_score[member]) - self._model.calibration.end_threshold
                if surplus >= 0 and (won is None or surplus > won[0]):
                    won = surplus, child
                continue
            cell = _cell(child.frame)
            if cell not in self._known:
                self._known.add(cell)
                children.append(child)
        return children, None if won is None else won[1]

    def _held(self, count: int) -> list[str | None]:
        """Draw for every member whether it holds one action, and which."""
        names = self._model.actions
        draws = self._draw.random(count)
        picks = self._draw.integers(len(names), size=count)
        return [names[p] if d < self._settings.chance else None for d, p in zip(draws, picks, strict=True)]

    def _imitate(self, logits: Floats, member: int) -> str:
        temperatures = self._settings.temperatures
        chances = tempered(logits, temperatures[member % len(temperatures)])
        return self._model.actions[int(self._draw.choice(len(chances), p=chances))]


def _cell(frame: Frame) -> bytes:
    """Return what makes two screens one place: 16 x 16 pixels in 32 grey levels."""
    height, width = frame.shape[0] // 16, frame.shape[1] // 16
    small = frame.reshape(16, height, 16, width, 3).mean(axis=(1, 3, 4))
    return bytes((small.astype(np.uint8) >> 3).tobytes())
