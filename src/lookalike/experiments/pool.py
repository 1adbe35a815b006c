"""Plays tasks side by side in supervised processes that tell every step as they take it.

A bounded number of processes, each with its own game and model; a slow task holds up nobody but its own
process. A process that dies (killed, out of memory, a crash in a library) is replaced, and its task goes on
from the last step it told; a second death on the same episode is a failed episode.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, Protocol

from lookalike.core.errors import GameError, LookalikeError
from lookalike.experiments.resolved import PlayTask
from lookalike.experiments.session import PlayStopped, Session, SessionSetup
from lookalike.store import EpisodeFailed, EpisodeKey, Event
from lookalike.store.events import ends_episode

DEATHS_PER_EPISODE = 2
"""At this many deaths of its process an episode is a failed one."""
FAILED_STARTS = 3
"""So many processes in a row that end before they can play are the machine's trouble, no episode's."""
_STOP_GRACE_S = 30.0

Logged = Callable[[EpisodeKey], Sequence[Event]]
"""Gives the events of an episode that was begun before, and has not ended; empty for the others."""


class Listener(Protocol):
    """Hears what is played, in one thread; a task's news come in order."""

    def events(self, task: PlayTask, events: tuple[Event, ...]) -> None:
        """Take what happened since the last news of the task."""
        ...

    def ended(self, task: PlayTask) -> None:
        """Nothing is left to be played of the task."""
        ...


@dataclass
class _Player:
    """A process and what it plays now."""

    process: Any
    pipe: Connection
    task: PlayTask | None = None
    ready: bool = False
    left: tuple[int, ...] = ()
    seen: dict[str, list[Event]] = field(default_factory=dict)


class PlayerPool:
    """Plays tasks in processes of their own.

    Args:
        setup: What every process needs to play.
        workers: How many processes.
        listener: Hears every step.
        logged: What the log has of an episode that was begun before.
    """

    def __init__(
        self,
        setup: SessionSetup,
        workers: int,
        *,
        listener: Listener,
        logged: Logged,
    ) -> None:
        self._setup = setup
        self._workers = workers
        self._listener = listener
        self._logged = logged
        self._context = get_context("spawn")
        self._stop = self._context.Event()
        self._players: list[_Player] = []
        self._deaths: dict[EpisodeKey, int] = {}
        self._failed_starts = 0

    def play(self, tasks: Sequence[PlayTask]) -> None:
        """Play the tasks, or, where `stop` is called meanwhile, a part of them.

        Raises:
            LookalikeError: What a process could not go on from: a missing model, an unwritable store.
        """
        waiting = iter(tasks)
        for task in _first(waiting, self._workers):
            self._give(self._hire(), task)
        while any(player.task is not None for player in self._players):
            for player in self._ready():
                self._listen(player)
            for player in self._players:
                if player.task is None and not self._stop.is_set():
                    self._give(player, next(waiting, None))

    def stop(self) -> None:
        """Ask the processes to stop after the step they are at; `play` then comes to its end."""
        self._stop.set()

    def drain(self) -> None:
        """Stop, and hear what the processes still have to tell about the steps they were at."""
        self.stop()
        deadline = time.monotonic() + _STOP_GRACE_S
        while any(p.task is not None for p in self._players) and time.monotonic() < deadline:
            for player in self._ready(timeout=1.0):
                self._listen(player)

    def close(self) -> None:
        """End all processes."""
        for player in self._players:
            with suppress(OSError):
                player.pipe.close()
        for player in self._players:
            player.process.join(timeout=2.0 if player.task is None else 0.1)
            if player.process.is_alive():
                player.process.kill()
                player.process.join()
        self._players.clear()

    @property
    def process_ids(self) -> list[int]:
        """Ids of the processes that play now."""
        return [player.process.pid for player in self._players]

    def _hire(self) -> _Player:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._setup, self._stop, os.getpid()), daemon=False
        )
        with _interrupts_held_back():
            process.start()
        theirs.close()
        player = _Player(process, ours)
        self._players.append(player)
        return player

    def _give(self, player: _Player, task: PlayTask | None) -> None:
        if task is None:
            return
        player.task, player.left = task, task.attempts
        player.seen = {str(task.key(a)): list(self._logged(task.key(a))) for a in task.attempts}
        with suppress(OSError):  # it died just now: its pipe will say so
            player.pipe.send((task, {name: tuple(events) for name, events in player.seen.items()}))

    def _ready(self, timeout: float | None = None) -> list[_Player]:
        busy = {player.pipe: player for player in self._players if player.task is not None}
        return [busy[pipe] for pipe in wait(list(busy), timeout)]  # type: ignore[index]

    def _listen(self, player: _Player) -> None:
        task = player.task
        assert task is not None  # noqa: S101 - only busy players are listened to
        try:
            kind, content = player.pipe.recv()
        except (EOFError, OSError):
            self._bury(player, task)
            return
        if kind == "ready":
            player.ready = True
            self._failed_starts = 0
        elif kind == "events":
            self._follow(player, task, content)
            self._listener.events(task, content)
        elif kind == "ended":
            player.task = None
            self._listener.ended(task)
        elif kind == "stopped":
            player.task = None
        else:
            player.task = None
            raise content

    def _follow(self, player: _Player, task: PlayTask, events: tuple[Event, ...]) -> None:
        """Keep what a replacement would have to go on from."""
        for event in events:
            if event.kind == "episode_started":
                player.seen[str(event.episode)] = []
            if event.kind not in {"run_started", "run_finished"}:
                player.seen.setdefault(str(event.episode), []).append(event)  # type: ignore[union-attr]
            # What is played besides, with a person who sat down, is none of the task's attempts.
            if ends_episode(event) and event.episode.condition == task.condition.name:  # type: ignore[union-attr]
                won = event.kind == "episode_finished" and event.success
                player.left = () if won else player.left[1:]
                player.seen[str(event.episode)] = []  # type: ignore[union-attr]

    def _bury(self, player: _Player, task: PlayTask) -> None:
        """Replace a process that died; its episode goes on, or has failed if it was the second."""
        player.process.join(timeout=10.0)
        code = player.process.exitcode
        self._players.remove(player)
        player.pipe.close()
        if not player.ready:
            self._note_failed_start(code)
        left = player.left
        if left and player.ready:
            key = task.key(left[0])
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] >= DEATHS_PER_EPISODE:
                self._listener.events(task, (_died(key, code, player.seen.get(str(key), [])),))
                left = left[1:]
        if not left:
            self._listener.ended(task)
        if self._stop.is_set():
            return
        replacement = self._hire()
        if not left:
            return
        again = PlayTask(task.condition, task.goal, task.seed, left)
        replacement.task, replacement.left = again, left
        replacement.seen = {name: events for name, events in player.seen.items() if events}
        with suppress(OSError):
            replacement.pipe.send((again, {name: tuple(e) for name, e in replacement.seen.items()}))

    def _note_failed_start(self, code: int | None) -> None:
        self._failed_starts += 1
        if self._failed_starts >= FAILED_STARTS:
            raise GameError(
                "A process to play in could not be started.",
                got=f"{FAILED_STARTS} in a row ended before they could play, the last with {_how(code)}",
                remedy="see what they wrote above; free memory, or use fewer --workers",
            )


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let a process that is started in this block hear no Ctrl-C until it says what it does with one.

    The terminal sends it to all, and one that comes while a player imports would end it with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how(code: int | None) -> str:
    return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit status {code}"


