"""A person's seat in a run's councils: how a run that is played asks somebody at a page, and goes on alone.

The run may be anybody's process, on the terminal or in a pool, and the page belongs to another one. So the
two speak through small files in the run's folder, each written whole under another name first. Whoever does
not answer, or whose page is gone, is waited for no longer: the council goes on without them.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.core.errors import UsageError
from lookalike.core.protocols import Player
from lookalike.core.types import Proposal, Role, Situation
from lookalike.experiments.conditions import PERSON
from lookalike.players.llm import normalise_action
from lookalike.store import EpisodeFailed, EpisodeFinished, EpisodeKey, EpisodePaused, Event, StepTaken

SEAT_FOLDER = "seat"
ABSENT_AFTER_S = 30.0
"""Who has not been heard of for so long has left."""
THINKING_S = 300.0
"""So long a run that is somebody else's waits for an answer, at each step."""
_LOOK_AGAIN_S = 0.05
_LARGEST_BYTES = 2_000_000
_MOST_ACTIONS = 120

Ask = Callable[[Situation], str | None]
"""Asks the person; ``None`` where they propose nothing."""


@dataclass(frozen=True)
class Asked:
    """What a run last said to who sits there.

    Attributes:
        number: Counts what was said.
        over: How the episode ended, in words, or ``None`` while it is played.
        failed: It could not be played.
        question: What every member is shown, JSON values, or ``None``.
        frame: Name of the picture among the run's files, or ``None``.
        episode: Which episode, or ``None`` before it begins.
        last: The last step taken, or ``None``.
    """

    number: int
    over: str | None
    failed: bool
    question: dict[str, Any] | None
    frame: str | None
    episode: EpisodeKey | None
    last: StepTaken | None


