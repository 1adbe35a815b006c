"""Pages of reward models: the document with its evidence, tried on stored episodes, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lookalike.core.errors import LookalikeError, UsageError
from lookalike.rewards import RewardModel
from lookalike.web import evidence, shown
from lookalike.web.graph import layout
from lookalike.web.library import FoundFile
from lookalike.web.pages_runs import number_of
from lookalike.web.state import Dashboard

_MOST_RUNS = 30
_MOST_EPISODES = 400
_LARGEST_PICTURE = 4_000_000
_ORDER = {"milestone": 1, "rule": 2, "hazard": 3, "pathway": 4}


def rewards_page(dashboard: Dashboard, request: Request) -> Response:
    """Show the list of reward models."""
    del request
    rows = []
    for file in dashboard.library.reward_models():
        try:
            model, trouble = dashboard.library.document(file), None
        except LookalikeError as error:
            model, trouble = None, error.what
        rows.append((file, model, trouble))
    return dashboard.page("rewards.html.j2", rows=rows)


def reward_page(dashboard: Dashboard, request: Request) -> Response:
    """Show one reward model."""
    file = dashboard.library.reward_model(request.path_params["model"])
    model = dashboard.library.document(file)
    others = [f for f in dashboard.library.reward_models() if f.key != file.key]
    found = evidence.sources(dashboard.library, file, model)
    return dashboard.page(
        "reward.html.j2",
        file=file,
        model=model,
        graph=layout(model.milestones),
        sources={s.id: s for s in found},
        runs=_runs_under(dashboard, model),
        others=others,
        content_hash=model.content_hash(),
        pictures=[i for i in range(len(model.milestones)) if _picture_path(file, model, i) is not None],
    )


def _runs_under(dashboard: Dashboard, model: RewardModel) -> list[dict[str, Any]]:
    """Return runs of the model's environment, those played under this very document first."""
    content_hash = model.content_hash()
    found = []
    for run in dashboard.library.runs()[:_MOST_RUNS]:
        try:
            configuration = run.log.configuration(run.run_id)
        except LookalikeError:
            continue
        if configuration.get("environment") == model.environment:
            found.append({"run": run, "own": configuration.get("reward_model") == content_hash})
    return sorted(found, key=lambda entry: not entry["own"])


def episodes_of_run(dashboard: Dashboard, request: Request) -> Any:
    """Answer the episodes of a run that verdicts can be computed for, those that have stored ones first."""
    run = dashboard.library.run(request.path_params["run"])
    entries = [e for e in run.browser.episodes(run.run_id, limit=_MOST_EPISODES) if e.started]
    conditions = run.log.configuration(run.run_id).get("conditions", ())
    scored = {c.get("name") for c in conditions if isinstance(c, dict) and c.get("reward") == "reward model"}
    entries.sort(key=lambda e: e.key.condition not in scored)
    return [
        {"number": e.number, "name": shown.line(f"{e.key.goal}, seed {e.key.seed}, {e.key.condition}", 120)}
        for e in entries
    ]


def verdicts(dashboard: Dashboard, request: Request) -> Any:
    """Answer what the model says of a stored episode with parts switched off."""
    file = dashboard.library.reward_model(request.path_params["model"])
    body = request.state.body
    without = body.get("without", [])
    if not isinstance(without, list) or not all(isinstance(name, str) for name in without):
        raise UsageError(
            "Which parts are switched off is a list of names.", expected='"without": ["setback"]'
        )
    run = dashboard.library.run(str(body.get("run")))
    number = number_of(str(body.get("episode")))
    return dashboard.rescorer.verdicts(
        run,
        number,
        dashboard.library.document(file),
        list(dict.fromkeys(without)),
        folder=file.path.parent,
        files=dashboard.library.files_of(run),
    )


def thumbnail(dashboard: Dashboard, request: Request) -> Response:
    """Answer the picture of a milestone, which lies below the document's folder."""
    file = dashboard.library.reward_model(request.path_params["model"])
    path = _picture_path(file, dashboard.library.document(file), number_of(request.path_params["number"]))
    try:
        if path is None:
            raise OSError
        with path.open("rb") as opened:
            data = opened.read(_LARGEST_PICTURE)
    except OSError:
        raise HTTPException(404, "There is no such picture.") from None
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise HTTPException(404, "This file is no picture.")
    return Response(data, media_type="image/png")


def _picture_path(file: FoundFile, model: RewardModel, number: int) -> Path | None:
    """Return where a milestone's picture is, if it is below the document's folder and there."""
    named = model.milestones[number].thumbnail if number < len(model.milestones) else None
    if named is None:
        return None
    path, folder = file.path.parent / named, file.path.parent.resolve()
    try:
        return path if folder in path.resolve().parents and path.is_file() else None
    except (OSError, ValueError):
        return None


def difference_page(dashboard: Dashboard, request: Request) -> Response:
    """Show in what two reward models differ."""
    keys = [request.path_params["model"], request.query_params.get("other", "")]
    files = [dashboard.library.reward_model(key) for key in keys]
    models = [dashboard.library.document(file) for file in files]
    return dashboard.page("difference.html.j2", files=files, models=models, changes=differences(*models))


def differences(one: RewardModel, other: RewardModel) -> list[dict[str, Any]]:
    """Return the parts that two documents do not have alike: weights first, pathways last."""
    first, second = dict(one.components()), dict(other.components())
    found = []
    names = [*first, *(n for n in second if n not in first)]
    for name in sorted(names, key=lambda n: _ORDER.get(n.partition(":")[0], 0)):
        before, after = first.get(name), second.get(name)
        if before == after:
            continue
        kind = "added" if name not in first else "removed" if name not in second else "changed"
        found.append(
            {"name": name, "kind": kind, "fields": _fields(before, after) if kind == "changed" else []}
        )
    return found


def _fields(before: Any, after: Any) -> list[tuple[str, str, str]]:
    if not hasattr(before, "model_dump"):
        return [("weight", str(before), str(after))]
    one, two = before.model_dump(mode="json"), after.model_dump(mode="json")
    return [(name, *_unlike(one[name], two[name])) for name in one if one[name] != two.get(name)]


def _unlike(before: Any, after: Any) -> tuple[str, str]:
    """Return two values in words; of two lists only what the other one has not."""
    if isinstance(before, list) and isinstance(after, list):
        gone = [item for item in before if item not in after]
        new = [item for item in after if item not in before]
        if gone or new:  # otherwise only the order differs
            return _words(gone), _words(new)
    return _words(before), _words(after)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        said = ((name, _words(part)) for name, part in value.items() if part not in (None, False, [], ""))
        return ", ".join(f"{name}: {words}" for name, words in said)
    if isinstance(value, list):
        return ("; " if any(isinstance(item, dict) for item in value) else ", ").join(map(_words, value))
    return "" if value is None else str(value)


ROUTES = (
    ("/reward-models", ["GET"], rewards_page),
    ("/reward-models/{model}", ["GET"], reward_page),
    ("/reward-models/{model}/difference", ["GET"], difference_page),
    ("/api/reward-models/{model}/thumbnails/{number}", ["GET"], thumbnail),
    ("/api/reward-models/{model}/verdicts", ["POST"], verdicts),
    ("/api/runs/{run}/episodes", ["GET"], episodes_of_run),
)
