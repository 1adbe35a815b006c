"""What the scripted demonstrator knows of Procgen's games: what counts as a place, and what is promising.

Distances are walked, not flown: from every target through the cells that are open.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import UnknownNameError
from lookalike.core.types import Goal
from lookalike.environments.procgen import engine_state_in
from lookalike.environments.procgen_state import EngineView, view_state
from lookalike.recordings.demonstrator import Macro, Place

_FAR = 1_000.0


@dataclass(frozen=True)
class ProcgenGuide:
    """How to search one of the games.

    Attributes:
        choices: The macros.
        promise: From the engine's state and the score.
        cell: What makes two states one place.
        width: Places that go forward in step; ``None`` for best first.
        goal: What ends the search; ``None`` for the whole level.
    """

    choices: tuple[Macro, ...]
    promise: Callable[[EngineView], float]
    cell: Callable[[EngineView], Hashable]
    width: int | None = None
    goal: Goal | None = None

    def macros(self) -> Sequence[Macro]:
        """Return the choices that are tried at every place."""
        return self.choices

    def place(self, saved: bytes, facts: Mapping[str, Any]) -> Place:
        """Say where a saved state is."""
        view = view_state(engine_state_in(saved))._replace(score=float(facts["score"]))
        return Place(self.cell(view), self.promise(view))

    def solved(self, facts: Mapping[str, Any]) -> bool:
        """Return whether the goal is reached, or the level complete."""
        return bool(facts["level_complete"]) if self.goal is None else self.goal.reached(facts)


def procgen_guide(game: str, goal: Goal | None = None) -> ProcgenGuide:
    """Return the guide to a game.

    Args:
        game: One of the sixteen.
        goal: End the search where this goal is reached; ``None`` for the whole level.

    Raises:
        UnknownNameError: There is none for this game.
    """
    if game not in _GUIDES:
        raise UnknownNameError("Procgen game", game, _GUIDES)
    return replace(_GUIDES[game], goal=goal)


def _each(actions: str, *lengths: int) -> tuple[Macro, ...]:
    """Return every action (separated by commas) held for every length."""
    return tuple((action.strip(),) * length for length in lengths for action in actions.split(","))


def _of(view: EngineView, *kinds: int) -> NDArray[Any]:
    return view.entities[np.isin(view.entities["type"], kinds)]


def _walked(view: EngineView, targets: Sequence[tuple[float, float]], walls: Sequence[int]) -> float:
    """Return the cells to walk from the player to the nearest target, through cells that are no walls."""
    height, width = view.grid.shape
    player = view.player
    start = int(player["x"]), int(player["y"])
    goals = {(int(x), int(y)) for x, y in targets}
    if not goals:
        return _FAR
    closed = np.isin(view.grid, walls)
    seen = np.zeros((height, width), bool)
    queue = deque([(start, 0)])
    while queue:
        (x, y), steps = queue.popleft()
        if (x, y) in goals:
            nearest = min(math.hypot(tx - float(player["x"]), ty - float(player["y"])) for tx, ty in targets)
            return steps + min(nearest, 1.0) if steps < 2 else float(steps)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            nx, ny = x + dx, y + dy
            if 0 <= nx < width and 0 <= ny < height and not seen[ny, nx] and not closed[ny, nx]:
                seen[ny, nx] = True
                queue.append(((nx, ny), steps + 1))
    return min(math.hypot(x - float(player["x"]), y - float(player["y"])) for x, y in targets) + _FAR / 10


def _centres(found: NDArray[Any]) -> list[tuple[float, float]]:
    return [(float(one["x"]), float(one["y"])) for one in found]


def _cells_of(view: EngineView, *kinds: int) -> list[tuple[float, float]]:
    rows, columns = np.nonzero(np.isin(view.grid, kinds))
    return [(x + 0.5, y + 0.5) for x, y in zip(columns.tolist(), rows.tolist(), strict=True)]


def _at(view: EngineView, size: float, *, moving: float | None = None) -> tuple[int, ...]:
    """Return the player's cell of ``size``, and where ``moving`` is given the speed in such steps."""
    player = view.player
    place = (int(float(player["x"]) / size), int(float(player["y"]) / size))
    if moving is None:
        return place
    return (*place, round(float(player["vx"]) / moving), round(float(player["vy"]) / moving))


# Games that are solved by finding a way.

_DIRECTIONS = "left, right, up, down"


def _maze() -> ProcgenGuide:
    return ProcgenGuide(
        _each(_DIRECTIONS, 1),
        lambda view: -_walked(view, _cells_of(view, 2), (51,)) - 0.5 * view.steps,
        lambda view: _at(view, 1),
    )


def _heist() -> ProcgenGuide:
    def left(view: EngineView) -> int:
        return len(_of(view, 1, 2))

    def promise(view: EngineView) -> float:
        keys, exits = _centres(_of(view, 2)), _centres(_of(view, 9))
        return -100.0 * left(view) - _walked(view, keys + exits, (51,)) - 0.2 * view.steps

    return ProcgenGuide(_each(_DIRECTIONS, 1, 3), promise, lambda view: (*_at(view, 0.25), left(view)))


