"""Whether a model can do what a run is going to ask of it, found out before the run starts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from lookalike.core.errors import GameError
from lookalike.environments import make_environment
from lookalike.experiments.conditions import ASKS_A_MODEL, Condition
from lookalike.models import make_model
from lookalike.models.capabilities import require


def refuse_unfit_model(name: str, conditions: Sequence[Condition], environment: str) -> None:
    """Refuse a model that lacks what these conditions need. Nothing is sent to it, and no weights load.

    Args:
        name: As given to ``--model``.
        conditions: What is going to be played; those that ask no model are left out.
        environment: Its id. A family (``procgen:maze``) is started once to see whether it has text.

    Raises:
        CapabilityError: It lacks a capability; the error says what to do instead.
        ModelError: There is no key, or something is not installed.
    """
    asking = [condition for condition in conditions if condition.player in ASKS_A_MODEL]
    if not asking:
        return
    needs_eyes = _has_only_frames(environment)
    if name == "embedded" and not needs_eyes:
        return  # it holds replies to lists and takes every temperature
    model = make_model(name)
    try:
        require(
            model,
            temperatures={t for condition in asking for t in condition.temperatures},
            # A transcript has no place for a list: the back end has to hold the reply to it.
            allowed_replies=model.style == "transcript" and any(c.admissible_actions for c in asking),
            images=int(needs_eyes),
        )
    finally:
        close = getattr(model, "close", None)
        if close is not None:
            close()


def _has_only_frames(environment: str) -> bool:
    if ":" not in environment:
        return False  # the games that are registered one by one are text games
    with suppress(GameError):  # a game that cannot be started is told about by whoever plays it
        game = make_environment(environment)
        try:
            return "frames" in game.capabilities and "text" not in game.capabilities
        finally:
            game.close()
    return False
