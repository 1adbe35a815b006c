"""Another expert writes an experiment's reward model, and a live judge: switchable, counted, gone on with."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from loopback import Asked, Loopback, Said, chat_answer

from lookalike.core.errors import CapabilityError, UsageError
from lookalike.experiments import run_experiment, runner
from lookalike.experiments.budget import Budget, Budgets
from lookalike.experiments.judging import watched_by
from lookalike.experiments.preparation import Watched
from lookalike.experts import make_expert
from lookalike.recordings import read_recording, record_replay, shipped_play
from lookalike.rewards import save_reward_model
from lookalike.store import EpisodeFinished, StepTaken, open_log

LAMP = {
    "name": "the lamp",
    "description": "Has the lamp.",
    "kind": "acquisition",
    "noticed_by": "holds",
    "what": "lamp",
    "value": 0.7,
    "start": 2,
    "end": 2,
}
REPLIES = {
    "milestones": {"goal": "Get the lamp.", "milestones": [LAMP], "rules": [], "hazards": []},
    "supported": {"if_wrong": "x", "seen": "x", "supported": True, "agreement": 1},
    "comment": {"comment": "Fine.", "value": 0.25},
}


def answer(asked: Asked) -> Said:
    fields = asked.body["response_format"]["json_schema"]["schema"]["properties"]
    return Said(chat_answer(json.dumps(next(said for name, said in REPLIES.items() if name in fields))))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with Loopback(answer) as found:
        (tmp_path / "models.yaml").write_text(
            f"models:\n  home: {{back_end: openai, model: m, base_url: '{found.url}/v1', "
            "capabilities: {json_schema: true}}\n",
            encoding="utf-8",
        )
        monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models.yaml"))
        monkeypatch.setenv("LOOKALIKE_PRICES", str(tmp_path / "prices.yaml"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(runner, "write_report", lambda result, out: None)  # its plots take seconds
        yield found


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A read recording, and the reward model that the embedded expert writes of it."""
    from lookalike.environments import make_environment

    folder = tmp_path_factory.mktemp("play")
    shipped = shipped_play(2)
    game = make_environment("colossal-cave", isolated=False)
    made = record_replay(
        game,
        shipped.commands[:12],
        seed=shipped.seed,
        out=folder / "play.mp4",
        licence=shipped.licence,
        fps=1,
    )
    demonstration = read_recording(made.log)
    save_reward_model(
        make_expert().watch([demonstration], environment="colossal-cave"), folder / "model.yaml"
    )
    return demonstration, folder / "model.yaml"


def run(out: Path, model: Path, judge: str | None, **more: Any) -> list[Any]:
    run_experiment(
        "demo/colossal-cave",
        out=out,
        seeds=[1000],
        goals=["lamp"],
        conditions=["random", "uniform+expert"],
        reward_model=model,
        judge=judge,
        **more,
    )
    with open_log(out, create=False) as log:
        return list(log.events("demo/colossal-cave"))


def test_the_judge_is_off_by_default_and_counted_where_it_is_on(
    server: Loopback, play: tuple[Any, Path], tmp_path: Path
) -> None:
    without = run(tmp_path / "without", play[1], None)
    assert not server.posts()
    assert all("judge" not in (s.verdict.components if s.verdict else {}) for s in steps_of(without))
    found = run(tmp_path / "judged", play[1], "home")
    judged = [s for s in steps_of(found) if s.verdict and "judge" in s.verdict.components]
    assert judged
    assert all(s.verdict is not None and s.verdict.value == 0.25 for s in judged)
    assert {s.verdict.feedback for s in judged if s.verdict} == {"Fine."}
    assert all(s.episode.condition == "uniform+expert" for s in judged)
    assert all(s.usage.calls >= 1 and s.usage.prompt_tokens >= 20 for s in judged)
    # Equal transitions are judged once, and each verdict is counted.
    assert 0 < len(server.posts()) <= len(judged)
    ended = next(
        e for e in found if isinstance(e, EpisodeFinished) and e.episode.condition == "uniform+expert"
    )
    assert ended.usage.calls == sum(s.usage.calls for s in steps_of(found) if s.episode == ended.episode)
    with open_log(tmp_path / "judged", create=False) as log:
        assert log.configuration("demo/colossal-cave")["judge"] == "home"
    with open_log(tmp_path / "without", create=False) as log:
        assert "judge" not in log.configuration("demo/colossal-cave")


def steps_of(events: list[Any]) -> list[StepTaken]:
    return [event for event in events if isinstance(event, StepTaken)]


def test_a_judged_run_goes_on_where_it_stopped_and_pays_nothing_twice(
    server: Loopback, play: tuple[Any, Path], tmp_path: Path
) -> None:
    whole = run(tmp_path / "whole", play[1], "home")
    paid = len(server.posts())
    limited = {"budgets": Budgets(run=Budget(calls=2))}
    for _ in range(3):
        run(tmp_path / "parts", play[1], "home", **limited)
        limited = {}
    parts = run(tmp_path / "parts", play[1], "home")
    assert [s.verdict for s in steps_of(parts)] == [s.verdict for s in steps_of(whole)]
    assert [s.usage for s in steps_of(parts)] == [s.usage for s in steps_of(whole)]
    assert len(server.posts()) == paid


def test_another_expert_writes_the_reward_model(
    server: Loopback, play: tuple[Any, Path], tmp_path: Path
) -> None:
    demonstration, model = play
    embedded = make_expert().watch([demonstration], environment="colossal-cave")
    watched = Watched(model, (demonstration,), embedded, model, (2,))
    found = watched_by(
        "remote:home", watched, environment="colossal-cave", cache=str(tmp_path / "responses.sqlite")
    )
    assert found.reward_model.made_by.expert == "remote"
    assert [m.detect.holds for m in found.reward_model.milestones] == ["lamp"]
    assert found.demonstration is demonstration
    asked = len(server.posts())
    again = watched_by(
        "remote:home", watched, environment="colossal-cave", cache=str(tmp_path / "responses.sqlite")
    )
    assert again.reward_model == found.reward_model
    assert len(server.posts()) == asked
    same = watched_by("embedded-text", replace(watched), environment="colossal-cave", cache="nowhere")
    assert same.reward_model is embedded


def test_experts_that_cannot_work_are_refused_before_anything_is_recorded(
    server: Loopback, play: tuple[Any, Path], tmp_path: Path
) -> None:
    with pytest.raises(CapabilityError, match="json_schema"):
        run_experiment("demo/colossal-cave", out=tmp_path / "a", expert="remote:embedded")
    with pytest.raises(CapabilityError, match="json_schema"):
        run(tmp_path / "b", play[1], "embedded")
    with pytest.raises(UsageError, match="judge's model"):
        run(tmp_path / "c", play[1], "home", budgets=Budgets(run=Budget(money=1.0)))
    assert not (tmp_path / "a").exists()
    assert not server.asked
