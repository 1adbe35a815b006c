"""Learns a hazard model from plays: what was seen just before a setback, and what was done about it.

The learner follows plays as the reward model does, from the text alone. Every sentence is a suspect; what is
kept is what setbacks follow clearly more often than usual, and in more than one place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from lookalike.core.types import Observation, Transition
from lookalike.rewards.hazards import KINDS, Danger, Exposure, HazardModel, Kind, Meeting, kind_of
from lookalike.rewards.plan import Plan
from lookalike.rewards.scorer import RewardModelScorer
from lookalike.rewards.text import Reading, read_text

_LEAST_HARM = 5
_TIMES_THE_USUAL = 4.0
_LEAST_PLACES = 3
_MOST_DANGERS = 20
_MOST_CUE_CHARS = 200


@dataclass
class _Suspect:
    beside: dict[Kind, list[int]] = field(default_factory=lambda: {kind: [0, 0, 0] for kind in KINDS})
    places: set[str | None] = field(default_factory=set)
    left: int = 0
    met_again: int = 0

    def harmed(self) -> int:
        return sum(counts[1] for counts in self.beside.values())

    def seen(self) -> int:
        return sum(counts[0] for counts in self.beside.values())

    def risky(self) -> tuple[int, int]:
        """Return how often it was seen and harmful, resting left out: in that time nothing happens."""
        counts = [c for kind, c in self.beside.items() if kind != "rest"]
        return sum(c[0] for c in counts), sum(c[1] for c in counts)


class HazardLearner:
    """Takes in plays, one after the other."""

    def __init__(self, plan: Plan, *, source: str = "") -> None:
        self._plan = plan
        self._source = source
        self._plays = 0
        self._steps = self._setbacks = 0
        self._suspects: defaultdict[str, _Suspect] = defaultdict(_Suspect)
        self._turns: Counter[str] = Counter()
        self._robbed: Counter[str] = Counter()

    def play(self, first: Observation, steps: Iterable[tuple[str, Observation]]) -> None:
        """Take in a play.

        Args:
            first: What was seen at its beginning.
            steps: The commands and what was seen after each.
        """
        self._plays += 1
        scorer = RewardModelScorer(self._plan)
        scorer.start(first)
        now, here = first, scorer.place
        came_from: str | None = None
        beside: dict[str, None] = {}
        at_large: set[str] = set()
        for action, after in steps:
            reading = read_text(after.text or "")
            shown = self._suspicious(read_text(now.text or ""))
            beside = dict.fromkeys((*beside, *shown)) if _silent(read_text(now.text or "")) else shown
            kind = kind_of(action, scorer.known_end(here, action), came_from)
            booty = scorer.carries_booty()
            scorer.score(Transition(now, action, after))
            self._step(beside, kind, here, reading, at_large)
            if reading.setback is not None:
                came_from, beside = None, {}
            elif scorer.place != here:
                came_from = here
            now, here = after, scorer.place
            if booty and here is not None:
                self._turns[here] += 1
                self._robbed[here] += reading.robbed and reading.setback is None

    def _suspicious(self, reading: Reading) -> dict[str, None]:
        if reading.setback is not None:
            return {}
        return {
            s: None for s in reading.cues if len(s) <= _MOST_CUE_CHARS and s not in self._plan.places.places
        }

    def _step(
        self,
        beside: dict[str, None],
        kind: Kind,
        place: str | None,
        after: Reading,
        at_large: set[str],
    ) -> None:
        harmed = after.setback is not None
        self._steps += 1
        self._setbacks += harmed
        told = set(after.sentences)
        for cue in beside:
            suspect = self._suspects[cue]
            over = not _silent(after) and cue not in told
            counts = suspect.beside[kind]
            counts[0] += 1
            counts[1] += harmed
            counts[2] += over
            suspect.places.add(place)
            if cue in at_large:
                suspect.met_again += 1
                at_large.discard(cue)
            if over and not harmed and not after.beaten:
                suspect.left += 1
                at_large.add(cue)

    def model(self) -> HazardModel:
        """Return what was learnt so far."""
        usual = self._setbacks / self._steps if self._steps else 0.0
        found = [(cue, s) for cue, s in self._suspects.items() if _dangerous(s, usual)]
        found.sort(key=lambda item: (-item[1].harmed(), item[0]))
        dangers = tuple(
            Danger(
                cue=cue,
                beside={k: Exposure(seen=a, harmed=b, ended=c) for k, (a, b, c) in s.beside.items()},
                left=s.left,
                met_again=s.met_again,
            )
            for cue, s in found[:_MOST_DANGERS]
        )
        return HazardModel(
            environment=self._plan.model.environment,
            source=self._source,
            plays=self._plays,
            dangers=dangers,
            meetings=tuple(
                Meeting(place=p, turns=n, robbed=self._robbed[p])
                for p, n in sorted(self._turns.items())
                if p in self._plan.places.places
            ),
        )


def _dangerous(suspect: _Suspect, usual: float) -> bool:
    seen, harmed = suspect.risky()
    return (
        harmed >= _LEAST_HARM
        and len(suspect.places) >= _LEAST_PLACES
        and harmed >= _TIMES_THE_USUAL * usual * seen
    )


def _silent(reading: Reading) -> bool:
    """Whether a reply says nothing about who is here: no place is described."""
    return reading.anchor is None or (reading.titled and reading.unmoved)
