"""Who watches demonstrations and writes reward models."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from lookalike.core.errors import UnknownNameError

ENTRY_POINTS = "lookalike.experts"
"""Group under which other packages register experts: name = "module:factory"."""


def make_expert(name: str = "embedded-text") -> Any:
    """Return an expert (core.protocols.Expert).

    Args:
        name: ``embedded-text``, or one that an installed package registers.

    Raises:
        UnknownNameError: No such expert.
    """
    if name == "embedded-text":
        from lookalike.experts.text import EmbeddedTextExpert

        return EmbeddedTextExpert()
    found: dict[str, Callable[[], Any]] = {e.name: e.load for e in entry_points(group=ENTRY_POINTS)}
    if name not in found:
        raise UnknownNameError("expert", name, expert_names())
    return found[name]()()


def expert_names() -> tuple[str, ...]:
    """Return the names that :func:`make_expert` takes, sorted."""
    return tuple(sorted({"embedded-text", *(e.name for e in entry_points(group=ENTRY_POINTS))}))


__all__ = ["expert_names", "make_expert"]
