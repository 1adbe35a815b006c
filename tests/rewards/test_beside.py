"""A copy of a reward model of pictures has its weights beside it, and nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.core.errors import RewardModelError
from lookalike.rewards.beside import keep_beside
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


def of_pictures(weights: str, thumbnail: str | None) -> RewardModel:
    stage = Milestone(
        id="stage-1",
        description="all of the way",
        kind="stage",
        detect=Detect(stage=1.0),
        value=0.1,
        evidence=Span(recording="r", start=0, end=1),
        thumbnail=thumbnail,
    )
    part = VisualPart(
        weights=weights,
        weights_hash="0" * 64,
        distance=0.1,
        actions_accuracy=0.9,
        held_out=0,
        voc_good=0.9,
        voc_bad=0.1,
        pairwise=0.95,
        ridge_voc_good=0.5,
        ridge_voc_bad=0.4,
        ridge_pairwise=0.55,
        clock="none",
    )
    note = RecordingNote(
        id="r", file="r.mp4", content_hash="0" * 64, licence="CC0-1.0", player_kind="human", steps=2
    )
    return RewardModel(
        environment="procgen:maze",
        goal="Get there.",
        made_by=MadeBy(expert="embedded-visual", expert_version=1),
        recordings=(note,),
        weights=Weights(progress=1.0, refused=0.0, setback=-0.5),
        milestones=(stage,),
        visual=part,
    )


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
