"""A running clock drawn on the recordings: does learned progress still tell play from play?

For every game, progress is learned three times from the same silent recordings and the same own random play:
as they are; with a still grey box on all of them, where the clock will be, because a clock also hides what is
behind it; and with a clock drawn on the recordings alone: a bar that grows and figures that count, from the
beginning of every level. Then recordings that were not learned from are compared with random play after as
many steps; in the last case the clock runs on both, so that whoever goes by it cannot tell them apart.

``python -m benchmarks.visual_clock FOLDER [GAME ...]`` takes the recordings of an experiment's folder
(``FOLDER/GAME/recordings/*.mp4``) and prints a line a game; as a benchmark, three games are recorded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._procgen_videos import Row, measure_folder, measure_recorded, watch

TARGET = 0.05
_GAMES = ("coinrun", "maze", "ninja")
_OWN_STEPS, _UPDATES, _BATCH = 3_000, 240, 96
_LEFT, _TOP, _WIDTH = 38, 2, 24
_FULL = 600.0
"""Steps after which the bar is full."""


def measure() -> list[Row]:
    """Return by how much pairwise accuracy falls, as the mean over three games."""
    return measure_recorded(_GAMES, measured, summary)


def summary(rows: Sequence[Row]) -> Row:
    """Return the games' figures as one row."""
    fall = float(np.mean([row["without"] - row["with"] for row in rows]))
    hidden = float(np.mean([row["without"] - row["covered"] for row in rows]))
    each = ", ".join(
        f"{row['game']} {row['without']:.2f} -> {row['covered']:.2f} -> {row['with']:.2f}"
        + ("" if row["masked"] else " (clock not found)")
        for row in rows
    )
    return {
        "name": "visual_clock",
        "value": round(fall, 3),
        "unit": "fall of pairwise accuracy",
        "target": TARGET,
        "met": fall <= TARGET,
        "detail": f"mean of {len(rows)} games, held-out recordings against random play, as they are, with a "
        f"still box, with the clock: {each}; the still box alone: {hidden:.3f}",
    }


def measured(game: str, videos: Sequence[Path]) -> Row:
    """Learn three times, and compare."""
    from lookalike.environments.procgen import Procgen
    from lookalike.experts.visual_clock import find_clock
    from lookalike.experts.visual_data import play_at_random
    from lookalike.experts.visual_progress import compare, learn_progress
    from lookalike.rewards.visual_network import VisualModel, masked

    environment = Procgen(game)
    try:
        watched, _ = watch(environment, videos)
        longest = max(40, int(np.quantile(watched.lengths, 0.9)))
        own, names = play_at_random(environment, seed=5, steps=_OWN_STEPS, longest=longest)
    finally:
        environment.close()
    held_out = list(range(len(watched) - max(2, len(watched) // 6), len(watched)))
    unseen = own.only(range(int(0.8 * len(own)), len(own)))  # progress is not learned from these either
    found: Row = {"game": game, "recordings": len(watched), "held_out": len(held_out)}
    drawn: dict[str, Callable[[Any], Any]] = {
        "without": lambda plays: plays,
        "covered": _covered,
        "with": _with_clock,
    }
    for what, draw in drawn.items():
        shown, learned_own = draw(watched), _covered(own) if what == "covered" else own
        clock = find_clock(shown, learned_own)
        learned = learn_progress(
            replace(shown, frames=masked(shown.frames, clock.mask)),
            replace(learned_own, frames=masked(learned_own.frames, clock.mask)),
            held_out=held_out,
            seed=7,
            steps=_UPDATES,
            batch=_BATCH,
        )
        networks = {"progress": learned.network, "base": learned.base}
        model = VisualModel(f"procgen:{game}", names, networks, learned.calibration, clock.mask)
        good, bad = shown.only(held_out), draw(unseen)
        scores = [model.progress(plays.frames).potential for plays in (good, bad)]
        figures = compare(good, scores[0], bad, scores[1])
        found[what], found[f"voc_gap_{what}"] = figures.pairwise, figures.voc_good - figures.voc_bad
    found["masked"] = clock.box is not None  # in the last case
    return found


def _covered(plays: Any) -> Any:
    """Return plays with a still box on every frame where the clock would be."""
    frames = plays.frames.copy()
    frames[:, _TOP : _TOP + 15, _LEFT : _LEFT + _WIDTH + 1] = 128
    return replace(plays, frames=frames)


def _with_clock(plays: Any) -> Any:
    """Return plays with a clock drawn on every frame."""
    from PIL import Image, ImageDraw

    frames = plays.frames.copy()
    for number, step in enumerate(plays.time().tolist()):
        picture = Image.fromarray(frames[number])
        draw = ImageDraw.Draw(picture)
        draw.rectangle((_LEFT, _TOP, _LEFT + _WIDTH, _TOP + 14), fill=(0, 0, 0))
        draw.text((_LEFT + 2, _TOP), f"{step:03d}", fill=(255, 255, 255))
        full = round(_WIDTH * min(1.0, step / _FULL))
        draw.rectangle((_LEFT, _TOP + 12, _LEFT + full, _TOP + 14), fill=(255, 220, 0))
        frames[number] = np.asarray(picture)
    return replace(plays, frames=frames)


if __name__ == "__main__":
    measure_folder(measured, summary)
