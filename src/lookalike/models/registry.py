"""Language models by name, and what to do when one is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.core.errors import ModelError, UnknownNameError
from lookalike.core.protocols import LanguageModel, ResponseCache

ENTRY_POINTS = "lookalike.models"
"""Group under which other packages register their own back ends: name = "module:factory"."""


@dataclass(frozen=True)
class ModelStatus:
    """Whether a model can be used.

    Attributes:
        name: As given to :func:`make_model`.
        present: Whether :func:`make_model` would work.
        where: The weights file or the module, or ``None``.
        detail: One line: size and hash, or what is wrong.
        remedy: What to do, or ``None`` where nothing is needed.
    """

    name: str
    present: bool
    where: str | None
    detail: str
    remedy: str | None


def make_model(
    name: str = "embedded",
    *,
    cache: ResponseCache | None = None,
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> LanguageModel:
    """Return a language model.

    Args:
        name: ``"embedded"``, or a name that an installed package registers under the entry-point group
            ``lookalike.models`` (a factory that takes ``cache``, ``threads`` and ``notify``).
        cache: Where responses are kept; ``None`` for nowhere.
        threads: CPU threads; ``None`` for all cores.
        notify: Called with a sentence when something takes long.

    Raises:
        UnknownNameError: No such model.
        ModelError: The model is missing or corrupt.
    """
    if name == "embedded":
        from lookalike.models.embedded import EmbeddedModel

        return EmbeddedModel(cache=cache, threads=threads, notify=notify)
    factories = _registered()
    if name not in factories:
        raise UnknownNameError("language model", name, model_names())
    model: LanguageModel = factories[name].load()(cache=cache, threads=threads, notify=notify)
    return model


def model_names() -> tuple[str, ...]:
    """Return the names that :func:`make_model` takes, sorted."""
    return tuple(sorted({"embedded", *_registered()}))


def model_status(name: str = "embedded") -> ModelStatus:
    """Return whether a model can be used, where it is, and what to do if not. Loads nothing.

    Raises:
        UnknownNameError: No such model.
    """
    if name != "embedded":
        factories = _registered()
        if name not in factories:
            raise UnknownNameError("language model", name, model_names())
        return ModelStatus(name, True, factories[name].value, "registered by an installed package", None)
    from lookalike.models import weights

    path: Path | None = None
    try:
        path = weights.require_gguf()
        found = weights.check_gguf(path)
        weights.import_openvino_genai()
    except ModelError as error:
        return ModelStatus(name, False, str(path) if path else None, error.what, error.remedy)
    ready = weights.is_converted(weights.converted_folder(found))
    detail = f"{weights.GGUF_NAME}, {weights.GGUF_BYTES / 1e6:.0f} MB, sha256 {found[:16]}, " + (
        "converted" if ready else "to be converted at first use (about 15 s)"
    )
    return ModelStatus(name, True, str(path), detail, None)


def _registered() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
