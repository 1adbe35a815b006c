"""Work that goes on beside the pages: drawing a video, watching a recording, a run in its own process.

A run is started as anybody would start it in a terminal, so it goes on when the dashboard is closed, and
`lookalike runs resume` goes on with it where it was stopped.
"""

from __future__ import annotations

import itertools
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lookalike.core.errors import LookalikeError, UsageError
from lookalike.web.held import Held
from lookalike.web.library import Library

State = Literal["running", "finished", "failed"]
Work = Callable[["Job"], tuple[str, str]]
MOST_RUNS = 2
"""Runs that are played at once: each takes a core or two."""
_FRESH_S = 600.0
_MOST_JOBS = 50
_LAST_LINES = 4
_SHARE = re.compile(r": (\d{1,3})%")
_COUNT = re.compile(r": (\d{1,7}(?:\.\d)?) of (\d{1,7})\b")


@dataclass
class Job:
    """Something that goes on.

    Attributes:
        key: Names it in addresses.
        title: What it is.
        state: Whether it goes on, and how it ended.
        words: How far it is, or what came of it.
        fraction: How far, in [0, 1]; ``None`` where that is not known.
        address: Where its result is shown.
        link: What that is called.
        command: The command it runs, where it is one.
        ended: When it ended, in seconds, monotonic.
        stopped: Somebody asked it to stop.
        run: The run in the pages that it plays, or ``None``.
    """

    key: str
    title: str
    state: State = "running"
    words: str = "beginning"
    fraction: float | None = None
    address: str | None = None
    link: str | None = None
    command: str | None = None
    ended: float | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    stopped: bool = False
    run: str | None = None

    @property
    def fresh(self) -> bool:
        """Whether it ended a short while ago."""
        return self.ended is not None and time.monotonic() - self.ended < _FRESH_S

    def as_dict(self) -> dict[str, Any]:
        """Return what a page shows."""
        names = ("key", "title", "state", "words", "fraction", "address", "link", "command")
        return {name: getattr(self, name) for name in names}


class Jobs:
    """All work of this server.

    Args:
        library: Told when something was made.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._held: Held[Job] = Held("There is no such job (any more).", remedy="see the list of runs")
        self._numbers = itertools.count(1)

    def listing(self) -> list[Job]:
        """Return all jobs, the newest first."""
        return self._held.all()[::-1]

    def job(self, key: str) -> Job:
        """Return one job.

        Raises:
            UsageError: There is none with that key.
        """
        return self._held.find(key)

    def playing(self, run: str) -> Job | None:
        """Return the job that plays a run, where it is one of ours and goes on."""
        return next((job for job in self._held.all() if job.run == run and job.state == "running"), None)

    def work(self, title: str, work: Work) -> Job:
        """Do something in a thread; it returns what came of it and where that is shown."""
        job = self._new(title)

        def run() -> None:
            try:
                job.words, job.address = work(job)
                job.state = "finished"
            except LookalikeError as error:
                job.words, job.state = f"{error.what} {error.remedy or ''}".strip(), "failed"
            except Exception as error:
                job.words, job.state = f"A fault of ours: {type(error).__name__}", "failed"
                raise
            finally:
                job.ended = time.monotonic()
                self._library.forget()

        threading.Thread(target=run, daemon=True, name=job.key).start()
        return job

    def run(
        self, title: str, arguments: list[str], *, log: Path, done: Callable[[], tuple[str, str | None]]
    ) -> Job:
        """Run a `lookalike` command in a process of its own.

        Args:
            title: What it is.
            arguments: What follows ``lookalike``.
            log: File for what it says while it runs.
            done: Says what came of it and where that is shown, when it has ended well.

        Raises:
            UsageError: Enough of them are running.
        """
        self._check_room()
        job = self._new(title)
        self._begin(job, arguments, log)

        def follow() -> None:
            try:
                self._wait(job, log)
                with suppress(LookalikeError):
                    job.words, job.address = done()
                job.state = "finished"
            except UsageError as error:
                job.words, job.state = error.what, "failed"
            finally:
                job.ended = time.monotonic()
                self._library.forget()

        threading.Thread(target=follow, daemon=True, name=job.key).start()
        return job

    def carry_out(self, job: Job, arguments: list[str], *, log: Path) -> None:
        """Run a `lookalike` command as part of a job's work, in a process of its own, and wait for it.

        Raises:
            UsageError: Enough of them are running, or it failed: with what it said last.
        """
        self._check_room()
        self._begin(job, arguments, log)
        self._wait(job, log)

    def _check_room(self) -> None:
        running = sum(job.process is not None and job.state == "running" for job in self._held.all())
        if running >= MOST_RUNS:
            raise UsageError(
                "Enough runs are being played.",
                got=running,
                expected=f"at most {MOST_RUNS} at once",
                remedy="wait until one has ended, or stop one",
            )

    def _begin(self, job: Job, arguments: list[str], log: Path) -> None:
        main = "from lookalike.cli import main; main()"
        with log.open("wb") as said:
            # Into a file and no pipe: it goes on where nobody reads any more.
            job.process = subprocess.Popen(
                [sys.executable, "-c", main, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        job.command = shlex.join(["lookalike", *arguments])  # from now on it can be stopped

    def _wait(self, job: Job, log: Path) -> None:
        process = job.process
        assert process is not None  # noqa: S101 - just begun
        while process.poll() is None:
            if not job.stopped:
                job.words = (_last_lines(log) or ["beginning"])[-1]
                job.fraction = _far(job.words)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        if process.returncode != 0:
            if job.stopped:
                raise UsageError("Stopped.")
            said = _last_lines(log)
            raise UsageError(" ".join(said) if said else f"It ended with exit status {process.returncode}.")

    def stop(self, key: str) -> Job:
        """Ask a run to stop after the step under way; it can be gone on with."""
        job = self.job(key)
        if job.process is not None and job.process.poll() is None:
            job.stopped, job.words, job.fraction = True, "stopping", None
            with suppress(ProcessLookupError):
                job.process.send_signal(signal.SIGTERM)
        return job

    def close(self) -> None:
        """Leave runs alone: they go on by themselves, and their store is what counts."""

    def _new(self, title: str) -> Job:
        job = Job(f"job-{next(self._numbers)}", title)
        self._held.put(job.key, job)
        jobs = self._held.all()
        ended = [other.key for other in jobs if other.state != "running"]
        for key in ended[: max(0, len(jobs) - _MOST_JOBS)]:
            self._held.drop(key)
        return job


def _far(words: str) -> float | None:
    """Return how far a command says it is: ``…: 35%`` or ``…: 3 of 12``; ``None`` where it does not say."""
    share, count = _SHARE.search(words), _COUNT.search(words)
    if share is not None:
        return min(1.0, int(share[1]) / 100)
    if count is not None and float(count[2]) > 0:
        return min(1.0, float(count[1]) / float(count[2]))
    return None


def _last_lines(log: Path) -> list[str]:
    """Return the last few lines of what a command said."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip()[:300] for line in text.splitlines() if line.strip()][-_LAST_LINES:]


def new_folder(parent: Path, name: str) -> Path:
    """Make a folder that was not there: ``name``, or ``name-2`` and so on."""
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return path
