"""Pages of recordings: the play beside its video, its predicted progress, and the expert that watches it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lookalike.core.errors import LookalikeError, UsageError
from lookalike.core.types import Demonstration
from lookalike.environments import environment_ids
from lookalike.recordings import read_recording
from lookalike.recordings.visual_actions import ActionLog, find_actions
from lookalike.web import evidence, media, shown
from lookalike.web.library import VIDEOS, FoundFile
from lookalike.web.offered import screen_games
from lookalike.web.screen_play import waits_for_film
from lookalike.web.state import Dashboard
from lookalike.web.verdicts import scorers_of
from lookalike.web.watching import Training, others_of, watch_recording

_MOST_SHOWN_STEPS = 3_000
_CURVE_POINTS = 400


def recordings_page(dashboard: Dashboard, request: Request) -> Response:
    """Show the list of recordings."""
    del request
    rows = []
    for file in dashboard.library.recordings():
        video = file.path.suffix.lower() in VIDEOS
        text = evidence.text_of(file.path) if video else file.path
        rows.append({"file": file, "what": _what(file, video), "beside": _beside(file, video, text)})
    return dashboard.page("recordings.html.j2", rows=rows)


def _what(file: FoundFile, video: bool) -> str:
    return "video" if video else "actions, not filmed" if waits_for_film(file.path) else "text"


def _beside(file: FoundFile, video: bool, text: Path | None) -> str:
    """Return what is known besides the pictures, in words."""
    if text is not None:
        return "actions" if not video and waits_for_film(file.path) else "text"
    try:
        return "actions" if find_actions(file.path) is not None else "not read yet"
    except OSError:
        return "not read yet"


def recording_page(dashboard: Dashboard, request: Request) -> Response:
    """Show one recording: the video beside what was seen and done."""
    file = dashboard.library.recording(request.path_params["recording"])
    video = file.path.suffix.lower() in VIDEOS
    acted, demonstration, trouble, read_off = None, None, None, False
    try:
        acted = evidence.actions_of(file)
    except LookalikeError as error:
        trouble = f"{error.what} {error.remedy or ''}".strip()
    if acted is None and trouble is None:
        demonstration, trouble, read_off = evidence.demonstration_of(file)
    played = _played(demonstration, acted)
    models = []
    for candidate in dashboard.library.reward_models():
        try:
            model = dashboard.library.document(candidate)
        except LookalikeError:
            continue
        if played["environment"] == model.environment:
            own = demonstration is not None and any(r.id == demonstration.id for r in model.recordings)
            models.append((candidate, own))
    return dashboard.page(
        "recording.html.j2",
        file=file,
        video=video,
        duration=media.duration_of(file.path) if video else None,
        played=played if demonstration is not None or acted is not None else None,
        demonstration=demonstration,
        steps=_acted_steps(acted) if acted is not None else _steps(demonstration),
        left_out=max(0, played["steps"] - _MOST_SHOWN_STEPS),
        trouble=trouble,
        read_off=read_off,
        unfilmed=not video and acted is not None,
        models=sorted(models, key=lambda entry: not entry[1]),
        environments=_environments(),
        others=_others(dashboard, file, acted),
    )


def _others(dashboard: Dashboard, file: FoundFile, acted: ActionLog | None) -> int | None:
    """Return how many other plays of a game on the screen there are; ``None`` for a game of words."""
    environment = acted.said("environment") if acted is not None else None
    return None if environment is None else len(others_of(dashboard.library, file, environment))


def _played(demonstration: Demonstration | None, acted: ActionLog | None) -> dict[str, Any]:
    """Return what is known of who played what."""
    if demonstration is not None:
        return {
            "environment": demonstration.environment,
            "player_kind": demonstration.player_kind,
            "steps": len(demonstration.trajectory),
            "outcome": demonstration.outcome,
            "licence": demonstration.provenance.licence,
        }
    return {
        "environment": acted.said("environment") if acted is not None else None,
        "player_kind": (acted.player_kind() if acted is not None else None) or "human",
        "steps": len(acted.actions) if acted is not None else 0,
        "outcome": acted.said("outcome") if acted is not None else None,
        "licence": (acted.said("licence") if acted is not None else None) or "unknown",
    }


def _acted_steps(acted: ActionLog) -> list[dict[str, Any]]:
    """Return the actions of a play on the screen with their times, where the log says how fast it was."""
    said = acted.header.get("fps")
    paced = isinstance(said, int | float) and not isinstance(said, bool) and 0 < said <= 240
    fps = float(said) if paced and said is not None else 1.0
    rewards = acted.rewards or (None,) * len(acted.actions)
    return [
        {"number": i, "action": a, "text": None, "time": (i + 1) / fps if paced else None, "reward": r}
        for i, (a, r) in enumerate(zip(acted.actions, rewards, strict=True))
    ][:_MOST_SHOWN_STEPS]


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
    document = dashboard.library.reward_model(request.query_params.get("model", ""))
    model = dashboard.library.document(document)
    if evidence.actions_of(file) is not None:
        demonstration: Demonstration | None = read_recording(file.path)
        trouble = None
    else:
        demonstration, trouble, _ = evidence.demonstration_of(file)
    if demonstration is None:
        raise UsageError(trouble or "This recording's text has not been read yet.")
    scorer = scorers_of(model, document.path.parent)()
    scorer.start(demonstration.trajectory.observations[0])
    values: list[float] = []
    for transition in demonstration.trajectory.transitions():
        values.append(scorer.score(transition).value + (values[-1] if values else 0.0))
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


def _environments() -> tuple[str, ...]:
    return (*environment_ids(), *screen_games())


def watch(dashboard: Dashboard, request: Request) -> Any:
    """Let the expert watch a recording and write a reward model."""
    file = dashboard.library.recording(request.path_params["recording"])
    environment = request.state.body.get("environment")
    if environment is not None and environment not in _environments():
        raise UsageError("There is no such environment.", got=shown.line(environment))
    effort = request.state.body.get("effort", 1.0)
    if isinstance(effort, bool) or not isinstance(effort, int | float) or not 0.01 <= effort <= 20:
        raise UsageError(
            "This much is not trained.", got=shown.line(effort), expected="0.01 to 20, 1 for the usual"
        )
    training = Training(float(effort), others=request.state.body.get("others", True) is True)
    return dashboard.jobs.work(
        f"Watching {file.path.name}", lambda job: watch_recording(dashboard, file, environment, job, training)
    ).as_dict()


ROUTES = (
    ("/recordings", ["GET"], recordings_page),
    ("/recordings/{recording}", ["GET"], recording_page),
    ("/api/recordings/{recording}/video", ["GET"], video),
    ("/api/recordings/{recording}/picture", ["GET"], picture),
    ("/api/recordings/{recording}/progress", ["GET"], progress_of),
    ("/api/recordings/{recording}/watch", ["POST"], watch),
)
