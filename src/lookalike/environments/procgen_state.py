"""Looks into a Procgen state: where everything is, as the engine itself wrote it.

This is knowledge that no player has. It is for programs that make recordings (a search that wants to know
whether it has been somewhere before) and for checking what a learned model believes; nothing that plays in an
experiment may use it.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import GameError
from lookalike.environments.procgen_engine import after_generators

_INT = struct.Struct("<i")
_BEFORE_ENTITIES = 15 * 4  # from the last reward to is_waiting_for_step
_AFTER_ENTITIES = 19 * 4  # from use_procgen_background to step_rand_int
_AFTER_ASSETS = 9 * 4  # from main_width to min_visibility
_MAX_ENTITIES, _MAX_CELLS = 10_000, 1 << 16

# As entity.cpp writes it; every field has four bytes.
ENTITY = np.dtype(
    [
        *((name, "<f4") for name in ("x", "y", "vx", "vy", "rx", "ry")),
        *((name, "<i4") for name in ("type", "image_type", "image_theme", "render_z", "will_erase")),
        ("collides_with_entities", "<i4"),
        *((name, "<f4") for name in ("collision_margin", "rotation", "vrot")),
        *((name, "<i4") for name in ("is_reflected", "fire_time", "spawn_time", "life_time")),
        *((name, "<i4") for name in ("expire_time", "use_abs_coords")),
        ("friction", "<f4"),
        *((name, "<i4") for name in ("smart_step", "avoids_collisions", "auto_erase")),
        *((name, "<f4") for name in ("alpha", "health", "theta", "grow_rate", "alpha_decay")),
        ("climber_spawn_x", "<f4"),
    ]
)
PLAYER = 0


class EngineView(NamedTuple):
    """What a state says.

    Attributes:
        steps: Steps since the level began.
        entities: Structured array of all that moves or can be touched, of type :data:`ENTITY`; the player is
            the one of type 0. Positions in cells from the lower left corner.
        grid: int32 [height, width]: what fills each cell, row 0 below.
        own: What the game itself adds at the end, in four-byte numbers.
        score: The environment's, where whoever looks has filled it in: the engine keeps none.
    """

    steps: int
    entities: NDArray[Any]
    grid: NDArray[np.int32]
    own: bytes
    score: float = 0.0

    @property
    def player(self) -> Any:
        """The player's entry among the entities."""
        return self.entities[self.entities["type"] == PLAYER][0]


def view_state(state: bytes) -> EngineView:
    """Read an engine's state (``procgen.engine_state_in(environment.save())``).

    Raises:
        GameError: It is none.
    """
    try:
        return _view(state)
    except (struct.error, ValueError, IndexError) as error:
        raise GameError(
            "This is no state of the Procgen engine.",
            got=f"{len(state)} bytes: {error}",
            expected="what engine_state_in() returned",
        ) from error


def _view(state: bytes) -> EngineView:
    offset = after_generators(state)
    (steps,) = _INT.unpack_from(state, offset + 13 * 4)
    offset += _BEFORE_ENTITIES + 4  # and the grid's size
    (count,) = _INT.unpack_from(state, offset)
    if not 0 < count <= _MAX_ENTITIES:
        raise ValueError(f"{count} entities")
    entities = np.frombuffer(state, ENTITY, count, offset + 4)
    offset += 4 + count * ENTITY.itemsize + _AFTER_ENTITIES
    (length,) = _INT.unpack_from(state, offset + 4)  # the pictures' random generator, a text
    offset += 8 + length + _AFTER_ASSETS
    width, height, cells = struct.unpack_from("<iii", state, offset)
    if width * height != cells or not 0 < cells <= _MAX_CELLS:
        raise ValueError(f"a grid of {width} x {height} with {cells} cells")
    grid = np.frombuffer(state, "<i4", cells, offset + 12).reshape(height, width)
    return EngineView(steps, entities, grid, state[offset + 12 + 4 * cells :])
