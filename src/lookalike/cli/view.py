"""``lookalike view`` and ``lookalike report``: the dashboard, and one run as a page to mail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.output import say

if TYPE_CHECKING:
    from lookalike.web import Address

RUNS_FOLDER = Path("runs")


def view(
    folder: Annotated[
        Path, typer.Argument(help="Folder to look at; recordings and runs that are made there go into it.")
    ] = RUNS_FOLDER,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="One event log instead of all in the folder: an SQLite file, a folder with one, postgresql://…",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but loopback needs --token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; the next free one where it is taken.")
    ] = 8765,
    token: Annotated[
        str | None, typer.Option(help="What a browser must show once; it is kept in a cookie after that.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Look at runs, replays, reward models and recordings in the browser; play, record and start runs there."""
    from lookalike.web import serve

    def ready(address: Address) -> None:
        if address.port != address.wanted_port and address.wanted_port:
            say(f"Port {address.wanted_port} is taken; using {address.port}.")
        say(f"The dashboard is at {address.url} (Ctrl-C ends it).")

    serve(folder, store=store, host=host, port=port, token=token, open_browser=not no_browser, ready=ready)
