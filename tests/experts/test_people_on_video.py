"""A person's video of Doom, watched without its inputs: a reward model with evidence, and its keys."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from lookalike.core.types import Trajectory
from lookalike.recordings.freedoom import SHARED_DATA, freedoom_folder, read_freedoom_demo
from visual_games import needs_torch

pytestmark = [
    needs_torch,
    pytest.mark.skipif(freedoom_folder() is None, reason=f"no freedoom/ folder; see {SHARED_DATA}"),
    pytest.mark.skipif(importlib.util.find_spec("vizdoom") is None, reason="ViZDoom is not installed"),
]


def test_a_silent_video_of_a_person_becomes_a_reward_model_with_evidence(tmp_path):
    from lookalike.environments.vizdoom_adapter import parse_keys
    from lookalike.experts.visual import Effort, EmbeddedVisualExpert
    from lookalike.rewards.visual_scorer import load_visual

    whole = read_freedoom_demo("p1demo3", with_actions=False)
    shown, times = whole.trajectory.observations[:301], whole.trajectory.times[:301]
    silent = replace(whole, trajectory=Trajectory(shown, (None,) * 300, times=times))
    effort = Effort(
        random_steps=320, tried_steps=0, actions=20, progress=30, policy=20, preview=20, batch=48, ends=20
    )
    expert = EmbeddedVisualExpert(effort=effort)
    model = expert.watch([silent], environment="vizdoom:freedoom1-e3m3-tic", folder=tmp_path / "doom")
    assert model.recordings[0].player_kind == "human"
    assert model.milestones
    for milestone in model.milestones:
        assert (tmp_path / str(milestone.thumbnail)).is_file()
        assert 0 <= milestone.evidence.start <= milestone.evidence.end < len(silent.trajectory)
    networks = load_visual(model, tmp_path)
    frames = [o.frame for o in silent.trajectory.observations[:101]]
    named = networks.recovered(np.stack(frames)).argmax(axis=1)
    assert len(named) == 100
    assert all(parse_keys(networks.actions[number]) is not None for number in named)
    assert expert.report is not None
    assert expert.report.ends is not None
    assert expert.report.ends.network is None  # nobody knows where these levels are on the video
