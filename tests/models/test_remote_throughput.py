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

LATENCY_S = 0.2
ANSWER = chat_answer("look")


def slow(asked: Asked) -> Said:
    time.sleep(LATENCY_S)
    return Said(ANSWER)


def test_a_swarm_of_eight_takes_hardly_longer_than_one_player() -> None:
    with Loopback(slow) as server:
        model = remote(server.url)
        model.complete([ask()])
        ratios = []
        for step in range(4):
            started = time.perf_counter()
            model.complete([ask(seed=step)])
            one = time.perf_counter() - started
            started = time.perf_counter()
            model.complete([ask(seed=step, temperature=0.2 + i / 10) for i in range(8)])
            ratios.append((time.perf_counter() - started) / one)
    assert server.most_under_way == 8
    # The best of several steps: the machine does other things too.
    assert min(ratios) <= 1.3, ratios


class Slots:
    """A server with so many slots; it adds up how long they were all taken."""

    def __init__(self, slots: int, latency_s: float) -> None:
        self.free = threading.Semaphore(slots)
        self.lock = threading.Lock()
        self.latency_s = latency_s
        self.busy_s = 0.0
        self.first = self.last = 0.0

    def __call__(self, asked: Asked) -> Said:
        with self.free:
            started = time.perf_counter()
            time.sleep(self.latency_s)
            ended = time.perf_counter()
        with self.lock:
            self.busy_s += ended - started
            self.first, self.last = self.first or started, ended
        return Said(ANSWER)


def test_sixty_four_callers_keep_the_servers_slots_busy() -> None:
    slots, shares = 16, []
    with Loopback(lambda _: Said(ANSWER)) as server:
        model = remote(server.url, concurrency=slots)
        model.complete([ask()])
        # Server and callers share one interpreter here, and the machine does other things: two tries.
        for _ in range(2):
            answer = server.answer = Slots(slots, latency_s=0.4)
            with ThreadPoolExecutor(64) as pool:
                done = list(pool.map(lambda i: model.complete([ask(seed=i)])[0].text, range(128)))
            assert done == ["look"] * 128
            shares.append(answer.busy_s / (slots * (answer.last - answer.first)))
            if shares[-1] >= 0.9:
                break
    assert max(shares) >= 0.9, shares
    assert server.most_under_way <= slots


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
