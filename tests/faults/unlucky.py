"""An experiment on a game that hangs, leaks or aborts in three episodes of four, with many workers.

Run as a program of its own (``python -m faults.unlucky OUT WORKERS SEEDS STEP_LIMIT_S MEMORY_MB``), because
a player process imports its game by the entry point that `plugin.install` wrote.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults import plugin
from faults.processes import start
from lookalike.core.seeds import derive_seed

ENVIRONMENT = "unlucky"
NAMED = ("EnvironmentHungError", "EnvironmentDiedError", "EnvironmentDiedError", None)
"""The error that names each of `paid_plugin.FAULTS`."""
_GOALS = """format: lookalike-goals/1
environment: unlucky
goals:
  - {name: door, description: Open the door., success: [{fact: won, op: equals, value: true}],
     step_limit: 12, complexity: 5}
"""


@dataclass(frozen=True)
class Ended:
    """How it ended.

    Attributes:
        seconds: It took, with starting.
        status: Exit status.
        said: What it wrote.
        left: Command lines of processes left behind.
        results: ``results.json``.
        report: ``report.html``.
    """

    seconds: float
    status: int
    said: str
    left: list[str]
    results: dict[str, Any]
    report: str


def run(
    folder: Path, *, workers: int, seeds: int, step_limit_s: float, memory_mb: int, limit_s: float
) -> Ended:
    """Run it in a program of its own, for at most ``limit_s`` seconds.

    Raises:
        subprocess.TimeoutExpired: It did not end; all of it is killed.
    """
    package = plugin.install(folder / "plugin", environments={ENVIRONMENT: f"{plugin.MODULE}:UnluckyGame"})
    tests = Path(__file__).resolve().parents[1]
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(package), str(tests), os.environ.get("PYTHONPATH")))),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
    }
    out = folder / "out"
    started = start(
        [str(out), str(workers), str(seeds), str(step_limit_s), str(memory_mb)],
        program=("-m", "faults.unlucky"),
        environment=environment,
        mark=str(folder),
        output=folder / "output",
    )
    try:
        status = started.process.wait(limit_s)
    finally:
        seconds = started.seconds
        if not started.ended():
            started.kill_all()
    left, said = started.wait_gone(), started.said()
    assert status == 0, said
    results = json.loads((out / "results.json").read_text())
    return Ended(seconds, status, said, left, results, (out / "report.html").read_text())


def expected_failures(seeds: int) -> dict[int, str]:
    """Return the error's name of every seed whose episode must fail."""
    named = {
        seed: NAMED[derive_seed(seed, ENVIRONMENT, "environment") % len(NAMED)]
        for seed in range(1000, 1000 + seeds)
    }
    return {seed: name for seed, name in named.items() if name is not None}


def faults_found(ended: Ended, seeds: int) -> list[str]:
    """Return what is not as it must be; empty where all failures are counted and named."""
    expected = expected_failures(seeds)
    (row,) = ended.results["rows"]
    episodes = {episode["seed"]: episode for episode in ended.results["episodes"]}
    found = [] if row["n"] == seeds == len(episodes) else [f"{row['n']} plays instead of {seeds}"]
    if row["failures"] != len(expected):
        found.append(f"{row['failures']} failures instead of {len(expected)}")
    for seed, episode in episodes.items():
        failure, named = episode["failure"], expected.get(seed)
        if (failure is None) != (named is None) or (named and not failure.startswith(named)):
            found.append(f"seed {seed}: {failure!r} instead of {named}")
        if named and f"seed {seed}," not in ended.report and len(expected) < 100:
            found.append(f"seed {seed} is not named in the report")
    if ended.left:
        found.append(f"processes left behind: {ended.left}")
    return found


def main(out: Path, workers: int, seeds: int, step_limit_s: float, memory_mb: int) -> None:
    """Run the experiment in this process and its workers."""
    from lookalike.environments import environment_ids, registry
    from lookalike.experiments import conditions, run_experiment

    assert ENVIRONMENT in environment_ids(), "the plugin is not installed"
    goals = out.with_name("goals.yaml")
    goals.write_text(_GOALS)
    # An entry point brings a game, but no goals; they are only looked up here, not in the workers.
    known = registry._entries[ENVIRONMENT]
    registry._entries[ENVIRONMENT] = registry._Entry(known.id, known.loader, "", goals)
    spec = conditions.ExperimentSpec(
        name="test/unlucky", description="", environment=ENVIRONMENT, recording="adventure:2",
        seeds=f"1000-{999 + seeds}", conditions=("random",),
    )  # fmt: skip
    conditions.list_experiments = lambda: (spec,)
    result = run_experiment(
        "test/unlucky",
        out=out,
        workers=workers,
        step_time_limit_s=step_limit_s,
        memory_limit_mb=memory_mb,
    )
    assert result.complete


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
