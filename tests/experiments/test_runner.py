"""Runs that are stopped, resumed, played side by side, repeated: the same figures whatever happens."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from lookalike.core.errors import StoreError, UnknownNameError, UsageError
from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory
from lookalike.environments import find_goal, registry
from lookalike.experiments import report_run, resolved, resume_run, run_experiment, runner, session
from lookalike.experiments.budget import Budget, Budgets
from lookalike.experiments.conditions import ExperimentSpec, find_condition
from lookalike.experiments.preparation import Watched
from lookalike.experiments.resolved import resolve
from lookalike.store import EnvironmentRestarted, EpisodeFailed, EpisodeStarted, EventLog, StepTaken
from lookalike.testing.scripted_model import ScriptedModel

NAME = "paper/colossal-cave"
CHEAP = ["random", "replay", "expert-alone"]


@pytest.fixture
def run(no_plots, watched, monkeypatch):
    """Return a function that runs the cheap conditions with the shared reward model."""
    monkeypatch.setattr(runner, "watch_play", lambda *a, **k: watched)

    def go(out: Path, **changes):
        given = {"seeds": [1000, 1001], "goals": ["lamp", "lit-with-rod"], "conditions": CHEAP}
        return run_experiment(NAME, out=out, **(given | changes))

    return go


def without_times(result):
    rows = [row.model_dump() | {"seconds_mean": 0} for row in result.rows]
    return rows, result.created_with.play_digest


def starts(out: Path) -> list[str]:
    with EventLog(out / "events.sqlite") as log:
        return [str(e.episode) for e in log.events(NAME) if isinstance(e, EpisodeStarted)]


def interrupted(run, out: Path, *, after: int) -> None:
    def interrupt(done, total, note):
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, progress=interrupt)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'paper/colossal-cave'"):
        resolve("paper/colosal-cave")
    with pytest.raises(UnknownNameError, match="did you mean 'lamp'"):
        resolve(NAME, goals=["lmap"])
    with pytest.raises(UnknownNameError, match="did you mean 'random'"):
        resolve(NAME, conditions=["randon"])


@pytest.mark.parametrize("seeds", [[], [-1], [5, -2]])
def test_seeds_must_be_there_and_not_negative(seeds):
    with pytest.raises(UsageError, match="seeds of 0 or more"):
        resolve(NAME, seeds=seeds)


def test_resolve_orders_goals_and_drops_repetitions():
    asked = resolve(NAME, goals=["bird", "lamp", "bird"], seeds=[3, 3, 0], conditions=["solo", "solo"])
    assert [goal.name for goal in asked.goals] == ["lamp", "bird"]
    assert (asked.seeds, len(asked.conditions)) == ((3, 0), 1)
    assert [(t.goal.name, t.seed, t.attempts) for t in asked.tasks({})] == [
        ("lamp", 3, (0, 1, 2, 3)),
        ("bird", 3, (0, 1, 2, 3)),
        ("lamp", 0, (0, 1, 2, 3)),
        ("bird", 0, (0, 1, 2, 3)),
    ]


def test_a_stopped_run_goes_on_to_the_undisturbed_result(run, tmp_path):
    whole = run(tmp_path / "whole")
    out = tmp_path / "stopped"
    interrupted(run, out, after=5)
    assert len(starts(out)) == 5
    with EventLog(out / "events.sqlite") as log:
        assert log.runs()[0].status == "stopped"
    resumed = run(out)
    assert without_times(resumed) == without_times(whole)
    assert len(starts(out)) == len(set(starts(out))) == 12, "a finished episode was played again"
    assert run(out).created_with.play_digest == whole.created_with.play_digest
    assert len(starts(out)) == 12, "nothing was left to play"
    assert resumed.complete


def test_a_run_goes_on_from_its_log_alone(run, tmp_path):
    """`runs resume` knows neither the experiment's arguments nor where the reward model came from."""
    whole = run(tmp_path / "whole")
    out = tmp_path / "stopped"
    interrupted(run, out, after=7)
    resumed = resume_run(NAME, store=str(out))
    assert without_times(resumed) == without_times(whole)
    assert len(starts(out)) == len(set(starts(out))) == 12
    (out / "reward-model.yaml").write_text((out / "reward-model.yaml").read_text().replace("0.5", "0.25"))
    with pytest.raises(StoreError, match="not the one that the run was started with"):
        resume_run(NAME, store=str(out))


def test_a_stopped_run_is_reported_as_far_as_it_got(run, tmp_path):
    out = tmp_path / "stopped"
    interrupted(run, out, after=7)
    before = starts(out)
    so_far = report_run(NAME, store=str(out))
    assert not so_far.complete
    assert len(so_far.episodes) == 7
    assert starts(out) == before, "something was played"
    assert (out / "results.json").exists()
    whole = run(out)
    assert whole.complete
    assert without_times(report_run(NAME, store=str(out))) == without_times(whole)


