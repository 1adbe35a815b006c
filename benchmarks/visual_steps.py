"""Steps of a game on the screen: a batch of 16 through one worker against the same in this process."""

from __future__ import annotations

import statistics
import time
from typing import Any

TARGET = 0.7
SIZE = 16
_ROUNDS, _STEPS = 3, 40


def measure() -> list[dict[str, Any]]:
    """Return the share of in-process speed that is left through the worker, over all sixteen games."""
    from lookalike.environments.procgen_engine import procgen_installed
    from lookalike.environments.procgen_games import known_games

    if not procgen_installed():
        return []
    worker, local = {}, {}
    for game in known_games():
        worker[game], local[game] = _measure(game)
    ratio = sum(local.values()) / sum(worker.values())
    each = {game: local[game] / worker[game] for game in worker}
    worst = min(each, key=lambda game: each[game])
    steps = SIZE * _STEPS * len(each)
    return [
        {
            "name": "visual_steps",
            "value": round(ratio, 3),
            "unit": "of in-process",
            "target": TARGET,
            "met": ratio >= TARGET,
            "detail": f"16 Procgen games, batch of {SIZE}; "
            f"in process {steps / sum(local.values()):.0f} steps/s, "
            f"through the worker {steps / sum(worker.values()):.0f}; "
            f"median game {statistics.median(each.values()):.2f}, worst {worst} {each[worst]:.2f}",
        }
    ]


def _measure(game: str) -> tuple[float, float]:
    """Return the seconds of a round through the worker and in this process, each the median."""
    from lookalike.environments.batch import make_environment_batch

    batches = [
        make_environment_batch(f"procgen:{game}", SIZE, isolated=isolated) for isolated in (True, False)
    ]
    # In turn, so that whatever else the machine does meets both.
    rounds = [[_seconds(batch) for batch in batches] for _ in range(_ROUNDS)]
    for batch in batches:
        batch.close()
    worker_s, local_s = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    return worker_s, local_s


def _seconds(batch: Any) -> float:
    actions = ("right", "noop", "up", "left")
    batch.reset_many(list(range(SIZE)))
    began = time.perf_counter()
    for step in range(_STEPS):
        results = batch.step_many([actions[(step + member) % 4] for member in range(SIZE)])
        over = [result.terminated or result.truncated for result in results]
        if any(over):
            batch.reset_many([number if ended else None for number, ended in enumerate(over)])
    return time.perf_counter() - began


if __name__ == "__main__":
    for one in measure():
        print(one)
