"""The recordings of ``paper/procgen``: levels below 200 searched, put on video, and read without their logs.

Everything that was searched is written down at once, so that a search that was stopped goes on where it was;
videos that are there already are kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lookalike.core.errors import RecordingError
from lookalike.core.protocols import Environment
from lookalike.core.types import Demonstration, Goal
from lookalike.environments.levels import FIRST_TUNING_LEVEL
from lookalike.experiments.preparation import Advance
from lookalike.recordings.level_sessions import LevelPlay, share_out

PLAYS_FILE = "plays.jsonl"
SEARCH_STEPS = 40_000
"""Steps that the demonstrator may search a level."""
GAME_SEARCH_STEPS = 1_000_000
"""Steps after which it searches no further level of a game, about six minutes of one idle core."""
VIDEO_STEPS = 1_200
"""A video goes on with another level as long as it is shorter: 80 seconds of play."""
HOW_RECORDED = "scripted search with save and restore and the true reward, level after level"
LICENCE = "CC0-1.0"


def record_game(
    game: str,
    goal: Goal,
    folder: Path,
    *,
    count: int,
    steps: int = VIDEO_STEPS,
    search_steps: int = GAME_SEARCH_STEPS,
    progress: Advance | None = None,
) -> tuple[list[Path], int]:
    """Let the scripted demonstrator record levels, from 0 on; videos that are there already are kept.

    A video holds several levels one after the other. Every level that was searched is in ``plays.jsonl``, so
    that a search that was stopped goes on where it was.

    Args:
        game: Procgen game.
        goal: What every level's play ends with.
        folder: Where the videos go, named by their number.
        count: How many videos at most.
        steps: A video takes another level in as long as it is shorter than this.
        search_steps: Steps that the demonstrator may search in all: slow games have fewer levels.
        progress: Called with done, total and what is going on.

    Returns:
        The videos in order, and how many levels were tried and not solved.

    Raises:
        RecordingError: Too few levels were solved.
    """
    from lookalike.environments.procgen import Procgen
    from lookalike.recordings.level_sessions import record_levels

    folder.mkdir(parents=True, exist_ok=True)
    known = _searched(folder / PLAYS_FILE)
    environment = Procgen(game)
    try:
        enough = _Enough(count, steps, search_steps)
        if not enough.of(known):
            _search_on(environment, goal, known, folder / PLAYS_FILE, enough=enough, progress=progress)
        known = enough.first(known)
        plays = [LevelPlay(one.level, one.actions) for one in known if one.solved]
        if len(plays) < 3:
            raise RecordingError(
                f"The demonstrator solved too few levels of {game}.", got=len(plays), expected="3 or more"
            )
        videos = []
        for number, part in enumerate(share_out(plays, videos=count, steps=steps)):
            video = folder / f"{number:03d}.mp4"
            videos.append(video)
            if not video.exists():
                record_levels(environment, part, out=video, licence=LICENCE, note=HOW_RECORDED)
    finally:
        environment.close()
    return videos, sum(not one.solved for one in known)


class _Searched(NamedTuple):
    level: int
    solved: bool
    steps_searched: int
    actions: tuple[str, ...]


class _Enough(NamedTuple):
    """When to search no further levels."""

    videos: int
    steps: int
    search_steps: int

    def first(self, known: Sequence[_Searched]) -> list[_Searched]:
        """Return what is taken of what was searched, whatever was searched beyond."""
        ordered = sorted(known)
        return next((ordered[:n] for n in range(len(ordered)) if self.of(ordered[:n])), ordered)

    def of(self, known: Sequence[_Searched]) -> bool:
        """Return whether the videos are full, the budget is spent, or there is no further level."""
        if len(known) >= FIRST_TUNING_LEVEL:
            return True
        if sum(one.steps_searched for one in known) >= self.search_steps:
            return True
        plays = [LevelPlay(one.level, one.actions) for one in known if one.solved]
        shared = share_out(plays, videos=self.videos, steps=self.steps)
        return len(shared) == self.videos and sum(len(p.actions) for p in shared[-1]) >= self.steps


def _searched(path: Path) -> list[_Searched]:
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return [
        _Searched(int(one["level"]), bool(one["solved"]), int(one["searched"]), tuple(one["actions"]))
        for one in lines
    ]


def _search_on(
    environment: Environment,
    goal: Goal,
    known: list[_Searched],
    path: Path,
    *,
    enough: _Enough,
    progress: Advance | None,
) -> None:
    """Search the next levels, and write each down as soon as it is searched."""
    from lookalike.recordings.demonstrator import search_level
    from lookalike.recordings.procgen_guides import procgen_guide

    game = environment.id.partition(":")[2]
    guide = procgen_guide(game, goal)
    done = {one.level for one in known}
    for level in range(FIRST_TUNING_LEVEL):
        if enough.of(known):
            break
        if level in done:
            continue
        if progress is not None:
            progress(len(known), FIRST_TUNING_LEVEL, f"{game}: searching level {level}")
        found = search_level(environment, guide, seed=level, max_steps=SEARCH_STEPS)
        known.append(_Searched(level, found.solved, found.steps_searched, found.actions))
        line = {"level": level, "solved": found.solved, "searched": found.steps_searched}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "actions": found.actions}) + "\n")


def read_silent(videos: Sequence[Path]) -> list[Demonstration]:
    """Read videos without their actions: what the expert sees.

    Only the first level and the outcome are taken from the log beside; the expert finds where a video goes on
    with another level by itself, and would find the first one too.
    """
    from lookalike.recordings.visual_actions import find_actions, read_actions
    from lookalike.recordings.visual_video import read_visual_video

    found = []
    for video in videos:
        silent = read_visual_video(video, actions=False, licence=LICENCE, player_kind="scripted")
        beside = find_actions(video)
        if beside is not None:
            log = read_actions(beside)
            silent = replace(silent, started_with=log.seed(), outcome=log.said("outcome"))
        found.append(silent)
    return found


def levels_in(video: Path) -> tuple[tuple[int, int], ...]:
    """Return the levels that a recording's log says it holds, each with its first picture."""
    from lookalike.recordings.visual_actions import find_actions, read_actions

    beside = find_actions(video)
    return read_actions(beside).levels() if beside is not None else ()


def first_play(video: Path, levels: Sequence[tuple[int, int]]) -> tuple[str | None, ...]:
    """Return what was played in a recording's first level."""
    actions = read_with_actions(video).trajectory.actions
    return actions[: levels[1][1] - 1] if len(levels) > 1 else actions


def read_with_actions(video: Path) -> Demonstration:
    """Read a video with its log."""
    from lookalike.recordings.visual_video import read_visual_video

    return read_visual_video(video)
