"""A council that is begun in the page: the process that plays it, with the loop and the log of every run."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import lookalike
from lookalike.core.errors import LookalikeError, UsageError
from lookalike.core.types import Goal, Situation
from lookalike.environments import find_goal
from lookalike.experiments.conditions import Condition, Members, list_experiments
from lookalike.experiments.seat import Seat, Sitting, how_it_ended
from lookalike.experiments.session import Session, SessionSetup
from lookalike.rewards import load_reward_model, save_reward_model
from lookalike.store import EpisodeFailed, EpisodeKey, Event, EventLog, RunFinished, open_log

TEMPERATURES = (0.2, 0.6, 1.0)
MEMBERS: Mapping[Members, str] = {
    "llm": "language-model members",
    "random": "members that draw evenly",
    "mimic": "members that imitate recordings",
}


@dataclass(frozen=True)
class Invitation:
    """What a council is to play, picklable.

    Attributes:
        environment: Environment id.
        goal: Goal name.
        seed: The run's seed.
        members: ``llm``; or in the other members' place ``random`` for even draws, ``mimic`` for imitators.
        reward_model: Its file, or ``None``.
        recommendation: Whether members, the person among them, see what the expert recommends.
        folder: The run's folder.
        run_id: The run's name.
        token: Names the person's sitting.
        model: Language model's name.
    """

    environment: str
    goal: str
    seed: int
    members: Members
    reward_model: str | None
    recommendation: bool
    folder: str
    run_id: str
    token: str
    model: str = "embedded"

    def condition(self) -> Condition:
        """Return which parts are switched on."""
        others = MEMBERS[self.members]
        return Condition(
            name="swarm+you" if self.members == "llm" else f"{self.members}+you",
            kind="control",
            description=f"a person and {len(TEMPERATURES)} {others}",
            player="human",
            members=self.members,
            temperatures=TEMPERATURES,
            council="best-reward" if self.reward_model is not None else "majority",
            reward="reward model" if self.reward_model is not None else "environment score",
            recommendation=self.recommendation and self.reward_model is not None,
        )


def members_named(name: str) -> Members | None:
    """Return who the other members are to be, or ``None`` where there are none of that name."""
    return next((known for known in get_args(Members) if known == name), None)


class LeftError(Exception):
    """The person left, and nobody else wanted the council."""


class _Host(Sitting):
    """The person whose council it is: it waits for them as long as they sit there, and ends when they go."""

    def __init__(self, invitation: Invitation) -> None:
        super().__init__(Seat(Path(invitation.folder)), invitation.token, thinking_s=math.inf)
        self._invitation = invitation

    def ask(self, situation: Situation, frame: str | None) -> str | None:
        """Ask; raise `LeftError` where the person has left."""
        blind = situation.observation.frame is not None and not situation.observation.text
        if blind and self._invitation.members == "llm":
            raise UsageError(
                "The language model sees no pictures, and this game shows nothing else.",
                got=self._invitation.environment,
                remedy="sit down with members that draw evenly",
            )
        said = super().ask(situation, frame)
        if self.left:
            raise LeftError
        return said


def play_council(invitation: Invitation, parent: int) -> None:
    """Play a council (the process's own main function).

    Args:
        invitation: What is played.
        parent: The process that started this one; it plays on for nobody else.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    if os.getppid() != parent:
        return
    sitting = _Host(invitation)
    try:
        sitting.end(_play(sitting, invitation))
    except LookalikeError as error:
        sitting.end(f"{error.what} {error.remedy or ''}".strip(), failed=True)


def _play(sitting: Sitting, invitation: Invitation) -> str:
    """Play the one episode of the run into its log; return how it ended."""
    condition = invitation.condition()
    goal = find_goal(invitation.environment, invitation.goal)
    document, beside = None, None
    folder = Path(invitation.folder)
    if invitation.reward_model is not None:
        document = load_reward_model(Path(invitation.reward_model))
        if document.visual is not None:
            beside = Path(invitation.reward_model).parent  # its weights lie there
        else:
            save_reward_model(document, folder / "reward-model.yaml")
    setup = SessionSetup(
        environment=invitation.environment,
        reward_model=document,
        replay=None,
        recorded_seeds=(),
        model=invitation.model,
        files=folder / "files",
        visual=beside,
    )
    with open_log(folder / "events.sqlite") as log, log.hold(invitation.run_id):
        log.start_run(
            invitation.run_id,
            _described(invitation, condition, document.content_hash() if document else None),
            package_version=lookalike.__version__,
            folder=str(folder),
        )
        session = Session(setup, sitting=sitting)
        return _play_into(log, invitation, condition, goal, session=session, sitting=sitting)


def _play_into(
    log: EventLog,
    invitation: Invitation,
    condition: Condition,
    goal: Goal,
    *,
    session: Session,
    sitting: Sitting,
) -> str:
    sitting.episode = EpisodeKey(condition=condition.name, goal=goal.name, seed=invitation.seed)

    def record(event: Event) -> None:
        log.append(invitation.run_id, [event])
        sitting.hear(event)

    end = RunFinished(status="finished", episodes=1)
    try:
        last = session.play(condition, goal, seed=invitation.seed, attempt=0, record=record)
        if isinstance(last, EpisodeFailed):
            end = RunFinished(status="finished", episodes=1, failures=1)
        return how_it_ended(last)
    except LeftError:
        end = RunFinished(status="stopped", reason="the person left")
        return "You left; what was played stays."
    except LookalikeError as error:
        end = RunFinished(status="stopped", reason=error.what)
        raise
    finally:
        with suppress(LookalikeError):
            log.append(invitation.run_id, [end])
        session.close()


def _described(invitation: Invitation, condition: Condition, document: str | None) -> Mapping[str, Any]:
    """Return what the run was asked to do, as every run's log says it."""
    spec = next((s for s in list_experiments() if s.environment == invitation.environment), None)
    return {
        "experiment": spec.name if spec is not None else "play-along",
        "environment": invitation.environment,
        "recording": spec.recording if spec is not None else "",
        "goals": [invitation.goal],
        "seeds": [invitation.seed],
        "conditions": [condition.model_dump(mode="json")],
        "reward_model": document,
        "model": invitation.model if invitation.members == "llm" else "none",
    }
