"""Real runs in a real log, small enough for every test: a text game, and one with pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lookalike.core.types import Goal, Observation, Predicate
from lookalike.environments import find_goal, make_environment
from lookalike.players import RandomPlayer
from lookalike.store import EpisodeKey, Event, EventLog, FileStore
from lookalike.swarm import Episode, SwarmConfig, WorldsEpisode
from lookalike.swarm.config import roles_at
from lookalike.testing.environments import FramedTinyEnvironment, TinyEnvironment

CAVE, FRAMED = "cave", "framed"
DOOR = Goal("door", "tiny", "Open the door.", (Predicate("won", "equals", True),), 30, 8)


@dataclass(frozen=True)
class Runs:
    """A log with the runs ``cave`` (text) and ``framed`` (text and pictures, one episode in worlds mode)."""

    log: EventLog
    files: FileStore


class SilentTinyEnvironment(FramedTinyEnvironment):
    """The tiny game in pictures alone, of an odd size."""

    id = "tiny-silent"

    def _observe(self, answer: str = "") -> Observation:
        frame = super()._observe(answer).frame
        assert frame is not None
        return Observation(frame=frame[:15, :27])


def play(
    environment: TinyEnvironment,
    record: Callable[[Event], None],
    *,
    seed: int,
    files: FileStore | None = None,
    worlds: int = 0,
    sync_every: int = 0,
    condition: str = "random",
) -> None:
    """Play the tiny game once with two members (council) or one world each."""
    key = EpisodeKey(condition="worlds" if worlds else condition, goal="door", seed=seed)

    def keep_frame(seen: Observation) -> str | None:
        return None if files is None or seen.frame is None else files.put_frame(seen.frame)

    shared = {
        "key": key,
        "goal": DOOR,
        "player": RandomPlayer(),
        "seed": seed,
        "environment_seed": seed + 1,
        "record": record,
        "keep_frame": keep_frame,
    }
    if worlds:
        config = SwarmConfig(
            roles_at((0.2, 0.6, 1.0)[:worlds]),
            mode="worlds",
            reward="environment score",
            sync_every=sync_every,
        )
        copies = [type(environment)() for _ in range(worlds)]
        WorldsEpisode(environments=copies, config=config, scorers=[None] * worlds, **shared).play()
        return
    config = SwarmConfig(roles_at((0.2, 1.0)), reward="environment score")
    Episode(environment=environment, config=config, scorer=None, **shared).play()


def make_runs(folder: Path) -> Runs:
    """Play Colossal Cave twice and the framed tiny game three times, by the random player."""
    log, files = EventLog(folder / "events.sqlite"), FileStore(folder / "files")
    log.start_run(CAVE, {"environment": "colossal-cave"}, package_version="0.1.0")
    goal = find_goal("colossal-cave", "lamp")
    game = make_environment("colossal-cave", isolated=False)
    for seed in (0, 1):
        Episode(
            key=EpisodeKey(condition="random", goal=goal.name, seed=seed),
            goal=goal,
            environment=game,
            player=RandomPlayer(),
            config=SwarmConfig(roles_at((0.2, 1.0)), reward="environment score"),
            scorer=None,
            seed=seed,
            environment_seed=seed + 1,
            record=lambda event: log.append(CAVE, [event]),
        ).play()
    log.start_run(FRAMED, {"environment": "tiny-framed"}, package_version="0.1.0")
    for seed, worlds in ((0, 0), (1, 0), (3, 3)):
        play(
            FramedTinyEnvironment(),
            lambda event: log.append(FRAMED, [event]),
            seed=seed,
            files=files,
            worlds=worlds,
            sync_every=4,
        )
    return Runs(log, files)
