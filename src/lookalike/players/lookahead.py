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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lookalike.core.errors import CapabilityError
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Proposal, Role, Situation
from lookalike.environments.batch import EnvironmentBatch
from lookalike.players.lookahead_members import Members
from lookalike.players.lookahead_places import Archive, LookaheadSettings, Place, like_of
from lookalike.rewards.visual_network import NO_END, VisualModel

__all__ = ["LookaheadPlayer", "LookaheadSettings"]


@dataclass
class _Found:
    """What a search came to.

    Attributes:
        best: The most promising place, or the best end.
        over: It is an end.
    """

    best: Place
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
        self._at: Place | None = None
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
        self._at = Place(saved, (frame, frame, frame), None, (), 0, potential, like_of(frame))
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
        members = Members(self.model, self._copies, self.settings, derive_seed(seed, "lookahead"))
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


def _reach(members: Members, root: Place, most: int) -> _Found:
    """Look for a good end among all places that are known; return the best end, or place where none is.

    One half of the members goes on from promising places, a stretch at a time. The other half plays on as
    imitators do, until the game ends or takes much longer than in recordings, and begins again elsewhere.
    """
    settings = members.settings
    archive = Archive(settings, members.usual_steps)
    archive.add(root)
    ends: list[tuple[float, Place]] = []
    runners: list[Place | None] = [None] * (members.size // 2)
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


def _forward(members: Members, root: Place, most: int) -> _Found:
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


def _score(end: tuple[float, Place]) -> float:
    return end[0]
