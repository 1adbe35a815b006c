"""MiniGrid and BabyAI: a mission in words and a small picture of what the agent sees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from lookalike.core.errors import GameError, UsageError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Frame, Observation
from lookalike.environments.replayed_state import decode_state, encode_state

ACTIONS = ("left", "right", "forward", "pick up", "drop", "toggle", "done")
"""In the engine's order; the first two turn on the spot."""
_ARGUMENT = re.compile(r"(?P<id>(?:MiniGrid|BabyAI)-[A-Za-z0-9-]+-v\d+)(?:@(?P<view>full))?")
_AGENT_TILE, _FULL_TILE = 8, 8
_MAX_SEED = 2**31 - 1


class MiniGrid:
    """One of the grid worlds.

    Action space: :data:`ACTIONS`. Anything else changes nothing and takes no time.
    Observation: the mission as text, and a frame: what the agent sees (7 x 7 cells, uint8 [56, 56, 3]), or
    with ``@full`` the whole world from above with the seen part highlighted, 8 pixels a cell.
    Start: the level that the seed generates.
    Reward: the engine's, 1 - 0.9 x steps / limit for success, else 0; the score is its sum.
    Episode end: ``terminated`` by success or failure (lava, a wrong object), ``truncated`` by the engine's
    own limit.

    Args:
        gymnasium_id: E.g. ``BabyAI-GoToLocal-v0``.
        full: Show the whole world.

    Raises:
        GameError: MiniGrid is not installed, or does not know the id.
    """

    def __init__(self, gymnasium_id: str, *, full: bool = False) -> None:
        self._engine = _make(gymnasium_id)
        self.id = f"minigrid:{gymnasium_id}{'@full' if full else ''}"
        self.capabilities: frozenset[Capability] = frozenset(
            ("text", "frames", "save_restore", "admissible_actions", "score", "levels")
        )
        self.how_to_play = (
            "You are the red triangle in a grid world, and the mission says what to do. left and right turn "
            f"you, toggle opens what is in front of you. Actions: {', '.join(ACTIONS)}."
        )
        self._full = full
        self._seed = 0
        self._played: list[str] = []
        self._score = 0.0
        self._ended = (False, False)
        self._started = self._closed = False

    def reset(self, *, seed: int) -> Observation:
        """Start the level that the seed generates.

        Raises:
            UsageError: The seed is none of 0 to 2**31 - 1.
        """
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _MAX_SEED:
            raise UsageError("A level is a whole number.", got=repr(seed), expected=f"0 to {_MAX_SEED}")
        self._engine.reset(seed=seed)
        self._seed, self._played, self._score, self._ended = seed, [], 0.0, (False, False)
        self._started = True
        return self._observe()

    def step(self, action: str) -> StepResult:
        """Play an action; an unknown one changes nothing.

        Raises:
            GameError: Before the first ``reset``.
        """
        if not self._started:
            raise GameError(f"{self.id} has not been started.", remedy="Call reset(seed=...) first.")
        name = " ".join(action.split())
        reward = 0.0
        if name in ACTIONS and not any(self._ended):
            reward = self._play(name)
        return StepResult(self._observe(), reward, *self._ended)

    def admissible_actions(self) -> tuple[str, ...]:
        """Return all actions, sorted; none once the episode is over."""
        return () if any(self._ended) else tuple(sorted(ACTIONS))

    def save(self) -> bytes:
        """Return what was played so far."""
        return encode_state(self.id, self._seed, self._played)

    def restore(self, state: bytes) -> None:
        """Go back by playing again what was played, about 0.2 ms an action.

        Raises:
            GameError: It is no state of this environment.
        """
        seed, actions = decode_state(self.id, state)
        self.reset(seed=seed)
        for action in actions:
            if action not in ACTIONS or any(self._ended):
                raise GameError("This state holds an action there is not.", got=action[:40])
            self._play(action)

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on.

        ``success`` (the mission was fulfilled), ``score``, ``over``, ``steps`` and ``level``.
        """
        return {
            "success": self._score > 0,
            "score": self._score,
            "over": any(self._ended),
            "steps": len(self._played),
            "level": self._seed,
        }

    def close(self) -> None:
        """Close the engine. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._engine.close()

    def _play(self, name: str) -> float:
        _, reward, terminated, truncated, _ = self._engine.step(ACTIONS.index(name))
        self._played.append(name)
        self._score += float(reward)
        self._ended = (bool(terminated), bool(truncated))
        return float(reward)

    def _observe(self) -> Observation:
        frame: Frame = np.array(
            self._engine.get_frame(highlight=True, tile_size=_FULL_TILE, agent_pov=False)
            if self._full
            else self._engine.get_frame(tile_size=_AGENT_TILE, agent_pov=True),
            dtype=np.uint8,
        )
        return Observation(f"Mission: {self._engine.mission}", frame)


def make_minigrid(argument: str) -> MiniGrid:
    """Make ``minigrid:ID``, or ``minigrid:ID@full`` for the view from above.

    Raises:
        UsageError: The name is none of MiniGrid's.
        GameError: MiniGrid is not installed, or does not know the id.
    """
    found = _ARGUMENT.fullmatch(argument)
    if found is None:
        raise UsageError(
            "A MiniGrid environment is named by its Gymnasium id.",
            got=f"minigrid:{argument}"[:80],
            expected="minigrid:BabyAI-GoToLocal-v0, minigrid:MiniGrid-DoorKey-8x8-v0, … or one of them@full",
            remedy="See minigrid.farama.org for the ids.",
        )
    return MiniGrid(found["id"], full=found["view"] == "full")


def _make(gymnasium_id: str) -> Any:
    try:
        import gymnasium
        import minigrid  # noqa: F401  (registers its environments)

        return gymnasium.make(gymnasium_id, render_mode="rgb_array", disable_env_checker=True).unwrapped
    except ImportError as error:
        raise GameError(
            "MiniGrid is not installed.",
            got=str(error),
            expected="the package minigrid",
            remedy="Run `make visual`, or: pip install 'lookalike[visual]'",
        ) from error
    except gymnasium.error.Error as error:
        raise GameError(
            "MiniGrid has no environment of this name.",
            got=f"{gymnasium_id}: {error}",
            expected="one of its ids",
        ) from error
