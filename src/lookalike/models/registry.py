"""Language models by name, and what to do when one is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.core.errors import ModelError
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
        name: ``"embedded"``; ``"openai:MODEL"``, ``"anthropic:MODEL"`` or ``"google:MODEL"``, with
            ``@http://...`` behind it for a service of one's own; an entry of ``models.yaml``; or a name
            that an installed package registers under the entry-point group ``lookalike.models`` (a
            factory that takes ``cache``, ``threads`` and ``notify``).
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
        return _make_remote(name, cache, notify)
    model: LanguageModel = factories[name].load()(cache=cache, threads=threads, notify=notify)
    return model


def _make_remote(
    name: str, cache: ResponseCache | None, notify: Callable[[str], None] | None
) -> LanguageModel:
    from lookalike.models.remote.entries import resolve_entry

    entry = resolve_entry(name)
    from lookalike.models.remote.model import RemoteModel

    model = RemoteModel(name, entry, notify=notify)
    if cache is None:
        return model
    from lookalike.models.cached import CachedModel

    return CachedModel(model, cache)


def model_names() -> tuple[str, ...]:
    """Return the names that :func:`make_model` takes, sorted, without the open-ended ``openai:MODEL``.

    Raises:
        UsageError: The user's ``models.yaml`` has a key or a value that cannot be meant.
    """
    from lookalike.models.remote.entries import load_models

    return tuple(sorted({"embedded", *_registered(), *load_models()}))


def model_status(name: str = "embedded") -> ModelStatus:
    """Return whether a model can be used, where it is, and what to do if not. Loads nothing.

    Raises:
        UnknownNameError: No such model.
    """
    if name != "embedded":
        factories = _registered()
        if name not in factories:
            return _remote_status(name)
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


def _remote_status(name: str) -> ModelStatus:
    """Return whether a remote model could be asked; nothing is sent."""
    import importlib.util

    from lookalike.models.remote.entries import resolve_entry

    entry = resolve_entry(name)
    detail = f"{entry.back_end} protocol, {entry.model}, {entry.style}"
    if importlib.util.find_spec("pydantic_ai") is None:
        return ModelStatus(
            name,
            False,
            entry.address,
            f"{detail}; the extra 'remote' is not installed",
            "python -m pip install 'lookalike[remote]'",
        )
    try:
        entry.secret()
    except ModelError as error:
        return ModelStatus(name, False, entry.address, f"{detail}; {error.got}", error.remedy)
    keys = " or ".join(entry.key_variables)
    return ModelStatus(
        name, True, entry.address, f"{detail}; {f'key from {keys}' if keys else 'no key'}", None
    )


def _registered() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
