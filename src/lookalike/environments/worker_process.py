"""The life of a worker's process: how it is started, how it is ended, and what it left to be read.

It leads a process group of its own, so that whatever the game starts ends with it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from dataclasses import dataclass
from typing import IO

from lookalike.core.errors import GameError
from lookalike.environments.wire import Wire

_LOG_LIMIT_BYTES = 64 << 10
_REAP_LIMIT_S = 10.0
_TRACE_LIMIT_S = 0.25


@dataclass
class _End:
    """How a process ended; ``None`` while it runs, or where the system could not end it in time.

    Attributes:
        status: Exit status, or minus the signal's number.
        peak_mb: Most memory it held at once, in MiB.
    """

    status: int | None = None
    peak_mb: float | None = None


class WorkerProcess:
    """The process, its socket and its lifeline; ends with its owner, leaving no zombie.

    Raises:
        GameError: The system starts no further process.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.wire = Wire(ours)
        read_end, lifeline = os.pipe()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the child)
        search_path = [os.path.abspath(entry) for entry in sys.path]
        try:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "lookalike.environments.worker_child",
                    str(theirs.fileno()),
                    str(read_end),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=(theirs.fileno(), read_end),
                process_group=0,  # Ctrl-C in the terminal is for the caller, who then closes us
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(search_path),
                    "OPENBLAS_NUM_THREADS": "1",
                    "OMP_NUM_THREADS": "1",
                },
            )
        except OSError as error:
            self.wire.close()
            os.close(lifeline)
            raise GameError(
                "A process for the game could not be started.",
                got=str(error),
                remedy="Free some memory or processes.",
            ) from error
        finally:
            theirs.close()
            os.close(read_end)
        self.pid = process.pid
        self._ended = _End()
        self._finalizer = weakref.finalize(self, _end, process, self.wire, lifeline, self._ended)

    @property
    def status(self) -> int | None:
        """Exit status, or minus the signal's number; ``None`` before :meth:`end`."""
        return self._ended.status

    @property
    def peak_mb(self) -> float | None:
        """Most memory the process held at once, in MiB; ``None`` before :meth:`end`."""
        return self._ended.peak_mb

    def end(self) -> None:
        """Kill the process and those it started, and wait for it. Harmless when called again."""
        self._finalizer()

    def whereabouts(self) -> str | None:
        """Return where in its code a process that hangs is, innermost first, or ``None``.

        C code answers too, unless it blocks signals.
        """
        before = self._log.seek(0, os.SEEK_END)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        end = time.monotonic() + _TRACE_LIMIT_S
        size = before
        while time.monotonic() < end:
            time.sleep(0.01)
            if (grown := self._log.seek(0, os.SEEK_END)) > before and grown == size:
                break  # all of it is written
            size = grown
        self._log.seek(before)
        lines = self._log.read(_LOG_LIMIT_BYTES).decode(errors="replace").splitlines()
        frames = [line.strip() for line in lines if line.startswith('  File "')]
        ours = next((i for i, frame in enumerate(frames) if "worker_child.py" in frame), len(frames))
        return " < ".join(frames[: min(ours, 3)]) or None

    def last_words(self) -> str:
        """Return the end of what the process wrote to its standard error, in one line."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_LIMIT_BYTES))
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines()]
        return " | ".join(line for line in lines if line)[:300]


def _end(process: subprocess.Popen[bytes], wire: Wire, lifeline: int, ended: _End) -> None:
    wire.close()
    if process.returncode is None:
        # Before it is waited for: until then no other process can have its number.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        _reap(process, ended)
    os.close(lifeline)


def _reap(process: subprocess.Popen[bytes], ended: _End) -> None:
    """Wait for a killed process, but not for ever: the system may be stuck in a call of its own for it."""
    pause, end = 0.0005, time.monotonic() + _REAP_LIMIT_S
    while True:
        try:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has waited for it
            process.returncode = 0
            return
        if pid:
            break
        if time.monotonic() > end:
            return
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    process.returncode = ended.status = os.waitstatus_to_exitcode(status)
    ended.peak_mb = _mebibytes(usage)


def _mebibytes(usage: resource.struct_rusage) -> float:
    """Return the peak of resident memory; Linux counts it in KiB, macOS in bytes."""
    return usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
