"""The libraries of other tools' formats are an optional extra: asked for where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from lookalike.core.errors import RecordingError


def need(module: str, *, what: str) -> Any:
    """Import an optional library.

    Args:
        module: E.g. ``"pyarrow.parquet"``.
        what: What it is needed for, e.g. ``"Parquet files"``.

    Raises:
        RecordingError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RecordingError(
            f"{what} need a library that is not installed.",
            got=str(error),
            expected=module.partition(".")[0],
            remedy="install the optional extra: pip install 'lookalike[export]'",
        ) from error
