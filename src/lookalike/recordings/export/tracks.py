"""A run as what the formats of other tools are made of: trajectories, one after the other.

The log has events; a dataset has trajectories. An episode of one world is one of them. In worlds mode each
member's own world is one, and where a world went on from another one's branch a further one begins, because
the step before did not lead to what the next was decided on.

One episode is held in memory at a time, whatever the run's length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from lookalike.core.errors import StoreError, UsageError
from lookalike.store import (
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    EpisodeStarted,
    Event,
    EventLog,
    RunStarted,
    StepTaken,
)

Episodes = Literal["finished"] | Collection[EpisodeKey] | None
"""Which episodes: those that ended, these, or (``None``) all that were begun."""


@dataclass(frozen=True)
class Track:
    """A trajectory of a run.

    Attributes:
        world: The member whose own world it was; ``None`` where all played one.
        part: 0, or how many times this world had gone on from another branch before.
        first_observation: Text before the first step, or ``None``.
        first_frame: SHA-256 of the picture before the first step, or ``None``.
        steps: In order.
    """

    world: str | None
    part: int
    first_observation: str | None
    first_frame: str | None
    steps: tuple[StepTaken, ...]

    @property
    def frames(self) -> tuple[str | None, ...]:
        """Names of the N + 1 pictures; ``None`` where there is none."""
        return (self.first_frame, *(step.next_frame for step in self.steps))

    @property
    def texts(self) -> tuple[str | None, ...]:
        """The N + 1 texts; ``None`` where there is none."""
        return (self.first_observation, *(step.next_observation for step in self.steps))


@dataclass(frozen=True)
class EpisodeTracks:
    """An episode of a run: how it began, its trajectories, and how it ended.

    Attributes:
        started: Its first event.
        tracks: One a world, and one more for every time a world went on from another branch.
        ended: Its last event; ``None`` where it has not ended.
    """

    started: EpisodeStarted
    tracks: tuple[Track, ...]
    ended: EpisodeFinished | EpisodeFailed | None

    @property
    def key(self) -> EpisodeKey:
        """The episode's name."""
        return self.started.episode


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run before its episodes are read.

    Attributes:
        started: Its first event.
        keys: The wanted episodes, in the order they began, ended, or were asked for.
    """

    started: RunStarted
    keys: tuple[EpisodeKey, ...]

    @property
    def environment(self) -> str | None:
        """Id of the environment that was played, where the configuration says so."""
        found = self.started.configuration.get("environment")
        return found if isinstance(found, str) else None


def survey(log: EventLog, run_id: str, episodes: Episodes) -> RunFacts:
    """Find a run's wanted episodes; where all are wanted, in one pass that keeps nothing else.

    Raises:
        StoreError: There is no such run, no such episode in it, or its first event is missing.
    """
    first = next(log.events(run_id), None)
    if not isinstance(first, RunStarted):
        raise StoreError(
            f"The run {run_id!r} has no beginning.",
            got=None if first is None else first.kind,
            expected="run_started as its first event",
            remedy="see what is wrong: lookalike runs verify",
        )
    if episodes is None:
        begun = dict.fromkeys(e.episode for e in log.events(run_id) if isinstance(e, EpisodeStarted))
        return RunFacts(first, tuple(begun))
    if isinstance(episodes, str):
        if episodes != "finished":
            raise UsageError(
                "These episodes cannot be meant.",
                got=repr(episodes),
                expected="'finished', episode keys, or None for all",
            )
        return RunFacts(first, tuple(log.ended_keys(run_id)))
    wanted = tuple(dict.fromkeys(episodes))
    for key in wanted:
        if next(log.events(run_id, episode=key), None) is None:
            raise StoreError(
                f"The run {run_id!r} has no such episode.",
                got=str(key),
                expected="the key of an episode that was begun: condition/goal/seed/attempt",
                remedy="see what there is: lookalike runs show",
            )
    return RunFacts(first, wanted)


def episodes_of(log: EventLog, run_id: str, facts: RunFacts) -> Iterator[EpisodeTracks]:
    """Read a run's episodes, one at a time.

    What was written of an episode before it was started again is left out.
    """
    for key in facts.keys:
        episode = follow(log.events(run_id, episode=key))
        if episode is not None:
            yield episode


def follow(events: Iterator[Event]) -> EpisodeTracks | None:
    """Put one episode's events together; ``None`` where it never began."""
    started: EpisodeStarted | None = None
    ended: EpisodeFinished | EpisodeFailed | None = None
    worlds: dict[str | None, list[StepTaken]] = {}
    for event in events:
        if isinstance(event, EpisodeStarted):
            started, ended = event, None
            worlds.clear()
        elif isinstance(event, StepTaken):
            worlds.setdefault(event.world, []).append(event)
        elif isinstance(event, EpisodeFinished) or (
            isinstance(event, EpisodeFailed) and not event.will_retry
        ):
            ended = event
    if started is None:
        return None
    if not worlds:
        return EpisodeTracks(
            started, (Track(None, 0, started.first_observation, started.first_frame, ()),), ended
        )
    tracks = [track for steps in worlds.values() for track in _unbroken(started, steps, worlds)]
    return EpisodeTracks(started, tuple(tracks), ended)


def _unbroken(
    started: EpisodeStarted, steps: list[StepTaken], worlds: dict[str | None, list[StepTaken]]
) -> Iterator[Track]:
    """Cut a world's steps where one was not decided on what the one before had led to."""
    text, frame = started.first_observation, started.first_frame
    part, begin = 0, 0
    first_text, first_frame = text, frame
    for index, step in enumerate(steps):
        if step.observation != text:
            if index > begin:
                yield Track(step.world, part, first_text, first_frame, tuple(steps[begin:index]))
                part += 1
            begin = index
            first_text, first_frame = step.observation, _branch_frame(step, worlds)
        text, frame = step.next_observation, step.next_frame
    yield Track(steps[0].world, part, first_text, first_frame, tuple(steps[begin:]))


def _branch_frame(step: StepTaken, worlds: dict[str | None, list[StepTaken]]) -> str | None:
    """Find the picture that came with the text a world went on from: another's, from the step before."""
    for steps in worlds.values():
        for other in steps:
            if other.step == step.step - 1 and other.next_observation == step.observation:
                return other.next_frame
    return None
