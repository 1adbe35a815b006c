"""Reads a Minari file in a process of its own first: a damaged HDF5 file can hang or crash the HDF5 library.

Seen with files of which single bytes were changed. What another process has read to the end is then read
here; what it could not is an error, and costs that process instead of this one.
"""

from __future__ import annotations

import contextlib
import selectors
import subprocess
import sys
import weakref
from pathlib import Path

from lookalike.core.errors import LookalikeError, RecordingError
from lookalike.recordings.export.dataset import damaged

BASE_LIMIT_S = 20.0
"""Seconds that any request may take, the start of the process among them."""
_BYTES_A_SECOND = 10 * 1024 * 1024
_OPEN = "open"
_MODULE = "lookalike.recordings.export.minari_probe"


class Probe:
    """A process that reads a dataset ahead of this one.

    Args:
        path: As for :class:`~lookalike.recordings.export.minari_reader.MinariDataset`.
        file: Its HDF5 file.
    """

    def __init__(self, path: Path, file: Path) -> None:
        self._file = file
        self._known: set[str] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(path.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        weakref.finalize(self, _end, self._process)

    def open(self) -> None:
        """Make sure that the dataset can be opened, or that the attempt ends.

        Raises:
            RecordingError: The library hung or crashed.
        """
        self._ask(_OPEN)

    def read(self, index: int) -> None:
        """Make sure that an episode can be read, or that the attempt ends.

        Raises:
            RecordingError: The library hung or crashed.
        """
        self._ask(str(index))

    def _ask(self, request: str) -> None:
        if request in self._known:
            return
        process = self._process
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        limit_s = BASE_LIMIT_S + self._file.stat().st_size / _BYTES_A_SECOND
        try:
            process.stdin.write(request.encode() + b"\n")
            process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                answered = bool(selector.select(limit_s))
            answer = process.stdout.readline() if answered else b""
        except OSError as error:
            raise self._broken(str(error)) from error
        if not answered:
            process.kill()
            raise self._broken(f"no end after {limit_s:.0f} s")
        if not answer:
            raise self._broken(f"the library crashed (exit status {process.wait()})")
        self._known.add(request)

    def _broken(self, why: str) -> RecordingError:
        return damaged(self._file, why, "a whole HDF5 file of Minari's")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _main(path: Path) -> None:
    """Answer each line of the input when what it asks for has been read, well or not."""
    from lookalike.recordings.export.minari_reader import MinariDataset

    dataset: MinariDataset | None = None
    for line in sys.stdin:
        with contextlib.suppress(LookalikeError):
            if line.strip() == _OPEN:
                dataset = MinariDataset(path, probed=False)
            elif dataset is not None:
                dataset.trajectory(int(line))
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
