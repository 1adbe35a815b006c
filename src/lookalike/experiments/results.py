"""What an experiment found, as one versioned file that stands by itself.

Everything shown anywhere (table, report, dashboard) is read from here, and everything here is computed from
the episodes by pure functions (``summary``), so that a reader can compute it again. ``result_files`` writes
and reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lookalike.core.types import Handicaps, Usage
from lookalike.store.events import EpisodeFailed, EpisodeFinished, usage_of

SCHEMA_VERSION = "1"

ConditionKind = Literal["paper", "control", "baseline"]


class ResultPart(BaseModel):
    """The base of everything in a results file: frozen, closed, without NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EpisodeResult(ResultPart):
    """One play of one goal.

    Attributes:
        condition: Condition it was played under.
        goal: Goal name.
        complexity: Commands the reference play needs for the goal.
        seed: The experiment's seed.
        attempt: 0-based.
        success: The goal's predicate held within the step limit. A failed episode is no success.
        steps: Steps decided.
        interactions: Environment steps of all members and worlds.
        score: The game's own score at the end, in points; ``None`` where it has none or the game died.
        return_: Sum of the verdicts' values.
        executability: Share of proposals that were actions, in [0, 1]; ``None`` without proposals.
        agreement: Mean share of the votes behind the decisions, in [0, 1]; ``None`` without votes.
        dissents: Steps on which somebody proposed something else.
        correct_dissents: Those on which the dissenting proposal had the better verdict; ``None`` where
            that is not known.
        terminated: The game ended.
        truncated: The step limit ended it.
        failure: Why the episode could not be finished (crash, hang), or ``None``.
        usage: What was asked of models.
        seconds: Wall time.
        rewards: Verdict value of each step.
    """

    condition: str
    goal: str
    complexity: int
    seed: int
    attempt: int = 0
    success: bool
    steps: int = Field(ge=0)
    interactions: int = Field(ge=0)
    score: float | None = None
    return_: float = 0.0
    executability: float | None = Field(default=None, ge=0, le=1)
    agreement: float | None = Field(default=None, ge=0, le=1)
    dissents: int = 0
    correct_dissents: int | None = None
    terminated: bool = False
    truncated: bool = False
    failure: str | None = None
    usage: Usage = Usage()
    seconds: float = 0.0
    rewards: tuple[float, ...] = ()

    @classmethod
    def of_event(cls, event: EpisodeFinished | EpisodeFailed, *, complexity: int) -> EpisodeResult:
        """Read a result off the event that ended the episode."""
        key = event.episode
        shared: dict[str, Any] = {
            "condition": key.condition,
            "goal": key.goal,
            "complexity": complexity,
            "seed": key.seed,
            "attempt": key.attempt,
            "steps": event.steps,
            "interactions": event.interactions,
            "rewards": event.rewards,
            "return_": sum(event.rewards),
            "usage": usage_of(event.usage, event.measured),
            "seconds": event.measured.seconds or 0.0,
        }
        if isinstance(event, EpisodeFailed):
            return cls(**shared, success=False, failure=event.failure)
        return cls(
            **shared,
            success=event.success,
            score=event.score,
            executability=event.executable_proposals / event.proposals if event.proposals else None,
            agreement=event.agreement,
            dissents=event.dissents,
            correct_dissents=event.correct_dissents,
            terminated=event.terminated,
            truncated=event.truncated,
        )


class ConditionInfo(ResultPart):
    """What a row of the table means.

    Attributes:
        name: Row's name.
        handicaps: The help it was obtained with.
        kind: A row of the paper (with its missing cell), a control, or a baseline.
        description: One sentence: which parts are switched on.
        episodes_of: Condition whose episodes the row counts; ``None`` for its own.
        attempts: How many attempts at each goal and seed the row counts, from the first; it succeeds
            where any of them does (``best-of-4`` has 4).
    """

    name: str
    handicaps: Handicaps
    kind: ConditionKind = "paper"
    description: str = ""
    episodes_of: str | None = None
    attempts: int = Field(default=1, ge=1)


class GoalInfo(ResultPart):
    """A goal as it was declared before the run.

    Attributes:
        name: Its id.
        description: One sentence.
        complexity: Commands the reference play needs.
        step_limit: Steps after which an episode is truncated.
    """

    name: str
    description: str
    complexity: int
    step_limit: int


