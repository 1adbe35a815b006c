"""What happened, as typed and versioned records: the only thing a run leaves behind that is never rewritten.

Everything else (results, reports, dashboards) is computed from these. An event has two parts: what was
decided, which two runs of one seed must agree on byte for byte (``codec.canonical_bytes``), and what the
machine happened to measure meanwhile (:class:`Measured`: clock times, tokens saved by sharing and caching),
which no two runs agree on.

A record is only ever added to. A changed meaning is a new ``version`` with an entry in ``codec.UPGRADES``,
so that old logs stay readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from lookalike.core.types import Decision, Outcome, Proposal, Recollection, Transition, Usage, Verdict
from lookalike.store.records import (
    EpisodeKey,
    Measured,
    ProposalRecord,
    RecollectionRecord,
    Record,
    UsageRecord,
    VerdictRecord,
    Weights,
    usage_of,
)

__all__ = [
    "EnvironmentRestarted",
    "EpisodeFailed",
    "EpisodeFinished",
    "EpisodeKey",
    "EpisodePaused",
    "EpisodeStarted",
    "Event",
    "Measured",
    "ProposalRecord",
    "RecollectionRecord",
    "RunFinished",
    "RunStarted",
    "StepTaken",
    "UsageRecord",
    "VerdictRecord",
    "ends_episode",
    "episode_of",
    "is_incident",
    "usage_of",
]


class RunStarted(Record):
    """A run began. Only in this event is the run's id written.

    Attributes:
        run_id: The run's name in the store.
        spec_hash: SHA-256 of the canonical JSON of ``configuration``.
        configuration: Everything the run was asked to do, resolved: no default is left to be guessed.
        package_version: Version of this package.
    """

    kind: Literal["run_started"] = "run_started"
    version: Literal[1] = 1
    run_id: str
    spec_hash: str
    configuration: dict[str, Any]
    package_version: str
    measured: Measured = Measured()


class EpisodeStarted(Record):
    """An episode began. A second one under the same key replaces an episode that never ended.

    Attributes:
        episode: Which.
        environment_seed: The seed the game was reset with.
        first_observation: What was seen before the first step.
        first_frame: SHA-256 of the PNG file of the picture seen, or ``None``.
    """

    kind: Literal["episode_started"] = "episode_started"
    version: Literal[1] = 1
    episode: EpisodeKey
    environment_seed: int
    first_observation: str | None = None
    first_frame: str | None = None
    measured: Measured = Measured()


class StepTaken(Record):
    """One step of one world, with everything that led to it.

    Attributes:
        episode: Which episode.
        step: 0-based index of the step.
        world: Name of the member whose own copy was stepped; ``None`` where all play one world.
        observation: Text the step was decided on.
        proposals: One a member, in the roles' order.
        proposal_verdicts: What each proposal would be worth, in the same order; ``None`` where nobody
            said. Empty where nothing was previewed.
        by: The council's rule.
        votes: Weight behind every proposed action.
        decision: The action played; ``None`` where nothing executable was proposed.
        tie_break: How a tie was broken, or ``None``.
        dissent: Roles that proposed something else.
        recollections: Memories that were shown.
        next_observation: Text that followed.
        next_frame: SHA-256 of the PNG file of the picture that followed, or ``None``.
        env_reward: The game's own reward, in points.
        score: The game's own score after the step, or ``None``.
        terminated: The game ended.
        truncated: A limit ended it.
        goal_reached: The goal's predicate held after the step.
        verdict: Reward or punishment for the step, or ``None`` where none was given.
        usage: What was asked of models.
    """

    kind: Literal["step_taken"] = "step_taken"
    version: Literal[1] = 1
    episode: EpisodeKey
    step: int = Field(ge=0)
    world: str | None = None
    observation: str | None
    proposals: tuple[ProposalRecord, ...]
    proposal_verdicts: tuple[VerdictRecord | None, ...] = ()
    by: str
    votes: Weights
    decision: str | None
    tie_break: str | None = None
    dissent: tuple[str, ...] = ()
    recollections: tuple[RecollectionRecord, ...] = ()
    next_observation: str | None
    next_frame: str | None = None
    env_reward: float = 0.0
    score: float | None = None
    terminated: bool = False
    truncated: bool = False
    goal_reached: bool = False
    verdict: VerdictRecord | None = None
    usage: UsageRecord = UsageRecord()
    measured: Measured = Measured()

    @classmethod
    def of(
        cls,
        episode: EpisodeKey,
        step: int,
        transition: Transition,
        *,
        proposals: Sequence[Proposal],
        decision: Decision,
        verdict: Verdict | None,
        proposal_verdicts: Sequence[Verdict | None] = (),
        recollections: Sequence[Recollection] = (),
        score: float | None = None,
        goal_reached: bool = False,
        world: str | None = None,
        asked_besides: Sequence[Proposal] = (),
        next_frame: str | None = None,
        seconds: float | None = None,
    ) -> StepTaken:
        """Build the event from the vocabulary's own types.

        Usage is the sum over the proposals and what was asked besides (an arbiter).
        """
        usage = sum((proposal.usage for proposal in (*proposals, *asked_besides)), Usage())
        return cls(
            episode=episode,
            step=step,
            world=world,
            observation=transition.before.text,
            proposals=tuple(ProposalRecord.of(proposal) for proposal in proposals),
            proposal_verdicts=tuple(None if v is None else VerdictRecord.of(v) for v in proposal_verdicts),
            by=decision.by,
            votes=dict(decision.votes),
            decision=decision.action,
            tie_break=decision.tie_break,
            dissent=decision.dissent,
            recollections=tuple(RecollectionRecord.of(r) for r in recollections),
            next_observation=transition.after.text,
            next_frame=next_frame,
            env_reward=transition.env_reward,
            score=score,
            terminated=transition.terminated,
            truncated=transition.truncated,
            goal_reached=goal_reached,
            verdict=None if verdict is None else VerdictRecord.of(verdict),
            usage=UsageRecord.of(usage),
            measured=Measured.of(usage, seconds=seconds),
        )


class EpisodeFinished(Record):
    """An episode ended by itself, with its totals, so that a result needs no reading of the steps.

    Attributes:
        episode: Which.
        success: The goal's predicate held within the step limit.
        steps: Steps decided.
        interactions: Environment steps of all members and worlds together.
        score: The game's own score at the end, or ``None``.
        terminated: The game ended.
        truncated: The step limit ended it.
        rewards: Verdict value of each step, 0 where none was given.
        proposals: Proposals made.
        executable_proposals: Those that were actions.
        agreement: Mean share of the votes behind the decisions, in [0, 1]; ``None`` where nobody voted.
        dissents: Steps on which somebody proposed something else.
        correct_dissents: Those on which a dissenting proposal's verdict was better than the decision's;
            ``None`` where that is not known.
        usage: What was asked of models.
    """

    kind: Literal["episode_finished"] = "episode_finished"
    version: Literal[1] = 1
    episode: EpisodeKey
    success: bool
    steps: int = Field(ge=0)
    interactions: int = Field(ge=0)
    score: float | None
    terminated: bool
    truncated: bool
    rewards: tuple[float, ...] = ()
    proposals: int = 0
    executable_proposals: int = 0
    agreement: float | None = None
    dissents: int = 0
    correct_dissents: int | None = None
    usage: UsageRecord = UsageRecord()
    measured: Measured = Measured()

    @classmethod
    def of(
        cls,
        episode: EpisodeKey,
        outcome: Outcome,
        *,
        interactions: int,
        usage: Usage,
        rewards: Sequence[float] = (),
        proposals: int = 0,
        executable_proposals: int = 0,
        agreement: float | None = None,
        dissents: int = 0,
        correct_dissents: int | None = None,
        seconds: float | None = None,
    ) -> EpisodeFinished:
        """Build the event from an outcome and the totals."""
        return cls(
            episode=episode,
            success=outcome.success,
            steps=outcome.steps,
            interactions=interactions,
            score=outcome.score,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            rewards=tuple(rewards),
            proposals=proposals,
            executable_proposals=executable_proposals,
            agreement=agreement,
            dissents=dissents,
            correct_dissents=correct_dissents,
            usage=UsageRecord.of(usage),
            measured=Measured.of(usage, seconds=seconds),
        )


class EpisodeFailed(Record):
    """An episode could not be finished: a crash or a hang, not a loss. It counts as a failure.

    Attributes:
        episode: Which.
        failure: What happened, in one sentence.
        steps: Steps decided before it.
        interactions: Environment steps before it.
        rewards: Verdict values before it.
        will_retry: The episode is going to be started again; it has not ended yet.
        usage: What was asked of models before it.
    """

    kind: Literal["episode_failed"] = "episode_failed"
    version: Literal[1] = 1
    episode: EpisodeKey
    failure: str
    steps: int = 0
    interactions: int = 0
    rewards: tuple[float, ...] = ()
    will_retry: bool = False
    usage: UsageRecord = UsageRecord()
    measured: Measured = Measured()


class EnvironmentRestarted(Record):
    """The game hung or died and was brought back to where it was; the episode goes on.

    Attributes:
        episode: Which.
        step: 0-based index of the step on which it failed.
        failure: What happened, in one sentence.
        replayed: Actions played again to get back there; they are no interactions of the swarm's.
    """

    kind: Literal["environment_restarted"] = "environment_restarted"
    version: Literal[1] = 1
    episode: EpisodeKey
    step: int = Field(ge=0)
    failure: str
    replayed: int = 0
    measured: Measured = Measured()


class EpisodePaused(Record):
    """An episode was stopped by its own budget. It has not ended: with a higher one it goes on.

    Attributes:
        episode: Which.
        step: Steps decided so far.
        reason: Which limit, e.g. ``"calls: 100 of 100"``.
    """

    kind: Literal["episode_paused"] = "episode_paused"
    version: Literal[1] = 1
    episode: EpisodeKey
    step: int = Field(ge=0)
    reason: str
    measured: Measured = Measured()


class RunFinished(Record):
    """A run came to its end, or was stopped; a resumed run may have several.

    Attributes:
        status: ``finished``: every episode ended. ``stopped``: by a person or by a limit.
        reason: Why, where it was stopped.
        episodes: Episodes that had ended by then.
        failures: Those of them that failed.
    """

    kind: Literal["run_finished"] = "run_finished"
    version: Literal[1] = 1
    status: Literal["finished", "stopped"]
    reason: str | None = None
    episodes: int = 0
    failures: int = 0
    measured: Measured = Measured()


Event = Annotated[
    RunStarted
    | EpisodeStarted
    | StepTaken
    | EnvironmentRestarted
    | EpisodePaused
    | EpisodeFinished
    | EpisodeFailed
    | RunFinished,
    Field(discriminator="kind"),
]
"""Any event; ``kind`` says which."""


def episode_of(event: Event) -> str | None:
    """Return the key of the event's episode as text, or ``None`` for an event of the whole run."""
    return None if isinstance(event, RunStarted | RunFinished) else str(event.episode)


def ends_episode(event: Event) -> bool:
    """Return whether the event is the last of its episode."""
    return isinstance(event, EpisodeFinished) or (isinstance(event, EpisodeFailed) and not event.will_retry)


def is_incident(event: Event) -> bool:
    """Return whether the event tells what befell the machine or the purse, and not what was played."""
    return isinstance(event, EnvironmentRestarted | EpisodePaused) or (
        isinstance(event, EpisodeFailed) and event.will_retry
    )
