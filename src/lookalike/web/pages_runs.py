"""Pages of runs: the list, one run with its table and plots, one episode as a replay."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lookalike.core.errors import StoreError
from lookalike.experiments.report import view
from lookalike.experiments.report.paper import published
from lookalike.store import EpisodeKey
from lookalike.web import plots, replay
from lookalike.web.council import has_a_seat
from lookalike.web.figures import Figures
from lookalike.web.library import FoundRun
from lookalike.web.state import Dashboard

_LIST_WITHIN_S = 0.4
_MOST_CELLS = 2_000
_MOST_DIGITS = 12


def number_of(text: str) -> int:
    """Read a number of an address.

    Raises:
        HTTPException: It is none.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        raise HTTPException(404, "There is no such page.")
    return int(text)


def runs_page(dashboard: Dashboard, request: Request) -> Response:
    """Show the list of runs, or only its table (``?part=table``)."""
    runs = dashboard.library.runs()
    figures = dashboard.figures.of_many(runs, within_s=_LIST_WITHIN_S)
    part = request.query_params.get("part") == "table"
    return dashboard.page(
        "runs_table.html.j2" if part else "runs.html.j2",
        runs=runs,
        figures=figures,
        problems=dashboard.library.problems(),
        recordings=len(dashboard.library.recordings()) if not runs else 0,
        jobs=dashboard.jobs.listing(),
        live=any(run.status == "running" for run in runs),
    )


def run_page(dashboard: Dashboard, request: Request) -> Response:
    """Show one run; with ``?part=live&seen=N`` what changes while it is played, if it has changed."""
    run = dashboard.library.run(request.path_params["run"])
    figures = dashboard.figures.of(run)
    part = request.query_params.get("part") == "live"
    tag = f"{figures.version}-{run.status}"
    if part and request.query_params.get("seen") == tag:
        return Response(status_code=204)
    return dashboard.page(
        "run_live.html.j2" if part else "run.html.j2", **run_values(dashboard, run, figures, request)
    )


def run_values(
    dashboard: Dashboard, run: FoundRun, figures: Figures, request: Request | None = None
) -> dict[str, Any]:
    """Return what the templates of a run need."""
    result = figures.result
    folder = dashboard.library.folder_of(run)
    document = folder / "reward-model.yaml" if folder is not None else None
    if document is not None and not document.is_file():
        document = document.parent / "recording" / "reward-model.yaml"
    reward_model = dashboard.library.found_file(document) if document is not None else None
    recording = (
        dashboard.library.found_file(document.parent / "recording" / "recording.mp4") if document else None
    )
    names = [row.condition for row in result.rows] if result else []
    chosen = request.query_params.get("condition") if request else None
    main = figures.main_row()
    own = [row.condition for row in result.rows if row.episodes_of == row.condition] if result else []
    condition = (
        chosen if chosen in own else (main.episodes_of if main is not None else (own[0] if own else None))
    )
    return {
        "run": run,
        "figures": figures,
        "result": result,
        "paper": published(result.environment, names) if result else None,
        "headline": view.headline(result) if result else figures.trouble,
        "colours": plots.colour_of(result.rows) if result else {},
        "drawings": figures.drawings,
        "reward_model": reward_model,
        "recording": recording,
        "conditions": own,
        "condition": condition,
        "grid": _grid(figures, condition, going=run.status == "running") if condition else None,
        "failures": [
            (figures.numbers.get(_key(e)), e)
            for e in (result.episodes if result else ())
            if e.failure is not None
        ][:50],
        "tag": f"{figures.version}-{run.status}",
        "seat": has_a_seat(run),
        "job": dashboard.jobs.playing(run.key),
    }


def _key(episode: Any) -> EpisodeKey:
    return EpisodeKey(
        condition=episode.condition, goal=episode.goal, seed=episode.seed, attempt=episode.attempt
    )


