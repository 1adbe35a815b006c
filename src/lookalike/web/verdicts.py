"""What a reward model says of a stored episode, with parts of it switched off: computed, and not stored.

While an episode was played, the model also heard which actions the game offered, which the log does not
hold. The game is played again, action by action, to know; where that is not possible the verdicts are
computed without, and the answer says so.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lookalike.core.errors import LookalikeError
from lookalike.core.types import Observation, Transition, Verdict
from lookalike.environments import make_environment
from lookalike.experiments.conditions import Condition
from lookalike.rewards import RewardModel, RewardModelScorer, compile_plan
from lookalike.store import EpisodeStarted, StepTaken
from lookalike.web import shown
from lookalike.web.library import FoundRun

MOST_STEPS = 2_000
_MOST_EPISODES = 8


@dataclass(frozen=True)
class Played:
    """A stored episode, ready to be scored.

    Attributes:
        first: What was seen first.
        steps: Its steps with their places, in order.
        offered: What the game offered before each step; ``None`` where that is not known or was not told.
        note: What a reader must know, or ``None``.
    """

    first: Observation
    steps: tuple[tuple[int, StepTaken], ...]
    offered: tuple[tuple[str, ...] | None, ...]
    note: str | None


class Rescorer:
    """Scores stored episodes again, and remembers what the game offered in the last few."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._played: OrderedDict[tuple[str, int, int], Played] = OrderedDict()

    def verdicts(
        self, run: FoundRun, number: int, model: RewardModel, without: Sequence[str]
    ) -> dict[str, Any]:
        """Return the verdicts of each step: as stored, with the whole model, and without some parts.

        Raises:
            UnknownNameError: The model has no such part.
        """
        played = self._load(run, number)
        reduced = model.without(without)
        whole = score(model, played)
        now = score(reduced, played) if without else whole
        steps = []
        for (place, event), all_on, verdict in zip(played.steps, whole, now, strict=True):
            steps.append(
                {
                    "place": place,
                    "step": event.step,
                    "world": None if event.world is None else shown.line(event.world, 60),
                    "decision": None if event.decision is None else shown.line(event.decision, 80),
                    "stored": None if event.verdict is None else event.verdict.value,
                    "whole": all_on.value,
                    "now": verdict.value,
                    "components": [[shown.line(n, 120), v] for n, v in verdict.components.items() if v],
                }
            )
        stored = [s["stored"] for s in steps if s["stored"] is not None]
        return {
            "steps": steps,
            "note": played.note,
            "sum_stored": sum(stored)
            if (stored := [s["stored"] for s in steps if s["stored"] is not None])
            else None,
            "sum_whole": sum(s["whole"] for s in steps),
            "sum_now": sum(s["now"] for s in steps),
            "changed": sum(s["whole"] != s["now"] for s in steps),
        }

    def _load(self, run: FoundRun, number: int) -> Played:
        key = (run.key, number, run.browser.count(run.run_id, number))
        with self._lock:
            found = self._played.get(key)
            if found is None:
                found = self._played[key] = load(run, number)
            self._played.move_to_end(key)
            while len(self._played) > _MOST_EPISODES:
                self._played.popitem(last=False)
            return found


def load(run: FoundRun, number: int) -> Played:
    """Read an episode and find out what the game offered."""
    first, seed, place = Observation(text=""), 0, 0
    steps: list[tuple[int, StepTaken]] = []
    while len(steps) < MOST_STEPS and (
        events := run.browser.page(run.run_id, number, start=place, limit=512)
    ):
        for event in events:
            if isinstance(event, EpisodeStarted):
                first, seed = Observation(text=event.first_observation or ""), event.environment_seed
            elif isinstance(event, StepTaken):
                steps.append((place, event))
            place += 1
    steps = steps[:MOST_STEPS]
    note = None
    if place < run.browser.count(run.run_id, number):
        note = f"The first {MOST_STEPS:,} steps of the episode."
    configuration = run.log.configuration(run.run_id)
    key = run.browser.episode(run.run_id, number).key
    if not _told(configuration, key.condition) or any(event.world is not None for _, event in steps):
        return Played(first, tuple(steps), (None,) * len(steps), note)
    offered, trouble = _offered(str(configuration.get("environment")), seed, [event for _, event in steps])
    return Played(first, tuple(steps), offered, " ".join(filter(None, (note, trouble))) or None)


def _told(configuration: dict[str, Any], condition: str) -> bool:
    """Return whether the condition's reward model heard which actions the game offers."""
    for entry in configuration.get("conditions", ()):
        if entry.get("name") == condition:
            return Condition.model_validate(entry).admissible_actions
    return False


def _offered(
    environment: str, seed: int, steps: Sequence[StepTaken]
) -> tuple[tuple[tuple[str, ...] | None, ...], str | None]:
    """Play the steps again; return what the game offered before each, and what went wrong."""
    nothing: list[tuple[str, ...] | None] = []
    try:
        game = make_environment(environment)
    except LookalikeError as error:
        return (None,) * len(steps), f"Computed without what the game offered: {error.what}"
    trouble = None
    try:
        if "admissible_actions" not in game.capabilities:
            return (None,) * len(steps), None
        game.reset(seed=seed)
        for event in steps:
            nothing.append(game.admissible_actions())
            if event.decision is not None:
                answer = game.step(event.decision).observation.text
                if answer != event.next_observation:
                    trouble = f"From step {event.step + 1} on the game answers otherwise than it did."
                    break
    except LookalikeError as error:
        trouble = f"The game stopped: {error.what}"
    finally:
        game.close()
    return (*nothing, *(None,) * (len(steps) - len(nothing))), trouble


def score(model: RewardModel, played: Played) -> list[Verdict]:
    """Return the model's verdict on each step, as it would have given it while the episode was played."""
    plan = compile_plan(model)
    scorers: dict[str | None, RewardModelScorer] = {}
    verdicts = []
    for (_, event), offered in zip(played.steps, played.offered, strict=True):
        scorer = scorers.get(event.world)
        if scorer is None:
            scorer = scorers[event.world] = RewardModelScorer(plan)
            scorer.start(played.first)
        if offered is not None:
            scorer.note_admissible(offered)
        if event.decision is None:
            verdicts.append(Verdict(0.0))
            continue
        before, after = (
            Observation(text=event.observation or ""),
            Observation(text=event.next_observation or ""),
        )
        verdicts.append(
            scorer.score(
                Transition(before, event.decision, after, event.env_reward, event.terminated, event.truncated)
            )
        )
    return verdicts
