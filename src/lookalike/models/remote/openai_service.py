"""OpenAI and everything that speaks its protocol: vLLM, SGLang, llama.cpp's server, Ollama, LM Studio.

Chats go through pydantic-ai. Two things it does not offer use the same client beside it: transcripts that
continue (``/completions``), and the further replies of a call with ``n``, which are read off the answer.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from lookalike.core.ids import hash_json
from lookalike.core.protocols import ModelCapabilities
from lookalike.models.remote.entries import Entry, declared_by_server
from lookalike.models.remote.services import Answer, Finish, Question, Service, answer_of, held_list, product
from lookalike.models.remote.wire import Exchange

NO_KEY = "none-needed"


class OpenAIService(Service):
    """The chat-completions protocol (and completions, for transcripts)."""

    def __init__(self, entry: Entry, secret: SecretStr | None) -> None:
        super().__init__(entry)
        from openai import AsyncOpenAI
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.profiles.openai import OpenAIModelProfile
        from pydantic_ai.providers.openai import OpenAIProvider
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

        self._client = AsyncOpenAI(
            api_key=secret.get_secret_value() if secret is not None else NO_KEY,
            base_url=entry.address,
            http_client=self.client,
            max_retries=0,
        )
        self._is_openai = entry.kind_of_server == "openai"
        if self._is_openai:
            self.model = OpenAIChatModel(entry.model, provider=OpenAIProvider(openai_client=self._client))
        else:
            # Most compatible servers know only the older name of the limit.
            profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
            self.model = OpenAIChatModel(
                entry.model,
                provider=OpenAICompatibleProvider("openai-compatible", openai_client=self._client),
                profile=profile,
            )
        self.declared, self.list_held_by = self._declare()

    def _declare(self) -> tuple[ModelCapabilities, Any]:
        declared, held_by = declared_by_server(self.entry.kind_of_server)
        if self._is_openai and not self._samples():
            declared = replace(declared, max_temperature=None)
        if self.entry.allowed_replies_by is not None:
            declared, held_by = replace(declared, allowed_replies=True), self.entry.allowed_replies_by
        if self.entry.style == "transcript":
            declared = replace(declared, images=0, json_schema=False)
            if held_by == "json_schema":
                declared, held_by = replace(declared, allowed_replies=False), None
        return declared, held_by

    def _samples(self) -> bool:
        """Return whether OpenAI's model takes a temperature: reasoning models only with reasoning off."""
        profile: dict[str, Any] = dict(self.model.profile)
        if not profile.get("openai_supports_reasoning", False):
            return True
        efforts = profile.get("openai_reasoning_efforts")
        can_stop = (
            "none" in efforts
            if efforts is not None
            else profile.get("openai_supports_reasoning_effort_none", False)
        )
        settings = self.entry.settings
        asked = settings.get("openai_reasoning_effort")
        if asked is not None:
            return bool(can_stop and asked == "none")
        if "thinking" in settings:
            return bool(can_stop and settings["thinking"] is False)
        return bool(can_stop and not profile.get("thinking_enabled_by_default", False))

    async def ask(self, question: Question, seen: Exchange) -> list[Answer]:
        """Make one call."""
        wants_probability = self.entry.with_overrides(self.declared).probabilities
        if self.entry.style == "transcript":
            return await self._complete(question, wants_probability)
        body = held_list(self.list_held_by, question.request.allowed_replies)
        if question.count > 1:
            body["n"] = question.count
        more: dict[str, Any] = {"extra_body": body}
        if wants_probability:
            more["openai_logprobs"] = True
        if self._is_openai:
            # Members of a swarm share their prompt: this sends them where its beginning is cached.
            more["openai_prompt_cache_key"] = hash_json(question.request.prompt)[:32]
        response = await self._chat(question, more)
        told = (response.provider_details or {}).get("logprobs") or []
        first = answer_of(response, product([token.get("logprob") for token in told]))
        if question.count == 1:
            return [first]
        return _shared([first, *_further(bytes(seen.body), first)])

    async def _complete(self, question: Question, wants_probability: bool) -> list[Answer]:
        """Continue a transcript up to the line's end."""
        from openai import omit

        request = question.request
        # After ">" a reply begins with a blank: so it is in every transcript the model has read.
        allowed = None if request.allowed_replies is None else [f" {r}" for r in request.allowed_replies]
        extra = {**held_list(self.list_held_by, allowed), **self.entry.settings.get("extra_body", {})}
        response = await self._client.completions.create(
            model=self.entry.model,
            prompt=str(request.prompt),
            max_tokens=request.max_tokens + self.entry.thinking_tokens,
            temperature=omit if question.temperature is None else question.temperature,
            seed=omit if question.seed is None else question.seed,
            stop=["\n"],
            n=question.count if question.count > 1 else omit,
            logprobs=1 if wants_probability else omit,
            extra_body=extra or None,
        )
        # The library does not check what it reads: a text, or an object without choices, is possible.
        if not getattr(response, "choices", None):
            raise ValueError("no choices in the answer")
        usage = response.usage
        details = usage.prompt_tokens_details if usage is not None else None
        answers = [
            Answer(
                text=(choice.text or "").strip(),
                finish={"length": "length", "content_filter": "refused"}.get(choice.finish_reason, "stop"),  # type: ignore[arg-type]
                prompt_tokens=usage.prompt_tokens if usage is not None else 0,
                cached_tokens=(details.cached_tokens or 0) if details is not None else 0,
                completion_tokens=usage.completion_tokens if usage is not None else 0,
                probability=_completion_probability(choice.logprobs),
            )
            for choice in response.choices
        ]
        return _shared(answers)

    async def models(self) -> list[str]:
        """Return the names of the service's models."""
        page = await self._client.models.list()
        return [str(model.id) for model in page.data]


def _completion_probability(logprobs: Any) -> float | None:
    """Read the old form (``token_logprobs``) or the new one that some servers send here (``content``)."""
    if logprobs is None:
        return None
    if logprobs.token_logprobs:
        return product(logprobs.token_logprobs)
    content = (logprobs.model_extra or {}).get("content") or []
    return product([token.get("logprob") for token in content if isinstance(token, dict)])


def _further(body: bytes, first: Answer) -> list[Answer]:
    """Return the replies after the first one of an answer that was accepted already."""
    found = []
    for choice in json.loads(body)["choices"][1:]:
        message = choice.get("message") or {}
        text, refusal = message.get("content"), message.get("refusal")
        reason = choice.get("finish_reason")
        finish: Finish = "refused" if refusal or reason == "content_filter" else "stop"
        content = ((choice.get("logprobs") or {}).get("content")) or []
        found.append(
            replace(
                first,
                text=text.strip() if isinstance(text, str) else "",
                finish="length" if reason == "length" else finish,
                probability=product([token.get("logprob") for token in content]),
                detail=str(refusal or "")[:200],
            )
        )
    return found


def _shared(answers: list[Answer]) -> list[Answer]:
    """Share the reply tokens of one call evenly: the API tells only their sum."""
    whole, rest = divmod(answers[0].completion_tokens, len(answers))
    return [
        replace(answer, completion_tokens=whole + (number < rest)) for number, answer in enumerate(answers)
    ]
