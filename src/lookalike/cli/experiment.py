"""``lookalike experiment ...``: measure, resume, and write the report again."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Run experiments and report on them.")
