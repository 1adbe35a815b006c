"""A person as a member of a council: asked first, shown the others' proposals after.

The council plays in a process of its own, under the same loop, limits and log as every run; only the member
`you` is asked through the page. What everybody proposed, what was decided and whose proposal was worth more
is in the run's log, so that the run's own page says who was right.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import lookalike
from lookalike.core.errors import LookalikeError, UsageError
from lookalike.core.protocols import Player
from lookalike.core.types import Goal, Proposal, Role, Situation
from lookalike.environments import find_goal
from lookalike.experiments.conditions import PERSON, Condition, list_experiments
from lookalike.experiments.session import Session, SessionSetup
from lookalike.players import LanguageModelPlayer, RandomPlayer
from lookalike.players.llm import normalise_action, why_no_action
from lookalike.players.mimic import MimicPlayer
from lookalike.rewards import load_reward_model, save_reward_model
from lookalike.store import EpisodeFailed, Event, EventLog, RunFinished, open_log
from lookalike.web import shown
from lookalike.web.jobs import new_folder
from lookalike.web.library import Library, key_of
from lookalike.web.replay import described_event
from lookalike.web.screen_play import picture_of

MOST_COUNCILS = 2
TEMPERATURES = (0.2, 0.6, 1.0)
MEMBERS = {
    "llm": "language-model members",
    "random": "members that draw evenly",
    "mimic": "members that imitate recordings",
}
_GRACE_S = 5.0
_MOST_ACTIONS = 120


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
        model: Language model's name.
    """

    environment: str
    goal: str
    seed: int
    members: str
    reward_model: str | None
    recommendation: bool
    folder: str
    run_id: str
    model: str = "embedded"

    def condition(self) -> Condition:
        """Return which parts are switched on."""
        others = MEMBERS[self.members]
        return Condition(
            name="swarm+you" if self.members == "llm" else f"{self.members}+you",
            kind="control",
            description=f"a person and {len(TEMPERATURES)} {others}",
            player="human",
            temperatures=TEMPERATURES,
            council="best-reward" if self.reward_model is not None else "majority",
            reward="reward model" if self.reward_model is not None else "environment score",
            recommendation=self.recommendation and self.reward_model is not None,
        )


@dataclass
class Council:
    """A council that sits.

    Attributes:
        key: Names it in addresses.
        invitation: What it plays.
        state: ``beginning``, ``your turn``, ``thinking``, ``ended`` or ``failed``.
        situation: What the person is asked, where it is their turn.
        last: The last event, as the replay shows it.
        words: How it ended.
        frame: What is on the screen where it is their turn, as a file and its media type, or ``None``.
        run_key: The run in the pages.
        version: Changes with everything above.
    """

    key: str
    invitation: Invitation
    process: Any
    pipe: Connection
    run_key: str
    state: str = "beginning"
    situation: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    words: str = ""
    frame: tuple[bytes, str] | None = None
    version: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, **changes: Any) -> None:
        """Change what the page shows."""
        with self.changed:
            for name, value in changes.items():
                setattr(self, name, value)
            self.version += 1
            self.changed.notify_all()

    def as_dict(self, *, after: int, patience_s: float = 0.0) -> dict[str, Any]:
        """Return what the page shows, as soon as it is newer than ``after``, or patience ends."""
        with self.changed:
            self.changed.wait_for(lambda: self.version > after, timeout=patience_s)
            names = ("key", "state", "situation", "last", "words", "version", "run_key")
            return {name: getattr(self, name) for name in names}


