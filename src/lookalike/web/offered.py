"""Which games the pages offer: the registered ones, and families' members that have goals."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import resources

from lookalike.core.errors import LookalikeError
from lookalike.environments import environment_ids, load_goals
from lookalike.environments.registry import environment_description

_PACKAGES = ("minigrid", "procgen", "vizdoom")
"""Families on the screen, each named like the package it needs."""


@cache
def screen_games() -> tuple[str, ...]:
    """Return the games on the screen whose package is installed, sorted, by their environment ids."""
    goals = resources.files("lookalike.environments") / "data" / "goals"
    found = []
    for family in _PACKAGES:
        if importlib.util.find_spec(family) is None:
            continue
        names = (file.name for file in (goals / family).iterdir())
        found += sorted(f"{family}:{name.removesuffix('.yaml')}" for name in names if name.endswith(".yaml"))
    return tuple(found)


def missing_families() -> tuple[str, ...]:
    """Return the families whose package is not installed."""
    return tuple(family for family in _PACKAGES if importlib.util.find_spec(family) is None)


def typed_games() -> list[dict[str, str]]:
    """Return the registered environments, with a line on each."""
    return [{"id": name, "description": environment_description(name)} for name in environment_ids()]


@cache
def games_with_goals() -> tuple[str, ...]:
    """Return all of these that goals are shipped for: those a council can play."""
    found = []
    for name in (*environment_ids(), *screen_games()):
        try:
            load_goals(name)
        except LookalikeError:
            continue
        found.append(name)
    return tuple(found)
