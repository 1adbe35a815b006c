"""A reward model for runs that watch no video: written from the first commands of the shipped play."""

from __future__ import annotations

from pathlib import Path

from lookalike.core.types import Demonstration, Provenance, Trajectory
from lookalike.environments import make_environment
from lookalike.experts import make_expert
from lookalike.recordings import shipped_play
from lookalike.rewards import save_reward_model


def write_reward_model(path: Path, *, commands: int = 80) -> Path:
    """Play the shipped play's first commands, have the expert watch, and save what it wrote."""
    play = shipped_play(2)
    game = make_environment("colossal-cave", isolated=False)
    seen, rewards = [game.reset(seed=play.seed)], []
    for command in play.commands[:commands]:
        result = game.step(command)
        seen.append(result.observation)
        rewards.append(result.env_reward)
    trajectory = Trajectory(tuple(seen), tuple(play.commands[:commands]), tuple(rewards))
    source = Provenance("play.jsonl", "jsonl", "0" * 64, play.licence)
    watched = Demonstration("play", trajectory, "human", source, "colossal-cave", play.seed)
    save_reward_model(make_expert().watch([watched], environment="colossal-cave"), path)
    return path
