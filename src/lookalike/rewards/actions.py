"""One spelling for a command, so that what a person typed and what an environment offers compare."""

from __future__ import annotations

from functools import lru_cache

from lookalike.environments.commands import canonical_command
from lookalike.rewards.text import normalise_action


@lru_cache(maxsize=65_536)
def canonical_action(environment: str, action: str) -> str:
    """Return a command as its environment spells it (``take lantern`` is ``get lamp``)."""
    return normalise_action(canonical_command(environment, normalise_action(action)))
