"""What a worker process costs a step: the same plays inside this process and in a child, taken in turns."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from typing import Any

from lookalike.core.protocols import Environment
from lookalike.environments import make_environment
from lookalike.environments.supervised import SupervisedEnvironment
from lookalike.environments.worker import EnvironmentWorker

TARGET_US = 150.0
_CAVE = "lookalike.environments.colossal_cave:ColossalCave"
_ROUNDS = 15
_STEPS = 100


def measure() -> list[dict[str, Any]]:
    """Return the overhead of a step in a worker, in microseconds beyond the same step in this process."""
    inside = make_environment("colossal-cave", isolated=False)
    outside = EnvironmentWorker(_CAVE)
    guarded = SupervisedEnvironment(make_environment("colossal-cave", isolated=False))
    supervised = SupervisedEnvironment(outside)
    try:
        rows = [
            _overhead("worker_overhead_step", inside, outside, _step, TARGET_US),
            _overhead("worker_overhead_loop_step", inside, outside, _loop_step, None),
            # Within this process, where a few microseconds can be told from the noise.
            _overhead("supervised_overhead_step", inside, guarded, _step, None),
        ]
        began = time.perf_counter()
        state = outside.save()
        outside.restore(state)
        save_ms = (time.perf_counter() - began) * 1e3
        restart_ms = _restart_ms(supervised, outside)
    finally:
        inside.close()
        outside.close()
    return [
        *rows,
        {
            "name": "worker_save_restore",
            "value": round(save_ms, 2),
            "unit": "ms",
            "target": None,
            "met": None,
            "detail": f"one save and one restore of Colossal Cave, {len(state)} bytes",
        },
        {
            "name": "supervised_restart",
            "value": round(restart_ms, 1),
            "unit": "ms",
            "target": None,
            "met": None,
            "detail": f"a killed process to the next answer: start, import, {_STEPS} steps replayed",
        },
    ]


def _step(environment: Environment) -> None:
    environment.step("look")


def _loop_step(environment: Environment) -> None:
    """Ask for what the step loop asks for."""
    environment.step("look")
    environment.facts()
    environment.facts()
    environment.admissible_actions()


def _overhead(
    name: str,
    inside: Environment,
    other: Environment,
    play: Callable[[Environment], None],
    target: float | None,
) -> dict[str, Any]:
    pairs = [(_microseconds(inside, play), _microseconds(other, play)) for _ in range(_ROUNDS)]
    own = statistics.median(pair[0] for pair in pairs)
    overhead = statistics.median(pair[1] - pair[0] for pair in pairs)
    return {
        "name": name,
        "value": round(overhead, 1),
        "unit": "us",
        "target": None if target is None else f"<= {target:g}",
        "met": None if target is None else overhead <= target,
        "detail": f"median of {_ROUNDS} rounds of {_STEPS} steps; in this process {own:.0f} us; "
        f"least {min(pair[1] - pair[0] for pair in pairs):.0f} us",
    }


def _microseconds(environment: Environment, play: Callable[[Environment], None]) -> float:
    environment.reset(seed=1)
    began = time.perf_counter()
    for _ in range(_STEPS):
        play(environment)
    return (time.perf_counter() - began) / _STEPS * 1e6


def _restart_ms(supervised: SupervisedEnvironment, worker: EnvironmentWorker) -> float:
    supervised.reset(seed=1)
    for _ in range(_STEPS):
        supervised.step("look")
    if worker.process_id is not None:
        os.kill(worker.process_id, signal.SIGKILL)
    began = time.perf_counter()
    supervised.step("look")
    return (time.perf_counter() - began) * 1e3
