"""A LanguageModel behind an API: refuses what the service cannot do, groups, asks, accounts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from lookalike.core.errors import (
    CapabilityError,
    LookalikeError,
    ModelCancelledError,
    ModelError,
    UnknownNameError,
)
from lookalike.core.ids import hash_json
from lookalike.core.protocols import Completion, CompletionRequest, Media, PromptStyle
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Usage
from lookalike.models.cached import response_key
from lookalike.models.capabilities import check_request
from lookalike.models.prices import Price, PriceList, load_prices, priced
from lookalike.models.remote import replies, scheduler
from lookalike.models.remote.entries import Entry
from lookalike.models.remote.failures import CallFailed, explain, strike_out
from lookalike.models.remote.logs import guard_logs
from lookalike.models.remote.media import LIMITS, check_video, fit_image
from lookalike.models.remote.services import Answer, Question, Service
from lookalike.models.remote.wire import Exchange

MOST_AT_ONCE = 16
"""Replies drawn by one call, where a service takes ``n``."""
CHARACTERS_A_TOKEN = 4
IMAGE_TOKENS = 1_000
UPLOAD_BYTES_A_SECOND = 200_000
TOKENS_A_SECOND = 20
"""A service slower than these is given up."""

OnReply = Callable[[int, Completion], None]
"""``on_reply(index, completion)``: takes each reply as soon as it was received."""


@dataclass
class _Batch:
    """One call of :meth:`RemoteModel.complete`."""

    requests: list[CompletionRequest]
    notes: list[tuple[str, ...]]
    on_reply: OnReply | None
    found: dict[int, Completion] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)


class RemoteModel:
    """A model behind an API.

    Synchronous for its callers, who may be many threads; all calls of a process share one scheduler.

    Args:
        name: As it was asked for.
        entry: Which model, where.
        prices: The user's price file; ``None`` reads it.
        notify: Called with a sentence when something was changed on the way (an image made smaller).

    Raises:
        ModelError: There is no key, or the library for this protocol is missing.
        UsageError: The price file cannot be meant.
    """

    gives_replies_as_they_come = True

    def __init__(
        self,
        name: str,
        entry: Entry,
        *,
        prices: PriceList | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.entry = entry
        self.style: PromptStyle = entry.style
        self._secret = entry.secret()
        listed = prices if prices is not None else load_prices()
        self.price: Price | None = entry.price or listed.of(name, f"{entry.back_end}:{entry.model}")
        self._notify = notify
        self._service = make_service(entry, self._secret)
        if self._secret is not None:
            guard_logs(self._secret.get_secret_value())
        self.capabilities = entry.with_overrides(self._service.declared)
        if entry.capabilities.allowed_replies is False:
            self._service.list_held_by = None
        self.fingerprint = self._fingerprint()
        self._scheduler = scheduler.scheduler()
        self.lane = self._scheduler.lane(
            (entry.back_end, entry.address, *entry.key_variables), concurrency=entry.concurrency
        )
        self._under_way: set[concurrent.futures.Future[Any]] = set()
        self._lock = threading.Lock()

    def complete(
        self, requests: Sequence[CompletionRequest], *, on_reply: OnReply | None = None
    ) -> list[Completion]:
        """Answer a batch; all its calls are under way at once, as far as the service allows.

        Args:
            requests: What to ask.
            on_reply: Takes each reply as soon as it was received, in a thread of its own, before the
                batch is handed back, and also where another call of the batch fails. Paid replies are
                stored by it.

        Returns:
            One completion a request, in order. The batch's wall time is counted on its first one.

        Raises:
            CapabilityError: A request asks for what the service cannot do; nothing was sent.
            ModelUnavailableError: Overloaded, limited or out of reach after all tries.
            ModelCancelledError: :meth:`cancel` was called.
            ModelError: Anything else that is wrong with a request or an answer.
        """
        batch = self._checked(requests, on_reply)
        if not batch.requests:
            return []
        started = time.perf_counter()
        future = self._scheduler.submit(self._complete(batch))
        with self._lock:
            self._under_way.add(future)
        try:
            self._scheduler.wait(future)
        finally:
            with self._lock:
                self._under_way.discard(future)
        if batch.errors:
            raise batch.errors[0]
        completions = [batch.found[index] for index in range(len(batch.requests))]
        usage = replace(completions[0].usage, seconds=time.perf_counter() - started)
        completions[0] = replace(completions[0], usage=usage)
        return completions

    def cancel(self) -> None:
        """Give up everything that is under way; whoever waits gets a ModelCancelledError."""
        with self._lock:
            futures = list(self._under_way)
        for future in futures:
            future.cancel()

    def models(self) -> list[str]:
        """Return the names of the models the service has.

        Raises:
            ModelError: It cannot be asked.
        """
        return list(self._run(lambda _: self._service.models()))

    def close(self) -> None:
        """Take back what was left at the service (uploaded videos) and end the connections.

        Raises:
            ModelError: What was uploaded cannot be deleted; the service keeps it for its usual time.
        """
        self.cancel()
        try:
            self._run(lambda _: self._service.close())
        finally:
            self._scheduler.wait(self._scheduler.submit(self._service.client.aclose()))

    @property
    def _secrets(self) -> tuple[str, ...]:
        """What no text may hold that leaves this class: a server could echo its key."""
        return () if self._secret is None else (self._secret.get_secret_value(),)

    def _run(self, work: Callable[[Exchange], Awaitable[Any]]) -> Any:
        failure: LookalikeError | None = None
        try:
            return self._scheduler.wait(self._scheduler.submit(self._call(work, tokens=0, seed=0)))
        except CallFailed as failed:
            failure = failed.error
        raise failure

    def _fingerprint(self) -> str:
        entry = self.entry
        rest = [entry.settings, entry.thinking_tokens, self._service.list_held_by, entry.style]
        return f"{entry.back_end}:{entry.model}@{entry.address}:{hash_json(rest)[:16]}"

    def _checked(self, requests: Sequence[CompletionRequest], on_reply: OnReply | None) -> _Batch:
        """Refuse before anything is sent, and make media fit."""
        fitted: dict[int, tuple[Media, str | None]] = {}
        limits = LIMITS[self.entry.back_end]
        batch = _Batch([], [], on_reply)
        for request in requests:
            check_request(self.name, self.capabilities, request)
            if self.style == "transcript" and not isinstance(request.prompt, str):
                raise ModelError(
                    f"The model {self.name} continues transcripts.",
                    got="chat messages",
                    expected="a prompt that is one text (style 'transcript')",
                    remedy="render the situation in the model's declared style",
                )
            if request.json_schema is not None and (wrong := replies.schema_mistake(request.json_schema)):
                raise ModelError("The JSON schema of a request is none.", got=wrong)
            if request.video is not None:
                check_video(request.video, limits)
            notes = []
            for image in request.images:
                # Members of a swarm share their images: each is looked at once a batch.
                if id(image) not in fitted:
                    fitted[id(image)] = fit_image(image, limits)
                    if (note := fitted[id(image)][1]) and self._notify:
                        self._notify(note)
                if note := fitted[id(image)][1]:
                    notes.append(note)
            images = tuple(fitted[id(image)][0] for image in request.images)
            batch.requests.append(replace(request, images=images))
            batch.notes.append(tuple(notes))
        return batch

    async def _complete(self, batch: _Batch) -> None:
        tasks = [asyncio.create_task(self._group(batch, group)) for group in self._groups(batch.requests)]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def _groups(self, requests: Sequence[CompletionRequest]) -> list[list[int]]:
        """Return which requests go into one call each; those that share a prompt stand side by side.

        Requests that differ in seed and sample number only are drawn by one call, where the service can;
        those that differ in temperature are sent one after the other without a pause, with the same
        bytes, so that the server finds the prompt it has just computed.
        """
        by_prompt: dict[str, dict[str, list[int]]] = {}
        for index, request in enumerate(requests):
            alike = response_key("", replace(request, seed=0, sample=0))
            prompt = response_key("", replace(request, seed=0, sample=0, temperature=0.0))
            by_prompt.setdefault(prompt, {}).setdefault(alike, []).append(index)
        size = MOST_AT_ONCE if self.capabilities.n else 1
        return [
            members[start : start + size]
            for groups in by_prompt.values()
            for members in groups.values()
            for start in range(0, len(members), size)
        ]

    async def _group(self, batch: _Batch, members: list[int]) -> None:
        """Ask until every member has its reply; what goes wrong is kept, so that the others are too."""
        while members and not batch.errors:
            failed: Exception | None = None
            try:
                answers = await self._ask(batch, members)
                await self._take(batch, members, answers)
                # A server that does not know `n` gives one reply: the others are asked for one by one.
                members = members[len(answers) :]
            except CallFailed as error:
                failed = await self._suggest(error)
            except Exception as error:  # a store that cannot be written, too, ends the batch only
                failed = error
            if failed is not None:
                given_up = isinstance(failed, ModelCancelledError)
                batch.errors.append(failed) if not given_up or not batch.errors else None

    async def _ask(self, batch: _Batch, members: list[int]) -> list[Answer]:
        request = batch.requests[members[0]]
        has = self.capabilities
        seed = request.seed if request.sample == 0 else derive_seed(request.seed, "sample", request.sample)
        question = Question(
            request=request,
            count=len(members),
            seed=seed if has.seed else None,
            temperature=None if has.max_temperature is None else request.temperature,
        )

        async def attempt(seen: Exchange) -> list[Answer]:
            answers = await self._service.ask(question, seen)
            if question.temperature is not None and b'"temperature":' not in seen.sent:
                raise CallFailed(_temperature_left_out(self.name))
            return answers

        if request.video is not None:
            await self._call(
                lambda _: self._service.prepare(request),
                tokens=0,
                seed=seed,
                longer_s=len(request.video.data) / UPLOAD_BYTES_A_SECOND,
            )
        most = request.max_tokens + self.entry.thinking_tokens
        return list(
            await self._call(
                attempt,
                tokens=(_estimate(request) + most) * len(members),
                seed=seed,
                given_up=lambda: bool(batch.errors),
                longer_s=most / TOKENS_A_SECOND,
            )
        )

    async def _call(
        self,
        attempt: Callable[[Exchange], Awaitable[Any]],
        *,
        tokens: int,
        seed: int,
        given_up: Callable[[], bool] = lambda: False,
        longer_s: float = 0.0,
    ) -> Any:
        given = self.entry.limits
        limits = given.model_copy(
            update={
                "attempt_timeout_s": given.attempt_timeout_s + longer_s,
                "total_timeout_s": given.total_timeout_s + longer_s,
            }
        )
        return await scheduler.call(
            self.lane,
            attempt,
            lambda error, seen: explain(error, seen, self.entry, self._secrets),
            limits,
            tokens=tokens,
            seed=seed,
            given_up=given_up,
        )

    async def _take(self, batch: _Batch, members: list[int], answers: list[Answer]) -> None:
        for position, (index, answer) in enumerate(zip(members, answers, strict=False)):
            paid = answer
            if position == 0:
                together = sum(a.completion_tokens for a in answers)
                paid = replace(answer, completion_tokens=together)
            usage = self._usage(answer, paid, first=position == 0)
            safe = replace(
                answer,
                text=strike_out(answer.text, self._secrets),
                detail=strike_out(answer.detail, self._secrets),
            )
            completion = _completion(batch.requests[index], safe, usage, batch.notes[index])
            if batch.on_reply is not None:
                await asyncio.to_thread(batch.on_reply, index, completion)
            batch.found[index] = completion

    def _usage(self, answer: Answer, paid: Answer, *, first: bool) -> Usage:
        """Return a reply's usage; what a call with several replies cost is counted on its first."""
        usage = Usage(calls=1, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
        # A service that tells no tokens leaves its cost unknown, price or not.
        price = self.price if answer.prompt_tokens > 0 or self.price == Price(input=0, output=0) else None
        if price is None:
            return priced(usage, None)
        if not first:
            return usage
        counted = priced(
            replace(usage, completion_tokens=paid.completion_tokens), price, cached_tokens=paid.cached_tokens
        )
        return replace(usage, cost=counted.cost)

    async def _suggest(self, failed: CallFailed) -> LookalikeError:
        """Return what to tell; for an unknown model with the nearest that the service has."""
        if not failed.unknown_model:
            return failed.error
        try:
            known = list(await self._call(lambda _: self._service.models(), tokens=0, seed=0))
        except (CallFailed, ModelError):
            known = []
        if not known or self.entry.model in known:
            failed.error.remedy = (
                f"see which models {self.entry.address} has, and whether the address is right"
            )
            failed.error.args = (failed.error.render(),)
            return failed.error
        nearest = UnknownNameError("model", self.entry.model, known)
        remedy = nearest.remedy or f"it has: {', '.join(sorted(known)[:20])}"
        return ModelError(failed.error.what, got=failed.error.got, expected=nearest.expected, remedy=remedy)


def make_service(entry: Entry, secret: SecretStr | None) -> Service:
    """Return the back end of an entry.

    Raises:
        ModelError: Its library is missing.
    """
    try:
        if entry.back_end == "openai":
            from lookalike.models.remote.openai_service import OpenAIService

            return OpenAIService(entry, secret)
        if entry.back_end == "anthropic":
            from lookalike.models.remote.anthropic_service import AnthropicService

            return AnthropicService(entry, secret)
        from lookalike.models.remote.google_service import GoogleService

        return GoogleService(entry, secret)
    except ImportError as error:
        raise ModelError(
            f"What is needed for {entry.back_end} models is not installed.",
            got=str(error),
            expected="the optional extra 'remote'",
            remedy="python -m pip install 'lookalike[remote]'",
        ) from error


def _completion(
    request: CompletionRequest, answer: Answer, usage: Usage, notes: tuple[str, ...]
) -> Completion:
    text, problem = answer.text, None
    if answer.finish == "refused":
        problem = f"The service refused to reply{': ' + answer.detail if answer.detail else ''}."
    elif request.allowed_replies is not None:
        text, problem = replies.among(replies.unwrap(text), request.allowed_replies)
    elif request.json_schema is not None:
        problem = replies.schema_problem(text, request.json_schema)
    if answer.finish == "length" and (problem is not None or not text):
        problem = f"The reply was cut off at its limit of tokens. {problem or ''}".strip()
    elif problem is None and not text:
        problem = "The reply is empty."
    # Under a grammar the service still tells how probable the tokens were without it: of no use.
    held = request.allowed_replies is not None or request.json_schema is not None
    return Completion(text, None if held else answer.probability, usage, problem, notes)


def _estimate(request: CompletionRequest) -> int:
    prompt = request.prompt
    characters = len(prompt) if isinstance(prompt, str) else sum(len(text) for _, text in prompt)
    video = 0 if request.video is None else len(request.video.data) // 1000
    return characters // CHARACTERS_A_TOKEN + IMAGE_TOKENS * len(request.images) + video


def _temperature_left_out(name: str) -> CapabilityError:
    return CapabilityError(
        f"The model {name} takes no temperature: it was left out of the request.",
        expected="a model that samples at the temperature it is given",
        remedy="declare it: capabilities: {max_temperature: null} is not possible for a swarm of "
        "temperatures, so use another model (with some reasoning models: settings: {thinking: false})",
    )
