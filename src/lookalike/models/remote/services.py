"""What every back end has in common: one question in, its answers out, through pydantic-ai's models."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lookalike.core.errors import ModelError
from lookalike.core.protocols import CompletionRequest, Media, ModelCapabilities
from lookalike.models.remote.entries import Entry, ListHeldBy
from lookalike.models.remote.replies import list_grammar, list_schema
from lookalike.models.remote.wire import Exchange, make_client

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse, UserContent
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

SCHEMA_NAME = "reply"
WRAPPING_TOKENS = 24
"""What an object around a reply costs, at most."""

Finish = Literal["stop", "length", "refused"]


@dataclass(frozen=True)
class Question:
    """One call.

    Attributes:
        request: What is asked, with media that fit the service.
        count: How many replies are drawn.
        seed: What is sent as a seed; ``None`` for none.
        temperature: What is sent as a temperature; ``None`` for none.
    """

    request: CompletionRequest
    count: int
    seed: int | None
    temperature: float | None


@dataclass(frozen=True)
class Answer:
    """One reply of a service.

    Attributes:
        text: As it came, stripped.
        finish: Whether it is whole, was cut at the limit, or was refused.
        prompt_tokens: All of the prompt's.
        cached_tokens: Those that the service had in its cache.
        completion_tokens: Of the reply, hidden reasoning included; several replies of one call share.
        probability: Product of the tokens' probabilities at temperature 1, or ``None``.
        detail: Why it was refused, as the service says it.
    """

    text: str
    finish: Finish
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    probability: float | None = None
    detail: str = ""


class Service(ABC):
    """A back end: knows one protocol, and nothing of limits, tries, prices or caches.

    Attributes:
        entry: Whom it talks to.
        declared: What it can do.
        client: Its HTTP client, whose traffic is watched.
        list_held_by: How it holds a reply to a list; ``None`` where it cannot.
    """

    entry: Entry
    declared: ModelCapabilities
    list_held_by: ListHeldBy | None = None
    model: Model

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.client = make_client(entry.address)

    async def ask(self, question: Question, seen: Exchange) -> list[Answer]:  # noqa: ARG002 - others need it
        """Make one call; raises whatever the vendor's library raises."""
        response = await self._chat(question, {})
        return [answer_of(response)]

    async def prepare(self, request: CompletionRequest) -> None:  # noqa: B027 - most need nothing
        """Do what takes long before a request can be made (an upload)."""

    @abstractmethod
    async def models(self) -> list[str]:
        """Return the names of the service's models."""

    async def close(self) -> None:  # noqa: B027 - most leave nothing behind
        """Take back what was left at the service."""

    def video_part(self, video: Media) -> UserContent:
        """Return a video as pydantic-ai takes it."""
        from pydantic_ai.messages import BinaryContent

        return BinaryContent(data=video.data, media_type=video.media_type)

    async def _chat(self, question: Question, more: dict[str, Any]) -> ModelResponse:
        from pydantic_ai.direct import model_request

        return await model_request(
            self.model,
            self._messages(question.request),
            model_settings=self._settings(question, more),
            model_request_parameters=self._parameters(question.request),
            instrument=False,
        )

    def _settings(self, question: Question, more: dict[str, Any]) -> ModelSettings:
        request = question.request
        most = request.max_tokens + self.entry.thinking_tokens
        if request.allowed_replies is not None and self.list_held_by == "json_schema":
            most += WRAPPING_TOKENS + max(len(reply) for reply in request.allowed_replies)
        settings: dict[str, Any] = {"max_tokens": most}
        if question.temperature is not None:
            settings["temperature"] = question.temperature
        if question.seed is not None:
            settings["seed"] = question.seed
        extra = {**more.pop("extra_body", {}), **self.entry.settings.get("extra_body", {})}
        settings |= more
        settings |= self.entry.settings
        if extra:
            settings["extra_body"] = extra
        return settings  # type: ignore[return-value]  # a TypedDict with keys of every vendor

    def _parameters(self, request: CompletionRequest) -> ModelRequestParameters:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.output import OutputObjectDefinition

        schema = request.json_schema
        if request.allowed_replies is not None and self.list_held_by == "json_schema":
            schema = list_schema(request.allowed_replies)
        if schema is None:
            return ModelRequestParameters()
        return ModelRequestParameters(
            output_mode="native",
            output_object=OutputObjectDefinition(json_schema=dict(schema), name=SCHEMA_NAME, strict=True),
            allow_text_output=False,
        )

    def _messages(self, request: CompletionRequest) -> list[ModelMessage]:
        """Return a prompt's messages; media go with the last one."""
        from pydantic_ai.messages import (
            BinaryContent,
            ModelRequest,
            ModelResponse,
            SystemPromptPart,
            TextPart,
            UserPromptPart,
        )

        said = (("user", request.prompt),) if isinstance(request.prompt, str) else request.prompt
        if not said or said[-1][0] != "user":
            raise ModelError(
                "A chat prompt has no last message of the user.",
                got=f"roles {[role for role, _ in said]}",
                expected="messages (role, text) that end with role 'user'",
            )
        found: list[ModelMessage] = []
        parts: list[SystemPromptPart | UserPromptPart] = []
        for number, (role, text) in enumerate(said, start=1):
            if role == "assistant":
                found += [ModelRequest(parts=list(parts)), ModelResponse(parts=[TextPart(text)])]
                parts = []
            elif role == "system":
                parts.append(SystemPromptPart(text))
            elif number < len(said) or not (request.images or request.video):
                parts.append(UserPromptPart(text))
            else:
                shown: list[UserContent] = [self.video_part(request.video)] if request.video else []
                shown += [BinaryContent(data=i.data, media_type=i.media_type) for i in request.images]
                parts.append(UserPromptPart([*shown, text]))
        return [*found, ModelRequest(parts=list(parts))]


def held_list(how: ListHeldBy | None, replies: Sequence[str] | None) -> dict[str, Any]:
    """Return what goes into a request's body so that a server holds a reply to a list."""
    if replies is None or how is None or how == "json_schema":
        return {}
    if how == "grammar":
        return {"grammar": list_grammar(replies)}
    if how == "guided_choice":
        return {"guided_choice": list(replies)}
    return {"structured_outputs": {"choice": list(replies)}}


def answer_of(response: ModelResponse, probability: float | None = None) -> Answer:
    """Return pydantic-ai's response as an answer."""
    details = response.provider_details or {}
    finish: Finish = "stop"
    if response.finish_reason == "content_filter":
        finish = "refused"
    elif response.finish_reason == "length":
        finish = "length"
    detail = details.get("refusal") or details.get("block_reason") or details.get("finish_reason") or ""
    return Answer(
        text="".join(part.content for part in response.parts if part.part_kind == "text").strip(),
        finish=finish,
        prompt_tokens=response.usage.input_tokens,
        cached_tokens=response.usage.cache_read_tokens,
        completion_tokens=response.usage.output_tokens,
        probability=probability,
        detail=str(detail)[:200],
    )


def product(logarithms: Sequence[float | None]) -> float | None:
    """Return the probability of a reply from its tokens' log-probabilities; ``None`` for none."""
    known = [float(value) for value in logarithms if isinstance(value, (int, float))]
    if not known or len(known) < len(logarithms):
        return None
    return math.exp(min(0.0, math.fsum(known)))
