"""The language-model player: one batch of requests for all roles of a step.

With the ``admissible_actions`` handicap the model may only reply with an action the environment offers.
A model that continues transcripts cannot be told what not to do (a punished command that it reads is a
command that it repeats), so its punishments are applied here: what memory says was punished in this very
state is not offered to it.
Without it the model writes freely and its reply is normalised, never interpreted: a reply that is no
action is asked for once more with the error, and then stands as not executable.
A model that takes images is shown the current frame beside the text; one that takes none plays by the text,
and is refused where there is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from lookalike.core.errors import CapabilityError
from lookalike.core.protocols import Completion, CompletionRequest, LanguageModel, Media
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Proposal, Role, Situation
from lookalike.models.capabilities import capabilities_of
from lookalike.models.pictures import picture
from lookalike.models.rendering import Budget, known_here, remembered_rewards, render

MAX_ACTION_CHARACTERS = 60
_BLANKS = re.compile(" +")
_INNER_MARKS = frozenset(" '-")
_DECORATION = " \t>.!\"'`*"


class LanguageModelPlayer:
    """A Player that asks a language model.

    Args:
        model: The back end; the prompt is rendered in the style it declares.
        admissible: Whether replies are restricted to the situation's admissible actions (a handicap).
        budget: How much of a situation goes into a prompt; ``None`` for the style's default.
        max_tokens: Limit of a free reply.
        heed_punishment: Whether actions with a negative mean reward in this very state are left out of
            the list offered to a transcript model (never all of them, never a recommended one).
    """

    name = "llm"

    def __init__(
        self,
        model: LanguageModel,
        admissible: bool = True,
        *,
        budget: Budget | None = None,
        max_tokens: int = 12,
        heed_punishment: bool = True,
    ) -> None:
        self.model = model
        self.admissible = admissible
        self.budget = budget
        self.max_tokens = max_tokens
        self.heed_punishment = heed_punishment

    def start_episode(self, *, seed: int) -> None:
        """Nothing is kept between episodes."""

    def propose(self, situation: Situation, roles: Sequence[Role], *, seed: int) -> list[Proposal]:
        """Return one proposal a role, in the roles' order, from one batch of requests.

        Args:
            situation: What the roles are shown.
            roles: Who is asked; their temperatures apply to one shared distribution.
            seed: Of this step; every role's own seed is derived from it and the role's name.

        Raises:
            CapabilityError: ``admissible`` is on and the situation has no admissible actions; or there is
                nothing but a picture to see, and the model takes none.
            ModelError: The model fails.
        """
        if not roles:
            return []
        allowed, left_out = self._allowed(situation)
        images = self._images(situation)
        rationale = f"not offered, punished here: {', '.join(left_out)}" if left_out else None
        completions = self.model.complete(
            [
                self._request(situation, role, allowed, images, seed=derive_seed(seed, role.name))
                for role in roles
            ]
        )
        proposals = [
            _proposal(role, completion, allowed, rationale)
            for role, completion in zip(roles, completions, strict=True)
        ]
        again = [i for i, proposal in enumerate(proposals) if proposal.action is None]
        if not again:
            return proposals
        requests = []
        for i in again:
            error = why_no_action(proposals[i].reply or "", allowed) or completions[i].problem or ""
            own_seed = derive_seed(seed, roles[i].name, "again")
            requests.append(self._request(situation, roles[i], allowed, images, seed=own_seed, error=error))
        for i, completion in zip(again, self.model.complete(requests), strict=True):
            second = _proposal(roles[i], completion, allowed)
            proposals[i] = Proposal(
                roles[i],
                second.action,
                second.probability,
                rationale,
                usage=proposals[i].usage + second.usage,
                reply=second.reply,
            )
        return proposals

    def _allowed(self, situation: Situation) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        """Return what may be replied (``None`` for anything) and what was left out for punishment."""
        if not self.admissible:
            return None, ()
        offered = situation.admissible_actions
        if not offered:
            raise CapabilityError(
                "The player was told to choose among admissible actions, and there are none.",
                got=f"admissible_actions={offered!r} at step {situation.step}",
                expected="at least one action from an environment with the capability 'admissible_actions'",
                remedy="use LanguageModelPlayer(model, admissible=False) for free text",
            )
        if not self.heed_punishment or self.model.style != "transcript":
            return offered, ()
        worth = remembered_rewards(situation)
        known = known_here(situation)
        left_out = tuple(
            action
            for action in offered
            if worth.get(action, 0.0) < 0 and (known is None or action != known.action)
        )
        if len(left_out) == len(offered):
            return offered, ()
        return tuple(action for action in offered if action not in left_out), left_out

    def _images(self, situation: Situation) -> tuple[Media, ...]:
        """Return the current frame for a model that sees, and nothing for one that reads."""
        frame, text = situation.observation.frame, situation.observation.text
        if frame is not None and capabilities_of(self.model).images > 0:
            return (picture(frame),)
        if text is None:
            raise CapabilityError(
                f"There is nothing to read here, and the model {self.model.name} takes no images.",
                got=f"a frame without text at step {situation.step}",
                expected="a model that declares the capability 'images'",
                remedy="use a vision model, and set capabilities: {images: 1} in models.yaml if this is one",
            )
        return ()

    def _request(
        self,
        situation: Situation,
        role: Role,
        allowed: tuple[str, ...] | None,
        images: tuple[Media, ...],
        *,
        seed: int,
        error: str | None = None,
    ) -> CompletionRequest:
        return CompletionRequest(
            prompt=render(
                situation, role, self.model.style, budget=self.budget, error=error, pictured=bool(images)
            ),
            temperature=role.temperature,
            seed=seed,
            allowed_replies=allowed,
            max_tokens=self.max_tokens,
            images=images,
        )


def normalise_action(reply: str) -> str:
    """Return a reply as it would be typed: one case, single blanks, without quotes, ``>`` or a full stop.

    Nothing is guessed: no word is added, dropped, corrected or replaced.
    """
    line = unicodedata.normalize("NFKC", reply).strip()
    return _BLANKS.sub(" ", line.strip(_DECORATION).lower()) if "\n" not in line else line


def why_no_action(reply: str, allowed: Sequence[str] | None = None) -> str | None:
    """Return why a reply is no action, as a sentence for the player, or ``None`` if it is one.

    Args:
        reply: The raw reply.
        allowed: Admissible actions; ``None`` for free text, where an action is one line of at most
            ``MAX_ACTION_CHARACTERS`` characters that holds words only.
    """
    action = normalise_action(reply)
    if not action:
        return "An empty line is no command."
    if "\n" in action:
        return "A command is one line."
    if len(action) > MAX_ACTION_CHARACTERS:
        return f"A command has at most {MAX_ACTION_CHARACTERS} characters."
    if allowed is not None:
        return None if action in allowed or reply.strip() in allowed else "That command is not in the list."
    if not all(c.isalnum() or c in _INNER_MARKS for c in action):
        return "A command is made of words only."
    return None


def _proposal(
    role: Role, completion: Completion, allowed: tuple[str, ...] | None, rationale: str | None = None
) -> Proposal:
    reply = completion.text
    # Words of a refusal, or half a reply, could read like a command.
    if completion.problem is not None or why_no_action(reply, allowed) is not None:
        return Proposal(role, None, None, usage=completion.usage, reply=reply)
    action = reply.strip() if allowed is not None and reply.strip() in allowed else normalise_action(reply)
    return Proposal(role, action, completion.probability, rationale, usage=completion.usage)
