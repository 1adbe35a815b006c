"""Reading the user's own YAML files, so that a typing mistake is named with the nearest right word.

``models.yaml`` and ``prices.yaml`` are written by hand. A misspelt key that was silently ignored would
mean a model called at the wrong address, or money counted as nothing.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lookalike.core.errors import UsageError

MAX_BYTES = 1 << 20

Document = TypeVar("Document", bound=BaseModel)


def settings_path(variable: str, file_name: str) -> Path:
    """Return where a file of settings is: what an environment variable says, or the user's folder.

    Args:
        variable: Name of the environment variable that overrides the place.
        file_name: Name of the file in the user's configuration folder.
    """
    if override := os.environ.get(variable):
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_config_dir("lookalike")) / file_name


def read_settings(path: Path, kind: type[Document]) -> Document:
    """Return a YAML file as a checked document; a file that does not exist is an empty one.

    Raises:
        UsageError: The file cannot be read, is no YAML, or has a key or a value that cannot be meant.
    """
    import yaml

    try:
        if not path.exists():
            return kind()
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(
                f"The settings file {path} is too large.",
                got=f"{path.stat().st_size:,} bytes",
                expected=f"at most {MAX_BYTES:,} bytes",
            )
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The settings file {path} cannot be read.", got=str(error)) from error
    except yaml.YAMLError as error:
        raise UsageError(
            f"The settings file {path} is no YAML.",
            got=" ".join(str(error).split())[:300],
            remedy="mind blanks before names and after colons",
        ) from error
    try:
        return kind.model_validate({} if data is None else data)
    except ValidationError as error:
        raise _explained(path, kind, error) from None


def _explained(path: Path, kind: type[BaseModel], error: ValidationError) -> UsageError:
    """Return the first mistake as a sentence; the input is shown by its place, never by its value."""
    mistakes = error.errors(include_url=False, include_input=False)
    # A misspelt key is often why a right one is missing, so it is told first.
    first = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_beside(kind, first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.4)
        return UsageError(
            f"The settings file {path} has a key that means nothing.",
            got=place,
            expected=f"one of: {', '.join(sorted(known))}",
            remedy=f"did you mean {near[0]!r}?" if near else "remove it",
        )
    return UsageError(
        f"The settings file {path} has a value that cannot be meant.",
        got=place or "the whole file",
        expected=first["msg"],
    )


def _keys_beside(kind: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed where an unknown one stands."""
    current: type[BaseModel] = kind
    for part in place[:-1]:
        field = current.model_fields.get(str(part))
        for candidate in _documents_in(field.annotation if field is not None else None):
            current = candidate
            break
    return [field.alias or name for name, field in current.model_fields.items()]


def _documents_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the document types inside an annotation (``dict[str, Entry]``, ``Entry | None``)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in _documents_in(inner)]
