"""Everything an experiment leaves for people and programs, written into one folder."""

from __future__ import annotations

from pathlib import Path

from lookalike.core.errors import StoreError
from lookalike.experiments.result_files import write_csv, write_results, write_text
from lookalike.experiments.results import ExperimentResult


def write_report(result: ExperimentResult, out_dir: Path) -> dict[str, Path]:
    """Write ``results.json``, two CSV tables, ``report.html`` and its plots.

    Args:
        result: What to write.
        out_dir: The folder; made where it does not exist. Files of the same names are replaced.

    Returns:
        Paths by name: ``results``, ``episodes``, ``rows``, ``report`` and one for each plot there is.

    Raises:
        StoreError: A file cannot be written.
    """
    from lookalike.experiments.report.html import render_page
    from lookalike.experiments.report.plots import draw_plots

    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            "The folder for the report cannot be made.",
            got=f"{out_dir}: {error.strerror or error}",
            remedy="name a folder that may be written (--out)",
        ) from error
    # The figures first: they are there even where drawing fails.
    paths = {"results": out_dir / "results.json"}
    write_results(result, paths["results"])
    paths |= write_csv(result, out_dir)
    plots = draw_plots(result)
    for plot in plots:
        paths[plot.name] = out_dir / f"{plot.name}.svg"
        write_text(paths[plot.name], plot.standalone)
    paths["report"] = out_dir / "report.html"
    write_text(paths["report"], render_page(result, plots))
    return paths
