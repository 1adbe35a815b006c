"""``lookalike models ...``: which language models can play."""

from __future__ import annotations

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import emit_json, emit_table

app = typer.Typer(no_args_is_help=True, help="List language models.")


@app.callback()
def models() -> None:
    """Keep ``list`` a command of its own, though it is the only one."""


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the language models and whether each can be used here. Loads none."""
    from lookalike.models import model_names, model_status

    found = [model_status(name) for name in model_names()]
    if as_json:
        emit_json(found)
        return
    emit_table(
        "Language models",
        ("model", "ready", "what", "remedy"),
        [(m.name, "yes" if m.present else "no", m.detail, m.remedy) for m in found],
    )
