"""Where runs are disturbed: folders with the plugin installed, and the run that nobody disturbs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults import plugin
from faults.processes import Started, start
from faults.stores import SqliteStores

EXPERIMENT = "paper/colossal-cave"
MODEL = "paid"
RUN_LIMIT_S = 300.0


@dataclass(frozen=True)
class Asked:
    """What is run.

    Attributes:
        goals: Names, with commas.
        conditions: Likewise.
        seeds: Likewise.
    """

    goals: str = "lamp,lit-with-rod"
    conditions: str = "solo,swarm,worlds"
    seeds: str = "1000"

    def command(self, reward_model: Path) -> list[str]:
        """Return the command's part that says what is asked for."""
        return [
            *("experiment", "run", EXPERIMENT, "--goals", self.goals, "--conditions", self.conditions),
            *("--seeds", self.seeds, "--reward-model", str(reward_model), "--model", MODEL),
        ]


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed.

    Attributes:
        digest: Of all that was played.
        result: Its results, without what a machine had to do with it.
        seconds: It took.
        events: In its log.
        episodes: That ended.
        calls: Of the paid model.
    """

    digest: str
    result: dict[str, Any]
    seconds: float
    events: int
    episodes: int
    calls: set[str]


class Bench:
    """A folder for runs, with the plugin installed and one reward model.

    Args:
        folder: Empty.
        reward_model: A document.
        asked: What is run.
    """

    def __init__(self, folder: Path, reward_model: Path, asked: Asked) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.asked = asked
        self.reward_model = reward_model
        self.plugin = plugin.install(folder / "plugin")
        self._count = 0

    def run_folder(self) -> Path:
        """Return a new, empty folder for one run."""
        self._count += 1
        folder = self.folder / f"{self.folder.name}-{self._count:03}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def start(self, folder: Path, command: Sequence[str]) -> Started:
        """Start one of the product's commands for the run in a folder."""
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self.plugin), os.environ.get("PYTHONPATH")))),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "MPLCONFIGDIR": str(self.folder / "matplotlib"),
            plugin.LEDGER: str(folder / "ledger"),
            "NO_COLOR": "1",
        }
        return start(command, environment=environment, mark=str(folder), output=folder / "output")

    def undisturbed(self) -> Undisturbed:
        """Play the run once without a kill, in one process."""
        folder = self.run_folder()
        command = [*self.asked.command(self.reward_model), "--out", str(folder / "out")]
        started = self.start(folder, command)
        started.process.wait(RUN_LIMIT_S)
        seconds = started.seconds
        left = started.wait_gone()
        assert started.process.returncode == 0, started.said()
        assert not left, left
        held = sqlite_stores(folder).read(EXPERIMENT)
        calls = read_ledger(folder)
        assert len(calls) == len(set(calls)), "the undisturbed run already asks twice"
        result = comparable(folder / "out" / "results.json")
        return Undisturbed(held.digest, result, seconds, held.events, len(held.finished), set(calls))


def sqlite_stores(folder: Path) -> SqliteStores:
    """Return the stores of a run's folder."""
    cache = folder / "cache" / "lookalike" / "responses.sqlite"
    return SqliteStores(folder / "out", cache, folder / "scratch")


def comparable(results: Path) -> dict[str, Any]:
    """Read a results file without what depends on the machine and on what had been computed before."""
    data = json.loads(results.read_text())
    data["created_with"].pop("commands")
    for part in (*data["rows"], *data["episodes"]):
        part.pop("seconds", None)
        part.pop("seconds_mean", None)
        for name in ("seconds", "computed_tokens", "cached_calls", "cost", "unpriced_calls"):
            part["usage"].pop(name, None)
    return data


def read_ledger(folder: Path) -> list[str]:
    """Return the calls of a run's paid model in the order they were made."""
    path = folder / "ledger"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
