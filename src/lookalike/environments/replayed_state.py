"""States of games that cannot be saved but are deterministic: what was done so far, to be done again.

Restoring takes the time of playing; it is exact, random generators included, and the state is plain text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from lookalike.core.errors import GameError
from lookalike.core.ids import canonical_json

MAX_ACTIONS = 100_000


class ReplayedState(NamedTuple):
    """How a game got where it is.

    Attributes:
        seed: Of the last ``reset``.
        actions: Played since.
    """

    seed: int
    actions: tuple[str, ...]


def encode_state(id: str, seed: int, actions: Sequence[str]) -> bytes:
    """Return the state of the environment ``id``."""
    return canonical_json({"environment": id, "seed": seed, "actions": list(actions)}).encode()


def decode_state(id: str, state: bytes) -> ReplayedState:
    """Read a state back.

    Raises:
        GameError: It is none, or is another environment's.
    """
    try:
        value = json.loads(state)
        found, seed, actions = value["environment"], value["seed"], value["actions"]
        whole = isinstance(seed, int) and isinstance(actions, list) and len(actions) <= MAX_ACTIONS
        if not whole or not all(isinstance(action, str) for action in actions):
            raise ValueError("a part is missing")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise GameError(
            f"This is no saved state of {id}.",
            got=f"{len(state)} bytes: {error}",
            expected="what save() returned",
            remedy="Save again.",
        ) from None
    if found != id:
        raise GameError(
            "This state was saved by another game.",
            got=str(found)[:80],
            expected=id,
            remedy="Restore it where it was saved.",
        )
    return ReplayedState(seed, tuple(actions))
