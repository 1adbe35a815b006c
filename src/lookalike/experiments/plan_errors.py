"""Counts the errors of whole plans from the event log: the paper's Table 1, with a definition.

The paper gives numbers and never says what an error is. Here (docs/plan-mode.md):

- *no action*: a line of the plan that is no command (empty, over 60 characters, not made of words);
- *refused*: a command that the game refuses when it is played (``read_text(reply).failure``), or answers
  with nothing but a request to say it again ("What?", "Take what?"), which the reward model reads as a
  question;
- *lost*: a command that was not played because the game crashed; a failed play is never left out;
- ``errors`` is the sum of the three over the first K steps, K being the commands the person needed;
- ``edit_distance``, apart from it because a refused command counts in both: where the goal was not reached,
  Levenshtein's distance between the commands played and the person's first K, in canonical spelling; 0
  where it was reached.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

from lookalike.core.types import Goal
from lookalike.experiments import statistics
from lookalike.experiments.conditions import Condition
from lookalike.experiments.result_files import write_text
from lookalike.experiments.results import ResultPart
from lookalike.experiments.summary import BOOTSTRAP_SEED
from lookalike.rewards.actions import canonical_action
from lookalike.rewards.text import read_text
from lookalike.store import EpisodeFailed, EpisodeKey, EventLog, StepTaken

PAPER_COMMANDS = (15, 27)
PAPER = (
    "The paper's Table 1 (arXiv 2403.10824) has, for plans of 27 actions, 248+ errors (gemma-7b) and 17 "
    "(Gemini), for 15 actions 88+ and 6; it does not say what an error is, nor how many plans it read."
)
DEFINITION = (
    "Errors of a plan: of its first K commands (K: what the person needed), those that are no action, those "
    "that the game refuses when they are played, and those lost to a crash. Edit distance, counted apart: to "
    "the person's first K commands where the goal was not reached, else 0."
)
_ASKS_BACK = re.compile(r"(?:\w+ ){0,2}what|what do you want to .+|i beg your pardon")
"""Keys of sentences that only ask for the command again."""
_COUNTED_PLAYERS = frozenset({"plan", "replay"})


class PlanCount(ResultPart):
    """One plan, played.

    Attributes:
        condition: Condition's name.
        goal: Goal's name.
        commands: K, the commands the person needed, which is the plan's length.
        seed: The experiment's seed.
        attempt: 0-based.
        plan: What was played, ``None`` for a line that is no action; shorter than K where the goal was
            reached or the game ended before.
        no_action: Lines that are no command.
        refused: Commands that the game refused, see :func:`is_refusal`.
        lost: Commands not played because the game crashed.
        errors: Sum of the three.
        reached: The goal was reached within K commands.
        edit_distance: To the person's first K commands where it was not reached, else 0.
        failure: Why the play could not be finished, or ``None``.
    """

    condition: str
    goal: str
    commands: int
    seed: int
    attempt: int
    plan: tuple[str | None, ...]
    no_action: int
    refused: int
    lost: int
    errors: int
    reached: bool
    edit_distance: int
    failure: str | None = None


class PlanMean(ResultPart):
    """Plans of one condition, over all goals or of one.

    Attributes:
        condition: Condition's name.
        goal: Goal's name, or ``None`` for all of them.
        commands: Fewest and most commands of the plans.
        n: Plans counted.
        errors: Mean errors a plan.
        errors_interval: 95% interval of it by bootstrap over seeds; ``None`` with fewer than 5 seeds.
        errors_per_command: All errors over all commands planned.
        no_action: Mean a plan; likewise ``refused`` and ``lost``.
        refused: Mean a plan.
        lost: Mean a plan.
        edit_distance: Mean a plan.
        edit_distance_interval: As ``errors_interval``.
        reached: Plans that reached their goal.
        failures: Plans whose game crashed or hung.
    """

    condition: str
    goal: str | None
    commands: tuple[int, int]
    n: int
    errors: float
    errors_interval: tuple[float, float] | None
    errors_per_command: float
    no_action: float
    refused: float
    lost: float
    edit_distance: float
    edit_distance_interval: tuple[float, float] | None
    reached: int
    failures: int


class PlanErrors(ResultPart):
    """What ``plan.json`` holds.

    Attributes:
        schema_version: ``"1"``.
        experiment: Experiment's name.
        environment: Environment id.
        definition: What is counted.
        paper: The paper's figures.
        conditions: One a condition, over all goals.
        goals: One a condition and goal, easiest first.
        plans: Every plan.
    """

    schema_version: str = "1"
    experiment: str
    environment: str
    definition: str = DEFINITION
    paper: str = PAPER
    conditions: tuple[PlanMean, ...]
    goals: tuple[PlanMean, ...]
    plans: tuple[PlanCount, ...]

    def notes(self) -> tuple[str, ...]:
        """Return what is counted, the figures in one sentence a condition, and the paper's."""
        return (self.definition, *(self._sentence(mean) for mean in self.conditions), self.paper)

    def _sentence(self, mean: PlanMean) -> str:
        few, most = mean.commands
        length = f"K = {few}" if few == most else f"K = {few} to {most}"
        parts = [
            f"{mean.condition}: {mean.errors:.1f} errors a plan{_between(mean.errors_interval)}, "
            f"edit distance {mean.edit_distance:.1f}{_between(mean.edit_distance_interval)}, "
            f"n = {mean.n} plans of {length} commands, {mean.reached} reached the goal"
        ]
        mine = [goal for goal in self.goals if goal.condition == mean.condition]
        for wanted in PAPER_COMMANDS if len(mine) > 1 else ():
            near = min(mine, key=lambda goal: (abs(goal.commands[0] - wanted), goal.commands))
            parts.append(
                f"K = {near.commands[0]} ({near.goal}, nearest to the paper's {wanted}): {near.errors:.1f}"
                f"{_between(near.errors_interval)}, n = {near.n}"
            )
        return "; ".join(parts) + "."


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.1f} to {interval[1]:.1f})"


