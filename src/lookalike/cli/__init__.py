"""The commands, one file a noun: how people ask.

Nothing here is imported by other rooms. Importing this package stays cheap, and so does
``lookalike --help``: every command imports the rooms it needs when it runs.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the ``lookalike`` command; the process ends with its exit code."""
    from lookalike.cli.app import app

    app(prog_name="lookalike")
