"""An export appears whole or not at all, and never over something that is there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lookalike.core.errors import RecordingError


@contextlib.contextmanager
def new_target(out: Path) -> Iterator[Path]:
    """Give a fresh folder to write in; what is written at the yielded path becomes ``out``.

    Args:
        out: A file or a folder that does not exist yet.

    Yields:
        A path that does not exist either, beside ``out``; make a file or a folder there.

    Raises:
        RecordingError: ``out`` exists, or cannot be written; nothing is left behind.
    """
    refuse_existing(out)
    scratch: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
        made = scratch / out.name
        yield made
        refuse_existing(out)
        os.rename(made, out)
    except OSError as error:
        raise RecordingError(
            "The export could not be written; nothing was left behind.",
            got=f"{out}: {error}",
            expected="a folder that can be written, with enough space",
            remedy="free some space or choose another folder",
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def refuse_existing(out: Path) -> None:
    """Make sure that nothing is at ``out``.

    Raises:
        RecordingError: Something is.
    """
    if os.path.lexists(out):
        raise _exists(out)


def _exists(out: Path) -> RecordingError:
    return RecordingError(
        "The export's target exists already; nothing was written.",
        got=out,
        expected="a name that is not taken",
        remedy="choose another name, or remove what is there",
    )
