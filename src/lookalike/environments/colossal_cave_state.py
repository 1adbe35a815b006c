"""Saving Colossal Cave exactly, as plain data.

The ``adventure`` package can pickle itself, but not while a question is open (its callbacks are closures),
and a pickle is code. Here the parts that change during play become JSON: everything else comes from the
package's data file. Restoring therefore never runs anything a state says.
"""

from __future__ import annotations

import functools
import io
import pickle
import types
from collections.abc import Mapping
from importlib import resources
from typing import Any

from lookalike.core.errors import GameError, UsageError

# What can change during play, by class; everything else is the parsed data file. A test plays whole games
# and compares every attribute after a restore, so one that is missing here fails there.
_OBJECT_STATE = ("is_fixed", "prop", "rooms", "is_toting", "contents")
_ROOM_STATE = ("times_described",)
_HINT_STATE = ("used", "turn_counter")
_DWARF_STATE = ("room", "old_room", "has_seen_adventurer")
_WORLD = frozenset(
    ("rooms", "vocabulary", "objects", "messages", "class_messages", "hints", "magic_messages", "object_list")
)
_CODED_APART = frozenset(("random_generator", "yesno_callback", "dwarves", "pirate"))
# The engine's methods that ask a question; each keeps what to do with the answer in a nested function.
_ASKING_METHODS = frozenset(("die", "i_quit", "i_score", "finish_turn", "t_read", "t_attack"))


def new_game(seed: int) -> Any:
    """Return a started game, its offer of instructions still open.

    Raises:
        UsageError: ``seed`` is not an integer >= 0 (Python's generator would read -1 as 1).
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(
            "A seed must be an integer >= 0.",
            got=repr(seed),
            expected="0, 1, 2, …",
            remedy="Pass a plain non-negative integer.",
        )
    game = pickle.loads(_pristine())  # noqa: S301  (bytes made by this process a moment ago)
    game.random_generator.seed(seed)
    game.start()
    return game


@functools.cache
def _pristine() -> bytes:
    """Parse the package's data file once; copies by pickle cost a fraction of parsing again."""
    from adventure.data import parse
    from adventure.game import Game

    game = Game(0)
    text = (resources.files("adventure") / "advent.dat").read_text(encoding="ascii")
    parse(game, io.StringIO(text))
    return pickle.dumps(game, pickle.HIGHEST_PROTOCOL)


def encode_game(game: Any) -> dict[str, Any]:
    """Return everything that can change during play as JSON values."""
    from adventure.model import Object

    plain = {
        name: _encode(value)
        for name, value in vars(game).items()
        if name not in _WORLD and name not in _CODED_APART and not isinstance(value, Object)
    }
    version, words, gauss = game.random_generator.getstate()
    return {
        "plain": plain,
        "random": [version, list(words), gauss],
        "question": _encode_question(game.yesno_callback),
        "dwarves": [_state_of(dwarf, _DWARF_STATE) for dwarf in game.dwarves],
        "pirate": _state_of(game.pirate, _DWARF_STATE),
        "objects": {str(thing.n): _state_of(thing, _OBJECT_STATE) for thing in game.object_list},
        "rooms": {
            str(room.n): _state_of(room, _ROOM_STATE) for room in game.rooms.values() if room.times_described
        },
        "hints": {str(n): _state_of(hint, _HINT_STATE) for n, hint in game.hints.items()},
    }


def decode_game(state: Mapping[str, Any]) -> Any:
    """Return a new game in the encoded state.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: The data is not a state of this game.
    """
    from adventure.model import Dwarf, Pirate

    game = new_game(0)
    for name, value in state["plain"].items():
        if name in _WORLD or name in _CODED_APART or callable(getattr(game, name, None)):
            raise ValueError(f"{name!r} is not part of a state")
        setattr(game, name, _decode(game, value))
    version, words, gauss = state["random"]
    game.random_generator.setstate((version, tuple(words), gauss))
    game.dwarves = [_set_state(game, Dwarf(None), one, _DWARF_STATE) for one in state["dwarves"]]
    game.pirate = _set_state(game, Pirate(None), state["pirate"], _DWARF_STATE)
    things = {thing.n: thing for thing in game.object_list}
    for number, one in state["objects"].items():
        _set_state(game, things[int(number)], one, _OBJECT_STATE)
    for number, one in state["rooms"].items():
        _set_state(game, game.rooms[int(number)], one, _ROOM_STATE)
    for number, one in state["hints"].items():
        _set_state(game, game.hints[int(number)], one, _HINT_STATE)
    game.yesno_callback = _decode_question(game, state["question"])
    return game


def _state_of(thing: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _encode(getattr(thing, name)) for name in names}


def _set_state(game: Any, thing: Any, state: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        setattr(thing, name, _decode(game, state[name]))
    return thing


def _encode(value: Any) -> Any:
    """Encode one attribute; rooms, objects, hints and messages become references by number."""
    from adventure.model import Hint, Message, Object, Room

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    for kind in (Room, Object, Hint, Message):
        if isinstance(value, kind):
            return {kind.__name__: value.n}
    raise GameError(
        "Colossal Cave holds something that cannot be saved.",
        got=type(value).__name__,
        remedy="Please report it with the commands that led there.",
    )


def _decode(game: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(game, item) for item in value]
    if isinstance(value, dict):
        ((kind, number),) = value.items()
        table = {"Room": game.rooms, "Object": game.objects, "Hint": game.hints, "Message": game.messages}
        return table[kind][number]
    return value


def _encode_question(callback: Any) -> Any:
    """Encode the pending question: the method that asked it and what its answer will act on."""
    if callback is None:
        return None
    name = callback.__qualname__.split(".")[1]
    cells = callback.__closure__ or ()
    bound = dict(zip(callback.__code__.co_freevars, (cell.cell_contents for cell in cells), strict=True))
    bound.pop("self", None)
    return {"asked_by": name, "about": {key: _encode(value) for key, value in bound.items()}}


def _decode_question(game: Any, data: Any) -> Any:
    """Rebuild the engine's own nested function around the restored game."""
    import adventure.game

    if data is None:
        return None
    if data["asked_by"] not in _ASKING_METHODS:
        raise ValueError(f"{data['asked_by']!r} asks no question")
    method = getattr(adventure.game.Game, data["asked_by"])
    code = next(
        constant
        for constant in method.__code__.co_consts
        if isinstance(constant, types.CodeType) and constant.co_name == "callback"
    )
    about = data["about"]
    cells = tuple(
        types.CellType(game if name == "self" else _decode(game, about[name])) for name in code.co_freevars
    )
    return types.FunctionType(code, vars(adventure.game), "callback", None, cells)
