"""Play for the learned reward alone: what it brings, before and after that play was learned against.

For every game, progress is learned from silent recordings and own random play. Then learned reward is
hill-climbed by search in levels that nobody recorded (``hill_climb_reward``): what it earns is set beside the
game's own points, and beside those of random play. The expert then plays for its own progress alone in levels
kept for recordings, takes that play among the negatives, learns again, and the search is repeated.

``python -m benchmarks.visual_climbing FOLDER [GAME ...]`` takes the recordings and the reward models of an
experiment's folder (``FOLDER/GAME``) and prints a line a game. As a benchmark, coinrun is recorded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._procgen_videos import Row, measure_folder, measure_recorded, watch

if TYPE_CHECKING:
    from lookalike.rewards.visual_network import Floats, Frames, VisualModel

_GAMES = ("coinrun",)
_OWN_STEPS, _CLIMB_STEPS, _UPDATES, _BATCH = 3_000, 600, 200, 96
_SEEDS, _STEPS = (1, 2, 3), 90


def measure() -> list[Row]:
    """Return how far the learned reward of climbing falls once it was learned against, in one game."""
    return measure_recorded(_GAMES, measured, summary)


def summary(rows: Sequence[Row]) -> Row:
    """Return the games' figures as one row: by how much the reward of climbing falls."""
    fall = float(np.mean([row["reward_before"] - row["reward_after"] for row in rows]))
    each = ", ".join(
        f"{row['game']} reward {row['reward_before']:+.2f} -> {row['reward_after']:+.2f}, points "
        f"{row['points_before']:.1f} -> {row['points_after']:.1f} (random {row['points_random']:.1f})"
        for row in rows
    )
    return {
        "name": "visual_climbing",
        "value": round(fall, 3),
        "unit": "fall of the reward of climbing",
        "target": None,
        "met": None,
        "detail": f"{len(_SEEDS)} levels of {_STEPS} steps a game: {each}",
    }


def measured(game: str, videos: Sequence[Path]) -> Row:
    """Learn, climb, learn against it, and climb again."""
    from lookalike.environments.procgen import Procgen
    from lookalike.experts.visual_climbing import climb_plays
    from lookalike.experts.visual_data import play_at_random, together
    from lookalike.experts.visual_progress import learn_progress
    from lookalike.rewards.document import MadeBy, RewardModel, Weights
    from lookalike.rewards.validation import hill_climb_reward, random_play
    from lookalike.rewards.visual_network import VisualModel
    from lookalike.rewards.visual_scorer import VisualScorer

    environment = Procgen(game)
    watched, _ = watch(environment, videos)
    longest = max(40, int(np.quantile(watched.lengths, 0.9)))
    own, names = play_at_random(environment, seed=5, steps=_OWN_STEPS, longest=longest)
    held_out = list(range(len(watched) - max(2, len(watched) // 6), len(watched)))
    document = RewardModel(
        environment=environment.id,
        goal="what recordings end with",
        made_by=MadeBy(expert="embedded-visual", expert_version=1),
        recordings=(),
        weights=Weights(progress=1.0, refused=0.0, setback=-0.5),
    )
    found: Row = {"game": game, "recordings": len(watched)}
    plays = [random_play(environment, seed=seed, steps=_STEPS) for seed in _SEEDS]
    found["points_random"] = float(np.mean([sum(play.rewards) for play in plays]))
    for what in ("before", "after"):
        learned = learn_progress(watched, own, held_out=held_out, seed=7, steps=_UPDATES, batch=_BATCH)
        networks = {"progress": learned.network, "base": learned.base}
        model = VisualModel(environment.id, names, networks, learned.calibration)
        climbs = [
            hill_climb_reward(
                document,
                environment,
                seed=seed,
                steps=_STEPS,
                scorer=partial(VisualScorer, document, model),
            )
            for seed in _SEEDS
        ]
        found[f"reward_{what}"] = float(np.mean([climb.value for climb in climbs]))
        found[f"points_{what}"] = float(np.mean([climb.true_return for climb in climbs]))
        found[f"pairwise_{what}"] = learned.figures.pairwise
        found[f"voc_gap_{what}"] = learned.figures.voc_good - learned.figures.voc_bad
        if what == "before":
            climbed = climb_plays(
                environment,
                partial(_potential, model),
                names,
                seed=9,
                steps=max(longest, _CLIMB_STEPS),
                longest=longest,
            )
            own = together(climbed, own)
    environment.close()
    return found


def _potential(model: VisualModel, frames: Frames) -> Floats:
    return model.progress(frames).potential


if __name__ == "__main__":
    measure_folder(measured, summary)
