"""How long the swarm's memory takes to recall when it holds 100,000 steps of mostly different observations.

Observations are put together from sentences of a real play of Colossal Cave (and a number, so that nine of
ten differ from all others); a fifth of the questions is about a state that is known, the others are about
states never seen, where recall has to look for similar ones. The target is held against processor time, so
that other programs on the machine do not count; the clock's figure is beside it.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from lookalike.environments import make_environment
from lookalike.recordings import shipped_play
from lookalike.swarm.memory import Entry, SwarmMemory

TARGET_MS = 2.0
ENTRIES = 100_000
QUESTIONS = 2_000


def measure() -> list[dict[str, Any]]:
    """Return the 99th percentile of a recall (the target's), and of a memory being kept."""
    random = np.random.default_rng(0)
    sentences = _sentences()
    texts = [_observation(sentences, random, i) for i in range(ENTRIES)]
    memory = SwarmMemory()
    keeping = np.empty(ENTRIES)
    for i, text in enumerate(texts):
        entry = Entry(text, f"action {i % 7}", float(random.uniform(-1, 1)), "OK", ("t1",), f"step {i}")
        start = time.thread_time()
        memory.remember(entry)
        keeping[i] = time.thread_time() - start
    recalling, waiting = np.empty(QUESTIONS), np.empty(QUESTIONS)
    found = 0
    for i in range(QUESTIONS):
        known = i % 5 == 0
        text = texts[int(random.integers(ENTRIES))] if known else _observation(sentences, random, ENTRIES + i)
        began, start = time.perf_counter(), time.thread_time()
        found += bool(memory.recall(text, limit=3))
        recalling[i], waiting[i] = time.thread_time() - start, time.perf_counter() - began
    p50, p99 = np.percentile(recalling * 1e3, [50, 99])
    states = len(set(texts))
    return [
        {
            "name": "memory_recall_p99",
            "value": round(float(p99), 3),
            "unit": "ms",
            "target": f"<= {TARGET_MS:g}",
            "met": bool(p99 <= TARGET_MS),
            "detail": f"{ENTRIES:,} entries, {states:,} different observations; median {p50:.3f} ms, "
            f"worst {recalling.max() * 1e3:.2f} ms; by the clock p99 "
            f"{np.percentile(waiting * 1e3, 99):.2f} ms; {found / QUESTIONS:.0%} recalled something",
        },
        {
            "name": "memory_remember_p99",
            "value": round(float(np.percentile(keeping * 1e3, 99)), 3),
            "unit": "ms",
            "target": None,
            "met": None,
            "detail": f"{len(memory):,} kept in {keeping.sum():.1f} s",
        },
    ]


def _sentences() -> list[str]:
    game, play = make_environment("colossal-cave", isolated=False), shipped_play(2)
    texts = [game.reset(seed=play.seed).text or ""]
    texts += [game.step(command).observation.text or "" for command in play.commands]
    game.close()
    pieces = {" ".join(piece.split()) for text in texts for piece in text.split("\n\n")}
    return sorted(piece for piece in pieces if 20 < len(piece) < 400)


def _observation(sentences: list[str], random: np.random.Generator, number: int) -> str:
    chosen = random.choice(len(sentences), size=3, replace=False)
    parts = [sentences[int(i)] for i in chosen[: 1 if number % 10 == 0 else 3]]
    if number % 10:
        parts.append(f"A sign says {number}.")
    return "\n\n".join(parts)