class Row(ResultPart):
    """One condition over all goals and seeds.

    Attributes:
        condition: Its name.
        kind: ``paper``, ``control`` or ``baseline``.
        description: One sentence: which parts are switched on.
        episodes_of: Condition whose episodes the row counts; mostly its own.
        attempts: Attempts counted at each goal and seed; it succeeds where any of them does.
        plan_success: Share of plays that reached their goal, in [0, 1].
        successes: How many did.
        n: Plays counted: one a goal and seed, failed ones included.
        interval: Wilson's 95% interval of ``plan_success``, low and high.
        failures: Plays that crashed or hung; they count as not successful.
        unfinished: Goals and seeds that other rows have and this one has not (yet): the run was stopped.
        score_mean: Mean of the game's own score at the end, over plays that have one; else ``None``.
        score_interval: 95% interval of ``score_mean`` by bootstrap over seeds; ``None`` with fewer
            than 5 seeds.
        interactions_mean: Mean environment steps of a play, all members, worlds and attempts together.
        steps_mean: Mean steps decided.
        return_mean: Mean of the summed verdicts.
        executability: Mean share of proposals that were actions; ``None`` without proposals.
        agreement: Mean share of votes behind the decisions; ``None`` without votes.
        dissents: Steps on which somebody proposed something else.
        correct_dissents: Those on which the dissenting proposal had the better verdict; ``None`` where
            not known.
        seconds_mean: Mean wall time of a play.
        usage: Sum of what was asked of models.
        handicaps: The help the row was obtained with.
    """

    condition: str
    kind: ConditionKind
    description: str
    episodes_of: str
    attempts: int
    plan_success: float
    successes: int
    n: int
    interval: tuple[float, float]
    failures: int
    unfinished: int
    score_mean: float | None
    score_interval: tuple[float, float] | None
    interactions_mean: float
    steps_mean: float
    return_mean: float
    executability: float | None
    agreement: float | None
    dissents: int
    correct_dissents: int | None
    seconds_mean: float
    usage: Usage
    handicaps: Handicaps


class PairedDifference(ResultPart):
    """Two conditions on the same goals and seeds.

    Attributes:
        a: First condition.
        b: Second condition.
        n: Goals and seeds that both have.
        difference: Plan success of a minus b, in [-1, 1].
        interval: Newcombe's paired 95% interval of ``difference``.
        interval_by_seed: 95% interval of ``difference`` by bootstrap over seeds; ``None`` with fewer
            than 5 seeds.
        both: Plays that succeed under both.
        only_a: Plays that succeed under a only.
        only_b: Plays that succeed under b only.
        neither: Plays that succeed under neither.
        p_value: McNemar's exact test.
        p_holm: The same after Holm's correction over all differences in the file.
        score_difference: Mean difference of the game's own score, over plays with both; else ``None``.
        score_interval: 95% interval of it by bootstrap over seeds; ``None`` with fewer
            than 5 seeds.
        minimum_detectable: Smallest difference that n plays are likely to show, given how often the two
            differ here; ``None`` where none.
        resolved: No interval of the difference holds 0, and the exact test's ``p_value`` is below 0.05.
        statement: The same in one sentence.
    """

    a: str
    b: str
    n: int
    difference: float
    interval: tuple[float, float]
    interval_by_seed: tuple[float, float] | None
    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    p_holm: float
    score_difference: float | None
    score_interval: tuple[float, float] | None
    minimum_detectable: float | None
    resolved: bool
    statement: str


class RecordingInfo(ResultPart):
    """A recording that the reward model was written from.

    Attributes:
        file: File name.
        content_hash: SHA-256 of its bytes.
        licence: SPDX expression, or ``"unknown"``.
    """

    file: str
    content_hash: str
    licence: str = "unknown"


class CreatedWith(ResultPart):
    """How to make the same file again.

    Attributes:
        package_version: Version of this package.
        model: Language model's fingerprint; ``None`` where none was used.
        reward_model: SHA-256 of the reward-model document; ``None`` where none was used.
        recordings: What the reward model was written from.
        spec: The experiment as it was asked for, resolved.
        commands: Shell commands that make it again.
        play_digest: SHA-256 over all events apart from times; equal for equal runs.
    """

    package_version: str
    model: str | None = None
    reward_model: str | None = None
    recordings: tuple[RecordingInfo, ...] = ()
    spec: Mapping[str, Any] = Field(default_factory=dict)
    commands: tuple[str, ...] = ()
    play_digest: str | None = None


class ExperimentResult(ResultPart):
    """A whole experiment.

    Attributes:
        schema_version: ``"1"``; a reader refuses a newer one.
        name: Experiment's name, e.g. ``"paper/colossal-cave"``.
        environment: Environment id.
        complete: Every episode that was asked for has ended.
        created_with: How it was made.
        goals: Goals, easiest first.
        rows: One a condition, in the order of the table.
        paired: Differences of conditions on the same goals and seeds.
        notes: Limits of the result, one sentence each.
        episodes: Every play.
    """

    schema_version: Literal["1"] = "1"
    name: str
    environment: str
    complete: bool = True
    created_with: CreatedWith
    goals: tuple[GoalInfo, ...] = ()
    rows: tuple[Row, ...]
    paired: tuple[PairedDifference, ...] = ()
    notes: tuple[str, ...] = ()
    episodes: tuple[EpisodeResult, ...] = ()
