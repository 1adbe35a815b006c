"""How many transitions a reward model scores in a second, on a whole recorded play of Colossal Cave.

The model is the one the embedded expert writes from the same play (142 milestones). The texts of a play
are read once and kept, which is how they are met in an experiment: the rate with texts that were never
read before is shown beside it, and so is the price of a preview of all admissible actions. Time is the
processor's, not the clock's: scoring waits for nothing, and other programs on the machine do not count.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from lookalike.core.types import Demonstration, Provenance, Trajectory
from lookalike.environments import make_environment
from lookalike.experts import make_expert
from lookalike.recordings import shipped_play
from lookalike.rewards import RewardModelScorer, compile_plan
from lookalike.rewards.text import read_text

TARGET = 20_000
ROUNDS = 15


def measure() -> list[dict[str, Any]]:
    """Return transitions a second with texts read before (the target's) and never read before."""
    play, offered = _replay()
    provenance = Provenance("walkthrough2.txt", "benchmark", "0" * 64)
    demonstration = Demonstration("walk2", play, "human", provenance)
    model = make_expert("embedded-text").watch([demonstration], environment="colossal-cave")
    scorer = RewardModelScorer(compile_plan(model))
    transitions = play.transitions()

    def score_all(fresh: bool) -> float:
        if fresh:
            read_text.cache_clear()
        scorer.start(play.observations[0])
        start = time.thread_time()
        for transition in transitions:
            scorer.score(transition)
        return len(transitions) / (time.thread_time() - start)

    score_all(fresh=True)
    warm = [score_all(fresh=False) for _ in range(ROUNDS)]
    cold = [score_all(fresh=True) for _ in range(ROUNDS)]
    scorer.start(play.observations[0])
    previewed, spent = 0, 0.0
    for transition, actions in zip(transitions, offered, strict=True):
        start = time.thread_time()
        scorer.preview(transition.before, actions)
        spent += time.thread_time() - start
        previewed += len(actions)
        scorer.score(transition)
    value = statistics.median(warm)
    detail = f"median of {ROUNDS} replays of {len(transitions)} steps, {len(model.milestones)} milestones"
    return [
        {
            "name": "transitions_scored",
            "value": round(value),
            "unit": "1/s",
            "target": f">= {TARGET}",
            "met": value >= TARGET,
            "detail": f"{detail}; worst {min(warm):,.0f}/s",
        },
        {
            "name": "transitions_scored_unread_texts",
            "value": round(statistics.median(cold)),
            "unit": "1/s",
            "target": None,
            "met": None,
            "detail": detail,
        },
        {
            "name": "actions_previewed",
            "value": round(previewed / spent),
            "unit": "1/s",
            "target": None,
            "met": None,
            "detail": f"{previewed / len(transitions):.1f} admissible actions a step",
        },
    ]


def _replay() -> tuple[Trajectory, list[tuple[str, ...]]]:
    """Return the play and what the environment offered before each of its steps."""
    game, play = make_environment("colossal-cave", isolated=False), shipped_play(2)
    observations, offered, done = [game.reset(seed=play.seed)], [], []
    for command in play.commands:
        offered.append(game.admissible_actions())
        result = game.step(command)
        done.append(command)
        observations.append(result.observation)
        if result.terminated:
            break
    game.close()
    return Trajectory(tuple(observations), tuple(done)), offered
