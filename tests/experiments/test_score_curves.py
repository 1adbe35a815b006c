"""Score against interactions: read from the log, published figures and their conditions beside it."""

from __future__ import annotations

import csv

from lookalike.experiments.runner import run_experiment
from lookalike.experiments.score_curves import published_scores, score_curves, write_curves


def test_a_curve_is_the_best_so_far_over_attempts_and_returns(reward_model_path, no_plots, tmp_path):
    run_experiment(
        "mastery/colossal-cave",
        out=tmp_path,
        seeds=[1000, 1001],
        goals=["lamp"],
        conditions=["expert-alone-free-text"],
        reward_model=reward_model_path,
    )
    (curve,) = write_curves(tmp_path)
    assert (curve.condition, curve.n) == ("expert-alone-free-text", 2)
    assert list(curve.mean) == sorted(curve.mean), "best so far never falls"
    assert all(lo <= m <= hi for lo, m, hi in zip(curve.low, curve.mean, curve.high, strict=True))
    assert curve.interactions[0] == 1
    with (tmp_path / "score-curve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["interactions"]) for row in rows] == list(curve.interactions)
    drawn = (tmp_path / "score-curve.svg").read_text(encoding="utf-8")
    assert "expert-alone-free-text" in drawn


def test_no_events_no_curves():
    assert score_curves([]) == []


def test_published_figures_say_how_they_were_obtained():
    known = published_scores()
    assert {p.environment for p in known} == {"zork1"}
    assert all(p.conditions for p in known)
    assert max(p.score for p in known) == 103
