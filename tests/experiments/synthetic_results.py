"""An experiment made up from a seed, in the shape of the real one, for tests of results and reports."""

from __future__ import annotations

import numpy as np

from lookalike.core.types import Handicaps, Usage
from lookalike.experiments.results import (
    ConditionInfo,
    CreatedWith,
    EpisodeResult,
    ExperimentResult,
    GoalInfo,
    RecordingInfo,
)
from lookalike.experiments.summary import paired_differences, summarise

GOALS = tuple(
    GoalInfo(name=name, description=f"Reach {name.replace('-', ' ')}.", complexity=c, step_limit=2 * c + 20)
    for name, c in [
        ("lamp", 4), ("grate", 10), ("cage", 17), ("bird", 21), ("snake", 31), ("gold", 38), ("silver", 47),
        ("jewelry", 55), ("treasure-home", 80), ("score-120", 121),
    ]
)  # fmt: skip


def handicaps(reward="none", calls=1, restarts=0, recommendation=False):
    return Handicaps(
        save_restore=False,
        admissible_actions=True,
        step_limit=None,
        restarts=restarts,
        recommendation=recommendation,
        reward=reward,
        demonstrations_of_this_level=False,
        model_calls_per_step=calls,
    )


CONDITIONS = (
    ConditionInfo(name="solo", handicaps=handicaps(), description="One player, no expert."),
    ConditionInfo(
        name="solo+expert",
        handicaps=handicaps("reward model", recommendation=True),
        description="One player, rewards and recommendations.",
    ),
    ConditionInfo(name="swarm", handicaps=handicaps(calls=4), description="Four players, no expert."),
    ConditionInfo(
        name="swarm+expert",
        handicaps=handicaps("reward model", calls=4, recommendation=True),
        description="Four players, rewards and recommendations.",
    ),
    ConditionInfo(
        name="solo+expert best-of-4",
        handicaps=handicaps("reward model", restarts=3, recommendation=True),
        kind="control",
        description="Four independent plays, the best counts.",
        episodes_of="solo+expert",
        attempts=4,
    ),
    ConditionInfo(
        name="replay",
        handicaps=handicaps(),
        kind="baseline",
        description="The recording's commands, blindly.",
    ),
    ConditionInfo(
        name="random", handicaps=handicaps(), kind="baseline", description="Any admissible command."
    ),
)
SKILL = {"solo": -1.0, "solo+expert": 1.2, "swarm": -0.6, "swarm+expert": 4.0, "replay": -0.3, "random": -3.5}


def episodes(*, seed=0, seeds=range(100, 120), goals=GOALS, conditions=CONDITIONS):
    generator = np.random.default_rng(seed)
    made = []
    attempts: dict[str, int] = {}
    for condition in conditions:
        name = condition.episodes_of or condition.name
        attempts[name] = max(attempts.get(name, 0), condition.attempts)
    for name, count in attempts.items():
        for goal in goals:
            for play_seed in seeds:
                for attempt in range(count):
                    made.append(_episode(generator, name, goal, play_seed, attempt))
    return made


def _episode(generator, condition, goal, seed, attempt):
    p = 1 / (1 + np.exp(-(SKILL[condition] + 1.5 - goal.complexity / 30)))
    members = 4 if condition.startswith("swarm") else 1
    if generator.random() < 0.01:
        return EpisodeResult(
            condition=condition, goal=goal.name, complexity=goal.complexity, seed=seed, attempt=attempt,
            success=False, steps=3, interactions=3, failure="the game gave no answer within 5 s",
            rewards=(0.0, 0.0, 0.0), usage=Usage(3 * members), seconds=5.0,
        )  # fmt: skip
    success = bool(generator.random() < p)
    steps = int(goal.complexity * (1 + generator.random())) if success else goal.step_limit
    rewards = tuple(
        float(x) for x in np.round(generator.choice([0, 0, 0.25, -0.25 + 0.2 * p], size=steps), 3)
    )
    dissents = int(steps * 0.3) if members > 1 else 0
    return EpisodeResult(
        condition=condition,
        goal=goal.name,
        complexity=goal.complexity,
        seed=seed,
        attempt=attempt,
        success=success,
        steps=steps,
        interactions=steps,
        score=float(36 + (goal.complexity if success else int(goal.complexity * generator.random()))),
        return_=sum(rewards),
        executability=float(0.9 + 0.1 * generator.random()) if condition != "replay" else None,
        agreement=float(0.4 + 0.3 * p + 0.3 * generator.random()) if members > 1 else None,
        dissents=dissents,
        correct_dissents=dissents // 4 if members > 1 else None,
        truncated=not success,
        usage=Usage(steps * members, steps * members * 300, steps * members * 4, steps * 60, 0, steps * 0.1),
        seconds=steps * 0.12,
        rewards=rewards,
    )


def result(*, plays=None, goals=GOALS, conditions=CONDITIONS, **changes):
    plays = episodes(goals=goals, conditions=conditions) if plays is None else plays
    arguments = {
        "name": "paper/colossal-cave",
        "environment": "colossal-cave",
        "created_with": CreatedWith(
            package_version="0.1.0",
            model="SmolLM2-135M-Instruct.Q4_1.gguf sha256:2f3d9a",
            reward_model="ab" * 32,
            recordings=(
                RecordingInfo(file="colossal-cave.mp4", content_hash="cd" * 32, licence="Apache-2.0"),
            ),
            spec={"experiment": "paper/colossal-cave", "seeds": [100, 119]},
            commands=("lookalike experiment run paper/colossal-cave --seeds 100-119 --out results",),
            play_digest="ef" * 32,
        ),
        "goals": goals,
        "rows": tuple(summarise(plays, conditions)),
        "paired": tuple(paired_differences(plays, conditions)),
        "notes": ("All figures here are made up by a random number generator.",),
        "episodes": tuple(plays),
    }
    return ExperimentResult(**(arguments | changes))
