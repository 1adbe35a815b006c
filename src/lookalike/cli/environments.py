"""``lookalike environments ...``: which games there are, and whether one keeps the contract."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lookalike.cli.options import JsonOption, parse_seed
from lookalike.cli.output import emit, emit_json, emit_table, plain, progress, say

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


@app.command("check")
def check(
    environment: Annotated[
        str, typer.Argument(help="Environment id, e.g. colossal-cave or zmachine:/games/lost.z5.")
    ],
    seed: Annotated[str, typer.Option(metavar="N", help="Seed of the plays.")] = "7",
    steps: Annotated[int, typer.Option(min=10, max=10_000, help="Steps of each play.")] = 60,
    as_json: JsonOption = False,
) -> None:
    """Check that an environment keeps the contract that every environment promises.

    Two plays of one seed agree step by step; a saved state is restored exactly, randomness included; strange
    commands are answered; frames have the declared shape. Exits with 2 at the first broken promise, and
    names the likely cause.
    """
    from lookalike.environments import make_environment
    from lookalike.testing.conformance import ConformanceError, check_environment

    played_seed = parse_seed(seed)
    make_environment(environment, isolated=False).close()  # an unknown or missing game is said as such
    try:
        with progress(f"Checking {environment}"):
            passed = check_environment(
                lambda: make_environment(environment, isolated=False), seed=played_seed, steps=steps
            )
    except ConformanceError as error:
        if as_json:
            emit_json({"environment": environment, "kept": False, "problem": str(error)})
        else:
            say(f"{environment} breaks the contract: {plain(error)}")
        raise typer.Exit(2) from None
    if as_json:
        emit_json({"environment": environment, "kept": True, "checks": passed})
        return
    for name in passed:
        emit(f"ok  {name}")
    emit(f"{environment} keeps the contract.")
