"""What an imitator remembers of one episode: the screens it has seen, and what led from one to the other.

Where a game stands still until something is done, a screen that comes back is a place. What was tried there
is known, so it is worth less than what was not; and a way back to a place where something promising was left
untried is worth what is left there, less the steps. Nothing is restored and nothing is known beforehand: that
an action undoes another is learned as it happens. In games in which everything moves no screen comes back,
and none of this changes anything.
"""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from lookalike.core.types import Frame
from lookalike.rewards.visual_network import Floats

STEP_COST = 0.4
"""Logarithm of probability that a step on the way to another place costs."""
IMPATIENCE = 1.0
"""Logits that an action loses for every time it was tried on exactly this screen."""
MOST_PLACES = 300
"""Places that are looked at from one place on."""

Screen = bytes


class Places:
    """The places of one episode.

    Args:
        actions: The actions' names.
    """

    def __init__(self, actions: tuple[str, ...]) -> None:
        self._numbers = {name: number for number, name in enumerate(actions)}
        self._left: dict[Screen, Floats] = {}
        self._ways: dict[Screen, dict[int, Screen]] = {}
        self._tried: Counter[tuple[Screen, int]] = Counter()
        self._undone: set[tuple[int, int]] = set()
        self._last: tuple[Screen, int, Screen] | None = None

    def went(self, before: Frame, action: str, after: Frame) -> None:
        """Remember what an action did."""
        number = self._numbers.get(action)
        if number is None:
            return
        here, there = before.tobytes(), after.tobytes()
        self._tried[here, number] += 1
        self._ways.setdefault(here, {})[number] = there
        if here != there:
            if self._last is not None and self._last[2] == here and self._last[0] == there:
                self._undone |= {(self._last[1], number), (number, self._last[1])}
            self._last = here, number, there
            for done, undo in self._undone:
                if done == number:
                    self._ways.setdefault(there, {}).setdefault(undo, here)

    def weighed(self, frame: Frame, logits: Floats) -> Floats:
        """Return what actions are worth here: logits, less what is known to lead nowhere new.

        Args:
            frame: The present screen.
            logits: What the policy says of it, [actions].
        """
        here = frame.tobytes()
        likely = logits - logits.max()
        likely -= np.log(np.exp(likely).sum())
        self._left[here] = likely
        ways = self._ways.get(here)
        if not ways:
            return logits
        weighed = likely.copy()
        for number, there in ways.items():
            if there != here and there in self._left:
                weighed[number] = min(likely[number], self._beyond(there, here) - STEP_COST)
        for number in ways:
            weighed[number] -= IMPATIENCE * self._tried[here, number]
        return np.asarray(weighed)

    def _beyond(self, there: Screen, here: Screen) -> float:
        """Return the best that is left untried in the places from one on, less the steps to it."""
        best = -20.0
        seen, queue = {here, there}, deque([(there, 0)])
        while queue and len(seen) < MOST_PLACES:
            place, steps = queue.popleft()
            ways = self._ways.get(place, {})
            left = self._left.get(place)
            if left is not None:
                untried = [left[number] for number in range(len(left)) if number not in ways]
                best = max([best, *(float(one) - STEP_COST * steps for one in untried)])
            for other in ways.values():
                if other not in seen:
                    seen.add(other)
                    queue.append((other, steps + 1))
        return best
