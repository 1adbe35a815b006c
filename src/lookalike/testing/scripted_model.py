"""A language model that says what it is told to: for unit tests, here and in other people's packages.

It keeps the contract of :class:`~lookalike.core.protocols.LanguageModel` (temperatures, seeds, allowed
replies, usage), so that a player, a council or an experiment can be tested without weights::

    model = ScriptedModel(lambda prompt: "get lamp" if "lamp" in prompt else "look")
    model = ScriptedModel(["open mailbox", "read leaflet"])          # one reply a request, in order
    model = ScriptedModel({"north": 3.0, "south": 1.0})              # weights, drawn by seed
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from lookalike.core.errors import ModelError
from lookalike.core.ids import hash_json
from lookalike.core.protocols import Completion, CompletionRequest, ModelCapabilities, PromptStyle
from lookalike.core.types import Usage
from lookalike.models.sampling import LOG_FLOOR, at_temperature, draw

PromptText = str | tuple[tuple[str, str], ...]
Script = Callable[[PromptText], str] | Sequence[str] | Mapping[str, float]

ALL_CAPABILITIES = ModelCapabilities(
    allowed_replies=True,
    images=1_000,
    video=True,
    json_schema=True,
    seed=True,
    n=True,
    max_temperature=math.inf,
)
"""A script can say anything, so it is asked for anything unless a test declares less."""


class ScriptedModel:
    """A LanguageModel whose replies are given beforehand.

    Args:
        script: A function from the prompt to the reply; replies to give one after another; or weights of
            replies (> 0), drawn at the request's temperature with the request's seed. Replies that a
            request does not allow have no weight; allowed ones that the table lacks are never said.
        style: What it declares.
        name: What it declares.
        capabilities: What it declares; everything by default.

    Attributes:
        requests: Every request so far, in order.
    """

    def __init__(
        self,
        script: Script,
        *,
        style: PromptStyle = "transcript",
        name: str = "scripted",
        capabilities: ModelCapabilities = ALL_CAPABILITIES,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.style: PromptStyle = style
        described = (
            "function" if callable(script) else dict(script) if isinstance(script, Mapping) else list(script)
        )
        self.fingerprint = f"scripted:{hash_json(described)[:16]}"
        self.requests: list[CompletionRequest] = []
        self._script = script
        self._given = 0

    def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Answer a batch.

        Raises:
            ModelError: The list of replies is used up, or nothing in the table of weights is allowed.
                A reply of a function or a list that is not allowed is given all the same: a player
                must cope with that.
        """
        return [self._answer(request) for request in requests]

    def _answer(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        if isinstance(self._script, Mapping):
            return self._drawn(request, self._script)
        if callable(self._script):
            reply = self._script(request.prompt)
        elif self._given < len(self._script):
            reply = self._script[self._given]
            self._given += 1
        else:
            raise ModelError(
                "The scripted model has no reply left.",
                got=f"request number {len(self.requests)}",
                expected=f"at most {len(self._script)} requests",
                remedy="script more replies, or pass a function",
            )
        return Completion(reply, None, _usage(request, reply))

    def _drawn(self, request: CompletionRequest, weights: Mapping[str, float]) -> Completion:
        allowed = request.allowed_replies
        replies = sorted(r for r, w in weights.items() if w > 0 and (allowed is None or r in allowed))
        if not replies:
            raise ModelError(
                "The scripted model may say nothing of what it knows.",
                got=f"allowed replies {allowed!r}",
                expected=f"at least one of {sorted(weights)!r}",
                remedy="give it weights for what the environment offers",
            )
        logs = [max(math.log(weights[reply]), LOG_FLOOR) for reply in replies]
        shares = at_temperature(logs, request.temperature)
        index = draw(shares, seed=request.seed)
        return Completion(replies[index], float(shares[index]), _usage(request, replies[index]))


def _usage(request: CompletionRequest, reply: str) -> Usage:
    prompt = request.prompt if isinstance(request.prompt, str) else " ".join(t for _, t in request.prompt)
    return Usage(calls=1, prompt_tokens=len(prompt.split()), completion_tokens=len(reply.split()))
