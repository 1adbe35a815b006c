"""Who watches demonstrations and writes reward models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from lookalike.core.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from lookalike.core.protocols import ResponseCache

ENTRY_POINTS = "lookalike.experts"
"""Group under which other packages register experts: name = "module:factory"."""


VISUAL = "embedded-visual"
"""The expert that learns from frames; it writes weights beside its document."""
REMOTE = "remote"
"""The expert that asks models behind APIs; ``remote:MODEL,MODEL`` names them in one word."""


def make_expert(
    name: str = "embedded-text",
    *,
    models: Sequence[str] = (),
    cache: ResponseCache | None = None,
    notify: Callable[[str], None] | None = None,
) -> Any:
    """Return an expert (core.protocols.Expert).

    Args:
        name: ``embedded-text``; ``embedded-visual`` for videos of play; ``remote``, or
            ``remote:MODEL,MODEL``; or one that an installed package registers.
        models: Names of the remote expert's models, as for :func:`lookalike.models.make_model`.
        cache: Where the remote expert's responses are kept.
        notify: Called with a sentence when the remote expert leaves out, splits or samples something.

    Raises:
        UnknownNameError: No such expert, or no such model.
        UsageError: Models are named for an expert that asks none.
        CapabilityError: A model lacks what the expert needs.
        ModelError: A model has no key, or what it needs is not installed.
    """
    kind, _, listed = name.partition(":")
    if kind == REMOTE:
        from lookalike.experts.remote import RemoteExpert
        from lookalike.models import make_model

        names = [*models, *(entry.strip() for entry in listed.split(",") if entry.strip())]
        made = [make_model(model, cache=cache, notify=notify) for model in dict.fromkeys(names)]
        return RemoteExpert(made, notify=notify)
    if models:
        raise UsageError(
            f"The expert {name!r} asks no models behind APIs.",
            got=", ".join(models),
            expected=f"the expert {REMOTE!r}",
            remedy=f"use --expert {REMOTE}, or leave the models out",
        )
    if name == VISUAL:
        from lookalike.experts.visual import EmbeddedVisualExpert

        return EmbeddedVisualExpert()
    if name == "embedded-text":
        from lookalike.experts.text import EmbeddedTextExpert

        return EmbeddedTextExpert()
    found: dict[str, Callable[[], Any]] = {e.name: e.load for e in entry_points(group=ENTRY_POINTS)}
    if name not in found:
        raise UnknownNameError("expert", name, expert_names())
    return found[name]()()


def expert_names() -> tuple[str, ...]:
    """Return the names that :func:`make_expert` takes, sorted."""
    return tuple(
        sorted({"embedded-text", VISUAL, REMOTE, *(e.name for e in entry_points(group=ENTRY_POINTS))})
    )


__all__ = ["expert_names", "make_expert"]
