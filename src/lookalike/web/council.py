"""A person as a member of a council: asked first, shown the others' proposals after.

The council is played by another process: one of its own where it is begun here, or that of a run which goes
on anyway and lets the person sit down from its next episode on. Either way they are asked through the run's
seat; what everybody proposed, what was decided and whose proposal was worth more is in the run's log, so
that its page says who was right.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lookalike.core.errors import LookalikeError, StoreError, UsageError
from lookalike.environments import find_goal
from lookalike.experiments.conditions import Condition
from lookalike.experiments.seat import ABSENT_AFTER_S, Asked, Seat
from lookalike.players.llm import why_no_action
from lookalike.store import EpisodeKey, FileStore
from lookalike.web import shown
from lookalike.web.council_play import MEMBERS, Invitation, members_named, play_council
from lookalike.web.held import Held
from lookalike.web.jobs import new_folder
from lookalike.web.library import FoundRun, Library, key_of
from lookalike.web.replay import described_event
from lookalike.web.screen_play import picture_of

MOST_COUNCILS = 2
_GRACE_S = 5.0
_LISTEN_EVERY_S = 0.05
_LOOK_AFTER_S = 2.0
_MOST_ACTIONS = 120
_OVER = frozenset({"ended", "failed"})


@dataclass
class Council:
    """A council that sits, or will.

    Attributes:
        key: Names it in addresses.
        environment: What is played.
        goal: What is to be reached; ``None`` where the run says it, later.
        run_id: The run's name.
        run_key: The run in the pages.
        seat: Where the person is asked.
        token: Names their sitting.
        process: The process that plays it; ``None`` where the run is not ours.
        state: ``waiting`` for the run's next episode, ``beginning``, ``your turn``, ``thinking``, ``ended``
            or ``failed``.
        situation: What the person is asked, where it is their turn.
        last: The last step, as the replay shows it.
        words: How it ended.
        frame: What is on the screen where it is their turn, as a file and its media type, or ``None``.
        address: Where it can be seen who was right.
        version: Changes with everything above.
        looked_at: When the page last asked, in seconds, monotonic.
    """

    key: str
    environment: str
    goal: str | None
    run_id: str
    run_key: str
    seat: Seat
    token: str
    process: Any = None
    state: str = "beginning"
    situation: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    words: str = ""
    frame: tuple[bytes, str] | None = None
    address: str = ""
    version: int = 0
    number: int = 0
    looked_at: float = field(default_factory=time.monotonic)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self.state in _OVER

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
            self.looked_at = time.monotonic()
            self.changed.wait_for(lambda: self.version > after, timeout=patience_s)
            self.looked_at = time.monotonic()
            names = ("key", "state", "situation", "last", "words", "version", "run_key", "address")
            return {name: getattr(self, name) for name in names}

    def hear(self, said: Asked) -> None:
        """Take in what the run says."""
        last = self.last if said.last is None else described_event(said.last, {})
        if said.over is not None:
            state = "failed" if said.failed else "ended"
            self.tell(state=state, words=shown.line(said.over, 600), last=last, situation=None)
            return
        if said.question is None:
            self.tell(state="thinking", last=last, situation=None)
            return
        frame = None
        if said.frame is not None:
            with suppress(LookalikeError, OSError, ValueError):
                frame = picture_of(FileStore(self.seat.run_folder / "files").get_frame(said.frame))
        question = _shown_question(said.question)
        self.tell(state="your turn", situation=question, frame=frame, last=last, number=said.number)


def has_a_seat(run: FoundRun) -> bool:
    """Return whether a person can sit down in a run: it goes on, and in some condition a council decides."""
    if run.status != "running":
        return False
    try:
        said = run.log.configuration(run.run_id)
        conditions = [Condition.model_validate(entry) for entry in said["conditions"]]
    except (LookalikeError, KeyError, TypeError, ValueError):
        return False
    # The sixteen games of the paper's table are played without keeping pictures, and without a seat.
    return "lookahead_steps" not in said and any(condition.has_a_seat for condition in conditions)


class Councils:
    """All councils in which somebody sits at a page of this server.

    Args:
        library: Where runs are, and go.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._held: Held[Council] = Held(
            "This council does not sit any more.", remedy="its run is in the list of runs"
        )

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
        others = members_named(members)
        if others is None:
            raise UsageError(
                "There are no such members.", got=shown.line(members), expected=", ".join(MEMBERS)
            )
        if not 0 <= seed < 2**31:
            raise UsageError("A seed is a whole number from 0.", got=seed)
        self._check_room()
        folder = new_folder(self._library.folder, f"play-along-{goal}")
        seat = Seat(folder)
        invitation = Invitation(
            environment=environment,
            goal=goal,
            seed=seed,
            members=others,
            reward_model=str(reward_model) if reward_model is not None else None,
            recommendation=recommendation,
            folder=str(folder),
            run_id=folder.name,
            token=seat.take(),
        )
        process = get_context("spawn").Process(
            target=play_council, args=(invitation, os.getpid()), daemon=True
        )
        process.start()
        run_key = key_of(str(folder / "events.sqlite"), folder.name)
        return self._hold(
            Council(
                key=f"council-{run_key}",
                environment=environment,
                goal=goal,
                run_id=folder.name,
                run_key=run_key,
                seat=seat,
                token=invitation.token,
                process=process,
                address=f"/runs/{run_key}",
            )
        )

    def join(self, run: FoundRun) -> Council:
        """Sit down in a run that goes on: the person is asked from its next episode on.

        Raises:
            UsageError: The run does not go on, has no council, or somebody sits there.
        """
        folder = self._library.folder_of(run)
        # A database could name any folder of this machine, and something is written there.
        ours = run.log.path is not None or (
            folder is not None and folder.is_relative_to(self._library.folder)
        )
        if folder is None or not ours or not folder.is_dir() or not has_a_seat(run):
            raise UsageError(
                "Nobody can sit down in this run.",
                got=run.status,
                expected="a run that goes on, with a condition in which members decide together",
                remedy="start a council of your own instead",
            )
        self._check_room()
        seat = Seat(folder)
        token = seat.take()
        return self._hold(
            Council(
                key=f"council-{run.key}-{secrets.token_hex(3)}",
                environment=str(run.log.configuration(run.run_id).get("environment", "")),
                goal=None,
                run_id=run.run_id,
                run_key=run.key,
                seat=seat,
                token=token,
                state="waiting",
                address=f"/runs/{run.key}",
            )
        )

    def council(self, key: str) -> Council:
        """Return a council.

        Raises:
            UsageError: There is none with that key.
        """
        return self._held.find(key)

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
            council.seat.answer(council.number, action)
        return council

    def leave(self, key: str) -> Council:
        """Leave: a council that was begun here stops and stays, another run goes on."""
        council = self.council(key)
        council.seat.leave()
        if council.process is None and not council.over:
            council.tell(state="ended", words="You left; the run goes on without you.", situation=None)
        return council

    def close(self) -> None:
        """Leave all councils; their runs stay."""
        councils = self._held.drop_all()
        for council in councils:
            council.seat.leave()
        for council in councils:
            if council.process is None:
                continue
            council.process.join(timeout=_GRACE_S)
            if council.process.is_alive():
                council.process.kill()
                council.process.join()

    def _check_room(self) -> None:
        if sum(not council.over for council in self._held.all()) >= MOST_COUNCILS:
            raise UsageError(
                "Enough councils are sitting.", got=MOST_COUNCILS, remedy="end one of them first"
            )

    def _hold(self, council: Council) -> Council:
        self._held.put(council.key, council)
        threading.Thread(target=self._listen, args=(council,), daemon=True, name=council.key).start()
        return council

    def _listen(self, council: Council) -> None:
        """Follow what the run says until it is over."""
        mark: tuple[int, ...] | None = ()
        number, looked = 0, 0.0
        while not council.over:
            if time.monotonic() - looked > _LOOK_AFTER_S:
                looked, mark = time.monotonic(), None  # now and then it is read whatever its mark
                self._look_after(council)
            ended = council.process is not None and not council.process.is_alive()
            if ended or council.seat.mark() != mark:
                mark = council.seat.mark()
                said = council.seat.said(council.token)
                if said is not None and said.number > number:
                    number = said.number
                    self._locate(council, said)
                    council.hear(said)
                    continue
            if ended and not council.over:
                council.tell(
                    state="failed", words="The council's process ended unexpectedly.", situation=None
                )
            time.sleep(_LISTEN_EVERY_S)
        council.seat.leave()
        self._library.forget()

    def _look_after(self, council: Council) -> None:
        """Say that the person is there; see whether the run still is."""
        if council.process is not None:
            council.seat.stay()
            return
        # A run that is not ours is not held up by a page that was closed.
        if time.monotonic() - council.looked_at < ABSENT_AFTER_S:
            council.seat.stay()
        with suppress(StoreError):
            if self._library.run(council.run_key).status == "running":
                return
        if council.seat.said(council.token) is None:
            words = "The run ended before its next council, so nobody asked you."
            council.tell(state="ended", words=words, situation=None)
        else:
            council.tell(state="ended", words="The run stopped.", situation=None)

    def _locate(self, council: Council, said: Asked) -> None:
        """Find the episode in the pages, where the run has others."""
        if council.process is not None or said.episode is None or said.over is None:
            return
        with suppress(LookalikeError):
            number = _number_of(self._library.run(council.run_key), said.episode)
            if number is not None:
                council.address = f"/runs/{council.run_key}/episodes/{number}"


def _number_of(run: FoundRun, episode: EpisodeKey) -> int | None:
    return next((e.number for e in run.browser.episodes(run.run_id) if e.key == episode), None)


def _shown_question(question: dict[str, Any]) -> dict[str, Any]:
    """Return what the person is shown, fit for a page: what a run says of itself is believed of nothing."""

    def lines(name: str, longest: int) -> list[str]:
        found = question.get(name)
        return (
            [shown.line(item, longest) for item in found[:_MOST_ACTIONS]] if isinstance(found, list) else []
        )

    def number(name: str) -> int:
        found = question.get(name)
        return found if isinstance(found, int) else 0

    return {
        "goal": shown.text(str(question.get("goal", ""))),
        "how_to_play": shown.text(str(question.get("how_to_play", "")), 4000),
        "observation": shown.text(str(question.get("observation", ""))),
        "recommended": lines("recommended", 200),
        "actions": lines("actions", 60),
        "step": number("step"),
        "steps_left": number("steps_left"),
        "picture": question.get("picture") is True,
    }
