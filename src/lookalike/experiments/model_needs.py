"""Whether a model can do what a run is going to ask of it, found out before the run starts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from lookalike.core.errors import GameError, UsageError
from lookalike.environments import make_environment
from lookalike.experiments.conditions import ASKS_A_MODEL, Condition
from lookalike.experiments.judging import DEFAULT_EXPERT
from lookalike.experts import make_expert
from lookalike.experts.remote import RemoteExpert
from lookalike.models import make_model
from lookalike.models.capabilities import require
from lookalike.models.prices import price_of


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


def refuse_unfit_expert(expert: str, judge: str | None, *, in_money: bool) -> None:
    """Refuse an expert or a live judge that cannot work, before anything is recorded, read or paid.

    Args:
        expert: As for ``--expert``.
        judge: As for ``--judge``.
        in_money: The run's budget is one of money, so that prices must be known.

    Raises:
        UsageError: The judge's price is not known.
        UnknownNameError: There is none of that name.
        CapabilityError: A model cannot hold a reply to a schema.
        ModelError: There is no key, or something is not installed.
    """
    found = [] if expert == DEFAULT_EXPERT else [make_expert(expert)]
    if judge is not None:
        if in_money and price_of(judge) is None:
            raise UsageError(
                "A budget of money needs a price, and none is known for the judge's model.",
                got=judge,
                expected="an entry for it in the price file",
                remedy="add one (docs/models.md), or limit calls or tokens instead (--limit calls=1000)",
            )
        found.append(RemoteExpert([make_model(judge)]))
    for one in found:
        close = getattr(one, "close", None)
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
