"""What the swarm's own failures taught: dangers, what is risky beside them, and where thieves come.

A small document that a person can read and edit. It is learnt from plays (``hazard_learning``), kept across
episodes and seeds, and asked while the plan is followed (``caution``). It counts what the text showed and
knows nothing else about a game.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lookalike.core.errors import RewardModelError
from lookalike.rewards.document import parse_bounded
from lookalike.rewards.text import (
    DROP_VERBS,
    FIGHT_VERBS,
    GET_VERBS,
    content_words,
    is_look,
    normalise_action,
    split_action,
)

Kind = Literal["attack", "rest", "turn back", "go on", "other"]
"""What is done beside a danger: ``rest`` takes, puts down or asks what is carried; ``turn back`` goes where
one came from; ``go on`` goes elsewhere; ``other`` is everything that leads nowhere."""
KINDS: tuple[Kind, ...] = ("attack", "rest", "turn back", "go on", "other")

_DESCRIBES = ("look", "l")
_PRIOR = 10.0
_THIEF_PRIOR = 50.0
_LEAST_END = 0.02
_MAX_BYTES = 2_000_000
_Text = Annotated[str, Field(max_length=400)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exposure(_Part):
    """Counts of one kind of action beside a danger: done, a setback at once, the danger over at once."""

    seen: int = Field(default=0, ge=0)
    harmed: int = Field(default=0, ge=0)
    ended: int = Field(default=0, ge=0)


class Danger(_Part):
    """A sentence after which setbacks are more frequent than elsewhere.

    Attributes:
        cue: Its key.
        beside: Counts by kind of action.
        left: Meetings that ended without a dead enemy; ``met_again``: after how many of them it came back.
    """

    cue: _Text
    beside: dict[Kind, Exposure]
    left: int = Field(default=0, ge=0)
    met_again: int = Field(default=0, ge=0)

    def harm(self, kind: Kind) -> float:
        """Return the smoothed probability of a setback at this kind of action."""
        seen = sum(e.seen for e in self.beside.values())
        base = sum(e.harmed for e in self.beside.values()) / seen if seen else 0.0
        one = self.beside.get(kind, Exposure())
        return (one.harmed + _PRIOR * base) / (one.seen + _PRIOR)

    def end(self, kind: Kind) -> float:
        """Return the smoothed probability that the danger is over after this kind of action."""
        seen = sum(e.seen for e in self.beside.values())
        base = sum(e.ended for e in self.beside.values()) / seen if seen else 0.0
        one = self.beside.get(kind, Exposure())
        return (one.ended + _PRIOR * base) / (one.seen + _PRIOR)

    def cost_of_fighting(self) -> float:
        """Return the expected setbacks of attacking until it is over."""
        return self.harm("attack") / max(self.end("attack"), _LEAST_END)

    def cost_of_leaving(self, ahead: Iterable[Kind]) -> float:
        """Return the expected setbacks of doing what comes next, and of fighting it when it comes back."""
        cost, here = 0.0, 1.0
        for kind in ahead:
            cost += here * self.harm(kind)
            here *= 1 - self.end(kind)
        again = (self.met_again + 1) / (self.left + 1)
        return cost + again * self.cost_of_fighting()


class Meeting(_Part):
    """How often a thief came to a place: turns there with something worth stealing in hand, and robberies."""

    place: _Text
    turns: int = Field(ge=0)
    robbed: int = Field(ge=0)


class HazardModel(_Part):
    """What was learnt from plays of one game.

    Attributes:
        environment: Environment id.
        source: Which plays, in words.
        plays: Their number.
        dangers: Most frequent first.
        meetings: By place.
    """

    environment: _Text
    source: _Text = ""
    plays: int = Field(ge=0)
    dangers: tuple[Danger, ...] = Field(default=(), max_length=200)
    meetings: tuple[Meeting, ...] = Field(default=(), max_length=2_000)

    def danger(self, sentences: Iterable[str]) -> Danger | None:
        """Return the danger that sentences tell of (their keys, or most of the words of one), or ``None``."""
        seen = [(sentence, content_words(sentence)) for sentence in sentences if len(sentence) <= 400]
        for danger in self.dangers:
            wanted = content_words(danger.cue)
            for sentence, words in seen:
                if sentence == danger.cue:
                    return danger
                if len(wanted) >= 3 and len(wanted & words) >= 0.75 * len(wanted):
                    return danger
        return None

    def thief_rate(self, places: Iterable[str] | None = None) -> float:
        """Return the smoothed robberies a turn with booty in hand, at some places or everywhere."""
        turns = sum(m.turns for m in self.meetings)
        overall = sum(m.robbed for m in self.meetings) / turns if turns else 0.0
        if places is None:
            return overall
        wanted = set(places)
        here = [m for m in self.meetings if m.place in wanted]
        robbed = sum(m.robbed for m in here) + _THIEF_PRIOR * overall
        return robbed / (sum(m.turns for m in here) + _THIEF_PRIOR)


def kind_of(action: str, leads_to: str | None, came_from: str | None) -> Kind:
    """Return the kind of an action.

    Args:
        action: The command.
        leads_to: Place that it is known to lead to from here, or ``None``.
        came_from: Place one was at before this one, or ``None``.
    """
    verb = split_action(action)[0]
    if verb in FIGHT_VERBS or verb == "throw":
        return "attack"
    if verb in GET_VERBS | DROP_VERBS or (is_look(action) and normalise_action(action) not in _DESCRIBES):
        return "rest"
    if leads_to is None:
        return "other"
    return "turn back" if leads_to == came_from else "go on"


def save_hazards(model: HazardModel, path: Path) -> None:
    """Write the document as YAML."""
    text = yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)
    path.write_text(text, encoding="utf-8")


def load_hazards(path: Path) -> HazardModel:
    """Read a document.

    Raises:
        RewardModelError: The file is missing, too large, or no such document.
    """
    remedy = "Learn one with `lookalike experiment learn-hazards RUN --out FILE`."
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RewardModelError(
                "The hazard model is too large.", got=path, expected=f"{_MAX_BYTES} bytes at most"
            )
        return HazardModel.model_validate(parse_bounded(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RewardModelError(
            "The hazard model cannot be read.", got=f"{path}: {error.strerror}", remedy=remedy
        ) from None
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        found = str(error).splitlines()[0][:200]
        raise RewardModelError("This is not a hazard model.", got=found, remedy=remedy) from None


def patience(rate: float) -> int:
    """Return how many turns a thief is waited for: half as long again as it takes him on average."""
    return math.ceil(1.5 / rate) if rate > 0 else 0
