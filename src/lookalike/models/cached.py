"""A language model whose responses are kept: none is asked or paid for twice.

A response is stored, and committed where the cache can, before anybody sees it, and each response of a
batch on its own: a batch of which one call fails, or a process killed in the middle, loses none of the
others. The embedded model has a finer cache of its own (distributions, not draws) and is not wrapped.
"""

from __future__ import annotations

import concurrent.futures
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from lookalike.core.errors import DamagedResponseError, ModelCancelledError
from lookalike.core.ids import canonical_json, hash_bytes, hash_json
from lookalike.core.protocols import Completion, CompletionRequest, LanguageModel, PromptStyle, ResponseCache
from lookalike.core.types import Usage
from lookalike.models.capabilities import capabilities_of

VERSION = 1
MOST_DAMAGED = 8
"""So many damaged entries are passed by under one key; the response goes behind them."""


@runtime_checkable
class _GivesRepliesAsTheyCome(Protocol):
    gives_replies_as_they_come: bool

    def complete(
        self,
        requests: Sequence[CompletionRequest],
        *,
        on_reply: Callable[[int, Completion], None] | None = None,
    ) -> list[Completion]: ...


class CachedModel:
    """A LanguageModel around another one.

    Equal requests that are under way in several threads are asked once.

    Args:
        model: Whom to ask. It must say all that its replies depend on in its ``fingerprint``.
        cache: Where responses are kept. A cache that commits in batches is flushed for each response.
    """

    gives_replies_as_they_come = False

    def __init__(self, model: LanguageModel, cache: ResponseCache) -> None:
        self.inner = model
        self.name = model.name
        self.style: PromptStyle = model.style
        self.fingerprint = model.fingerprint
        self.capabilities = capabilities_of(model)
        self._cache = cache
        self._lock = threading.Lock()
        self._under_way: dict[str, concurrent.futures.Future[Completion]] = {}

    def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Answer a batch, from the cache as far as it goes.

        Raises:
            StoreError: A response cannot be stored.
            ModelError: As the model's own.
        """
        keys = [response_key(self.fingerprint, request) for request in requests]
        found: dict[int, Completion] = {}
        mine: dict[str, int] = {}
        others: dict[int, concurrent.futures.Future[Completion]] = {}
        for index, key in enumerate(keys):
            with self._lock:
                if key in self._under_way:
                    others[index] = self._under_way[key]
                    continue
                self._under_way[key] = concurrent.futures.Future()
                mine[key] = index
        try:
            self._answer(requests, mine, found)
        finally:
            self._end(mine)
        for index, future in others.items():
            found[index] = self._of_another(requests[index], future)
        return [found[index] for index in range(len(requests))]

    def cancel(self) -> None:
        """Give up what is under way, where the model can."""
        _call_if_there(self.inner, "cancel")

    def close(self) -> None:
        """Close the model; the cache belongs to whoever opened it."""
        _call_if_there(self.inner, "close")

    def _answer(
        self, requests: Sequence[CompletionRequest], mine: dict[str, int], found: dict[int, Completion]
    ) -> None:
        missing: list[int] = []
        places: list[str] = []
        for key, index in mine.items():
            stored, place = self._read(key)
            if stored is None:
                missing.append(index)
                places.append(place)
            else:
                found[index] = stored
        if not missing:
            return

        def keep(position: int, completion: Completion) -> None:
            self._write(places[position], completion)

        asked = [requests[index] for index in missing]
        if isinstance(self.inner, _GivesRepliesAsTheyCome) and self.inner.gives_replies_as_they_come:
            completions = self.inner.complete(asked, on_reply=keep)
        else:
            completions = self.inner.complete(asked)
            for position, completion in enumerate(completions):
                keep(position, completion)
        found.update(zip(missing, completions, strict=True))
        with self._lock:
            for key, index in mine.items():
                self._under_way[key].set_result(found[index])

    def _end(self, mine: dict[str, int]) -> None:
        """Let those who wait for one of mine go on, answered or not."""
        with self._lock:
            for key in mine:
                self._under_way.pop(key).cancel()

    def _of_another(
        self, request: CompletionRequest, future: concurrent.futures.Future[Completion]
    ) -> Completion:
        """Return what another asker got; it counts as cached here. If that one failed, ask oneself."""
        try:
            return _as_cached(future.result())
        except (concurrent.futures.CancelledError, ModelCancelledError):
            return self.complete([request])[0]

    def _read(self, key: str) -> tuple[Completion | None, str]:
        """Return the stored completion, if any, and the key to store one under.

        The first response under a key stays, so a damaged one is passed by, not written over.
        """
        place = key
        for damaged in range(MOST_DAMAGED):
            place = key if damaged == 0 else hash_json([key, damaged])
            try:
                data = self._cache.get(place)
            except DamagedResponseError:  # nothing else: what cannot be read now may be there all the same
                continue
            if data is None:
                return None, place
            completion = _decoded(data)
            if completion is not None:
                return completion, place
        return None, place

    def _write(self, place: str, completion: Completion) -> None:
        self._cache.put(place, _encoded(completion))
        flush = getattr(self._cache, "flush", None)
        if flush is not None:
            flush()


def _call_if_there(model: LanguageModel, name: str) -> None:
    method = getattr(model, name, None)
    if method is not None:
        method()


def response_key(fingerprint: str, request: CompletionRequest) -> str:
    """Return what a response is kept under: everything it may depend on.

    Args:
        fingerprint: The model's: back end, model, address and settings.
        request: Media count by their content.
    """
    return hash_json(
        [
            "response",
            VERSION,
            fingerprint,
            request.prompt,
            [[image.media_type, hash_bytes(image.data)] for image in request.images],
            None if request.video is None else [request.video.media_type, hash_bytes(request.video.data)],
            request.temperature,
            request.max_tokens,
            None if request.allowed_replies is None else list(request.allowed_replies),
            None if request.json_schema is None else canonical_json(request.json_schema),
            request.seed,
            request.sample,
        ]
    )


def _encoded(completion: Completion) -> bytes:
    value = {
        "version": VERSION,
        "text": completion.text,
        "probability": completion.probability,
        "problem": completion.problem,
        "notes": list(completion.notes),
        "prompt_tokens": completion.usage.prompt_tokens,
        "completion_tokens": completion.usage.completion_tokens,
    }
    body = canonical_json(value)
    return canonical_json({"sha256": hash_bytes(body.encode()), "body": body}).encode()


def _decoded(data: bytes) -> Completion | None:
    """Return a stored completion, or ``None`` where the bytes are not one."""
    try:
        outer = json.loads(data)
        if hash_bytes(outer["body"].encode()) != outer["sha256"]:
            return None
        value: dict[str, Any] = json.loads(outer["body"])
        if value["version"] != VERSION:
            return None
        usage = Usage(
            calls=1,
            prompt_tokens=int(value["prompt_tokens"]),
            completion_tokens=int(value["completion_tokens"]),
            cached_calls=1,
        )
        probability = value["probability"]
        problem = value["problem"]
        return Completion(
            str(value["text"]),
            None if probability is None else float(probability),
            usage,
            None if problem is None else str(problem),
            tuple(str(note) for note in value["notes"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _as_cached(completion: Completion) -> Completion:
    usage = replace(
        completion.usage, cached_calls=1, computed_tokens=0, seconds=0.0, cost=0.0, unpriced_calls=0
    )
    return replace(completion, usage=usage)
