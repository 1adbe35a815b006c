"""``lookalike view`` and ``lookalike report``: the dashboard, and one run as a page to mail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.options import JsonOption, parse_seeds
from lookalike.cli.output import emit, emit_json, say

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
            help="One event log instead of all in the folder: an SQLite file, its folder, postgresql://…",
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
    """Look at runs, reward models and recordings in the browser; play, record and start runs there."""
    from lookalike.web import serve

    def ready(address: Address) -> None:
        if address.port != address.wanted_port and address.wanted_port:
            say(f"Port {address.wanted_port} is taken; using {address.port}.")
        say(f"The dashboard is at {address.url} (Ctrl-C ends it).")

    serve(folder, store=store, host=host, port=port, token=token, open_browser=not no_browser, ready=ready)


def report(
    run: Annotated[str, typer.Argument(help="The run's name, or the folder it was written into.")],
    out: Annotated[Path | None, typer.Option("--out", help="The page; RUN.html by default.")] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="WHERE", help="Event log; by default all under runs/ are looked at."),
    ] = None,
    episodes: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="Episodes to be replayed, by the number in a replay's address; chosen by default.",
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(min=0, max=200, help="How many episodes to choose where none is named.")
    ] = 6,
    as_json: JsonOption = False,
) -> None:
    """Write one run as one HTML page: tables, plots and replays, without network or other files."""
    from lookalike.web.export import find_run, write_run_page
    from lookalike.web.library import Library

    folder = Path(run) if store is None and Path(run).is_dir() else RUNS_FOLDER
    library = Library(folder, store)
    try:
        found = find_run(library, run)
        page = out or Path(f"{found.run_id.replace('/', '-')}.html")
        numbers = None if episodes is None else parse_seeds(episodes)
        written = write_run_page(library, found, page, episodes=numbers, most=most)
    finally:
        library.close()
    if as_json:
        emit_json(written)
        return
    emit(f"wrote {written.path}: {written.size / 1e6:.1f} MB, {written.episodes} episodes to replay")
    if written.left_out:
        emit(f"{written.left_out} episodes were left out: the page would be too large to mail")