class Councils:
    """All councils of this server.

    Args:
        library: Where runs go.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._councils: dict[str, Council] = {}
        self._lock = threading.Lock()

    def start(
        self,
        environment: str,
        *,
        goal: str,
        seed: int,
        members: str = "llm",
        reward_model: Path | None = None,
        recommendation: bool = True,
    ) -> Council:
        """Begin a run with a person among its members.

        Raises:
            UnknownNameError: There is no such environment or goal.
            UsageError: Too many councils, members or a seed that cannot be meant.
        """
        find_goal(environment, goal)
        if members not in MEMBERS:
            raise UsageError(
                "There are no such members.", got=shown.line(members), expected=", ".join(MEMBERS)
            )
        if not 0 <= seed < 2**31:
            raise UsageError("A seed is a whole number from 0.", got=seed)
        with self._lock:
            if sum(c.process.is_alive() for c in self._councils.values()) >= MOST_COUNCILS:
                raise UsageError(
                    "Enough councils are sitting.", got=MOST_COUNCILS, remedy="end one of them first"
                )
        folder = new_folder(self._library.folder, f"play-along-{goal}")
        invitation = Invitation(
            environment=environment,
            goal=goal,
            seed=seed,
            members=members,
            reward_model=str(reward_model) if reward_model is not None else None,
            recommendation=recommendation,
            folder=str(folder),
            run_id=folder.name,
        )
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, invitation, os.getpid()), daemon=True)
        process.start()
        theirs.close()
        run_key = key_of(str(folder / "events.sqlite"), invitation.run_id)
        council = Council(f"council-{run_key}", invitation, process, ours, run_key)
        with self._lock:
            self._councils[council.key] = council
        threading.Thread(target=self._listen, args=(council,), daemon=True, name=council.key).start()
        return council

    def council(self, key: str) -> Council:
        """Return a council.

        Raises:
            UsageError: There is none with that key.
        """
        with self._lock:
            found = self._councils.get(key)
        if found is None:
            raise UsageError("This council does not sit any more.", remedy="its run is in the list of runs")
        return found

    def propose(self, key: str, action: str) -> Council:
        """Give the person's proposal.

        Raises:
            UsageError: It is not their turn, or the line is no action.
        """
        council = self.council(key)
        problem = why_no_action(action[:400])
        if problem is not None:
            raise UsageError(problem, got=shown.line(action, 80), remedy="type a command")
        with council.changed:
            if council.state != "your turn":
                raise UsageError("It is not your turn.", remedy="wait until you are asked")
            council.state, council.situation = "thinking", None
            council.version += 1
        council.pipe.send(("proposal", action))
        return council

    def leave(self, key: str) -> Council:
        """Leave: the run stops there, and stays."""
        council = self.council(key)
        with suppress(OSError):
            council.pipe.send(("leave", ""))
        return council

    def close(self) -> None:
        """End all councils; their runs stay."""
        with self._lock:
            councils, self._councils = list(self._councils.values()), {}
        for council in councils:
            with suppress(OSError):
                council.pipe.send(("leave", ""))
        for council in councils:
            council.process.join(timeout=_GRACE_S)
            if council.process.is_alive():
                council.process.kill()
                council.process.join()

    def _listen(self, council: Council) -> None:
        while True:
            try:
                kind, content = council.pipe.recv()
            except (EOFError, OSError):
                break
            if kind == "ask":
                situation, frame = content
                council.tell(state="your turn", situation=situation, frame=frame)
            elif kind == "event":
                council.tell(last=content, state="thinking")
            elif kind == "ended":
                self._library.forget()
                council.tell(state="ended", words=content, situation=None)
            else:
                council.tell(state="failed", words=content, situation=None)
        council.process.join(timeout=_GRACE_S)
        if council.state not in {"ended", "failed"}:
            council.tell(state="failed", words="The council's process ended unexpectedly.", situation=None)
        self._library.forget()


class LeftError(Exception):
    """The person left."""


class CouncilPlayer:
    """A Player for all members: the person through a question, the others through another player.

    Args:
        others: Who proposes for the other members.
        ask: Asks the person; raises `LeftError` where they leave.
    """

    name = "council"

    def __init__(self, others: Player, ask: Callable[[Situation], str]) -> None:
        self._others = others
        self._ask = ask

    def start_episode(self, *, seed: int) -> None:
        """See the protocol."""
        self._others.start_episode(seed=seed)

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Ask the person before anybody else has proposed, then the others."""
        by_role: dict[str, Proposal] = {}
        person = next((role for role in roles if role.name == PERSON), None)
        if person is not None:
            by_role[PERSON] = Proposal(person, normalise_action(self._ask(situation)))
        others = [role for role in roles if role.name != PERSON]
        if others:
            for proposal in self._others.propose(situation, others, seed=seed):
                by_role[proposal.role.name] = proposal
        return [by_role[role.name] for role in roles]


