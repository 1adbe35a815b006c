"""The page from which a run is started: which games, goals and conditions can be chosen, and how it begins.

A run of a game that has an experiment is that experiment with fewer goals and seeds. Any other game is played
under a reward model that was learned from pictures, as an experiment file says it, which stays in the run's
folder: so `lookalike runs resume` and `lookalike experiment run` go on with it like with any other.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import Response

from lookalike.core.errors import LookalikeError, UsageError
from lookalike.environments import load_goals
from lookalike.environments.levels import FIRST_EVALUATION_LEVEL, has_levels, require_part
from lookalike.experiments import find_condition, find_experiment, list_experiments
from lookalike.experiments.conditions import Condition
from lookalike.experiments.experiment_files import FORMAT
from lookalike.experiments.procgen import procgen_spec
from lookalike.rewards import RewardModel
from lookalike.web import offered, shown
from lookalike.web.jobs import new_folder
from lookalike.web.library import FoundFile, key_of
from lookalike.web.state import Dashboard

MOST_SEEDS = 200
_FIRST_SEED = 1000
_IMITATES = frozenset({"mimic", "lookahead"})
_NEEDS_A_RECORDING = frozenset({"replay", "plan"})
_SUGGESTED = (
    (("solo", "swarm+expert"), ("solo", "swarm")),
    (("mimic", "mimic-swarm+expert"), ("random",)),
)
"""Conditions that are ticked at first, with a reward model and without: of words, and of pictures."""


def start_page(dashboard: Dashboard, request: Request) -> Response:
    """Show the form from which a run, or a council with a person in it, is started."""
    models = _models(dashboard)
    chosen = request.query_params.get("reward_model")
    environment = next((m.environment for f, m in models if f.key == chosen), None)
    environment = environment or request.query_params.get("environment")
    experiments = _experiments()
    playable = [*experiments, *(e for e in offered.games_with_goals() if e not in experiments)]
    if environment not in playable:
        environment = next((m.environment for _, m in models if m.environment in playable), playable[0])
    fitting = [(f, m) for f, m in models if m.environment == environment]
    if chosen is None and fitting:
        chosen = fitting[0][0].key
    conditions = _conditions(environment, pictures=any(m.visual is not None for _, m in fitting))
    with_model, without_model = _SUGGESTED[environment not in experiments]
    first = FIRST_EVALUATION_LEVEL if has_levels(environment) else _FIRST_SEED
    return dashboard.page(
        "start.html.j2",
        environment=environment,
        environments=playable,
        experiment=find_experiment(experiments[environment]) if environment in experiments else None,
        goals=load_goals(environment),
        conditions=[(c, needs_a_reward_model(c)) for c in conditions],
        suggested=with_model if chosen else without_model,
        first=[c.name for c in conditions if c.kind != "control"],
        models=[f for f, _ in fitting],
        chosen=chosen,
        without=models and not fitting,
        seed=first,
        on_screen=environment in offered.screen_games(),
        imitators=any(m.visual is not None for _, m in fitting),
    )


def needs_a_reward_model(condition: Condition) -> bool:
    """Return whether a condition cannot be played without one; imitators need its weights."""
    return condition.config().needs_reward_model or condition.player in _IMITATES


def _models(dashboard: Dashboard) -> list[tuple[FoundFile, RewardModel]]:
    """Return the reward models that can be read, the newest first."""
    found = []
    for file in dashboard.library.reward_models():
        try:
            found.append((file, dashboard.library.document(file)))
        except LookalikeError:
            continue
    return found


def _experiments() -> dict[str, str]:
    """Return for each environment the experiment that a run of a few goals is made from: the smallest one."""
    found: dict[str, str] = {}
    for spec in list_experiments():
        if spec.environment not in found or spec.name.startswith("demo/"):
            found[spec.environment] = spec.name
    return found


def _conditions(environment: str, *, pictures: bool) -> list[Condition]:
    """Return the conditions that can be played without a recording of the run's own.

    Args:
        environment: Environment id.
        pictures: A reward model of it was learned from pictures.
    """
    specs = [spec for spec in list_experiments() if spec.environment == environment]
    names = [name for spec in specs for name in spec.conditions]
    if not specs and pictures:
        names = list(procgen_spec().conditions)
    found = [find_condition(name) for name in dict.fromkeys(names)]
    return [condition for condition in found if condition.player not in _NEEDS_A_RECORDING]


def start_run(dashboard: Dashboard, request: Request) -> Any:
    """Start a run in a process of its own."""
    body = request.state.body
    environment = str(body.get("environment"))
    model = document = None
    if body.get("reward_model"):
        model = dashboard.library.reward_model(str(body["reward_model"]))
        document = dashboard.library.document(model)
    pictures = document is not None and document.visual is not None and document.environment == environment
    experiments = _experiments()
    if environment not in experiments and not (pictures and environment in offered.games_with_goals()):
        raise UsageError(
            "No experiment is played in this environment without a reward model learned from its pictures.",
            got=shown.line(environment),
            remedy="record plays of it, and let the expert watch them",
        )
    goals = _chosen(body, "goals", [g.name for g in load_goals(environment)])
    known = [c.name for c in _conditions(environment, pictures=pictures)]
    conditions = _chosen(body, "conditions", known)
    seeds = str(body.get("seeds", "")).replace(" ", "")
    levels = _seeds(seeds)
    if has_levels(environment):
        require_part(levels, "evaluation")
    if model is None and any(needs_a_reward_model(find_condition(c)) for c in conditions):
        raise UsageError(
            "A condition with the expert needs a reward model.",
            got=", ".join(conditions),
            remedy="choose a reward model, or conditions without the expert (solo, swarm, random)",
        )
    folder = new_folder(dashboard.library.folder, f"{environment.partition(':')[0]}-run")
    name = experiments.get(environment)
    if name is None:
        assert model is not None  # noqa: S101 - of pictures
        name = str(_write_experiment(folder, environment, model.path, goals, conditions))
    arguments = ["experiment", "run", name, "--seeds", seeds]
    arguments += ["--goals", ",".join(goals), "--conditions", ",".join(conditions)]
    if model is not None:
        arguments += ["--reward-model", str(model.path)]
    arguments += ["--out", str(folder), "--run", folder.name]
    run_key = key_of(str(folder / "events.sqlite"), folder.name)
    job = dashboard.jobs.run(
        f"Run {folder.name}",
        arguments,
        log=folder / "dashboard.log",
        done=lambda: ("finished", f"/runs/{run_key}"),
    )
    job.link, job.run = "See the run", run_key
    return {**job.as_dict(), "run": run_key}


def _write_experiment(
    folder: Path, environment: str, model: Path, goals: list[str], conditions: list[str]
) -> Path:
    """Write what is played as an experiment file; return it."""
    said = {
        "format": FORMAT,
        "name": folder.name,
        "description": "started in the dashboard",
        "environment": environment,
        "reward_model": os.path.relpath(model, folder),  # the whole folder may be moved
        "goals": goals,
        "seeds": str(FIRST_EVALUATION_LEVEL if has_levels(environment) else _FIRST_SEED),
        "conditions": conditions,
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def run_there(dashboard: Dashboard, request: Request) -> Any:
    """Answer whether a run that was started has written its first event."""
    key = request.path_params["run"]
    dashboard.library.forget()
    return {"there": any(run.key == key for run in dashboard.library.runs())}


def _chosen(body: dict[str, Any], what: str, known: list[str]) -> list[str]:
    names = body.get(what)
    if not isinstance(names, list) or not names or not all(name in known for name in names):
        raise UsageError(
            f"Choose at least one of the {what}.", got=shown.line(names), expected=", ".join(known)
        )
    return list(dict.fromkeys(names))


def _seeds(text: str) -> list[int]:
    """Read seeds as `--seeds` takes them: ``1000-1002``, ``7``, ``1,5,9``."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not all(
            p.isascii() and p.isdigit() and len(p) < 10 for p in ((first, last) if dash else (first,))
        ):
            raise UsageError("Seeds are written as 1000-1002, 7, or 1,5,9.", got=shown.line(text))
        count = int(last) - int(first) + 1 if dash else 1
        if not 0 < count <= MOST_SEEDS - len(found):
            raise UsageError(
                "Too many or too few seeds.", got=shown.line(text), expected=f"1 to {MOST_SEEDS}"
            )
        found += range(int(first), int(first) + count)
    return found


ROUTES = (
    ("/start", ["GET"], start_page),
    ("/api/start", ["POST"], start_run),
    ("/api/runs/{run}/there", ["GET"], run_there),
)
