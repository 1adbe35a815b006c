"""From claims that were checked again to the reward model's document."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lookalike.core.errors import RecordingError
from lookalike.core.types import Demonstration
from lookalike.experts.remote_claims import (
    Cited,
    HazardClaim,
    MilestoneClaim,
    RuleClaim,
    names_of,
    place_of,
)
from lookalike.experts.text import EmbeddedTextExpert
from lookalike.rewards.document import (
    Agreement,
    Detect,
    DroppedClaim,
    Hazard,
    MadeBy,
    Milestone,
    PathStep,
    Pathway,
    PlaceNote,
    RecordingNote,
    RewardModel,
    Rule,
    Span,
)
from lookalike.rewards.text import content_words

WEAK_MEAN = 0.5
WEAK_SPREAD = 0.25


@dataclass(frozen=True)
class Reviewed:
    """A claim and what the experts said about it when they saw its evidence again.

    Attributes:
        same: The claim, as often as it was made; by different experts, or on different recordings.
        opinions: Agreement of each expert that answered, in [0, 1].
        supported: How many of them found that the evidence supports it.
    """

    same: tuple[Cited, ...]
    opinions: tuple[float, ...]
    supported: int

    @property
    def cited(self) -> Cited:
        """The claim as it was made first."""
        return self.same[0]

    @property
    def stands(self) -> bool:
        """At least half of those who looked again found it supported."""
        return bool(self.opinions) and 2 * self.supported >= len(self.opinions)

    def agreement(self) -> Agreement:
        """Return mean and spread of the opinions; there is at least one."""
        mean, spread = statistics.fmean(self.opinions), statistics.pstdev(self.opinions)
        return Agreement(
            mean=round(mean, 4),
            spread=round(spread, 4),
            experts=len(self.opinions),
            claimed_by=len({cited.expert for cited in self.same}),
            weak=mean < WEAK_MEAN or spread > WEAK_SPREAD,
        )

    def mean(self, name: str) -> float:
        """Return the mean of a number that each claimer gave."""
        return round(statistics.fmean(getattr(cited.claim, name) for cited in self.same), 4)

    def dropped(self) -> DroppedClaim:
        """Return the entry that says why it does not stand."""
        reason = (
            f"{self.supported} of {len(self.opinions)} found it supported by its evidence"
            if self.opinions
            else "nobody could check it against its evidence"
        )
        return DroppedClaim(claim=self.cited.claim.sentence()[:300], expert=self.cited.expert, reason=reason)


def merged(claims: Sequence[Cited]) -> list[tuple[Cited, ...]]:
    """Put claims together that say the same, in the order in which they were first made."""
    found: dict[tuple[str, ...], list[Cited]] = {}
    for cited in claims:
        found.setdefault(cited.key, []).append(cited)
    return [tuple(same) for same in found.values()]


def build_document(
    reviewed: Sequence[Reviewed],
    demonstrations: Sequence[Demonstration],
    *,
    environment: str,
    goal: str,
    made_by: MadeBy,
    dropped: tuple[DroppedClaim, ...],
) -> RewardModel:
    """Write the document of what stands.

    Args:
        reviewed: At least one claim that stands.
        demonstrations: What was watched.
        environment: Environment id.
        goal: In the expert's words.
        made_by: Who wrote it.
        dropped: What does not stand.
    """
    standing = [claim for claim in reviewed if claim.stands]
    order = {d.id: number for number, d in enumerate(demonstrations)}
    standing.sort(key=lambda r: (order[r.cited.evidence.recording], r.cited.first, r.cited.last))
    names = {id(cited): name for name, cited in names_of(tuple(r.cited for r in standing))}
    base = _map_of(demonstrations, environment)
    places = {note.id: note for note in base.places} if base is not None else {}
    milestones: list[Milestone] = []
    rules: list[Rule] = []
    hazards: list[Hazard] = []
    for one in standing:
        claim, name = one.cited.claim, names[id(one.cited)]
        if isinstance(claim, MilestoneClaim):
            before = milestones[-1] if milestones else None
            milestones.append(_milestone(one, claim, name, before=before, base=base, places=places))
        elif isinstance(claim, RuleClaim):
            rules.append(_rule(one, claim, name))
        else:
            hazards.append(_hazard(one, claim, name))
    return RewardModel(
        environment=environment,
        goal=goal,
        made_by=made_by,
        recordings=tuple(RecordingNote.of(d) for d in demonstrations),
        milestones=tuple(milestones),
        pathways=_pathways(milestones, base),
        rules=tuple(rules),
        hazards=tuple(hazards),
        places=tuple(places.values()),
        dropped=dropped,
    )


def _map_of(demonstrations: Sequence[Demonstration], environment: str) -> RewardModel | None:
    """Return places and ways as they are read off text and commands; ``None`` where there are none."""
    readable = [
        d
        for d in demonstrations
        if d.trajectory.observations[0].text is not None and any(a is not None for a in d.trajectory.actions)
    ]
    if not readable:
        return None
    try:
        return EmbeddedTextExpert().watch(readable, environment=environment)
    except RecordingError:
        return None


def _milestone(
    one: Reviewed,
    claim: MilestoneClaim,
    name: str,
    *,
    before: Milestone | None,
    base: RewardModel | None,
    places: dict[str, PlaceNote],
) -> Milestone:
    evidence = one.cited.evidence
    after = (before.id,) if before is not None and before.evidence.recording == evidence.recording else ()
    what = claim.what
    if claim.noticed_by == "place":
        place = place_of(base, what)
        if place is None:
            place = "-".join(what.split()[:7])
            words = tuple(sorted(content_words(what)))
            places.setdefault(place, PlaceNote(id=place, cues=(what,), words=words))
        what = place
    detect: dict[str, Any] = {claim.noticed_by: what}
    return Milestone(
        id=name,
        description=claim.description,
        kind=claim.kind,
        detect=Detect(**detect),
        value=one.mean("value"),
        after=after,
        evidence=evidence,
        agreement=one.agreement(),
    )


def _rule(one: Reviewed, claim: RuleClaim, name: str) -> Rule:
    agreement = one.agreement()
    return Rule(
        id=name,
        cue=claim.cue,
        action=claim.action,
        polarity=1 if claim.good else -1,
        weight=one.mean("weight"),
        support=len(one.same),
        confidence=agreement.mean,
        evidence=one.cited.evidence,
        agreement=agreement,
    )


def _hazard(one: Reviewed, claim: HazardClaim, name: str) -> Hazard:
    return Hazard(
        id=name,
        cue=claim.cue,
        action=claim.action,
        outcome=claim.outcome,
        support=len(one.same),
        evidence=one.cited.evidence,
        agreement=one.agreement(),
    )


def _pathways(milestones: Sequence[Milestone], base: RewardModel | None) -> tuple[Pathway, ...]:
    """Cut the recorded way at the experts' milestones.

    The way comes in pieces, one to each milestone that the text reader found. A milestone of the experts
    ends the piece its evidence ends in; pieces without one are joined to the next that has one.
    """
    if base is None:
        return ()
    same = {m.detect: found.id for found in milestones for m in base.milestones if m.detect == found.detect}
    renamed = {m.id: same[m.detect] for m in base.milestones if m.detect in same}
    left = sorted(milestones, key=lambda m: m.evidence.end)
    pathways: list[Pathway] = []
    steps: list[PathStep] = []
    begin: Span | None = None
    for piece in base.pathways:
        begin = begin or piece.evidence
        steps += [s.model_copy(update={"milestone": renamed.get(s.milestone or "")}) for s in piece.steps]
        reached = [
            m
            for m in left
            if m.evidence.recording == piece.evidence.recording and m.evidence.end <= piece.evidence.end
        ]
        if not reached or not steps:
            continue
        left = [m for m in left if m not in reached]
        evidence = piece.evidence.model_copy(update={"start": begin.start, "start_s": begin.start_s})
        pathways.append(Pathway(to=reached[-1].id, steps=tuple(steps), evidence=evidence))
        steps, begin = [], None
    return tuple(pathways)
