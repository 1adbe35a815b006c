"""The long form of the fault tests: ``make faults``; ``python -m faults --help`` with ``tests`` on the path.

Prints a table of kills by kind and what came of them; exit status 1 where anything was lost, asked twice or
different from the undisturbed run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from faults import unlucky
from faults.bench import Asked, Bench
from faults.campaign import campaign
from faults.findings import Outcome
from faults.reward_model import write_reward_model
from store import postgres_server
from store.postgres_server import PostgresServer


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--sqlite", type=int, default=200, metavar="N", help="kills over SQLite")
    parser.add_argument("--postgres", type=int, default=50, metavar="N", help="kills over PostgreSQL")
    parser.add_argument("--workers", type=int, default=16, help="for the failing games; 0 to leave them out")
    parser.add_argument("--jobs", type=int, default=3, help="runs that are disturbed side by side")
    parser.add_argument("--seed", type=int, help="of all that is random; drawn and printed by default")
    parser.add_argument("--goals", default=Asked.goals, help="goals that are played")
    parser.add_argument("--seeds", default=Asked.seeds, help="seeds that are played")
    parser.add_argument("--conditions", default=Asked.conditions, help="conditions that are played")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work here, and leave it")
    options = parser.parse_args(argv)
    options.seed = Random().randrange(1 << 32) if options.seed is None else options.seed
    _say(f"seed {options.seed}")
    folder = options.keep or Path(tempfile.mkdtemp(prefix="lookalike-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _server(options.postgres) as server:
            report = _run(folder, options, server)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=1)) if options.json else _print(report)
    return 0 if report["clean"] else 1


@contextmanager
def _server(kills: int) -> Iterator[PostgresServer | str]:
    """Start a PostgreSQL server, or say why there is none."""
    if not kills:
        yield "not asked for"
        return
    cluster = Path(tempfile.mkdtemp(prefix="lookalike-postgres-"))
    try:
        try:
            server = postgres_server.start(cluster)
        except pytest.skip.Exception as reason:
            yield str(reason)
            return
        try:
            yield server
        finally:
            postgres_server.stop(server)
    finally:
        shutil.rmtree(cluster, ignore_errors=True)


def _run(folder: Path, options: argparse.Namespace, server: PostgresServer | str) -> dict[str, Any]:
    asked = Asked(options.goals, options.conditions, options.seeds)
    given = write_reward_model(folder / "given.yaml")
    expected = Bench(folder / "undisturbed", given, asked).undisturbed()
    _say(f"undisturbed: {expected.episodes} episodes, {len(expected.calls)} calls, {expected.seconds:.1f} s")
    shares = [("sqlite", kills) for kills in _share(options.sqlite, max(1, options.jobs - 1))]
    if isinstance(server, str):
        _say(f"PostgreSQL is skipped: {server}")
    else:
        shares.append(("postgres", options.postgres))

    def disturb(number: int, store: str, kills: int) -> Outcome:
        bench = Bench(folder / f"{store}{number}", given, asked)
        urls = None
        if isinstance(server, PostgresServer) and store == "postgres":
            schemas = itertools.count()
            urls = lambda: f"{server.url}?schema=faults_{next(schemas)}"  # noqa: E731
        return campaign(
            bench, expected, kills=kills, seed=options.seed + number, postgres_url=urls, report=_say
        )

    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        outcomes = list(pool.map(lambda share: disturb(share[0], *share[1]), enumerate(shares)))
    games = _failing_games(folder, options.workers) if options.workers else None
    return {
        "seed": options.seed,
        "cores": os.cpu_count(),
        "undisturbed": {
            "seconds": expected.seconds,
            "episodes": expected.episodes,
            "calls": len(expected.calls),
        },
        "campaigns": [outcome.as_dict() for outcome in outcomes],
        "games": games,
        "skipped": {"postgres": server} if isinstance(server, str) else {},
        "clean": all(outcome.clean for outcome in outcomes) and not (games and games["findings"]),
    }


def _share(kills: int, parts: int) -> list[int]:
    return [count for part in range(parts) if (count := kills * (part + 1) // parts - kills * part // parts)]


def _failing_games(folder: Path, workers: int) -> dict[str, Any]:
    """Run an experiment on games that hang, leak and abort."""
    seeds, step_limit_s = 3 * workers, 8.0
    ended = unlucky.run(
        folder / "games", workers=workers, seeds=seeds, step_limit_s=step_limit_s, memory_mb=256, limit_s=600
    )
    found = unlucky.faults_found(ended, seeds)
    failures = len(unlucky.expected_failures(seeds))
    what = f"{workers} workers, {seeds} episodes, {failures} failures, {ended.seconds:.0f} s"
    _say(f"{what}: {found or 'as expected'}")
    return {
        "workers": workers,
        "episodes": seeds,
        "failures": failures,
        "seconds": ended.seconds,
        "findings": found,
    }


def _print(report: dict[str, Any]) -> None:
    columns = ("store", "kind", "kills", "start", "play", "finish", "in flight")
    line = "{:<10} {:<12} {:>6} {:>6} {:>6} {:>6} {:>10}"
    print(line.format(*columns))
    for found in report["campaigns"]:
        kills = found["kills"]
        for kind in [*sorted(found["by_kind"]), "all"]:
            chosen = [kill for kill in kills if kind in (kill["kind"], "all")]
            phases = Counter(kill["phase"] for kill in chosen)
            in_flight = sum(kill["in_flight"] for kill in chosen)
            counts = (len(chosen), phases["start"], phases["play"], phases["finish"], in_flight)
            print(line.format(found["store"], kind, *counts))
        lost, again = len(found["lost"]), len(found["repeated"])
        print(
            f"{found['store']}: {found['runs']} runs in {found['starts']} starts, {found['calls']:,} paid "
            f"calls, {found['seconds']:.0f} s: {lost} finished episodes lost ({found['cut_off']} by "
            f"power cuts), {again} paid calls repeated, "
            f"{found['in_flight']} made again that were in flight, {len(found['wrong'])} other findings"
        )
        for finding in (*found["lost"], *found["repeated"], *found["wrong"]):
            print(f"  {finding}")
    if games := report["games"]:
        print(
            f"{games['workers']} workers on games that hang, leak and abort: {games['episodes']} episodes in "
            f"{games['seconds']:.0f} s, {games['failures']} failures, all counted and named"
            if not games["findings"]
            else f"failing games: {games['findings']}"
        )
    for name, why in report["skipped"].items():
        print(f"{name} was skipped: {why}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
