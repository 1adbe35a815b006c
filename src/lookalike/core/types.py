"""The nouns of the field as frozen types: what is observed, done, rewarded, proposed and decided.

Singular per step, plural per episode. *terminated*: the game ended. *truncated*: a limit ended it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Capability = Literal["text", "frames", "save_restore", "admissible_actions", "score", "levels"]
PlayerKind = Literal["human", "scripted", "agent"]


@dataclass(frozen=True, eq=False)
class Observation:
    """What can be seen after a step: text, a picture, or both.

    Attributes:
        text: The game's words, or ``None``.
        frame: RGB picture, uint8 ``[H, W, 3]``, or ``None``.
    """

    text: str | None = None
    frame: Frame | None = None

    def __post_init__(self) -> None:
        if self.text is None and self.frame is None:
            raise ValueError("an observation needs a text or a frame")
        if self.frame is not None and (
            self.frame.dtype != np.uint8 or self.frame.ndim != 3 or self.frame.shape[2] != 3
        ):
            raise ValueError(
                f"frame must be uint8 [H, W, 3], got {self.frame.dtype} {list(self.frame.shape)}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Observation):
            return NotImplemented
        same_frame = (
            self.frame is other.frame
            if self.frame is None or other.frame is None
            else np.array_equal(self.frame, other.frame)
        )
        return self.text == other.text and same_frame

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Transition:
    """One step: observation, action, observation.

    Attributes:
        before: The observation the action was chosen on.
        action: The command; ``None`` where a recording does not say what was done.
        after: The observation that followed.
        env_reward: The game's own reward for the step, in the game's points; 0.0 where it has none.
        terminated: The game ended with this step.
        truncated: A limit ended the episode with this step.
        info: Anything else, JSON values only. Never shown to a player.
    """

    before: Observation
    action: str | None
    after: Observation
    env_reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trajectory:
    """An episode's path: N actions and N + 1 observations.

    Attributes:
        observations: N + 1 of them.
        actions: N of them; ``None`` where unknown.
        rewards: N of the game's own rewards, in points.
        times: N + 1 seconds from the start of the recording; empty where there is no clock.
    """

    observations: tuple[Observation, ...]
    actions: tuple[str | None, ...]
    rewards: tuple[float, ...] = ()
    times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.actions)
        if len(self.observations) != n + 1:
            raise ValueError(f"{n} actions need {n + 1} observations, got {len(self.observations)}")
        if self.rewards and len(self.rewards) != n:
            raise ValueError(f"{n} actions need {n} rewards or none, got {len(self.rewards)}")
        if self.times and len(self.times) != n + 1:
            raise ValueError(f"{n} actions need {n + 1} times or none, got {len(self.times)}")

    def __len__(self) -> int:
        return len(self.actions)

    def __repr__(self) -> str:
        return f"Trajectory({len(self.actions)} actions, {len(self.observations)} observations)"

    def transitions(self) -> tuple[Transition, ...]:
        """Return the N steps as transitions, in order."""
        rewards = self.rewards or (0.0,) * len(self.actions)
        return tuple(
            Transition(self.observations[i], action, self.observations[i + 1], rewards[i])
            for i, action in enumerate(self.actions)
        )


@dataclass(frozen=True)
class Provenance:
    """Where a demonstration comes from.

    Attributes:
        file: Name of the recording's file, without its folder.
        reader: Which reader understood it, e.g. ``"terminal-video"``.
        content_hash: SHA-256 of the file's bytes, 64 hexadecimal digits.
        licence: SPDX expression, or ``"unknown"``.
        note: Anything a later reader should know, e.g. how many lines were doubtful.
    """

    file: str
    reader: str
    content_hash: str
    licence: str = "unknown"
    note: str = ""


@dataclass(frozen=True)
class Demonstration:
    """A trajectory with its provenance.

    Attributes:
        id: Content-derived: equal recordings read by equal readers have equal ids.
        trajectory: What happened. Actions may be ``None``: a bare video has none.
        player_kind: Who played. A scripted play is never called human.
        provenance: Where it comes from.
        environment: Id of the environment it shows, or ``None`` where not known.
        started_with: Seed or level the play started with, where known.
        outcome: In a few words, e.g. ``"350 of 350"``; ``None`` where not known.
    """

    id: str
    trajectory: Trajectory
    player_kind: PlayerKind
    provenance: Provenance
    environment: str | None = None
    started_with: int | None = None
    outcome: str | None = None


@dataclass(frozen=True)
class Evidence:
    """A span of a recording that supports a claim, so that a viewer can jump there.

    Attributes:
        recording: Demonstration id.
        start_step: Index of the action, 0-based.
        end_step: Index of the last action of the span, inclusive.
        start_s: Seconds from the start of the recording, or ``None`` without a clock.
        end_s: Likewise.
    """

    recording: str
    start_step: int
    end_step: int
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Predicate:
    """A condition over an environment's facts; all of its clauses must hold.

    Attributes:
        fact: Name of the fact, e.g. ``"score"`` or ``"inventory"``.
        op: ``at_least`` (numbers), ``equals``, ``contains`` (a collection has the value).
        value: What to compare with.
    """

    fact: str
    op: Literal["at_least", "equals", "contains"]
    value: float | int | str | bool

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Return whether ``facts`` satisfy the predicate; a missing fact does not."""
        if self.fact not in facts:
            return False
        found = facts[self.fact]
        if self.op == "at_least":
            return bool(found >= self.value)
        if self.op == "contains":
            return self.value in found
        return bool(found == self.value)


