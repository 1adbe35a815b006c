"""How the command tests call a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

Call = Callable[..., Result]


@pytest.fixture
def call() -> Call:
    """Return a function that runs ``lookalike ARGS...`` in this process."""
    from lookalike.cli.app import app

    def run(*words: object, stdin: str | None = None) -> Result:
        # Tables fold their cells to the width; a fixed one keeps the words that tests look for together.
        runner = CliRunner(env={"COLUMNS": "140"})
        return runner.invoke(app, [str(word) for word in words], input=stdin, prog_name="lookalike")

    return run


@pytest.fixture(scope="session")
def play_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the event log of the first 60 commands of a person's play; the video lies beside it."""
    from lookalike.environments import make_environment
    from lookalike.recordings import record_replay, shipped_play

    play = shipped_play(2)
    game = make_environment("colossal-cave", isolated=False)
    out = tmp_path_factory.mktemp("play") / "play.mp4"
    recorded = record_replay(
        game, play.commands[:60], seed=play.seed, out=out, licence=play.licence, player_kind="human", fps=1
    )
    game.close()
    return recorded.log


@pytest.fixture(scope="session")
def model_file(play_log: Path) -> Path:
    """Return the reward model that the embedded text expert writes from that play."""
    from lookalike.experts import make_expert
    from lookalike.recordings import read_recording
    from lookalike.rewards import save_reward_model

    model = make_expert("embedded-text").watch([read_recording(play_log)], environment="colossal-cave")
    path = play_log.with_name("model.yaml")
    save_reward_model(model, path)
    return path
