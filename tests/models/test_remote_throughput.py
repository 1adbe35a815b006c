"""Many callers at once: nothing waits that need not, nothing is lost, no announced limit is passed."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")

from loopback import Asked, Loopback, Said, chat_answer, openai_error
from remote_models import QUICK, ask, remote

ANSWER = chat_answer("look")


class Together:
    """A server that answers only once so many requests are there at the same time."""

    def __init__(self, number: int) -> None:
        self.barrier = threading.Barrier(number)

    def __call__(self, asked: Asked) -> Said:
        # A client that waits for one answer before it sends the next request breaks the barrier.
        try:
            self.barrier.wait(timeout=30)
        except threading.BrokenBarrierError:
            raise AssertionError("the requests did not come together") from None
        return Said(ANSWER)


def test_the_members_of_a_swarm_are_asked_at_the_same_time() -> None:
    with Loopback(lambda _: Said(ANSWER)) as server:
        model = remote(server.url)
        model.complete([ask()])
        server.answer = Together(8)
        for step in range(4):
            model.complete([ask(seed=step, temperature=0.2 + i / 10) for i in range(8)])
    assert not server.mistakes
    assert server.most_under_way == 8


def test_sixty_four_callers_fill_the_servers_slots_again_and_again() -> None:
    """How much of the time the slots are busy is measured by ``python -m benchmarks``; here it is counted."""
    slots = 16
    with Loopback(lambda _: Said(ANSWER)) as server:
        model = remote(server.url, concurrency=slots)
        model.complete([ask()])
        server.answer = Together(slots)
        with ThreadPoolExecutor(64) as pool:
            done = list(pool.map(lambda i: model.complete([ask(seed=i)])[0].text, range(8 * slots)))
    assert done == ["look"] * 8 * slots
    assert not server.mistakes
    assert server.most_under_way == slots


class Limited:
    """A server that allows so many requests a window, says so, and answers 429 half of the time anyway."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit, self.window_s = limit, window_s
        self.lock = threading.Lock()
        self.random = random.Random(0)
        self.began = time.monotonic()
        self.count = self.worst = self.refused = 0

    def __call__(self, asked: Asked) -> Said:
        with self.lock:
            now = time.monotonic()
            while now >= self.began + self.window_s:
                self.began += self.window_s
                self.count = 0
            self.count += 1
            self.worst = max(self.worst, self.count)
            headers = {
                "x_ratelimit_limit_requests": str(self.limit),
                "x_ratelimit_remaining_requests": str(max(0, self.limit - self.count)),
                "x_ratelimit_reset_requests": f"{(self.began + self.window_s - now) * 1000:.0f}ms",
            }
            refuse = self.count > self.limit or self.random.random() < 0.5
            self.refused += refuse
        time.sleep(self.random.uniform(0.005, 0.03))
        if refuse:
            return openai_error("slow down", 429, **headers)
        return Said(ANSWER, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_a_server_that_refuses_half_of_the_time_loses_nothing_and_is_not_overrun() -> None:
    answer = Limited(limit=20, window_s=0.5)
    limits = QUICK.model_copy(update={"attempts": 40})
    with Loopback(answer) as server:
        model = remote(server.url, limits=limits)
        with ThreadPoolExecutor(24) as pool:
            done = list(pool.map(lambda i: model.complete([ask(seed=i)])[0].text, range(80)))
    assert done == ["look"] * 80
    assert answer.refused >= 40
    assert answer.worst <= answer.limit + 1, answer.worst
    assert len(server.asked) == 80 + answer.refused
