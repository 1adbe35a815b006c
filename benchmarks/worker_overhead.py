"""What a worker process costs a step: the same plays inside this process and in a child, taken in turns."""

from __future__ import annotations

import statistics
import time
from typing import Any

from lookalike.core.protocols import Environment
from lookalike.environments import make_environment

TARGET_US = 150.0
_ROUNDS = 15
_STEPS = 100


def measure() -> list[dict[str, Any]]:
    """Return the overhead of a step in a worker, in microseconds beyond the same step in this process."""
    inside = make_environment("colossal-cave", isolated=False)
    outside = make_environment("colossal-cave")
    try:
        pairs = [(_microseconds(inside), _microseconds(outside)) for _ in range(_ROUNDS)]
        began = time.perf_counter()
        state = outside.save()
        outside.restore(state)
        save_ms = (time.perf_counter() - began) * 1e3
    finally:
        inside.close()
        outside.close()
    own = statistics.median(pair[0] for pair in pairs)
    overhead = statistics.median(pair[1] - pair[0] for pair in pairs)
    return [
        {
            "name": "worker_overhead_step",
            "value": round(overhead, 1),
            "unit": "us",
            "target": f"<= {TARGET_US:g}",
            "met": overhead <= TARGET_US,
            "detail": f"median of {_ROUNDS} rounds of {_STEPS} steps; in this process {own:.0f} us a step; "
            f"least {min(pair[1] - pair[0] for pair in pairs):.0f} us",
        },
        {
            "name": "worker_save_restore",
            "value": round(save_ms, 2),
            "unit": "ms",
            "target": None,
            "met": None,
            "detail": f"one save and one restore of Colossal Cave, {len(state)} bytes",
        },
    ]


def _microseconds(environment: Environment) -> float:
    environment.reset(seed=1)
    began = time.perf_counter()
    for _ in range(_STEPS):
        environment.step("look")
    return (time.perf_counter() - began) / _STEPS * 1e6
