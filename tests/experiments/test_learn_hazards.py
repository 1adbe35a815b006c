"""A hazard model from a run's own log."""

from __future__ import annotations

import pytest

from lookalike.core.errors import UsageError
from lookalike.experiments.learn_hazards import learn_from_run
from lookalike.experiments.runner import run_experiment
from lookalike.rewards.hazards import load_hazards, save_hazards


def test_what_a_run_taught_is_read_from_its_log(reward_model_path, no_plots, tmp_path):
    run_experiment(
        "mastery/colossal-cave",
        out=tmp_path,
        seeds=[300, 301],
        goals=["bird"],
        conditions=["expert-alone-free-text"],
        reward_model=reward_model_path,
    )
    out = tmp_path / "hazards.yaml"
    save_hazards(learn_from_run(tmp_path, condition="expert-alone-free-text"), out)
    learnt = load_hazards(out)
    assert (learnt.environment, learnt.plays) == ("colossal-cave", 2)
    assert learnt.source == "2 plays of expert-alone-free-text, seeds 300-301"
    with pytest.raises(UsageError, match="no plays of the condition"):
        learn_from_run(tmp_path, condition="replay")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no event log"):
        learn_from_run(tmp_path, condition="replay")
