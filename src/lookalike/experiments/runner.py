"""Runs an experiment: prepares what it needs, plays what is missing, writes the results.

Every step is in the event log as soon as it was taken, so a run that is stopped, by whatever, goes on where
it was: the same command, or `resume_run`, plays only what has not ended yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import lookalike
from lookalike.core.errors import StoreError, UsageError
from lookalike.environments.worker import DEFAULT_MEMORY_LIMIT_MB
from lookalike.experiments.budget import NO_LIMITS, Budget, Budgets, Spent
from lookalike.experiments.collect import JUDGE, collect, with_plan_errors
from lookalike.experiments.conditions import ASKS_A_MODEL
from lookalike.experiments.judging import DEFAULT_EXPERT, watched_by
from lookalike.experiments.model_needs import refuse_unfit_expert, refuse_unfit_model
from lookalike.experiments.playing import Playing, interruptible
from lookalike.experiments.preparation import Advance, Watched, watch_files, watch_play
from lookalike.experiments.report import write_report
from lookalike.experiments.resolved import OWN, ResolvedExperiment, resolve, resolve_again
from lookalike.experiments.results import ExperimentResult
from lookalike.experiments.session import SessionSetup
from lookalike.rewards import RewardModel, load_reward_model, save_reward_model
from lookalike.rewards.beside import keep_beside
from lookalike.store import EventLog, open_log

REWARD_MODEL_FILE = "reward-model.yaml"
EXPERT = "expert"
"""In a run's configuration where another expert wrote its reward model."""
GIVEN = "reward_model_given"
"""In a run's configuration where its reward model was not written from the experiment's own recording."""


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; its results do not depend on it.

    Attributes:
        store: Where the event log is: an SQLite file, or a ``postgresql://`` URL; ``None`` for
            ``events.sqlite`` in the run's folder.
        run: The run's name in the store; ``None`` for the experiment's.
        workers: Processes that play side by side.
        budgets: What the run and each episode may spend.
        step_time_limit_s: Seconds a game's step may take.
        memory_limit_mb: MiB of address space a game's process may use; with many workers, their sum should
            fit into the machine.
        progress: Called with done, total and what is going on.
        notify: Called with a sentence when something takes long.
    """

    store: str | None = None
    run: str | None = None
    workers: int = 1
    budgets: Budgets = NO_LIMITS
    step_time_limit_s: float = 10.0
    memory_limit_mb: int = DEFAULT_MEMORY_LIMIT_MB
    progress: Advance | None = None
    notify: Callable[[str], None] | None = None


def run_experiment(
    name: str,
    *,
    out: Path,
    seeds: Sequence[int] | None = None,
    goals: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    reward_model: Path | None = None,
    without: Sequence[str] = (),
    model: str = "embedded",
    expert: str = DEFAULT_EXPERT,
    judge: str | None = None,
    options: RunOptions | None = None,
    **more: Any,
) -> ExperimentResult:
    """Run an experiment, or go on with it, and write its results into ``out``.

    Args:
        name: One of `list_experiments`, or the path of an experiment file (docs/experiments.md).
        out: Folder for the recording, the reward model, the event log, the results and the report.
        seeds: Instead of the experiment's own.
        goals: Goal names instead of its own.
        conditions: Condition names instead of its own.
        reward_model: A document instead of the one written from the experiment's recording.
        without: Components taken out of the reward model.
        model: Language model's name.
        expert: Who writes the reward model of the experiment's recording, e.g. ``remote:google:MODEL``.
        judge: Model that is asked live about steps the reward model does not cover; ``None`` for nobody.
        options: How to carry it out.
        more: Fields of `RunOptions`, instead of or on top of ``options``.

    Raises:
        LookalikeError: A name that does not exist, a folder that holds another run, a missing model or game.
        KeyboardInterrupt: It was interrupted; what was played is kept.
    """
    options = replace(options or RunOptions(), **more)
    asked = resolve(name, seeds=seeds, goals=goals, conditions=conditions)
    refuse_unfit_expert(expert, judge, in_money=options.budgets.in_money)
    out.mkdir(parents=True, exist_ok=True)
    _check_what_takes_no_time(asked, out, model, options)
    reward_model = reward_model or asked.reward_model
    watched = _watch_if_needed(asked, out, options.progress, given=reward_model is not None)
    if watched is not None and reward_model is None and expert != DEFAULT_EXPERT:
        watched = watched_by(
            expert,
            watched,
            environment=asked.spec.environment,
            cache=_response_cache(options.store or str(out / "events.sqlite")),
            progress=options.progress,
            notify=options.notify,
        )
    document = _document(watched, reward_model, without)
    if document is not None and reward_model is not None:
        keep_beside(document, reward_model.parent, out)
    return _carry_out(
        asked,
        expert=expert,
        judge=judge,
        out=out,
        watched=watched,
        document=document,
        given=reward_model is not None,
        model=model,
        options=options,
    )


def resume_run(
    run_id: str, *, store: str, out: Path | None = None, options: RunOptions | None = None, **more: Any
) -> ExperimentResult:
    """Go on with a run from what its log says, without being told again what was asked for.

    Args:
        run_id: The run's name in the store.
        store: Where the event log is.
        out: The run's folder; ``None`` for the one it was started with.
        options: How to carry it out; ``store`` and ``run`` in it are not looked at.
        more: Fields of `RunOptions`, instead of or on top of ``options``.

    Raises:
        StoreError: There is no such run, or its folder or its reward model is gone.
        LookalikeError: As `run_experiment`.
    """
    options = replace(options or RunOptions(), **more)
    started = _as_started(run_id, store=store, out=out, progress=options.progress)
    return _carry_out(
        started.asked,
        expert=started.configuration.get(EXPERT, DEFAULT_EXPERT),
        judge=started.configuration.get(JUDGE),
        out=started.folder,
        watched=started.watched,
        document=started.document,
        given=bool(started.configuration.get(GIVEN, False)),
        model=started.configuration["model"],
        options=replace(options, store=store, run=run_id),
    )


def report_run(
    run_id: str, *, store: str, out: Path | None = None, progress: Advance | None = None
) -> ExperimentResult:
    """Write the results and the report of what a run has ended so far. Nothing is played.

    A run that was stopped, or that somebody plays right now, has played its seeds in order; what it has not
    ended does not count, and the results say that they are not complete.

    Args:
        run_id: The run's name in the store.
        store: Where the event log is.
        out: The run's folder; ``None`` for the one it was started with.
        progress: Called where its recording has to be read again.

    Raises:
        StoreError: There is no such run, or its folder or its reward model is gone.
    """
    started = _as_started(run_id, store=store, out=out, progress=progress)
    with open_log(store, create=False) as log:
        result = collect(
            started.asked,
            log,
            run_id,
            document=started.document,
            watched=started.watched,
            described=started.configuration,
        )
        result = with_plan_errors(result, started.asked, log, run_id, started.folder, watched=started.watched)
    write_report(result, started.folder)
    return result


class _Started(NamedTuple):
    """What a run was started with."""

    configuration: Mapping[str, Any]
    folder: Path
    asked: ResolvedExperiment
    watched: Watched | None
    document: RewardModel | None


def _as_started(run_id: str, *, store: str, out: Path | None, progress: Advance | None) -> _Started:
    """Read from the log what a run was started with."""
    with open_log(store, create=False) as log:
        configuration = log.configuration(run_id)
        folder = out or _folder_of(log, run_id)
    asked = resolve_again(configuration)
    given = bool(configuration.get(GIVEN, False))
    watched = _watch_if_needed(asked, folder, progress, given=given)
    document = _kept_document(folder, configuration["reward_model"])
    return _Started(configuration, folder, asked, watched, document)


def _folder_of(log: EventLog, run_id: str) -> Path:
    folder = log.summary(run_id).folder
    if folder is None or not Path(folder).is_dir():
        raise StoreError(
            f"The folder of the run {run_id!r} is not there.",
            got=folder or "none recorded",
            remedy="name it with --out; it holds the recording and the reward model",
        )
    return Path(folder)


def _kept_document(folder: Path, content_hash: str | None) -> RewardModel | None:
    """Load the reward model that the run was started with."""
    if content_hash is None:
        return None
    path = folder / REWARD_MODEL_FILE
    document = load_reward_model(path)
    if document.content_hash() != content_hash:
        raise StoreError(
            "The reward model is not the one that the run was started with.",
            got=f"{path}, {document.content_hash()[:16]}",
            expected=content_hash[:16],
            remedy="put the old file back, or start a new run with the changed one (--reward-model)",
        )
    return document


def _carry_out(
    asked: ResolvedExperiment,
    *,
    out: Path,
    watched: Watched | None,
    document: RewardModel | None,
    given: bool,
    model: str,
    expert: str,
    judge: str | None,
    options: RunOptions,
) -> ExperimentResult:
    store = options.store or str(out / "events.sqlite")
    setup = SessionSetup(
        environment=asked.spec.environment,
        reward_model=document,
        replay=watched.demonstration.trajectory.actions if watched is not None else None,
        recorded_seeds=watched.seeds if watched is not None else (),
        model=model,
        judge=judge if document is not None else None,
        threads=None if options.workers <= 1 else max(1, (os.cpu_count() or 1) // options.workers),
        cache=_response_cache(store),
        step_time_limit_s=options.step_time_limit_s,
        memory_limit_mb=options.memory_limit_mb,
        budget=options.budgets.episode,
        files=out / "files",
        flush_after_s=0.0 if options.budgets.run else 0.05,
        paid=model != "embedded" or judge is not None,
        visual=out if document is not None and document.visual is not None else None,
    )
    described = {**describe(asked, setup, given=given), **_experts(expert, setup.judge)}
    run_id = options.run or asked.spec.name
    with open_log(store) as log, log.hold(run_id):
        _start(log, run_id, described, document, out)
        result = play_out(asked, setup, log, run_id, watched=watched, described=described, options=options)
        result = with_plan_errors(result, asked, log, run_id, out, watched=watched)
    write_report(result, out)
    return result


def play_out(
    asked: ResolvedExperiment,
    setup: SessionSetup,
    log: EventLog,
    run_id: str,
    *,
    described: Mapping[str, Any],
    options: RunOptions,
    watched: Watched | None = None,
) -> ExperimentResult:
    """Play what a run that was started has not ended yet, and return its results.

    Args:
        asked: What to play.
        setup: What every session needs.
        log: The event log, held by the caller.
        run_id: The run's name in it.
        described: The run's configuration, as it was started with.
        options: How to carry it out.
        watched: Recordings that were read for it.

    Raises:
        KeyboardInterrupt: It was interrupted; what was played is kept.
    """
    playing = Playing(
        asked,
        setup,
        log,
        run_id,
        budget=options.budgets.run,
        progress=options.progress,
        notify=options.notify,
    )
    with interruptible(playing, options.notify):
        playing.play(workers=options.workers)
    result = collect(asked, log, run_id, document=setup.reward_model, watched=watched, described=described)
    if playing.stopped is None:
        return result
    return result.model_copy(update={"notes": (*result.notes, playing.stopped_note())})


def _start(
    log: EventLog, run_id: str, described: Mapping[str, Any], document: RewardModel | None, out: Path
) -> None:
    """Begin the run, or go on with it, with its reward model beside it.

    The reward model comes first where the run is new: killed between the two, the run could not be resumed.
    Otherwise it comes last, so that a run of that name that was asked for something else is left alone.
    """
    known = any(found.run_id == run_id for found in log.runs())
    if document is not None and not known:
        save_reward_model(document, out / REWARD_MODEL_FILE)
    log.start_run(run_id, described, package_version=lookalike.__version__, folder=str(out.resolve()))
    if document is not None and known:
        save_reward_model(document, out / REWARD_MODEL_FILE)


def _check_what_takes_no_time(asked: ResolvedExperiment, out: Path, model: str, options: RunOptions) -> None:
    """Refuse what cannot work before minutes are spent on a recording."""
    _refuse_unknown_prices(asked, model, options.budgets)
    refuse_unfit_model(model, asked.conditions, asked.spec.environment)
    with open_log(options.store or str(out / "events.sqlite")):
        pass


def _refuse_unknown_prices(asked: ResolvedExperiment, model: str, budgets: Budgets) -> None:
    """Refuse a limit of money that nobody could keep."""
    if not budgets.in_money or all(c.player not in ASKS_A_MODEL for c in asked.conditions):
        return
    from lookalike.models.prices import price_of

    if price_of(model) is None:
        raise UsageError(
            "A budget of money needs a price, and none is known for this model.",
            got=model,
            expected="an entry for it in the price file",
            remedy="add one (docs/models.md), or limit calls or tokens instead (--limit calls=1000)",
        )


def _watch_if_needed(
    asked: ResolvedExperiment, out: Path, progress: Advance | None, *, given: bool
) -> Watched | None:
    """Watch the experiment's recording, unless nobody needs it or the reward model was given."""
    # How far a plan is from the person's is counted against the recording, where there is one.
    needs_replay = any(
        c.player == "replay" or (c.player == "plan" and asked.spec.recording) for c in asked.conditions
    )
    needs_model = any(c.config().needs_reward_model for c in asked.conditions)
    if not needs_replay and (not needs_model or given):
        return None
    spec = asked.spec
    if asked.watches_files:
        return watch_files(
            asked.recordings,
            named=asked.own["recordings"] if asked.own is not None else (),
            environment=spec.environment,
            folder=out / "recording",
            progress=progress,
        )
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


