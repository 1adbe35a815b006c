"""Two workers against one on the same experiment, where no model is the bottleneck: time, and equal results.

Each run is a process of its own, as for a user. What counts is the time from its first to its last event;
starting (imports, the players' processes, their games) is reported apart. Runs with one and two workers
take turns, and the ratio is of the fastest of each, because whatever else the machine does only adds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.core.types import Demonstration, Provenance, Trajectory
from lookalike.environments import make_environment
from lookalike.experts import make_expert
from lookalike.recordings import shipped_play
from lookalike.rewards import save_reward_model

TARGET = 0.6
ROUNDS = 3
GOALS = ("lamp", "bird", "snake", "diamonds")
SEEDS = tuple(range(1000, 1020))
CONDITIONS = ("random", "uniform+expert", "expert-alone")
EXPERIMENT = "paper/colossal-cave"


@dataclass(frozen=True)
class Played:
    """One run.

    Attributes:
        seconds: From its first episode's start to its last event.
        start_s: From the process's start to the first episode's start.
        cpu_s: Processor seconds of all its processes, starting included.
        episodes: That ended.
        digest: Of all that was played.
    """

    seconds: float
    start_s: float
    cpu_s: float
    episodes: int
    digest: str


def measure() -> list[dict[str, Any]]:
    """Return the ratio, both times, starting, and whether the results are identical."""
    with tempfile.TemporaryDirectory() as folder:
        given = _reward_model(Path(folder) / "given.yaml")
        runs: dict[int, list[Played]] = {1: [], 2: []}
        for number in range(ROUNDS):
            for workers, played in runs.items():
                played.append(_play(Path(folder) / f"{number}-{workers}", given, workers))
    one, two = (min(played, key=lambda run: run.seconds) for played in runs.values())
    ratio = two.seconds / one.seconds
    digests = {run.digest for played in runs.values() for run in played}
    detail = f"{one.episodes} episodes: {one.seconds:.2f} s with one worker, {two.seconds:.2f} s with two"
    name, met = "side_by_side", len(digests) == 1
    costs = f"{one.cpu_s:.2f} s with one worker, {two.cpu_s:.2f} s with two, starting included"
    starts = {workers: min(run.start_s for run in played) for workers, played in runs.items()}
    return [
        _row(f"{name}.two_workers", ratio, "of one's time", f"<= {TARGET}", ratio <= TARGET, detail),
        _row(f"{name}.identical", float(met), "1 is yes", "== 1", met, f"digests of {2 * ROUNDS} runs"),
        _row(f"{name}.start_one", starts[1], "s", None, None, "to the first episode, one worker"),
        _row(f"{name}.start_two", starts[2], "s", None, None, "to the first episode, two workers"),
        _row(f"{name}.processor_time", two.cpu_s / one.cpu_s, "of one's", None, None, costs),
    ]


def _row(
    name: str, value: float, unit: str, target: str | None, met: bool | None, detail: str
) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "target": target, "met": met, "detail": detail}


def _play(out: Path, given: Path, workers: int) -> Played:
    began = time.time()
    found = subprocess.run(
        [sys.executable, __file__, str(out), str(given), str(workers)],
        check=True,
        capture_output=True,
        text=True,
    )
    told = json.loads(found.stdout)
    return Played(
        seconds=told["last"] - told["first"],
        start_s=told["first"] - began,
        cpu_s=told["cpu_s"],
        episodes=told["episodes"],
        digest=told["digest"],
    )


def _run(out: Path, given: Path, workers: int) -> None:
    """Run the experiment here, and tell when it began and ended (the child's main function)."""
    import resource

    from lookalike.experiments import run_experiment, runner
    from lookalike.store import EventLog

    # Its plots are the same for any number of workers.
    vars(runner)["write_report"] = lambda *_: {}
    result = run_experiment(
        EXPERIMENT,
        out=out,
        goals=GOALS,
        seeds=SEEDS,
        conditions=CONDITIONS,
        reward_model=given,
        workers=workers,
    )
    with EventLog(out / "events.sqlite") as log:
        times = [
            event.measured.at
            for event in log.events(EXPERIMENT)
            if event.kind != "run_started" and event.measured.at is not None
        ]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    told = {
        "first": times[0],
        "last": times[-1],
        "cpu_s": sum(use.ru_utime + use.ru_stime for use in used),
        "episodes": len(result.episodes),
        "digest": result.created_with.play_digest,
    }
    print(json.dumps(told))


def _reward_model(path: Path) -> Path:
    play = shipped_play(2)
    game = make_environment("colossal-cave", isolated=False)
    seen, rewards = [game.reset(seed=play.seed)], []
    for command in play.commands[:120]:
        result = game.step(command)
        seen.append(result.observation)
        rewards.append(result.env_reward)
    trajectory = Trajectory(tuple(seen), tuple(play.commands[:120]), tuple(rewards))
    source = Provenance("play.jsonl", "jsonl", "0" * 64, play.licence)
    watched = Demonstration("play", trajectory, "human", source, "colossal-cave", play.seed)
    save_reward_model(make_expert().watch([watched], environment="colossal-cave"), path)
    return path


if __name__ == "__main__":
    _run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
