"""``lookalike recordings ...``: look into a recording, and turn it into the plain event-log format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import emit, emit_json, emit_table, progress

if TYPE_CHECKING:
    from lookalike.core.types import Demonstration, Observation

app = typer.Typer(no_args_is_help=True, help="Look into recordings, and convert them.")

RecordingArgument = Annotated[
    Path,
    typer.Argument(
        help="Recording: video (mp4, webm), transcript, asciicast v2, JSONL; or a dataset: LeRobot, Minari, "
        "an exported run."
    ),
]
EpisodeOption = Annotated[
    int | None, typer.Option("--episode", min=0, help="Which of a dataset's episodes, 0 for the first.")
]


def read(
    path: Path,
    *,
    licence: str | None = None,
    environment: str | None = None,
    episode: int | None = None,
) -> Demonstration:
    """Read a recording with a progress bar.

    Args:
        path: The file, or a dataset's folder.
        licence: What to write down where the recording does not say; ``None`` for ``"unknown"``.
        environment: What it shows, where the recording does not say.
        episode: Which of a dataset's episodes, 0-based; ``None`` where there is only one.
    """
    from lookalike.recordings import read_recording

    with progress(f"Reading {path.name}") as advance:
        return read_recording(
            path,
            licence=licence,
            environment=environment,
            episode=episode,
            progress=advance,
        )


def read_all(path: Path, *, licence: str | None, environment: str | None) -> list[Demonstration]:
    """Read all that a recording holds, with a progress bar: every episode of a dataset, or the one play."""
    from lookalike.recordings import read_recordings

    with progress(f"Reading {path.name}") as advance:
        return list(read_recordings(path, licence=licence, environment=environment, progress=advance))


@app.command("show")
def show(
    recording: RecordingArgument,
    steps: Annotated[int, typer.Option(min=0, help="How many steps to show; 0 for all.")] = 20,
    episode: EpisodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a recording holds: where it comes from, and step by step what was done and answered."""
    found = read(recording, episode=episode)
    if as_json:
        emit_json(_as_json(found))
        return
    provenance, trajectory = found.provenance, found.trajectory
    emit(f"{provenance.file}: {len(trajectory)} steps, read as {provenance.reader}")
    emit(f"  id           {found.id}")
    emit(f"  content hash {provenance.content_hash}")
    emit(f"  played by    {found.player_kind}; licence {provenance.licence}")
    emit(f"  environment  {found.environment or 'not known'}; started with {_or_unknown(found.started_with)}")
    emit(f"  outcome      {_or_unknown(found.outcome)}")
    if provenance.note:
        emit(f"  note         {provenance.note}")
    shown = len(trajectory) if steps == 0 else min(steps, len(trajectory))
    emit_table(
        f"the first {shown} steps" if shown < len(trajectory) else "all steps",
        ("step", "time", "action", "answer"),
        [
            (
                step,
                f"{trajectory.times[step + 1]:.1f} s" if trajectory.times else "",
                _or_unknown(trajectory.actions[step]),
                _first_words(trajectory.observations[step + 1]),
            )
            for step in range(shown)
        ],
    )


@app.command("convert")
def convert(
    recording: RecordingArgument,
    out: Annotated[Path, typer.Argument(help="The JSONL event log to write.")],
    licence: Annotated[
        str | None, typer.Option(help="Licence to write down where the recording does not say it itself.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="Environment it shows, where the recording does not say it itself.")
    ] = None,
    episode: EpisodeOption = None,
) -> None:
    """Read any recording and write it as a JSONL event log, which is read again in no time."""
    from lookalike.recordings import write_jsonl

    found = read(recording, licence=licence, environment=environment, episode=episode)
    write_jsonl(found, out)
    emit(f"{out}: {len(found.trajectory)} steps from {recording.name}")


def _as_json(found: Demonstration) -> dict[str, object]:
    trajectory = found.trajectory
    return {
        "id": found.id,
        "provenance": found.provenance,
        "player_kind": found.player_kind,
        "environment": found.environment,
        "started_with": found.started_with,
        "outcome": found.outcome,
        "observations": [observation.text for observation in trajectory.observations],
        "actions": list(trajectory.actions),
        "rewards": list(trajectory.rewards),
        "times_s": list(trajectory.times),
    }


def _or_unknown(value: object | None) -> str:
    return "unknown" if value is None else str(value)


def _first_words(observation: Observation) -> str:
    line = next((line for line in (observation.text or "").splitlines() if line.strip()), "")
    return line if len(line) <= 70 else f"{line[:69]}…"
