"""What a remote expert claims, as JSON by schema, and what of it can stand in a reward model.

A claim is dropped, and listed with the reason, where its span does not exist, where it quotes words that
the recording does not show, or where a value cannot be meant. Nothing is repaired.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lookalike.experts.remote_showing import Showing
from lookalike.models.rendering import plain
from lookalike.rewards.actions import canonical_action
from lookalike.rewards.document import DroppedClaim, RewardModel, Span
from lookalike.rewards.text import content_words, key, read_text, split_action

MOST_CLAIMS = 200
"""Claims of one kind from one reply; more are dropped."""
NEARLY = 0.75
"""Share of a quotation's content words that a sentence of the recording must have to be what is quoted."""
_WORD = {"type": "string"}
_NUMBER = {"type": "number"}


def _listed(**fields: Mapping[str, Any]) -> dict[str, Any]:
    fields |= {"start": _NUMBER, "end": _NUMBER}
    entry = {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
    return {"type": "array", "items": entry}


_PARTS = {
    "goal": _WORD,
    "milestones": _listed(
        name=_WORD,
        description=_WORD,
        kind={"type": "string", "enum": ["acquisition", "deposit", "visit", "event"]},
        noticed_by={"type": "string", "enum": ["holds", "leaves", "place", "says"]},
        what=_WORD,
        value=_NUMBER,
    ),
    "rules": _listed(cue=_WORD, action=_WORD, good={"type": "boolean"}, weight=_NUMBER),
    "hazards": _listed(cue=_WORD, action=_WORD, outcome=_WORD),
}
CLAIMS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": _PARTS,
    "required": list(_PARTS),
    "additionalProperties": False,
}
"""Plain enough for every vendor's structured output: bounds are checked here, not by the schema."""

