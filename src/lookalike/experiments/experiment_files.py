"""Experiments of one's own as files: an environment, recordings, goals, seeds and conditions in YAML.

The shipped experiments are data in the package; a file says the same for a game, recordings, goals or
conditions that nobody shipped. What a run needs to go on is copied into its first event, so a file that is
changed or deleted later changes nothing of a run that was begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lookalike.core.errors import UsageError
from lookalike.core.types import Goal
from lookalike.environments import load_goals
from lookalike.experiments.conditions import Condition, ExperimentSpec, find_condition, find_experiment
from lookalike.experiments.preparation import is_shipped_play

FORMAT = "lookalike-experiment/1"
MAX_FILE_BYTES = 1_000_000
SUFFIXES = (".yaml", ".yml")


class _File(BaseModel):
    """What the file says; see docs/experiments.md for each key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["lookalike-experiment/1"]
    name: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    description: str = ""
    environment: str
    recordings: tuple[str, ...] = ()
    reward_model: str | None = None
    goals_file: str | None = None
    goals: tuple[str, ...] = ()
    seeds: str = Field(pattern=r"^\d+(-\d+)?$")
    conditions: tuple[str | dict[str, Any], ...] = Field(min_length=1)


@dataclass(frozen=True)
class ExperimentFile:
    """An experiment that a file declares.

    Attributes:
        spec: In the words of the shipped ones.
        goals: All goals it may choose from.
        conditions: By name, those that the file defines itself and those it names.
        recordings: Files to watch; empty where a shipped play is watched, or nothing is.
        reward_model: A document that is there already, or ``None``.
    """

    spec: ExperimentSpec
    goals: tuple[Goal, ...]
    conditions: dict[str, Condition]
    recordings: tuple[Path, ...]
    reward_model: Path | None


def is_experiment_file(name: str) -> bool:
    """Return whether a name is a file's and not a shipped experiment's."""
    return name.lower().endswith(SUFFIXES)


def read_experiment_file(path: Path) -> ExperimentFile:
    """Read an experiment's file. Paths in it are relative to its folder.

    Raises:
        UsageError: It cannot be read, or says something that cannot be; the message names the key.
        UnknownNameError: A condition of a name that neither the package nor the file knows.
    """
    said = _parse(path)
    folder = path.parent
    shipped = [r for r in said.recordings if is_shipped_play(r)]
    if shipped and len(said.recordings) > 1:
        raise _fault(path, "recordings", ", ".join(said.recordings), "one shipped play, or files")
    files = tuple(folder / r for r in said.recordings if r not in shipped)
    for file in (*files, *(folder / f for f in (said.reward_model, said.goals_file) if f)):
        if not file.exists():
            raise _fault(path, "recordings, reward_model or goals_file", str(file), "a file that is there")
    conditions = {c.name: c for c in (_condition(path, entry) for entry in said.conditions)}
    if not said.recordings:
        if any(c.player == "replay" for c in conditions.values()):
            raise _fault(path, "recordings", "none", "a recording: a condition here replays it")
        if said.reward_model is None and any(c.config().needs_reward_model for c in conditions.values()):
            raise _fault(path, "recordings", "none, nor a reward_model", "one: a condition here needs it")
    if len(conditions) < len(said.conditions):
        raise _fault(path, "conditions", "the same name twice", "each name once")
    return ExperimentFile(
        ExperimentSpec(
            name=said.name,
            description=said.description,
            environment=said.environment,
            recording=shipped[0] if shipped else ", ".join(file.name for file in files),
            seeds=said.seeds,
            goals=said.goals,
            conditions=tuple(conditions),
        ),
        load_goals(said.environment, folder / said.goals_file if said.goals_file else None),
        conditions,
        files,
        folder / said.reward_model if said.reward_model else None,
    )


def declared_experiment(name: str) -> ExperimentSpec:
    """Return an experiment by its name, or as a file declares it.

    Raises:
        UnknownNameError: There is none of that name.
        UsageError: The file cannot be read.
    """
    return read_experiment_file(Path(name)).spec if is_experiment_file(name) else find_experiment(name)


def experiment_file_text(spec: ExperimentSpec) -> str:
    """Return a shipped experiment as the text of a file, to start one's own from."""
    said: dict[str, Any] = {
        "format": FORMAT,
        "name": f"my/{spec.environment.replace(':', '-')}",
        "description": spec.description,
        "environment": spec.environment,
        "recordings": [spec.recording],
        "seeds": spec.seeds,
        **({"goals": list(spec.goals)} if spec.goals else {}),
        "conditions": list(spec.conditions),
    }
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=100)


def _condition(path: Path, said: str | dict[str, Any]) -> Condition:
    """Return a condition by its name, or as it is described, ``like`` another one but for what is said."""
    if isinstance(said, str):
        return find_condition(said)
    entry = {str(key): value for key, value in said.items()}
    like = entry.pop("like", None)
    base = {"kind": "control", "description": ""} if like is None else find_condition(str(like)).model_dump()
    if "name" not in entry:
        raise _fault(path, "conditions", "a condition without a name", "a name of its own")
    try:
        return Condition.model_validate({**base, **entry})
    except ValidationError as error:
        raise _fault_of(path, error, f"conditions, {entry['name']}, ") from error


def _parse(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise _fault(path, None, f"over {MAX_FILE_BYTES} bytes", "an experiment file of a few kB")
        data = yaml.safe_load(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "The experiment file cannot be read.",
            got=f"{path}: {error}",
            expected="a UTF-8 YAML file, or the name of a shipped experiment",
            remedy="Check the path; `lookalike experiment list` names the shipped ones.",
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _fault(path, None, " ".join(str(error).split()), "YAML") from error
    if not isinstance(data, dict):
        raise _fault(path, None, type(data).__name__, f"a mapping that begins with format: {FORMAT}")
    try:
        return _File.model_validate(data)
    except ValidationError as error:
        raise _fault_of(path, error) from error


def _fault_of(path: Path, error: ValidationError, inside: str = "") -> UsageError:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    return _fault(path, inside + key, repr(first["input"])[:80], first["msg"])


def _fault(path: Path, key: str | None, got: str, expected: str) -> UsageError:
    return UsageError(
        f"The experiment file {path.name} has a mistake{'' if key is None else f' in {key}'}.",
        got=got,
        expected=expected,
        remedy="See docs/experiments.md, or start from `lookalike experiment show paper/colossal-cave`.",
    )
