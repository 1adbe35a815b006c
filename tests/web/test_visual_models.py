"""Reward models of pictures in the dashboard: the page, imitators in a council, verdicts computed again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_server import PATIENCE_MS, start, stop

from lookalike.web.council import Councils
from lookalike.web.library import Library
from lookalike.web.verdicts import Rescorer

STEPS = 12
WAYS = ("right", "up", "left", "down")
"""Somewhere there is no wall, and the picture changes."""


@pytest.fixture
def library(visual_document: Path) -> Iterator[Library]:
    found = Library(visual_document.parent)
    yield found
    found.close()


def turn(councils: Councils, key: str, wanted: str) -> dict[str, Any]:
    """Wait until a council is where it should be."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    version, state = -1, {"state": "nothing"}
    while time.monotonic() < deadline:
        state = councils.council(key).as_dict(after=version, patience_s=5)
        if state["state"] == wanted:
            return state
        assert state["state"] not in {"failed", "ended"}, state["words"]
        version = state["version"]
    raise AssertionError(f"never {wanted}, but {state['state']}")


def test_a_person_sits_among_imitators_and_the_verdicts_are_computed_again(
    library: Library, visual_document: Path
) -> None:
    councils = Councils(library)
    try:
        council = councils.start(
            "procgen:maze", goal="complete", seed=10_000, members="mimic", reward_model=visual_document
        )
        for number in range(STEPS):
            state = turn(councils, council.key, "your turn")
            assert state["situation"]["recommended"]
            assert councils.council(council.key).frame is not None
            councils.propose(council.key, WAYS[number % len(WAYS)])
        turn(councils, council.key, "your turn")
        councils.leave(council.key)
        turn(councils, council.key, "ended")
    finally:
        councils.close()
    library.forget()
    (run,) = library.runs()
    model = library.document(library.reward_model(library.reward_models()[-1].key))
    rescorer = Rescorer()
    files = library.files_of(run)
    found = rescorer.verdicts(run, 0, model, [], folder=visual_document.parent, files=files)
    assert len(found["steps"]) == STEPS
    assert [s["now"] for s in found["steps"]] == [s["stored"] for s in found["steps"]]
    assert any(s["now"] for s in found["steps"])
    less = rescorer.verdicts(run, 0, model, ["progress"], folder=visual_document.parent, files=files)
    assert less["changed"] >= 1
    assert all(name != "progress" for s in less["steps"] for name, _ in s["components"])


def test_the_page_shows_stages_and_only_pictures_below_the_document(visual_document: Path) -> None:
    served = start(visual_document.parent)
    try:
        listing = served.get("/reward-models")
        address = listing.partition('href="/reward-models/')[2].partition('"')[0]
        page = served.get(f"/reward-models/{address}")
        assert "What was learned from the pictures" in page
        assert "progress of 50.0%" in page
        status, headers, _ = served.ask(f"/api/reward-models/{address}/thumbnails/0")
        assert (status, headers["content-type"]) == (200, "image/png")
        assert served.ask(f"/api/reward-models/{address}/thumbnails/1")[0] == 404
        assert served.ask(f"/api/reward-models/{address}/thumbnails/9")[0] == 404
        start_page = served.get("/start?environment=procgen:maze")
        assert "imitate what the reward model was learned from" in start_page
    finally:
        stop(served)