def _response_cache(store: str) -> str:
    """Return where responses are kept: with the events where machines share them, else with the user."""
    if "://" in store:
        return store
    from platformdirs import user_cache_path

    folder = user_cache_path("lookalike")
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / "responses.sqlite")


def _experts(expert: str, judge: str | None) -> dict[str, str]:
    """Return what the results depend on where other experts take part."""
    named = {} if expert == DEFAULT_EXPERT else {EXPERT: expert}
    return named if judge is None else {**named, JUDGE: judge}


def describe(asked: ResolvedExperiment, setup: SessionSetup, *, given: bool = False) -> Mapping[str, Any]:
    """Return everything the results depend on, as JSON values."""
    document = setup.reward_model
    own = {} if asked.own is None else {OWN: asked.own}
    return (
        own
        | ({GIVEN: True} if given else {})
        | {
            "experiment": asked.spec.name,
            "environment": asked.spec.environment,
            "recording": asked.spec.recording,
            "goals": [g.name for g in asked.goals],
            "seeds": list(asked.seeds),
            "conditions": [c.model_dump(mode="json") for c in asked.conditions],
            "reward_model": document.content_hash() if document is not None else None,
            "model": setup.model,
        }
    )


__all__ = ["Budget", "Budgets", "RunOptions", "Spent", "resolve", "resume_run", "run_experiment"]
