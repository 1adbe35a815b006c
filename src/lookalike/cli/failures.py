"""The only place where an error becomes text and an exit code.

Exit codes: 0 done, 1 a fault of ours, 2 something the user can put right, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from lookalike.cli.output import plain, say

if TYPE_CHECKING:
    from lookalike.core.errors import LookalikeError

EXIT_FAULT = 1
EXIT_INTERRUPTED = 130

_kept: list[str] = []
_debug = {"on": False}


def keep(message: str) -> None:
    """Say what will have been kept if the command is interrupted from now on.

    Args:
        message: One sentence, e.g. ``"12 finished episodes in runs/x; the same command goes on"``.
            Replaces the sentence given before.
    """
    _kept[:] = [message]


def set_debug(on: bool) -> None:
    """Show tracebacks (``--debug``), or not."""
    _debug["on"] = on


class GuardedGroup(TyperGroup):
    """The root command: whatever goes wrong below it leaves as a short text and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, turning errors into exit texts."""
        _kept.clear()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _report_interrupt()
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except Exception as error:
            code = _leave(error)
            if code is None:
                raise
            raise typer.Exit(code) from None


def _leave(error: Exception) -> int | None:
    """Print what went wrong; return the exit code, or ``None`` for what the command framework says itself."""
    # Imported here because it brings numpy along, which `lookalike --help` does not need.
    from lookalike.core.errors import LookalikeError

    if type(error).__module__.startswith(("typer", "click")):
        return None
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return None
    ours = error if isinstance(error, LookalikeError) else _translate(error)
    return _report_fault(error) if ours is None else _report_error(ours, cause=error)


def _report_error(error: LookalikeError, *, cause: Exception) -> int:
    if _debug["on"]:
        traceback.print_exception(cause, file=sys.stderr)
    say(f"Error: {plain(error.render())}")
    return error.exit_code


def _report_fault(error: Exception) -> int:
    if _debug["on"]:
        traceback.print_exception(error, file=sys.stderr)
    first_line = (str(error).splitlines() or [""])[0]
    say(
        f"A fault in LookALike: {type(error).__name__}: {plain(first_line)[:300]}\n"
        "  remedy:   run `lookalike --debug ...` for the traceback, and report it"
    )
    return EXIT_FAULT


def _report_interrupt() -> None:
    say(f"\nInterrupted. Kept: {_kept[0]}" if _kept else "\nInterrupted. Nothing was left half written.")


def _translate(error: Exception) -> LookalikeError | None:
    """Return the error as one the user can put right, or ``None`` where it is not theirs."""
    from lookalike.core.errors import StoreError

    if not isinstance(error, OSError):
        return None
    where = os.fspath(error.filename) if isinstance(error.filename, (str, os.PathLike)) else None
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError(
            "The disk is full.",
            got=where or "no space left on the device",
            expected="room for the files this command writes",
            remedy="free some space and run the same command again; what was finished is kept",
        )
    if where is None:
        return None
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StoreError(
            "A file or folder may not be read or written.",
            got=where,
            expected="a path that you have permission for",
            remedy="choose another path, or change its permissions",
        )
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}:
        return StoreError(
            "A path is not what the command needs.",
            got=f"{where}: {error.strerror}",
            expected="an existing file to read, or a folder to write into",
            remedy="check the path",
        )
    return None
