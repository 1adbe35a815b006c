"""``lookalike play``: one episode, shown while it is played, by a swarm or by a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.live import show_event, show_verdict
from lookalike.cli.options import GoalsFileOption, JsonOption, parse_seed
from lookalike.cli.output import emit, emit_json

if TYPE_CHECKING:
    from lookalike.core.types import Goal
    from lookalike.rewards import RewardModel
    from lookalike.store import EpisodeFailed, EpisodeFinished, EpisodePaused, Event

DEFAULT_SEED = "100"


def play(
    environment: Annotated[str, typer.Argument(help="Environment id; see `lookalike environments list`.")],
    goal: Annotated[str, typer.Option(help="What to reach; see `lookalike goals list`.")],
    condition: Annotated[
        str | None,
        typer.Option(
            help="Which parts are switched on; swarm+expert by default with a reward model, otherwise swarm."
        ),
    ] = None,
    player: Annotated[str, typer.Option(help="Who plays: llm, human or random.")] = "llm",
    reward_model: Annotated[
        Path | None, typer.Option(help="Reward model that `lookalike watch` wrote.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Language model of the players; see `lookalike models list`.")
    ] = "embedded",
    seed: Annotated[str, typer.Option(metavar="N", help="Seed of the episode.")] = DEFAULT_SEED,
    goals_file: GoalsFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play one episode and show it step by step.

    With `--player human` you play yourself; with a reward model you see what each of your steps was worth.
    """
    from lookalike.environments import find_goal
    from lookalike.rewards import load_reward_model

    wanted = find_goal(environment, goal, goals_file)
    played_seed = parse_seed(seed)
    document = None if reward_model is None else load_reward_model(reward_model)
    events: list[Event] = []
    show = events.append if as_json else (show_verdict if player == "human" else show_event)
    if player == "human":
        ending = _by_hand(wanted, document, seed=played_seed, record=show)
    else:
        from lookalike.experiments import play_episode

        ending = play_episode(
            environment,
            goal=wanted,
            condition=condition or ("swarm" if document is None else "swarm+expert"),
            player=player,
            reward_model=document,
            model=model,
            seed=played_seed,
            on_event=show,
        )
    if as_json:
        emit_json(events)
    else:
        _show_ending(ending, wanted)


class _LeftError(Exception):
    """The person at the keyboard ended the play."""


def _by_hand(
    goal: Goal, model: RewardModel | None, *, seed: int, record: Callable[[Event], None]
) -> EpisodeFinished | EpisodeFailed | EpisodePaused | None:
    """Let a person play a goal, under the same loop and limits as everybody.

    Returns:
        The last event, or ``None`` where the person left before the end.
    """
    from lookalike.core.types import Role
    from lookalike.environments import make_environment
    from lookalike.players import HumanPlayer
    from lookalike.rewards import RewardModelScorer
    from lookalike.store import EpisodeKey
    from lookalike.swarm import Episode, SwarmConfig

    def read(prompt: str) -> str:
        try:
            return input(prompt)
        except (EOFError, KeyboardInterrupt):
            raise _LeftError from None

    config = SwarmConfig(
        roles=(Role("you", 0.0),), memory="none", reward="none" if model is None else "reward model"
    )
    game = make_environment(goal.environment)
    try:
        return Episode(
            key=EpisodeKey(condition="human", goal=goal.name, seed=seed, attempt=0),
            goal=goal,
            environment=game,
            player=HumanPlayer(read=read, write=emit),
            config=config,
            scorer=None if model is None else RewardModelScorer(model),
            seed=seed,
            environment_seed=seed,
            record=record,
        ).play()
    except _LeftError:
        return None
    finally:
        game.close()


def _show_ending(ending: EpisodeFinished | EpisodeFailed | EpisodePaused | None, goal: Goal) -> None:
    if ending is None:
        emit("\nYou left the game.")
        return
    if ending.kind == "episode_paused":  # no budget was given
        emit(f"\nThe episode was paused: {ending.reason}")
        return
    if ending.kind == "episode_failed":
        emit(f"\nThe episode could not be finished: {ending.failure}")
        raise typer.Exit(2)
    result = "reached" if ending.success else "not reached"
    score = "" if ending.score is None else f", {ending.score:g} points"
    emit(f"\nGoal {goal.name!r} {result} in {ending.steps} of {goal.step_limit} steps{score}.")
