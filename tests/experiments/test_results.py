"""Rows from episodes, and the results file: nothing dropped, nothing half written, newer refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars
import pytest
from synthetic_results import CONDITIONS, GOALS, episodes, handicaps, result

from lookalike.core.errors import StoreError, UsageError
from lookalike.core.types import Handicaps, Outcome, Usage
from lookalike.experiments import results
from lookalike.experiments.result_files import read_results, write_csv, write_results, write_text
from lookalike.experiments.results import ConditionInfo, EpisodeResult, ExperimentResult
from lookalike.experiments.statistics import wilson_interval
from lookalike.experiments.summary import default_pairs, paired_differences, plays, success_by, summarise
from lookalike.store import EpisodeFailed, EpisodeFinished, EpisodeKey

SOLO = ConditionInfo(name="solo", handicaps=handicaps())
BEST = ConditionInfo(name="solo best-of-2", handicaps=handicaps(restarts=1), episodes_of="solo", attempts=2)
SWARM = ConditionInfo(name="swarm", handicaps=handicaps(calls=4))


def episode(condition="solo", seed=1, attempt=0, success=False, goal="lamp", **fields):
    given = {
        "complexity": 4,
        "steps": 10,
        "interactions": 10,
        "score": 30.0,
        "usage": Usage(calls=10),
    } | fields
    return EpisodeResult(condition=condition, goal=goal, seed=seed, attempt=attempt, success=success, **given)


def test_a_row_counts_what_happened():
    made = [
        episode(seed=1, success=True, score=40.0, steps=4, interactions=8, agreement=0.5, executability=1.0),
        episode(seed=2, score=20.0, steps=6, interactions=12, agreement=1.0, executability=0.5, dissents=3),
        episode(seed=3, score=None, failure="the worker died"),
    ]
    (row,) = summarise(made, [SOLO])
    assert (row.n, row.successes, row.failures, row.unfinished) == (3, 1, 1, 0)
    assert row.plan_success == pytest.approx(1 / 3)
    assert row.interval == wilson_interval(1, 3)
    assert row.score_mean == 30.0
    assert row.score_interval is None  # three seeds are too few to resample
    assert row.interactions_mean == 10
    assert row.steps_mean == pytest.approx(20 / 3)
    assert (row.agreement, row.executability, row.dissents) == (0.75, 0.75, 3)
    assert row.usage.calls == 30
    assert row.handicaps == SOLO.handicaps


def test_a_crashed_episode_is_a_failure_in_every_mean_and_never_dropped():
    good = [episode(seed=seed, success=True) for seed in range(9)]
    (row,) = summarise([*good, episode(seed=9, failure="hung")], [SOLO])
    assert (row.n, row.plan_success, row.failures) == (10, 0.9, 1)


def test_solo_counts_the_first_attempt_and_best_of_counts_any():
    made = [
        episode(seed=1, attempt=0, success=False, score=10.0),
        episode(seed=1, attempt=1, success=True, score=50.0),
        episode(seed=2, attempt=0, success=True, score=30.0),
        episode(seed=2, attempt=1, success=False, score=20.0),
    ]
    solo, best = summarise(made, [SOLO, BEST])
    assert (solo.plan_success, solo.n, solo.score_mean, solo.usage.calls) == (0.5, 2, 20.0, 20)
    assert (best.plan_success, best.n, best.score_mean, best.usage.calls) == (1.0, 2, 40.0, 40)
    assert best.interactions_mean == 2 * solo.interactions_mean
    assert best.handicaps.restarts == 1


def test_attempts_end_with_the_first_success_and_a_play_without_one_needs_them_all():
    made = [episode(seed=1, success=True), episode(seed=2), episode(seed=2, attempt=1, success=True)]
    _, best = summarise(made, [SOLO, BEST])
    assert (best.n, best.successes, best.unfinished) == (2, 2, 0)
    _, best = summarise([*made, episode(seed=3)], [SOLO, BEST])
    assert (best.n, best.successes, best.unfinished) == (2, 2, 1)


def test_a_condition_not_played_yet_has_an_empty_row():
    solo, swarm = summarise([episode(seed=1)], [SOLO, SWARM])
    assert (swarm.n, swarm.plan_success, swarm.interval, swarm.unfinished) == (0, 0.0, (0.0, 1.0), 1)
    assert swarm.score_mean is None
    assert solo.score_interval is None


def test_an_episode_given_twice_is_refused():
    with pytest.raises(UsageError, match="there twice"):
        summarise([episode(), episode(success=True)], [SOLO])


def test_the_order_of_episodes_does_not_matter():
    made = episodes(seeds=range(3))
    assert summarise(made, CONDITIONS) == summarise(made[::-1], CONDITIONS)
    assert paired_differences(made, CONDITIONS) == paired_differences(made[::-1], CONDITIONS)


def test_a_paired_difference_is_over_the_plays_both_have():
    made = [episode("swarm", seed=seed, success=True, score=50.0) for seed in range(12)]
    made += [episode("solo", seed=seed, success=seed < 2, score=40.0) for seed in range(10)]
    (difference,) = paired_differences(made, [SOLO, SWARM], pairs=[("swarm", "solo")])
    assert (difference.n, difference.both, difference.only_a, difference.only_b, difference.neither) == (
        10,
        2,
        8,
        0,
        0,
    )
    assert difference.difference == 0.8
    assert difference.interval[0] > 0.3
    assert difference.interval_by_seed[0] <= 0.8 <= difference.interval_by_seed[1]
    assert difference.p_value == pytest.approx(2 / 256)
    assert difference.p_holm == difference.p_value
    assert (difference.score_difference, difference.score_interval) == (10.0, (10.0, 10.0))
    assert difference.resolved
    assert (
        difference.statement
        == "swarm succeeds 80.0 points more often than solo on the same 10 goals and seeds."
    )


def test_a_difference_that_n_cannot_resolve_says_so():
    made = [episode("swarm", seed=seed, success=seed < 6) for seed in range(10)]
    made += [episode("solo", seed=seed, success=seed < 4) for seed in range(10)]
    (difference,) = paired_differences(made, [SOLO, SWARM], pairs=[("swarm", "solo")])
    assert not difference.resolved
    assert "do not resolve: n = 10 can show differences of about" in difference.statement


def test_several_differences_are_corrected_for_being_several():
    found = paired_differences(episodes(), CONDITIONS)
    assert len(found) == 8
    assert all(d.p_value <= d.p_holm <= 1 for d in found)
    assert any(d.p_value < d.p_holm for d in found)


def test_which_conditions_are_compared_by_default():
    assert default_pairs([SOLO, SWARM]) == [("solo", "swarm"), ("swarm", "solo")]
    names = {pair for pair in default_pairs(CONDITIONS) if pair[0] != "swarm+expert"}
    assert names == {("solo+expert", "solo"), ("swarm", "solo")}
    with pytest.raises(UsageError, match="no such condition") as caught:
        paired_differences([], [SOLO], pairs=[("solo", "sloo")])
    assert caught.value.got == "sloo"


def test_success_by_goal():
    found = success_by(
        plays([episode(seed=1, success=True), episode(seed=2)], SOLO).values(), lambda p: p.goal
    )
    assert found == {"lamp": (1, 2)}


def test_a_result_is_read_off_the_event_that_ended_the_episode():
    key = EpisodeKey(condition="swarm", goal="lamp", seed=3, attempt=1)
    event = EpisodeFinished.of(
        key, Outcome(True, 2, 30.0, False, False), interactions=8, usage=Usage(8, 90, 20, 40, 2, 0.5),
        rewards=[0.5, -0.25], proposals=8, executable_proposals=6, agreement=0.75, dissents=1,
        correct_dissents=1, seconds=2.5,
    )  # fmt: skip
    found = EpisodeResult.of_event(event, complexity=4)
    assert (found.condition, found.goal, found.seed, found.attempt) == ("swarm", "lamp", 3, 1)
    assert (found.return_, found.executability, found.agreement, found.seconds) == (0.25, 0.75, 0.75, 2.5)
    assert found.usage == Usage(8, 90, 20, 40, 2, 0.5)
    failed = EpisodeResult.of_event(EpisodeFailed(episode=key, failure="hung", steps=2), complexity=4)
    assert (failed.success, failed.failure, failed.score, failed.steps) == (False, "hung", None, 2)


def test_the_results_file_is_read_back_whole(tmp_path):
    made = result()
    write_results(made, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == made


def test_the_results_file_has_the_promised_keys(tmp_path):
    write_results(result(), tmp_path / "results.json")
    data = json.loads((tmp_path / "results.json").read_text())
    assert data["schema_version"] == "1"
    promised = {
        "condition", "plan_success", "n", "interval", "score_mean", "interactions_mean", "handicaps", "usage",
    }  # fmt: skip
    assert all(promised <= set(row) for row in data["rows"])
    low, high = data["rows"][0]["interval"]
    assert low <= data["rows"][0]["plan_success"] <= high
    assert len(data["episodes"]) == 9 * len(GOALS) * 20


def test_the_results_file_has_a_line_for_each_row_and_episode(tmp_path):
    made = result()
    write_results(made, tmp_path / "results.json")
    lines = (tmp_path / "results.json").read_text().splitlines()
    assert sum(line.startswith('  {"condition"') for line in lines) == len(made.rows) + len(made.episodes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[1, 2]", "no results of LookALike"),
        ('{"rows": []}', "no results of LookALike"),
        ('{"schema_version": "2"}', "newer version"),
        ('{"schema_version": "1", "name": "x"}', "fields of its version"),
    ],
)
def test_a_file_that_holds_no_results(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=message) as caught:
        read_results(path)
    assert caught.value.remedy


def test_a_missing_results_file(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        read_results(tmp_path / "results.json")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lookalike.experiments.result_files.os.fsync", full)
    with pytest.raises(StoreError, match="cannot be written") as caught:
        write_text(path, "new")
    assert "No space left" in caught.value.got
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_csv_tables_hold_the_same_numbers(tmp_path):
    made = result()
    paths = write_csv(made, tmp_path)
    table = polars.read_csv(paths["episodes"], infer_schema_length=None)
    assert table.height == len(made.episodes)
    assert table["success"].sum() == sum(e.success for e in made.episodes)
    assert table["usage.calls"].sum() == sum(e.usage.calls for e in made.episodes)
    rows = polars.read_csv(paths["rows"])
    assert rows["condition"].to_list() == [row.condition for row in made.rows]
    assert rows["interval.low"].to_list() == pytest.approx([row.interval[0] for row in made.rows])
    assert rows["handicaps.reward"].to_list() == [row.handicaps.reward for row in made.rows]


DOCUMENTED = {
    "ExperimentResult": ExperimentResult,
    "Row": results.Row,
    "EpisodeResult": EpisodeResult,
    "PairedDifference": results.PairedDifference,
    "GoalInfo": results.GoalInfo,
    "CreatedWith": results.CreatedWith,
    "RecordingInfo": results.RecordingInfo,
    "Handicaps": Handicaps,
    "Usage": Usage,
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_documentation_names_exactly_the_fields_there_are(name):
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    section = re.search(rf"^## .*\(`{name}`\)$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/results.md has no section for {name}"
    documented = re.findall(r"^\| `(\w+)` \|", section.group(1), re.MULTILINE)
    model = DOCUMENTED[name]
    fields = model.model_fields if hasattr(model, "model_fields") else model.__dataclass_fields__
    assert documented == list(fields)
