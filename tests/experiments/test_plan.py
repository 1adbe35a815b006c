"""Plan mode: what counts as an error, and that the counts in plan.json are those of the log."""

from __future__ import annotations

import json

import pytest

from lookalike.experiments import run_experiment, runner, session
from lookalike.experiments.plan_errors import DEFINITION, PlanErrors, edit_distance, is_refusal
from lookalike.experiments.result_files import read_results
from lookalike.store import EventLog, StepTaken
from lookalike.testing.scripted_model import ScriptedModel

NAME = "plan/colossal-cave"


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        (("n", "s"), ("n", "s"), 0),
        (("n", "s"), (), 2),
        ((), ("n",), 1),
        (("n", "s", "e"), ("n", "e"), 1),
        (("s", "n"), ("n", "s"), 2),
        ((None, "s"), ("n", "s"), 1),
        ((None,), (None,), 1),
    ],
)
def test_edit_distance(first, second, distance):
    assert edit_distance(first, second) == distance


@pytest.mark.parametrize(
    ("reply", "refused"),
    [
        ("I DON'T KNOW THAT WORD.", True),
        ("WHAT?\n", True),
        ("TAKE WHAT?", True),
        ("What do you want to open?", True),
        ("OK", False),
        ("WITH WHAT?  YOUR BARE HANDS?", False),
        ("ARE YOU TRYING TO GET INTO THE BUILDING?", False),
        ("YOU'RE AT END OF ROAD AGAIN.", False),
        ("", False),
    ],
)
def test_refusals(reply, refused):
    assert is_refusal(reply) == refused


@pytest.fixture
def run(no_plots, watched, monkeypatch, tmp_path):
    """Return a function that plays plans which a script writes."""
    monkeypatch.setattr(runner, "watch_play", lambda *a, **k: watched)

    def go(script, out="out", **changes):
        model = ScriptedModel(script)
        monkeypatch.setattr(session, "make_model", lambda *a, **k: model)
        monkeypatch.setattr("lookalike.models.make_model", lambda *a, **k: model)
        folder = tmp_path / out
        given = {"seeds": [1000], "goals": ["lamp"], "conditions": ["plan"]}
        result = run_experiment(NAME, out=folder, **(given | changes))
        data = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        return result, PlanErrors.model_validate(data), model

    return go


def test_every_kind_of_error_is_counted(run):
    result, errors, model = run(["", "get keys", "enter"])
    (plan,) = errors.plans
    assert plan.plan == (None, "get keys", "enter")
    assert (plan.commands, plan.no_action, plan.refused, plan.errors) == (3, 1, 1, 2)
    # brief, enter, get lamp: the first is replaced, `get keys` inserted, `get lamp` is missing.
    assert plan.edit_distance == 3
    assert not plan.reached
    assert len(model.requests) == 3
    (row,) = result.rows
    assert (row.usage.calls, row.steps_mean, row.executability) == (3, 3.0, pytest.approx(2 / 3))


def test_a_right_plan_has_no_errors_and_other_spellings_are_the_same_command(run):
    _, errors, _ = run(["brief", "enter", "take lantern"])
    assert (errors.plans[0].errors, errors.plans[0].edit_distance, errors.plans[0].reached) == (0, 0, True)
    _, errors, _ = run(["brief", "enter", "look"], "missed")
    assert (errors.plans[0].errors, errors.plans[0].edit_distance) == (0, 1)


def test_the_plan_ends_after_the_commands_the_person_needed(run):
    _, errors, model = run(lambda _: "look", goals=["lit-with-rod"])
    assert len(errors.plans[0].plan) == len(model.requests) == 6
    assert errors.plans[0].edit_distance == 6


def test_with_the_expert_its_first_commands_are_shown(run, watched):
    _, _, model = run(lambda _: "look", conditions=["plan", "plan+expert"])
    alone, told = str(model.requests[0].prompt), str(model.requests[3].prompt)
    assert "> get lamp" not in alone
    assert "> brief\n> enter\n> get lamp\n> look\n" in told
    assert "> xyzzy" not in told, "no more than the plan's length is shown"


def test_means_intervals_and_notes(run):
    given = {"seeds": range(1000, 1005), "goals": ["lamp", "lit-with-rod"], "conditions": ["plan", "replay"]}
    result, errors, _ = run({"get keys": 1.0, "enter": 1.0, "xyzzy": 1.0}, **given)
    plan, replay = errors.conditions
    assert (plan.n, plan.commands) == (10, (3, 6))
    mine = [p for p in errors.plans if p.condition == "plan"]
    assert plan.errors == pytest.approx(sum(p.errors for p in mine) / 10)
    assert plan.errors_interval[0] <= plan.errors <= plan.errors_interval[1]
    # Blind replay is the floor of the count: what a person typed is refused nowhere on the way to the lamp.
    assert (replay.errors, replay.edit_distance, replay.reached) == (0, 0, 10)
    assert [(g.condition, g.goal, g.n) for g in errors.goals][:2] == [
        ("plan", "lamp", 5),
        ("plan", "lit-with-rod", 5),
    ]
    assert DEFINITION in result.notes
    (sentence,) = [note for note in result.notes if note.startswith("plan:")]
    assert f"{plan.errors:.1f} errors a plan (" in sentence
    assert "n = 10 plans of K = 3 to 6 commands" in sentence
    assert not any("Every language-model row" in note for note in result.notes)


def test_counts_are_those_of_the_log(run, tmp_path):
    _, errors, _ = run({"get keys": 1.0, "enter": 1.0, "": 1.0}, goals=["bird"])
    with EventLog(tmp_path / "out" / "events.sqlite") as log:
        steps = [e for e in log.events(NAME) if isinstance(e, StepTaken)]
    assert errors.plans[0].plan == tuple(step.decision for step in steps)
    assert errors.plans[0].no_action == sum(step.decision is None for step in steps) > 0
    assert read_results(tmp_path / "out" / "results.json").notes


def test_without_plans_there_is_no_plan_file(run, tmp_path):
    run_experiment(NAME, out=tmp_path / "none", seeds=[1000], goals=["lamp"], conditions=["replay"])
    assert not (tmp_path / "none" / "plan.json").exists()
