"""How often inverse dynamics name what was done in recordings that they were not learned from.

Two figures. *Recovered* is what the expert makes of them where the game can go back: actions found by trying,
against the recordings' own logs, which it never sees; idle steps and those on which all actions do the same
are left out, and where the track was lost counts as wrong. *Agreement* is the network alone, against trying.

The same steps as the visual expert's: recordings are cut into levels, the swarm plays at random, actions
are recovered by trying, and the network learns from both, the last seventh of the levels left out. There, on
all steps on which not all actions do the same, the action that it names is compared with those that lead to
the next frame.

``python -m benchmarks.visual_actions FOLDER [GAME ...]`` takes the recordings of an experiment's folder
(``FOLDER/GAME/recordings/*.mp4``) and prints a line a game. As a benchmark, two games are recorded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._procgen_videos import Row, measure_folder, measure_recorded, watch

if TYPE_CHECKING:
    from lookalike.experts.visual_data import Plays, Segment
    from lookalike.rewards.visual_network import Floats

TARGET = 0.90
IDLE = "noop"
_GAMES = ("coinrun", "maze")


def measure() -> list[Row]:
    """Return the share of actions that is recovered, as the mean over two games."""
    return measure_recorded(_GAMES, measured, summary)


def summary(rows: Sequence[Row]) -> Row:
    """Return the games' figures as one row."""
    share = float(np.mean([row["recovered"] for row in rows]))
    each = ", ".join(
        f"{row['game']} {row['recovered']:.2f} of {row['recovered_of']}, network {row['agreement']:.2f} of "
        f"{row['steps']}"
        for row in rows
    )
    return {
        "name": "visual_actions",
        "value": round(share, 3),
        "unit": "share of held-out actions recovered",
        "target": TARGET,
        "met": share >= TARGET,
        "detail": f"mean of {len(rows)} games: {each}",
    }


def measured(game: str, videos: Sequence[Path]) -> Row:
    """Learn what actions look like as the expert does, and compare."""
    from lookalike.environments.procgen import Procgen
    from lookalike.experts.visual import Effort
    from lookalike.experts.visual_actions import agreement_with, label_plays, learn_actions
    from lookalike.experts.visual_data import held_out_plays, play_at_random, usual_length
    from lookalike.experts.visual_trying import recover_by_trying

    effort = Effort()
    environment = Procgen(game)
    try:
        watched, segments = watch(environment, videos)
        levels = [segment.level for segment in segments]
        longest = usual_length(watched, effort.random_steps)
        own, names = play_at_random(
            environment, seed=5, steps=effort.random_steps, longest=longest, levels=levels
        )
        held_out = held_out_plays(len(watched))
        most = effort.tried_steps
        tried = recover_by_trying(environment, watched, levels, names, most_steps=most, first=held_out)
    finally:
        environment.close()
    recovered, counted = _recovered(videos, segments, watched, held_out, tried, names)
    shown = [play for play in range(len(watched)) if play not in set(held_out)]
    learned = learn_actions(
        own,
        names,
        seed=7,
        steps=effort.actions,
        batch=effort.batch,
        recovered=(watched.only(shown), tried[watched.indices_of(shown)]),
    )
    labels = label_plays(learned.network, watched)
    agreement, steps = agreement_with(labels, tried, watched.indices_of(held_out))
    return {
        "game": game,
        "levels": len(watched),
        "held_out": len(held_out),
        "recovered": recovered,
        "recovered_of": counted,
        "agreement": agreement if agreement is not None else float("nan"),
        "steps": steps,
        "random_play": learned.accuracy,
        "tried": float(tried[watched.indices_of(shown)].any(axis=1).mean()),
    }


def _recovered(
    videos: Sequence[Path],
    segments: Sequence[Segment],
    watched: Plays,
    held_out: Sequence[int],
    tried: Floats,
    names: Sequence[str],
) -> tuple[float, int]:
    """Compare what trying found with the logs: the share of steps named, and how many steps there are."""
    from lookalike.recordings.visual_actions import find_actions, read_actions

    right = counted = 0
    for play in held_out:
        segment = segments[play]
        beside = find_actions(videos[segment.recording])
        if beside is None:
            continue
        done = read_actions(beside).actions[segment.start : segment.stop - 1]
        found = tried[watched.starts[play] : watched.stops[play] - 1] > 0
        for name, likely in zip(done, found, strict=False):
            if name in names and name != IDLE and not likely.all():
                counted += 1
                right += bool(likely[names.index(name)])
    return (right / counted if counted else float("nan")), counted


if __name__ == "__main__":
    measure_folder(measured, summary)
