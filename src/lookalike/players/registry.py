"""Players by name; other packages add theirs through entry points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lookalike.core.errors import UnknownNameError
from lookalike.core.protocols import Player

ENTRY_POINTS = "lookalike.players"
"""Group under which other packages register players: name = "module:factory"."""


def make_player(name: str, **options: Any) -> Player:
    """Return a player.

    Args:
        name: One of :func:`player_names`.
        options: For its constructor: ``llm`` takes ``model`` and ``admissible``; ``replay`` takes
            ``demonstration`` or ``actions``; ``random`` takes ``vocabulary``; ``human`` takes ``read``
            and ``write``.

    Raises:
        UnknownNameError: No such player.
        TypeError: An option that this player does not take.
    """
    if name in _OURS:
        return _OURS[name](**options)
    factories = _registered()
    if name not in factories:
        raise UnknownNameError(
            "player", name, player_names(), remedy=f"packages add players under {ENTRY_POINTS!r}"
        )
    player: Player = factories[name].load()(**options)
    return player


def player_names() -> tuple[str, ...]:
    """Return the names that :func:`make_player` takes, sorted."""
    return tuple(sorted({*_OURS, *_registered()}))


def _llm(**options: Any) -> Player:
    from lookalike.players.llm import LanguageModelPlayer

    return LanguageModelPlayer(**options)


def _replay(**options: Any) -> Player:
    from lookalike.players.replay import ReplayPlayer

    demonstration = options.pop("demonstration", None)
    return ReplayPlayer.of(demonstration) if demonstration is not None else ReplayPlayer(**options)


def _random(**options: Any) -> Player:
    from lookalike.players.random_player import RandomPlayer

    return RandomPlayer(**options)


def _human(**options: Any) -> Player:
    from lookalike.players.human import HumanPlayer

    return HumanPlayer(**options)


_OURS: dict[str, Callable[..., Player]] = {
    "human": _human,
    "llm": _llm,
    "random": _random,
    "replay": _replay,
}


def _registered() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