def _died(key: EpisodeKey, code: int | None, seen: Sequence[Event]) -> EpisodeFailed:
    steps = sum(event.kind == "step_taken" for event in seen)
    return EpisodeFailed(
        episode=key,
        failure=f"PlayerDied: its process ended {DEATHS_PER_EPISODE} times, last with {_how(code)}",
        steps=steps,
        interactions=steps,
    )


def _first(tasks: Iterator[PlayTask], count: int) -> Iterator[PlayTask]:
    for _ in range(count):
        task = next(tasks, None)
        if task is None:
            return
        yield task


class Teller:
    """Collects events and tells them in bunches: at once where steps are slow, together where fast."""

    def __init__(
        self,
        tell: Callable[[tuple[Event, ...]], None],
        stopped: Callable[[], bool],
        *,
        flush_after_s: float,
    ) -> None:
        self._tell = tell
        self._flush_after_s = flush_after_s
        self._stopped = stopped
        self._events: list[Event] = []
        self._told_at = time.monotonic()

    def record(self, event: Event) -> None:
        """Take an event.

        Raises:
            PlayStopped: The run is to stop; everything so far was told.
        """
        self._events.append(event)
        if time.monotonic() - self._told_at >= self._flush_after_s or ends_episode(event):
            self.flush()
        if self._stopped() and not ends_episode(event):
            self.flush()
            raise PlayStopped

    def flush(self) -> None:
        """Tell what was collected."""
        if self._events:
            events, self._events = tuple(self._events), []
            self._tell(events)
        self._told_at = time.monotonic()


def _serve(pipe: Connection, setup: SessionSetup, stop: Any, parent: int) -> None:
    """Play what comes through the pipe until it closes (the process's own main function)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _die_with(parent)
    session = Session(setup)
    try:
        pipe.send(("ready", None))
        while True:
            task, logged = pipe.recv()
            pipe.send(_play(session, task, logged, pipe, stop))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # nobody listens any more
    finally:
        session.close()


def _play(
    session: Session, task: PlayTask, logged: dict[str, tuple[Event, ...]], pipe: Connection, stop: Any
) -> tuple[Literal["ended", "stopped", "error"], Any]:
    teller = Teller(
        lambda events: pipe.send(("events", events)), stop.is_set, flush_after_s=session.setup.flush_after_s
    )
    try:
        session.play_task(task, record=teller.record, logged=lambda key: logged.get(str(key), ()))
        teller.flush()
    except PlayStopped:
        return "stopped", None
    except LookalikeError as error:
        teller.flush()
        return "error", error
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        teller.flush()
        trace = "".join(traceback.format_exception(error)[-4:])
        return "error", RuntimeError(f"in a player process: {trace}"[-4000:])
    return "ended", None


def _die_with(parent: int) -> None:
    """Let the kernel end this process with its parent, so that a killed run plays no further."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
