"""Computes an experiment's results from its event log, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lookalike
from lookalike.core.types import Usage
from lookalike.experiments.conditions import ASKS_A_MODEL, joined_conditions
from lookalike.experiments.plan_errors import count_errors, has_plans, write_plan_errors
from lookalike.experiments.preparation import Watched, human_play
from lookalike.experiments.resolved import ResolvedExperiment
from lookalike.experiments.results import (
    CreatedWith,
    EpisodeResult,
    ExperimentResult,
    GoalInfo,
    RecordingInfo,
)
from lookalike.experiments.summary import paired_differences, summarise
from lookalike.rewards import RewardModel
from lookalike.store import EpisodeKey, EpisodePaused, Event, EventLog, StepTaken, usage_of

JUDGE = "judge"
"""In a run's configuration: who judges steps live, where somebody does."""


def collect(
    asked: ResolvedExperiment,
    log: EventLog,
    run_id: str,
    *,
    document: RewardModel | None,
    watched: Watched | None,
    described: Mapping[str, Any],
) -> ExperimentResult:
    """Compute the results from the event log.

    An episode that its budget paused counts as one that failed: it did not reach its goal with what it
    might spend.
    """
    complexity = {goal.name: goal.complexity for goal in asked.goals}
    ended = log.finished_episodes(run_id)
    episodes = [EpisodeResult.of_event(e, complexity=complexity[k.goal]) for k, e in ended.items()]
    for key, events in log.unfinished_episodes(run_id).items():
        if events and isinstance(events[-1], EpisodePaused):
            episodes.append(paused_result(key, events, complexity=complexity[key.goal]))
    episodes.sort(key=lambda e: (e.condition, e.complexity, e.goal, e.seed, e.attempt))
    joined = joined_conditions(asked.conditions, (key.condition for key in ended))
    rows = [row for condition in (*asked.conditions, *joined) for row in condition.rows()]
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
        notes=_notes(asked, watched, described.get(JUDGE)),
        episodes=tuple(episodes),
    )


def _fingerprint(asked: ResolvedExperiment, model: str) -> str | None:
    if all(c.player not in ASKS_A_MODEL for c in asked.conditions):
        return None
    from lookalike.models import make_model

    return f"{model} {make_model(model).fingerprint}"


def with_plan_errors(
    result: ExperimentResult,
    asked: ResolvedExperiment,
    log: EventLog,
    run_id: str,
    out: Path,
    *,
    watched: Watched | None,
) -> ExperimentResult:
    """Count the errors of the plans, if there are any, write ``plan.json``, and say the figures in the notes.

    They are counted against what the person typed, or was read off the recording; without one they are not.
    """
    if not has_plans(asked.conditions):
        return result
    if asked.own is None:
        reference = human_play(asked.spec.recording).commands
    elif watched is not None:
        reference = tuple(action or "" for action in watched.demonstration.trajectory.actions)
    else:
        return result
    errors = count_errors(log, run_id, conditions=asked.conditions, goals=asked.goals, reference=reference)
    write_plan_errors(errors, out / "plan.json")
    return result.model_copy(update={"notes": (*result.notes, *errors.notes())})


def _notes(asked: ResolvedExperiment, watched: Watched | None, judge: str | None) -> tuple[str, ...]:
    notes = [
        "Plan success: the goal's predicate holds after some step within the goal's step limit.",
        "Save/restore is off unless a row's handicaps say otherwise; the recording's seed is never played.",
    ]
    if any(c.player == "llm" for c in asked.conditions) or not has_plans(asked.conditions):
        notes.append("Every language-model row has the same prompt, parser, limits and admissible actions.")
    if has_plans(asked.conditions):
        notes.append("A plan has as many commands as the person needed, which is also its step limit.")
    if watched is not None:
        notes.append(watched.note())
    if judge is not None:
        notes.append(
            f"Steps that the reward model says nothing about were judged live by {judge}, in conditions with "
            "the reward model's rewards; its calls are counted with the players'."
        )
    return tuple(notes)


def paused_result(key: EpisodeKey, events: Sequence[Event], *, complexity: int) -> EpisodeResult:
    """Return the result of an episode that its budget stopped.

    Args:
        key: Which.
        events: Its events so far; the last one says which limit.
        complexity: Its goal's.
    """
    last = events[-1]
    steps = [event for event in events if isinstance(event, StepTaken)]
    usage = sum((usage_of(step.usage, step.measured) for step in steps), Usage())
    rewards = tuple(step.verdict.value if step.verdict is not None else 0.0 for step in steps)
    return EpisodeResult(
        condition=key.condition,
        goal=key.goal,
        complexity=complexity,
        seed=key.seed,
        attempt=key.attempt,
        success=False,
        steps=steps[-1].step + 1 if steps else 0,
        interactions=sum(step.decision is not None for step in steps),
        score=steps[-1].score if steps else None,
        return_=sum(rewards),
        rewards=rewards,
        failure=f"budget reached: {last.reason}" if isinstance(last, EpisodePaused) else None,
        usage=usage,
        seconds=sum(step.measured.seconds or 0.0 for step in steps),
    )
