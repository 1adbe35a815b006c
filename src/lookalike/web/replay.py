"""An episode as the replay page asks for it: pages of steps, an outline for the time axis, the divergence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lookalike.core.errors import LookalikeError
from lookalike.core.types import Demonstration
from lookalike.rewards.actions import canonical_action
from lookalike.store import (
    EpisodeFinished,
    EpisodeStarted,
    Event,
    StepTaken,
    VerdictRecord,
)
from lookalike.web import shown
from lookalike.web.library import FoundRun

PAGE = 40
"""Steps sent at once."""
OUTLINE_EVENTS = 3_000
"""An episode of at most so many events is read whole for its outline."""
OUTLINE_POINTS = 600
_STEP_OF = re.compile(r"^step (\d{1,9}) by ")
_LOOK_BACK = 8


def items(run: FoundRun, number: int, *, start: int, limit: int = PAGE) -> list[dict[str, Any]]:
    """Return a page of the episode's events as plain data, fit to be shown as text.

    Args:
        run: Which run.
        number: Which episode.
        start: Place of the first event.
        limit: Most events.
    """
    back = min(_LOOK_BACK, start)
    events = run.browser.page(run.run_id, number, start=start - back, limit=min(limit, PAGE) + back)
    frames: dict[str | None, str | None] = {}
    found = []
    for place, event in enumerate(events, start=start - back):
        item = described_event(event, frames)
        if place >= start:
            found.append({"place": place, **item})
    return found


def described_event(event: Event, frames: dict[str | None, str | None]) -> dict[str, Any]:
    """Describe an event; ``frames`` holds the picture last seen in each world."""
    if isinstance(event, EpisodeStarted):
        frames.clear()
        frames[None] = event.first_frame
        return {
            "kind": "start",
            "observation": _words(event.first_observation),
            "frame": event.first_frame,
            "seed": event.environment_seed,
        }
    if isinstance(event, StepTaken):
        before = frames.get(event.world, frames.get(None))
        frames[event.world] = event.next_frame or before
        return _step(event, before)
    if isinstance(event, EpisodeFinished):
        return {
            "kind": "end",
            "success": event.success,
            "score": event.score,
            "steps": event.steps,
            "terminated": event.terminated,
            "agreement": event.agreement,
            "dissents": event.dissents,
            "correct_dissents": event.correct_dissents,
        }
    what = getattr(event, "failure", None) or getattr(event, "reason", None) or event.kind
    return {"kind": "incident", "what": event.kind.replace("_", " "), "detail": shown.line(what, 2000)}


def _words(text: str | None) -> str | None:
    return None if text is None else shown.text(text)


def _verdict(verdict: VerdictRecord | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "value": verdict.value,
        "feedback": shown.line(verdict.feedback),
        "components": [[shown.line(name, 120), share] for name, share in verdict.components.items()],
    }


def _step(event: StepTaken, frame: str | None) -> dict[str, Any]:
    previews: Sequence[VerdictRecord | None] = event.proposal_verdicts or (None,) * len(event.proposals)
    return {
        "kind": "step",
        "step": event.step,
        "world": None if event.world is None else shown.line(event.world, 60),
        "observation": _words(event.observation),
        "frame": frame,
        "proposals": [
            {
                "role": shown.line(p.role, 60),
                "action": None if p.action is None else shown.line(p.action),
                "probability": p.probability,
                "rationale": None if p.rationale is None else shown.text(p.rationale, 2000),
                "reply": None if p.reply is None else shown.text(p.reply, 2000),
                "verdict": _verdict(v),
                "decided": p.action is not None and p.action == event.decision,
                "dissents": p.role in event.dissent,
            }
            for p, v in zip(event.proposals, previews, strict=True)
        ],
        "by": shown.line(event.by, 60),
        "votes": [[shown.line(action), weight] for action, weight in event.votes.items()],
        "decision": None if event.decision is None else shown.line(event.decision),
        "tie_break": event.tie_break,
        "recollections": [
            {
                "provenance": shown.line(r.provenance, 160),
                "source": r.source,
                "score": r.score,
                "step": int(found[1]) if (found := _STEP_OF.match(r.provenance)) else None,
            }
            for r in event.recollections
        ],
        "next_observation": _words(event.next_observation),
        "next_frame": event.next_frame,
        "env_reward": event.env_reward,
        "score": event.score,
        "terminated": event.terminated,
        "truncated": event.truncated,
        "goal_reached": event.goal_reached,
        "verdict": _verdict(event.verdict),
        "calls": event.usage.calls,
        "tokens": event.usage.prompt_tokens + event.usage.completion_tokens,
        "seconds": event.measured.seconds,
    }


def outline(run: FoundRun, number: int) -> dict[str, Any]:
    """Return what the time axis shows: the summed reward, and places where something happened.

    A long episode's outline comes from its last event alone, which has the reward of every step.
    """
    total = run.browser.count(run.run_id, number)
    marks: dict[str, list[int]] = {"dissent": [], "setback": [], "milestone": [], "incident": []}
    rewards: list[tuple[int, float]] = []
    if total <= OUTLINE_EVENTS:
        place = 0
        while events := run.browser.page(run.run_id, number, start=place, limit=512):
            for event in events:
                _mark(event, place, marks, rewards)
                place += 1
    else:
        last = run.browser.last_event(run.run_id, number)
        if isinstance(last, EpisodeFinished) and last.rewards:
            scale = max(1.0, (total - 2) / len(last.rewards))
            rewards = [(round(1 + i * scale), value) for i, value in enumerate(last.rewards)]
    return {"total": total, "marks": marks, "curve": _curve(rewards)}


def _mark(event: Event, place: int, marks: Mapping[str, list[int]], rewards: list[tuple[int, float]]) -> None:
    if not isinstance(event, StepTaken):
        if event.kind in {"environment_restarted", "episode_paused", "episode_failed"}:
            marks["incident"].append(place)
        return
    if event.dissent:
        marks["dissent"].append(place)
    verdict = event.verdict
    if verdict is None:
        return
    rewards.append((place, verdict.value))
    if any(name.startswith("milestone:") for name in verdict.components):
        marks["milestone"].append(place)
    if verdict.value <= -0.5:
        marks["setback"].append(place)


def _curve(rewards: Sequence[tuple[int, float]]) -> list[list[float]]:
    """Return at most `OUTLINE_POINTS` (place, sum so far); the last one is always there."""
    each = max(1, len(rewards) // OUTLINE_POINTS)
    total, curve = 0.0, []
    for index, (place, value) in enumerate(rewards):
        total += value
        if index % each == 0 or index == len(rewards) - 1:
            curve.append([place, round(total, 4)])
    return curve


def divergence(run: FoundRun, number: int, demonstration: Demonstration) -> int | None:
    """Return the place of the first step that is not what the person did at the same step.

    Actions are compared in one spelling where the environment has a table of synonyms.

    Returns:
        Its place; the last place where the episode never left the recording; ``None`` without steps.
    """
    environment = demonstration.environment or str(run.log.configuration(run.run_id).get("environment", ""))
    person = [canonical_action(environment, action or "") for action in demonstration.trajectory.actions]
    place, followed = 0, None
    while events := run.browser.page(run.run_id, number, start=place, limit=256):
        for event in events:
            if isinstance(event, StepTaken):
                same = event.step < len(person) and (
                    canonical_action(environment, event.decision or "") == person[event.step]
                )
                if not same:
                    return place
                followed = place
            place += 1
    return followed


def who_was_right(run: FoundRun, number: int) -> list[dict[str, Any]]:
    """Return for each member how often it was followed, dissented, and had the better proposal.

    Only steps whose proposals carry verdicts say who was right: a dissent was right where its own verdict
    was better than the decision's.
    """
    if run.browser.count(run.run_id, number) > OUTLINE_EVENTS:
        return []
    members: dict[str, dict[str, int]] = {}
    place = 0
    while events := run.browser.page(run.run_id, number, start=place, limit=512):
        place += len(events)
        for event in events:
            if isinstance(event, StepTaken) and len(event.proposals) > 1:
                _count_members(event, members)
    return [{"role": shown.line(role, 60), **counts} for role, counts in members.items()]


def _count_members(event: StepTaken, members: dict[str, dict[str, int]]) -> None:
    values = [v.value if v is not None else None for v in event.proposal_verdicts]
    decided = [
        v
        for p, v in zip(event.proposals, values, strict=False)
        if p.action == event.decision and v is not None
    ]
    known = [v for v in values if v is not None]
    for index, proposal in enumerate(event.proposals):
        counts = members.setdefault(
            proposal.role, {"steps": 0, "followed": 0, "dissents": 0, "right": 0, "best": 0, "judged": 0}
        )
        value = values[index] if index < len(values) else None
        counts["steps"] += 1
        counts["followed"] += proposal.action is not None and proposal.action == event.decision
        counts["dissents"] += proposal.role in event.dissent
        if value is not None and known:
            counts["judged"] += 1
            counts["best"] += value >= max(known)
            counts["right"] += proposal.role in event.dissent and bool(decided) and value > max(decided)


def demonstration_of(folder: Path | None) -> Demonstration | None:
    """Return what was read off the run's own recording; ``None`` where the run has none."""
    from lookalike.recordings import read_recording

    if folder is None:
        return None
    path = folder / "recording" / "demonstration.jsonl"
    if not path.is_file():
        return None
    try:
        return read_recording(path)
    except LookalikeError:
        return None
