"""From a followed demonstration to milestones and the pathways between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lookalike.rewards.document import Detect, Milestone, PathStep, Pathway, Rule
from lookalike.rewards.text import is_look

if TYPE_CHECKING:
    from lookalike.experts.text import Watched, WatchedStep

VALUES = {"acquisition": 0.5, "deposit": 0.5, "event": 0.4, "visit": 0.2}
_SCORE_BONUS = 0.4
_OPENED_WITHIN = 5
END = "end-of-the-recording"


def build_route(play: Watched, rules: Sequence[Rule]) -> tuple[tuple[Milestone, ...], tuple[Pathway, ...]]:
    """Return milestones in the order they were reached, and the pathway that leads to each.

    Steps that were refused, that only looked, or that a rule explains are left out of the pathways; moves
    that came back to a place without anything in between are detours and are left out too.
    """
    facts = _Facts(play)
    milestones: list[Milestone] = []
    pathways: list[Pathway] = []
    pending: list[PathStep] = []
    start = 0
    for number, step in enumerate(play.steps):
        blocked = _blocked(play.steps, number)
        refused = not blocked and (
            step.after.failure or is_look(step.action) or step.origin is None or step.place is None
        )
        milestone = None if step.after.failure or is_look(step.action) else facts.milestone(step)
        if milestone is not None:
            after = (milestones[-1].id,) if milestones else ()
            milestones.append(milestone.model_copy(update={"after": after}))
        if not refused and not _explained(step, rules):
            # A visit is where a move ends, so its move does not vanish with the milestone.
            realises = milestone.id if milestone is not None and milestone.kind != "visit" else None
            pending.append(
                PathStep(
                    at=step.origin or "",
                    do=step.action,
                    then=step.place or "",
                    milestone=realises,
                    holding=tuple(sorted(step.holding)) if step.origin == step.place else (),
                    refused=blocked,
                )
            )
        if milestone is not None:
            evidence = play.span(start, step.index)
            pathways.append(Pathway(to=milestone.id, steps=_loop_erased(pending), evidence=evidence))
            pending, start = [], step.index + 1
    _add_end(play, start, _loop_erased(pending), milestones, pathways)
    return tuple(milestones), tuple(p for p in pathways if p.steps)


def _add_end(
    play: Watched,
    start: int,
    steps: tuple[PathStep, ...],
    milestones: list[Milestone],
    pathways: list[Pathway],
) -> None:
    """Keep what was done after the last milestone: where a person stops is where they wanted to be.

    It is worth nothing by itself, as the place may have been passed before (the play may have begun there);
    only the way to it is recommended, after everything else.
    """
    if not steps or not play.steps:
        return
    last = play.steps[-1]
    milestones.append(
        Milestone(
            id=END,
            description=f"Stopped at {steps[-1].then}.",
            kind="visit",
            detect=Detect(place=steps[-1].then),
            value=0.0,
            after=(milestones[-1].id,) if milestones else (),
            evidence=play.span(last.index),
        )
    )
    ending = (*steps[:-1], steps[-1].model_copy(update={"milestone": steps[-1].milestone or END}))
    pathways.append(Pathway(to=END, steps=ending, evidence=play.span(start, last.index)))


class _Facts:
    """What has been taken, left, seen and said so far in the play, to tell what is new."""

    def __init__(self, play: Watched) -> None:
        self.play = play
        self.names: set[str] = set()
        self.taken: set[str] = set()
        self.places: set[str] = {play.steps[0].origin or ""} if play.steps else set()
        self.said: set[str] = set()
        self.score = 0
        self.last_left = {s.left: s.index for s in play.steps if s.left}
        self.last_taken = {s.taken: s.index for s in play.steps if s.taken}
        scores = [s.after.score for s in play.steps if s.after.score is not None]
        gains = [b - a for a, b in zip([0, *scores], scores, strict=False) if b > a]
        self.largest_gain = max(gains, default=0)

    def milestone(self, step: WatchedStep) -> Milestone | None:
        """Return the milestone a step reaches, or ``None``."""
        gain = self._gain(step)
        found = self._detect(step, gain)
        self.said.update(step.after.sentences)
        if step.taken:
            self.taken.add(step.taken)
        new_place = step.place is not None and step.place not in self.places
        if step.place is not None:
            self.places.add(step.place)
        if found is None and new_place and step.place is not None and "dark" not in step.place:
            found = (f"reach-{step.place}", "visit", f"Reached {step.place}.", Detect(place=step.place))
        if found is None:
            return None
        name, kind, description, detect = found
        if name in self.names:
            return None
        self.names.add(name)
        bonus = _SCORE_BONUS * gain / self.largest_gain if self.largest_gain and gain > 0 else 0.0
        return Milestone(
            id=name,
            description=description,
            kind=kind,  # type: ignore[arg-type]
            detect=detect,
            value=round(VALUES[kind] + bonus, 3),
            score_change=gain or None,
            evidence=self.play.span(step.index),
        )

    def _gain(self, step: WatchedStep) -> int:
        if step.after.score is None:
            return 0
        gain, self.score = step.after.score - self.score, step.after.score
        return gain

    def _detect(self, step: WatchedStep, gain: int) -> tuple[str, str, str, Detect] | None:
        where = step.place or "somewhere"
        if step.taken and step.taken not in self.taken:
            thing = step.taken
            return f"get-{_slug(thing)}", "acquisition", f"Took the {thing} at {where}.", Detect(holds=thing)
        if step.left and self._for_good(step):
            thing = step.left
            name = f"leave-{_slug(thing)}-at-{where}"
            return name, "deposit", f"Left the {thing} at {where}.", Detect(leaves=thing, place=step.place)
        if step.taken or step.left or (step.origin != step.place and not gain):
            return None
        news = [
            s for s in step.after.lead or step.after.sentences if s not in self.said and len(s.split()) > 2
        ]
        if not news or (step.after.anchor in step.after.sentences[:1] and not gain):
            return None
        return f"event-{_slug(news[0])}", "event", f"After {step.action!r}: {news[0]}.", Detect(says=news[0])

    def _for_good(self, step: WatchedStep) -> bool:
        thing = step.left or ""
        return self.last_left[thing] == step.index and self.last_taken.get(thing, -1) < step.index


def _blocked(steps: Sequence[WatchedStep], number: int) -> bool:
    """Tell a way that was refused and then opened by what was done next, on the spot."""
    step = steps[number]
    if not step.after.failure or step.origin is None or step.origin != step.place or is_look(step.action):
        return False
    for later in steps[number + 1 : number + 1 + _OPENED_WITHIN]:
        if later.origin != step.origin:
            return False
        if later.action == step.action:
            return later.place != step.origin and later is not steps[number + 1]
    return False


def _explained(step: WatchedStep, rules: Sequence[Rule]) -> bool:
    return any(rule.action == step.action and rule.cue in step.before.sentences for rule in rules)


def _loop_erased(steps: Sequence[PathStep]) -> tuple[PathStep, ...]:
    """Take out moves that came back to a place with nothing but moves in between."""
    out: list[PathStep] = []
    for step in steps:
        if step.at == step.then or step.milestone is not None:
            out.append(step)
            continue
        out.append(step)
        for i in range(len(out) - 1, -1, -1):
            if out[i].at == out[i].then or out[i].milestone is not None:
                break
            if out[i].at == step.then:
                del out[i:]
                break
    return tuple(out)


def _slug(text: str) -> str:
    return "-".join(text.split()[:7])
