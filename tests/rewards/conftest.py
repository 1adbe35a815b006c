"""Real plays of Colossal Cave, replayed once, and the reward models written from them."""

from __future__ import annotations

import pytest

from lookalike.core.types import Demonstration, Provenance, Trajectory
from lookalike.environments import make_environment
from lookalike.experts import make_expert
from lookalike.recordings import shipped_play
from lookalike.rewards import RewardModel


def replayed(number: int, limit: int | None = None) -> Trajectory:
    """Replay the first commands of a shipped play under its own seed."""
    game, play = make_environment("colossal-cave", isolated=False), shipped_play(number)
    observations, rewards = [game.reset(seed=play.seed)], []
    commands = play.commands[:limit]
    for command in commands:
        result = game.step(command)
        observations.append(result.observation)
        rewards.append(result.env_reward)
    game.close()
    return Trajectory(tuple(observations), commands, tuple(rewards))


def demonstrated(number: int, limit: int | None = None) -> Demonstration:
    provenance = Provenance(f"walkthrough{number}.txt", "test", str(number) * 64, "Apache-2.0")
    return Demonstration(f"walk{number}", replayed(number, limit), "human", provenance)


@pytest.fixture(scope="session")
def walk2() -> Demonstration:
    """The first 80 commands of the play that reaches 350 points: seven treasures, a dragon, no death."""
    return demonstrated(2, 80)


@pytest.fixture(scope="session")
def walk1() -> Demonstration:
    """The whole of the long play with mistakes and deaths."""
    return demonstrated(1)


@pytest.fixture(scope="session")
def walk2_model(walk2) -> RewardModel:
    return make_expert("embedded-text").watch([walk2], environment="colossal-cave")


@pytest.fixture(scope="session")
def walk1_model(walk1) -> RewardModel:
    return make_expert("embedded-text").watch([walk1], environment="colossal-cave")
