"""The imitators that search with a copy of the game each: how they go on, and what an end is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.seeds import generator
from lookalike.core.types import Frame
from lookalike.environments.batch import EnvironmentBatch
from lookalike.players.lookahead_places import LookaheadSettings, Place, like_of
from lookalike.players.mimic import tempered
from lookalike.rewards.visual_network import Floats, VisualModel

_LEAST_SPREAD, _HALF = 1e-6, 0.5


class Members:
    """The imitators, with a copy of the game each."""

    def __init__(
        self, model: VisualModel, copies: EnvironmentBatch, settings: LookaheadSettings, seed: int
    ) -> None:
        self._model, self._copies, self.settings = model, copies, settings
        self._draw = generator(seed, "members")
        self.size = copies.size
        self.usual_steps = max(model.calibration.most_steps, 1.0)
        self.played = 0

    def draw(self, front: Sequence[Place], count: int) -> list[Place]:
        """Return places to go on from, the further ones more often."""
        potential = np.array([place.potential for place in front])
        ranked = (potential - potential.max()) / max(float(potential.std()), _LEAST_SPREAD)
        weight = np.exp(self.settings.choosiness * ranked)
        chosen = [front[n] for n in self._draw.choice(len(front), count, p=weight / weight.sum())]
        for place in chosen:
            place.tried += 1
        return chosen

    def after(self, place: Place, action: str) -> Place | None:
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
        return Place(self._copies.save_many()[0], frames, None, (), 0, potential, like_of(newest), age)

    def heads(self) -> bool:
        """Return the toss of a coin."""
        return bool(self._draw.random() < _HALF)

    def go_on(
        self, chosen: Sequence[Place], most: int
    ) -> tuple[list[Place | None], list[tuple[float, Place]]]:
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
        chosen: Sequence[Place],
        taken: Sequence[Sequence[str]],
        seen: Sequence[Sequence[Frame]],
        over: NDArray[np.bool_],
    ) -> tuple[list[Place | None], list[tuple[float, Place]]]:
        potential = self._model.progress(np.stack([frames[0] for frames in seen])).potential
        surplus = self._surplus(seen) if over.any() else np.zeros(len(seen), np.float32)
        saved = self._copies.save_many()
        reached: list[Place | None] = [None] * len(chosen)
        ends: list[tuple[float, Place]] = []
        for member, place in enumerate(chosen):
            if not taken[member]:
                continue
            newest, before, earlier = seen[member]
            child = Place(
                saved[member],
                (newest, before, earlier),
                place,
                tuple(taken[member]),
                place.steps + len(taken[member]),
                float(potential[member]),
                like_of(newest),
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

    def worth(self, end: tuple[float, Place]) -> float:
        """Return what ends are compared by: the longer it took, the less the networks have seen the like."""
        settings, place = self.settings, end[1]
        late = settings.late * place.age / self.usual_steps
        return end[0] + settings.further * place.potential - late

    def _ahead(self, end: Place) -> float:
        """Return what learned progress says of an end, in end score: good ones are more than half-way."""
        return self.settings.agreed * (end.potential - self.settings.halfway)

    def _forced(self, end: Place) -> bool:
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

    def _haste(self, end: Place) -> float:
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
