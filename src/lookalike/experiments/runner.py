"""Runs an experiment: prepares what it needs, plays what is missing, writes the results.

Everything finished is in the event log at once, so a run that is stopped goes on where it was: the same
command plays only what has not ended yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lookalike
from lookalike.core.errors import UnknownNameError, UsageError
from lookalike.core.types import Goal
from lookalike.environments import load_goals
from lookalike.experiments.conditions import (
    ASKS_A_MODEL,
    Condition,
    ExperimentSpec,
    find_condition,
    find_experiment,
    parse_range,
)
from lookalike.experiments.plan_errors import count_errors, has_plans, write_plan_errors
from lookalike.experiments.preparation import Advance, Watched, human_play, watch_play
from lookalike.experiments.report import write_report
from lookalike.experiments.results import (
    CreatedWith,
    EpisodeResult,
    ExperimentResult,
    GoalInfo,
    RecordingInfo,
)
from lookalike.experiments.session import Session, SessionSetup
from lookalike.experiments.summary import paired_differences, summarise
from lookalike.rewards import RewardModel, load_reward_model
from lookalike.store import EpisodeFailed, EpisodeFinished, EpisodeKey, Event, EventLog, RunFinished


@dataclass(frozen=True)
class PlayTask:
    """One goal at one seed under one condition, with all the attempts it may need."""

    condition: Condition
    goal: Goal
    seed: int
    attempts: tuple[int, ...]


@dataclass(frozen=True)
class ResolvedExperiment:
    """An experiment with nothing left to be guessed.

    Attributes:
        spec: As declared.
        goals: In order of complexity.
        seeds: Played seeds.
        conditions: In the table's order.
    """

    spec: ExperimentSpec
    goals: tuple[Goal, ...]
    seeds: tuple[int, ...]
    conditions: tuple[Condition, ...]

    def tasks(self, ended: dict[EpisodeKey, EpisodeFinished | EpisodeFailed]) -> list[PlayTask]:
        """Return what is still to be played, seed by seed so that a stopped run is balanced."""
        tasks = []
        for seed in self.seeds:
            for goal in self.goals:
                for condition in self.conditions:
                    left = _attempts_left(condition, goal, seed, ended)
                    if left:
                        tasks.append(PlayTask(condition, goal, seed, left))
        return tasks


def _attempts_left(
    condition: Condition, goal: Goal, seed: int, ended: dict[EpisodeKey, EpisodeFinished | EpisodeFailed]
) -> tuple[int, ...]:
    """Return the attempts not played yet; none where one succeeded (the rest is not needed)."""
    left = []
    for attempt in range(condition.attempts):
        last = ended.get(EpisodeKey(condition=condition.name, goal=goal.name, seed=seed, attempt=attempt))
        if isinstance(last, EpisodeFinished) and last.success:
            return ()
        if last is None:
            left.append(attempt)
    return tuple(left)


def resolve(
    name: str,
    *,
    seeds: Sequence[int] | None = None,
    goals: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
) -> ResolvedExperiment:
    """Resolve an experiment's names.

    Raises:
        UnknownNameError: An experiment, goal or condition that there is not.
        UsageError: A seed below 0, or no seeds.
    """
    spec = find_experiment(name)
    known = {goal.name: goal for goal in load_goals(spec.environment)}
    wanted = tuple(goals or spec.goals) or tuple(g.name for g in known.values() if g.in_paper_table)
    for goal in wanted:
        if goal not in known:
            raise UnknownNameError(
                "goal", goal, known, remedy=f"See `lookalike goals list {spec.environment}`."
            )
    chosen = tuple(seeds) if seeds is not None else parse_range(spec.seeds)
    if not chosen or min(chosen) < 0:
        raise UsageError(
            "An experiment needs seeds of 0 or more.", got=chosen, expected="e.g. --seeds 1000-1019"
        )
    picked = sorted((known[g] for g in dict.fromkeys(wanted)), key=lambda g: g.complexity)
    return ResolvedExperiment(
        spec,
        tuple(picked),
        tuple(dict.fromkeys(chosen)),
        tuple(find_condition(c) for c in dict.fromkeys(conditions or spec.conditions)),
    )


def run_experiment(
    name: str,
    *,
    out: Path,
    seeds: Sequence[int] | None = None,
    goals: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    reward_model: Path | None = None,
    without: Sequence[str] = (),
    workers: int = 1,
    model: str = "embedded",
    progress: Advance | None = None,
    notify: Callable[[str], None] | None = None,
) -> ExperimentResult:
    """Run an experiment, or go on with it, and write its results into ``out``.

    Args:
        name: One of `list_experiments`.
        out: Folder for the recording, the reward model, the event log, the results and the report.
        seeds: Instead of the experiment's own.
        goals: Goal names instead of its own.
        conditions: Condition names instead of its own.
        reward_model: A document instead of the one written from the experiment's recording.
        without: Components taken out of the reward model.
        workers: Processes that play side by side; results do not depend on it.
        model: Language model's name.
        progress: Called with done, total and what is going on.
        notify: Called with a sentence when something takes long.

    Raises:
        LookalikeError: A name that does not exist, a folder that holds another run, a missing model or game.
    """
    asked = resolve(name, seeds=seeds, goals=goals, conditions=conditions)
    out.mkdir(parents=True, exist_ok=True)
    watched = _watch_if_needed(asked, out, reward_model, progress)
    document = _document(watched, reward_model, without)
    setup = SessionSetup(
        environment=asked.spec.environment,
        reward_model=document,
        replay=watched.demonstration.trajectory.actions if watched is not None else None,
        recorded_seeds=(watched.seed,) if watched is not None else (),
        model=model,
        threads=None if workers <= 1 else max(1, (os.cpu_count() or 1) // workers),
        cache=_response_cache(),
    )
    described = _describe(asked, setup)
    run_id = name
    with EventLog(out / "events.sqlite") as log:
        log.start_run(run_id, described, package_version=lookalike.__version__)
        _play_missing(asked, setup, log, run_id, workers=workers, progress=progress, notify=notify)
        result = collect(asked, log, run_id, document=document, watched=watched, described=described)
        if has_plans(asked.conditions):
            result = _with_plan_errors(result, asked, log, run_id, out)
    write_report(result, out)
    return result


def _watch_if_needed(
    asked: ResolvedExperiment, out: Path, reward_model: Path | None, progress: Advance | None
) -> Watched | None:
    needs_replay = any(c.player == "replay" for c in asked.conditions)
    needs_model = any(c.config().needs_reward_model for c in asked.conditions)
    if not needs_replay and (not needs_model or reward_model is not None):
        return None
    spec = asked.spec
    return watch_play(
        spec.recording, environment=spec.environment, folder=out / "recording", progress=progress
    )


def _document(
    watched: Watched | None, reward_model: Path | None, without: Sequence[str]
) -> RewardModel | None:
    document = load_reward_model(reward_model) if reward_model is not None else None
    if document is None and watched is not None:
        document = watched.reward_model
    if document is None:
        return None
    return document.without(without) if without else document


def _response_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("lookalike") / "responses.sqlite"


def _describe(asked: ResolvedExperiment, setup: SessionSetup) -> dict[str, Any]:
    """Return everything the results depend on, as JSON values."""
    document = setup.reward_model
    return {
        "experiment": asked.spec.name,
        "environment": asked.spec.environment,
        "recording": asked.spec.recording,
        "goals": [g.name for g in asked.goals],
        "seeds": list(asked.seeds),
        "conditions": [c.model_dump(mode="json") for c in asked.conditions],
        "reward_model": document.content_hash() if document is not None else None,
        "model": setup.model,
    }


def _play_missing(
    asked: ResolvedExperiment,
    setup: SessionSetup,
    log: EventLog,
    run_id: str,
    *,
    workers: int,
    progress: Advance | None,
    notify: Callable[[str], None] | None,
) -> None:
    tasks = asked.tasks(log.finished_episodes(run_id))
    total = len(asked.seeds) * len(asked.goals) * len(asked.conditions)
    finished = total - len(tasks)
    failures = 0
    try:
        with _players(setup, workers, notify) as play:
            for task, episodes in play(tasks):
                for events in episodes:
                    log.append(run_id, events)
                    failures += isinstance(events[-1], EpisodeFailed)
                finished += 1
                if progress is not None:
                    progress(finished, total, f"{task.condition.name}, {task.goal.name}, seed {task.seed}")
    except KeyboardInterrupt:
        stopped = RunFinished(status="stopped", reason="interrupted", episodes=finished, failures=failures)
        log.append(run_id, [stopped])
        raise
    if tasks:
        log.append(run_id, [RunFinished(status="finished", episodes=finished, failures=failures)])


Played = Iterator[tuple[PlayTask, list[list[Event]]]]


@contextmanager
def _players(
    setup: SessionSetup, workers: int, notify: Callable[[str], None] | None
) -> Iterator[Callable[[list[PlayTask]], Played]]:
    """Yield a function that plays tasks, in this process or side by side in several."""
    if workers <= 1:
        session = Session(setup, notify=notify)
        try:
            yield lambda tasks: ((task, play_task(session, task)) for task in tasks)
        finally:
            session.close()
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker, initargs=(setup,))
    try:
        yield lambda tasks: _side_by_side(pool, tasks, workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _side_by_side(pool: ProcessPoolExecutor, tasks: list[PlayTask], workers: int) -> Played:
    """Hand out tasks so that a slow one holds nobody up; yield them as they end."""
    waiting = iter(tasks)
    running: dict[Future[list[list[Event]]], PlayTask] = {}
    while True:
        while len(running) < 2 * workers and (task := next(waiting, None)) is not None:
            running[pool.submit(_play_in_worker, task)] = task
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def play_task(session: Session, task: PlayTask) -> list[list[Event]]:
    """Play a task's attempts until one succeeds; return each episode's events."""
    episodes: list[list[Event]] = []
    for attempt in task.attempts:
        events: list[Event] = []
        ended = session.play(task.condition, task.goal, seed=task.seed, attempt=attempt, record=events.append)
        episodes.append(events)
        if isinstance(ended, EpisodeFinished) and ended.success:
            break
    return episodes


_session: Session | None = None


def _start_worker(setup: SessionSetup) -> None:
    import signal

    global _session  # noqa: PLW0603 - a worker process has one session
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    _session = Session(setup)


def _play_in_worker(task: PlayTask) -> list[list[Event]]:
    if _session is None:
        raise RuntimeError("the worker was not started")
    return play_task(_session, task)


def collect(
    asked: ResolvedExperiment,
    log: EventLog,
    run_id: str,
    *,
    document: RewardModel | None,
    watched: Watched | None,
    described: dict[str, Any],
) -> ExperimentResult:
    """Compute the results from the event log."""
    complexity = {goal.name: goal.complexity for goal in asked.goals}
    ended = log.finished_episodes(run_id)
    episodes = [EpisodeResult.of_event(e, complexity=complexity[k.goal]) for k, e in ended.items()]
    episodes.sort(key=lambda e: (e.condition, e.complexity, e.goal, e.seed, e.attempt))
    rows = [row for condition in asked.conditions for row in condition.rows()]
    recordings = document.recordings if document is not None else ()
    return ExperimentResult(
        name=asked.spec.name,
        environment=asked.spec.environment,
        complete=not asked.tasks(ended),
        created_with=CreatedWith(
            package_version=lookalike.__version__,
            model=_fingerprint(asked, described["model"]),
            reward_model=document.content_hash() if document is not None else None,
            recordings=tuple(
                RecordingInfo(file=r.file, content_hash=r.content_hash, licence=r.licence) for r in recordings
            ),
            spec=described,
            commands=(f"lookalike experiment run {asked.spec.name}",),
            play_digest=log.play_digest(run_id),
        ),
        goals=tuple(
            GoalInfo(name=g.name, description=g.description, complexity=g.complexity, step_limit=g.step_limit)
            for g in asked.goals
        ),
        rows=tuple(summarise(episodes, rows)),
        paired=tuple(paired_differences(episodes, rows)),
        notes=_notes(asked, watched),
        episodes=tuple(episodes),
    )


def _fingerprint(asked: ResolvedExperiment, model: str) -> str | None:
    if all(c.player not in ASKS_A_MODEL for c in asked.conditions):
        return None
    from lookalike.models import make_model

    return f"{model} {make_model(model).fingerprint}"


def _with_plan_errors(
    result: ExperimentResult, asked: ResolvedExperiment, log: EventLog, run_id: str, out: Path
) -> ExperimentResult:
    """Count the errors of the plans, write ``plan.json``, and say the figures in the notes."""
    reference = human_play(asked.spec.recording).commands
    errors = count_errors(log, run_id, conditions=asked.conditions, goals=asked.goals, reference=reference)
    write_plan_errors(errors, out / "plan.json")
    return result.model_copy(update={"notes": (*result.notes, *errors.notes())})


def _notes(asked: ResolvedExperiment, watched: Watched | None) -> tuple[str, ...]:
    notes = [
        "Plan success: the goal's predicate holds after some step within the goal's step limit.",
        "Save/restore is off unless a row's handicaps say otherwise; the recording's seed is never played.",
    ]
    if any(c.player == "llm" for c in asked.conditions) or not has_plans(asked.conditions):
        notes.append("Every language-model row has the same prompt, parser, limits and admissible actions.")
    if has_plans(asked.conditions):
        notes.append("A plan has as many commands as the person needed, which is also its step limit.")
    if watched is not None:
        notes.append(
            f"The expert saw one recording of {len(watched.demonstration.trajectory)} commands, read off a "
            f"video: {watched.recovered} of {watched.commands} commands were recovered exactly."
        )
    return tuple(notes)
