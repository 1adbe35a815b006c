"""What a reward model says of a stored episode, with parts of it switched off: computed, and not stored.

While an episode was played, the model also heard which actions the game offered, which the log does not
hold. The game is played again, action by action, to know; where that is not possible the verdicts are
computed without, and the answer says so.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lookalike.core.errors import LookalikeError
from lookalike.core.protocols import EpisodeScorer
from lookalike.core.types import Frame, Observation, Transition, Verdict
from lookalike.environments import make_environment
from lookalike.experiments.conditions import Condition
from lookalike.rewards import RewardModel, RewardModelScorer, compile_plan
from lookalike.store import EpisodeStarted, FileStore, StepTaken
from lookalike.web import shown
from lookalike.web.library import FoundRun

MOST_STEPS = 2_000
_MOST_EPISODES = 8
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Played:
    """A stored episode, ready to be scored.

    Attributes:
        first: What was seen first; its picture is named by ``first_frame``.
        first_frame: The first picture's name among the run's files, or ``None``.
        steps: Its steps with their places, in order.
        offered: What the game offered before each step; ``None`` where that is not known or was not told.
        note: What a reader must know, or ``None``.
    """

    first: Observation
    first_frame: str | None
    steps: tuple[tuple[int, StepTaken], ...]
    offered: tuple[tuple[str, ...] | None, ...]
    note: str | None


class Rescorer:
    """Scores stored episodes again, and remembers the last few: the game's offers, and the whole verdicts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._played: OrderedDict[tuple[object, ...], Played] = OrderedDict()
        self._whole: OrderedDict[tuple[object, ...], list[Verdict]] = OrderedDict()

    def verdicts(
        self,
        run: FoundRun,
        number: int,
        model: RewardModel,
        without: Sequence[str],
        *,
        folder: Path | None = None,
        files: FileStore | None = None,
    ) -> dict[str, Any]:
        """Return the verdicts of each step: as stored, with the whole model, and without some parts.

        Args:
            run: Which run.
            number: Which episode.
            model: The document.
            without: Names of parts that are switched off.
            folder: Where the document lies, and its weights, where it judges pictures.
            files: The run's pictures.

        Raises:
            UnknownNameError: The model has no such part.
            LookalikeError: Its weights or the episode's pictures are missing.
        """
        less = model.without(without)
        key = (run.key, number, run.browser.count(run.run_id, number), model.visual is None)
        with self._lock:
            played = _kept(self._played, key, lambda: load(run, number, with_offers=model.visual is None))
            whole = _kept(
                self._whole, (*key, model.content_hash()), lambda: score(model, played, folder, files)
            )
        now = score(less, played, folder, files) if without else whole
        steps = [
            _said(place, event, w, n) for (place, event), w, n in zip(played.steps, whole, now, strict=True)
        ]
        stored = [s["stored"] for s in steps if s["stored"] is not None]
        return {
            "steps": steps,
            "note": played.note,
            "sum_stored": sum(stored) if stored else None,
            "sum_whole": sum(s["whole"] for s in steps),
            "sum_now": sum(s["now"] for s in steps),
            "changed": sum(s["whole"] != s["now"] for s in steps),
        }


def _kept(
    kept: OrderedDict[tuple[object, ...], Kept], key: tuple[object, ...], make: Callable[[], Kept]
) -> Kept:
    if key not in kept:
        kept[key] = make()
    kept.move_to_end(key)
    while len(kept) > _MOST_EPISODES:
        kept.popitem(last=False)
    return kept[key]


def _said(place: int, event: StepTaken, whole: Verdict, now: Verdict) -> dict[str, Any]:
    return {
        "place": place,
        "step": event.step,
        "world": None if event.world is None else shown.line(event.world, 60),
        "decision": None if event.decision is None else shown.line(event.decision, 80),
        "stored": None if event.verdict is None else event.verdict.value,
        "whole": whole.value,
        "now": now.value,
        "components": [[shown.line(n, 120), v] for n, v in now.components.items() if v],
    }


def load(run: FoundRun, number: int, *, with_offers: bool = True) -> Played:
    """Read an episode and find out what the game offered, where a model is to be told."""
    first, seed, place = Observation(text=""), 0, 0
    first_frame: str | None = None
    steps: list[tuple[int, StepTaken]] = []
    while len(steps) < MOST_STEPS and (
        events := run.browser.page(run.run_id, number, start=place, limit=512)
    ):
        for event in events:
            if isinstance(event, EpisodeStarted):
                first, seed = Observation(text=event.first_observation or ""), event.environment_seed
                first_frame = event.first_frame
            elif isinstance(event, StepTaken):
                steps.append((place, event))
            place += 1
    steps = steps[:MOST_STEPS]
    note = None
    if place < run.browser.count(run.run_id, number):
        note = f"The first {MOST_STEPS:,} steps of the episode."
    configuration = run.log.configuration(run.run_id)
    key = run.browser.episode(run.run_id, number).key
    told = with_offers and _told(configuration, key.condition)
    if not told or any(event.world is not None for _, event in steps):
        return Played(first, first_frame, tuple(steps), (None,) * len(steps), note)
    offered, trouble = _offered(str(configuration.get("environment")), seed, [event for _, event in steps])
    whole_note = " ".join(filter(None, (note, trouble))) or None
    return Played(first, first_frame, tuple(steps), offered, whole_note)


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


def scorers_of(model: RewardModel, folder: Path | None) -> Callable[[], EpisodeScorer]:
    """Return what makes scorers of a reward model, of words or of pictures.

    Args:
        model: The document.
        folder: Where it lies, and its weights; needed where it judges pictures.

    Raises:
        RewardModelError: Its weights are missing or are others.
        CapabilityError: What they need is not installed.
    """
    if model.visual is None:
        plan = compile_plan(model)
        return lambda: RewardModelScorer(plan)
    from lookalike.rewards.visual_scorer import VisualScorer, load_visual

    networks = load_visual(model, folder if folder is not None else Path())
    return lambda: VisualScorer(model, networks)


def score(
    model: RewardModel, played: Played, folder: Path | None = None, files: FileStore | None = None
) -> list[Verdict]:
    """Return the model's verdict on each step, as it would have given it while the episode was played."""
    make = scorers_of(model, folder)
    pictures = files if model.visual is not None else None
    scorers: dict[str | None, EpisodeScorer] = {}
    seen: dict[str | None, Frame | None] = {}
    first = _picture(pictures, played.first_frame)
    verdicts = []
    for (_, event), offered in zip(played.steps, played.offered, strict=True):
        scorer = scorers.get(event.world)
        if scorer is None:
            scorer = scorers[event.world] = make()
            scorer.start(Observation(text=played.first.text, frame=first))
            seen[event.world] = first
        if offered is not None:
            scorer.note_admissible(offered)
        if event.decision is None:
            verdicts.append(Verdict(0.0))
            continue
        before = Observation(text=event.observation or "", frame=seen[event.world])
        if event.next_frame is not None:
            seen[event.world] = _picture(pictures, event.next_frame)
        after = Observation(text=event.next_observation or "", frame=seen[event.world])
        verdicts.append(
            scorer.score(
                Transition(before, event.decision, after, event.env_reward, event.terminated, event.truncated)
            )
        )
    return verdicts


def _picture(files: FileStore | None, digest: str | None) -> Frame | None:
    return files.get_frame(digest) if files is not None and digest is not None else None
