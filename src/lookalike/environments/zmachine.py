"""Any Z-machine story (Infocom's games, everything written in Inform up to version 8) through Jericho.

Action: a line of text for the story's parser; one command, up to the first full stop. Observation: what the
story prints; a story with a score shows it on a first line of its own, as an interpreter's status line does
(``West of House   Score: 0``), without the count of moves. Reward: change of that score, 0.0 for stories
without one. Terminated: the story asks whether to restart, restore or quit. Randomness: the machine's own
generator, seeded by ``reset(seed=)``.

Jericho (GPL-2.0-or-later) is an optional extra, used as a dependency. Commands that would write or read
files, or start the story again, never reach it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.core.errors import EnvironmentDiedError, GameError, UsageError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Observation
from lookalike.environments.dictionary_commands import DictionaryBeliefs, usable_words
from lookalike.environments.zmemory import StoryMemory

HOW_TO_PLAY = """Commands are short sentences: a verb, or a verb and a thing, sometimes with a second thing.
Move with n, s, e, w, ne, nw, se, sw, u, d, in, out. "get lamp", "drop lamp", "open door", "examine door",
"inventory" tells what you carry, "look" describes the place again."""

MAX_SEED = 2**31 - 1
_STATE_FORMAT = "zmachine-state/1"
_MAX_STORY_BYTES = 1 << 20
_MAX_COMMAND_CHARACTERS = 120
_MAX_NARRATIVE_BYTES = 8191
"""What the engine has room for; it copies whatever it is given."""
_NOT_HERE = "(That command is switched off here.)"
_GAME_IS_OVER = "The game is over."
# First six letters, which is what a version-3 parser reads. These write or read files of the host, or
# begin the story again inside an episode.
_SWITCHED_OFF = frozenset(
    ("save", "restor", "restar", "quit", "q", "script", "unscri", "record", "replay", "transc", "notran")
)
_END = re.compile(r"RESTART[^.?]{0,60}RESTORE[^.?]{0,60}QUIT", re.IGNORECASE)
_DIED = re.compile(r"\*\s*You have died\s*\*", re.IGNORECASE)
_STATUS_LINE = re.compile(r"\A\s*>?\s?\S.*\s(Moves|Turns): *-?\d+[^\n]*\n?")


class ZMachine:
    """A story file as an :class:`~lookalike.core.protocols.Environment`.

    Args:
        story: Path of a .z3, .z4, .z5, .z7 or .z8 file.

    Raises:
        GameError: Jericho is not installed, or the file is missing or no story.
    """

    id: str
    how_to_play = HOW_TO_PLAY

    def __init__(self, story: str | Path) -> None:
        self.id = f"zmachine:{story}"
        self._path = Path(story)
        self._story = _read_story(self._path)
        self._fingerprint = hashlib.sha256(self._story).hexdigest()
        self._check_story()  # before the engine sees it: a damaged file crashes Frotz
        start = StoryMemory(self._story)
        start.verify()
        self._shows_score = start.shows_score
        capabilities: list[Capability] = ["text", "save_restore", "admissible_actions"]
        self.capabilities: frozenset[Capability] = frozenset(
            [*capabilities, "score"] if self._shows_score else capabilities
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "not fully supported": we read the machine's memory ourselves
            self._machine: Any = _jericho().FrotzEnv(str(self._path), seed=1)
        self._words = usable_words(self._machine.get_dictionary())
        self._beliefs: Any = self._new_beliefs()
        self._score = self._deaths = 0
        self._visited: set[str] = set()
        self._playing = False
        self._over = False

    def reset(self, *, seed: int) -> Observation:
        """Start the story.

        Raises:
            UsageError: ``seed`` is not an integer in 0 … 2**31 - 1.
            GameError: The environment was closed.
        """
        machine = self._open()
        machine.seed(jericho_seed(seed))
        text, _ = machine.reset()
        self._beliefs = self._new_beliefs()
        self._visited = set()
        self._over, self._playing = False, True
        self._score = self._deaths = 0
        text = self._observe(text)
        self._score = self._score_now(self.memory())
        self._beliefs.read(None, text)
        return Observation(text=text)

    def step(self, action: str) -> StepResult:
        """Play one command.

        Raises:
            EnvironmentDiedError: The machine halted on an error of the story. The engine tells after it
                wrote where the story told it to, up to 64 KiB off in this process's memory: a worker ends
                its process then, and so should whoever plays without one.
            GameError: Before the first ``reset``.
        """
        machine = self._started()
        if self._over:
            return StepResult(Observation(text=_GAME_IS_OVER), terminated=True)
        command = one_command(action)
        if command is None:
            return StepResult(Observation(text=self._with_status(_NOT_HERE, self.memory())))
        raw, _, _, _ = machine.step(command)
        if machine._emulator_halted():
            self._playing = False
            raise EnvironmentDiedError(
                "The Z-machine halted on a runtime error of the story.",
                got=f"{self.id}, after {command!r}",
                expected="a story that runs",
                remedy="Reset to go on; the episode is lost.",
            )
        text = self._observe(raw)
        self._beliefs.read(command, text)
        score = self._score_now(self.memory())
        reward, self._score = float(score - self._score), score
        self._over = _END.search(raw) is not None
        self._deaths += _DIED.search(raw) is not None
        return StepResult(Observation(text=text), env_reward=reward, terminated=self._over)

    def admissible_actions(self) -> tuple[str, ...]:
        """Return commands made of the story's dictionary and the text read so far, never of its memory."""
        self._started()
        return () if self._over else tuple(self._beliefs.commands())

    def canonical(self, action: str) -> str:
        """Return an action as :meth:`step` plays it: lower case, single blanks."""
        return one_command(action) or ""

    def save(self) -> bytes:
        """Return the machine's whole state as JSON (about 25 kB): plain data, checked when it is restored."""
        ram, stack, pc, sp, fp, frames, opcode, rng, narrative = self._started().get_state()
        state = {
            "format": _STATE_FORMAT,
            "story": self._fingerprint,
            "ram": base64.b64encode(ram.tobytes()).decode(),
            "stack": base64.b64encode(stack.tobytes()).decode(),
            "registers": [int(value) for value in (pc, sp, fp, frames, opcode)],
            "random": [int(value) for value in rng],
            "narrative": base64.b64encode(narrative).decode(),
            "counts": [self._score, self._deaths],
            "visited": sorted(self._visited),
            "over": self._over,
            "beliefs": self._beliefs.to_json(),
        }
        return json.dumps(state, separators=(",", ":")).encode()

    def restore(self, state: bytes) -> None:
        """Go back to a saved state exactly, random generator included.

        Raises:
            GameError: ``state`` was not made by :meth:`save` for this story.
        """
        machine = self._open()
        if not self._playing:
            machine.reset()
        now = machine.get_state()
        try:
            data = json.loads(state)
            if data["format"] != _STATE_FORMAT or data["story"] != self._fingerprint:
                raise ValueError("another format or another story")
            ram, stack = _array(data["ram"], now[0]), _array(data["stack"], now[1])
            registers = [int(value) for value in data["registers"]]
            random_state = tuple(int(value) for value in data["random"])
            if len(registers) != 5 or len(random_state) != 3 or not 0 < registers[0] < len(self._story):
                raise ValueError("registers out of range")
            if not 0 <= registers[1] <= len(stack) // 2 or not 0 <= registers[2] <= len(stack) // 2:
                raise ValueError("stack pointers out of range")
            narrative = base64.b64decode(data["narrative"], validate=True)
            if len(narrative) > _MAX_NARRATIVE_BYTES:
                raise ValueError("a narrative longer than the engine's buffer")
            beliefs = self._beliefs_from(data["beliefs"])
            score, deaths = (int(count) for count in data["counts"])
            visited, over = set(data["visited"]), bool(data["over"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GameError(
                "This is no saved state of this story.",
                got=f"{state[:60]!r} ({type(error).__name__}: {error})",
                expected=f"bytes from save() of {self.id}",
                remedy="Pass what save() returned, unchanged, to the same story.",
            ) from error
        machine.set_state((ram, stack, *registers, random_state, narrative))
        self._beliefs, self._visited = beliefs, visited
        self._score, self._deaths, self._over, self._playing = score, deaths, over, True

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on.

        ``finished``; ``deaths``, counted by the story's own words; in version 3 ``place`` and ``visited``
        (titles); where there is a score, ``score`` and ``moves``.
        """
        self._started()
        memory = self.memory()
        facts: dict[str, Any] = {"finished": self._over, "deaths": self._deaths}
        if memory.version == 3:
            facts["place"] = memory.name(memory.global_variable(0))
            facts["visited"] = sorted(self._visited)
        if self._shows_score:
            facts["score"] = memory.global_variable(1)
            facts["moves"] = memory.global_variable(2)
        return facts

    def close(self) -> None:
        """Free the machine. Closing twice is harmless."""
        if self._machine is not None:
            self._machine.close()
        self._machine, self._playing = None, False

    def memory(self) -> StoryMemory:
        """Return the machine's memory now, for facts."""
        return StoryMemory(self._story, self._started()._get_ram().tobytes())

    def _check_story(self) -> None:
        """Refuse a story that is not the one a subclass is for."""

    def _new_beliefs(self) -> Any:
        return DictionaryBeliefs(self._words)

    def _beliefs_from(self, data: Any) -> Any:
        return DictionaryBeliefs.from_json(self._words, data)

    def _observe(self, raw: str) -> str:
        """Clean the interpreter's output and put the present status line before it."""
        memory = self.memory()
        if memory.version == 3:
            self._visited.add(memory.name(memory.global_variable(0)))
        body = _STATUS_LINE.sub("", raw, count=1)
        lines = [line.rstrip() for line in re.sub(r"\A\s*>", "", body).split("\n")]
        return self._with_status(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n"), memory)

    def _with_status(self, body: str, memory: StoryMemory) -> str:
        if not self._shows_score:
            return body
        status = f"{memory.name(memory.global_variable(0))}   Score: {memory.global_variable(1)}"
        return f"{status}\n{body}" if body else status

    def _score_now(self, memory: StoryMemory) -> int:
        return memory.global_variable(1) if self._shows_score else 0

    def _open(self) -> Any:
        if self._machine is None:
            raise GameError("This environment was closed.", remedy="Make a new one.")
        return self._machine

    def _started(self) -> Any:
        machine = self._open()
        if not self._playing:
            raise GameError(
                f"{self.id} has not been started.", remedy="Call reset(seed=...) or restore(state) first."
            )
        return machine


def jericho_seed(seed: int) -> int:
    """Map a seed to one that Jericho uses as it is: one more, because it reads 0 and -1 as the clock.

    Raises:
        UsageError: ``seed`` is not an integer in 0 … 2**31 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise UsageError(
            "A seed for a Z-machine must be an integer that fits 31 bits.",
            got=repr(seed),
            expected=f"0 … {MAX_SEED}",
            remedy="Derive it with lookalike.core.derive_seed(..., bits=31).",
        )
    # The engine takes a signed 32-bit number: the last seed becomes the most negative one, which is free.
    return seed + 1 if seed < MAX_SEED else -(2**31)


def one_command(action: str) -> str | None:
    """Return the one command to play, or ``None`` for a command that is switched off here.

    A line may hold several commands for the parser ("n. open door"); only the first counts, so that a step
    is a step.
    """
    line = " ".join(action.lower().split())
    line = re.split(r"\.|\bthen\b", line, maxsplit=1)[0]
    words = re.findall(r"[a-z]+", line)
    if line.startswith(("#", "$")) or any(word[:6] in _SWITCHED_OFF for word in words):
        return None
    # What is left out has no use in a command; a backslash would speak to the interpreter.
    return " ".join(re.sub(r"[^a-z0-9 ,'\"?!-]", " ", line).split())[:_MAX_COMMAND_CHARACTERS].strip()


def _array(encoded: str, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    data = np.frombuffer(base64.b64decode(encoded, validate=True), dtype=np.uint8).copy()
    if data.shape != like.shape:
        raise ValueError(f"memory of {data.shape[0]} bytes, not {like.shape[0]}")
    return data


def _read_story(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _MAX_STORY_BYTES:
            raise GameError(
                "This file is too large for a Z-machine story.",
                got=f"{path}: {size} bytes",
                expected=f"at most {_MAX_STORY_BYTES} bytes",
                remedy="Give the path of a .z3, .z4, .z5, .z7 or .z8 file.",
            )
        return path.read_bytes()
    except OSError as error:
        raise GameError(
            "The story file cannot be read.",
            got=str(error),
            expected="a Z-machine story",
            remedy="Check the path.",
        ) from error


@functools.cache
def _jericho() -> Any:
    try:
        import jericho
    except ImportError as error:
        raise GameError(
            "Z-machine stories need Jericho, which is not installed.",
            got=str(error),
            expected="the optional package jericho 3.3 (GPL-2.0-or-later; compiles with make and gcc)",
            remedy="Run `make zork`, or `pip install --no-deps jericho`.",
        ) from error
    return jericho
