"""Small games for recordings: the shape of an environment, with answers the test decides on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Observation


class ScriptedGame:
    """Answers by a function of the command; ends at ``quit``."""

    id = "scripted"
    capabilities: frozenset[Capability] = frozenset({"text"})
    how_to_play = ""

    def __init__(self, answer: Callable[[str], str], opening: str = "YOU ARE IN A ROOM.") -> None:
        self.answer = answer
        self.opening = opening

    def reset(self, *, seed: int) -> Observation:
        return Observation(text=self.opening)

    def step(self, action: str) -> StepResult:
        return StepResult(Observation(text=self.answer(action)), 1.0, terminated=action == "quit")

    def admissible_actions(self) -> tuple[str, ...]:
        return ()

    def save(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        return None

    def facts(self) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        return None
