"""Runs for other tools: JSON lines, Parquet, LeRobot v3 and Minari; and lines back into a log."""

from lookalike.recordings.export.lines import import_run
from lookalike.recordings.export.report import ExportReport
from lookalike.recordings.export.run import EXPORT_FORMATS, ExportFormat, export_run

__all__ = ["EXPORT_FORMATS", "ExportFormat", "ExportReport", "export_run", "import_run"]
