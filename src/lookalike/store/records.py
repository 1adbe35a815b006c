"""What events are made of: the key of an episode, and what was proposed, judged, remembered and measured."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote, unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lookalike.core.errors import StoreError
from lookalike.core.types import Proposal, Recollection, Usage, Verdict

_KEPT_IN_KEYS = " +.="  # read as they are; everything else unusual is percent-encoded

_V = TypeVar("_V")


def _sorted(mapping: dict[str, _V]) -> dict[str, _V]:
    """Order a mapping by key, so that equal mappings have equal bytes."""
    return {key: mapping[key] for key in sorted(mapping)}


Weights = Annotated[dict[str, float], AfterValidator(_sorted)]
"""Finite numbers by name, kept in the names' order."""


class Record(BaseModel):
    """The base of everything that is written: frozen, closed, without NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@lru_cache(maxsize=4096)
def _key_text(condition: str, goal: str, seed: int, attempt: int) -> str:
    """Write a key; remembered, because every step of an episode asks for it."""
    parts = (quote(condition, safe=_KEPT_IN_KEYS), quote(goal, safe=_KEPT_IN_KEYS))
    return "/".join((*parts, str(seed), str(attempt)))


class EpisodeKey(Record):
    """Names one episode within its run.

    Attributes:
        condition: Which parts are switched on, e.g. ``"swarm+expert"``.
        goal: Goal name.
        seed: The experiment's seed, as in ``--seeds``; not the one the game got (that is derived from it).
        attempt: 0-based; further attempts at one goal and seed are what ``best-of-N`` compares.
    """

    condition: str
    goal: str
    seed: int
    attempt: int = 0

    def __str__(self) -> str:
        return _key_text(self.condition, self.goal, self.seed, self.attempt)

    @classmethod
    def parse(cls, text: str) -> EpisodeKey:
        """Read what ``str`` wrote.

        Raises:
            StoreError: It is no episode key.
        """
        try:
            condition, goal, seed, attempt = text.split("/")
            return cls(condition=unquote(condition), goal=unquote(goal), seed=int(seed), attempt=int(attempt))
        except ValueError as error:
            raise StoreError(
                "This is no episode key.", got=repr(text), expected="condition/goal/seed/attempt"
            ) from error


class UsageRecord(Record):
    """What was asked of models, the same in every run of one seed.

    Attributes:
        calls: Proposals asked for, cached or not.
        prompt_tokens: Tokens of the prompts, as if each call stood alone.
        completion_tokens: Tokens of the replies.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @classmethod
    def of(cls, usage: Usage) -> UsageRecord:
        """Take the repeatable part of ``usage``; the rest goes into :class:`Measured`."""
        return cls(
            calls=usage.calls,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )


class Measured(Record):
    """What the clock and the caches had to do with it. Never part of the canonical bytes.

    Attributes:
        at: Seconds since 1970 when the event was appended; the log fills it in.
        seconds: Wall time of what the event tells, or ``None`` where it was not taken.
        model_seconds: Wall time spent in models.
        computed_tokens: Tokens really processed, after sharing and caching.
        cached_calls: Calls answered from the response cache.
        cost: What was paid, in the currency of the user's price file.
        unpriced_calls: Calls made whose price is not known.
    """

    at: float | None = None
    seconds: float | None = None
    model_seconds: float = 0.0
    computed_tokens: int = 0
    cached_calls: int = 0
    cost: float = 0.0
    unpriced_calls: int = 0

    @classmethod
    def of(cls, usage: Usage, *, seconds: float | None = None) -> Measured:
        """Take the part of ``usage`` that depends on the machine and on earlier runs."""
        return cls(
            seconds=seconds,
            model_seconds=usage.seconds,
            computed_tokens=usage.computed_tokens,
            cached_calls=usage.cached_calls,
            cost=usage.cost,
            unpriced_calls=usage.unpriced_calls,
        )


def usage_of(record: UsageRecord, measured: Measured) -> Usage:
    """Put a usage back together from its two halves."""
    return Usage(
        calls=record.calls,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        computed_tokens=measured.computed_tokens,
        cached_calls=measured.cached_calls,
        seconds=measured.model_seconds,
        cost=measured.cost,
        unpriced_calls=measured.unpriced_calls,
    )


class ProposalRecord(Record):
    """What one member wanted to do.

    Attributes:
        role: The member's name.
        action: The command, or ``None`` where the reply was no action.
        probability: In [0, 1], or ``None`` where the back end does not tell.
        rationale: Why, where the player says so.
        reply: The raw reply, kept where it was not executable.
    """

    role: str
    action: str | None
    probability: float | None = None
    rationale: str | None = None
    reply: str | None = None

    @classmethod
    def of(cls, proposal: Proposal) -> ProposalRecord:
        """Record a proposal; what it cost is in the step's usage."""
        return cls(
            role=proposal.role.name,
            action=proposal.action,
            probability=proposal.probability,
            rationale=proposal.rationale,
            reply=proposal.reply,
        )


class VerdictRecord(Record):
    """Reward or punishment.

    Attributes:
        value: In [-1, 1].
        components: Share of ``value`` by component of the reward model.
        feedback: One sentence.
    """

    value: float
    components: Weights = Field(default_factory=dict)
    feedback: str = ""

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictRecord:
        """Record a verdict."""
        return cls(value=verdict.value, components=dict(verdict.components), feedback=verdict.feedback)


class RecollectionRecord(Record):
    """Which memory was shown, so that a replay can show what changed a decision.

    Attributes:
        provenance: Member and step, or recording and step.
        source: ``"member"``, ``"recording"`` or ``"expert"``.
        score: How well it fitted, in [0, 1].
    """

    provenance: str
    source: Literal["member", "recording", "expert"]
    score: float

    @classmethod
    def of(cls, recollection: Recollection) -> RecollectionRecord:
        """Record a recollection by where it came from."""
        return cls(provenance=recollection.provenance, source=recollection.source, score=recollection.score)