@dataclass(frozen=True)
class Goal:
    """A named thing to achieve, declared before the run.

    Attributes:
        name: Short id, unique within its environment.
        environment: Environment id.
        description: One sentence that a player may read.
        success: Predicates over the environment's facts; all must hold at once, after some step.
        step_limit: Steps after which the episode is truncated.
        complexity: Commands the reference play needs to reach it; the axis success is plotted against.
        in_paper_table: Whether the goal counts in the ``paper/...`` experiments.
    """

    name: str
    environment: str
    description: str
    success: tuple[Predicate, ...]
    step_limit: int
    complexity: int
    in_paper_table: bool = True

    def reached(self, facts: Mapping[str, Any]) -> bool:
        """Return whether every predicate holds."""
        return all(predicate.holds(facts) for predicate in self.success)


@dataclass(frozen=True)
class Role:
    """One member of a swarm: the same player at its own temperature.

    Attributes:
        name: Unique within the swarm, e.g. ``"t0.6"``.
        temperature: Sampling temperature, >= 0; 0 takes the most probable action.
        persona: Optional line for the prompt.
    """

    name: str
    temperature: float
    persona: str | None = None


@dataclass(frozen=True)
class Usage:
    """What a model call cost.

    Attributes:
        calls: Logical calls: one for every proposal asked for, cached or not. Budgets count these.
        prompt_tokens: Tokens of the prompts, as if each call stood alone.
        completion_tokens: Tokens of the replies.
        computed_tokens: Tokens the model really processed here, after sharing and caching.
        cached_calls: Calls answered from the response cache.
        seconds: Wall time spent in the model.
        cost: What was paid, in the currency of the price file; calls without a known price add nothing.
        unpriced_calls: Calls that were made (not cached) and whose price is not known: with any of them,
            ``cost`` is a lower bound and the cost is unknown.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    computed_tokens: int = 0
    cached_calls: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    unpriced_calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.computed_tokens + other.computed_tokens,
            self.cached_calls + other.cached_calls,
            self.seconds + other.seconds,
            self.cost + other.cost,
            self.unpriced_calls + other.unpriced_calls,
        )


@dataclass(frozen=True)
class Recollection:
    """Something remembered: what was seen, done and got, and by whom.

    Attributes:
        observation: Text seen before the action.
        action: What was done.
        reward: Verdict value in [-1, 1], or ``None`` where no verdict was given.
        outcome: Text seen after the action; may be empty for a recommendation not yet played.
        source: ``"member"`` (the swarm's own play), ``"recording"`` or ``"expert"`` (a recommendation).
        provenance: Member and step, or recording and step, e.g. ``"t0.6@12/episode 3"``.
        score: How well it fits the situation it was recalled for, in [0, 1]; 1 is the same state.
    """

    observation: str
    action: str
    reward: float | None
    outcome: str
    source: Literal["member", "recording", "expert"]
    provenance: str
    score: float = 1.0


@dataclass(frozen=True)
class Situation:
    """What a player is shown, in the paper's order.

    Attributes:
        how_to_play: The game's commands, in a few lines.
        goal: The goal's description.
        guidance: The expert's recommendation for this step, best first; empty where the handicap is off.
        recollections: Least relevant first, so that the most relevant stands next to the choice.
        history: The episode's last transitions, oldest first, each with the verdict's value
            (``None`` where no verdict was given).
        observation: What is seen now.
        admissible_actions: Commands that the environment offers, or ``None`` for free text.
        step: 0-based index of the step about to be taken.
        steps_left: Steps until the limit, this one included.
    """

    how_to_play: str
    goal: str
    guidance: tuple[Recollection, ...]
    recollections: tuple[Recollection, ...]
    history: tuple[tuple[Transition, float | None], ...]
    observation: Observation
    admissible_actions: tuple[str, ...] | None
    step: int
    steps_left: int


@dataclass(frozen=True)
class Proposal:
    """What one member wants to do.

    Attributes:
        role: Who.
        action: The command, or ``None`` where the reply was no action even after one re-ask.
        probability: The player's probability of this action at the role's temperature, in [0, 1];
            ``None`` where the back end does not tell.
        rationale: Why, where the player says so.
        usage: What it cost.
        reply: The raw reply, kept where it was not executable.
    """

    role: Role
    action: str | None
    probability: float | None = None
    rationale: str | None = None
    usage: Usage = Usage()
    reply: str | None = None


@dataclass(frozen=True)
class Verdict:
    """Reward (> 0) or punishment (< 0) for a transition.

    Attributes:
        value: In [-1, 1].
        components: Name of each component of the reward model that spoke, with its share of ``value``.
        feedback: One sentence that can go into a prompt.
    """

    value: float
    components: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""

    def __post_init__(self) -> None:
        if not -1.0 <= self.value <= 1.0:
            raise ValueError(f"verdict value must be in [-1, 1], got {self.value!r}")


@dataclass(frozen=True)
class Decision:
    """What the council decided.

    Attributes:
        action: The action to play; ``None`` where no member proposed an executable one.
        by: The council's rule.
        votes: Weight behind every proposed action.
        dissent: Names of the roles that proposed something else.
        tie_break: How a tie was broken, or ``None`` where there was none.
    """

    action: str | None
    by: str
    votes: Mapping[str, float]
    dissent: tuple[str, ...] = ()
    tie_break: str | None = None

    @property
    def agreement(self) -> float:
        """Share of the votes' weight behind the decision, in [0, 1]; 0 without a decision."""
        total = sum(abs(v) for v in self.votes.values())
        return abs(self.votes.get(self.action or "", 0.0)) / total if total else 0.0


@dataclass(frozen=True)
class Handicaps:
    """The help a result was obtained with. No number is shown without them.

    Attributes:
        save_restore: Players could go back to an earlier state.
        admissible_actions: Players chose from a list that the environment offers.
        step_limit: Steps an episode may take; ``None`` where each goal has its own.
        restarts: Further attempts a player had at the same goal and seed.
        recommendation: The reward model's preview of proposals was visible before playing.
        reward: Rewards and punishments were given after each step, and by what
            (``"none"``, ``"environment score"`` or ``"reward model"``).
        demonstrations_of_this_level: Recordings of the same seed or level were used.
        model_calls_per_step: Proposals asked for at each step.
    """

    save_restore: bool
    admissible_actions: bool
    step_limit: int | None
    restarts: int
    recommendation: bool
    reward: str
    demonstrations_of_this_level: bool
    model_calls_per_step: int


@dataclass(frozen=True)
class Outcome:
    """How an episode ended.

    Attributes:
        success: The goal's predicate held within the step limit.
        steps: Environment steps taken.
        score: The game's own score at the end, in points, or ``None`` where it has none.
        terminated: The game ended.
        truncated: The step limit ended it.
        failure: Why the episode could not be finished (hang, crash), or ``None``.
    """

    success: bool
    steps: int
    score: float | None
    terminated: bool
    truncated: bool
    failure: str | None = None
