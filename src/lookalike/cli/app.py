"""The root command: puts the nouns together and holds what stands before them."""

from __future__ import annotations

from typing import Annotated

import typer

from lookalike import __version__
from lookalike.cli import (
    demo,
    doctor,
    environments,
    experiment,
    games,
    goals,
    models,
    play,
    record,
    recordings,
    rewards,
    runs,
    view,
    watch,
)
from lookalike.cli.failures import GuardedGroup, set_debug

app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Learn from watching people play: recordings in, a readable reward model out, and a swarm of "
    "language-model players that plays under it.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lookalike {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Take the options that stand before the command's name."""
    del version  # handled by its callback
    set_debug(debug)


app.command("demo")(demo.demo)
app.command("record")(record.record)
app.command("watch")(watch.watch)
app.command("play")(play.play)
app.command("view")(view.view)
app.command("report")(view.report)
app.add_typer(experiment.app, name="experiment")
app.add_typer(runs.app, name="runs")
app.add_typer(rewards.app, name="rewards")
app.add_typer(recordings.app, name="recordings")
app.add_typer(environments.app, name="environments")
app.add_typer(goals.app, name="goals")
app.add_typer(games.app, name="games")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)
