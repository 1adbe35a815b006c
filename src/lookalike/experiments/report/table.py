"""The terminal table: the conditions beside the paper's figures, and never without their handicaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lookalike.experiments.report import view
from lookalike.experiments.report.paper import published
from lookalike.experiments.results import ExperimentResult, Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_COLUMNS = ("plan success [95%]", "n", "score", "inter-\nactions", "model\ncalls")


def print_table(result: ExperimentResult, console: Console) -> None:
    """Print a result: table, handicaps, what the differences show, warnings.

    Args:
        result: What to print.
        console: Where; the table fits 80 columns.
    """
    from rich.padding import Padding
    from rich.text import Text

    source = published(result.environment, [row.condition for row in result.rows])
    console.print(Text(view.headline(result), style="bold"))
    console.print(_table(result, source.success))
    for rows, handicaps in view.handicap_lines(result.rows):
        line = Text.assemble(("handicaps, ", "dim"), (rows, "bold dim"), (f": {handicaps}", "dim"))
        console.print(Padding(line, (0, 0, 0, 1)))
    console.print(Padding(Text(f"* {source.column}: {source.note}", style="dim"), (0, 0, 0, 1)))
    if any(difference.n for difference in result.paired):
        console.print(_differences(result))
    for warning in view.warnings(result):
        console.print(Padding(Text(f"! {warning}", style="yellow"), (0, 0, 0, 1)))


def _table(result: ExperimentResult, paper: Mapping[str, float]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(view.printable(result.name), style="bold"))
    table.add_column("condition", overflow="fold", min_width=12)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=name == _COLUMNS[0])
    table.add_column("paper*", justify="right", no_wrap=True)
    kind = None
    for row in result.rows:
        if kind is not None and row.kind != kind:
            table.add_section()
        kind = row.kind
        main = row.condition in view.MAIN_CONDITIONS
        table.add_row(*_cells(row, paper.get(row.condition)), style="bold" if main else None)
    return table


def _differences(result: ExperimentResult) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("same goals and seeds", overflow="fold")
    table.add_column("points [95%]", justify="right", no_wrap=True)
    table.add_column("p, Holm", justify="right", no_wrap=True)
    table.add_column("resolved", overflow="fold")
    for difference in result.paired:
        if difference.n:
            table.add_row(
                Text(view.printable(f"{difference.a} − {difference.b}")),
                f"{view.points(difference.difference)} {view.percent_interval(difference.interval):>14}",
                view.p_value(difference.p_holm),
                view.resolution(difference),
            )
    return table


def _cells(row: Row, paper: float | None) -> list[str | Text]:
    from rich.text import Text

    name = Text(view.printable(row.condition))
    if not row.n:
        return [
            name,
            "not played yet",
            "0",
            "–",
            "–",
            "–",
            "" if paper is None else view.paper_percent(paper),
        ]
    return [
        name,
        f"{view.percent(row.plan_success):>6} {view.percent_interval(row.interval):>12}",
        str(row.n),
        view.number(row.score_mean),
        view.number(row.interactions_mean),
        view.number(view.calls_per_play(row)),
        "" if paper is None else view.paper_percent(paper),
    ]
