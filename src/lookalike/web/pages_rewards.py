"""Pages of reward models and recordings: the document with its evidence, and the play it was read off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lookalike.core.errors import LookalikeError, UsageError
from lookalike.core.types import Demonstration
from lookalike.environments import environment_ids
from lookalike.experts import make_expert
from lookalike.recordings import read_recording, write_jsonl
from lookalike.rewards import RewardModel, save_reward_model
from lookalike.rewards.validation import score_play
from lookalike.web import evidence, media, shown
from lookalike.web.graph import layout
from lookalike.web.jobs import Job
from lookalike.web.library import VIDEOS, FoundFile
from lookalike.web.pages_runs import number_of
from lookalike.web.state import Dashboard

MODELS_FOLDER = "reward-models"
_MOST_RUNS = 30
_MOST_EPISODES = 400
_MOST_SHOWN_STEPS = 3_000
_CURVE_POINTS = 400


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
    """Answer the episodes of a run that verdicts can be computed for."""
    run = dashboard.library.run(request.path_params["run"])
    return [
        {"number": e.number, "name": shown.line(f"{e.key.goal}, seed {e.key.seed}, {e.key.condition}", 120)}
        for e in run.browser.episodes(run.run_id, limit=_MOST_EPISODES)
        if e.started
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
        run, number, dashboard.library.document(file), list(dict.fromkeys(without))
    )


def difference_page(dashboard: Dashboard, request: Request) -> Response:
    """Show in what two reward models differ."""
    keys = [request.path_params["model"], request.query_params.get("other", "")]
    files = [dashboard.library.reward_model(key) for key in keys]
    models = [dashboard.library.document(file) for file in files]
    return dashboard.page("difference.html.j2", files=files, models=models, changes=differences(*models))


def differences(one: RewardModel, other: RewardModel) -> list[dict[str, Any]]:
    """Return the parts that two documents do not have alike, in the documents' order."""
    first, second = dict(one.components()), dict(other.components())
    found = []
    for name in [*first, *(n for n in second if n not in first)]:
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
    return [(name, str(one[name]), str(two[name])) for name in one if one[name] != two.get(name)]


def recordings_page(dashboard: Dashboard, request: Request) -> Response:
    """Show the list of recordings."""
    del request
    rows = []
    for file in dashboard.library.recordings():
        video = file.path.suffix.lower() in VIDEOS
        text = evidence.text_of(file.path) if video else file.path
        rows.append({"file": file, "video": video, "text": text is not None})
    return dashboard.page("recordings.html.j2", rows=rows)


def recording_page(dashboard: Dashboard, request: Request) -> Response:
    """Show one recording: the video beside what was seen and done."""
    file = dashboard.library.recording(request.path_params["recording"])
    demonstration, trouble, read_off = evidence.demonstration_of(file)
    video = file.path.suffix.lower() in VIDEOS
    models = []
    for candidate in dashboard.library.reward_models():
        try:
            model = dashboard.library.document(candidate)
        except LookalikeError:
            continue
        if demonstration is not None and model.environment == demonstration.environment:
            models.append((candidate, any(r.id == demonstration.id for r in model.recordings)))
    return dashboard.page(
        "recording.html.j2",
        file=file,
        video=video,
        duration=media.duration_of(file.path) if video else None,
        demonstration=demonstration,
        steps=_steps(demonstration),
        left_out=max(0, len(demonstration.trajectory) - _MOST_SHOWN_STEPS) if demonstration else 0,
        trouble=trouble,
        read_off=read_off,
        models=sorted(models, key=lambda entry: not entry[1]),
        environments=environment_ids(),
    )


def _steps(demonstration: Demonstration | None) -> list[dict[str, Any]]:
    if demonstration is None:
        return []
    trajectory = demonstration.trajectory
    times = trajectory.times or (None,) * len(trajectory.observations)
    actions: list[str | None] = [None, *trajectory.actions]
    rewards: list[float | None] = [None, *(trajectory.rewards or (None,) * len(trajectory))]
    return [
        {"number": i - 1, "action": actions[i], "text": o.text, "time": times[i], "reward": rewards[i]}
        for i, o in enumerate(trajectory.observations[: _MOST_SHOWN_STEPS + 1])
    ]


