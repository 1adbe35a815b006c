"""The demo's two halves: what it records, and what it plays."""

from __future__ import annotations

from lookalike.experiments import demo
from lookalike.experiments.conditions import find_experiment
from lookalike.experiments.demo import EXPERIMENT, play_demo, watch_demo
from lookalike.experiments.results import CreatedWith, ExperimentResult


def empty_result() -> ExperimentResult:
    made = CreatedWith(package_version="0")
    return ExperimentResult(name=EXPERIMENT, environment="colossal-cave", created_with=made, rows=())


def test_the_demo_watches_what_its_experiment_names(monkeypatch, tmp_path, watched):
    asked: list = []
    monkeypatch.setattr(demo, "watch_play", lambda *a, **k: asked.append((a, k)) or watched)
    assert watch_demo(tmp_path) is watched
    ((source,), options) = asked[0]
    spec = find_experiment(EXPERIMENT)
    assert (source, options["environment"]) == (spec.recording, spec.environment)
    # The run looks for the recording in the same folder, so that the video is made once.
    assert options["folder"] == tmp_path / "recording"


def test_quick_means_fewer_goals_and_seeds(monkeypatch, tmp_path, watched):
    asked: list = []
    monkeypatch.setattr(demo, "run_experiment", lambda *a, **k: asked.append((a, k)) or empty_result())
    whole = play_demo(tmp_path, watched)
    play_demo(tmp_path, watched, quick=True)
    assert asked[0] == ((EXPERIMENT,), {"out": tmp_path, "progress": None})
    assert asked[1][1]["seeds"] == (1000,)
    assert set(asked[1][1]["goals"]) <= set(find_experiment(EXPERIMENT).goals)
    assert (whole.watched, whole.report) == (watched, tmp_path / "report.html")
    assert whole.events == tmp_path / "events.sqlite"
