"""What tests of the dashboard share: a folder with a real run, the real server over it, a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from visual_document import visual_document  # noqa: F401
from web_server import PATIENCE_MS, Served, start, stop

from lookalike.core.ids import hash_file
from lookalike.environments import make_environment
from lookalike.experiments import run_experiment, runner
from lookalike.experts import make_expert
from lookalike.recordings import read_recording, record_replay, shipped_play, write_jsonl
from lookalike.rewards import save_reward_model
from lookalike.web.library import FoundRun, Library

COMMANDS = 16


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording as an experiment leaves it: video, its log, what was read, and a reward model."""
    folder = tmp_path_factory.mktemp("recorded") / "recording"
    folder.mkdir()
    play = shipped_play(2)
    game = make_environment("colossal-cave", isolated=False)
    made = record_replay(
        game,
        play.commands[:COMMANDS],
        seed=play.seed,
        out=folder / "recording.mp4",
        licence=play.licence,
        player_kind="human",
    )
    read = read_recording(made.log)
    # As if it had been read off the video, which takes longer than all tests here.
    source = replace(read.provenance, file="recording.mp4", content_hash=hash_file(made.video))
    demonstration = replace(read, provenance=source)
    write_jsonl(demonstration, folder / "demonstration.jsonl")
    model = make_expert().watch([demonstration], environment="colossal-cave")
    save_reward_model(model, folder / "reward-model.yaml")
    return folder


@pytest.fixture(scope="session")
def played(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in it: two conditions, one goal, two seeds, played by the real game."""
    folder = tmp_path_factory.mktemp("shown")
    run = folder / "short"
    shutil.copytree(recorded, run / "recording")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "write_report", lambda result, out: None)  # its plots take seconds
        run_experiment(
            "demo/colossal-cave",
            out=run,
            goals=["lamp"],
            seeds=[300, 301],
            conditions=["random", "uniform+expert"],
            reward_model=recorded / "reward-model.yaml",
            run="short",
        )
    return folder


@pytest.fixture(scope="session")
def library(played: Path) -> Iterator[Library]:
    found = Library(played)
    yield found
    found.close()


@pytest.fixture(scope="session")
def run(library: Library) -> FoundRun:
    return next(run for run in library.runs() if run.run_id == "short")


@pytest.fixture(scope="session")
def served(played: Path) -> Iterator[Served]:
    found = start(played)
    yield found
    stop(found)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; no browser is ever downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed (on Debian: apt install chromium)")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--headless=new"])
        yield opened
        opened.close()


class Watched:
    """A browser page that remembers everything that should not happen."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("console", self._console)
        page.on("dialog", self._dialog)
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        # What a page asks for on purpose and does not get is the page's to show, not a fault.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:", "file://")):
            self.faults.append(f"an address outside this machine: {request.url}")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    # Waits are for conditions: on a machine that has other work they take long, and nothing is proven by it.
    context.set_default_timeout(PATIENCE_MS)
    watched = Watched(context.new_page())
    yield watched.page
    context.close()
    assert watched.faults == []
