"""Doom with the Freedoom levels, which ViZDoom brings along: frames of 64 x 64, keys by name."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.core.errors import GameError, UsageError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Frame, Observation
from lookalike.environments.replayed_state import decode_state, encode_state

KEYS = {
    "forward": "MOVE_FORWARD",
    "back": "MOVE_BACKWARD",
    "strafe left": "MOVE_LEFT",
    "strafe right": "MOVE_RIGHT",
    "turn left": "TURN_LEFT",
    "turn right": "TURN_RIGHT",
    "attack": "ATTACK",
    "use": "USE",
}
"""The keys, in the order in which they are named when held together."""
NOTHING = "noop"
OFFERED = (
    NOTHING,
    *KEYS,
    "forward + turn left",
    "forward + turn right",
    "forward + attack",
    "turn left + attack",
    "turn right + attack",
)
TICS = 4
"""Tics (1/35 s) an action is held; 1 where the id ends in ``-tic``, as in recordings."""
FRAME_SIZE, LARGE_FRAME_SIZE = 64, 240
_EXIT_POINTS = 100.0
_ARGUMENT = re.compile(
    r"(?P<wad>freedoom[12])-(?P<map>e[1-4]m[1-9]|map(?:0[1-9]|[12]\d|3[0-2]))(?P<tic>-tic)?(?:@(?P<size>\d+))?"
)
_MAX_SEED = 2**31 - 1


class VizDoom:
    """A level of Freedoom.

    Action space: the names in :data:`OFFERED`; ``step`` knows any of :data:`KEYS` joined by `` + ``. Anything
    else changes nothing and takes no time.
    Observation: a frame, uint8 [64, 64, 3], squeezed from 320 x 240; or [240, 320, 3] itself.
    Start: the level's beginning, on the third of five skills; the seed sets what chance does.
    Reward: 1 point a kill, 100 for reaching the exit; the score is its sum.
    Episode end: ``terminated`` by the exit or by death.

    Args:
        wad: ``freedoom1`` or ``freedoom2``.
        level: ``e1m1`` to ``e4m9``, or ``map01`` to ``map32``.
        tics: Tics an action is held.
        large: Frames of 240 x 320.
        id: Environment id.

    Raises:
        GameError: ViZDoom is not installed, or cannot start.
    """

    def __init__(self, wad: str, level: str, *, tics: int = TICS, large: bool = False, id: str) -> None:
        self.id = id
        self.capabilities: frozenset[Capability] = frozenset(
            ("frames", "save_restore", "admissible_actions", "score")
        )
        self.how_to_play = (
            "You walk through a level full of enemies. Find the exit; use opens doors and works switches. "
            f"Keys: {', '.join(KEYS)}; together: forward + attack."
        )
        self._tics, self._large = tics, large
        self._folder = Path(tempfile.mkdtemp(prefix="lookalike-doom-"))
        try:
            self._engine, self._vizdoom = _start(wad, level, self._folder)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._seed = 0
        self._played: list[str] = []
        self._kills = self._score = 0.0
        self._over = self._exited = self._started = self._closed = False
        self._last: Frame = np.zeros((1, 1, 3), np.uint8)

    def reset(self, *, seed: int) -> Observation:
        """Start the level; the seed sets what chance does in it.

        Raises:
            UsageError: The seed is none of 0 to 2**31 - 1.
        """
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _MAX_SEED:
            raise UsageError("A seed is a whole number.", got=repr(seed), expected=f"0 to {_MAX_SEED}")
        self._engine.set_seed(seed)
        self._engine.new_episode()
        self._seed, self._played = seed, []
        self._kills = self._score = 0.0
        self._over = self._exited = False
        self._started = True
        self._last = self._frame()
        return Observation(frame=self._last.copy())

    def step(self, action: str) -> StepResult:
        """Hold the named keys for the action's tics; an unknown name changes nothing.

        Raises:
            GameError: Before the first ``reset``.
        """
        if not self._started:
            raise GameError(f"{self.id} has not been started.", remedy="Call reset(seed=...) first.")
        held = parse_keys(action)
        before = self._score
        if held is not None and not self._over:
            self._play(held)
            self._played.append(NOTHING if not held else " + ".join(held))
            if not self._over:
                self._last = self._frame()
        return StepResult(Observation(frame=self._last.copy()), self._score - before, self._over)

    def admissible_actions(self) -> tuple[str, ...]:
        """Return the usual keys and combinations, sorted; none once the episode is over."""
        return () if self._over else tuple(sorted(OFFERED))

    def save(self) -> bytes:
        """Return what was played so far: the engine's own saved games are not exact."""
        return encode_state(self.id, self._seed, self._played)

    def restore(self, state: bytes) -> None:
        """Go back by playing again what was played, about 1 ms an action.

        Raises:
            GameError: It is no state of this environment.
        """
        seed, actions = decode_state(self.id, state)
        self.reset(seed=seed)
        for action in actions:
            held = parse_keys(action)
            if held is None or self._over:
                raise GameError("This state holds an action there is not.", got=action[:40])
            self._play(held)
            if not self._over:
                self._last = self._frame()
        self._played = list(actions)

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on.

        ``score``, ``kills``, ``level_complete`` (the exit was reached), ``over``, ``steps`` and ``seed``.
        """
        return {
            "score": self._score,
            "kills": self._kills,
            "level_complete": self._exited,
            "over": self._over,
            "steps": len(self._played),
            "seed": self._seed,
        }

    def close(self) -> None:
        """End the engine. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._engine.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _play(self, held: tuple[str, ...]) -> None:
        self._engine.set_action([key in held for key in KEYS])
        # Drawn every time, in a restored play too: what the engine draws depends on what it drew before.
        self._engine.advance_action(self._tics, True)
        self._over = bool(self._engine.is_episode_finished())
        self._exited = self._over and not self._engine.is_player_dead()
        self._kills = float(self._engine.get_game_variable(self._vizdoom.GameVariable.KILLCOUNT))
        self._score = self._kills + (_EXIT_POINTS if self._exited else 0.0)

    def _frame(self) -> Frame:
        picture: Frame = np.array(self._engine.get_state().screen_buffer, dtype=np.uint8)
        if self._large:
            return picture
        from PIL import Image

        small = Image.fromarray(picture).resize((FRAME_SIZE, FRAME_SIZE), Image.Resampling.BOX)
        return np.array(small, dtype=np.uint8)


