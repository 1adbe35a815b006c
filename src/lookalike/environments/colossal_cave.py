"""Colossal Cave Adventure (Crowther and Woods 1977, 350 points), on the ``adventure`` package.

Action: one or two words of the game's vocabulary, any case. Observation: the game's text, in the game's
upper case, paragraphs apart by a blank line. Start: the end of the road before the well house, after "no"
to the offer of instructions (asking for them costs points). Reward: change of the game's score; it starts
at 36 of 350 (what is left if one stops at once). Terminated: when the game says so; being killed asks a
yes/no question first and is not the end. Randomness: one generator, seeded by ``reset(seed=)``: the dwarves,
the pirate, pits in the dark, and some passages.

Commands that would make the engine open files (``save NAME``) never reach it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lookalike.core.errors import GameError
from lookalike.core.protocols import StepResult
from lookalike.core.types import Capability, Observation
from lookalike.environments.colossal_cave_state import decode_game, encode_game, new_game
from lookalike.environments.commands import TextBeliefs, load_command_table

HOW_TO_PLAY = """Commands are one or two words. Move with n, s, e, w, ne, nw, se, sw, u, d, enter, out.
Take things with "get lamp", leave them with "drop lamp"; "inventory" tells what you carry.
"on" and "off" switch the lamp; walking in the dark is deadly. "look" describes the place again.
Some objects do something: "unlock grate", "swing rod", "throw axe", "pour water", "feed bear".
Some words are magic. Treasures count when they are dropped inside the building.
Answer questions yes or no."""

_STATE_FORMAT = "colossal-cave-state/1"
_BUILDING = 3  # the room where treasures count
_SUSPEND = 2030  # the vocabulary's number for suspend, pause and save: the engine would open a file
_MAX_WORDS = 8


class ColossalCave:
    """Colossal Cave as an :class:`~lookalike.core.protocols.Environment`."""

    id = "colossal-cave"
    capabilities: frozenset[Capability] = frozenset(("text", "save_restore", "admissible_actions", "score"))
    how_to_play = HOW_TO_PLAY

    def __init__(self) -> None:
        self._table = load_command_table("colossal-cave")
        self._game: Any = None
        self._beliefs = TextBeliefs(self._table)
        self._visited: set[int] = set()
        self._score = 0

    def reset(self, *, seed: int) -> Observation:
        """Start the game, answer "no" to the instructions, and return the first description.

        Raises:
            UsageError: ``seed`` is not an integer >= 0.
        """
        self._game = new_game(seed)
        text = _clean(self._game.do_command(["no"]))
        self._beliefs = TextBeliefs(self._table)
        self._beliefs.read(None, text)
        self._visited = {self._game.loc.n}
        self._score = self._game.compute_score()[0]
        return Observation(text=text)

    def step(self, action: str) -> StepResult:
        """Play one command; what the game does not know it answers in its own words.

        Raises:
            GameError: Before the first ``reset``.
        """
        game = self._playing()
        if game.is_finished:
            return StepResult(Observation(text="THE GAME IS OVER."), terminated=True)
        words = re.findall(r"\w+", action.lower())[:_MAX_WORDS]
        if words and getattr(game.vocabulary.get(words[0]), "n", None) == _SUSPEND:
            words = [words[0]]
        text = _clean(game.do_command(words or [""]))
        self._visited.add(game.loc.n)
        self._beliefs.read(action, text)
        score = game.compute_score()[0]
        reward, self._score = float(score - self._score), score
        return StepResult(
            Observation(text=text or "OK"), env_reward=reward, terminated=bool(game.is_finished)
        )

    def admissible_actions(self) -> tuple[str, ...]:
        """Return the commands that the text so far makes plausible; yes and no while a question is open.

        The pending question is the one fact taken from the engine; the game has just printed it.
        """
        game = self._playing()
        if game.is_finished:
            return ()
        if game.yesno_callback is not None:
            return ("no", "yes")
        return self._beliefs.commands()

    def canonical(self, action: str) -> str:
        """Return the spelling :meth:`admissible_actions` uses, e.g. ``"take lantern"`` → ``"get lamp"``."""
        return self._beliefs.canonical(action)

    def save(self) -> bytes:
        """Return the whole state as JSON text (about 10 kB): plain data, safe to keep and to read back."""
        game = self._playing()
        state = {
            "format": _STATE_FORMAT,
            "game": encode_game(game),
            "visited": sorted(self._visited),
            "score": self._score,
            "beliefs": self._beliefs.to_json(),
        }
        return json.dumps(state, separators=(",", ":")).encode()

    def restore(self, state: bytes) -> None:
        """Go back to a saved state exactly, random generator included.

        Raises:
            GameError: ``state`` was not made by :meth:`save`.
        """
        try:
            data = json.loads(state)
            if data["format"] != _STATE_FORMAT:
                raise ValueError(data["format"])
            game = decode_game(data["game"])
            beliefs = TextBeliefs.from_json(self._table, data["beliefs"])
            visited, score = set(data["visited"]), int(data["score"])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise GameError(
                "This is no saved state of Colossal Cave.",
                got=f"{state[:60]!r} ({type(error).__name__}: {error})",
                expected=f"bytes from ColossalCave.save() in format {_STATE_FORMAT!r}",
                remedy="Pass what save() returned, unchanged.",
            ) from error
        self._game, self._beliefs, self._visited, self._score = game, beliefs, visited, score

    def facts(self) -> Mapping[str, Any]:
        """Return what goals are decided on; JSON values only.

        ``score``, ``max_score`` (points); ``inventory`` and ``deposited`` (treasures in the building), names
        sorted; ``found``: treasures seen; ``place`` and ``visited``: room numbers of the original data file
        (3 the building, 11 debris room, 15 Hall of Mists, 19 Hall of the Mountain King, 33 Y2);
        ``lamp_on``, ``lit`` (one can see here), ``snake_gone``, ``bridge``, ``grate_open``,
        ``dragon_dead``, ``closed``; ``turns``, ``deaths``; ``dead``, ``won`` (350 points at the end),
        ``finished``.
        """
        game = self._playing()
        score, max_score = game.compute_score()
        return {
            "score": score,
            "max_score": max_score,
            "inventory": sorted(thing.names[0] for thing in game.inventory),
            "deposited": sorted(
                thing.names[0]
                for thing in game.treasures
                if thing.prop == 0 and any(room.n == _BUILDING for room in thing.rooms)
            ),
            "found": sorted(thing.names[0] for thing in game.treasures if thing.prop >= 0),
            "place": game.loc.n,
            "visited": sorted(self._visited),
            "lamp_on": bool(game.lamp.prop == 1),
            "lit": not game.is_dark,
            "snake_gone": bool(game.snake.prop == 1),
            "bridge": bool(game.fissure.prop == 1),
            "grate_open": bool(game.grate.prop == 1),
            "dragon_dead": bool(game.dragon.prop == 2),
            "closed": bool(game.is_closed),
            "turns": game.turns,
            "deaths": game.deaths,
            "dead": bool(game.is_dead),
            "won": bool(game.is_finished and score == max_score),
            "finished": bool(game.is_finished),
        }

    def close(self) -> None:
        """Forget the game."""
        self._game = None

    def _playing(self) -> Any:
        if self._game is None:
            raise GameError(
                "Colossal Cave has not been started.", remedy="Call reset(seed=...) or restore(state) first."
            )
        return self._game


def _clean(text: str) -> str:
    """Trim blank lines at both ends; paragraphs stay apart by single blank lines."""
    lines = [line.rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
