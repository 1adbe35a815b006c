"""Games played in the page: each command goes to the game and into a recording's log before it is answered.

The log is written line by line, as `lookalike record` does, so nothing is lost where the browser, the page
or this server goes away. The video is drawn from it when the play ends.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookalike.core.errors import CapabilityError, LookalikeError, UsageError
from lookalike.core.protocols import Environment
from lookalike.environments import environment_ids, make_environment
from lookalike.environments.registry import environment_description
from lookalike.recordings.jsonl import LogEvent, LogHeader, LogWriter
from lookalike.recordings.recorder import Pace, render_video
from lookalike.recordings.text_safety import clean_command, clean_observation
from lookalike.web import shown
from lookalike.web.library import RECORDINGS_FOLDER, Library

MOST_GAMES = 4
MOST_COMMANDS = 5_000
IDLE_S = 3600.0
"""A game nobody plays for so long is ended and kept."""
_NAME = re.compile(r"[^a-z0-9]+")
_LICENCE = re.compile(r"[A-Za-z0-9.+() -]{1,60}")
_GAMES_WITHOUT_LIST = 60


@dataclass
class Game:
    """A game that somebody plays.

    Attributes:
        key: Names it in addresses.
        environment: The game.
        log: Its recording.
        seed: What it was started with.
        turns: What was seen and typed so far: (command or ``None``, answer).
        ended: The game is over.
        score: The game's own, or ``None``.
    """

    key: str
    environment: Environment
    log: LogWriter
    seed: int
    started: float
    touched: float
    turns: list[tuple[str | None, str]] = field(default_factory=list)
    ended: bool = False
    truncated: bool = False
    score: float | None = None
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def state(self, *, since: int = 0) -> dict[str, Any]:
        """Return what the page shows, from a turn on."""
        listed = "admissible_actions" in self.environment.capabilities and not self.ended and not self.closed
        return {
            "key": self.key,
            "turns": [
                {"command": None if c is None else shown.line(c), "text": shown.text(text)}
                for c, text in self.turns[since:]
            ],
            "count": len(self.turns),
            "ended": self.ended,
            "score": self.score,
            "actions": [
                shown.line(a, 60) for a in self.environment.admissible_actions()[:_GAMES_WITHOUT_LIST]
            ]
            if listed
            else [],
        }


class Games:
    """All games that are played in pages of this server.

    Args:
        library: Where recordings go.
        clock: Seconds, monotonic.
    """

    def __init__(self, library: Library, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._library = library
        self._clock = clock
        self._games: dict[str, Game] = {}
        self._lock = threading.Lock()

    def offered(self) -> list[dict[str, str]]:
        """Return the environments that can be played here by typing."""
        return [{"id": name, "description": environment_description(name)} for name in environment_ids()]

    def start(self, environment: str, *, seed: int, licence: str) -> Game:
        """Start a game.

        Raises:
            UnknownNameError: There is no such environment.
            UsageError: Too many games, a seed below 0, or a licence that is no SPDX expression.
            GameError: It cannot be started.
            CapabilityError: It has no text.
        """
        if not 0 <= seed < 2**31:
            raise UsageError("A seed is a whole number from 0.", got=seed)
        if not _LICENCE.fullmatch(licence):
            raise UsageError(
                "A licence is written as an SPDX expression.",
                got=shown.line(licence),
                expected="e.g. CC0-1.0",
            )
        self._end_idle()
        with self._lock:
            if len(self._games) >= MOST_GAMES:
                raise UsageError(
                    "Too many games are being played here.",
                    got=len(self._games),
                    expected=f"at most {MOST_GAMES} at once",
                    remedy="end one of them first",
                )
        game = make_environment(environment)
        try:
            if "text" not in game.capabilities:
                raise CapabilityError(
                    "This environment has no text to play by.",
                    got=environment,
                    remedy="choose one that is played by typing",
                )
            text = clean_observation(game.reset(seed=seed).text or "")
            path = self._new_path(environment)
            log = LogWriter(path, LogHeader(game.id, seed, "human", licence))
        except BaseException:
            game.close()
            raise
        now = self._clock()
        started = Game(path.stem, game, log, seed, started=now, touched=now)
        log.append(LogEvent("observation", 0.0, text))
        started.turns.append((None, text))
        started.score = _score(game)
        with self._lock:
            self._games[started.key] = started
        return started

    def game(self, key: str) -> Game:
        """Return a game.

        Raises:
            UsageError: It is not being played.
        """
        with self._lock:
            found = self._games.get(key)
        if found is None:
            raise UsageError(
                "This game is not being played any more.",
                remedy="its recording is in the list of recordings; start another game",
            )
        return found

    def command(self, key: str, text: str, *, typing_s: float = 0.0) -> Game:
        """Play a command and write it down.

        Args:
            key: Which game.
            text: What was typed.
            typing_s: How long ago typing began, in seconds.

        Raises:
            UsageError: An empty line, a game that is over, or too many commands.
            GameError: The game hung or died; what was played is kept.
        """
        game = self.game(key)
        command = clean_command(text)
        if not command:
            raise UsageError("An empty line is no command.")
        with game.lock:
            if game.ended or game.closed:
                raise UsageError("This game is over.", remedy="finish the recording, or start another game")
            if len(game.turns) > MOST_COMMANDS:
                raise UsageError("This recording is long enough.", got=f"{MOST_COMMANDS} commands")
            now = game.touched = self._clock()
            at = now - game.started
            earliest = game.log.events[-1].time_s or 0.0
            began = max(earliest, at - min(max(typing_s, Pace().typing_s), 120.0))
            result = game.environment.step(command)
            answer = clean_observation(result.observation.text or "")
            game.log.append(LogEvent("action", at, command, typing_s=began))
            game.log.append(
                LogEvent("observation", self._clock() - game.started, answer, reward=result.env_reward)
            )
            game.turns.append((command, answer))
            game.ended = result.terminated or result.truncated
            game.truncated = result.truncated
            game.score = _score(game.environment)
        return game

    def finish(self, key: str) -> tuple[Path, int]:
        """End a game and keep its recording, where something was played.

        Returns:
            The log, and how many commands it has. An empty one is removed.
        """
        game = self.game(key)
        with self._lock:
            self._games.pop(key, None)
        return self._finish(game)

    def close(self) -> None:
        """End all games; what was played is kept."""
        with self._lock:
            games, self._games = list(self._games.values()), {}
        for game in games:
            self._finish(game)

    def _finish(self, game: Game) -> tuple[Path, int]:
        with game.lock:
            commands = len(game.turns) - 1
            if not game.closed:
                game.closed = True
                parts = [] if game.score is None else [f"{game.score:g} points"]
                if game.ended:
                    parts.append("game over")
                end = LogEvent(
                    "end",
                    self._clock() - game.started,
                    terminated=game.ended and not game.truncated,
                    truncated=game.truncated,
                    outcome=", ".join(parts) or None,
                )
                with game.log:
                    game.log.append(end)
                game.environment.close()
            if commands == 0:
                game.log.path.unlink(missing_ok=True)
        self._library.forget()
        return game.log.path, commands

    def _end_idle(self) -> None:
        now = self._clock()
        with self._lock:
            idle = [key for key, game in self._games.items() if now - game.touched > IDLE_S]
            games = [self._games.pop(key) for key in idle]
        for game in games:
            self._finish(game)

    def _new_path(self, environment: str) -> Path:
        folder = self._library.folder / RECORDINGS_FOLDER
        name = _NAME.sub("-", environment.lower()).strip("-")[:40] or "game"
        number = 1
        with self._lock:
            while any((folder / f"{name}-{number}{end}").exists() for end in (".jsonl", ".mp4")):
                number += 1
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}-{number}.jsonl"
            path.touch(exist_ok=False)  # nobody else takes the name
        return path


def draw_video(log: Path, progress: Callable[[float], None]) -> Path:
    """Draw a recording's video beside its log.

    Raises:
        RecordingError: It cannot be drawn; the log is a recording all the same.
    """
    video = log.with_suffix(".mp4")
    render_video(log, video, progress=progress)
    return video


def _score(game: Environment) -> float | None:
    if "score" not in game.capabilities:
        return None
    try:
        score = game.facts().get("score")
    except LookalikeError:
        return None
    return None if score is None else float(score)
