"""The processes of one run, found by a mark in their environment, and ended in every way there is.

A parent cannot be asked for its children here: most of these are meant to outlive or replace one another.
Linux only: it reads ``/proc``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARK = "LOOKALIKE_FAULTS_MARK"
_GONE_LIMIT_S = 15.0


@dataclass
class Started:
    """A command that was started as the leader of a process group.

    Attributes:
        process: Itself.
        mark: What its processes carry in their environment.
        output: File with what it wrote.
        since: When it was started, by the monotonic clock.
    """

    process: subprocess.Popen[bytes]
    mark: str
    output: Path
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.since

    def ended(self) -> bool:
        """Return whether the main process has ended."""
        return self.process.poll() is not None

    def said(self) -> str:
        """Return what it wrote, both streams."""
        return self.output.read_text(errors="replace")

    def ids(self, kind: str) -> list[int]:
        """Return the ids of its processes of a kind: ``player``, ``game``, or ``all``."""
        found = processes(self.mark)
        return [i for i, line in found.items() if kind == "all" or _kind(line) == kind]

    def kill_all(self) -> None:
        """Kill every process at once, as a power cut does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        for process_id in self.ids("all"):
            kill(process_id)

    def wait_gone(self) -> list[str]:
        """Wait until nothing is left; return the command lines of what stays, and end it."""
        self.process.wait()
        end = time.monotonic() + _GONE_LIMIT_S
        while (left := processes(self.mark)) and time.monotonic() < end:
            time.sleep(0.02)
        for process_id in left:
            kill(process_id)
        return list(left.values())


PRODUCT = ("-c", "from lookalike.cli import main; main()")
"""What stands before a command's name, for this Python."""


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    mark: str,
    output: Path,
    program: Sequence[str] = PRODUCT,
) -> Started:
    """Start one of the product's commands (or another program) in a process group of its own."""
    with output.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, *program, *command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, **environment, MARK: mark},
        )
    return Started(process, mark, output)


def processes(mark: str) -> dict[int, str]:
    """Return the command lines of all living processes with a mark, by id."""
    wanted = f"{MARK}={mark}\0".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # it ended while we looked, or is somebody else's
            if wanted in (entry / "environ").read_bytes() + b"\0":
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(entry.name)] = line.strip()
    return found


def kill(process_id: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal; return whether there was a process to take it."""
    try:
        os.kill(process_id, number)
    except ProcessLookupError:
        return False
    return True


def _kind(line: str) -> str:
    if "worker_child" in line:
        return "game"
    if "multiprocessing.spawn" in line or "spawn_main" in line:
        return "player"
    return "main"
