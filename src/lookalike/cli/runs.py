"""``lookalike runs ...``: what there is, how far it got, whether it is whole; go on, export, tidy."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.failures import keep
from lookalike.cli.options import (
    EpisodeLimitOption,
    JsonOption,
    LicenceOption,
    LimitOption,
    MemoryLimitOption,
    StepTimeLimitOption,
    parse_limits,
    usage_error,
)
from lookalike.cli.output import emit, emit_json, emit_table, progress, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.store import EventLog, FileStore, RunSummary

app = typer.Typer(no_args_is_help=True, help="List, inspect, resume, report, verify, export and tidy runs.")

RUNS_FOLDER = Path("runs")
STORE_FILE = "events.sqlite"

RunArgument = Annotated[str, typer.Argument(help="The run's name, or the folder it was written into.")]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="WHERE",
        help="Event log: an SQLite file, a folder with one, or postgresql://…; by default all under runs/.",
    ),
]

FolderOption = Annotated[
    Path | None,
    typer.Option("--out", help="The run's folder, where it is not the one it was started with."),
]


@app.command("list")
def list_(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the runs: how far each got, and whether one is being played now."""
    found: list[tuple[str, RunSummary]] = []
    for where in _stores(store):
        with _opened(where) as log:
            found += [(log.location, run) for run in log.runs()]
    if as_json:
        emit_json([_described(run, where) for where, run in found])
        return
    if not found:
        emit(f"No runs under {store or RUNS_FOLDER}. Begin one: lookalike experiment run NAME")
        return
    emit_table(
        "Runs",
        ("run", "status", "episodes", "failed", "events", "last written", "store"),
        [
            (r.run_id, _status(r), r.episodes, r.failures, r.events, _when(r.updated_at), _place(where))
            for where, r in found
        ],
    )


