"""A reward model of pictures for tests: untrained networks, whose word is of no use, and always the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from lookalike.core.ids import hash_file
from lookalike.environments import make_environment
from lookalike.rewards import save_reward_model
from lookalike.store import FileStore
from visual_games import Stage, document_of_pictures


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
    model = document_of_pictures(
        "procgen:maze",
        weights="maze/weights.safetensors",
        weights_hash=hash_file(weights),
        stages=[Stage(0.5, thumbnail="maze/stage-1.png"), Stage(1.0, thumbnail="../secret.png")],
    )
    save_reward_model(model, folder / "maze.yaml")
    return folder / "maze.yaml"
