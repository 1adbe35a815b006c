"""What tests of experiments share: a reward model made in-process, and results written without plots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lookalike.core.types import Demonstration, Provenance, Trajectory
from lookalike.environments import make_environment
from lookalike.experiments import conditions, runner
from lookalike.experiments.conditions import ExperimentSpec
from lookalike.experiments.preparation import Watched
from lookalike.experiments.result_files import write_results
from lookalike.experts import make_expert
from lookalike.recordings import shipped_play
from lookalike.rewards import save_reward_model


@pytest.fixture(scope="session")
def demonstration() -> Demonstration:
    """The first 80 commands of the human-written play, played here: what the video would show."""
    play = shipped_play(2)
    game = make_environment("colossal-cave", isolated=False)
    seen, rewards = [game.reset(seed=play.seed)], []
    for command in play.commands[:80]:
        result = game.step(command)
        seen.append(result.observation)
        rewards.append(result.env_reward)
    path = Trajectory(tuple(seen), tuple(play.commands[:80]), tuple(rewards))
    source = Provenance("play.jsonl", "jsonl", "0" * 64, play.licence)
    return Demonstration("play", path, "human", source, "colossal-cave", play.seed)


@pytest.fixture(scope="session")
def reward_model_path(demonstration: Demonstration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("expert") / "reward-model.yaml"
    save_reward_model(make_expert().watch([demonstration], environment="colossal-cave"), path)
    return path


@pytest.fixture(scope="session")
def watched(demonstration: Demonstration, reward_model_path: Path) -> Watched:
    """As if a video of it had been made and read."""
    model = make_expert().watch([demonstration], environment="colossal-cave")
    return Watched(Path("play.mp4"), (demonstration,), model, reward_model_path, (2,), 80, 80)


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write results.json alone: the report has tests of its own and its plots take seconds."""
    monkeypatch.setattr(
        runner, "write_report", lambda result, out: write_results(result, out / "results.json")
    )


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[[ExperimentSpec], None]:
    """Return a function that adds an experiment for the length of a test."""

    def add(spec: ExperimentSpec) -> None:
        known = conditions.list_experiments()
        monkeypatch.setattr(conditions, "list_experiments", lambda: (*known, spec))

    return add
