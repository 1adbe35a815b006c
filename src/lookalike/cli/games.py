"""``lookalike games ...``: story files that are not shipped, and how to get them."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="List and install games that are not shipped.")