def _miner() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        diamonds = _cells_of(view, 2, 4)
        targets = diamonds or _centres(_of(view, 6))
        return -100.0 * len(diamonds) - _walked(view, targets, (1, 3)) - 0.3 * view.steps

    return ProcgenGuide(
        (*_each(_DIRECTIONS, 1), ("noop",) * 2),
        promise,
        lambda view: (*_at(view, 1), view.grid.tobytes()),
    )


def _chaser() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        orbs = _cells_of(view, 1002)
        near = _gap_to(view, _of(view, 6))
        return -3.0 * len(orbs) - _walked(view, orbs, (5,)) + min(near, 3.0)

    def cell(view: EngineView) -> Hashable:
        return (*_at(view, 1), (view.grid == 1002).sum().item(), view.steps // 4)

    return ProcgenGuide(_each(_DIRECTIONS, 4), promise, cell, width=32)


def _leaper() -> ProcgenGuide:
    hops = tuple((move, *("noop",) * 4) for move in ("up", "left", "right", "down"))
    return ProcgenGuide(
        (*hops, ("noop",) * 2, ("noop",) * 5),
        lambda view: 10.0 * float(view.player["y"]) - 0.1 * view.steps,
        lambda view: (*_at(view, 0.5), view.steps // 3),
        width=40,
    )


def _caveflyer() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        return -_walked(view, _centres(_of(view, 1)), (8,)) - 0.05 * view.steps

    def cell(view: EngineView) -> Hashable:
        turned = round(float(view.player["rotation"]) / (math.pi / 6)) % 12
        return (*_at(view, 1, moving=0.15), turned)

    return ProcgenGuide(_each("left, right, up, down, left up, right up, noop", 4), promise, cell)


# Games that are solved by jumping there.


def _platforms(
    walls: tuple[int, ...],
    targets: Callable[[EngineView], list[tuple[float, float]]],
    *,
    size: float = 0.5,
    choices: tuple[Macro, ...],
    moving_things: bool = False,
) -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        wanted = targets(view)
        return -300.0 * len(wanted) - 2.0 * _walked(view, wanted, walls) - 0.1 * view.steps

    def cell(view: EngineView) -> Hashable:
        clock = view.steps // 6 if moving_things else 0
        return (*_at(view, size, moving=0.35), len(targets(view)), clock)

    return ProcgenGuide(choices, promise, cell)


_JUMPS = _each("left, right, left up, right up, up, noop", 4, 2)


def _coinrun() -> ProcgenGuide:
    choices = (*_each("right, right up, left, left up, up", 5), ("noop",) * 4, ("right down",) * 4)
    return _platforms((15, 16), lambda view: _cells_of(view, 1), choices=choices, moving_things=True)


def _climber() -> ProcgenGuide:
    return _platforms((15, 16), lambda view: _centres(_of(view, 1)), choices=_JUMPS, moving_things=True)


def _jumper() -> ProcgenGuide:
    return _platforms((6, 7), lambda view: _centres(_of(view, 1)), choices=_JUMPS)


def _ninja() -> ProcgenGuide:
    # The longer a jump is charged the further it goes; it starts when the stick is let go.
    charged = tuple(
        ("right up",) * charge + ("right",) * flight for charge in (2, 5, 9) for flight in (4, 12)
    )
    choices = (
        *charged,
        *_each("right, left", 4),
        ("up",) * 6 + ("right",) * 6,
        ("noop",) * 3,
        *_each("throw ahead", 1),
    )
    return _platforms((20,), lambda view: _centres(_of(view, 1)), choices=choices)


# Games that are solved by staying alive and hitting.


def _timed(
    choices: tuple[Macro, ...],
    promise: Callable[[EngineView], float],
    *,
    size: float = 2.0,
    width: int | None = None,
) -> ProcgenGuide:
    def cell(view: EngineView) -> Hashable:
        return (*_at(view, size), round(view.score, 2), view.steps // 4)

    return ProcgenGuide(choices, promise, cell, width)


_ALL = "left, right, up, down, left up, left down, right up, right down, noop"


def _bigfish() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        me = view.player
        fish = _of(view, 2)
        prey = fish[fish["rx"] <= me["rx"]]
        gap = 20.0
        if len(prey):
            gap = float(np.hypot(prey["x"] - me["x"], prey["y"] - me["y"]).min())
        return 20.0 * view.score - 0.4 * gap + 0.05 * view.steps

    return _timed(_each(_ALL, 5), promise)


def _bossfight() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        boss = _of(view, 2)
        health = float(boss["health"][0]) if len(boss) else 0.0
        apart = abs(float(boss["x"][0]) - float(view.player["x"])) if len(boss) else 0.0
        return -10.0 * health - 0.3 * apart + 0.2 * view.steps

    shots = tuple((move, "fire", move) for move in ("left", "right", "noop"))
    return _timed((*shots, ("fire", "noop", "noop") * 2, *_each(_DIRECTIONS, 3)), promise)


def _dodgeball() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        enemies, walls = _of(view, 4), _of(view, 1)
        floor = _with_walls(view, walls)
        if not len(enemies):
            return 1_000.0 - _walked(floor, _centres(_of(view, 5)), (1,)) - 0.1 * view.steps
        left = len(enemies) - len(_will_be_hit(_of(view, 3), enemies, walls))
        return -30.0 * left - 30.0 * len(enemies) - _walked(floor, _centres(enemies), (1,))

    shots = tuple((move, "fire", *("noop",) * 3) for move in _DIRECTIONS.split(", "))
    return _timed((*shots, *_each(_ALL, 5)), promise, size=0.7, width=32)


def _fruitbot() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        return 3.0 * view.score + 2.0 * float(view.player["y"])

    return _timed(
        (*_each("left, right, noop", 3), *_each("left, right", 7), ("fire", "noop", "noop")),
        promise,
        size=0.7,
    )


def _plunder() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        (juice,) = struct.unpack_from("<f", view.own, len(view.own) - 20)
        is_target = struct.unpack_from("<6i", view.own, 4 + 4 + 5 * 4 + 4)
        ships = _of(view, 7)
        coming = 0.0
        for number in _will_be_hit(_of(view, 1), ships, ships[:0]):
            coming += 1.5 if is_target[int(ships["image_theme"][number])] else -1.5
        return view.score + 8.0 * float(juice) + coming

    choices = (*_each("left, right, noop", 6), ("fire", *("noop",) * 5))
    choices += tuple((move, move, "fire", "noop", "noop", "noop") for move in ("left", "right"))
    return _timed(choices, promise, size=2.0, width=8)


def _starpilot() -> ProcgenGuide:
    def promise(view: EngineView) -> float:
        return 2.0 * view.score + 1.0 * view.steps

    shots = tuple((move, "fire", move) for move in _DIRECTIONS.split(", "))
    return _timed((("fire", "noop", "fire"), *shots, *_each(_ALL, 3)), promise, size=1.0)


def _with_walls(view: EngineView, walls: NDArray[Any]) -> EngineView:
    """Return the view with walls that are things drawn into the grid (as 1), widened by the player."""
    grid = np.zeros_like(view.grid)
    height, width = grid.shape
    ys, xs = np.mgrid[0:height, 0:width] + 0.5
    me = view.player
    for wall in walls:
        near_x = np.abs(xs - wall["x"]) < wall["rx"] + 0.7 * me["rx"]
        near_y = np.abs(ys - wall["y"]) < wall["ry"] + 0.7 * me["ry"]
        grid[near_x & near_y] = 1
    return view._replace(grid=grid)


def _will_be_hit(shots: NDArray[Any], things: NDArray[Any], walls: NDArray[Any]) -> set[int]:
    """Return the indices of the things that shots under way will hit first, all going straight on."""
    hit: set[int] = set()
    for shot in shots:
        first: tuple[float, int | None] = (50.0, None)
        for blocked, others in ((False, things), (True, walls)):
            for number, other in enumerate(others):
                when = _meets(shot, other)
                if when is not None and when < first[0]:
                    first = (when, None if blocked else number)
        if first[1] is not None:
            hit.add(first[1])
    return hit


def _meets(shot: Any, other: Any) -> float | None:
    """Return in how many steps a shot touches a thing, or ``None`` if it passes."""
    enter, leave = 0.0, math.inf
    for place, speed, reach in (("x", "vx", "rx"), ("y", "vy", "ry")):
        apart = float(other[place]) - float(shot[place])
        closing = float(shot[speed]) - float(other[speed])
        touch = float(other[reach]) + float(shot[reach])
        if abs(closing) < 1e-6:
            if abs(apart) > touch:
                return None
            continue
        one, two = (apart - touch) / closing, (apart + touch) / closing
        enter, leave = max(enter, min(one, two)), min(leave, max(one, two))
    return enter if enter <= leave and leave >= 0 else None


def _gap_to(view: EngineView, things: NDArray[Any]) -> float:
    """Return the distance from the player to the nearest edge of the nearest thing."""
    me = view.player
    if not len(things):
        return _FAR
    dx = np.maximum(np.abs(things["x"] - me["x"]) - things["rx"], 0)
    dy = np.maximum(np.abs(things["y"] - me["y"]) - things["ry"], 0)
    return float(np.hypot(dx, dy).min())


_GUIDES: Mapping[str, ProcgenGuide] = {
    "bigfish": _bigfish(),
    "bossfight": _bossfight(),
    "caveflyer": _caveflyer(),
    "chaser": _chaser(),
    "climber": _climber(),
    "coinrun": _coinrun(),
    "dodgeball": _dodgeball(),
    "fruitbot": _fruitbot(),
    "heist": _heist(),
    "jumper": _jumper(),
    "leaper": _leaper(),
    "maze": _maze(),
    "miner": _miner(),
    "ninja": _ninja(),
    "plunder": _plunder(),
    "starpilot": _starpilot(),
}
