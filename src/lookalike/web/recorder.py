"""Games played in the page: each command goes to the game and into a recording's log before it is answered.

The log is written line by line, as `lookalike record` does, so nothing is lost where the browser, the page
or this server goes away. The video is made from it when the play ends: drawn as a terminal, or filmed where
the game is played on the screen.
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
from lookalike.core.protocols import Environment, StepResult
from lookalike.core.types import Observation
from lookalike.environments import make_environment
from lookalike.environments.levels import has_levels, require_part
from lookalike.recordings.jsonl import LogEvent, LogHeader, LogWriter
from lookalike.recordings.recorder import Pace, render_video
from lookalike.recordings.text_safety import clean_command, clean_observation
from lookalike.web import screen_play, shown
from lookalike.web.held import Held
from lookalike.web.library import RECORDINGS_FOLDER, Library
from lookalike.web.screen_play import ActionsWriter

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
        asked: The environment's id as it was asked for.
        environment: The game; drawn larger than it is recorded, where that can be.
        log: Its recording: what was seen and typed, or the actions of a play on the screen.
        seed: What it was started with.
        turns: What was seen and typed so far: (command or ``None``, answer).
        frame: What is on the screen, as a file and its media type; ``None`` in a game of words.
        ended: The game is over.
        score: The game's own, or ``None``.
    """

    key: str
    asked: str
    environment: Environment
    log: LogWriter | ActionsWriter
    seed: int
    started: float
    touched: float
    turns: list[tuple[str | None, str]] = field(default_factory=list)
    frame: tuple[bytes, str] | None = None
    ended: bool = False
    truncated: bool = False
    score: float | None = None
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def on_screen(self) -> bool:
        """Whether it is looked at, and played by keys."""
        return isinstance(self.log, ActionsWriter)

    def state(self, *, since: int = 0) -> dict[str, Any]:
        """Return what the page shows, from a turn on."""
        turns = self.turns[max(since, len(self.turns) - 1) if self.on_screen else since :]
        return {
            "key": self.key,
            "turns": [
                {"command": None if c is None else shown.line(c), "text": shown.text(text)}
                for c, text in turns
            ],
            "count": len(self.turns),
            "frame": None if self.frame is None else len(self.turns),
            "ended": self.ended,
            "score": self.score,
            "actions": [shown.line(a, 60) for a in self.actions()[:_GAMES_WITHOUT_LIST]],
        }

    def actions(self) -> tuple[str, ...]:
        """Return what can be done, where the game says so; nothing once it is over."""
        listed = "admissible_actions" in self.environment.capabilities and not self.ended and not self.closed
        return self.environment.admissible_actions() if listed else ()

    def see(self, observation: Observation, command: str | None) -> str:
        """Take in what is seen now; return its text."""
        text = clean_observation(observation.text or "")
        self.turns.append((command, text))
        if self.on_screen and observation.frame is not None:
            self.frame = screen_play.picture_of(observation.frame)
        self.score = _score(self.environment)
        return text


@dataclass
class AskedPlay:
    """A play that was asked for on the command line: it goes into a file of its own.

    Attributes:
        environment: Environment id.
        seed: What it begins with.
        licence: Of the recording, SPDX.
        log: Where its actions go; the video goes beside it.
        filming: Whether the film is still being made; ``None`` before the play was ended.
    """

    environment: str
    seed: int
    licence: str
    log: Path
    filming: Callable[[], bool] | None = None

    @property
    def over(self) -> bool:
        """Whether it was played and filmed, or could not be filmed."""
        return self.filming is not None and not self.filming()


