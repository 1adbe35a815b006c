"""Environments by name, loaded when asked for.

A loader is a callable that makes an environment, or ``"package.module:callable"``, which is imported only
when the environment is made. An id that ends in a colon is a family: ``"zmachine:"`` makes
``"zmachine:/games/lost.z5"`` by calling its loader with what follows the colon. Other packages add theirs
through the entry-point group ``lookalike.environments``.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from lookalike.core.errors import GameError, UnknownNameError, UsageError
from lookalike.core.protocols import Environment

ENTRY_POINT_GROUP = "lookalike.environments"

Loader = Callable[..., Environment]
_ID = re.compile(r"[a-z0-9][a-z0-9._/-]*:?")


@dataclass(frozen=True)
class _Entry:
    id: str
    loader: str | Loader
    description: str
    goals: Path | None


_entries: dict[str, _Entry] = {}


def register_environment(
    id: str, loader: str | Loader, *, description: str = "", goals: Path | None = None
) -> None:
    """Register an environment.

    Args:
        id: Lower-case name, e.g. ``"colossal-cave"``; with a final colon, a family.
        loader: Makes it; see the module's docstring. To run in a worker process it must be importable.
        description: One line for listings.
        goals: Its goal file, found from then on by ``load_goals(id)``.

    Raises:
        UsageError: The id is taken or malformed.
    """
    if not _ID.fullmatch(id):
        raise UsageError(
            "An environment's id must be lower-case letters, digits, and . _ / -.",
            got=repr(id),
            expected="e.g. 'colossal-cave'; a family ends in a colon",
            remedy="Choose another id.",
        )
    if id in _entries:
        raise UsageError(
            f"An environment called {id!r} is registered already.",
            got=f"loader {loader!r}",
            expected=f"an id besides {', '.join(sorted(_entries))}",
            remedy="Choose another id.",
        )
    _entries[id] = _Entry(id, loader, description, goals)


def environment_ids() -> tuple[str, ...]:
    """Return the ids that can be made as they stand, sorted; families are left out."""
    _load_entry_points()
    return tuple(sorted(id for id in _entries if not id.endswith(":")))


def environment_description(id: str) -> str:
    """Return the one-line description an environment was registered with."""
    return _find(id)[0].description


def environment_goal_file(id: str) -> Path | None:
    """Return the goal file an environment was registered with; ``None`` for the shipped one."""
    return _find(id)[0].goals


def make_environment(
    id: str,
    *,
    isolated: bool = True,
    step_time_limit_s: float = 10.0,
    memory_limit_mb: int | None = 4096,
) -> Environment:
    """Make an environment by its id.

    Args:
        id: A registered id, or a family's prefix with an argument: ``"zmachine:/games/lost.z5"``.
        isolated: Run it in a worker process that is killed when it hangs; ``False`` runs it in this process,
            where neither limit applies.
        step_time_limit_s: Seconds a step may take in a worker.
        memory_limit_mb: MiB of address space a worker may use; ``None`` for no limit.

    Raises:
        UnknownNameError: Nothing is registered under the id.
        GameError: The environment cannot be started (a missing game file, a missing package).
    """
    entry, argument = _find(id)
    if not isolated:
        return _load(entry.loader, argument)
    from lookalike.environments.worker import EnvironmentWorker

    return EnvironmentWorker(
        entry.loader,
        argument=argument,
        step_time_limit_s=step_time_limit_s,
        memory_limit_mb=memory_limit_mb,
    )


def find_loader(id: str) -> tuple[str | Loader, str | None]:
    """Return what makes an environment, and the argument it is made with, if any.

    Raises:
        UnknownNameError: Nothing is registered under the id.
    """
    entry, argument = _find(id)
    return entry.loader, argument


def load_from_reference(reference: str, argument: str | None) -> Environment:
    """Import ``"package.module:callable"`` and make the environment (the worker process does this)."""
    return _load(_resolve(reference), argument)


def reference_of(loader: Loader) -> str:
    """Return ``"package.module:callable"`` for a loader that another process can import.

    Raises:
        UsageError: It is a lambda, a nested function, or lives in ``__main__``.
    """
    module, name = getattr(loader, "__module__", None), getattr(loader, "__qualname__", "<unnamed>")
    if module in (None, "__main__", "builtins") or "<" in name:
        raise UsageError(
            "This environment's loader cannot be imported by a worker process.",
            got=f"{module}:{name}",
            expected="a class or function at the top of a module",
            remedy="Move it into a module, or make the environment with isolated=False.",
        )
    return f"{module}:{name}"


def _find(id: str) -> tuple[_Entry, str | None]:
    _load_entry_points()
    if id in _entries and not id.endswith(":"):
        return _entries[id], None
    family, colon, argument = id.partition(":")
    if colon and argument and f"{family}:" in _entries:
        return _entries[f"{family}:"], argument
    raise UnknownNameError(
        "environment", id, [name if not name.endswith(":") else f"{name}PATH" for name in _entries]
    )


def _load(loader: str | Loader, argument: str | None) -> Environment:
    make = _resolve(loader) if isinstance(loader, str) else loader
    return make() if argument is None else make(argument)


def _resolve(reference: str) -> Loader:
    module_name, _, name = reference.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise GameError(
            "An environment's loader cannot be imported.",
            got=f"{reference} ({error})",
            expected="package.module:callable",
            remedy="Install the package that has it, or correct the registration.",
        ) from error
    return cast("Loader", found)


@functools.cache
def _load_entry_points() -> None:
    for point in entry_points(group=ENTRY_POINT_GROUP):
        register_environment(point.name, point.value, description=f"from {point.value}")


register_environment(
    "colossal-cave",
    "lookalike.environments.colossal_cave:ColossalCave",
    description="Colossal Cave Adventure, 350 points (text)",
)
register_environment(
    "zork1",
    "lookalike.environments.zork1:Zork1",
    description="Zork I release 119, 350 points (text; `lookalike games install zork1`)",
)
register_environment(
    "zmachine:",
    "lookalike.environments.zmachine:ZMachine",
    description="any Z-machine story file (text; needs jericho)",
)
register_environment(
    "gymnasium:",
    "lookalike.environments.gymnasium_adapter:make_gymnasium",
    description="any Gymnasium environment with discrete or text actions",
)
register_environment(
    "procgen:",
    "lookalike.environments.procgen:make_procgen",
    description="Procgen's sixteen games: procgen:maze, procgen:maze-hard (frames; `make visual`)",
)
register_environment(
    "minigrid:",
    "lookalike.environments.minigrid_adapter:make_minigrid",
    description="MiniGrid and BabyAI: minigrid:BabyAI-GoToLocal-v0 (text and frames; `make visual`)",
)
register_environment(
    "vizdoom:",
    "lookalike.environments.vizdoom_adapter:make_vizdoom",
    description="Doom's Freedoom levels: vizdoom:freedoom1-e1m4 (frames; `make visual`)",
)
