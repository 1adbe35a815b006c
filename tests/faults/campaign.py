"""Kills a run at random instants, resumes it until it ends by itself, and compares with the undisturbed one.

All that is random comes from one seed, which is printed. The instants cannot be repeated exactly: what a
machine does in a millisecond is not in the seed.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from faults.bench import EXPERIMENT, RUN_LIMIT_S, Bench, Undisturbed, comparable, read_ledger, sqlite_stores
from faults.findings import Kill, Outcome, asked_again, lost_episodes
from faults.processes import Started, kill
from faults.stores import Held, PostgresStores, SqliteStores, flushed_bytes

BATCH = 4
"""Calls that one player process may have under way: one for each member of the swarm."""
START_S = 3.0
"""What starting takes at the most on a machine that does nothing else."""

END_THE_RUN = ("main", "interrupt", "terminate", "power", "connections")
"""Kinds of kill after which nothing of the run is left; the others it must survive by itself."""
KINDS = {
    "sqlite": ("main", "main", "power", "power", "interrupt", "terminate", "player", "game"),
    "postgres": ("main", "main", "connections", "connections", "interrupt", "terminate", "player", "game"),
}
"""What is drawn from, without putting back, so that no kind is left to luck."""


class Deck:
    """Kinds of kill in random order, each in turn before any comes again."""

    def __init__(self, kinds: Sequence[str], random: Random) -> None:
        self._kinds = kinds
        self._random = random
        self._cards: list[str] = []

    def draw(self, possible: Callable[[str], bool]) -> str:
        """Take the next kind that is possible now."""
        if not any(map(possible, self._cards)):
            more = list(self._kinds)
            self._random.shuffle(more)
            self._cards += more
        kind = next(card for card in self._cards if possible(card))
        self._cards.remove(kind)
        return kind

    def put_back(self, kind: str) -> None:
        """Take a kind back for later: there was nothing to be killed."""
        self._cards.append(kind)


class DisturbedRun:
    """One run, killed again and again until it ends by itself.

    Args:
        bench: Where.
        stores: Its stores.
        folder: Its folder.
        expected: What it must come to.
        outcome: Takes what is found.
        random: Source of all that is random.
        deck: Of the kinds of kill.
        kills: At most so many; then it is left alone.
    """

    def __init__(
        self,
        bench: Bench,
        stores: SqliteStores | PostgresStores,
        folder: Path,
        *,
        expected: Undisturbed,
        outcome: Outcome,
        random: Random,
        deck: Deck,
        kills: int,
    ) -> None:
        self._bench = bench
        self._stores = stores
        self._folder = folder
        self._expected = expected
        self._outcome = outcome
        self._random = random
        self._deck = deck
        self._kills_left = kills
        self._held = Held()
        self._begun = False
        self._kills: list[
            tuple[Kill, set[str], int]
        ] = []  # with what the cache held, and the ledger's length

    def play(self) -> None:
        """Play it to its end."""
        end = time.monotonic() + RUN_LIMIT_S
        while time.monotonic() < end:
            workers = self._random.choice((1, 2))
            started = self._bench.start(self._folder, self._command(workers))
            self._outcome.starts += 1
            self._disturb(started, workers)
            if not started.ended():
                self._await(started, end)
            left = started.wait_gone()
            if left:
                self._wrong(f"processes were left behind: {left}")
            if self._look_after(started):
                self._finish()
                return
        self._wrong(f"did not come to its end in {RUN_LIMIT_S:.0f} s")

    def _command(self, workers: int) -> list[str]:
        store = [] if self._stores.location is None else ["--store", self._stores.location]
        shared = ["--workers", str(workers)]
        if self._begun and self._random.random() < 0.5:
            if store:
                return ["runs", "resume", EXPERIMENT, *store, *shared]
            return ["runs", "resume", str(self._folder / "out"), *shared]
        asked = self._bench.asked.command(self._bench.reward_model)
        return [*asked, "--out", str(self._folder / "out"), *store, *shared]

    def _disturb(self, started: Started, workers: int) -> None:
        """Kill once, or first a process that the run must survive and then the run."""
        survived = 0
        impossible = set() if workers > 1 else {"player"}
        while self._kills_left > 0 and not started.ended():
            if not self._wait_for_instant(started):
                return
            kind = self._deck.draw(
                # One death of a player or a game an episode survives, a second one not: that is not tried.
                lambda kind: kind not in impossible and (kind in END_THE_RUN or survived == 0)  # noqa: B023
            )
            if not self._kill(started, kind):
                self._deck.put_back(kind)
                impossible.add(kind)
                continue
            self._kills_left -= 1
            if kind in END_THE_RUN:
                return
            survived += 1

    def _wait_for_instant(self, started: Started) -> bool:
        """Wait for a random moment, or a random event; return whether the run was still there then."""
        here, _ = self._stores.progress(EXPERIMENT)
        draw = self._random.random()
        if draw < 0.5:
            number = self._random.randint(here + 1, max(here + 1, self._expected.events))
            due: Callable[[], bool] = lambda: self._stores.progress(EXPERIMENT)[0] >= number  # noqa: E731
        else:
            left = max(0.0, 1 - here / self._expected.events)
            longest = START_S if draw < 0.65 else START_S + left * self._expected.seconds
            after = started.seconds + self._random.uniform(0, longest)
            due = lambda: started.seconds >= after  # noqa: E731
        while not started.ended():
            if due():
                return True
            if started.seconds > RUN_LIMIT_S:
                return False
            time.sleep(0.003)
        return False

    def _kill(self, started: Started, kind: str) -> bool:
        """Kill; return whether there was something to be killed."""
        events, episodes = self._stores.progress(EXPERIMENT)
        seconds = started.seconds
        detail, hit = "", True
        if kind == "main":
            hit = kill(started.process.pid)
        elif kind == "interrupt":
            hit = kill(-started.process.pid, signal.SIGINT)  # as Ctrl-C: all of the group
        elif kind == "terminate":
            hit = kill(started.process.pid, signal.SIGTERM)
        elif kind == "power":
            started.kill_all()
        elif kind == "connections":
            assert isinstance(self._stores, PostgresStores)
            detail = self._stores.cut_connections()
            hit = detail != "0 connections"
        else:
            ids = started.ids(kind)
            hit = bool(ids) and kill(self._random.choice(ids))
        if not hit:
            return False
        phase = "start" if events <= self._held.events else "play"
        if episodes >= self._expected.episodes:
            phase = "finish"
        entry = Kill(kind, phase, round(seconds, 3), events=events, finished=episodes, detail=detail)
        if kind in END_THE_RUN:
            self._settle(started, entry)
        self._outcome.kills.append(entry)
        kept = self._stores.kept_calls()
        self._kills.append((entry, kept, len(read_ledger(self._folder))))
        return True

    def _settle(self, started: Started, entry: Kill) -> None:
        """Wait until what was killed is gone; a run whose connection was cut ends by itself."""
        try:
            started.process.wait(60)
        except Exception:
            self._wrong(f"did not end within 60 s after {entry.kind}:\n{started.said()[-2000:]}")
            started.kill_all()
        if left := started.wait_gone():
            self._wrong(f"processes were left behind by {entry.kind}: {left}")
        if entry.kind == "power":
            assert isinstance(self._stores, SqliteStores)
            before = len(self._stores.read(EXPERIMENT).finished)
            entry.detail = self._stores.cut_power(self._random)
            self._held = self._stores.read(EXPERIMENT)  # what counts is what the disk still had
            entry.cut_off = before - len(self._held.finished)
            if entry.cut_off and flushed_bytes(self._stores.log) is not None:
                self._outcome.lost.append(f"{self._folder.name}: {entry.cut_off} episodes by the power cut")
        if isinstance(self._stores, PostgresStores):
            self._stores.wait_free()

    def _await(self, started: Started, end: float) -> None:
        try:
            started.process.wait(max(1.0, end - time.monotonic()))
        except Exception:
            self._wrong(f"hangs:\n{started.said()[-2000:]}")
            started.kill_all()

    def _look_after(self, started: Started) -> bool:
        """Compare the log with what it held before; return whether the run has come to its end."""
        code = started.process.returncode
        held = self._stores.read(EXPERIMENT)
        self._begun = self._begun or held.events > 0
        self._outcome.lost += [f"{self._folder.name}: {what}" for what in lost_episodes(self._held, held)]
        for problem in held.problems:
            self._wrong(f"verify: {problem}")
        self._held = held
        said = started.said()
        if code == 1 or ("Traceback" in said and "KeyboardInterrupt" not in said):
            self._wrong(f"a fault of ours, exit status {code}:\n{said[-3000:]}")
        started.output.unlink()
        if code not in (0, 1, 2, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
            self._wrong(f"exit status {code}:\n{said[-2000:]}")
        if code == 2 and not (self._kills and self._kills[-1][0].kind == "connections"):
            self._wrong(f"stopped by itself:\n{said[-2000:]}")
        return code == 0

    def _finish(self) -> None:
        """Compare the end with the undisturbed run's, and the ledger with the cache."""
        self._outcome.runs += 1
        if self._held.digest != self._expected.digest:
            self._wrong("what was played is not what the undisturbed run played")
        result = comparable(self._folder / "out" / "results.json")
        for name, value in self._expected.result.items():
            if result.get(name) != value:
                self._wrong(f"results differ in {name}: {result.get(name)!r:.600} instead of {value!r:.600}")
        self._count_calls()

    def _count_calls(self) -> None:
        ledger = read_ledger(self._folder)
        self._outcome.calls += len(ledger)
        if set(ledger) != self._expected.calls:
            self._wrong("other calls were made than in the undisturbed run")
        repeated, in_flight = asked_again(ledger, [(kept, at) for _, kept, at in self._kills])
        self._outcome.repeated += [f"{self._folder.name}: {what}" for what in repeated]
        for index, count in in_flight.items():
            self._kills[index][0].in_flight += count
            if count > 2 * BATCH:
                self._wrong(f"{count} calls were in flight at one kill, more than a batch a player")

    def _wrong(self, what: str) -> None:
        self._outcome.wrong.append(f"{self._folder.name}: {what}")


