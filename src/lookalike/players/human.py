"""A person as a player: asked in the terminal, through a read and a write that can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lookalike.core.types import Proposal, Role, Situation
from lookalike.players.llm import normalise_action, why_no_action

_QUESTION_MARKS = frozenset(("?", "help"))


def _print(text: str) -> None:
    print(text)


class HumanPlayer:
    """A Player that asks a person, once for each role.

    Args:
        read: Returns a line for a prompt; raises ``EOFError`` at the end of input.
        write: Shows a text.
        attempts: How often a line that is no action is asked for again before the step goes without one.
    """

    name = "human"

    def __init__(
        self,
        *,
        read: Callable[[str], str] = input,
        write: Callable[[str], None] = _print,
        attempts: int = 3,
    ) -> None:
        self._read = read
        self._write = write
        self._attempts = attempts
        self._introduced = False

    def start_episode(self, *, seed: int) -> None:  # noqa: ARG002
        """Show the instructions again at the next step."""
        self._introduced = False

    def propose(
        self,
        situation: Situation,
        roles: Sequence[Role],
        *,
        seed: int,  # noqa: ARG002
    ) -> list[Proposal]:
        """Show the situation and return what the person types, one line a role.

        ``?`` lists the admissible actions. At the end of input the proposals have no action.
        """
        if not self._introduced:
            self._write(situation.how_to_play)
            self._write(f"Goal: {situation.goal}")
            self._introduced = True
        for item in situation.guidance:
            self._write(f"The expert recommends: {item.action}")
        self._write(situation.observation.text or "")
        return [self._ask(situation, role, name_it=len(roles) > 1) for role in roles]

    def _ask(self, situation: Situation, role: Role, *, name_it: bool) -> Proposal:
        line = ""
        for _ in range(self._attempts):
            try:
                line = self._read(f"{role.name}> " if name_it else "> ")
                while line.strip().lower() in _QUESTION_MARKS:
                    self._write("; ".join(situation.admissible_actions or ("anything you like",)))
                    line = self._read("> ")
            except EOFError:
                return Proposal(role, None, reply=line or None)
            # A person may type what the environment did not offer: the list is help here, not a limit.
            problem = why_no_action(line)
            if problem is None:
                return Proposal(role, normalise_action(line))
            self._write(problem)
        return Proposal(role, None, reply=line)
