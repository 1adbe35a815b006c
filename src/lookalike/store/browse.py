"""Looking around in a log that may be long and may be growing: any part of a run without reading the rest.

`EventLog.events` reads a run from its beginning. A viewer asks for other things: the episodes from the
hundredth on, the ends that are new since it last looked, the events around place 700,000 of one episode.
Every question here costs about as much as its answer, in a log of any length.

A *place* is an event's 0-based index among the events of its episode since that was last started; the start
itself is place 0. Places of events that are there never change while an episode goes on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from lookalike.core.errors import StoreError
from lookalike.store.codec import parse_event
from lookalike.store.database import Database
from lookalike.store.events import EpisodeFailed, EpisodeFinished, EpisodeKey, Event
from lookalike.store.log import EventLog
from lookalike.store.schema import first_id

STRIDE = 256
"""Events between two known places of a long episode."""
MAX_PAGE_BYTES = 4_000_000
"""A page of events ends before it is larger than this, but for a single event that is."""
_MOST_EPISODES = 64
_AT_ONCE = 10
_NEAR = 64
"""A step's events stand within so many of each other: one a world, and what befell meanwhile."""


@dataclass(frozen=True)
class EpisodeEntry:
    """An episode as the log lists it.

    Attributes:
        number: 0-based, in the order in which episodes first began; never changes.
        key: Its name.
        started: Whether its start is in the log.
        ended: Whether it has ended.
    """

    number: int
    key: EpisodeKey
    started: bool
    ended: bool


@dataclass
class _Places:
    """Where an episode's events are: every `STRIDE`-th id, and how many are known."""

    start: int
    anchors: list[int] = field(default_factory=list)
    count: int = 0
    last: int = -1


