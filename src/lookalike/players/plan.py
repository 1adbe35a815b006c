"""Writes a whole plan in one go and plays it blindly: what a model knows of a game without seeing a reply.

The paper's Table 1 counts errors in such plans; docs/plan-mode.md says how they are counted here.
"""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.core.errors import UsageError
from lookalike.core.protocols import CompletionRequest, LanguageModel
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Proposal, Role, Situation
from lookalike.models.rendering import Budget, Prompt, plain
from lookalike.players.llm import MAX_ACTION_CHARACTERS, normalise_action, why_no_action

MAX_COMMAND_TOKENS = 12
MAX_PROMPT_TOKENS = 1900
"""From this length on the oldest commands of a plan leave the prompt; the embedded model reads 2,048."""
MAX_SHOWN_TOKENS = 1000
"""Most tokens, roughly estimated, of the commands shown beforehand."""

PLAN_BUDGET = Budget(how_to_play=400)
"""Nothing is offered to a plan, so that the instructions are where it can read what a command looks like."""


class PlanPlayer:
    """A Player that writes ``length`` commands at its first step and types one of them at each step.

    Every command is asked for with the ones before it as the prompt, and with no reply of the game, so
    that each call extends the last one's prompt. Nothing is offered, re-asked or corrected: a line that is
    no action stays in the plan as a step on which nothing is played. It does not stay in the prompt, as a
    small model that reads one empty line writes nothing else any more. After the plan's end it proposes
    nothing.

    Args:
        model: The back end; a transcript goes on line by line, a chat is asked for one command a turn.
        length: Commands a plan has, at least 1.
        shown: Commands that are shown beforehand, as if they had been typed at the same beginning; as many
            as fit.
        budget: How much of the instructions and of the first observation goes into the prompt.

    Raises:
        UsageError: ``length`` is below 1.
    """

    name = "plan"

    def __init__(
        self,
        model: LanguageModel,
        length: int,
        *,
        shown: Sequence[str] = (),
        budget: Budget = PLAN_BUDGET,
    ) -> None:
        if length < 1:
            raise UsageError("A plan has at least one command.", got=length, expected="a length of 1 or more")
        self.model = model
        self.length = length
        self.shown = _that_fit(shown)
        self.budget = budget
        self._plans: dict[str, list[Proposal]] = {}

    def start_episode(self, *, seed: int) -> None:  # noqa: ARG002
        """Forget the last episode's plans."""
        self._plans = {}

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return the command of this step of each role's plan; the first call writes the plans.

        The first command's proposal carries what the whole plan cost.

        Args:
            situation: Its goal and observation are read when the plans are written, its step always.
            roles: Each writes a plan of its own at its own temperature.
            seed: Of the step at which the plans are written.

        Raises:
            ModelError: The model fails.
        """
        unwritten = [role for role in roles if role.name not in self._plans]
        if unwritten:
            self._write(situation, unwritten, seed)
        return [self._command(role, situation.step) for role in roles]

    def _command(self, role: Role, step: int) -> Proposal:
        plan = self._plans[role.name]
        return plan[step] if step < len(plan) else Proposal(role, None)

    def _write(self, situation: Situation, roles: Sequence[Role], seed: int) -> None:
        written: dict[str, list[str]] = {role.name: [] for role in roles}
        left_out = dict.fromkeys(written, 0)
        plans: dict[str, list[Proposal]] = {role.name: [] for role in roles}
        for index in range(self.length):
            requests = [
                CompletionRequest(
                    prompt=self.prompt(situation, role, written[role.name][left_out[role.name] :]),
                    temperature=role.temperature,
                    seed=derive_seed(seed, role.name, "plan", index),
                    max_tokens=MAX_COMMAND_TOKENS,
                )
                for role in roles
            ]
            for role, completion in zip(roles, self.model.complete(requests), strict=True):
                reply = completion.text
                is_action = why_no_action(reply) is None
                action = normalise_action(reply) if is_action else None
                plans[role.name].append(
                    Proposal(
                        role,
                        action,
                        completion.probability if is_action else None,
                        usage=completion.usage,
                        reply=None if is_action else reply,
                    )
                )
                if action is not None:
                    written[role.name].append(action)
                if completion.usage.prompt_tokens > MAX_PROMPT_TOKENS:
                    # Half at once: every cut is a prompt that shares nothing with the one before.
                    left_out[role.name] += (len(written[role.name]) - left_out[role.name]) // 2
        self._plans |= {name: _paid_first(plan) for name, plan in plans.items()}

    def prompt(self, situation: Situation, role: Role, written: Sequence[str]) -> Prompt:
        """Return what the next command of a plan is asked with.

        Args:
            situation: The episode's beginning.
            role: Its persona, if any, is one line.
            written: The plan so far.
        """
        budget = self.budget
        how_to_play = plain(situation.how_to_play, budget.how_to_play)
        head = [f"Goal: {plain(situation.goal, budget.past_observation)}"]
        if role.persona:
            head.append(plain(role.persona, budget.past_observation))
        start = plain(situation.observation.text, budget.observation)
        if self.model.style == "chat":
            return self._chat(how_to_play, head, start, written)
        # The beginning is what `look` answers: so it is seen that a line with > is a command.
        begin = [_line("look"), start]
        shown = [*begin, *map(_line, self.shown)] if self.shown else []
        lines = [how_to_play, *head, *shown, *begin, *map(_line, written), ">"]
        return "\n".join(line for line in lines if line)

    def _chat(self, how_to_play: str, head: Sequence[str], start: str, written: Sequence[str]) -> Prompt:
        asked = [
            *head,
            f"What you see now: <<<{start}>>>",
            *([f"A person typed from here: {'; '.join(self.shown)}"] if self.shown else []),
            f"Write a plan of {self.length} commands. You see no reply until all of them are written.",
            "Answer with the first command alone, on one line.",
        ]
        turns = [("system", f"You play a text game by typing one command at a time. {how_to_play}".strip())]
        turns.append(("user", "\n".join(asked)))
        for command in written:
            turns += [("assistant", command), ("user", "The next command.")]
        return tuple(turns)


def _line(command: str) -> str:
    return f"> {command}"


def _that_fit(commands: Sequence[str]) -> tuple[str, ...]:
    """Return the first commands that fit; two characters a token and three for the line is cautious."""
    fitting, room = [], MAX_SHOWN_TOKENS
    for command in commands:
        line = plain(command, MAX_ACTION_CHARACTERS)
        room -= len(line) // 2 + 3
        if room < 0:
            break
        fitting.append(line)
    return tuple(fitting)


def _paid_first(plan: Sequence[Proposal]) -> list[Proposal]:
    """Return the plan with the usage of all calls on its first command: they were made then."""
    total = plan[0].usage
    for proposal in plan[1:]:
        total = total + proposal.usage
    free = type(total)()
    return [
        Proposal(p.role, p.action, p.probability, usage=total if index == 0 else free, reply=p.reply)
        for index, p in enumerate(plan)
    ]
