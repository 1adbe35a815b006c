"""What an export says when it is through: what was written, and what the format could not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int, str], None]
"""Called with what is done, how much there is in all, and a few words."""


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        paths: Files written, the target first.
        episodes: Episodes written.
        steps: Steps written, of all worlds.
        not_held: What of the run is not in there, one sentence each; empty where all is.
    """

    paths: tuple[Path, ...]
    episodes: int
    steps: int
    not_held: tuple[str, ...]
