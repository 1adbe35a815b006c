"""``lookalike games ...``: story files that are not shipped, and how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import emit, emit_json, emit_table, progress

app = typer.Typer(no_args_is_help=True, help="List and install games that are not shipped.")

INSTALLABLE = ("zork1",)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the games and whether each can be played here."""
    from lookalike.environments.games import list_games

    found = list_games()
    if as_json:
        emit_json(found)
        return
    emit_table(
        "Games", ("game", "ready", "what"), [(g.id, "yes" if g.ready else "no", g.detail) for g in found]
    )


@app.command("install")
def install(
    game: Annotated[str, typer.Argument(help="The game: zork1.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A copy of the story file; downloaded by default.")
    ] = None,
) -> None:
    """Install a game's story file; it is accepted only with the right hash.

    Zork I release 119 is under the MIT licence since November 2025. It is not shipped here.
    """
    from lookalike.core.errors import UnknownNameError
    from lookalike.environments.games import install_zork1

    if game not in INSTALLABLE:
        raise UnknownNameError("game to install", game, INSTALLABLE)
    with progress(f"Installing {game}"):
        path = install_zork1(source)
    emit(f"{path}: installed, and its hash is right")