class Seat:
    """The seat of one run.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.run_folder = folder
        self._folder = folder / SEAT_FOLDER

    def take(self) -> str:
        """Sit down; return a token that names this sitting.

        Raises:
            UsageError: Somebody sits there, or the folder cannot be written.
        """
        if self._present() is not None:
            raise UsageError("Somebody sits in this run's council already.", remedy="wait until they left")
        token = secrets.token_hex(8)
        try:
            if self._folder.is_symlink():
                raise OSError("its seat leads elsewhere")
            self._folder.mkdir(exist_ok=True)
            for name in ("said.json", "answer.json"):
                (self._folder / name).unlink(missing_ok=True)
            self._write("taken.json", {"token": token})
        except OSError as error:
            raise UsageError(
                "The run's folder cannot be written.",
                got=str(error.strerror or error),
                remedy="check its permissions",
            ) from error
        return token

    def stay(self) -> None:
        """Say that the person is still there; to be called every few seconds."""
        with suppress(OSError):
            os.utime(self._folder / "taken.json")

    def leave(self) -> None:
        """Stand up."""
        with suppress(OSError):
            (self._folder / "taken.json").unlink(missing_ok=True)

    def answer(self, number: int, action: str) -> None:
        """Answer a question."""
        self._write("answer.json", {"number": number, "action": action})

    def mark(self) -> tuple[int, ...]:
        """Return what changes when the run says something, but for things said at one tick of the clock."""
        with suppress(OSError):
            found = (self._folder / "said.json").stat()
            return found.st_ino, found.st_mtime_ns, found.st_size
        return ()

    def said(self, token: str) -> Asked | None:
        """Return what the run said last in a sitting; ``None`` before it has said anything."""
        found = self._read("said.json")
        if found is None or found.get("token") != token:
            return None
        try:
            return Asked(
                number=int(found["number"]),
                over=None if found["over"] is None else str(found["over"]),
                failed=found["failed"] is True,
                question=found["question"] if isinstance(found["question"], dict) else None,
                frame=_name_of(found["frame"]),
                episode=None if found["episode"] is None else EpisodeKey.parse(str(found["episode"])),
                last=None if found["last"] is None else StepTaken.model_validate(found["last"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def claim(self) -> Sitting | None:
        """Return the sitting of who waits, once: for the one process of the run that asks first."""
        token = self._present()
        if token is None:
            return None
        try:
            with (self._folder / f"claimed-{token}").open("x"):
                return Sitting(self, token)
        except OSError:
            return None

    def attempt(self, key: Callable[[int], EpisodeKey]) -> EpisodeKey:
        """Return the first of a goal's attempts that nobody sat in: an episode is never played twice."""
        number = 0
        while True:
            episode = key(number)
            name = f"{episode}".encode().hex()[-120:]
            try:
                with (self._folder / f"sat-{name}").open("x"):
                    return episode
            except FileExistsError:
                number += 1

    def present(self, token: str) -> bool:
        """Return whether who sat down is still there."""
        return self._present() == token

    def answered(self, number: int) -> str | None:
        """Return the answer to a question, or ``None`` where there is none yet."""
        found = self._read("answer.json")
        if found is None or found.get("number") != number:
            return None
        return str(found.get("action", ""))[:400]

    def say(self, content: dict[str, Any]) -> None:
        """Say something to who sits there."""
        with suppress(OSError):  # the seat went away with its folder: nobody is there to hear it
            self._write("said.json", content)

    def _present(self) -> str | None:
        found = self._read("taken.json")
        with suppress(OSError):
            heard = (self._folder / "taken.json").stat().st_mtime
            if found is not None and abs(time.time() - heard) < ABSENT_AFTER_S:
                token = str(found.get("token", ""))
                return token if token.isalnum() and len(token) <= 32 else None
        return None

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            with (self._folder / name).open("rb") as file:
                found = json.loads(file.read(_LARGEST_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _write(self, name: str, content: dict[str, Any]) -> None:
        whole = self._folder / f".{name}-{os.getpid()}-{threading.get_ident()}"
        whole.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        whole.replace(self._folder / name)


def _name_of(frame: object) -> str | None:
    """Return a picture's name, where it is one."""
    return frame if isinstance(frame, str) and frame.isascii() and frame.isalnum() else None


class Sitting:
    """A person's part in one episode, as the process that plays it sees them.

    Args:
        seat: The run's seat.
        token: Names the sitting.
        thinking_s: How long to wait for an answer; a member who says nothing proposes nothing.

    Attributes:
        left: The person is gone.
        episode: Which episode it is.
    """

    def __init__(self, seat: Seat, token: str, *, thinking_s: float = THINKING_S) -> None:
        self.seat = seat
        self._thinking_s = thinking_s
        self._token = token
        self._number = 0
        self._last: StepTaken | None = None
        self.left = False
        self.episode: EpisodeKey | None = None

    def ask(self, situation: Situation, frame: str | None) -> str | None:
        """Ask the person; return ``None`` where they have left, or say nothing.

        Args:
            situation: What every member is shown.
            frame: Name of its picture among the run's files, or ``None``.
        """
        if self.left:
            return None
        self._say(question=asked_of(situation), frame=frame)
        until = time.monotonic() + self._thinking_s
        while time.monotonic() < until:
            answer = self.seat.answered(self._number)
            if answer is not None:
                return answer
            if not self.seat.present(self._token):
                self.left = True
                return None
            time.sleep(_LOOK_AGAIN_S)
        return None

    def hear(self, event: Event) -> None:
        """Take an event of the episode: the person is told of it with the next question."""
        if isinstance(event, StepTaken):
            self._last = event
            if not self.left:
                self._say()

    def end(self, words: str, *, failed: bool = False) -> None:
        """Say how it ended."""
        self._say(over=words, failed=failed)

    def _say(
        self,
        *,
        question: dict[str, Any] | None = None,
        frame: str | None = None,
        over: str | None = None,
        failed: bool = False,
    ) -> None:
        self._number += 1
        self.seat.say(
            {
                "token": self._token,
                "number": self._number,
                "over": over,
                "failed": failed,
                "question": question,
                "frame": frame,
                "episode": None if self.episode is None else str(self.episode),
                "last": None if self._last is None else self._last.model_dump(mode="json"),
            }
        )


class CouncilPlayer:
    """A Player for all members: the person through a question, the others through another player.

    Args:
        others: Who proposes for the other members.
        ask: Asks the person.
    """

    name = "council"

    def __init__(self, others: Player, ask: Ask) -> None:
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
            said = self._ask(situation)
            by_role[PERSON] = Proposal(person, None if said is None else normalise_action(said))
        others = [role for role in roles if role.name != PERSON]
        if others:
            for proposal in self._others.propose(situation, others, seed=seed):
                by_role[proposal.role.name] = proposal
        return [by_role[role.name] for role in roles]


def asked_of(situation: Situation) -> dict[str, Any]:
    """Return what the person is shown: what every member is shown, as JSON values."""
    actions = situation.admissible_actions
    return {
        "goal": situation.goal,
        "how_to_play": situation.how_to_play,
        "observation": situation.observation.text or "",
        "recommended": [item.action for item in situation.guidance],
        "actions": list(actions[:_MOST_ACTIONS]) if actions is not None else [],
        "step": situation.step,
        "steps_left": situation.steps_left,
        "picture": situation.observation.frame is not None,
    }


def how_it_ended(last: EpisodeFinished | EpisodeFailed | EpisodePaused) -> str:
    """Say an episode's end in a sentence."""
    if isinstance(last, EpisodeFailed):
        return f"The game stopped: {last.failure}"
    if isinstance(last, EpisodePaused):
        return f"It was paused: {last.reason}"
    return "The goal was reached." if last.success else "The goal was not reached."
