"""One door for every export: a run of the event log in, files of another tool's format out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from lookalike.core.errors import UnknownNameError
from lookalike.recordings.export.lerobot import write_lerobot
from lookalike.recordings.export.lines import write_lines
from lookalike.recordings.export.minari import write_minari
from lookalike.recordings.export.report import ExportReport, Progress
from lookalike.recordings.export.tables import write_tables
from lookalike.recordings.export.target import refuse_existing
from lookalike.recordings.export.tracks import Episodes, survey
from lookalike.store import EventLog, FileStore

ExportFormat = Literal["jsonl", "parquet", "lerobot", "minari"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
"""Names of the formats; ``docs/export.md`` says what each holds."""

_WRITERS = {"parquet": write_tables, "lerobot": write_lerobot, "minari": write_minari}


def export_run(
    log: EventLog,
    run_id: str,
    *,
    format: str,
    out: str | Path,
    files: FileStore | None = None,
    episodes: Episodes = None,
    licence: str = "unknown",
    progress: Progress | None = None,
) -> ExportReport:
    """Write a run in another tool's format, whole or not at all.

    Args:
        log: Where the run is. It may still be played; what is appended meanwhile may be missed.
        run_id: Which run.
        format: One of :data:`EXPORT_FORMATS`.
        out: What to write: a file for ``jsonl``, a folder for the others. Must not exist.
        files: Where the run's pictures are; ``None`` leaves them out and says so.
        episodes: ``"finished"`` for those that ended (failed ones too), a collection of keys, or ``None``
            for all that were begun.
        licence: SPDX expression that the exported play is given.
        progress: Called with episodes (for ``jsonl``: events) done, how many in all, and a few words.

    Returns:
        What was written, and what of the run the format could not hold.

    Raises:
        UnknownNameError: There is no such format.
        RecordingError: The target exists or cannot be written, a library is missing, or the run does not
            fit the format.
        StoreError: There is no such run, or it is damaged.
    """
    if format not in EXPORT_FORMATS:
        raise UnknownNameError("export format", format, EXPORT_FORMATS)
    out = Path(out)
    refuse_existing(out)
    tell: Progress = progress or (lambda _done, _total, _text: None)
    lost = () if episodes is None else ("episodes that were not asked for",)
    if format == "jsonl":
        wanted = None if episodes is None else survey(log, run_id, episodes).keys
        report = write_lines(log, run_id, out=out, files=files, wanted=wanted, progress=tell)
    else:
        facts = survey(log, run_id, episodes)
        tell(0, len(facts.keys), "episodes")
        report = _WRITERS[format](log, run_id, facts, out=out, files=files, licence=licence, progress=tell)
    return replace(report, not_held=(*report.not_held, *lost))
