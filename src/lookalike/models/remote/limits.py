"""How many calls may be under way at one service, found out from its answers.

Slots follow additive increase and multiplicative decrease: they grow while answers come quickly, and
halve when the service says that it is too much. Beside that, limits that a service announces in headers
are kept to: at most as many requests (and tokens) are under way as its last word leaves.

Everything here runs in the scheduler's one thread, so nothing is locked.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

START = 8
CEILING = 64
SLOW = 2.0
"""Answers this many times slower than usual mean a queue at the service: no more slots then."""
DRIFT = 0.01
"""How fast "usual" follows answers that are slower; to quicker ones it goes half of the way at once."""

Clock = Callable[[], float]


@dataclass
class Ticket:
    """One call that is under way.

    Attributes:
        tokens: Estimated tokens, prompt and reply.
        sent_at: When it was let go, in the limiter's seconds.
        full: Whether every slot was taken then.
    """

    tokens: int
    sent_at: float
    full: bool


@dataclass
class Window:
    """An announced limit, of requests or of tokens.

    ``left`` is the lowest count the service reported since the window began. Whatever it handled after
    that report is still under way (an answer that had come back would have reported less), so that
    ``left`` minus what is under way can be spent without ever passing the limit.

    Attributes:
        limit: Of a whole window; ``None`` if it was not said.
        left: See above.
        told_at: When ``left`` was told.
        resets_at: When the window is full again, in the limiter's seconds.
    """

    limit: float | None
    left: float
    told_at: float
    resets_at: float

    def observe(
        self, limit: float | None, left: float, resets_at: float, *, sent_at: float, now: float
    ) -> None:
        """Take in what an answer says about the window."""
        self.limit = limit if limit is not None else self.limit
        newer = sent_at >= self.told_at or now >= self.resets_at
        if newer or left <= self.left:
            self.left, self.told_at, self.resets_at = left, now, resets_at

    def spare(self, under_way: float, now: float) -> float:
        """Return what may still be spent now."""
        if now >= self.resets_at:
            whole = self.limit if self.limit is not None else under_way + 1
            self.left, self.told_at, self.resets_at = whole, now, math.inf
        return self.left - under_way


@dataclass
class Limiter:
    """Lets calls go to one service.

    Args:
        ceiling: Most calls at once, whatever happens.
        start: Calls at once to begin with.
        clock: Seconds that only go forward.

    Attributes:
        slots: Calls that may be under way now (its whole part counts).
        under_way: Tickets of the calls that are.
        most_under_way: The most there ever were.
    """

    ceiling: int = CEILING
    start: int = START
    clock: Clock = time.monotonic
    slots: float = field(init=False)
    under_way: list[Ticket] = field(init=False, default_factory=list)
    most_under_way: int = field(init=False, default=0)
    _queue: deque[tuple[asyncio.Future[Ticket], int]] = field(init=False, default_factory=deque)
    _windows: dict[str, Window] = field(init=False, default_factory=dict)
    _paused_until: float = field(init=False, default=0.0)
    _cut_at: float = field(init=False, default=-math.inf)
    _eased_at: float = field(init=False, default=-math.inf)
    _was_cut: bool = field(init=False, default=False)
    _answered: bool = field(init=False, default=False)
    _usual_s: float = field(init=False, default=math.inf)
    _timer: asyncio.TimerHandle | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.slots = float(min(self.start, self.ceiling))

    @property
    def paused_for_s(self) -> float:
        """Seconds for which nothing is let go because the service asked for it."""
        return max(0.0, self._paused_until - self.clock())

    async def acquire(self, tokens: int) -> Ticket:
        """Wait for a slot, first come first served.

        Args:
            tokens: Estimated tokens of the call, prompt and reply.
        """
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._queue.append((future, tokens))
        self._pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._end(future.result())
            raise

    def succeeded(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        """A call was answered: take in its headers and how long it took."""
        now = self.clock()
        took = now - ticket.sent_at
        usual = took if math.isinf(self._usual_s) else self._usual_s
        self._usual_s = usual + (took - usual) * (0.5 if took < usual else DRIFT)
        if took > SLOW * self._usual_s:
            # Once a round trip, and never below where it began: slow is not the same as refused.
            if self.slots > self.start and ticket.sent_at > self._eased_at:
                self.slots, self._eased_at = self.slots - 1, now
        elif ticket.full:
            self.slots += 1.0 / self.slots if self._was_cut else 1.0
        self.slots = min(self.slots, float(self.ceiling))
        self._observe(ticket, headers)

    def refused(self, ticket: Ticket, headers: Mapping[str, str], retry_after_s: float | None) -> None:
        """The service said that it is too much: halve the slots, once for all calls of that moment."""
        now = self.clock()
        if ticket.sent_at > self._cut_at:
            self.slots = max(1.0, self.slots / 2)
            self._cut_at, self._was_cut = now, True
        if retry_after_s is not None:
            self._paused_until = max(self._paused_until, now + retry_after_s)
        self._observe(ticket, headers)

    def failed(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        """A call failed for another reason; that says nothing about load."""
        self._observe(ticket, headers)

    def _observe(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        self._answered = True
        now = self.clock()
        for kind, (limit, left, reset_s) in announced(headers).items():
            window = self._windows.get(kind)
            if window is None:
                self._windows[kind] = Window(limit, left, now, now + reset_s)
            else:
                window.observe(limit, left, now + reset_s, sent_at=ticket.sent_at, now=now)
        self._end(ticket)

    def _end(self, ticket: Ticket) -> None:
        # By identity: two tickets with equal numbers are still two calls.
        self.under_way = [other for other in self.under_way if other is not ticket]
        self._pump()

    def _pump(self) -> None:
        while self._queue:
            future, tokens = self._queue[0]
            if future.done():
                self._queue.popleft()
                continue
            wait_s = self._wait_s(tokens)
            if wait_s > 0:
                self._wake_in(wait_s)
                return
            self._queue.popleft()
            ticket = Ticket(tokens, self.clock(), full=len(self.under_way) + 1 >= int(self.slots))
            self.under_way.append(ticket)
            self.most_under_way = max(self.most_under_way, len(self.under_way))
            future.set_result(ticket)

    def _wait_s(self, tokens: int) -> float:
        """Return seconds until the next call may go; infinite where an answer must come first."""
        now = self.clock()
        if self._paused_until > now:
            return self._paused_until - now
        # Nothing is known before the first answer, so the first call goes alone and asks.
        room = max(1, int(self.slots)) if self._answered else 1
        if len(self.under_way) >= room:
            return math.inf
        for kind, window in self._windows.items():
            needed = 1 if kind == "requests" else tokens
            busy = float(len(self.under_way) if kind == "requests" else sum(t.tokens for t in self.under_way))
            spare = window.spare(busy, now)
            if spare < needed:
                # A call larger than a whole window can only be tried, with nothing else under way.
                if not self.under_way and window.left == window.limit:
                    continue
                return max(window.resets_at - now, 0.001) if math.isfinite(window.resets_at) else math.inf
        return 0.0

    def _wake_in(self, wait_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if math.isfinite(wait_s):
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._pump)


_PREFIXES = ("x-ratelimit-{part}-{kind}", "anthropic-ratelimit-{kind}-{part}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def announced(headers: Mapping[str, str]) -> dict[str, tuple[float | None, float, float]]:
    """Return limits that an answer announces: for ``requests`` and ``tokens`` limit, left, seconds to reset.

    Read are OpenAI's ``x-ratelimit-*-requests`` (which most compatible servers send), Anthropic's
    ``anthropic-ratelimit-*``, and the plain ``ratelimit-*`` of the IETF draft. What cannot be read is not
    there.
    """
    found = {}
    for kind in ("requests", "tokens"):
        for prefix in _PREFIXES:
            parts = [headers.get(prefix.format(kind=kind, part=part)) for part in _PARTS]
            if (read := _window(*parts)) is not None:
                found[kind] = read
    if "requests" not in found:
        read = _window(*(headers.get(f"ratelimit-{part}") for part in _PARTS))
        if read is not None:
            found["requests"] = read
    return found


_PARTS = ("limit", "remaining", "reset")


def _window(
    limit: str | None, left: str | None, reset: str | None
) -> tuple[float | None, float, float] | None:
    left_number = _number(left)
    reset_s = seconds_until(reset)
    if left_number is None or reset_s is None:
        return None
    return _number(limit), left_number, reset_s


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").split(",")[0])
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def seconds_until(text: str | None) -> float | None:
    """Return a wait in seconds: ``"12"``, ``"6m0s"``, ``"20ms"``, a date as RFC 3339 or as in HTTP.

    Returns:
        Seconds >= 0; ``None`` where the text is none of these.
    """
    text = (text or "").strip()
    number = _number(text)
    if number is not None:
        return number
    if text and not _DURATION.sub("", text):
        return sum(float(value) * _UNITS[unit] for value, unit in _DURATION.findall(text))
    when = _date(text)
    return None if when is None else max(0.0, (when - datetime.now(UTC)).total_seconds())


def _date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
        except (ValueError, TypeError):
            continue
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None
