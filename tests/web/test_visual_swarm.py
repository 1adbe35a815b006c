"""A game on the screen without the terminal: recorded by keys, watched by the expert, played by a swarm."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from web_server import Served, start, stop

from lookalike.recordings import read_recording
from lookalike.rewards import load_reward_model
from lookalike.store import open_log
from lookalike.web.export import find_run, write_run_page
from lookalike.web.library import Library

TINY = 0.01
"""How much is trained: enough to know that it is done, and nothing is learned."""

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("procgen", "torch", "safetensors")),
    reason="Procgen or PyTorch is not installed (make visual)",
)


def record(page: Any, served: Served, seed: int, keys: tuple[str, ...]) -> None:
    """Play the maze by keys, and end it."""
    page.goto(f"{served.url}play")
    page.select_option("#environment", "procgen:maze")
    page.locator("#seed").fill(str(seed))
    page.get_by_role("button", name="Start the game").click()
    state = page.locator("[data-at=state]")
    state.get_by_text("0 actions").wait_for()
    for number, key in enumerate(keys, start=1):
        page.keyboard.press(key)
        state.get_by_text(f"{number} actions").or_(state.get_by_text("over after")).first.wait_for()
    page.get_by_role("button", name="End and save").click()
    page.locator("[data-do=see][href*='/recordings/']").wait_for()


@pytest.mark.slow
def test_a_play_on_the_screen_becomes_a_swarm_that_plays(page: Any, tmp_path: Path) -> None:
    served = start(tmp_path)
    try:
        ways = ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown") * 4
        for seed in (1, 2):
            record(page, served, seed, ways)
        page.locator("[data-do=see]").click()
        page.get_by_label("with the other recording of this game").wait_for()
        page.locator("#effort").evaluate(f"e => e.add(new Option('a test', '{TINY}', true, true))")
        page.get_by_role("button", name="Let the expert watch it").click()
        page.get_by_role("button", name="Cancel").wait_for()
        page.wait_for_url("**/reward-models/*", timeout=180_000)
        assert "What was learned from the pictures" in page.locator("main").inner_text()
        page.get_by_role("link", name="Let the swarm play under it").click()
        ticked = page.locator("input[name=conditions]:checked")
        assert ticked.evaluate_all("b => b.map(e => e.value)") == ["mimic", "mimic-swarm+expert"]
        page.locator("#seeds").fill("10000")
        page.get_by_role("button", name="Start the run").click()
        page.wait_for_url("**/runs/*")
        page.locator(".facts .status.finished").wait_for()
        page.goto(f"{page.url.partition('?')[0]}?condition=mimic-swarm%2Bexpert")
        page.locator("a.cell").first.click()
        page.wait_for_selector("#replay[data-shown='1']")
        assert page.locator(".proposal").count() == 4
        page.locator("[data-at=observation] img").wait_for()
        page.locator("[data-at=reward] .value").first.wait_for()
    finally:
        stop(served)
    model = load_reward_model(tmp_path / "reward-models" / "procgen-maze-2.yaml")
    assert {note.file for note in model.recordings} == {"procgen-maze-1.mp4", "procgen-maze-2.mp4"}
    folder = tmp_path / "procgen-run"
    assert model.visual is not None
    assert (folder / model.visual.weights).is_file(), "the run goes on without the original"
    with open_log(folder) as log:
        (summary,) = log.runs()
        assert summary.status == "finished"
        assert log.configuration(summary.run_id)["reward_model"] == model.content_hash()
    assert read_recording(tmp_path / "recordings" / "procgen-maze-1.mp4").player_kind == "human"
    library = Library(tmp_path)
    try:
        written = write_run_page(library, find_run(library, "procgen-run"), tmp_path / "run.html")
    finally:
        library.close()
    assert written.size < 10_000_000
    assert written.left_out == 0
    page.goto(written.path.as_uri())
    page.wait_for_selector("#replay[data-shown]")
    page.locator("[data-at=observation] img[src^='data:image/png']").wait_for()


def test_training_is_cancelled_in_the_page(page: Any, tmp_path: Path) -> None:
    served = start(tmp_path)
    try:
        record(page, served, 3, ("ArrowRight",) * 3)
        page.get_by_role("button", name="Let the expert watch it").click()
        page.get_by_role("button", name="Cancel").click()
        page.locator(".saved .bad-ink").get_by_text("Stopped.").wait_for()
        assert list((tmp_path / "reward-models").glob("*.yaml")) == []
        assert list((tmp_path / "reward-models").glob("*.log")) == []
        page.get_by_role("button", name="Let the expert watch it").wait_for()
    finally:
        stop(served)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"goals": ["complete"], "conditions": ["random"], "seeds": "10000"}, "learned from its pictures"),
        (
            {"goals": ["complete"], "conditions": ["replay"], "seeds": "10000", "reward_model": True},
            "conditions",
        ),
        ({"goals": ["win"], "conditions": ["mimic"], "seeds": "10000", "reward_model": True}, "goals"),
    ],
)
def test_a_run_on_the_screen_that_cannot_be_meant_is_refused(
    visual_document: Path, body: dict[str, Any], words: str
) -> None:
    served = start(visual_document.parent)
    try:
        key = re.search(r"/reward-models/([0-9a-f]{16})", served.get("/reward-models"))
        assert key is not None
        asked = (
            body
            | {"environment": "procgen:maze"}
            | ({"reward_model": key[1]} if "reward_model" in body else {})
        )
        status, _, answer = served.ask("/api/start", method="POST", body=asked)
        assert status == 422
        assert words in json.loads(answer)["error"]
    finally:
        stop(served)


def test_a_level_that_was_kept_for_recording_is_not_played(visual_document: Path, tmp_path: Path) -> None:
    """The form says which levels; who writes another one reads why not."""
    served = start(visual_document.parent)
    try:
        key = re.search(r"/reward-models/([0-9a-f]{16})", served.get("/reward-models"))
        assert key is not None
        body = {
            "environment": "procgen:maze",
            "goals": ["complete"],
            "conditions": ["mimic"],
            "seeds": "7",
            "reward_model": key[1],
        }
        status, _, answer = served.ask("/api/start", method="POST", body=body)
        assert status == 422
        assert "level" in json.loads(answer)["error"]
    finally:
        stop(served)