Text = Annotated[str, Field(min_length=1, max_length=400)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Claim(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    start: float = Field(allow_inf_nan=False)
    end: float = Field(allow_inf_nan=False)


class MilestoneClaim(_Claim):
    """Something worth reaching."""

    name: Text
    description: Text
    kind: Literal["acquisition", "deposit", "visit", "event"]
    noticed_by: Literal["holds", "leaves", "place", "says"]
    what: Text
    value: Share

    def sentence(self) -> str:
        """Return the claim in words."""
        return f"Milestone {self.name!r} ({self.description}) is worth {self.value:g}."


class RuleClaim(_Claim):
    """On seeing this, that was right, or wrong."""

    cue: Text
    action: Text
    good: bool
    weight: Share

    def sentence(self) -> str:
        """Return the claim in words."""
        return f"On {self.cue!r}, {self.action!r} is {'right' if self.good else 'wrong'}."


class HazardClaim(_Claim):
    """What preceded a setback."""

    cue: Text
    action: Text
    outcome: Text

    def sentence(self) -> str:
        """Return the claim in words."""
        return f"After {self.cue!r}, {self.action!r} led to a setback: {self.outcome!r}."


Claim = MilestoneClaim | RuleClaim | HazardClaim
_KINDS: tuple[tuple[str, type[Claim]], ...] = (
    ("milestones", MilestoneClaim),
    ("rules", RuleClaim),
    ("hazards", HazardClaim),
)


@dataclass(frozen=True)
class Cited:
    """A claim whose span exists and whose words the recording shows.

    Attributes:
        claim: As it was made.
        showing: The part of a recording it was made on.
        first: First step of its evidence; ``last``: the last one.
        key: What makes two claims the same one.
        expert: Model that made it.
    """

    claim: Claim
    showing: Showing
    first: int
    last: int
    key: tuple[str, ...]
    expert: str

    @cached_property
    def evidence(self) -> Span:
        """The span, with seconds where the recording has a clock."""
        demonstration = self.showing.demonstration
        times = demonstration.trajectory.times
        return Span(
            recording=demonstration.id,
            start=self.first,
            end=self.last,
            start_s=round(times[self.first], 2) if times else None,
            end_s=round(times[self.last + 1], 2) if times else None,
        )


@dataclass(frozen=True)
class Read:
    """One reply, read.

    Attributes:
        goal: What the player was after, in the expert's words.
        cited: Claims that may stand.
        dropped: Claims that do not, and why.
    """

    goal: str
    cited: tuple[Cited, ...]
    dropped: tuple[DroppedClaim, ...]


def read_claims(reply: str, showing: Showing, *, expert: str, environment: str) -> Read:
    """Read a reply that fits the schema.

    Args:
        reply: JSON by :data:`CLAIMS_SCHEMA`.
        showing: What it is about.
        expert: Model that made it.
        environment: For its spelling of commands.
    """
    data = json.loads(reply)
    words = _Words(showing)
    cited: list[Cited] = []
    dropped: list[DroppedClaim] = []
    for field, kind in _KINDS:
        for number, entry in enumerate(data[field]):
            claim, why = _claim(kind, entry)
            if claim is not None and number < MOST_CLAIMS:
                found = _cite(claim, showing, words, expert, environment)
                if isinstance(found, Cited):
                    cited.append(found)
                    continue
                why = found
            elif claim is not None:
                why = f"more than {MOST_CLAIMS} of one kind"
            said = claim.sentence() if claim is not None else f"{field}: {json.dumps(entry)}"
            dropped.append(DroppedClaim(claim=plain(said, 300), expert=expert, reason=plain(why, 300)))
            if number > MOST_CLAIMS:
                break
    return Read(plain(data["goal"], 300), tuple(cited), tuple(dropped))


def _claim(kind: type[Claim], entry: Any) -> tuple[Claim | None, str]:
    try:
        return kind.model_validate(entry), ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return None, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _cite(claim: Claim, showing: Showing, words: _Words, expert: str, environment: str) -> Cited | str:
    """Return a claim with its evidence, or why it does not stand."""
    span = showing.steps_of(claim.start, claim.end)
    if isinstance(span, str):
        return span
    if isinstance(claim, MilestoneClaim):
        what = words.as_shown(claim, environment)
        if what is None:
            return f"the recording does not show {claim.what!r}"
        claim = claim.model_copy(update={"what": what})
        return Cited(claim, showing, *span, key=("milestone", claim.noticed_by, what), expert=expert)
    cue = words.sentence(claim.cue)
    if cue is None:
        return f"the recording does not say {claim.cue!r}"
    action = canonical_action(environment, claim.action)
    if not action:
        return "it names no command"
    if words.typed is not None and action not in {canonical_action(environment, a) for a in words.typed}:
        return f"nobody typed {claim.action!r} in the recording"
    claim = claim.model_copy(update={"cue": cue, "action": action})
    kind = "rule" if isinstance(claim, RuleClaim) else "hazard"
    return Cited(claim, showing, *span, key=(kind, cue, action), expert=expert)


class _Words:
    """What a recording says and what was typed in it; ``None`` where that is not known."""

    def __init__(self, showing: Showing) -> None:
        trajectory = showing.demonstration.trajectory
        texts = [o.text for o in trajectory.observations if o.text is not None]
        self.sentences = dict.fromkeys(s for text in texts for s in read_text(text).sentences)
        self.has_text = bool(texts)
        typed = [action for action in trajectory.actions if action is not None]
        self.typed: list[str] | None = list(dict.fromkeys(typed)) if typed else None

    def sentence(self, quoted: str) -> str | None:
        """Return the recording's sentence that is quoted, as a key; ``None`` where it has none."""
        wanted = key(quoted)
        if not wanted:
            return None
        if not self.has_text or wanted in self.sentences:
            return wanted
        words = content_words(wanted)
        best = max(self.sentences, key=lambda s: len(words & content_words(s)), default="")
        return best if words and len(words & content_words(best)) >= NEARLY * len(words) else None

    def as_shown(self, claim: MilestoneClaim, environment: str) -> str | None:
        """Return what a milestone is noticed by in the recording's own words."""
        if claim.noticed_by in {"says", "place"}:
            return self.sentence(claim.what)
        verb = "get" if claim.noticed_by == "holds" else "drop"
        said = key(claim.what)
        command = canonical_action(environment, said if split_action(said)[1] else f"{verb} {said}")
        thing = split_action(command)[1]
        if not thing or self.typed is None:
            return thing or None
        handled = {split_action(canonical_action(environment, action))[1] for action in self.typed}
        return thing if thing in handled else None


def place_of(document: RewardModel | None, sentence: str) -> str | None:
    """Return the id of the place that a sentence names, or ``None``.

    Args:
        document: With the places that were read off the recording; ``None`` where none were.
        sentence: A key.
    """
    if document is None:
        return None
    for place in document.places:
        if sentence in place.cues or sentence == place.id:
            return place.id
    words = content_words(sentence)
    near = [p for p in document.places if words and words <= frozenset(p.words) and not p.ambiguous]
    return near[0].id if len(near) == 1 else None


def names_of(claims: tuple[Cited, ...]) -> Iterator[tuple[str, Cited]]:
    """Yield a short, distinct name for each claim."""
    taken: dict[str, int] = {}
    for cited in claims:
        said = cited.claim.name if isinstance(cited.claim, MilestoneClaim) else " ".join(cited.key[1:])
        name = "-".join(key(said).split()[:7]) or "claim"
        taken[name] = taken.get(name, 0) + 1
        yield (name if taken[name] == 1 else f"{name}-{taken[name]}"), cited
