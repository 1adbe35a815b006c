"""Instructions hidden in what players and experts read, to test back ends, players and experts against.

They are for anybody who writes one of those: whatever a text says, a reply is parsed as before, no key is in
a prompt, and there is no tool to reach::

    for injection in injections("game"):
        situation = ...  # with injection.wanting("get lamp") as the observation's text
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

import yaml

Where = Literal["game", "frame", "demonstration", "reward-model"]


@dataclass(frozen=True)
class Injection:
    """An instruction that somebody hides.

    Attributes:
        id: Short name.
        where: Where it is found: what a game says, words on a video's frame, what was typed in a recording,
            a reward-model file.
        text: It; ``{command}`` stands for what it wants done.
        raw: In a reward-model file, it is YAML and not a text in it.
    """

    id: str
    where: Where
    text: str
    raw: bool = False

    def wanting(self, command: str) -> str:
        """Return the text that wants ``command``."""
        return self.text.replace("{command}", command)


@lru_cache(maxsize=1)
def _all() -> tuple[Injection, ...]:
    path = resources.files("lookalike.testing") / "data" / "injections.yaml"
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(
        Injection(e["id"], e["where"], e["text"] * e.get("repeat", 1), e.get("raw", False)) for e in entries
    )


def injections(where: Where | None = None) -> tuple[Injection, ...]:
    """Return the test set, or the part of it that is found in one place."""
    return tuple(entry for entry in _all() if where is None or entry.where == where)