def campaign(
    bench: Bench,
    expected: Undisturbed,
    *,
    kills: int,
    seed: int,
    postgres_url: Callable[[], str] | None = None,
    kills_a_run: int = 8,
    report: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Disturb runs until there were enough kills.

    Args:
        bench: Where.
        expected: The undisturbed run.
        kills: So many.
        seed: Of all that is random.
        postgres_url: Gives an empty store for each run; ``None`` for SQLite.
        kills_a_run: At most.
        report: Called with a line after each run.
    """
    outcome = Outcome("sqlite" if postgres_url is None else "postgres", seed)
    random, began = Random(seed), time.monotonic()
    deck = Deck(KINDS[outcome.store], random)
    while len(outcome.kills) < kills:
        folder = bench.run_folder()
        stores = sqlite_stores(folder) if postgres_url is None else PostgresStores(postgres_url())
        left = min(kills_a_run, kills - len(outcome.kills))
        run = DisturbedRun(
            bench, stores, folder, expected=expected, outcome=outcome, random=random, deck=deck, kills=left
        )
        run.play()
        if isinstance(stores, PostgresStores):
            stores.close()
        outcome.seconds = time.monotonic() - began
        findings = (*outcome.lost, *outcome.repeated, *outcome.wrong)
        if not any(folder.name in finding for finding in findings):
            shutil.rmtree(folder)
        done = f"{len(outcome.kills)} of {kills} kills, {outcome.runs} runs, {outcome.seconds:.0f} s"
        report(f"{folder.name}: {done}")
        for finding in findings:
            if folder.name in finding:
                report(f"  {finding}")
    return outcome
