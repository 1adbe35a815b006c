"""What recordings are made of in tests: games whose answers a test decides on, and plays of the real cave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Demonstration, Observation
from lookalike.environments import make_environment
from lookalike.recordings import Pace, TerminalLook, read_recording, record_replay, shipped_play


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


BRISK = Pace(typing_s=0.1, thinking_s=0.1, reading_speed=400.0, pause_s=0.2)


def record_play(
    out: Path, count: int, look: TerminalLook | None = None, pace: Pace | None = BRISK
) -> Demonstration:
    """Record the first ``count`` commands of the 350-point play; return what the log says was played."""
    play = shipped_play(2)
    environment = make_environment("colossal-cave", isolated=False)
    recorded = record_replay(
        environment,
        play.commands[:count],
        seed=play.seed,
        out=out,
        licence=play.licence,
        look=look,
        pace=pace,
    )
    environment.close()
    return read_recording(recorded.log)
