"""What is known of Procgen's games, from ``data/procgen.yaml``: their actions, and published returns."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

import yaml

from lookalike.core.errors import UnknownNameError, UsageError

MOVES = ("left down", "left", "left up", "down", "noop", "up", "right down", "right", "right up")
"""The nine directions, in the engine's order: action 0 is the first."""
KEYS = "dawsqe"
"""The six keys, in the engine's order: action 9 is ``d``."""

ReturnsVariant = Literal["paper", "code"]


@dataclass(frozen=True)
class ProcgenGame:
    """One of the sixteen games.

    Attributes:
        name: As the engine calls it.
        actions: What a player chooses from: names that differ in effect, with the engine's action numbers.
        known_actions: All names that ``step`` understands: the above, all directions, and ``key d`` to
            ``key e``.
        how_to_play: In a few sentences.
        returns: Published (least, greatest) return by (mode, variant); see :func:`normalised_return`.
    """

    name: str
    actions: Mapping[str, int]
    known_actions: Mapping[str, int]
    how_to_play: str
    returns: Mapping[tuple[str, str], tuple[float, float]]


@functools.cache
def known_games() -> Mapping[str, ProcgenGame]:
    """Return the sixteen games by name, whether Procgen is installed or not."""
    source = resources.files("lookalike.environments") / "data" / "procgen.yaml"
    data = yaml.safe_load(source.read_text(encoding="utf-8"))
    games = {name: _game(name, entry, data["moves"]) for name, entry in data["games"].items()}
    return MappingProxyType(games)


def find_game(name: str) -> ProcgenGame:
    """Return a game by name.

    Raises:
        UnknownNameError: There is no such game; the nearest names are suggested.
    """
    games = known_games()
    if name not in games:
        raise UnknownNameError("Procgen game", name, games)
    return games[name]


def normalised_return(game: str, mode: str, value: float, *, variant: ReturnsVariant = "paper") -> float:
    """Return ``(value - least) / (greatest - least)`` with the published returns of the game.

    Args:
        game: One of the sixteen.
        mode: ``"easy"`` or ``"hard"``.
        value: A return, in points.
        variant: ``"paper"`` for the Procgen paper's appendix C, ``"code"`` for what OpenAI's code uses,
            which differs for jumper and leaper in the easy mode. Say which beside the figure.

    Raises:
        UnknownNameError: There is no such game.
        UsageError: There is no such mode.
    """
    returns = find_game(game).returns
    if (mode, "paper") not in returns:
        raise UsageError("There are no published returns for this mode.", got=mode, expected="easy or hard")
    least, greatest = returns.get((mode, variant), returns[mode, "paper"])
    return (value - least) / (greatest - least)


def _game(name: str, entry: Mapping[str, Any], move_sets: Mapping[str, list[str]]) -> ProcgenGame:
    keys = {what: len(MOVES) + KEYS.index(key) for key, what in entry.get("keys", {}).items()}
    moves = {move: number for number, move in enumerate(MOVES)}
    actions = {move: moves[move] for move in move_sets[entry["moves"]]} | keys
    raw = {f"key {key}": len(MOVES) + number for number, key in enumerate(KEYS)}
    returns = {(mode, "paper"): (float(low), float(high)) for mode, (low, high) in entry["returns"].items()}
    for mode, (low, high) in entry.get("returns_code", {}).items():
        returns[mode, "code"] = (float(low), float(high))
    return ProcgenGame(
        name,
        MappingProxyType(actions),
        MappingProxyType(raw | moves | keys),
        entry["how_to_play"],
        MappingProxyType(returns),
    )
