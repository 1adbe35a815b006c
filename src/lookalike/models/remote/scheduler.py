"""One scheduler for all calls of a process: an event loop in a thread of its own.

Callers are synchronous and may be many threads. Each call waits for a slot at its service
(:mod:`lookalike.models.remote.limits`), is tried within its time, and tried again after a growing,
seeded wait where that can help. A call that waits to be tried again gives its slot back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lookalike.core.errors import LookalikeError, ModelCancelledError, ModelUnavailableError
from lookalike.core.seeds import derive_seed
from lookalike.models.remote.entries import Limits
from lookalike.models.remote.failures import CallFailed
from lookalike.models.remote.limits import CEILING, START, Limiter, Ticket
from lookalike.models.remote.wire import Exchange, exchange

T = TypeVar("T")
Try = Callable[[Exchange], Awaitable[T]]
"""One try of a call."""
Explain = Callable[[BaseException, Exchange], CallFailed]
"""What an exception of a try means."""


@dataclass
class Counts:
    """What happened at one service so far.

    Attributes:
        tries: Requests that were sent.
        retries: Tries after the first.
        refusals: Answers that said it is too much.
    """

    tries: int = 0
    retries: int = 0
    refusals: int = 0


@dataclass
class Lane:
    """The calls to one service with one key.

    Attributes:
        limiter: How many go at once.
        counts: What happened.
    """

    limiter: Limiter
    counts: Counts = field(default_factory=Counts)


class Scheduler:
    """Runs calls. :func:`scheduler` returns the process's one."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, ...], Lane] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def lane(self, key: tuple[str, ...], *, concurrency: int | None) -> Lane:
        """Return the lane of a service; models that share a service and a key share its limits.

        Args:
            key: What the limits hang on.
            concurrency: Most calls at once, from the start; ``None`` to find out. The lane's first asker
                decides.
        """
        with self._lock:
            if key not in self._lanes:
                limiter = Limiter(
                    ceiling=CEILING if concurrency is None else concurrency,
                    start=START if concurrency is None else concurrency,
                )
                self._lanes[key] = Lane(limiter)
            return self._lanes[key]

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the scheduler's thread; cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def wait(self, future: concurrent.futures.Future[T]) -> T:
        """Wait for what was submitted; an interrupt of the waiting thread cancels it.

        Raises:
            ModelCancelledError: Somebody cancelled it.
        """
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            pass
        except BaseException:
            future.cancel()
            raise
        raise ModelCancelledError(
            "A model call was cancelled before it was answered.",
            remedy="resume the run: what was answered is kept",
        )

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="lookalike-models", daemon=True).start()
            return self._loop


_scheduler: Scheduler | None = None
_making = threading.Lock()


def scheduler() -> Scheduler:
    """Return the process's scheduler."""
    global _scheduler  # noqa: PLW0603 - one for the whole process is the point
    with _making:
        if _scheduler is None:
            _scheduler = Scheduler()
        return _scheduler


def _forget() -> None:
    """Begin anew in a forked child: the parent's thread is not there."""
    global _scheduler, _making
    _scheduler, _making = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


async def call(
    lane: Lane,
    attempt: Try[T],
    explain: Explain,
    limits: Limits,
    *,
    tokens: int,
    seed: int,
    given_up: Callable[[], bool] = lambda: False,
) -> T:
    """Make one call: wait for a slot, try, and try again where that can help.

    Args:
        lane: Where it goes.
        attempt: One try.
        explain: Makes sense of what a try raises.
        limits: Tries and times.
        tokens: Estimated tokens, prompt and reply.
        seed: For the spread of waits.
        given_up: Asked before every try; a call that nobody needs any more is not sent.

    Raises:
        CallFailed: The last try's, or why no more is tried.
        ModelCancelledError: It was given up.
    """
    loop = asyncio.get_running_loop()
    spread = random.Random(derive_seed(seed, "retry"))
    started: float | None = None
    for number in range(1, limits.attempts + 1):
        _refuse_long_pause(lane, limits)
        ticket = await lane.limiter.acquire(tokens)
        if started is None:
            started = loop.time()
        if given_up():
            lane.limiter.failed(ticket, {})
            raise ModelCancelledError("A model call was given up because another one of its batch failed.")
        lane.counts.tries += 1
        lane.counts.retries += number > 1
        left_s = started + limits.total_timeout_s - loop.time()
        try:
            return await _try_once(
                lane,
                ticket,
                attempt,
                explain,
                at_most_s=max(0.001, min(limits.attempt_timeout_s, left_s)),
                max_bytes=limits.max_reply_bytes,
            )
        except CallFailed as failed:
            lane.counts.refusals += failed.overload
            wait_s = _wait_s(failed, number, limits, spread)
            over = loop.time() - started + wait_s > limits.total_timeout_s
            if not failed.retryable or number == limits.attempts or over:
                failed.error.remedy = _with_tries(failed, number, wait_s if over else None)
                failed.error.args = (failed.error.render(),)
                raise
        await asyncio.sleep(wait_s)
    raise AssertionError("unreachable: the last try returns or raises")


async def _try_once(
    lane: Lane, ticket: Ticket, attempt: Try[T], explain: Explain, *, at_most_s: float, max_bytes: int
) -> T:
    with exchange(max_bytes) as seen:
        try:
            async with asyncio.timeout(at_most_s):
                answer = await attempt(seen)
        except asyncio.CancelledError:
            lane.limiter.failed(ticket, seen.headers)
            raise
        except CallFailed as error:
            failed = error
        except LookalikeError as error:
            failed = CallFailed(error)
        except Exception as error:
            failed = explain(error, seen)
        else:
            lane.limiter.succeeded(ticket, seen.headers)
            return answer
    if failed.overload:
        lane.limiter.refused(ticket, seen.headers, failed.retry_after_s)
    else:
        lane.limiter.failed(ticket, seen.headers)
    # Outside the handler: what a library raised may hold a key, and must not stand behind this error.
    raise failed


def _wait_s(failed: CallFailed, number: int, limits: Limits, spread: random.Random) -> float:
    """Return how long to wait: what the service asked for, or a doubling time between its half and 1.5."""
    own = min(limits.longest_wait_s, limits.first_wait_s * 2.0 ** (number - 1)) * spread.uniform(0.5, 1.5)
    if failed.retry_after_s is None:
        return own
    # A little later than told, and not all at once.
    return failed.retry_after_s + min(own, limits.first_wait_s) * 0.1


def _refuse_long_pause(lane: Lane, limits: Limits) -> None:
    if lane.limiter.paused_for_s > limits.total_timeout_s:
        raise CallFailed(
            ModelUnavailableError(
                "The service asked for a pause that is longer than a call may take.",
                got=f"{lane.limiter.paused_for_s:.0f} s",
                expected=f"at most {limits.total_timeout_s:g} s",
                remedy="resume the run after that time",
            )
        )


def _with_tries(failed: CallFailed, number: int, longer_s: float | None) -> str | None:
    told = failed.error.remedy
    if failed.retryable and longer_s is not None:
        told = f"{told}; the next try would have been {longer_s:.0f} s later, past the call's time"
    return f"{told} (tried {number} times)" if number > 1 else told
