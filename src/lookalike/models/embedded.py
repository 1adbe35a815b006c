"""The language model that comes with the install: SmolLM2-135M-Instruct through OpenVINO, on the CPU.

Chosen because it needs no key, no network and no compiler, and because 135 million parameters answer in
a fraction of a second on two cores. It continues transcripts; it does not follow instructions (measured,
see docs/players.md), so it declares the style ``"transcript"``.

Every request whose reply must be one of a list is answered from **one** distribution per prompt and
list, computed once (:mod:`lookalike.models.trie`), rounded, and cached; temperature and seed come after.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.core.errors import ModelError
from lookalike.core.ids import canonical_json, hash_json
from lookalike.core.protocols import (
    Completion,
    CompletionRequest,
    ModelCapabilities,
    PromptStyle,
    ResponseCache,
)
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Usage
from lookalike.models import weights
from lookalike.models.capabilities import without_media
from lookalike.models.free_text import FreeReply, write
from lookalike.models.sampling import LOG_FLOOR, at_temperature, draw
from lookalike.models.trie import score_replies

if TYPE_CHECKING:
    from lookalike.models.network import Network

ROUND_TO = 3
"""Decimals of the stored log-probabilities (a thousandth of a nat)."""
MAX_REPLIES = 512
MAX_FREE_TOKENS = 64


@dataclass(frozen=True)
class _Stored:
    """A distribution over allowed replies, as it is kept in the response cache.

    Attributes:
        replies: Sorted, without duplicates.
        log_p: Log-probability of each reply at temperature 1, rounded to ``ROUND_TO`` decimals.
        reply_tokens: Tokens of each reply, the line's end included.
        prompt_tokens: Tokens of the prompt.
    """

    replies: tuple[str, ...]
    log_p: tuple[float, ...]
    reply_tokens: tuple[int, ...]
    prompt_tokens: int


class EmbeddedModel:
    """SmolLM2-135M-Instruct (Q4_1), a LanguageModel that continues transcripts.

    The same request has the same completion, byte for byte, on one machine and number of threads,
    whatever was asked before. Loading takes about 4 s and happens at the first request (or
    :meth:`load`); the first ever use converts the weights (about 15 s).

    Args:
        cache: Where distributions and free replies are kept; ``None`` for nowhere.
        threads: CPU threads; ``None`` for all cores.
        gguf: Another weights file of the same family; ``None`` for the installed one.
        cache_folder: Where the converted model is kept; ``None`` for the user's cache folder.
        notify: Called with a sentence when something takes long.

    Raises:
        ModelError: The weights or OpenVINO are missing, or the weights are corrupt.
    """

    name = "embedded"
    style: PromptStyle = "transcript"
    capabilities = ModelCapabilities(
        allowed_replies=True, probabilities=True, seed=True, n=True, max_temperature=math.inf
    )

    def __init__(
        self,
        *,
        cache: ResponseCache | None = None,
        threads: int | None = None,
        gguf: Path | None = None,
        cache_folder: Path | None = None,
        notify: weights.Notify | None = None,
    ) -> None:
        own = gguf is None
        self._gguf = weights.require_gguf() if gguf is None else gguf
        self._sha256 = weights.check_gguf(self._gguf, sha256=weights.GGUF_SHA256 if own else None)
        self.fingerprint = f"gguf:{self._sha256[:16]}:v{weights.CONVERSION_VERSION}"
        self._cache = cache
        self._threads = threads
        self._cache_folder = cache_folder
        self._notify = notify
        self._network: Network | None = None
        self._lock = threading.Lock()
        self._spelled: dict[str, list[int]] = {}

    def load(self) -> None:
        """Load the network now (otherwise the first request does).

        Raises:
            ModelError: OpenVINO is missing or cannot load the weights.
        """
        with self._lock:
            self._loaded()

    def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Answer a batch; requests with one prompt and one list of replies share one computation.

        Returns:
            One completion a request, in order. What a group of requests computed together is counted
            on its first one.

        Raises:
            CapabilityError: A request has images, a video or a JSON schema.
            ModelError: A prompt is empty, too long or not a transcript, or a list of replies is empty.
        """
        drawn = []
        for request in requests:
            without_media(self.name, self.capabilities, request)
            # A further draw of the same request is one with another seed.
            further = derive_seed(request.seed, "sample", request.sample) if request.sample else request.seed
            drawn.append(replace(request, seed=further))
        with self._lock:
            return self._complete(drawn)

    def distribution(self, prompt: str, replies: Sequence[str]) -> dict[str, float]:
        """Return the probability of each allowed reply at temperature 1, from the most probable down.

        Raises:
            ModelError: As :meth:`complete`.
        """
        request = CompletionRequest(prompt, temperature=1.0, seed=0, allowed_replies=tuple(replies))
        with self._lock:
            prompt, allowed = _checked(request)
            stored, _ = self._distribution(prompt, allowed or ())
        shares = at_temperature(stored.log_p, 1.0)
        ranked = sorted(zip(stored.replies, shares, strict=True), key=lambda item: (-item[1], item[0]))
        return {reply: float(share) for reply, share in ranked}

    def count_tokens(self, text: str) -> int:
        """Return how many tokens ``text`` has."""
        with self._lock:
            return len(self._loaded().encode(text))

    def network(self) -> Network:
        """Return the network itself, loaded: for measurements and tests, not for play."""
        with self._lock:
            return self._loaded()

    def _loaded(self) -> Network:
        if self._network is None:
            from lookalike.models.network import Network

            folder = weights.convert(self._gguf, self._sha256, cache=self._cache_folder, notify=self._notify)
            self._network = Network(folder, threads=self._threads)
        return self._network

    def _complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        groups: dict[tuple[str, tuple[str, ...] | None], list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(_checked(request), []).append(index)
        found: dict[int, Completion] = {}
        for (prompt, replies), members in groups.items():
            asked = [requests[index] for index in members]
            start = time.perf_counter()
            if replies is None:
                answers = self._free(prompt, asked)
            else:
                answers = self._restricted(prompt, replies, asked)
            usage = replace(answers[0].usage, seconds=time.perf_counter() - start)
            answers[0] = replace(answers[0], usage=usage)
            found.update(zip(members, answers, strict=True))
        return [found[index] for index in range(len(requests))]

    def _restricted(
        self, prompt: str, replies: tuple[str, ...], requests: Sequence[CompletionRequest]
    ) -> list[Completion]:
        stored, computed = self._distribution(prompt, replies)
        answers = []
        for position, request in enumerate(requests):
            shares = at_temperature(stored.log_p, request.temperature)
            index = draw(shares, seed=request.seed)
            usage = Usage(
                calls=1,
                prompt_tokens=stored.prompt_tokens,
                completion_tokens=stored.reply_tokens[index],
                computed_tokens=(computed or 0) if position == 0 else 0,
                cached_calls=int(computed is None),
            )
            answers.append(Completion(stored.replies[index], float(shares[index]), usage))
        return answers

    def _distribution(self, prompt: str, replies: tuple[str, ...]) -> tuple[_Stored, int | None]:
        """Return a distribution and the tokens it took; ``None`` where the cache had it."""
        key = self._key(prompt, "distribution", list(replies))
        if (cached := self._cached(key)) is not None:
            stored = _Stored(
                tuple(cached["replies"]),
                tuple(cached["log_p"]),
                tuple(cached["reply_tokens"]),
                int(cached["prompt_tokens"]),
            )
            return stored, None
        network = self._loaded()
        before = network.computed_tokens
        tokens = network.encode(prompt)
        spelled = [self._spell(reply) for reply in replies]
        log_p, _ = score_replies(spelled, network.prefill(tokens), network.branch)
        stored = _Stored(
            replies=replies,
            log_p=tuple(float(v) for v in np.round(np.maximum(log_p, LOG_FLOOR), ROUND_TO)),
            reply_tokens=tuple(len(reply) for reply in spelled),
            prompt_tokens=len(tokens),
        )
        self._store(key, asdict(stored))
        return stored, network.computed_tokens - before

    def _free(self, prompt: str, requests: Sequence[CompletionRequest]) -> list[Completion]:
        keys = [
            self._key(prompt, "free", [r.temperature, r.seed, min(r.max_tokens, MAX_FREE_TOKENS)])
            for r in requests
        ]
        known = [self._cached(key) for key in keys]
        answers = {
            i: _completion(FreeReply(**reply), cached=True)
            for i, reply in enumerate(known)
            if reply is not None
        }
        missing = [i for i in range(len(requests)) if i not in answers]
        if missing:
            network = self._loaded()
            before = network.computed_tokens
            replies = write(
                network,
                prompt,
                [(requests[i].temperature, requests[i].seed, requests[i].max_tokens) for i in missing],
                limit=MAX_FREE_TOKENS,
                decimals=ROUND_TO,
            )
            for i, reply in zip(missing, replies, strict=True):
                self._store(keys[i], asdict(reply))
                answers[i] = _completion(reply, cached=False)
            computed = network.computed_tokens - before
            usage = replace(answers[missing[0]].usage, computed_tokens=computed)
            answers[missing[0]] = replace(answers[missing[0]], usage=usage)
        return [answers[i] for i in range(len(requests))]

    def _spell(self, reply: str) -> list[int]:
        """Return a reply's tokens as they stand after ``>``: a blank before it, the line's end after it.

        A word never merges with the ``>`` before it (the tokeniser splits there), so that these are the
        tokens that the whole text would have.
        """
        if reply not in self._spelled:
            self._spelled[reply] = self._loaded().encode(f" {reply}\n")
        return self._spelled[reply]

    def _key(self, prompt: str, kind: str, rest: list[Any]) -> str:
        return hash_json([self.fingerprint, kind, prompt, rest])

    def _cached(self, key: str) -> dict[str, Any] | None:
        data = self._cache.get(key) if self._cache is not None else None
        return None if data is None else dict(json.loads(data))

    def _store(self, key: str, value: dict[str, Any]) -> None:
        if self._cache is not None:
            self._cache.put(key, canonical_json(value).encode())


def _completion(reply: FreeReply, *, cached: bool) -> Completion:
    usage = Usage(
        calls=1,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.reply_tokens,
        cached_calls=int(cached),
    )
    return Completion(reply.text, reply.probability, usage)


def _checked(request: CompletionRequest) -> tuple[str, tuple[str, ...] | None]:
    """Return a request's prompt and its allowed replies (sorted, without duplicates)."""
    if not isinstance(request.prompt, str) or not request.prompt:
        raise ModelError(
            "The embedded model continues transcripts.",
            got="an empty prompt" if request.prompt == "" else f"chat messages: {request.prompt!r}",
            expected="a prompt that is one text (style 'transcript')",
            remedy="render the situation in the model's declared style: render(situation, role, model.style)",
        )
    if not (math.isfinite(request.temperature) and request.temperature >= 0) or request.seed < 0:
        raise ModelError(
            "A request's temperature or seed is out of range.",
            got=f"temperature {request.temperature!r}, seed {request.seed!r}",
            expected="temperature >= 0 and seed >= 0",
        )
    if request.allowed_replies is None:
        return request.prompt, None
    replies = tuple(sorted(set(request.allowed_replies)))
    wrong = [reply for reply in replies if not reply.strip() or "\n" in reply]
    if not 0 < len(replies) <= MAX_REPLIES or wrong:
        raise ModelError(
            "The list of allowed replies cannot be used.",
            got=repr(wrong[0]) if wrong else f"{len(replies)} replies",
            expected=f"1 to {MAX_REPLIES} replies of one line, none of them empty",
            remedy="pass allowed_replies=None to let the model write freely",
        )
    return request.prompt, replies
