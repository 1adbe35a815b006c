"""A reward model of pictures for tests: untrained networks, whose word is of no use, and always the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

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


@pytest.fixture(scope="session")
def visual_document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model of the maze with untrained networks: what they say is of no use, and always the same."""
    if any(importlib.util.find_spec(name) is None for name in ("procgen", "torch", "safetensors")):
        pytest.skip("Procgen or PyTorch is not installed (make visual)")
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