def parse_keys(action: str) -> tuple[str, ...] | None:
    """Return the keys that an action holds, in the usual order; ``None`` where one is not known.

    ``weapon N`` of recordings is left out: choosing weapons is not offered here.
    """
    name = " ".join(action.split())
    if name == NOTHING:
        return ()
    parts = {part for part in name.split(" + ") if not re.fullmatch(r"weapon [1-8]", part)}
    if not parts.issubset(KEYS):
        return None
    return tuple(key for key in KEYS if key in parts)


def make_vizdoom(argument: str) -> VizDoom:
    """Make ``vizdoom:freedoom1-e1m4`` or ``vizdoom:freedoom2-map15``; ``-tic`` and ``@240`` may follow.

    Raises:
        UsageError: There is no such level or size.
        GameError: ViZDoom is not installed, or cannot start.
    """
    found = _ARGUMENT.fullmatch(argument)
    fits = found is not None and found["map"].startswith("e" if found["wad"] == "freedoom1" else "map")
    size = int(found["size"] or FRAME_SIZE) if found is not None else 0
    if found is None or not fits or size not in (FRAME_SIZE, LARGE_FRAME_SIZE):
        raise UsageError(
            "A Doom environment is named by its level.",
            got=f"vizdoom:{argument}"[:80],
            expected="vizdoom:freedoom1-e1m1 to e4m9 or vizdoom:freedoom2-map01 to map32, with -tic for one "
            "tic an action and @240 for large frames",
            remedy="E.g. vizdoom:freedoom1-e1m4",
        )
    return VizDoom(
        found["wad"],
        found["map"],
        tics=1 if found["tic"] else TICS,
        large=size == LARGE_FRAME_SIZE,
        id=f"vizdoom:{argument}",
    )


def _start(wad: str, level: str, folder: Path) -> tuple[Any, Any]:
    try:
        import vizdoom
    except ImportError as error:
        raise GameError(
            "ViZDoom is not installed.",
            got=str(error),
            expected="the package vizdoom",
            remedy="Run `make visual`, or: pip install 'lookalike[visual]'",
        ) from error
    engine = vizdoom.DoomGame()
    engine.set_doom_game_path(str(Path(vizdoom.__file__).with_name(f"{wad}.wad")))
    engine.set_doom_map(level.upper())
    engine.set_doom_skill(3)
    engine.set_doom_config_path(str(folder / "doom.ini"))
    engine.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
    engine.set_screen_format(vizdoom.ScreenFormat.RGB24)
    engine.set_render_hud(True)
    engine.set_window_visible(False)
    engine.set_sound_enabled(False)
    engine.set_mode(vizdoom.Mode.PLAYER)
    engine.set_episode_timeout(0)
    engine.set_available_buttons([getattr(vizdoom.Button, button) for button in KEYS.values()])
    try:
        # The engine makes a folder _vizdoom where it is started; it is not to be the user's.
        with contextlib.chdir(folder):
            engine.init()
    except Exception as error:  # its errors have no base class of their own
        raise GameError(
            "Doom could not be started.",
            got=f"{type(error).__name__}: {error}",
            expected="an engine that starts",
            remedy="Check that there is room in /dev/shm and in the temporary folder.",
        ) from error
    return engine, vizdoom