def _grid(figures: Figures, condition: str, *, going: bool) -> dict[str, Any]:
    """Return the episodes of a condition: a line a goal, a cell a seed, each a link to its replay."""
    result, asked = figures.result, figures.asked
    assert result is not None  # noqa: S101 - there are conditions
    assert asked is not None  # noqa: S101
    seeds = list(asked.seeds)
    most_seeds = max(1, _MOST_CELLS // max(1, len(asked.goals)))
    cells: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for e in result.episodes:
        if e.condition == condition:
            state = "failed" if e.failure else ("won" if e.success else "lost")
            cells.setdefault((e.goal, e.seed), []).append(
                {
                    "number": figures.numbers.get(_key(e)),
                    "state": state,
                    "attempt": e.attempt,
                    "words": f"{e.goal}, seed {e.seed}"
                    + (f", attempt {e.attempt + 1}" if e.attempt else "")
                    + f": {'reached' if e.success else (e.failure or 'not reached')} in {e.steps} steps",
                }
            )
    for playing in figures.playing:
        key = playing.entry.key
        if key.condition == condition and playing.paused is None:
            cells.setdefault((key.goal, key.seed), []).append(
                {
                    "number": playing.entry.number,
                    "state": "playing" if going else "left",
                    "attempt": key.attempt,
                    "words": f"{key.goal}, seed {key.seed}: {'going on' if going else 'broken off'}, "
                    f"{playing.events} events so far",
                }
            )
    return {
        "seeds": seeds[:most_seeds],
        "left_out": max(0, len(seeds) - most_seeds),
        "goals": [
            {
                "name": goal.name,
                "description": goal.description,
                "complexity": goal.complexity,
                "cells": [cells.get((goal.name, seed), []) for seed in seeds[:most_seeds]],
            }
            for goal in asked.goals
        ],
    }


def episode_page(dashboard: Dashboard, request: Request) -> Response:
    """Show one episode as a replay."""
    run = dashboard.library.run(request.path_params["run"])
    number = number_of(request.path_params["episode"])
    entry = run.browser.episode(run.run_id, number)
    folder = dashboard.library.folder_of(run)
    has_recording = folder is not None and (folder / "recording" / "demonstration.jsonl").is_file()
    configuration = run.log.configuration(run.run_id)
    goal = _goal(dashboard.figures.of(run), entry.key.goal)
    return dashboard.page(
        "episode.html.j2",
        run=run,
        entry=entry,
        goal=goal,
        environment=configuration.get("environment", ""),
        total=run.browser.count(run.run_id, number),
        has_recording=has_recording,
        members=replay.who_was_right(run, number),
    )


def _goal(figures: Figures, name: str) -> Any:
    goals = figures.asked.goals if figures.asked is not None else ()
    return next((goal for goal in goals if goal.name == name), None)


def steps(dashboard: Dashboard, request: Request) -> Any:
    """Answer a page of an episode's events."""
    run = dashboard.library.run(request.path_params["run"])
    number = number_of(request.path_params["episode"])
    start = number_of(request.query_params.get("start", "0"))
    found = replay.items(run, number, start=start)
    total = run.browser.count(run.run_id, number)
    return {"total": total, "items": found, "ended": run.browser.episode(run.run_id, number).ended}


def outline(dashboard: Dashboard, request: Request) -> Any:
    """Answer the time axis of an episode."""
    run = dashboard.library.run(request.path_params["run"])
    return replay.outline(run, number_of(request.path_params["episode"]))


def place(dashboard: Dashboard, request: Request) -> Any:
    """Answer where a step is (``?step=12&world=t0.6``)."""
    run = dashboard.library.run(request.path_params["run"])
    step = number_of(request.query_params.get("step", ""))
    world = request.query_params.get("world")
    return {
        "place": run.browser.place_of_step(run.run_id, number_of(request.path_params["episode"]), step, world)
    }


def divergence(dashboard: Dashboard, request: Request) -> Any:
    """Answer where an episode first does something else than the person did."""
    run = dashboard.library.run(request.path_params["run"])
    demonstration = replay.demonstration_of(dashboard.library.folder_of(run))
    if demonstration is None:
        return {"place": None, "why": "This run's folder has no recording to compare with."}
    number = number_of(request.path_params["episode"])
    found = replay.divergence(run, number, demonstration)
    return {"place": found, "why": None if found is not None else "Nothing was played."}


def frame(dashboard: Dashboard, request: Request) -> Response:
    """Answer a picture that an event of the run mentions."""
    run = dashboard.library.run(request.path_params["run"])
    files = dashboard.library.files_of(run)
    digest = request.path_params["digest"]
    try:
        if files is None:
            raise StoreError("There is no such picture.")
        data = files.get(digest)
    except StoreError:
        raise HTTPException(404, "The picture's file is missing or damaged.") from None
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise HTTPException(404, "This file is no picture.")
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(data, media_type="image/png", headers=headers)


ROUTES = (
    ("/", ["GET"], runs_page),
    ("/runs/{run}", ["GET"], run_page),
    ("/runs/{run}/episodes/{episode}", ["GET"], episode_page),
    ("/api/runs/{run}/episodes/{episode}/steps", ["GET"], steps),
    ("/api/runs/{run}/episodes/{episode}/outline", ["GET"], outline),
    ("/api/runs/{run}/episodes/{episode}/place", ["GET"], place),
    ("/api/runs/{run}/episodes/{episode}/divergence", ["GET"], divergence),
    ("/api/runs/{run}/frames/{digest}", ["GET"], frame),
)
