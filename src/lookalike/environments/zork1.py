"""Zork I, release 119 (Infocom 1988, 350 points; the story is under the MIT licence since November 2025).

The story file is not shipped: ``lookalike games install zork1`` fetches it, and its hash is checked.
Action, observation, reward, end and randomness are those of :mod:`lookalike.environments.zmachine`; the
thief, the troll and every fight are random. Jericho does not know this release, so score, place and
possessions are read from the machine's own globals and objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lookalike.core.errors import GameError
from lookalike.environments.commands import TextBeliefs, load_command_table
from lookalike.environments.games import ZORK1_SHA256, zork1_path
from lookalike.environments.zmachine import ZMachine
from lookalike.environments.zmemory import StoryMemory

HOW_TO_PLAY = """Commands are short sentences. Move with n, s, e, w, ne, nw, se, sw, u, d, in, out.
"get lamp", "drop lamp", "open window", "light lamp", "kill troll with sword", "tie rope to railing",
"put painting in case", "inventory" tells what you carry, "look" describes the place again.
The dark is deadly without a light. Treasures count when found and again when put in the trophy case."""

MAX_SCORE = 350
_PLAYER, _TROPHY_CASE, _TROLL, _THIEF = "cretin", "trophy case", "troll", "thief"


class Zork1(ZMachine):
    """Zork I as an :class:`~lookalike.core.protocols.Environment`.

    Raises:
        GameError: The story is not installed or is another release, or Jericho is missing.
    """

    how_to_play = HOW_TO_PLAY

    def __init__(self) -> None:
        path = zork1_path()
        if not path.is_file():
            raise GameError(
                "Zork I is not installed.",
                got=f"no file {path}",
                expected="release 119, serial 880429",
                remedy="Run `lookalike games install zork1`, or with `--from FILE` for a copy you have.",
            )
        self._table = load_command_table("zork1")
        super().__init__(path)
        self.id = "zork1"
        memory = StoryMemory(self._story)
        self._numbers = {name: memory.find(name) or 0 for name in (_PLAYER, _TROPHY_CASE, _TROLL, _THIEF)}

    def _check_story(self) -> None:
        found = self._fingerprint
        if found != ZORK1_SHA256:
            raise GameError(
                "The installed Zork I is another release or damaged.",
                got=f"{self._path}: SHA-256 {found}",
                expected=f"release 119: SHA-256 {ZORK1_SHA256}",
                remedy="Delete the file and run `lookalike games install zork1`.",
            )

    def canonical(self, action: str) -> str:
        """Return the spelling :meth:`admissible_actions` uses, e.g. ``"Take lantern"`` → ``"get lamp"``."""
        return str(self._beliefs.canonical(action))

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on; JSON values only.

        ``score``, ``max_score``, ``moves``; ``place`` and ``visited``, titles as the status line shows them;
        ``inventory`` and ``in_case`` (the trophy case), the story's short names, sorted, containers not
        opened; ``troll_gone``, ``thief_gone`` (removed from the world); ``deaths``; ``won`` (350 points),
        ``finished``.
        """
        facts = dict(super().facts())
        memory = self.memory()
        numbers = self._numbers
        facts["max_score"] = MAX_SCORE
        facts["inventory"] = sorted(memory.name(one) for one in memory.contents(numbers[_PLAYER]))
        facts["in_case"] = sorted(memory.name(one) for one in memory.contents(numbers[_TROPHY_CASE]))
        facts["troll_gone"] = memory.parent(numbers[_TROLL]) == 0
        facts["thief_gone"] = memory.parent(numbers[_THIEF]) == 0
        facts["won"] = bool(facts["score"] >= MAX_SCORE)
        return facts

    def _new_beliefs(self) -> Any:
        return TextBeliefs(self._table)

    def _beliefs_from(self, data: Any) -> Any:
        return TextBeliefs.from_json(self._table, data)
