"""Learns a hazard model from a run's own plays.

What was learnt on some seeds is played with on others (``follow-hazards``). Only what the episodes showed as
text is read, in the log's order; the game's own score and state take no part.
"""

from __future__ import annotations

from pathlib import Path

from lookalike.core.errors import UsageError
from lookalike.core.types import Observation
from lookalike.experiments.result_files import read_results
from lookalike.experiments.runner import REWARD_MODEL_FILE
from lookalike.rewards import compile_plan, load_reward_model
from lookalike.rewards.hazard_learning import HazardLearner
from lookalike.rewards.hazards import HazardModel
from lookalike.store import EpisodeStarted, StepTaken, open_log


def learn_from_run(folder: Path, *, condition: str) -> HazardModel:
    """Learn from the plays of one condition.

    Args:
        folder: An experiment's ``--out`` folder.
        condition: Whose plays.

    Raises:
        UsageError: The run has no such plays, or no reward model.
    """
    document, store = folder / REWARD_MODEL_FILE, folder / "events.sqlite"
    if not document.exists() or not store.exists():
        raise UsageError("This folder has no event log, or no reward model to follow it with.", got=folder)
    plays: dict[tuple[str, int, int], tuple[Observation, list[tuple[str, Observation]]]] = {}
    with open_log(str(store)) as log:
        for event in log.events(read_results(folder / "results.json").name):
            if not isinstance(event, EpisodeStarted | StepTaken) or event.episode.condition != condition:
                continue
            key = (event.episode.goal, event.episode.seed, event.episode.attempt)
            if isinstance(event, EpisodeStarted):
                plays[key] = (Observation(text=event.first_observation), [])
            elif key in plays and event.decision is not None:
                plays[key][1].append((event.decision, Observation(text=event.next_observation)))
    if not plays:
        raise UsageError("This run has no plays of the condition.", got=condition)
    seeds = sorted({seed for _, seed, _ in plays})
    source = f"{len(plays)} plays of {condition}, seeds {seeds[0]}-{seeds[-1]}"
    learner = HazardLearner(compile_plan(load_reward_model(document)), source=source)
    for first, steps in plays.values():
        learner.play(first, steps)
    return learner.model()
