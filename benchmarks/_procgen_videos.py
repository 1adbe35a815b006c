"""What the benchmarks over recordings of Procgen share: videos of a few levels, and a line for every game.

They run in two ways. As a benchmark, some games are recorded here. With ``python -m benchmarks.NAME FOLDER
[GAME ...]``, the recordings of an experiment's folder are taken (``FOLDER/GAME/recordings/*.mp4``).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookalike.core.protocols import Environment
    from lookalike.experts.visual_data import Plays, Segment

Row = dict[str, Any]
Measured = Callable[[str, Sequence[Path]], Row]
Summary = Callable[[Sequence[Row]], Row]
_LEVELS, _SEARCH_STEPS = 14, 20_000


def measure_recorded(games: Sequence[str], measured: Measured, summary: Summary) -> list[Row]:
    """Record games, measure each, and return the figures as one row; none where Procgen is not installed."""
    from lookalike.environments.procgen_engine import procgen_installed

    if not procgen_installed():
        return []
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(game, _recorded(game, Path(folder) / game)) for game in games]
    return [summary(rows)]


def measure_folder(measured: Measured, summary: Summary) -> None:
    """Measure the games of the command line's folder, print a line each, and the figures of all."""
    from lookalike.environments.procgen_games import known_games

    rows = []
    for game in sys.argv[2:] or known_games():
        videos = sorted((Path(sys.argv[1]) / game / "recordings").glob("*.mp4"))
        if videos:
            rows.append(measured(game, videos))
            print(rows[-1], flush=True)
    if rows:
        print(summary(rows))


def watch(environment: Environment, videos: Sequence[Path]) -> tuple[Plays, list[Segment]]:
    """Watch silent videos: the levels' plays, and where in the videos they are."""
    from lookalike.experts.visual_data import find_segments, watched_plays
    from lookalike.recordings.visual_video import read_visual_video

    demonstrations = [read_visual_video(video, actions=False, licence="CC0-1.0") for video in videos]
    segments = find_segments(demonstrations, environment)
    return watched_plays(demonstrations, segments), segments


def _recorded(game: str, folder: Path) -> list[Path]:
    """Let the scripted demonstrator record some levels."""
    from lookalike.environments.procgen import Procgen
    from lookalike.recordings.demonstrator import record_search
    from lookalike.recordings.procgen_guides import procgen_guide

    folder.mkdir(parents=True)
    environment = Procgen(game)
    for level in range(_LEVELS):
        out = folder / f"{level:03d}.mp4"
        guide = procgen_guide(game)
        record_search(environment, guide, seed=level, out=out, licence="CC0-1.0", max_steps=_SEARCH_STEPS)
    environment.close()
    return sorted(folder.glob("*.mp4"))
