"""Runs for other tools: JSON lines, Parquet, LeRobot v3 and Minari; and lines back into a log."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookalike.recordings.export.lines import import_run
    from lookalike.recordings.export.open_dataset import open_dataset
    from lookalike.recordings.export.report import ExportReport
    from lookalike.recordings.export.run import EXPORT_FORMATS, ExportFormat, export_run

__all__ = ["EXPORT_FORMATS", "ExportFormat", "ExportReport", "export_run", "import_run", "open_dataset"]

_HOMES = {
    "EXPORT_FORMATS": "run",
    "ExportFormat": "run",
    "ExportReport": "report",
    "export_run": "run",
    "import_run": "lines",
    "open_dataset": "open_dataset",
}


def __getattr__(name: str) -> Any:
    # Loaded at first use: whoever only reads a recording needs neither the store nor the writers.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
