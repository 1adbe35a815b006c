"""``lookalike experiment ...``: measure, resume, and write the report again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import console, emit, emit_json

if TYPE_CHECKING:
    from lookalike.experiments.results import ExperimentResult

app = typer.Typer(no_args_is_help=True, help="Run experiments and report on them.")


@app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that holds an experiment's results.json.")],
    as_json: JsonOption = False,
) -> None:
    """Write an experiment's report, plots and tables again from its results.json, and print the table."""
    from lookalike.experiments.report import write_report
    from lookalike.experiments.result_files import read_results

    result = read_results(folder / "results.json")
    paths = write_report(result, folder)
    show_result(result, paths, as_json=as_json)


def show_result(result: ExperimentResult, paths: dict[str, Path], *, as_json: bool) -> None:
    """Print a result: the whole of results.json, or the table and where the files lie."""
    from lookalike.experiments.report import print_table

    if as_json:
        emit_json(result)
        return
    print_table(result, console())
    if "report" in paths:
        emit(f"report: {paths['report']}")
