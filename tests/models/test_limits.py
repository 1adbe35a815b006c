"""The limiter, by itself, with a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")

from lookalike.models.remote.limits import Limiter, Ticket, announced, seconds_until


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


async def admitted(limiter: Limiter, count: int) -> tuple[list[Ticket], list[asyncio.Task[Ticket]]]:
    """Ask for ``count`` slots; return the tickets given at once and the tasks that wait."""
    tasks = [asyncio.create_task(limiter.acquire(10)) for _ in range(count)]
    for _ in range(3):
        await asyncio.sleep(0)
    return [t.result() for t in tasks if t.done()], [t for t in tasks if not t.done()]


def let_go(tasks: list[asyncio.Task[Ticket]]) -> None:
    for task in tasks:
        task.cancel()


def window(left: int, reset: str = "10", limit: int = 20) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(left),
        "x-ratelimit-reset-requests": reset,
    }


def test_the_first_call_goes_alone_and_then_as_many_as_there_are_slots() -> None:
    async def work() -> None:
        limiter = Limiter(start=4, clock=Clock())
        given, waiting = await admitted(limiter, 10)
        assert len(given) == 1
        limiter.succeeded(given[0], {})
        await asyncio.sleep(0)
        assert len(limiter.under_way) == 4
        let_go(waiting)

    run(work())


def test_slots_grow_while_they_are_all_used_and_halve_once_for_refusals_of_one_moment() -> None:
    async def work() -> None:
        clock = Clock()
        limiter = Limiter(start=4, ceiling=16, clock=clock)
        limiter._answered = True
        for _ in range(4):
            given, waiting = await admitted(limiter, int(limiter.slots))
            clock.now += 1
            for ticket in given:
                limiter.succeeded(ticket, {})
            let_go(waiting)
        assert limiter.slots > 6
        before = limiter.slots
        given, waiting = await admitted(limiter, int(before))
        clock.now += 1
        for ticket in given:
            limiter.refused(ticket, {}, None)
        assert limiter.slots == before / 2
        let_go(waiting)

    run(work())


def test_slots_do_not_grow_when_answers_become_slow() -> None:
    async def work() -> None:
        clock = Clock()
        limiter = Limiter(start=2, clock=clock)
        limiter._answered = True
        for seconds in (1, 1, 5, 5, 5):
            given, waiting = await admitted(limiter, int(limiter.slots))
            clock.now += seconds
            for ticket in given:
                limiter.succeeded(ticket, {})
            let_go(waiting)
            if seconds == 1:
                quick = limiter.slots
        assert quick > 2
        assert limiter.slots < quick

    run(work())


def test_an_announced_limit_is_never_passed_whatever_order_answers_come_in() -> None:
    async def work() -> None:
        clock = Clock()
        limiter = Limiter(start=50, ceiling=50, clock=clock)
        limiter._answered = True
        first, waiting = await admitted(limiter, 5)
        # The server handled them as 19, 18, 17, 16, 15; their answers arrive the other way round.
        for ticket, left in zip(first, (15, 16, 17, 18, 19), strict=True):
            clock.now += 0.1
            limiter.succeeded(ticket, window(left))
        more, waiting = await admitted(limiter, 50)
        assert len(more) == 15
        let_go(waiting)
        clock.now += 20
        for ticket in more:
            limiter.failed(ticket, {})
        again, waiting = await admitted(limiter, 50)
        assert len(again) == 20
        let_go(waiting)

    run(work())


def test_a_pause_that_was_asked_for_holds_everybody() -> None:
    async def work() -> None:
        clock = Clock()
        limiter = Limiter(start=8, clock=clock)
        given, waiting = await admitted(limiter, 1)
        limiter.refused(given[0], {}, 5.0)
        assert limiter.paused_for_s == 5
        given, waiting = await admitted(limiter, 3)
        assert not given
        let_go(waiting)

    run(work())


def test_a_waiting_call_that_is_cancelled_takes_no_slot() -> None:
    async def work() -> None:
        limiter = Limiter(start=1, ceiling=1, clock=Clock())
        given, waiting = await admitted(limiter, 3)
        waiting[0].cancel()
        await asyncio.sleep(0)
        limiter.succeeded(given[0], {})
        await asyncio.sleep(0)
        assert waiting[1].done()
        limiter.succeeded(waiting[1].result(), {})
        assert not limiter.under_way

    run(work())


def test_tokens_are_kept_to_as_well() -> None:
    async def work() -> None:
        limiter = Limiter(start=8, clock=Clock())
        given, _ = await admitted(limiter, 1)
        headers = {
            "anthropic-ratelimit-tokens-limit": "100",
            "anthropic-ratelimit-tokens-remaining": "35",
            "anthropic-ratelimit-tokens-reset": (datetime.now(UTC) + timedelta(seconds=60)).isoformat(),
        }
        limiter.succeeded(given[0], headers)
        given, waiting = await admitted(limiter, 8)
        assert len(given) == 3  # ten tokens each
        let_go(waiting)

    run(work())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12", 12), ("1.5", 1.5), ("6m0s", 360), ("20ms", 0.02), ("1h2m3s", 3723), ("", None), ("soon", None)],
)
def test_waits_are_read_in_every_form_that_is_in_use(text: str, seconds: float | None) -> None:
    assert seconds_until(text) == (None if seconds is None else pytest.approx(seconds))


def test_dates_are_read_too_and_nonsense_is_not_there() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert seconds_until(soon.isoformat()) == pytest.approx(30, abs=1)
    assert seconds_until(soon.strftime("%a, %d %b %Y %H:%M:%S GMT")) == pytest.approx(30, abs=2)
    assert announced({"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "1s"}) == {}
    assert announced({"ratelimit-remaining": "3", "ratelimit-reset": "7"}) == {"requests": (None, 3, 7)}
    assert announced({"ratelimit-remaining": "nan", "ratelimit-reset": "-7"}) == {}
