"""The Procgen engine, driven safely: levels by number, exact states, the frame in two sizes.

The engine is C++ and answers whatever it does not expect by ending the process, so every mode, level and
state is checked here before it gets there. Its Python side asks for ``gym``, which is not needed: its three
names are there only while it is imported.

A level is not made by a new engine but in the one there is: the range of levels in a pristine state is
rewritten and an episode is ended. What follows equals a new engine's, step by step (a test compares them over
all games), and a vector of games can begin different levels.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import struct
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lookalike.core.errors import GameError, UsageError
from lookalike.core.types import Frame

MODES = {"easy": 0, "hard": 1}
MAX_LEVEL = 2**31 - 2
MAX_STATE_BYTES = 1 << 20
"""What the engine itself reserves for a state."""
FRAME_SIZE, LARGE_FRAME_SIZE = 64, 512
_END_EPISODE = -1
_INT = struct.Struct("<i")
_LEVELS_AFTER_NAME = 13  # whole numbers between the game's name and the range of levels in a state
_STUBS = ("gym", "gym.envs", "gym.envs.registration")


class EngineStep(NamedTuple):
    """What a step did.

    Attributes:
        reward: In points.
        ended: The episode is over; the engine has begun the level anew.
        complete: It is over because the level was completed.
        frame: uint8 [64, 64, 3]; after the end it shows the level's beginning.
    """

    reward: float
    ended: bool
    complete: bool
    frame: Frame


class ProcgenEngine:
    """One game in one mode.

    Args:
        game: One of Procgen's sixteen.
        mode: ``"easy"`` or ``"hard"``.
        large: Draw frames of 512 x 512 pixels in place of 64 x 64; costs about 8 ms each.

    Raises:
        GameError: Procgen is not installed, or cannot be loaded.
        UsageError: There is no such game or mode.
    """

    def __init__(self, game: str, mode: str, *, large: bool = False) -> None:
        if mode not in MODES:
            raise UsageError(
                "Procgen's games are played easy or hard.",
                got=mode,
                expected=" or ".join(MODES),
                remedy="The engine's other modes exist for some games only and end the process elsewhere.",
            )
        self._env: Any = _load().ProcgenGym3Env(
            num=1,
            env_name=game,
            distribution_mode=mode,
            num_levels=1,
            start_level=0,
            rand_seed=0,
            num_threads=0,
            render_mode="rgb_array" if large else None,
        )
        self._large = large
        self._action = np.zeros(1, np.int32)
        self._buffer = self._env._ffi.new(f"char[{MAX_STATE_BYTES}]")
        self._pristine = self.state()
        levels = _levels_offset(self._pristine)
        if struct.unpack_from("<ii", self._pristine, levels) != (0, 1):
            raise GameError(
                "This version of Procgen writes its states in another way.",
                got=f"{struct.unpack_from('<ii', self._pristine, levels)} for levels 0 to 1",
                expected="procgen2 0.10.7 or one that agrees with it",
                remedy="Install procgen2==0.10.7.",
            )
        self._levels_offset = levels

    def start(self, level: int) -> Frame:
        """Begin a level.

        Raises:
            UsageError: The level is none of 0 to 2**31 - 2.
        """
        if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= MAX_LEVEL:
            raise UsageError(
                "A Procgen level is a whole number.", got=repr(level), expected=f"0 to {MAX_LEVEL}"
            )
        state = bytearray(self._pristine)
        struct.pack_into("<ii", state, self._levels_offset, level, level + 1)
        self.set_state(bytes(state))
        self._act(_END_EPISODE)
        return self.frame()

    def step(self, action: int) -> EngineStep:
        """Play an action, 0 to 14."""
        self._act(action)
        ended = bool(self._env._first[0])
        complete = ended and bool(self._env._info["prev_level_complete"][0])
        return EngineStep(float(self._env._rew[0]), ended, complete, self.frame())

    def frame(self) -> Frame:
        """Return the present frame, a copy."""
        if not self._large:
            return np.array(self._env._ob["rgb"][0])
        self._env.observe()
        return np.array(self._env._info["rgb"][0])

    def state(self) -> bytes:
        """Return the engine's whole state."""
        length = self._env.call_c_func("get_state", 0, self._buffer, MAX_STATE_BYTES)
        return bytes(self._env._ffi.buffer(self._buffer, length))

    def set_state(self, state: bytes) -> None:
        """Go back to a state of the same game; one that the engine did not write can end the process."""
        self._env.call_c_func("set_state", 0, state, len(state))

    def close(self) -> None:
        """Free the engine's memory."""
        self._env.close()

    def _act(self, action: int) -> None:
        self._action[0] = action
        self._env.act(self._action)


class EngineClock(NamedTuple):
    """Where in its episode a state is.

    Attributes:
        level: The level's number.
        steps: Steps taken since it began.
        limit: Steps after which the engine ends the episode.
    """

    level: int
    steps: int
    limit: int


def read_clock(state: bytes) -> EngineClock:
    """Read level, steps and the engine's own step limit out of a state."""
    offset = after_generators(state)
    _, _, _, _, limit, level = struct.unpack_from("<fiiiii", state, offset)
    # level, previous level, episodes left, ended, reward timer, reward, default action, asset seed, time
    (steps,) = _INT.unpack_from(state, offset + 5 * 4 + 8 * 4)
    return EngineClock(level, steps, limit)


def after_generators(state: bytes) -> int:
    """Return where a state goes on behind its two random generators, which are texts of varying length."""
    offset = _levels_offset(state) + 4 * 4  # levels from and to, game type, game number
    for _ in range(2):
        length: int = _INT.unpack_from(state, offset + 4)[0]
        offset += 8 + length
    return offset


def procgen_installed() -> bool:
    """Return whether the engine's package is there (it may still not load)."""
    return all(importlib.util.find_spec(name) is not None for name in ("procgen", "gym3", "cffi"))


def _levels_offset(state: bytes) -> int:
    length: int = _INT.unpack_from(state, 4)[0]
    return 8 + length + 4 * _LEVELS_AFTER_NAME


@functools.cache
def _load() -> Any:
    try:
        with _without_gym(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it leaves a file open
            import procgen
    except (ImportError, OSError, AssertionError) as error:
        raise GameError(
            "Procgen is not installed, or cannot be loaded.",
            got=f"{type(error).__name__}: {error}",
            expected="the packages procgen2, gym3, cffi, filelock and imageio",
            remedy="Run `make visual`, or: pip install --no-deps procgen2==0.10.7 gym3==0.3.3 && "
            "pip install cffi filelock imageio",
        ) from error
    return procgen


@contextlib.contextmanager
def _without_gym() -> Iterator[None]:
    """Stand in for ``gym``, which Procgen wants in order to register itself, while it is imported."""
    if "gym" in sys.modules or importlib.util.find_spec("gym") is not None:
        yield
        return
    for name in _STUBS:
        sys.modules[name] = types.ModuleType(name)
    sys.modules[_STUBS[-1]].register = lambda **_: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name in _STUBS:
            sys.modules.pop(name, None)
