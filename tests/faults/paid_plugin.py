"""What the fault tests install beside the package: a model whose calls are counted, and games that fail.

`plugin.install` copies this file into a folder of its own and registers it there by entry points, as any
other package would. A call of the model is in the ledger before its answer is given: a ledger with a line
twice has a call that was paid for twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lookalike.core.ids import hash_json
from lookalike.core.protocols import (
    Completion,
    CompletionRequest,
    LanguageModel,
    ModelCapabilities,
    ResponseCache,
    StepResult,
)
from lookalike.core.types import Observation, Usage
from lookalike.models.cached import CachedModel
from lookalike.testing.environments import TinyEnvironment, make_faulty

LEDGER = "LOOKALIKE_FAULTS_LEDGER"
"""Environment variable: the file that takes a line a call."""
DELAY = "LOOKALIKE_FAULTS_DELAY_S"
"""Environment variable: seconds a call takes."""


class PaidModel:
    """Draws a reply from the request alone, takes its time, and writes down that it was asked."""

    name = "paid"
    style = "transcript"
    fingerprint = "paid-1"
    capabilities = ModelCapabilities(allowed_replies=True, seed=True)

    def __init__(self) -> None:
        self._ledger = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._delay_s = float(os.environ.get(DELAY, "0.003"))

    def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Answer a batch, one call after the other."""
        return [self._call(request) for request in requests]

    def _call(self, request: CompletionRequest) -> Completion:
        digest = call_digest(request)
        time.sleep(self._delay_s)
        os.write(self._ledger, f"{digest} {os.getpid()}\n".encode())
        replies = request.allowed_replies or ("look",)
        text = replies[int(digest[:8], 16) % len(replies)]
        usage = Usage(calls=1, prompt_tokens=len(request.prompt) // 4, completion_tokens=len(text.split()))
        # The note travels into the cache with the answer, where the test looks for it.
        return Completion(text, None, usage, notes=(f"call {digest}",))


def call_digest(request: CompletionRequest) -> str:
    """Return what makes two calls the same one."""
    return hash_json(
        [request.prompt, request.temperature, request.seed, request.allowed_replies, request.sample]
    )[:32]


def make_paid(
    *, cache: ResponseCache | None, threads: int | None, notify: Callable[[str], None] | None
) -> LanguageModel:
    """Make the model (the entry point)."""
    return PaidModel() if cache is None else CachedModel(PaidModel(), cache)


FAULTS = ("hangs,how=c,step=3", "leaks,how=python,step=2", "dies,how=abort,step=4", None)
"""What befalls an episode, by the remainder of its game's seed."""


class UnluckyGame:
    """The tiny game, which hangs, leaks, aborts or goes well, by its seed."""

    id = "unlucky"
    capabilities = frozenset(("text", "admissible_actions", "score"))
    how_to_play = TinyEnvironment.how_to_play

    def __init__(self) -> None:
        self._game: Any = TinyEnvironment()

    def reset(self, *, seed: int) -> Observation:
        """Start an episode; from here on it is one game or the other."""
        fault = FAULTS[seed % len(FAULTS)]
        self._game = TinyEnvironment() if fault is None else make_faulty(fault)
        return self._game.reset(seed=seed)

    def step(self, action: str) -> StepResult:
        """Play one command, or fail."""
        return self._game.step(action)

    def admissible_actions(self) -> tuple[str, ...]:
        """Return the commands."""
        return self._game.admissible_actions()

    def facts(self) -> Mapping[str, Any]:
        """Return the facts."""
        return self._game.facts()

    def close(self) -> None:
        """Do nothing."""
