"""Models that see play games on the screen; models that do not are refused before the game begins."""

from __future__ import annotations

import base64
import importlib.util
import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")
if importlib.util.find_spec("procgen") is None:
    pytest.skip("Procgen is not installed: make visual", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from loopback import Asked, Loopback, Said, chat_answer

from lookalike.core.errors import CapabilityError
from lookalike.environments import load_goals
from lookalike.experiments import play_episode
from lookalike.experiments.conditions import find_condition
from lookalike.experiments.model_needs import refuse_unfit_model
from lookalike.store import StepTaken

GAME = "procgen:maze"
LIST = "Commands to choose from: "
TURNS = itertools.count()
STEPS = 9


def answer(asked: Asked) -> Said:
    parts = asked.body["messages"][-1]["content"]
    text = next(part["text"] for part in parts if part["type"] == "text")
    offered = text.partition(LIST)[2].split("\n")[0].split("; ")
    return Said(chat_answer(offered[next(TURNS) % len(offered)]))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with Loopback(answer) as found:
        entry = f"back_end: openai, model: m, base_url: '{found.url}/v1'"
        (tmp_path / "models.yaml").write_text(
            f"models:\n  sees: {{{entry}, capabilities: {{images: 1}}}}\n  reads: {{{entry}}}\n"
            f"  continues: {{{entry}, style: transcript}}\n",
            encoding="utf-8",
        )
        monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models.yaml"))
        monkeypatch.setenv("LOOKALIKE_PRICES", str(tmp_path / "prices.yaml"))
        yield found


def test_a_model_that_sees_plays_a_game_on_the_screen(server: Loopback) -> None:
    from PIL import Image

    goal = min(load_goals(GAME), key=lambda g: g.step_limit)
    seen: list[StepTaken] = []

    def watch(event: object) -> None:
        if isinstance(event, StepTaken):
            seen.append(event)
            if len(seen) == STEPS:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_episode(GAME, goal=goal.name, condition="solo", seed=10_000, model="sees", on_event=watch)
    assert all(step.decision is not None for step in seen)
    pictures = []
    for asked in server.posts():
        (url,) = [
            p["image_url"]["url"] for p in asked.body["messages"][-1]["content"] if p["type"] == "image_url"
        ]
        picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        assert min(picture.size) >= 256
        pictures.append(picture.tobytes())
    assert len(set(pictures)) > 1  # the current frame, not the first


@pytest.mark.parametrize("name", ["reads", "embedded"])
def test_a_model_without_eyes_is_refused_where_there_is_nothing_to_read(server: Loopback, name: str) -> None:
    with pytest.raises(CapabilityError, match="images") as caught:
        refuse_unfit_model(name, [find_condition("solo")], GAME)
    assert "vision model" in (caught.value.remedy or "")
    refuse_unfit_model("embedded", [find_condition("solo")], "colossal-cave")
    refuse_unfit_model(name, [find_condition("random")], GAME)
    assert not server.asked


def test_a_transcript_model_that_cannot_hold_a_list_is_refused_where_there_is_one(server: Loopback) -> None:
    with pytest.raises(CapabilityError, match="allowed_replies") as caught:
        refuse_unfit_model("continues", [find_condition("solo")], "colossal-cave")
    assert "no admissible actions" in (caught.value.remedy or "")
    refuse_unfit_model("continues", [find_condition("solo-free-text")], "colossal-cave")
