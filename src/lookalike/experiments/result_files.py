"""Results as files: ``results.json`` and two CSV tables, each written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lookalike.core.errors import StoreError
from lookalike.experiments.results import SCHEMA_VERSION, ExperimentResult, ResultPart


def write_results(result: ExperimentResult, path: Path) -> None:
    """Write ``results.json``: one line a row and one line an episode, all of it or nothing.

    Raises:
        StoreError: It cannot be written.
    """
    data = result.model_dump(mode="json")
    lines = []
    for key, value in data.items():
        if isinstance(value, list) and value:
            inside = ",\n  ".join(_json(item) for item in value)
            lines.append(f" {_json(key)}: [\n  {inside}\n ]")
        else:
            lines.append(f" {_json(key)}: {_json(value)}")
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_results(path: Path) -> ExperimentResult:
    """Read ``results.json``.

    Raises:
        StoreError: It is missing, is something else, or is from a newer version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            "The results file cannot be read.",
            got=f"{path}: {error}",
            expected="a results.json that an experiment wrote",
            remedy="name the folder an experiment wrote (--out), or run it again",
        ) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, str) or not version.isdecimal():
        raise StoreError(
            "This file holds no results of LookALike.",
            got=f"{path}, schema_version {version!r}",
            expected=f"schema_version {SCHEMA_VERSION!r}",
            remedy="name a results.json that an experiment wrote",
        )
    if int(version) > int(SCHEMA_VERSION):
        raise StoreError(
            "These results were written by a newer version of LookALike.",
            got=f"{path}, schema_version {version!r}",
            expected=f"at most {SCHEMA_VERSION!r}",
            remedy="update the package: pip install --upgrade lookalike",
        )
    try:
        return ExperimentResult.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise StoreError(
            "The results file does not have the fields of its version.",
            got=f"{path}: {first['msg']} at {'.'.join(str(part) for part in first['loc'])}",
            expected="the fields in docs/results.md",
            remedy="write it again from the store: run the experiment's command once more",
        ) from error


def write_csv(result: ExperimentResult, out_dir: Path) -> dict[str, Path]:
    """Write ``episodes.csv`` and ``rows.csv``, nested fields flattened with a dot.

    The rewards of single steps are only in ``results.json``.
    """
    import polars

    tables: dict[str, Sequence[ResultPart]] = {"episodes": result.episodes, "rows": result.rows}
    paths = {}
    for name, parts in tables.items():
        flat = [_flat(part.model_dump(mode="json", exclude={"rewards"})) for part in parts]
        paths[name] = out_dir / f"{name}.csv"
        write_text(paths[name], polars.DataFrame(flat, infer_schema_length=None).write_csv())
    return paths


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        name = prefix + key
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        elif key in {"interval", "score_interval"}:
            flat[f"{name}.low"], flat[f"{name}.high"] = value or (None, None)
        else:
            flat[name] = value
    return flat


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StoreError(
            "A result cannot be written.",
            got=f"{path}: {error.strerror or error}",
            remedy="check that the folder exists, may be written and has space; then run the command again",
        ) from error
