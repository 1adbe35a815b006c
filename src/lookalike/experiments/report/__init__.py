"""From a result to what people read: a terminal table, and a page with its plots, CSV and JSON beside it."""

from lookalike.experiments.report.table import print_table
from lookalike.experiments.report.write import write_report

__all__ = ["print_table", "write_report"]
