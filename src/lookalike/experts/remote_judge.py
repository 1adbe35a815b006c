"""The same expert, asked live: what one transition is worth, and why, where its document says nothing.

Each question is a paid call: it is asked only where it is switched on, counted, and cached like any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

from lookalike.core.protocols import CompletionRequest, EpisodeScorer, LanguageModel, Media
from lookalike.core.seeds import derive_seed
from lookalike.core.types import Observation, Transition, Usage, Verdict
from lookalike.experts.remote import FENCE
from lookalike.models.capabilities import capabilities_of, require
from lookalike.models.pictures import picture
from lookalike.models.rendering import plain, quoted
from lookalike.rewards.document import RewardModel

VERDICT_TOKENS = 200
MOST_MILESTONES = 40
TEXT_CHARACTERS = 1_000
COMPONENT = "judge"
VERDICT_SCHEMA = {
    "type": "object",
    "properties": {"comment": {"type": "string"}, "value": {"type": "number"}},
    "required": ["comment", "value"],
    "additionalProperties": False,
}
JUDGE = (
    "You watched a person play a game, and now you judge one step of another player. {fence} Say in comment, "
    "in one sentence to the player, what the step was good or bad for; and in value, from -1 (a setback) "
    "over 0 (no matter) to 1 (a goal reached), what it was worth."
)


class RemoteJudge:
    """Judges transitions through a language model.

    Args:
        model: Must hold a reply to a JSON schema; sees the frames where it takes two images.
        document: What the expert wrote; its goal and milestones are the measure.
        seed: For the draws.

    Attributes:
        asked: Transitions it was asked about.
        unanswered: Those that got no verdict, even after one re-ask.

    Raises:
        CapabilityError: The model cannot hold a reply to a schema.
    """

    def __init__(self, model: LanguageModel, document: RewardModel, *, seed: int = 0) -> None:
        require(model, json_schema=True)
        self.model = model
        self.asked = 0
        self.unanswered = 0
        self._usage = Usage()
        self._seed = seed
        listed = document.milestones[:MOST_MILESTONES]
        self._measure = "\n".join(
            [
                f"What the person was after: {quoted(document.goal, 300)}",
                *(f"Milestone worth {m.value:g}: {quoted(m.description, 200)}" for m in listed),
            ]
        )

    def judge(self, transition: Transition) -> Verdict | None:
        """Return what a transition was worth; ``None`` where the model gives no verdict.

        Raises:
            ModelError: The model cannot be asked.
        """
        self.asked += 1
        request = self._request(transition)
        for _ in range(2):
            completion = self.model.complete([request])[0]
            self._usage = self._usage + completion.usage
            problem = completion.problem
            if problem is None:
                found = json.loads(completion.text)
                value = float(found["value"])
                if math.isfinite(value) and -1 <= value <= 1:
                    return Verdict(value, {COMPONENT: value}, plain(found["comment"], 200))
                problem = "The value is not between -1 and 1."
            said = request.prompt[-1][1]
            prompt = (request.prompt[0], ("user", f"{said}\nYour last reply was not accepted: {problem}"))
            request = replace(request, prompt=prompt, seed=derive_seed(request.seed, "again"))  # type: ignore[arg-type]
        self.unanswered += 1
        return None

    def take_usage(self) -> Usage:
        """Return what was asked since the last time, and begin to count anew."""
        usage, self._usage = self._usage, Usage()
        return usage

    def close(self) -> None:
        """Close the model, where it can be."""
        close = getattr(self.model, "close", None)
        if close is not None:
            close()

    def _request(self, transition: Transition) -> CompletionRequest:
        has = capabilities_of(self.model)
        before, after = transition.before, transition.after
        images: tuple[Media, ...] = ()
        if has.images >= 2 and before.frame is not None and after.frame is not None:
            images = (picture(before.frame), picture(after.frame))
        lines = [self._measure, *_seen("before", before, bool(images))]
        lines.append(f"The player typed: {quoted(transition.action, 60)}")
        lines += _seen("after", after, bool(images))
        if transition.terminated:
            lines.append("The game ended with this step.")
        return CompletionRequest(
            prompt=(("system", JUDGE.format(fence=FENCE)), ("user", "\n".join(lines))),
            temperature=1.0 if has.max_temperature is None else 0.0,
            seed=self._seed,
            max_tokens=VERDICT_TOKENS,
            images=images,
            json_schema=VERDICT_SCHEMA,
        )


class JudgedScorer:
    """An EpisodeScorer whose silence the judge fills: where no component speaks, the model is asked.

    Args:
        scorer: Applies the document.
        judge: Asked about what the document does not cover.
    """

    def __init__(self, scorer: EpisodeScorer, judge: RemoteJudge) -> None:
        self.scorer = scorer
        self.judge = judge

    def start(self, observation: Observation) -> None:
        """Begin an episode."""
        self.scorer.start(observation)

    def score(self, transition: Transition) -> Verdict:
        """Give the document's verdict, or the judge's where the document has none."""
        verdict = self.scorer.score(transition)
        if verdict.components:
            return verdict
        return self.judge.judge(transition) or verdict

    def preview(self, observation: Observation, actions: Sequence[str]) -> list[Verdict]:
        """Say what actions would be worth, by the document alone: nobody is asked."""
        return self.scorer.preview(observation, actions)

    def note_admissible(self, actions: Sequence[str]) -> None:
        """Take in what is possible here."""
        self.scorer.note_admissible(actions)

    def recommend(self, observation: Observation) -> list[str]:
        """Return actions worth doing here, by the document alone."""
        return self.scorer.recommend(observation)

    def copy(self) -> JudgedScorer:
        """Return an independent scorer at the same point of the episode; the judge is shared."""
        return JudgedScorer(self.scorer.copy(), self.judge)


def _seen(when: str, observation: Observation, pictured: bool) -> list[str]:
    lines = []
    if pictured:
        lines.append(f"The {'first' if when == 'before' else 'second'} image shows what was seen {when}.")
    if observation.text is not None or not pictured:
        lines.append(f"Seen {when}: {quoted(observation.text, TEXT_CHARACTERS)}")
    return lines
