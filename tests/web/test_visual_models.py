"""Reward models of pictures in the dashboard: the page, imitators in a council, verdicts computed again."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web_server import PATIENCE_MS, start, stop

from lookalike.core.ids import hash_file
from lookalike.environments import make_environment
from lookalike.rewards import save_reward_model
from lookalike.rewards.document import (
    Detect,
    MadeBy,
    Milestone,
    RecordingNote,
    RewardModel,
    Span,
    VisualPart,
    Weights,
)
from lookalike.store import FileStore
from lookalike.web.council import Councils
from lookalike.web.library import Library
from lookalike.web.verdicts import Rescorer

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("procgen", "torch", "safetensors")),
    reason="Procgen or PyTorch is not installed (make visual)",
)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model of the maze with untrained networks: what they say is of no use, and always the same."""
    import torch

    from lookalike.rewards.visual_network import VisualModel, build_network, save_visual_model

    folder = tmp_path_factory.mktemp("visual")
    game = make_environment("procgen:maze", isolated=False)
    actions = game.admissible_actions() or ("down", "left", "noop", "right", "up")
    frame = game.reset(seed=1).frame
    game.close()
    torch.manual_seed(0)
    names = ("progress", "policy", "preview")
    networks = {name: build_network(name, len(actions)).eval() for name in names}
    weights = folder / "maze" / "weights.safetensors"
    weights.parent.mkdir()
    save_visual_model(VisualModel("procgen:maze", actions, networks), weights)
    assert frame is not None
    picture = FileStore(folder / "pictures")
    (folder / "maze" / "stage-1.png").write_bytes(picture.get(picture.put_frame(np.asarray(frame))))
    (folder.parent / "secret.png").write_bytes((folder / "maze" / "stage-1.png").read_bytes())
    note = RecordingNote(
        id="r", file="maze.mp4", content_hash="0" * 64, licence="CC0-1.0", player_kind="human", steps=20
    )
    span = Span(recording="r", start=3, end=4, start_s=0.2, end_s=0.3)
    stages = tuple(
        Milestone(
            id=f"stage-{number}",
            description=f"{share:.0%} of the way",
            kind="stage",
            detect=Detect(stage=share),
            value=0.1,
            evidence=span,
            thumbnail=thumbnail,
        )
        for number, (share, thumbnail) in enumerate([(0.5, "maze/stage-1.png"), (1.0, "../secret.png")], 1)
    )
    part = VisualPart(
        weights="maze/weights.safetensors",
        weights_hash=hash_file(weights),
        distance=0.1,
        actions_accuracy=0.9,
        held_out=0,
        voc_good=0.9,
        voc_bad=0.1,
        pairwise=0.95,
        ridge_voc_good=0.5,
        ridge_voc_bad=0.4,
        ridge_pairwise=0.55,
        clock="No pixels were found that tell the time.",
    )
    model = RewardModel(
        environment="procgen:maze",
        goal="Reach the cheese.",
        made_by=MadeBy(expert="embedded-visual", expert_version=1),
        recordings=(note,),
        weights=Weights(progress=1.0, refused=0.0, setback=-0.5),
        milestones=stages,
        visual=part,
    )
    save_reward_model(model, folder / "maze.yaml")
    return folder / "maze.yaml"


@pytest.fixture
def library(document: Path) -> Iterator[Library]:
    found = Library(document.parent)
    yield found
    found.close()


def turn(councils: Councils, key: str, wanted: str) -> dict[str, Any]:
    """Wait until a council is where it should be."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    version = -1
    while time.monotonic() < deadline:
        state = councils.council(key).as_dict(after=version, patience_s=5)
        if state["state"] == wanted:
            return state
        assert state["state"] != "failed", state["words"]
        version = state["version"]
    raise AssertionError(f"never {wanted}")


def test_a_person_sits_among_imitators_and_the_verdicts_are_computed_again(
    library: Library, document: Path
) -> None:
    councils = Councils(library)
    try:
        council = councils.start(
            "procgen:maze", goal="complete", seed=10_000, members="mimic", reward_model=document
        )
        for _ in range(4):
            state = turn(councils, council.key, "your turn")
            assert state["situation"]["recommended"]
            assert councils.council(council.key).frame is not None
            councils.propose(council.key, "right")
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
    found = rescorer.verdicts(run, 0, model, [], folder=document.parent, files=files)
    assert len(found["steps"]) == 4
    assert [s["now"] for s in found["steps"]] == [s["stored"] for s in found["steps"]]
    assert any(s["now"] for s in found["steps"])
    less = rescorer.verdicts(run, 0, model, ["progress"], folder=document.parent, files=files)
    assert less["changed"] >= 1
    assert all(name != "progress" for s in less["steps"] for name, _ in s["components"])


def test_the_page_shows_stages_and_only_pictures_below_the_document(document: Path) -> None:
    served = start(document.parent)
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