def test_a_given_reward_model_is_not_written_anew_to_go_on(
    no_plots, reward_model_path, monkeypatch, tmp_path
):
    def never(*a, **k):
        raise AssertionError("nobody needs the recording")

    monkeypatch.setattr(runner, "watch_play", never)
    given = {"seeds": [1000], "goals": ["lamp"], "conditions": ["expert-alone", "random"]}
    whole = run_experiment(NAME, out=tmp_path, reward_model=reward_model_path, **given)
    assert resume_run(NAME, store=str(tmp_path)) == whole


def test_the_reward_model_is_there_before_the_run(run, monkeypatch, tmp_path):
    def killed(*a, **k):
        raise SystemExit("as if killed just after")

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(runner, "Playing", killed)
        run(tmp_path, conditions=["expert-alone"])
    before = (tmp_path / "reward-model.yaml").read_bytes()
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(EventLog, "start_run", killed)
        run(tmp_path, conditions=["expert-alone"], without=["milestone:get-lamp"])
    assert (tmp_path / "reward-model.yaml").read_bytes() == before  # a run that goes on keeps its own
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(EventLog, "start_run", killed)
        run(tmp_path / "new", conditions=["expert-alone"])
    assert (tmp_path / "new" / "reward-model.yaml").exists()


def test_a_signal_stops_after_the_step_and_loses_none(run, tmp_path):
    whole = run(tmp_path / "whole", goals=["lit-with-rod"], conditions=["random"])

    def terminate(done, total, note):
        if done == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    out, said = tmp_path / "stopped", []
    with pytest.raises(KeyboardInterrupt):
        run(out, goals=["lit-with-rod"], conditions=["random"], progress=terminate, notify=said.append)
    assert any("Ctrl-C again" in sentence for sentence in said)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    resumed = run(out, goals=["lit-with-rod"], conditions=["random"])
    assert without_times(resumed) == without_times(whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_stops_at_its_budget_and_goes_on_under_a_higher_one(run, tmp_path, workers):
    given = {
        "conditions": ["random"],
        "goals": ["lit-with-rod"],
        "seeds": [1000, 1001, 1002],
        "workers": workers,
    }
    whole = run(tmp_path / "whole", **given)
    out = tmp_path / "budget"
    stopped = run(out, budgets=Budgets(run=Budget(seconds=0.02)), **given)
    assert not stopped.complete
    assert any("budget reached: seconds" in note for note in stopped.notes)
    with EventLog(out / "events.sqlite") as log:
        assert log.runs()[0].status == "stopped"
        steps = sum(isinstance(e, StepTaken) for e in log.events(NAME))
    assert run(out, budgets=Budgets(run=Budget(seconds=0.02)), **given).rows == stopped.rows, (
        "nothing was left to spend"
    )
    resumed = run(out, **given)
    assert without_times(resumed) == without_times(whole)
    with EventLog(out / "events.sqlite") as log:
        assert sum(isinstance(e, StepTaken) for e in log.events(NAME)) > steps
        assert log.runs()[0].status == "finished"


def test_an_episode_that_its_budget_pauses_counts_as_failed_until_it_goes_on(run, tmp_path):
    given = {"conditions": ["random"], "goals": ["lit-with-rod"], "seeds": [1000]}
    whole = run(tmp_path / "whole", **given)
    out = tmp_path / "paused"
    paused = run(out, budgets=Budgets(episode=Budget(seconds=1e-6)), **given)
    assert not paused.complete
    assert (paused.rows[0].n, paused.rows[0].successes, paused.rows[0].failures) == (1, 0, 1)
    assert "budget reached: seconds" in (paused.episodes[0].failure or "")
    assert any("1 of 1 episodes" in note for note in paused.notes)
    assert without_times(run(out, **given)) == without_times(whole)


def test_two_workers_play_the_same(run, tmp_path):
    assert without_times(run(tmp_path / "two", workers=2)) == without_times(run(tmp_path / "one"))


def test_another_configuration_is_refused_in_the_same_folder(run, tmp_path):
    run(tmp_path, goals=["lamp"], seeds=[1000], conditions=["random"])
    with pytest.raises(StoreError, match="seeds"):
        run(tmp_path, goals=["lamp"], seeds=[1001], conditions=["random"])
    with pytest.raises(StoreError, match="conditions"):
        run(tmp_path, goals=["lamp"], seeds=[1000], conditions=["replay"])


def test_a_removed_milestone_lowers_what_the_expert_alone_reaches(no_plots, reward_model_path, tmp_path):
    def success(folder, **changes):
        result = run_experiment(
            NAME, out=tmp_path / folder, seeds=range(1000, 1003), goals=["bird"],
            conditions=["expert-alone"], reward_model=reward_model_path, **changes,
        )  # fmt: skip
        return result.rows[0].successes, result.created_with.reward_model

    whole, whole_hash = success("whole")
    less, less_hash = success("less", without=["milestone:get-bird"])
    assert (whole, less) == (3, 0)
    assert whole_hash != less_hash
    with pytest.raises(UnknownNameError, match="milestone:get-bird"):
        success("unknown", without=["milestone:get-brid"])


def test_results_file_has_the_fields_that_were_promised(run, tmp_path):
    run(tmp_path, seeds=[1000], goals=["lamp"])
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert data["schema_version"] == "1"
    assert [row["condition"] for row in data["rows"]] == CHEAP
    promised = {
        "condition",
        "plan_success",
        "n",
        "interval",
        "score_mean",
        "interactions_mean",
        "handicaps",
        "usage",
    }
    for row in data["rows"]:
        assert promised <= set(row)
        assert row["interval"][0] <= row["plan_success"] <= row["interval"][1]
    assert len(data["episodes"]) == 3
    assert data["created_with"]["play_digest"]


def scripted(monkeypatch, model):
    monkeypatch.setattr(session, "make_model", lambda *a, **k: model)
    monkeypatch.setattr("lookalike.models.make_model", lambda *a, **k: model)


def test_best_of_four_stops_after_a_success(no_plots, monkeypatch, tmp_path):
    """The way to the lamp is typed at the second attempt; before that the player only looks."""
    way = iter(["enter", "get lamp"])
    asked = iter(range(10_000))

    def reply(prompt):
        return "look" if next(asked) < 20 else next(way)

    scripted(monkeypatch, ScriptedModel(reply))
    result = run_experiment(NAME, out=tmp_path, seeds=[1000], goals=["lamp"], conditions=["solo"])
    assert [(e.attempt, e.success, e.steps) for e in result.episodes] == [(0, False, 20), (1, True, 2)]
    first, best = result.rows
    assert (first.successes, first.n, best.successes, best.n) == (0, 1, 1, 1)
    assert best.interactions_mean == 22
    assert best.usage.calls == 22
    assert result.complete


@pytest.fixture
def dying(tmp_path, declare, monkeypatch, watched):
    """An experiment whose game ends its process at the second recorded command."""
    goals = tmp_path / "goals.yaml"
    goals.write_text(
        "format: lookalike-goals/1\nenvironment: test-dying\ngoals:\n"
        "  - {name: key, description: Take the key., success: [{fact: won, op: equals, value: true}],\n"
        "     step_limit: 9, complexity: 5}\n",
        encoding="utf-8",
    )
    entry = registry._Entry("test-dying", "lookalike.testing.environments:DyingEnvironment", "", goals)
    monkeypatch.setitem(registry._entries, "test-dying", entry)
    rooms = tuple(Observation(text=f"room {i}") for i in range(3))
    path = Trajectory(rooms, ("left", "abort"))
    seen = Demonstration("d", path, "human", Provenance("d.mp4", "jsonl", "0" * 64))
    monkeypatch.setattr(
        runner,
        "watch_play",
        lambda *a, **k: Watched(Path("d.mp4"), (seen,), watched.reward_model, Path("d.yaml"), (2,), 2, 2),
    )
    declare(
        ExperimentSpec(
            name="test/dying", description="", environment="test-dying", recording="adventure:2",
            seeds="1000-1001", conditions=("replay",),
        )
    )  # fmt: skip
    assert find_goal("test-dying", "key").complexity == 5


def test_a_game_that_dies_is_a_counted_failure_after_one_retry(dying, no_plots, tmp_path):
    out = tmp_path / "out"
    result = run_experiment("test/dying", out=out)
    (row,) = result.rows
    assert (row.n, row.successes, row.failures, row.unfinished) == (2, 0, 2, 0)
    assert all(e.failure and "EnvironmentDiedError" in e.failure for e in result.episodes)
    with EventLog(out / "events.sqlite") as log:
        events = list(log.events("test/dying"))
    assert sum(isinstance(e, EpisodeFailed) for e in events) == 2
    assert [e.step for e in events if isinstance(e, EnvironmentRestarted)] == [1, 1]
    assert result.complete
    assert "EnvironmentDiedError" in (out / "results.json").read_text(encoding="utf-8")


@pytest.mark.model
def test_real_model_plays_solo_and_swarm_with_expert(reward_model_path, monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "_response_cache", lambda store: str(tmp_path / "responses.sqlite"))
    # One attempt: the three others of `solo` cost a minute and show nothing more.
    once = {
        name: find_condition(name).model_copy(update={"attempts": 1}) for name in ("solo", "swarm+expert")
    }
    monkeypatch.setattr(resolved, "find_condition", once.__getitem__)
    given = {"seeds": [1000], "goals": ["lamp"], "conditions": ["solo", "swarm+expert"]}
    result = run_experiment(NAME, out=tmp_path / "a", reward_model=reward_model_path, **given)
    rows = {row.condition: row for row in result.rows}
    assert rows["swarm+expert"].plan_success == 1.0
    assert rows["swarm+expert"].usage.calls == 4 * rows["swarm+expert"].steps_mean
    assert rows["solo"].usage.calls > 0
    assert result.created_with.model
    assert {"results.json", "report.html", "rows.csv", "episodes.csv"} <= {
        p.name for p in (tmp_path / "a").iterdir()
    }
    # Again from the cache: the same play, and nothing computed.
    again = run_experiment(NAME, out=tmp_path / "b", reward_model=reward_model_path, **given)
    assert again.created_with.play_digest == result.created_with.play_digest
    assert sum(row.usage.computed_tokens for row in again.rows) == 0
