"""A scripted demonstrator: searches a level with save and restore, offline, for a play worth recording.

It stands in where no person is at hand, and its recordings say so (``player_kind="scripted"``). It knows what
no player knows: it can go back, it sees the true reward, and its guide may look into the engine's state. So
it is never a player in an experiment.

Two searches, by what the guide wants. Best first: the most promising place of all is gone back to, every
macro action is tried from there, and new places are kept; for games in which places stay what they are. In
step (a beam): a fixed number of places goes forward together and the most promising children go on; for games
in which everything moves. What a place is and how promising it is, says a :class:`Guide`.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lookalike.core.errors import CapabilityError, UsageError
from lookalike.core.protocols import Environment
from lookalike.environments.levels import has_levels, require_part
from lookalike.recordings.frames_recorder import RecordedFrames, record_frames

Macro = tuple[str, ...]
"""Actions played one after the other as one choice."""


class Place(NamedTuple):
    """What a guide says of a state.

    Attributes:
        cell: States with equal cells count as the same place.
        promise: The higher, the sooner the search goes on from here.
    """

    cell: Hashable
    promise: float


class Guide(Protocol):
    """Knows a game well enough to search it."""

    @property
    def width(self) -> int | None:
        """Places that go forward in step; ``None`` for best first."""
        ...

    def macros(self) -> Sequence[Macro]:
        """Return the choices that are tried at every place."""
        ...

    def place(self, saved: bytes, facts: Mapping[str, Any]) -> Place:
        """Say where a saved state is. ``facts`` are the environment's."""
        ...

    def solved(self, facts: Mapping[str, Any]) -> bool:
        """Return whether the play may end here."""
        ...


@dataclass(frozen=True)
class Found:
    """What a search came up with.

    Attributes:
        actions: The best play found, from the level's beginning.
        solved: It reaches what the guide wanted; otherwise it is the play that got furthest.
        score: The environment's score at its end, in points.
        steps_searched: Environment steps the search took.
        places: Places it knew in the end.
    """

    actions: tuple[str, ...] = field(repr=False)
    solved: bool
    score: float
    steps_searched: int
    places: int


class _Node(NamedTuple):
    """A place and the way there, as a chain."""

    saved: bytes
    parent: _Node | None
    macro: Macro
    score: float


def search_level(environment: Environment, guide: Guide, *, seed: int, max_steps: int = 60_000) -> Found:
    """Search one level for a play that solves it.

    The same arguments always find the same play: the budget is counted in steps, never in seconds.

    Args:
        environment: With ``save_restore`` and ``score``; reset here, not closed.
        guide: What to look for, and where.
        seed: The level.
        max_steps: Environment steps the search may take, about 200 to 400 microseconds each.

    Raises:
        CapabilityError: The environment cannot save and restore, or has no score.
        UsageError: The budget is not positive.
    """
    for needed in ("save_restore", "score"):
        if needed not in environment.capabilities:
            raise CapabilityError(
                f"The demonstrator cannot search {environment.id}.",
                got=f"capabilities {', '.join(sorted(environment.capabilities))}",
                expected=needed,
                remedy="Let a person play it (`lookalike record`).",
            )
    if max_steps < 1:
        raise UsageError("A search needs steps.", got=max_steps, expected="1 or more")
    return _Search(environment, guide, max_steps).run(seed)


def record_search(
    environment: Environment,
    guide: Guide,
    *,
    seed: int,
    out: Path,
    licence: str,
    max_steps: int = 60_000,
    keep_unsolved: bool = False,
) -> tuple[Found, RecordedFrames | None]:
    """Search a level and record what was found, marked as scripted.

    Args:
        environment: As for :func:`search_level`, with ``frames``.
        guide: What to look for.
        seed: The level; one that is kept for recordings.
        out: The video.
        licence: SPDX expression.
        max_steps: Of the search.
        keep_unsolved: Record the best play too where the level was not solved.

    Returns:
        What was found, and the recording; ``None`` where there is none to keep.

    Raises:
        UsageError: The level is kept for tuning or evaluation.
        CapabilityError: As :func:`search_level`, or no frames.
        RecordingError: The files cannot be written.
    """
    if has_levels(environment.id):
        require_part((seed,), "recording")
    found = search_level(environment, guide, seed=seed, max_steps=max_steps)
    if not found.actions or not (found.solved or keep_unsolved):
        return found, None
    note = f"scripted search with save and restore and the true reward, {found.steps_searched} steps searched"
    recorded = record_frames(
        environment, found.actions, seed=seed, out=out, licence=licence, player_kind="scripted", note=note
    )
    return found, recorded


class _Search:
    def __init__(self, environment: Environment, guide: Guide, max_steps: int) -> None:
        self._environment, self._guide = environment, guide
        self._steps_left = max_steps
        self._max_steps = max_steps
        self._known: set[Hashable] = set()
        self._best: _Node
        self._best_promise = 0.0

    def run(self, seed: int) -> Found:
        """Search until it is solved, everything is known, or the budget is used up."""
        environment = self._environment
        environment.reset(seed=seed)
        saved, facts = environment.save(), environment.facts()
        start = self._guide.place(saved, facts)
        self._best = root = _Node(saved, None, (), float(facts["score"]))
        self._best_promise = start.promise
        self._known.add(start.cell)
        solution = self._best_first(root) if self._guide.width is None else self._in_step(root)
        return self._found(solution or self._best, solved=solution is not None)

    def _best_first(self, root: _Node) -> _Node | None:
        heap = [(0.0, 0, root)]
        while heap and self._steps_left > 0:
            node = heapq.heappop(heap)[-1]
            for macro in self._guide.macros():
                child, promise, solved = self._try(node, macro)
                if solved:
                    return child
                if child is not None:
                    heapq.heappush(heap, (-promise, len(self._known), child))
        return None

    def _in_step(self, root: _Node) -> _Node | None:
        layer = [root]
        while layer and self._steps_left > 0:
            children: list[tuple[float, int, _Node]] = []
            for node in layer:
                for macro in self._guide.macros():
                    child, promise, solved = self._try(node, macro)
                    if solved:
                        return child
                    if child is not None:
                        children.append((-promise, len(children), child))
            layer = [child for _, _, child in heapq.nsmallest(self._guide.width or 1, children)]
        return None

    def _try(self, node: _Node, macro: Macro) -> tuple[_Node | None, float, bool]:
        """Play a macro from a node; ``None`` where it leads to an end without success or nowhere new."""
        environment = self._environment
        environment.restore(node.saved)
        played = 0
        ended = False
        for action in macro:
            result = environment.step(action)
            played += 1
            if result.terminated or result.truncated:
                ended = True
                break
        self._steps_left -= played
        facts = environment.facts()
        macro = macro[:played]
        if self._guide.solved(facts):
            return _Node(b"", node, macro, float(facts["score"])), 0.0, True
        if ended:
            return None, 0.0, False
        saved = environment.save()
        place = self._guide.place(saved, facts)
        if place.cell in self._known:
            return None, 0.0, False
        self._known.add(place.cell)
        child = _Node(saved, node, macro, float(facts["score"]))
        if place.promise > self._best_promise:
            self._best, self._best_promise = child, place.promise
        return child, place.promise, False

    def _found(self, node: _Node, *, solved: bool) -> Found:
        macros: list[Macro] = []
        step: _Node | None = node
        while step is not None:
            macros.append(step.macro)
            step = step.parent
        actions = tuple(action for macro in reversed(macros) for action in macro)
        return Found(
            actions, solved, node.score, self._max_steps - max(self._steps_left, 0), len(self._known)
        )
