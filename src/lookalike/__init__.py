"""LookALike: learn from watching people play.

The public names are re-exported here lazily, so that ``import lookalike`` stays fast: a name's room is
imported when the name is first used. Everything else is found in its room.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookalike.core import (
        Demonstration,
        Goal,
        Handicaps,
        LookalikeError,
        Observation,
        Role,
        Trajectory,
        Transition,
        Verdict,
        derive_seed,
    )
    from lookalike.environments import environment_ids, find_goal, load_goals, make_environment
    from lookalike.experiments import play_episode, run_experiment
    from lookalike.experts import make_expert
    from lookalike.models import make_model
    from lookalike.players import make_player
    from lookalike.recordings import read_recording, record_replay, shipped_play
    from lookalike.rewards import RewardModel, RewardModelScorer, load_reward_model, save_reward_model

__version__ = "0.1.0"

_ROOMS = {
    "Demonstration": "core",
    "Goal": "core",
    "Handicaps": "core",
    "LookalikeError": "core",
    "Observation": "core",
    "RewardModel": "rewards",
    "RewardModelScorer": "rewards",
    "Role": "core",
    "Trajectory": "core",
    "Transition": "core",
    "Verdict": "core",
    "derive_seed": "core",
    "environment_ids": "environments",
    "find_goal": "environments",
    "load_goals": "environments",
    "load_reward_model": "rewards",
    "make_environment": "environments",
    "make_expert": "experts",
    "make_model": "models",
    "make_player": "players",
    "play_episode": "experiments",
    "read_recording": "recordings",
    "record_replay": "recordings",
    "run_experiment": "experiments",
    "save_reward_model": "rewards",
    "shipped_play": "recordings",
}

__all__ = [
    "Demonstration",
    "Goal",
    "Handicaps",
    "LookalikeError",
    "Observation",
    "RewardModel",
    "RewardModelScorer",
    "Role",
    "Trajectory",
    "Transition",
    "Verdict",
    "__version__",
    "derive_seed",
    "environment_ids",
    "find_goal",
    "load_goals",
    "load_reward_model",
    "make_environment",
    "make_expert",
    "make_model",
    "make_player",
    "play_episode",
    "read_recording",
    "record_replay",
    "run_experiment",
    "save_reward_model",
    "shipped_play",
]


def __getattr__(name: str) -> object:
    """Import a public name from its room when it is first used."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'lookalike' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"lookalike.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
