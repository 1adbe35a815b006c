"""An experiment with nothing left to be guessed: which goals at which seeds under which conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.core.errors import UnknownNameError, UsageError
from lookalike.core.ids import hash_path
from lookalike.core.types import Goal
from lookalike.environments import load_goals
from lookalike.environments.goals import goals_as_data, goals_from_data
from lookalike.experiments.conditions import (
    Condition,
    ExperimentSpec,
    find_condition,
    find_experiment,
    parse_range,
)
from lookalike.experiments.experiment_files import is_experiment_file, read_experiment_file
from lookalike.experiments.preparation import is_shipped_play
from lookalike.store import EpisodeFailed, EpisodeFinished, EpisodeKey

OWN = "own"
"""In a run's configuration where its experiment was declared in a file: what was in it."""


@dataclass(frozen=True)
class PlayTask:
    """One goal at one seed under one condition, with all the attempts it may need."""

    condition: Condition
    goal: Goal
    seed: int
    attempts: tuple[int, ...]

    def key(self, attempt: int) -> EpisodeKey:
        """Return the name of one attempt's episode."""
        return EpisodeKey(condition=self.condition.name, goal=self.goal.name, seed=self.seed, attempt=attempt)

    def __str__(self) -> str:
        return f"{self.condition.name}, {self.goal.name}, seed {self.seed}"


@dataclass(frozen=True)
class ResolvedExperiment:
    """An experiment with nothing left to be guessed.

    Attributes:
        spec: As declared.
        goals: In order of complexity.
        seeds: Played seeds.
        conditions: In the table's order.
        own: What a run must know to go on without the file that declared the experiment, JSON values;
            ``None`` for a shipped one.
        recordings: Files to watch instead of a shipped play; empty for a shipped play, and for a run that
            goes on, whose folder has what was read from them.
        reward_model: A document that is there already.
    """

    spec: ExperimentSpec
    goals: tuple[Goal, ...]
    seeds: tuple[int, ...]
    conditions: tuple[Condition, ...]
    own: Mapping[str, Any] | None = None
    recordings: tuple[Path, ...] = ()
    reward_model: Path | None = None

    @property
    def watches_files(self) -> bool:
        """Whether recordings of one's own are watched, and no shipped play."""
        return self.own is not None and not is_shipped_play(self.spec.recording)

    def tasks(self, ended: Mapping[EpisodeKey, EpisodeFinished | EpisodeFailed]) -> list[PlayTask]:
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
    condition: Condition, goal: Goal, seed: int, ended: Mapping[EpisodeKey, EpisodeFinished | EpisodeFailed]
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

    Args:
        name: A shipped experiment's, or an experiment file's path (``.yaml``).
        seeds: Instead of its own.
        goals: Goal names instead of its own.
        conditions: Condition names instead of its own.

    Raises:
        UnknownNameError: An experiment, goal or condition that there is not.
        UsageError: A seed below 0, or no seeds.
    """
    file = read_experiment_file(Path(name)) if is_experiment_file(name) else None
    spec = find_experiment(name) if file is None else file.spec
    known = {goal.name: goal for goal in (load_goals(spec.environment) if file is None else file.goals)}
    defined = {} if file is None else file.conditions
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
        tuple(defined.get(c) or find_condition(c) for c in dict.fromkeys(conditions or spec.conditions)),
        own=None if file is None else _own(picked, file.recordings),
        recordings=() if file is None else file.recordings,
        reward_model=None if file is None else file.reward_model,
    )


def resolve_again(configuration: Mapping[str, Any]) -> ResolvedExperiment:
    """Return the experiment that a run was started with, from what its log says.

    Conditions are taken from there and not by their names: the run goes on as it was begun, whatever the
    conditions of those names mean by now.
    """
    conditions = tuple(Condition.model_validate(entry) for entry in configuration["conditions"])
    if OWN in configuration:
        return _own_again(configuration, conditions)
    asked = resolve(configuration["experiment"], seeds=configuration["seeds"], goals=configuration["goals"])
    return ResolvedExperiment(asked.spec, asked.goals, asked.seeds, conditions)


def _own(goals: Sequence[Goal], recordings: Sequence[Path]) -> dict[str, Any]:
    return {
        "goals": goals_as_data(goals),
        "recordings": [{"file": path.name, "content_hash": hash_path(path)} for path in recordings],
    }


def _own_again(configuration: Mapping[str, Any], conditions: tuple[Condition, ...]) -> ResolvedExperiment:
    seeds = tuple(int(seed) for seed in configuration["seeds"])
    goals = goals_from_data(configuration["environment"], configuration[OWN]["goals"])
    spec = ExperimentSpec(
        name=configuration["experiment"],
        description="",
        environment=configuration["environment"],
        recording=configuration["recording"],
        seeds=",".join(map(str, seeds)),
        goals=tuple(goal.name for goal in goals),
        conditions=tuple(condition.name for condition in conditions),
    )
    return ResolvedExperiment(spec, goals, seeds, conditions, own=configuration[OWN])
