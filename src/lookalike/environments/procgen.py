"""Procgen's sixteen games as environments: the seed is the level, states are exact, success is the engine's.

The engine begins a level anew within the step that ends it, so the picture of the end is never drawn: the
last observation of an episode repeats the one before it. ``facts()["level_complete"]`` says how it ended.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from lookalike.core.errors import GameError, UsageError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Frame, Observation
from lookalike.environments.procgen_engine import (
    FRAME_SIZE,
    LARGE_FRAME_SIZE,
    MODES,
    ProcgenEngine,
    read_clock,
)
from lookalike.environments.procgen_games import find_game

_ARGUMENT = re.compile(r"(?P<game>[a-z]+)(?:-(?P<mode>[a-z]+))?(?:@(?P<size>\d+))?")
_STATE_MAGIC = b"LKPG1"
# Magic, checksum of the rest; then return, steps, ended, truncated, complete, length of the engine's state.
_STATE_HEAD = struct.Struct("<5s16s")
_STATE_BODY = struct.Struct("<dIBBBI64s")


class Procgen:
    """One of Procgen's games; see ``data/procgen.yaml`` for what each is about.

    Action space: the names in :attr:`actions`, which differ in effect; ``step`` also knows all nine
    directions and ``key d`` to ``key e``. Anything else changes nothing and takes no time.
    Observation: a frame, uint8 [64, 64, 3], or [512, 512, 3] where asked for.
    Start: the level whose number is the seed, 0 to 2**31 - 2. Everything random in it follows from that
    number and the actions.
    Reward: the engine's, in points; the score is its sum.
    Episode end: ``terminated`` when the level is completed or lost; ``truncated`` when the engine's own limit
    is reached (500 to 6,000 steps).

    Args:
        game: One of the sixteen.
        mode: ``"easy"`` or ``"hard"``; other modes are refused.
        frame_size: 64 or 512 pixels. A large frame costs about 8 ms.

    Raises:
        UsageError: There is no such game, mode or size.
        GameError: Procgen is not installed.
    """

    def __init__(self, game: str, mode: str = "easy", *, frame_size: int = FRAME_SIZE) -> None:
        known = find_game(game)
        if mode not in MODES:
            raise UsageError(
                "Procgen's games are played easy or hard.",
                got=mode,
                expected=" or ".join(MODES),
                remedy="Leave the mode out for easy. The engine's other modes exist for some games only.",
            )
        if frame_size not in (FRAME_SIZE, LARGE_FRAME_SIZE):
            raise UsageError(
                "Procgen draws frames in two sizes.",
                got=frame_size,
                expected=f"{FRAME_SIZE} or {LARGE_FRAME_SIZE} pixels",
                remedy="Take one of them and scale it.",
            )
        self.game, self.mode = game, mode
        self.id = f"procgen:{game}{'' if mode == 'easy' else '-' + mode}"
        self.id += "" if frame_size == FRAME_SIZE else f"@{frame_size}"
        self.capabilities: frozenset[Capability] = frozenset(
            ("frames", "save_restore", "admissible_actions", "score", "levels")
        )
        self.actions = tuple(sorted(known.actions))
        self.how_to_play = f"{known.how_to_play} Actions: {', '.join(known.actions)}."
        self._numbers = known.known_actions
        self._engine = ProcgenEngine(game, mode, large=frame_size == LARGE_FRAME_SIZE)
        self._painter: ProcgenEngine | None = None
        self._started = self._closed = False
        self._last: Frame = np.zeros((frame_size, frame_size, 3), np.uint8)
        self._score, self._steps, self._limit, self._level = 0.0, 0, 0, 0
        self._terminated = self._truncated = self._complete = False

    def reset(self, *, seed: int) -> Observation:
        """Begin the level whose number is the seed.

        Raises:
            UsageError: The seed is none of 0 to 2**31 - 2.
        """
        self._last = self._engine.start(seed)
        self._level, _, self._limit = read_clock(self._engine.state())
        self._score, self._steps = 0.0, 0
        self._terminated = self._truncated = self._complete = False
        self._started = True
        return Observation(frame=self._last.copy())

    def step(self, action: str) -> StepResult:
        """Play an action for one step; an unknown one changes nothing.

        Raises:
            GameError: Before the first ``reset``.
        """
        if not self._started:
            raise GameError(f"{self.id} has not been started.", remedy="Call reset(seed=...) first.")
        number = self._numbers.get(" ".join(action.split()))
        if number is None or self._terminated or self._truncated:
            return StepResult(Observation(frame=self._last.copy()), 0.0, self._terminated, self._truncated)
        done = self._engine.step(number)
        self._steps += 1
        self._score += done.reward
        if done.ended:
            self._complete = done.complete
            self._truncated = not done.complete and self._steps >= self._limit
            self._terminated = not self._truncated
        else:
            self._last = done.frame
        return StepResult(
            Observation(frame=self._last.copy()), done.reward, self._terminated, self._truncated
        )

    def admissible_actions(self) -> tuple[str, ...]:
        """Return the actions that differ in effect, sorted; none once the episode is over."""
        return () if self._terminated or self._truncated else self.actions

    def save(self) -> bytes:
        """Return the whole state: the engine's, and after the end the last frame."""
        engine = self._engine.state()
        over = self._terminated or self._truncated
        body = (
            _STATE_BODY.pack(
                self._score,
                self._steps,
                self._terminated,
                self._truncated,
                self._complete,
                len(engine),
                self.id.encode(),
            )
            + engine
            + (self._last.tobytes() if over else b"")
        )
        return _STATE_HEAD.pack(_STATE_MAGIC, _digest(body)) + body

    def restore(self, state: bytes) -> None:
        """Go back to a saved state of the same game and mode.

        Raises:
            GameError: It is none, is damaged, or is of another game.
        """
        body = self._checked(state)
        score, steps, terminated, truncated, complete, length, _ = _STATE_BODY.unpack_from(body)
        start = _STATE_BODY.size
        engine, picture = body[start : start + length], body[start + length :]
        self._engine.set_state(engine)
        self._score, self._steps = score, steps
        self._terminated, self._truncated, self._complete = bool(terminated), bool(truncated), bool(complete)
        self._level, _, self._limit = read_clock(engine)
        if picture:
            self._last = np.frombuffer(picture, np.uint8).reshape(self._last.shape).copy()
        else:
            self._last = self._engine.frame()
        self._started = True

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on.

        ``score`` (points), ``level_complete`` (the engine says so), ``over``, ``steps`` and ``level``.
        """
        return {
            "score": self._score,
            "level_complete": self._complete,
            "over": self._terminated or self._truncated,
            "steps": self._steps,
            "level": self._level,
        }

    def render(self, size: int = LARGE_FRAME_SIZE) -> Frame:
        """Draw the present state at 512 x 512 pixels (or 64), without disturbing it.

        After the end of an episode it shows the level's beginning.

        Raises:
            UsageError: Another size.
        """
        if size not in (FRAME_SIZE, LARGE_FRAME_SIZE):
            raise UsageError("Procgen draws frames in two sizes.", got=size, expected="64 or 512")
        if size == self._last.shape[0]:
            return self._engine.frame()
        if self._painter is None:
            self._painter = ProcgenEngine(self.game, self.mode, large=size == LARGE_FRAME_SIZE)
        self._painter.set_state(self._engine.state())
        return self._painter.frame()

    def close(self) -> None:
        """Free the engine. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._engine.close()
            if self._painter is not None:
                self._painter.close()

    def _checked(self, state: bytes) -> bytes:
        """Return a state's body; the engine ends the process at what it did not write itself."""
        body = state[_STATE_HEAD.size :]
        whole = len(body) > _STATE_BODY.size and _STATE_HEAD.unpack_from(state) == (
            _STATE_MAGIC,
            _digest(body),
        )
        if not whole:
            raise GameError(
                "This is no saved state of a Procgen game, or it is damaged.",
                got=f"{len(state)} bytes that begin with {state[:5]!r}",
                expected="what save() returned",
                remedy="Save again.",
            )
        owner = _STATE_BODY.unpack_from(body)[-1].rstrip(b"\0").decode()
        if owner != self.id:
            raise GameError(
                "This state was saved by another game.",
                got=owner,
                expected=self.id,
                remedy="Restore it where it was saved.",
            )
        return body


def make_procgen(argument: str) -> Procgen:
    """Make ``procgen:GAME``, ``procgen:GAME-hard`` or, with large frames, ``procgen:GAME@512``.

    Raises:
        UsageError: The game, mode or size is not known.
        GameError: Procgen is not installed.
    """
    found = _ARGUMENT.fullmatch(argument)
    if found is None:
        raise UsageError(
            "A Procgen environment is named by its game.",
            got=f"procgen:{argument}"[:80],
            expected="procgen:GAME, procgen:GAME-hard or procgen:GAME@512, e.g. procgen:maze-hard",
            remedy="See docs/visual.md for the games.",
        )
    size = int(found["size"]) if found["size"] else FRAME_SIZE
    return Procgen(found["game"], found["mode"] or "easy", frame_size=size)


def engine_state_in(saved: bytes) -> bytes:
    """Return the engine's own state within one that ``save`` returned, for ``procgen_state`` to look into."""
    start = _STATE_HEAD.size + _STATE_BODY.size
    (*_, length, _) = _STATE_BODY.unpack_from(saved, _STATE_HEAD.size)
    return saved[start : start + length]


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
