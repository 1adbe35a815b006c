"""One process at a time on one run, where the store is a file: a lock that the kernel takes back.

A lock file stands beside the store while a run is held, and says who holds it. What counts is not the
file but the kernel's lock on it (``flock``), which ends with the process however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from lookalike.core.errors import StoreError
from lookalike.store.database import Holder, held_error

LOCK_SUFFIX = ".lock"
_PATIENCE_S = 0.4
"""A lock seen for less than this may be somebody who only looks, or a holder still writing its name."""

_held: set[int] = set()
"""File descriptors of the locks of this process."""


def _forget_in_child() -> None:
    """Close the locks in a forked child: a lock lives as long as any process has it open."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


def lock_path(store: Path, run_id: str) -> Path:
    """Return where the lock of a run stands: beside the store, as SQLite's own companions."""
    return store.with_name(f"{store.name}-{sha256(run_id.encode()).hexdigest()[:16]}{LOCK_SUFFIX}")


@contextmanager
def hold_file(store: Path, run_id: str, holder: Holder) -> Iterator[None]:
    """Hold a run until the block ends.

    Raises:
        RunHeldError: Another process has it; the message says which.
        StoreError: The lock file cannot be written.
    """
    path = lock_path(store, run_id)
    descriptor = _acquire(path, run_id, str(store))
    _held.add(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"run_id": run_id} | holder.as_dict()).encode(), 0)
        yield
    finally:
        if descriptor in _held:  # not in a forked child, whose copy is closed already
            _held.discard(descriptor)
            path.unlink(missing_ok=True)
            os.close(descriptor)


def holder_of_file(store: Path, run_id: str) -> Holder | None:
    """Return who holds a run now; ``None`` where nobody does."""
    path = lock_path(store, run_id)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if _try_lock(descriptor, fcntl.LOCK_SH):
                return None  # left behind by a process that was killed
            found = _read_holder(descriptor)
        finally:
            os.close(descriptor)
        if found is not None or time.monotonic() > deadline:
            return found or Holder("?", 0, 0.0)
        time.sleep(0.01)


def _acquire(path: Path, run_id: str, where: str) -> int:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                "The run cannot be locked: its lock file cannot be written.",
                got=f"{path}: {error.strerror}",
                remedy="make the store's folder writable, or free some space",
            ) from error
        try:
            if not _try_lock(descriptor, fcntl.LOCK_EX):
                found = _read_holder(descriptor)
                if time.monotonic() > deadline:
                    raise held_error(run_id, found, where)
            elif _still_there(descriptor, path):
                taken, descriptor = descriptor, -1
                return taken
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        time.sleep(0.02)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(descriptor: int, path: Path) -> bool:
    """Return whether the locked file is the one with that name: its last holder removed it at the end."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _read_holder(descriptor: int) -> Holder | None:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(str(found["host"]), int(found["process_id"]), float(found["since"]))
    except (ValueError, KeyError, TypeError):
        return None