@app.command("show")
def show(run: RunArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show one run: what was asked for, how far it got, what it spent, and what stopped it."""
    with _found(run, store) as (log, run_id):
        summary = log.summary(run_id)
        configuration = log.configuration(run_id)
        where = log.location
    if as_json:
        emit_json({**_described(summary, where), "configuration": configuration})
        return
    emit(f"{run_id}: {_status(summary)}")
    if summary.reason:
        emit(f"  stopped      {summary.reason}")
    if summary.holder:
        emit(f"  held by      {summary.holder}")
    emit(f"  store        {where}")
    emit(f"  folder       {summary.folder or 'not recorded'}")
    emit(f"  started      {_when(summary.created_at)}; last written {_when(summary.updated_at)}")
    emit(f"  events       {summary.events:,}")
    emit(f"  episodes     {summary.episodes:,} ended, {summary.failures:,} of them failed")
    for name, value in configuration.items():
        emit(f"  {name:<12} {_short(value)}")
    if summary.status != "finished":
        emit(f"go on with it: lookalike runs resume {run}" + (f" --store {where}" if store else ""))


@app.command("resume")
def resume(
    run: RunArgument,
    store: StoreOption = None,
    out: FolderOption = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that play side by side.")] = 1,
    step_time_limit: StepTimeLimitOption = 10.0,
    memory_limit: MemoryLimitOption = 4096,
    limit: LimitOption = None,
    episode_limit: EpisodeLimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was stopped or killed, from the first step that is not in its log."""
    from lookalike.cli.experiment import show_result
    from lookalike.experiments import RunOptions, resume_run

    where, run_id, folder = _with_folder(run, store, out)
    limits = parse_limits(limit, episode_limit)
    keep("every step taken; the same command goes on from there")
    with progress(f"Resuming {run_id}") as advance:
        options = RunOptions(
            workers=workers,
            budgets=limits,
            step_time_limit_s=step_time_limit,
            memory_limit_mb=memory_limit,
            progress=advance,
            notify=say,
        )
        result = resume_run(run_id, store=where, out=out, options=options)
    show_result(result, {"report": folder / "report.html"}, as_json=as_json)


@app.command("report")
def report(
    run: RunArgument,
    store: StoreOption = None,
    out: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the results and report of what a run has ended so far, stopped or not; nothing is played."""
    from lookalike.cli.experiment import show_result
    from lookalike.experiments import report_run

    where, run_id, folder = _with_folder(run, store, out)
    keep("every step taken; nothing was played")
    with progress(f"Reading {run_id}") as advance:
        result = report_run(run_id, store=where, out=out, progress=advance)
    show_result(result, {"report": folder / "report.html"}, as_json=as_json)


@app.command("verify")
def verify(run: RunArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Check that every event and every file of a run is as it was written; exit 2 where one is not."""
    from lookalike.store import verify_store

    in_folder = store is None and (Path(run) / STORE_FILE).is_file()
    # A folder's store is opened by the check itself, which also reads what nothing else can open any more.
    where, name = (run, None) if in_folder else _find(run, store)
    reports = verify_store(where, run_id=name, files=_files_of(where, name))
    if as_json:
        emit_json(reports)
    else:
        for report in reports:
            emit(f"{report.run_id}: {report.events:,} events and {report.files:,} files checked")
            for problem in report.problems:
                emit(f"  {problem}\n    remedy: {problem.remedy}")
            number = len(report.problems)
            emit(f"  {number} problem(s)" if number else "  everything is as it was written")
    if any(report.problems for report in reports):
        raise typer.Exit(2)


@app.command("export")
def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", help="File or folder to write; must not exist yet.")],
    format_: Annotated[str, typer.Option("--format", help="parquet, jsonl, lerobot or minari.")] = "parquet",
    licence: LicenceOption = "unknown",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a run's play: tables (parquet), every event (jsonl), or a data set (lerobot, minari)."""
    from lookalike.recordings.export import export_run

    with _found(run, store) as (log, run_id), progress(f"Exporting {run_id}") as advance:
        report = export_run(
            log,
            run_id,
            format=format_,
            out=out,
            files=_files(log, run_id),
            licence=licence,
            progress=advance,
        )
    if as_json:
        emit_json(report)
        return
    for path in report.paths:
        emit(f"wrote {path}")
    emit(f"{report.episodes:,} episodes, {report.steps:,} steps")
    for item in report.not_held:
        emit(f"  not held by {format_}: {item}")


@app.command("gc")
def gc(
    store: StoreOption = None,
    delete: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="Also delete this run; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be freed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove what no run refers to: files, leftovers of killed writes, free pages; and runs named."""
    reports = []
    wanted = set(delete or ())
    for where in _stores(store):
        with _opened(where) as log:
            here = {run.run_id for run in log.runs()} & wanted
            for run_id in sorted(here):
                if not dry_run:
                    log.delete_run(run_id)
            wanted -= here
            folders = _folders_beside(log)
            reports += [(log.location, log.collect_garbage(f, dry_run=dry_run)) for f in folders]
    if wanted:
        raise usage_error(
            "There is no such run to delete.",
            got=", ".join(sorted(wanted)),
            expected="a run in this store",
            remedy="see what there is: lookalike runs list",
        )
    if as_json:
        emit_json([{"store": where, **asdict(report)} for where, report in reports])
        return
    word = "would free" if dry_run else "freed"
    for where, report in reports:
        emit(
            f"{where}: {report.files:,} files that no run mentions, {report.leftovers:,} leftovers, "
            f"{word} {report.bytes_freed:,} bytes"
            + (f"; {report.kept:,} kept while a run is being played" if report.kept else "")
        )


def _stores(store: str | None) -> list[str]:
    """Return the stores to look into: the one named, or all under ``runs/``."""
    if store is not None:
        return [store]
    return [str(path) for path in sorted(RUNS_FOLDER.glob(f"**/{STORE_FILE}"))]


@contextmanager
def _opened(where: str) -> Iterator[EventLog]:
    from lookalike.store import open_log

    with open_log(where, create=False) as log:
        yield log


def _with_folder(run: str, store: str | None, out: Path | None) -> tuple[str, str, Path]:
    """Return the store that holds a run, the run's name there, and its folder."""
    where, run_id = _find(run, store)
    with _opened(where) as log:
        return where, run_id, out or Path(log.summary(run_id).folder or ".")


def _find(run: str, store: str | None) -> tuple[str, str]:
    """Return the store that holds a run, and the run's name; it is named by its name or its folder."""
    if store is None and (Path(run) / STORE_FILE).is_file():
        with _opened(run) as log:
            runs = [found.run_id for found in log.runs()]
        if len(runs) == 1:
            return run, runs[0]
        raise usage_error(
            "This folder holds several runs." if runs else "This folder's event log holds no run.",
            got=", ".join(runs) or run,
            expected="one run, or a run's name and --store",
            remedy=f"lookalike runs list --store {run}",
        )
    holders = []
    for where in _stores(store):
        with _opened(where) as log:
            if store is not None or any(found.run_id == run for found in log.runs()):
                holders.append(where)
    if len(holders) != 1:
        raise usage_error(
            f"There is no run {run!r} here." if not holders else f"Several stores have a run {run!r}.",
            got=", ".join(holders) or f"the stores under {RUNS_FOLDER}/",
            expected="one store that has it",
            remedy="name the store with --store, or the run's folder; see `lookalike runs list`",
        )
    return holders[0], run


@contextmanager
def _found(run: str, store: str | None) -> Iterator[tuple[EventLog, str]]:
    """Open the store that holds a run."""
    where, run_id = _find(run, store)
    with _opened(where) as log:
        yield log, run_id


def _files(log: EventLog, run_id: str) -> FileStore | None:
    from lookalike.store import FileStore

    folder = log.summary(run_id).folder
    path = Path(folder) / "files" if folder else None
    return FileStore(path) if path is not None and path.is_dir() else None


def _files_of(where: str, run_id: str | None) -> FileStore | None:
    """Return the pictures of a run: beside its store where it is named by its folder."""
    from lookalike.store import FileStore

    if run_id is None:
        path = Path(where) / "files"
        return FileStore(path) if path.is_dir() else None
    with _opened(where) as log:
        return _files(log, run_id)


def _folders_beside(log: EventLog) -> list[FileStore | None]:
    """Return the files of every run of a store that has any; one ``None`` where none has."""
    from lookalike.store import FileStore

    folders = sorted({run.folder for run in log.runs() if run.folder})
    present = [path for folder in folders if (path := Path(folder) / "files").is_dir()]
    return [FileStore(path) for path in present] or [None]


def _described(run: RunSummary, where: str) -> dict[str, object]:
    return {**asdict(run), "store": where}


def _status(run: RunSummary) -> str:
    if run.status != "running":
        return run.status
    return "running" if run.holder else "cut off"


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _place(where: str) -> str:
    """Return a store as it is typed: a folder for its file."""
    return str(Path(where).parent) if Path(where).name == STORE_FILE else where


def _short(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = [entry.get("name", "?") for entry in value]
    if isinstance(value, list):
        text = ", ".join(str(entry) for entry in value)
        return text if len(text) <= 90 else f"{text[:80]}… ({len(value)})"
    return str(value)