class _CouncilSession(Session):
    """A session whose player asks a person too."""

    def __init__(self, setup: SessionSetup, members: str, ask: Callable[[Situation], str]) -> None:
        super().__init__(setup)
        self._members = members
        self._ask = ask

    def player(self, condition: Condition, goal: Goal, *, seed: int = 0) -> Player:
        """See `Session.player`."""
        del goal, seed
        others: Player
        if self._members == "random":
            others = RandomPlayer()
        elif self._members == "mimic":
            others = MimicPlayer(self.visual())
        else:
            others = LanguageModelPlayer(self.model(), admissible=condition.admissible_actions)
        return CouncilPlayer(others, self._ask)


def _serve(pipe: Connection, invitation: Invitation, parent: int) -> None:
    """Play a council (the process's own main function)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    if os.getppid() != parent:
        return
    try:
        pipe.send(("ended", _play(pipe, invitation)))
    except LookalikeError as error:
        with suppress(OSError):
            pipe.send(("failed", f"{error.what} {error.remedy or ''}".strip()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the dashboard is gone


def _play(pipe: Connection, invitation: Invitation) -> str:
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

    def ask(situation: Situation) -> str:
        frame = situation.observation.frame
        if frame is not None and not situation.observation.text and invitation.members == "llm":
            raise UsageError(
                "The language model sees no pictures, and this game shows nothing else.",
                got=invitation.environment,
                remedy="sit down with members that draw evenly",
            )
        pipe.send(("ask", (_question(situation), None if frame is None else picture_of(frame))))
        kind, content = pipe.recv()
        if kind == "leave":
            raise LeftError
        return str(content)

    with open_log(folder / "events.sqlite") as log, log.hold(invitation.run_id):
        log.start_run(
            invitation.run_id,
            _described(invitation, condition, document.content_hash() if document else None),
            package_version=lookalike.__version__,
            folder=str(folder),
        )
        session = _CouncilSession(setup, invitation.members, ask)
        return _play_into(log, invitation, condition, goal, session=session, pipe=pipe)


def _play_into(
    log: EventLog,
    invitation: Invitation,
    condition: Condition,
    goal: Goal,
    *,
    session: _CouncilSession,
    pipe: Connection,
) -> str:
    frames: dict[str | None, str | None] = {}

    def record(event: Event) -> None:
        log.append(invitation.run_id, [event])
        pipe.send(("event", described_event(event, frames)))

    end = RunFinished(status="finished", episodes=1)
    try:
        last = session.play(condition, goal, seed=invitation.seed, attempt=0, record=record)
        if isinstance(last, EpisodeFailed):
            end = RunFinished(status="finished", episodes=1, failures=1)
            return f"The game stopped: {last.failure}"
        success = getattr(last, "success", False)
        return "The goal was reached." if success else "The goal was not reached."
    except (LeftError, EOFError, OSError):
        end = RunFinished(status="stopped", reason="the person left")
        return "You left; what was played stays."
    except LookalikeError as error:
        end = RunFinished(status="stopped", reason=error.what)
        raise
    finally:
        with suppress(LookalikeError):
            log.append(invitation.run_id, [end])
        session.close()


def _question(situation: Situation) -> dict[str, Any]:
    """Return what the person is shown: what every member is shown."""
    actions = situation.admissible_actions
    return {
        "goal": shown.text(situation.goal),
        "how_to_play": shown.text(situation.how_to_play, 4000),
        "observation": shown.text(situation.observation.text or ""),
        "recommended": [shown.line(item.action) for item in situation.guidance],
        "actions": [shown.line(a, 60) for a in actions[:_MOST_ACTIONS]] if actions is not None else [],
        "step": situation.step,
        "steps_left": situation.steps_left,
        "picture": situation.observation.frame is not None,
    }


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
