"""How rooms at one level meet without importing each other: small protocols, wired further up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from lookalike.core.types import (
    Capability,
    Demonstration,
    Observation,
    Proposal,
    Role,
    Situation,
    Transition,
    Usage,
    Verdict,
)

PromptStyle = Literal["transcript", "chat"]


@dataclass(frozen=True)
class StepResult:
    """What an environment answers to an action (Gymnasium's five values, with our observation).

    Attributes:
        observation: What is seen now.
        env_reward: The game's own reward, in points.
        terminated: The game ended.
        truncated: The environment's own limit ended it.
        info: JSON values only; never shown to a player.
    """

    observation: Observation
    env_reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Environment(Protocol):
    """A game. One instance plays one episode at a time; ``reset`` starts the next."""

    id: str
    capabilities: frozenset[Capability]
    how_to_play: str

    def reset(self, *, seed: int) -> Observation:
        """Start an episode. Two resets with one seed play alike, step by step."""
        ...

    def step(self, action: str) -> StepResult:
        """Play one command. An unknown command is answered by the game, never an exception."""
        ...

    def admissible_actions(self) -> tuple[str, ...]:
        """Return commands worth trying here, sorted, without duplicates (capability of that name)."""
        ...

    def save(self) -> bytes:
        """Return the whole state, randomness included (capability ``save_restore``)."""
        ...

    def restore(self, state: bytes) -> None:
        """Go back to a saved state exactly (capability ``save_restore``)."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on (score, inventory, place …). Never shown to a player."""
        ...

    def close(self) -> None:
        """Release everything; further calls may fail."""
        ...


@dataclass(frozen=True)
class ModelCapabilities:
    """What a language model's back end can do. Declared before a run, checked before a call.

    The defaults are those of a text-only model that nothing is known about.

    Attributes:
        allowed_replies: The back end itself holds a reply to a given list; without it the list stands in
            the prompt only and a reply may be another one.
        probabilities: Completions carry probabilities.
        images: How many images one request may carry; 0 for none.
        video: A request may carry a video, sent whole.
        json_schema: The back end itself holds a reply to a JSON schema.
        seed: The same request with the same seed is meant to have the same reply.
        n: One call can draw several replies to one prompt.
        max_temperature: The highest temperature that is accepted; ``None`` where temperatures are not
            accepted at all.
    """

    allowed_replies: bool = False
    probabilities: bool = False
    images: int = 0
    video: bool = False
    json_schema: bool = False
    seed: bool = False
    n: bool = False
    max_temperature: float | None = 2.0


@dataclass(frozen=True)
class Media:
    """An image or a video that goes with a prompt.

    Attributes:
        data: The file's bytes, as they would stand on disk.
        media_type: ``image/png``, ``image/jpeg``, ``image/webp``, ``image/gif``, ``video/mp4`` …
    """

    data: bytes = field(repr=False)
    media_type: str


@dataclass(frozen=True)
class CompletionRequest:
    """One reply asked of a language model.

    Attributes:
        prompt: The rendered prompt: a transcript, or chat messages as (role, text) pairs.
        temperature: >= 0; 0 takes the most probable reply.
        seed: For the draw; the same request with the same seed has the same reply.
        allowed_replies: The reply must be one of these; ``None`` for free text up to the line's end.
        max_tokens: Limit of a free reply.
        images: Shown with the last message, in this order.
        video: Shown with the last message, before the images.
        json_schema: The reply must be JSON that fits this schema (plain data).
        sample: Which of several draws of otherwise equal requests this is; two requests that differ in
            nothing are one draw, asked for once.
    """

    prompt: str | tuple[tuple[str, str], ...]
    temperature: float
    seed: int
    allowed_replies: tuple[str, ...] | None = None
    max_tokens: int = 16
    images: tuple[Media, ...] = ()
    video: Media | None = None
    json_schema: Mapping[str, Any] | None = field(default=None, hash=False)
    sample: int = 0


@dataclass(frozen=True)
class Completion:
    """A language model's reply.

    Attributes:
        text: The reply, stripped.
        probability: Of this reply at the request's temperature among the allowed ones, in [0, 1];
            ``None`` where the back end does not tell. A remote service tells it at temperature 1 and
            among everything that could have been said.
        usage: What it cost.
        problem: Why the reply is not what was asked for (refused, cut off, not in the list, not in the
            schema), as one sentence that may go into a second prompt; ``None`` where nothing is wrong.
        notes: What was changed on the way there (an image made smaller, say), a sentence each.
    """

    text: str
    probability: float | None
    usage: Usage
    problem: str | None = None
    notes: tuple[str, ...] = ()


class LanguageModel(Protocol):
    """A back end that completes prompts. It declares how it wants to be spoken to."""

    name: str
    style: PromptStyle
    fingerprint: str
    capabilities: ModelCapabilities

    def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Answer a batch; requests that share a prompt share its prefill."""
        ...


class ResponseCache(Protocol):
    """Where model responses are kept so that none is computed or paid for twice."""

    def get(self, key: str) -> bytes | None:
        """Return the stored response or ``None``."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Store a response."""
        ...


class Player(Protocol):
    """Who proposes actions: one call for all roles of a swarm."""

    name: str

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return one proposal a role, in the roles' order."""
        ...

    def start_episode(self, *, seed: int) -> None:
        """Forget the last episode."""
        ...


class EpisodeScorer(Protocol):
    """A reward model applied to one episode; it follows the play from observation to observation."""

    def start(self, observation: Observation) -> None:
        """Begin an episode at its first observation."""
        ...

    def score(self, transition: Transition) -> Verdict:
        """Give reward or punishment for a step that was played, and follow it."""
        ...

    def preview(self, observation: Observation, actions: Sequence[str]) -> list[Verdict]:
        """Say what the same actions would be worth here, before they are played."""
        ...

    def note_admissible(self, actions: Sequence[str]) -> None:
        """Take in what is possible here, where the environment says so: the rest need not be waited for."""
        ...

    def recommend(self, observation: Observation) -> list[str]:
        """Return actions worth doing here, best first; empty where the model knows nothing."""
        ...

    def copy(self) -> EpisodeScorer:
        """Return an independent scorer at the same point of the episode."""
        ...


class Expert(Protocol):
    """Who watches demonstrations and writes a reward model (a YAML document as plain data)."""

    name: str

    def watch(self, demonstrations: Sequence[Demonstration], *, environment: str) -> Mapping[str, Any]:
        """Return the reward-model document."""
        ...
