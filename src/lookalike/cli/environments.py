"""``lookalike environments ...``: which games there are, and whether one keeps the contract."""

from __future__ import annotations

from typing import Any

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import emit_json, emit_table

app = typer.Typer(no_args_is_help=True, help="List environments, and check that one keeps the contract.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the environments, what they can do, and whether they are ready to play."""
    from lookalike.environments import environment_ids

    rows = [_look(name) for name in environment_ids()]
    if as_json:
        emit_json(rows)
        return
    emit_table(
        "Environments",
        ("environment", "what", "capabilities", "ready"),
        [
            (
                row["id"],
                row["description"],
                ", ".join(row["capabilities"]),
                "yes" if row["ready"] else f"no: {row['remedy']}",
            )
            for row in rows
        ],
    )


def _look(name: str) -> dict[str, Any]:
    """Describe one environment; one that cannot be made is a row too, with what to do about it."""
    from lookalike.core.errors import LookalikeError
    from lookalike.environments import make_environment
    from lookalike.environments.registry import environment_description

    row: dict[str, Any] = {"id": name, "description": environment_description(name)}
    try:
        game = make_environment(name, isolated=False)
    except LookalikeError as error:
        return {**row, "capabilities": [], "ready": False, "problem": error.what, "remedy": error.remedy}
    capabilities = sorted(game.capabilities)
    game.close()
    return {**row, "capabilities": capabilities, "ready": True, "problem": None, "remedy": None}
