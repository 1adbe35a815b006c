"""A real server of the OpenAI protocol: llama.cpp's, on SmolLM2. Nothing here is scripted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")

from llama_server import NAME, llama_server, require_llama_server
from remote_models import ask

from lookalike.core.errors import ModelError
from lookalike.models import make_model
from lookalike.models.checks import check_model

KEY = "sk-loopback-only-73519"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with llama_server(require_llama_server(), key=KEY, slots=1) as url:
        yield url


@pytest.fixture
def home(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's models.yaml: this server as a chat model and as one that continues transcripts."""
    entry = f"{{back_end: openai, model: {NAME}, base_url: '{server}/v1', server: llama.cpp, key: HOME_KEY"
    (tmp_path / "models.yaml").write_text(
        f"models:\n  chat: {entry}}}\n  home: {entry}, style: transcript}}\n  wrong: {entry}}}\n"
        f"  other: {{back_end: openai, model: smollm3, base_url: '{server}/v1', key: HOME_KEY}}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("HOME_KEY", KEY)
    return server


def test_every_declared_capability_works_against_the_real_server(home: str) -> None:
    for name in ("chat", "home"):
        found = check_model(name)
        wrong = [c for c in found.checks if c.works is False]
        assert not wrong, wrong
        tried = {c.capability for c in found.checks if c.works}
        assert {"text", "temperature", "allowed_replies", "probabilities", "seed"} <= tried
        assert ("json_schema" in tried) == (name == "chat")
        assert found.usage.prompt_tokens > 0
        assert KEY not in repr(found)


def test_a_wrong_key_is_refused_by_the_real_server(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_KEY", "sk-some-other-key-90210")
    with pytest.raises(ModelError, match="does not accept the key") as caught:
        make_model("chat").complete([ask()])
    assert "90210" not in str(caught.value)


@pytest.mark.slow
def test_a_swarm_reaches_a_goal_of_colossal_cave_through_the_real_server(home: str, tmp_path: Path) -> None:
    from lookalike.environments import make_environment
    from lookalike.experiments import run_experiment
    from lookalike.experts import make_expert
    from lookalike.recordings import read_recording, record_replay, shipped_play
    from lookalike.rewards import save_reward_model
    from lookalike.store import StepTaken, open_log

    play = shipped_play(2)
    game = make_environment("colossal-cave", isolated=False)
    recorded = record_replay(
        game, play.commands[:12], seed=play.seed, out=tmp_path / "play.mp4", licence=play.licence
    )
    watched = make_expert().watch([read_recording(recorded.log)], environment="colossal-cave")
    save_reward_model(watched, tmp_path / "model.yaml")
    result = run_experiment(
        "demo/colossal-cave",
        out=tmp_path / "run",
        seeds=[1000],
        goals=["lamp"],
        conditions=["swarm+expert"],
        reward_model=tmp_path / "model.yaml",
        model="home",
    )
    with open_log(tmp_path / "run", create=False) as log:
        steps = [e for e in log.events("demo/colossal-cave") if isinstance(e, StepTaken)]
    assert result.episodes[0].success, [s.decision for s in steps]
    assert sum(step.usage.calls for step in steps) >= 4 * len(steps)
    assert all(step.usage.prompt_tokens > 0 for step in steps)
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