def progress_of(dashboard: Dashboard, request: Request) -> Any:
    """Answer what a reward model says of a recording: the summed verdict after each step, with its time."""
    file = dashboard.library.recording(request.path_params["recording"])
    model = dashboard.library.document(dashboard.library.reward_model(request.query_params.get("model", "")))
    demonstration, trouble, _ = evidence.demonstration_of(file)
    if demonstration is None:
        raise UsageError(trouble or "This recording's text has not been read yet.")
    values = score_play(model, file.name, demonstration.trajectory).values
    times = demonstration.trajectory.times or tuple(float(i) for i in range(len(values) + 1))
    each = max(1, len(values) // _CURVE_POINTS)
    return {
        "points": [
            [times[i + 1], value] for i, value in enumerate(values) if i % each == 0 or i == len(values) - 1
        ],
        "values": [round(v, 4) for v in values[:_MOST_SHOWN_STEPS]],
    }


def video(dashboard: Dashboard, request: Request) -> Response:
    """Answer a recording's video, by ranges."""
    file = _video(dashboard, request)
    return media.video_response(file.path, request.headers.get("range"))


def picture(dashboard: Dashboard, request: Request) -> Response:
    """Answer one picture of a recording's video (``?t=12.5``)."""
    file = _video(dashboard, request)
    try:
        time_s = min(max(float(request.query_params.get("t", "0")), 0.0), 1e6)
    except ValueError:
        raise HTTPException(404, "There is no such moment.") from None
    return Response(media.frame_at(file.path, time_s), media_type="image/jpeg")


def _video(dashboard: Dashboard, request: Request) -> FoundFile:
    file = dashboard.library.recording(request.path_params["recording"])
    if file.path.suffix.lower() not in VIDEOS:
        raise HTTPException(404, "This recording has no video.")
    return file


def watch(dashboard: Dashboard, request: Request) -> Any:
    """Let the expert watch a recording and write a reward model."""
    file = dashboard.library.recording(request.path_params["recording"])
    environment = request.state.body.get("environment")
    if environment is not None and environment not in environment_ids():
        raise UsageError("There is no such environment.", got=shown.line(environment))
    return dashboard.jobs.work(
        f"Watching {file.path.name}", lambda job: watch_recording(dashboard, file, environment, job)
    ).as_dict()


def watch_recording(
    dashboard: Dashboard, file: FoundFile, environment: str | None, job: Job
) -> tuple[str, str]:
    """Read a recording, let the expert watch it, and keep what it writes.

    Returns:
        What came of it, and where it is shown.
    """
    demonstration, trouble, _ = evidence.demonstration_of(file)
    if trouble is not None:
        raise UsageError(trouble)
    if demonstration is None:
        job.words = "reading the video"

        def advance(fraction: float) -> None:
            job.fraction = fraction

        demonstration = read_recording(file.path, environment=environment, progress=advance)
        read = file.path.parent / "demonstration.jsonl"
        if not read.exists():
            write_jsonl(demonstration, read)
    played = demonstration.environment or environment
    if played is None:
        raise UsageError("The recording does not say what was played.", remedy="name the environment")
    job.words = "the expert watches"
    model = make_expert("embedded-text").watch([demonstration], environment=played)
    folder = dashboard.library.folder / MODELS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = _free(folder, file.path.stem)
    save_reward_model(model, path)
    dashboard.library.forget()
    found = dashboard.library.found_file(path)
    job.link = "Read the reward model"
    words = (
        f"{len(model.milestones)} milestones, {len(model.rules)} rules and {len(model.hazards)} hazards from "
        f"{len(demonstration.trajectory)} commands"
    )
    return words, f"/reward-models/{found.key}" if found is not None else "/reward-models"


def _free(folder: Path, stem: str) -> Path:
    number = 1
    while (path := folder / (f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")).exists():
        number += 1
    return path


ROUTES = (
    ("/reward-models", ["GET"], rewards_page),
    ("/reward-models/{model}", ["GET"], reward_page),
    ("/reward-models/{model}/difference", ["GET"], difference_page),
    ("/api/reward-models/{model}/verdicts", ["POST"], verdicts),
    ("/api/runs/{run}/episodes", ["GET"], episodes_of_run),
    ("/recordings", ["GET"], recordings_page),
    ("/recordings/{recording}", ["GET"], recording_page),
    ("/api/recordings/{recording}/video", ["GET"], video),
    ("/api/recordings/{recording}/picture", ["GET"], picture),
    ("/api/recordings/{recording}/progress", ["GET"], progress_of),
    ("/api/recordings/{recording}/watch", ["POST"], watch),
)
