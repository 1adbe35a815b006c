"""A visual reward model applied to play: differences of potential, stages that pay once, damaged files."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lookalike.core.errors import RewardModelError, UsageError
from lookalike.core.ids import hash_file
from lookalike.core.types import Observation, Transition
from visual_games import Stage, document_of_pictures, needs_torch

pytestmark = needs_torch
ACTIONS = ("left", "noop", "right")


def made(tmp_path, *, path="visual/weights.safetensors"):
    """Write a model whose potential is how light the frame is: 0 for black, 1 for white."""
    import torch

    from lookalike.rewards.visual_network import Calibration, VisualModel, build_network, save_visual_model

    torch.manual_seed(0)
    networks = {name: build_network(name, 3) for name in ("progress", "base", "policy", "preview")}
    with torch.no_grad():
        for parameter in networks["progress"].parameters():
            parameter.zero_()
        networks["base"][-1].weight.fill_(1 / 768 / 2)  # the network sees twice (frame - 0.5)
        networks["base"][-1].bias.fill_(0.5)
        networks["progress"][-1].bias[2] = 1.0
    model = VisualModel("tiny:light", ACTIONS, networks, Calibration(0.0, 1.0, 0.5, 50.0, 1.0))
    (tmp_path / "visual").mkdir()
    save_visual_model(model, tmp_path / path)
    return document_of_pictures(
        "tiny:light",
        weights=path,
        weights_hash=hash_file(tmp_path / path),
        stages=[Stage(0.5, 0.1), Stage(1.0, 0.5)],
    )


def frame(light: float) -> Observation:
    return Observation(frame=np.full((64, 64, 3), round(255 * light), np.uint8))


def step(before: float, after: float, *, over: bool = False) -> Transition:
    return Transition(frame(before), "right", frame(after), 0.0, terminated=over)


@pytest.fixture
def scorer(tmp_path):
    from lookalike.rewards.visual_scorer import VisualScorer, load_visual

    document = made(tmp_path)
    return VisualScorer(document, load_visual(document, tmp_path))


def test_waiting_and_going_back_earn_nothing(scorer):
    scorer.start(frame(0.2))
    values = [scorer.score(step(a, b)).value for a, b in ((0.2, 0.4), (0.4, 0.4), (0.4, 0.2))]
    assert values[0] == pytest.approx(0.2, abs=0.01)
    assert values[1] == 0
    assert sum(values) == pytest.approx(0, abs=1e-6)


def test_a_stage_pays_once_and_only_when_it_holds(scorer):
    scorer.start(frame(0.0))
    lights = [0.0, 0.6, 0.1, 0.6, 0.6, 0.6, 0.1, 0.6, 0.6, 0.6]
    paid = ["milestone:stage-1" in scorer.score(step(a, b)).components for a, b in itertools.pairwise(lights)]
    assert [number for number, one in enumerate(paid, 1) if one] == [5]
    assert scorer.reached == {"stage-1"}


def test_an_end_is_judged_by_its_frame(scorer):
    scorer.start(frame(0.0))
    won = scorer.score(step(0.0, 0.0, over=True))
    assert won.components == {"milestone:stage-2": 0.5}
    from dataclasses import replace

    scorer.networks.calibration = replace(scorer.networks.calibration, end_threshold=2.0)
    scorer.start(frame(0.0))
    lost = scorer.score(step(0.0, 0.0, over=True))
    assert lost.components == {"setback": -0.5}
    assert lost.feedback == "That was a bad end."


def test_copies_are_independent(scorer):
    scorer.start(frame(0.0))
    other = scorer.copy()
    scorer.score(step(0.0, 0.4))
    assert other.potential == pytest.approx(0.0, abs=0.01)
    assert scorer.potential == pytest.approx(0.4, abs=0.01)


def test_previews_and_recommendations_cover_the_learned_actions(scorer):
    scorer.start(frame(0.3))
    previews = scorer.preview(frame(0.3), [*ACTIONS, "dance"])
    assert len(previews) == 4
    assert previews[3].value == 0
    assert sorted(scorer.recommend(frame(0.3))) == sorted(ACTIONS)


def test_weights_taken_out_of_the_document_are_taken_out_of_the_verdicts(tmp_path):
    from lookalike.rewards.visual_scorer import VisualScorer, load_visual

    document = made(tmp_path).without(["progress", "milestone:stage-1"])
    scorer = VisualScorer(document, load_visual(document, tmp_path))
    scorer.start(frame(0.0))
    assert all(scorer.score(step(0.6, 0.6)).value == 0 for _ in range(5))


def test_text_is_refused(scorer):
    with pytest.raises(UsageError, match="judges frames"):
        scorer.start(Observation(text="You are in a maze."))


def test_damaged_foreign_and_wandering_weights_are_refused(tmp_path):
    from lookalike.rewards.visual_network import load_visual_model
    from lookalike.rewards.visual_scorer import load_visual

    document = made(tmp_path)
    path = tmp_path / "visual" / "weights.safetensors"
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"PK" + whole[2:], whole[:8] + b"{}" + whole[10:]):
        path.write_bytes(damaged)
        with pytest.raises(RewardModelError, match="not the ones"):
            load_visual(document, tmp_path)
        with pytest.raises(RewardModelError, match="no file of visual weights"):
            load_visual_model(path)
    path.unlink()
    with pytest.raises(RewardModelError, match="missing"):
        load_visual(document, tmp_path)
    assert document.visual is not None
    outside = document.visual.model_copy(update={"weights": "../weights.safetensors"})
    with pytest.raises(RewardModelError, match="lie beside"):
        load_visual(document.model_copy(update={"visual": outside}), tmp_path)
    with pytest.raises(RewardModelError, match="no weights"):
        load_visual(document.model_copy(update={"visual": None}), tmp_path)


def test_frames_of_any_size_are_judged(scorer):
    for size in (64, 128, 100, 512):
        grey = np.full((2, size, size, 3), 128, np.uint8)
        assert scorer.networks.progress(grey).potential == pytest.approx([0.5, 0.5], abs=0.01)
