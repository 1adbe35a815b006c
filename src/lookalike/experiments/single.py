"""One episode of one condition, shown while it is played."""

from __future__ import annotations

from collections.abc import Callable

from lookalike.core.errors import UsageError
from lookalike.core.types import Goal
from lookalike.environments import find_goal
from lookalike.experiments.conditions import find_condition
from lookalike.experiments.model_needs import refuse_unfit_model
from lookalike.experiments.session import Session, SessionSetup
from lookalike.rewards import RewardModel
from lookalike.store import EpisodeFailed, EpisodeFinished, EpisodePaused, Event


def play_episode(
    environment: str,
    *,
    goal: str | Goal,
    condition: str,
    seed: int,
    player: str = "llm",
    reward_model: RewardModel | None = None,
    model: str = "embedded",
    on_event: Callable[[Event], None] | None = None,
) -> EpisodeFinished | EpisodeFailed | EpisodePaused:
    """Play one episode.

    Args:
        environment: Environment id.
        goal: A goal, or the name of a shipped one.
        condition: Condition name, e.g. ``swarm+expert``.
        seed: The episode's seed.
        player: ``llm``, or ``random`` for even draws in its place.
        reward_model: Needed by conditions with an expert.
        model: Language model's name.
        on_event: Called with every event as it happens.

    Raises:
        CapabilityError: The model cannot do what the condition needs.
        UsageError: The condition needs a reward model and there is none.
    """
    chosen = find_condition(condition)
    if player == "random":
        chosen = chosen.model_copy(update={"player": "random"})
    if chosen.config().needs_reward_model and reward_model is None:
        raise UsageError(
            f"The condition {condition!r} needs a reward model.",
            got="no --reward-model",
            remedy="Write one with `lookalike watch`, or choose a condition without an expert (solo, swarm).",
        )
    refuse_unfit_model(model, [chosen], environment)
    session = Session(SessionSetup(environment, reward_model, replay=None, recorded_seeds=(), model=model))
    try:
        record = on_event or (lambda _: None)
        wanted = find_goal(environment, goal) if isinstance(goal, str) else goal
        return session.play(chosen, wanted, seed=seed, attempt=0, record=record)
    finally:
        session.close()