class Browser:
    """Reads parts of the runs of one log. Safe for several threads.

    Args:
        log: An open event log; not closed here.
    """

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._places: OrderedDict[int, _Places] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def _database(self) -> Database:
        return self.log._database

    def _run(self, run_id: str) -> int:
        return self.log._require(run_id)

    def run_ids(self) -> list[str]:
        """Return the names of the store's runs, without looking at anything else of them."""
        return [run_id for (run_id,) in self._database.rows("SELECT run_id FROM runs ORDER BY run_id")]

    def events_in(self, run_id: str) -> int:
        """Return how many events a run has: it changes when anything is appended."""
        found = self._database.rows("SELECT events FROM runs WHERE run_id = :run_id", run_id=run_id)
        return int(found[0][0]) if found else 0

    def episodes(self, run_id: str, *, start: int = 0, limit: int = 100_000) -> list[EpisodeEntry]:
        """Return episodes by number.

        Args:
            run_id: Which run.
            start: First number.
            limit: Most entries.
        """
        base = first_id(self._run(run_id))
        rows = self._database.rows(
            """SELECT id, name, started, ended FROM episodes
                WHERE id >= :start AND id < :end ORDER BY id LIMIT :most""",
            start=base + start,
            end=first_id(self._run(run_id) + 1),
            most=limit,
        )
        return [
            EpisodeEntry(id - base, EpisodeKey.parse(name), started is not None, ended is not None)
            for id, name, started, ended in rows
        ]

    def episode(self, run_id: str, number: int) -> EpisodeEntry:
        """Return one episode.

        Raises:
            StoreError: There is none of that number.
        """
        found = self.episodes(run_id, start=number, limit=1) if number >= 0 else []
        if not found or found[0].number != number:
            raise StoreError(
                "There is no such episode in this run.", got=number, expected="a number of the run's list"
            )
        return found[0]

    def open_episodes(self, run_id: str) -> list[EpisodeEntry]:
        """Return the episodes that have not ended, those that began last first."""
        run = self._run(run_id)
        rows = self._database.rows(
            "SELECT id, name, started FROM episodes WHERE run = :run AND ended IS NULL ORDER BY id DESC",
            run=run,
        )
        return [
            EpisodeEntry(id - first_id(run), EpisodeKey.parse(name), started is not None, False)
            for id, name, started in rows
        ]

    def ends_since(
        self, run_id: str, after: int = -1
    ) -> tuple[list[tuple[int, EpisodeFinished | EpisodeFailed]], int]:
        """Return the ends of episodes that were appended after an earlier look.

        Args:
            run_id: Which run.
            after: What the earlier look returned; -1 for all.

        Returns:
            Pairs of episode number and its last event, in order; and what to ask with next time.
        """
        run = self._run(run_id)
        base = first_id(run)
        rows = self._database.rows(
            """SELECT p.id, p.ended, e.body, e.measured, e.at FROM episodes p JOIN events e ON e.id = p.ended
                WHERE p.run = :run AND p.ended > :after ORDER BY p.ended""",
            run=run,
            after=base + after,
        )
        ends: list[tuple[int, EpisodeFinished | EpisodeFailed]] = []
        for episode, ended, body, measured, at in rows:
            event = parse_event(body, measured, at=at)
            if isinstance(event, EpisodeFinished | EpisodeFailed):
                ends.append((episode - base, event))
            after = ended - base
        return ends, after

    def count(self, run_id: str, number: int) -> int:
        """Return how many events an episode has since its last start."""
        return self._known(run_id, number).count

    def last_event(self, run_id: str, number: int) -> Event | None:
        """Return an episode's newest event, or ``None`` where it has none."""
        count = self.count(run_id, number)
        return self.page(run_id, number, start=count - 1, limit=1)[0] if count else None

    def page(self, run_id: str, number: int, *, start: int, limit: int) -> list[Event]:
        """Return events of an episode by place.

        Args:
            run_id: Which run.
            number: Which episode.
            start: Place of the first.
            limit: Most events; fewer come where they are very large.
        """
        known = self._known(run_id, number)
        if start < 0 or start >= known.count:
            return []
        anchor = start // STRIDE
        rows = self._database.rows(
            """SELECT id FROM events WHERE episode = :episode AND id >= :start
                ORDER BY id LIMIT :most OFFSET :skip""",
            episode=first_id(self._run(run_id)) + number,
            start=known.anchors[anchor],
            most=min(limit, known.count - start),
            skip=start - anchor * STRIDE,
        )
        events: list[Event] = []
        size = 0
        for first in range(0, len(rows), _AT_ONCE):
            some = [id for (id,) in rows[first : first + _AT_ONCE]]
            for body, measured, at in self._bodies(first_id(self._run(run_id)) + number, some):
                size += len(body)
                if events and size > MAX_PAGE_BYTES:
                    return events
                events.append(parse_event(body, measured, at=at))
        return events

    def place_of_step(self, run_id: str, number: int, step: int, world: str | None = None) -> int | None:
        """Return the place of a step; ``None`` where it is not there.

        Steps come in order, so a binary search finds one among a million in some twenty reads.

        Args:
            run_id: Which run.
            number: Which episode.
            step: 0-based step.
            world: Whose world's step, where each member has its own; ``None`` for the first there is.
        """
        low, high = 0, self.count(run_id, number)
        while low < high:
            middle = (low + high) // 2
            if self._step_at(run_id, number, middle) < step:
                low = middle + 1
            else:
                high = middle
        for offset, event in enumerate(self.page(run_id, number, start=low, limit=_NEAR)):
            if event.kind == "step_taken" and event.step == step and world in (None, event.world):
                return low + offset
            if event.kind == "step_taken" and event.step > step:
                return None
        return None

    def _step_at(self, run_id: str, number: int, place: int) -> float:
        """Return the step at a place, or the next one's; -1 at the start, infinity at the end."""
        for event in self.page(run_id, number, start=place, limit=4):
            if event.kind == "step_taken":
                return event.step
            if event.kind == "episode_started":
                return -1
        return float("inf")

    def _bodies(self, episode: int, ids: list[int]) -> list[tuple[bytes, bytes, float]]:
        return [
            (body, measured, at)
            for body, measured, at in self._database.rows(
                """SELECT body, measured, at FROM events
                    WHERE episode = :episode AND id >= :first AND id <= :last ORDER BY id""",
                episode=episode,
                first=ids[0],
                last=ids[-1],
            )
        ]

    def _known(self, run_id: str, number: int) -> _Places:
        """Return an episode's places, brought up to date."""
        episode = first_id(self._run(run_id)) + number
        row = self._database.rows("SELECT started FROM episodes WHERE id = :id", id=episode)
        if not row:
            raise StoreError("There is no such episode in this run.", got=number)
        start = row[0][0] or first_id(self._run(run_id))
        with self._lock:
            known = self._places.get(episode)
            if known is None or known.start != start:
                known = self._places[episode] = _Places(start)
            self._places.move_to_end(episode)
            while len(self._places) > _MOST_EPISODES:
                self._places.popitem(last=False)
            self._extend(episode, known)
            return known

    def _extend(self, episode: int, known: _Places) -> None:
        """Take in the events that were appended since; the index alone is read, no event."""
        after = max(known.last, known.start - 1)
        new, last = self._database.rows(
            "SELECT count(*), max(id) FROM events WHERE episode = :episode AND id > :after",
            episode=episode,
            after=after,
        )[0]
        if not new:
            return
        rows = self._database.rows(
            """SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM events
                    WHERE episode = :episode AND id > :after AND id <= :last) numbered
                WHERE (place + :known) % :stride = 0 ORDER BY id""",
            episode=episode,
            after=after,
            last=last,
            known=known.count,
            stride=STRIDE,
        )
        known.anchors += [id for (id,) in rows]
        known.count += new
        known.last = last