def has_plans(conditions: Sequence[Condition]) -> bool:
    """Return whether any of the conditions plays plans."""
    return any(condition.player == "plan" for condition in conditions)


def count_errors(
    log: EventLog,
    run_id: str,
    *,
    conditions: Sequence[Condition],
    goals: Sequence[Goal],
    reference: Sequence[str],
) -> PlanErrors:
    """Count the errors of a run's plans, and of its blind replays as the floor of the count.

    Args:
        log: Where the run's events are.
        run_id: The run.
        conditions: The run's; those that neither plan nor replay are left out.
        goals: The run's goals, all of one environment.
        reference: What the person typed, from the beginning.
    """
    by_name = {goal.name: goal for goal in goals}
    counted = [condition.name for condition in conditions if condition.player in _COUNTED_PLAYERS]
    plans = []
    for key, ended in log.finished_episodes(run_id).items():
        if key.condition not in counted:
            continue
        goal = by_name[key.goal]
        events = log.events(run_id, episode=str(key))
        steps = [event for event in events if isinstance(event, StepTaken) and event.step < goal.complexity]
        failure = ended.failure if isinstance(ended, EpisodeFailed) else None
        typed = reference[: goal.complexity]
        plans.append(_count(key, goal, steps, reference=typed, failure=failure))
    plans.sort(key=lambda p: (counted.index(p.condition), p.commands, p.goal, p.seed, p.attempt))
    overall = [_mean([p for p in plans if p.condition == name], None) for name in counted]
    each = [
        _mean([p for p in plans if p.condition == name and p.goal == goal.name], goal.name)
        for name in counted
        for goal in sorted(goals, key=lambda goal: (goal.complexity, goal.name))
    ]
    return PlanErrors(
        experiment=run_id,
        environment=goals[0].environment,
        conditions=tuple(mean for mean in overall if mean is not None),
        goals=tuple(mean for mean in each if mean is not None),
        plans=tuple(plans),
    )


def write_plan_errors(errors: PlanErrors, path: Path) -> None:
    """Write ``plan.json``, whole or not at all.

    Raises:
        StoreError: It cannot be written.
    """
    write_text(path, json.dumps(errors.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n")


def _count(
    key: EpisodeKey, goal: Goal, steps: Sequence[StepTaken], *, reference: Sequence[str], failure: str | None
) -> PlanCount:
    environment = goal.environment
    plan = tuple(step.decision for step in steps)
    no_action = sum(command is None for command in plan)
    refused = sum(step.decision is not None and is_refusal(step.next_observation or "") for step in steps)
    lost = goal.complexity - len(steps) if failure is not None else 0
    reached = any(step.goal_reached for step in steps)
    played = [None if command is None else canonical_action(environment, command) for command in plan]
    typed = [canonical_action(environment, command) for command in reference]
    return PlanCount(
        condition=key.condition,
        goal=key.goal,
        commands=goal.complexity,
        seed=key.seed,
        attempt=key.attempt,
        plan=plan,
        no_action=no_action,
        refused=refused,
        lost=lost,
        errors=no_action + refused + lost,
        reached=reached,
        edit_distance=0 if reached else edit_distance(played, typed),
        failure=failure,
    )


def is_refusal(reply: str) -> bool:
    """Return whether a game's reply says that the command was not played."""
    reading = read_text(reply)
    asked_back = bool(reading.sentences) and all(_ASKS_BACK.fullmatch(s) for s in reading.sentences)
    return reading.failure or asked_back


def edit_distance(first: Sequence[str | None], second: Sequence[str | None]) -> int:
    """Return Levenshtein's distance between two lists of commands: insertions, deletions, replacements.

    ``None`` stands for a line that is no command and is like nothing, itself included.
    """
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(second, start=1):
            replaced = diagonal + (left is None or left != right)
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, replaced)
    return row[-1]


def _mean(plans: Sequence[PlanCount], goal: str | None) -> PlanMean | None:
    """Return the means over some plans of one condition; ``None`` where there is none yet."""
    if not plans:
        return None
    n = len(plans)
    errors, edits = [plan.errors for plan in plans], [plan.edit_distance for plan in plans]
    seeds = [plan.seed for plan in plans]
    return PlanMean(
        condition=plans[0].condition,
        goal=goal,
        commands=(min(plan.commands for plan in plans), max(plan.commands for plan in plans)),
        n=n,
        errors=sum(errors) / n,
        errors_interval=_interval(errors, seeds),
        errors_per_command=sum(errors) / sum(plan.commands for plan in plans),
        no_action=sum(plan.no_action for plan in plans) / n,
        refused=sum(plan.refused for plan in plans) / n,
        lost=sum(plan.lost for plan in plans) / n,
        edit_distance=sum(edits) / n,
        edit_distance_interval=_interval(edits, seeds),
        reached=sum(plan.reached for plan in plans),
        failures=sum(plan.failure is not None for plan in plans),
    )


def _interval(values: Sequence[int], seeds: Sequence[int]) -> tuple[float, float] | None:
    low, high = statistics.clustered_bootstrap_mean(
        [float(value) for value in values], seeds, seed=BOOTSTRAP_SEED
    )
    return None if math.isinf(low) else (low, high)
