"""``lookalike goals ...``: what there is to achieve, declared before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.options import GoalsFileOption, JsonOption
from lookalike.cli.output import emit_json, emit_table

if TYPE_CHECKING:
    from lookalike.core.types import Predicate

app = typer.Typer(no_args_is_help=True, help="List an environment's goals.")

_SIGNS = {"at_least": ">=", "equals": "=", "contains": "has"}


@app.callback()
def goals() -> None:
    """Keep ``list`` a command of its own, though it is the only one."""


@app.command("list")
def list_(
    environment: Annotated[str, typer.Argument(help="Environment id; see `lookalike environments list`.")],
    goals_file: GoalsFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List an environment's goals in order of complexity, with what decides them."""
    from lookalike.environments import load_goals

    found = load_goals(environment, goals_file)
    if as_json:
        emit_json(found)
        return
    emit_table(
        f"{len(found)} goals of {environment}",
        ("goal", "what", "decided by", "steps", "complexity", "paper"),
        [
            (
                goal.name,
                goal.description,
                " and ".join(map(_words, goal.success)),
                goal.step_limit,
                goal.complexity,
                "yes" if goal.in_paper_table else "",
            )
            for goal in found
        ],
    )


def _words(predicate: Predicate) -> str:
    return f"{predicate.fact} {_SIGNS[predicate.op]} {predicate.value}"
