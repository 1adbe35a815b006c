"""An expert watches a recording on a page's button: words at once, pictures in a process of their own.

Learning from frames takes minutes of all cores and much memory; a server that answers pages must not do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lookalike.core.errors import LookalikeError, UsageError
from lookalike.core.types import Demonstration
from lookalike.experts import make_expert
from lookalike.recordings import read_recording, write_jsonl
from lookalike.rewards import RewardModel, load_reward_model, save_reward_model
from lookalike.web import evidence
from lookalike.web.jobs import Job
from lookalike.web.library import VIDEOS, FoundFile, Library
from lookalike.web.screen_play import check_named
from lookalike.web.state import Dashboard

MODELS_FOLDER = "reward-models"
SEEING_EXPERT = "embedded-visual"
MOST_OTHERS = 30


@dataclass(frozen=True)
class Training:
    """How an expert learns from pictures.

    Attributes:
        effort: How much is trained; 1 for minutes of one core.
        others: Whether the folder's other recordings of the same game are watched too.
    """

    effort: float = 1.0
    others: bool = True


def watch_recording(
    dashboard: Dashboard,
    file: FoundFile,
    environment: str | None,
    job: Job,
    training: Training = Training(),
) -> tuple[str, str]:
    """Read a recording, let the expert watch it, and keep what it writes.

    Args:
        dashboard: Its folder gets the reward model.
        file: The recording.
        environment: Where the recording does not say it.
        job: Told how far it is.
        training: How pictures are learned from.

    Returns:
        What came of it, and where it is shown.

    Raises:
        UsageError: Nobody knows what was played, or it cannot be read.
        LookalikeError: The expert's reasons.
    """
    acted = evidence.actions_of(file)
    demonstration = _words_of(file, environment, job) if acted is None else None
    said = acted.said("environment") if acted is not None else None
    played = (demonstration.environment if demonstration is not None else said) or environment
    if played is None:
        raise UsageError("The recording does not say what was played.", remedy="name the environment")
    folder = dashboard.library.folder / MODELS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = _free(folder, file.path.stem)
    job.words = "the expert watches"
    if demonstration is not None and any(o.text for o in demonstration.trajectory.observations[:50]):
        model = make_expert("embedded-text").watch([demonstration], environment=played)
        save_reward_model(model, path)
    else:
        model = _watch_pictures(dashboard, file, played, out=path, job=job, training=training)
    dashboard.library.forget()
    found = dashboard.library.found_file(path)
    job.link = "Read the reward model"
    return _described(model), f"/reward-models/{found.key}" if found is not None else "/reward-models"


def _words_of(file: FoundFile, environment: str | None, job: Job) -> Demonstration:
    """Return what a recording says, read off the video where nobody has done so; its text is kept."""
    demonstration, trouble, _ = evidence.demonstration_of(file)
    if trouble is not None:
        raise UsageError(trouble)
    if demonstration is not None:
        return demonstration
    job.words = "reading the video"

    def advance(fraction: float) -> None:
        job.fraction = fraction

    demonstration = read_recording(file.path, environment=environment, progress=advance)
    read = file.path.parent / "demonstration.jsonl"
    if any(o.text for o in demonstration.trajectory.observations[:50]) and not read.exists():
        write_jsonl(demonstration, read)
    return demonstration


def _watch_pictures(
    dashboard: Dashboard, file: FoundFile, environment: str, *, out: Path, job: Job, training: Training
) -> RewardModel:
    check_named(environment)
    others = others_of(dashboard.library, file, environment) if training.others else []
    arguments = ["watch", *(str(f.path) for f in (file, *others)), "--environment", environment]
    arguments += ["--expert", SEEING_EXPERT, "--effort", f"{training.effort:g}", "--out", str(out)]
    job.words, job.fraction = "the expert learns from the pictures, which takes minutes", None
    log = out.with_suffix(".log")
    try:
        dashboard.jobs.carry_out(job, arguments, log=log)
    except UsageError:
        if job.stopped:
            log.unlink(missing_ok=True)
        raise
    log.unlink(missing_ok=True)
    return load_reward_model(out)


def others_of(library: Library, file: FoundFile, environment: str) -> list[FoundFile]:
    """Return the other filmed plays of a game that were recorded here, the newest first."""
    found = []
    for other in library.recordings():
        if other.key == file.key or other.path.suffix.lower() not in VIDEOS:
            continue
        try:
            acted = evidence.actions_of(other)
        except LookalikeError:
            continue
        if acted is not None and acted.said("environment") == environment:
            found.append(other)
    return found[:MOST_OTHERS]


def _described(model: RewardModel) -> str:
    steps = sum(note.steps for note in model.recordings)
    if model.visual is not None:
        return f"{len(model.milestones)} stages and a sense of progress from {steps} actions"
    return (
        f"{len(model.milestones)} milestones, {len(model.rules)} rules and {len(model.hazards)} hazards from "
        f"{steps} commands"
    )


def _free(folder: Path, stem: str) -> Path:
    number = 1
    while (path := folder / (f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")).exists():
        number += 1
    return path
