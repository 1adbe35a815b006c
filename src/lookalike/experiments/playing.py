"""Plays what is missing of a run: in this process or in several, into the log, within the budget.

One listener hears every step, whoever plays it: it appends to the log, adds up what is spent, and says when
to stop.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

from lookalike.core.errors import LookalikeError, StoreError
from lookalike.core.types import Usage
from lookalike.experiments.budget import NO_LIMIT, Budget, Spent
from lookalike.experiments.pool import PlayerPool, Teller
from lookalike.experiments.preparation import Advance
from lookalike.experiments.resolved import PlayTask, ResolvedExperiment
from lookalike.experiments.session import PlayStopped, Session, SessionSetup
from lookalike.store import (
    EpisodeFailed,
    EpisodeKey,
    EpisodePaused,
    Event,
    EventLog,
    RunFinished,
    StepTaken,
    usage_of,
)
from lookalike.store.events import ends_episode

INTERRUPTED = "interrupted"


class Playing:
    """A run while it is played (a `pool.Listener`).

    Args:
        asked: What is played.
        setup: What a session needs.
        log: Where events go.
        run_id: The run's name in it.
        budget: What the run may spend, everything since its start counted.
        progress: Called with done, total and what is going on.
        notify: Called with a sentence when something takes long.

    Attributes:
        stopped: Why the run stopped before its end, or ``None``.
        spent: What was spent so far.
    """

    def __init__(
        self,
        asked: ResolvedExperiment,
        setup: SessionSetup,
        log: EventLog,
        run_id: str,
        *,
        budget: Budget = NO_LIMIT,
        progress: Advance | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self.stopped: str | None = None
        self.spent = Spent()
        self._setup = setup
        self._log = log
        self._run_id = run_id
        self._budget = budget
        self._progress = progress
        self._notify = notify
        self._stop_players: Callable[[], None] = lambda: None
        ended = log.finished_episodes(run_id)
        self._unfinished = log.unfinished_episodes(run_id)
        for last in ended.values():
            self._spend(usage_of(last.usage, last.measured), last.measured.seconds)
        for events in self._unfinished.values():
            for event in events:
                self._count(event)
        self._tasks = asked.tasks(ended)
        self._total = len(asked.seeds) * len(asked.goals) * len(asked.conditions)
        self._finished = self._total - len(self._tasks)
        self._failures = sum(isinstance(last, EpisodeFailed) for last in ended.values())
        self._episodes = len(ended)
        self._paused = 0

    def play(self, *, workers: int) -> None:
        """Play what is missing; return at the end, or at the budget's end.

        Raises:
            KeyboardInterrupt: It was interrupted; every step taken is in the log.
        """
        if not self._tasks:
            return
        self._check_budget()
        try:
            if self.stopped is None:
                self._play_here() if workers <= 1 else self._play_side_by_side(workers)
        except KeyboardInterrupt:
            self.stop(INTERRUPTED)
        except LookalikeError as error:
            self.stop(f"{type(error).__name__}: {error.what}")
            with suppress(StoreError):  # it may be the store that failed
                self._log.append(self._run_id, [self._last_word()])
            raise
        self._log.append(self._run_id, [self._last_word()])
        if self.stopped == INTERRUPTED:
            raise KeyboardInterrupt

    def stop(self, reason: str) -> None:
        """Stop after the steps that are under way."""
        if self.stopped is None:
            self.stopped = reason
            self._stop_players()

    def stopped_note(self) -> str:
        """Return the sentence that a stopped run's results carry."""
        return f"The run was stopped before its end ({self.stopped}): its figures are of what was played."

    def events(self, task: PlayTask, events: tuple[Event, ...]) -> None:
        """Take what happened in a task."""
        self._log.append(self._run_id, events)
        for event in events:
            self._count(event)
            # What is played besides, with a person who sat down, is nobody's to go on with.
            self._paused += (
                isinstance(event, EpisodePaused) and event.episode.condition == task.condition.name
            )
            self._failures += isinstance(event, EpisodeFailed) and not event.will_retry
            self._episodes += ends_episode(event)
        self._check_budget()

    def ended(self, task: PlayTask) -> None:
        """A task has nothing left to be played."""
        self._finished += 1
        if self._progress is not None:
            self._progress(self._finished, self._total, str(task))

    def _play_here(self) -> None:
        session = Session(self._setup, notify=self._notify)
        try:
            for task in self._tasks:
                if self.stopped is not None:
                    return
                teller = Teller(
                    partial(self.events, task), self._is_stopped, flush_after_s=self._setup.flush_after_s
                )
                try:
                    session.play_task(task, record=teller.record, logged=self._logged)
                except PlayStopped:
                    return
                finally:
                    teller.flush()
                self.ended(task)
        finally:
            session.close()

    def _play_side_by_side(self, workers: int) -> None:
        pool = PlayerPool(self._setup, workers, listener=self, logged=self._logged)
        self._stop_players = pool.stop
        try:
            pool.play(self._tasks)
        except BaseException:
            # The others are at a step: what it brings is kept, whatever stopped this one.
            with suppress(LookalikeError):
                pool.drain()
            raise
        finally:
            pool.close()

    def _is_stopped(self) -> bool:
        return self.stopped is not None

    def _logged(self, key: EpisodeKey) -> Sequence[Event]:
        return self._unfinished.get(key, ())

    def _count(self, event: Event) -> None:
        if isinstance(event, StepTaken):
            self._spend(usage_of(event.usage, event.measured), event.measured.seconds)

    def _spend(self, usage: Usage, seconds: float | None) -> None:
        self.spent = self.spent.plus(usage, seconds)

    def _check_budget(self) -> None:
        reached = self._budget.reached(self.spent)
        if reached is not None:
            self.stop(f"budget reached: {reached}")

    def _last_word(self) -> RunFinished:
        reason = self.stopped
        if reason is None and self._paused:
            reason = f"budget reached by {self._paused} of {self._total} episodes"
            self.stopped = reason
        return RunFinished(
            status="finished" if reason is None else "stopped",
            reason=reason,
            episodes=self._episodes,
            failures=self._failures,
        )


@contextmanager
def interruptible(playing: Playing, notify: Callable[[str], None] | None) -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) stop the run after the step under way, the second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        if playing.stopped is not None:
            raise KeyboardInterrupt
        playing.stop(INTERRUPTED)
        if notify is not None:
            notify("Stopping after the step under way; Ctrl-C again stops at once.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
