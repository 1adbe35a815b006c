"""Pages on which somebody plays: a game by keyboard that is recorded, a council with a person in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lookalike.core.errors import UsageError
from lookalike.web import offered, screen_play, shown
from lookalike.web.jobs import Job
from lookalike.web.library import key_of
from lookalike.web.recorder import make_video
from lookalike.web.state import Dashboard

_LONG_POLL_S = 15.0


def play_page(dashboard: Dashboard, request: Request) -> Response:
    """Show the page on which a game is played by keyboard."""
    del request
    return dashboard.page(
        "play.html.j2",
        typed=offered.typed_games(),
        on_screen=offered.screen_games(),
        missing=offered.missing_families(),
        asked=dashboard.asked,
    )


def start_game(dashboard: Dashboard, request: Request) -> Any:
    """Start a game that is recorded."""
    body = request.state.body
    seed = body.get("seed", 1)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise UsageError("A seed is a whole number from 0.", got=shown.line(seed))
    environment, asked = str(body.get("environment")), dashboard.asked
    log = None
    if asked is not None and asked.environment == environment and not asked.log.exists():
        log = asked.log
    game = dashboard.games.start(
        environment, seed=seed, licence=str(body.get("licence") or "unknown"), log=log
    )
    return {
        **game.state(),
        "how_to_play": shown.text(game.environment.how_to_play, 4000),
        "keys": screen_play.keys_for(game.actions()) if game.on_screen else None,
    }


def command(dashboard: Dashboard, request: Request) -> Any:
    """Play a command of a game."""
    body = request.state.body
    typing = body.get("typing_s", 0.0)
    seconds = float(typing) if isinstance(typing, int | float) and 0 <= typing < 1e6 else 0.0
    game = dashboard.games.command(
        request.path_params["game"], str(body.get("command", "")), typing_s=seconds
    )
    return game.state(since=len(game.turns) - 1)


def game_frame(dashboard: Dashboard, request: Request) -> Response:
    """Answer what is on a game's screen."""
    return _picture(dashboard.games.game(request.path_params["game"]).frame)


def _picture(found: tuple[bytes, str] | None) -> Response:
    if found is None:
        raise HTTPException(404, "There is no picture to look at.")
    return Response(found[0], media_type=found[1])


def game_state(dashboard: Dashboard, request: Request) -> Any:
    """Answer a game that is being played: for a page that was opened again."""
    return dashboard.games.game(request.path_params["game"]).state()


def finish(dashboard: Dashboard, request: Request) -> Any:
    """End a game; its recording is kept and its video drawn."""
    game = dashboard.games.finish(request.path_params["game"])
    log, commands = game.log.path, len(game.turns) - 1
    if commands == 0:
        return {"kept": False}
    job = _make_video(dashboard, log, f"{commands} commands recorded", played=game.asked)
    if dashboard.asked is not None and dashboard.asked.log == log:
        dashboard.asked.filming = lambda: job.state == "running"
    found = dashboard.library.found_file(log)
    return {
        "kept": True,
        "commands": commands,
        "file": log.name,
        "job": job.key,
        "recording": found.key if found is not None else None,
        "video": _key_of_video(log),
        "on_screen": game.on_screen,
    }


def _key_of_video(log: Path) -> str:
    return key_of(str(log.with_suffix(".mp4").resolve()))


def _make_video(dashboard: Dashboard, log: Path, words: str, *, played: str | None = None) -> Job:
    def work(job: Job) -> tuple[str, str]:
        def advance(fraction: float) -> None:
            job.fraction, job.words = fraction, "making the video"

        make_video(log, advance, played=played)
        job.link = "See the recording"
        return words, f"/recordings/{_key_of_video(log)}"

    return dashboard.jobs.work(f"Recording {log.name}", work)


def film(dashboard: Dashboard, request: Request) -> Any:
    """Make the video of a recording that has only its actions: its play was cut off."""
    file = dashboard.library.recording(request.path_params["recording"])
    if not screen_play.waits_for_film(file.path):
        raise UsageError("This recording needs no film.", got=shown.line(file.name))
    return _make_video(dashboard, file.path, "filmed").as_dict()


def job_state(dashboard: Dashboard, request: Request) -> Any:
    """Answer how far a job is."""
    return dashboard.jobs.job(request.path_params["job"]).as_dict()


def stop_job(dashboard: Dashboard, request: Request) -> Any:
    """Ask a run to stop."""
    return dashboard.jobs.stop(request.path_params["job"]).as_dict()


def start_council(dashboard: Dashboard, request: Request) -> Any:
    """Begin a run with a person among its members."""
    body = request.state.body
    model = None
    if body.get("reward_model"):
        model = dashboard.library.reward_model(str(body["reward_model"])).path
    seed = body.get("seed", 1)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise UsageError("A seed is a whole number from 0.", got=shown.line(seed))
    council = dashboard.councils.start(
        str(body.get("environment")),
        goal=str(body.get("goal")),
        seed=seed,
        members=str(body.get("members", "llm")),
        reward_model=model,
        recommendation=bool(body.get("recommendation", True)),
    )
    return council.as_dict(after=-1)


def take_seat(dashboard: Dashboard, request: Request) -> Any:
    """Sit down in the councils of a run that goes on."""
    return dashboard.councils.join(dashboard.library.run(request.path_params["run"])).as_dict(after=-1)


def council_page(dashboard: Dashboard, request: Request) -> Response:
    """Show a council to its human member."""
    council = dashboard.councils.council(request.path_params["council"])
    return dashboard.page("council.html.j2", council=council)


def council_state(dashboard: Dashboard, request: Request) -> Any:
    """Answer a council's state as soon as it is newer than ``?after=N``."""
    council = dashboard.councils.council(request.path_params["council"])
    after = request.query_params.get("after", "-1")
    seen = int(after) if after.lstrip("-").isdigit() and len(after) < 10 else -1
    return council.as_dict(after=seen, patience_s=_LONG_POLL_S)


def council_frame(dashboard: Dashboard, request: Request) -> Response:
    """Answer the picture that the person is asked about."""
    return _picture(dashboard.councils.council(request.path_params["council"]).frame)


def propose(dashboard: Dashboard, request: Request) -> Any:
    """Give the person's proposal."""
    key = request.path_params["council"]
    return dashboard.councils.propose(key, str(request.state.body.get("action", ""))).as_dict(after=-1)


def leave(dashboard: Dashboard, request: Request) -> Any:
    """Leave a council."""
    return dashboard.councils.leave(request.path_params["council"]).as_dict(after=-1)


ROUTES = (
    ("/play", ["GET"], play_page),
    ("/api/games", ["POST"], start_game),
    ("/api/games/{game}", ["GET"], game_state),
    ("/api/games/{game}/command", ["POST"], command),
    ("/api/games/{game}/finish", ["POST"], finish),
    ("/api/games/{game}/frame", ["GET"], game_frame),
    ("/api/recordings/{recording}/film", ["POST"], film),
    ("/api/jobs/{job}", ["GET"], job_state),
    ("/api/jobs/{job}/stop", ["POST"], stop_job),
    ("/api/councils", ["POST"], start_council),
    ("/api/runs/{run}/seat", ["POST"], take_seat),
    ("/councils/{council}", ["GET"], council_page),
    ("/api/councils/{council}", ["GET"], council_state),
    ("/api/councils/{council}/frame", ["GET"], council_frame),
    ("/api/councils/{council}/propose", ["POST"], propose),
    ("/api/councils/{council}/leave", ["POST"], leave),
)
