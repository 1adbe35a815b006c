"""A copy of a reward model of pictures has its weights beside it, and nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.core.errors import RewardModelError
from lookalike.rewards.beside import keep_beside
from lookalike.rewards.document import RewardModel
from visual_games import Stage, document_of_pictures


def of_pictures(weights: str, thumbnail: str | None) -> RewardModel:
    return document_of_pictures("procgen:maze", weights=weights, stages=[Stage(1.0, thumbnail=thumbnail)])


def test_weights_and_pictures_go_along(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "maze").mkdir(parents=True)
    there.mkdir()
    (here / "maze" / "weights.safetensors").write_bytes(b"weights")
    (here / "maze" / "stage-1.png").write_bytes(b"picture")
    model = of_pictures("maze/weights.safetensors", "maze/stage-1.png")
    keep_beside(model, here, there)
    assert (there / "maze" / "weights.safetensors").read_bytes() == b"weights"
    assert (there / "maze" / "stage-1.png").read_bytes() == b"picture"
    keep_beside(model, there, there)
    keep_beside(model.model_copy(update={"visual": None}), here, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_nothing_from_elsewhere_is_copied(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    keep_beside(of_pictures("../secret", str(tmp_path / "secret")), here, there)
    assert list(there.iterdir()) == []
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RewardModelError, match="cannot be copied"):
        keep_beside(of_pictures("weights", None), tmp_path, tmp_path / "file")
