"""Shows an episode while it is played: what each member wanted, what was decided, what it was worth."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lookalike.cli.output import emit

if TYPE_CHECKING:
    from lookalike.store import Event, StepTaken

MAX_ANSWER_LINES = 8


def show_event(event: Event) -> None:
    """Print one event of an episode for a person; events that say nothing new are passed over."""
    if event.kind == "episode_started":
        emit((event.first_observation or "").strip())
    elif event.kind == "step_taken":
        _show_step(event)


def show_verdict(event: Event) -> None:
    """Print only what a person at the keyboard has not seen yet: the verdict on their step."""
    if event.kind == "step_taken" and event.verdict is not None and event.verdict.value:
        emit(f"   [{event.verdict.value:+.2f}] {event.verdict.feedback}")


def _show_step(event: StepTaken) -> None:
    world = f" [{event.world}]" if event.world else ""
    emit(f"\n{event.step + 1:>3}{world} > {event.decision or '(nothing executable was proposed)'}")
    wanted = Counter(p.action or "(no action)" for p in event.proposals)
    if len(event.proposals) > 1 and len(wanted) > 1:
        shares = ", ".join(f"{action} x{count}" for action, count in wanted.most_common())
        tie = f"; tie broken: {event.tie_break}" if event.tie_break else ""
        emit(f"      proposed: {shares} ({event.by}{tie})")
    lines = [line for line in (event.next_observation or "").strip().splitlines() if line.strip()]
    for line in lines[:MAX_ANSWER_LINES]:
        emit(f"      {line}")
    if len(lines) > MAX_ANSWER_LINES:
        emit(f"      … {len(lines) - MAX_ANSWER_LINES} more lines")
    if event.verdict is not None and event.verdict.value:
        parts = ", ".join(f"{name} {share:+.2f}" for name, share in event.verdict.components.items())
        emit(f"      verdict {event.verdict.value:+.2f}: {parts}")
    if event.goal_reached:
        emit("      goal reached")