class Games:
    """All games that are played in pages of this server.

    Args:
        library: Where recordings go.
        clock: Seconds, monotonic.
    """

    def __init__(self, library: Library, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._library = library
        self._clock = clock
        self._held: Held[Game] = Held(
            "This game is not being played any more.",
            remedy="its recording is in the list of recordings; start another game",
        )
        self._lock = threading.Lock()

    def start(self, environment: str, *, seed: int, licence: str, log: Path | None = None) -> Game:
        """Start a game.

        Args:
            environment: Its id.
            seed: What it begins with.
            licence: Of the recording, SPDX.
            log: Where it is written down; ``None`` for a new name among the recordings.

        Raises:
            UnknownNameError: There is no such environment.
            UsageError: Too many games, a seed below 0 or of a level that is kept for judging, or a licence
                that is no SPDX expression.
            GameError: It cannot be started.
            CapabilityError: It shows nothing.
        """
        if not 0 <= seed < 2**31:
            raise UsageError("A seed is a whole number from 0.", got=seed)
        if not _LICENCE.fullmatch(licence):
            raise UsageError(
                "A licence is written as an SPDX expression.",
                got=shown.line(licence),
                expected="e.g. CC0-1.0",
            )
        if has_levels(environment):
            require_part((seed,), "recording")
        self._end_idle()
        if len(self._held) >= MOST_GAMES:
            raise UsageError(
                "Too many games are being played here.",
                got=len(self._held),
                expected=f"at most {MOST_GAMES} at once",
                remedy="end one of them first",
            )
        game = make_environment(screen_play.sharper(environment))
        try:
            if not game.capabilities & {"text", "frames"}:
                raise CapabilityError(
                    "This environment shows neither text nor a picture.",
                    got=environment,
                    remedy="choose another one",
                )
            first = game.reset(seed=seed)
            path = log or self._new_path(environment)
            writer: LogWriter | ActionsWriter
            if first.frame is not None:
                writer = ActionsWriter(path, environment=environment, seed=seed, licence=licence)
            else:
                writer = LogWriter(path, LogHeader(game.id, seed, "human", licence))
        except BaseException:
            game.close()
            raise
        now = self._clock()
        started = Game(path.stem, environment, game, writer, seed, started=now, touched=now)
        text = started.see(first, None)
        if isinstance(writer, LogWriter):
            writer.append(LogEvent("observation", 0.0, text))
        return self._held.put(started.key, started)

    def game(self, key: str) -> Game:
        """Return a game.

        Raises:
            UsageError: It is not being played.
        """
        return self._held.find(key)

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
            most = screen_play.MOST_ACTIONS if game.on_screen else MOST_COMMANDS
            if len(game.turns) > most:
                raise UsageError("This recording is long enough.", got=f"{most} commands")
            now = game.touched = self._clock()
            if isinstance(game.log, ActionsWriter):
                self._act(game, game.log, command)
            else:
                self._type(game, game.log, command, typing_s, at=now - game.started)
        return game

    def _type(self, game: Game, log: LogWriter, command: str, typing_s: float, *, at: float) -> None:
        earliest = log.events[-1].time_s or 0.0
        began = max(earliest, at - min(max(typing_s, Pace().typing_s), 120.0))
        result = game.environment.step(command)
        log.append(LogEvent("action", at, command, typing_s=began))
        text = self._take_in(game, command, result)
        log.append(LogEvent("observation", self._clock() - game.started, text, reward=result.env_reward))

    def _act(self, game: Game, log: ActionsWriter, command: str) -> None:
        known = game.actions()
        if known and command not in known:
            raise UsageError(
                "There is no such action.", got=shown.line(command, 60), expected=", ".join(known)
            )
        result = game.environment.step(command)
        log.append(command, result.env_reward)
        self._take_in(game, command, result)

    def _take_in(self, game: Game, command: str, result: StepResult) -> str:
        game.ended = result.terminated or result.truncated
        game.truncated = result.truncated
        return game.see(result.observation, command)

    def finish(self, key: str) -> Game:
        """End a game and keep its recording, where something was played; an empty one is removed."""
        game = self.game(key)
        self._held.drop(key)
        self._finish(game)
        return game

    def close(self) -> None:
        """End all games; what was played is kept."""
        for game in self._held.drop_all():
            self._finish(game)

    def _finish(self, game: Game) -> None:
        with game.lock:
            if not game.closed:
                game.closed = True
                if isinstance(game.log, ActionsWriter):
                    game.log.close()
                else:
                    self._end(game, game.log)
                game.environment.close()
            if len(game.turns) <= 1:
                game.log.path.unlink(missing_ok=True)
        self._library.forget()

    def _end(self, game: Game, log: LogWriter) -> None:
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
        with log:
            log.append(end)

    def _end_idle(self) -> None:
        now = self._clock()
        for game in self._held.all():
            if now - game.touched > IDLE_S and self._held.drop(game.key) is not None:
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


def make_video(log: Path, progress: Callable[[float], None], *, played: str | None = None) -> Path:
    """Make a recording's video beside its log: drawn as a terminal, or filmed by playing it again.

    Args:
        log: What was typed, or the actions of a play on the screen.
        progress: Called with the finished fraction, 0 to 1.
        played: The environment, where it was played here just now.

    Raises:
        RecordingError: It cannot be made; the log stays.
        GameError: The game cannot be started again.
    """
    if screen_play.waits_for_film(log):
        return screen_play.film(log, progress, known=played)
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
