"""What a campaign of kills finds, and how it is told: what was lost, what was asked twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from faults.stores import Held


@dataclass
class Kill:
    """One kill and what came of it.

    Attributes:
        kind: See `KINDS`.
        phase: ``start``, ``play`` or ``finish``: what the run was doing.
        after_s: Seconds after its start.
        events: Events the log held then.
        finished: Episodes that had ended by then.
        in_flight: Calls made again afterwards whose answers had not reached the cache.
        cut_off: Finished episodes that the power cut took. Where the kernel tells what is on the disk
            (Linux 6.5) they are lost ones; elsewhere what the harness cuts may have been there.
        detail: What else is known.
    """

    kind: str
    phase: str
    after_s: float
    events: int = 0
    finished: int = 0
    in_flight: int = 0
    cut_off: int = 0
    detail: str = ""


@dataclass
class Outcome:
    """What a campaign found; the lists of wrongs must stay empty.

    Attributes:
        store: ``sqlite`` or ``postgres``.
        seed: Of all that was random.
        kills: In order.
        runs: Runs that were played to their end.
        starts: Processes started, first ones and resumptions.
        calls: Of the paid model, over all runs.
        lost: Finished episodes that were gone or changed after a kill, or were started again.
        repeated: Calls made again although their answers were in the cache.
        wrong: Everything else: other results, findings of verify, processes left behind, tracebacks.
        seconds: It took.
    """

    store: str
    seed: int
    kills: list[Kill] = field(default_factory=list)
    runs: int = 0
    starts: int = 0
    calls: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.repeated or self.wrong)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values, kills added up by kind and phase."""
        return asdict(self) | {
            "by_kind": Counter(k.kind for k in self.kills),
            "by_phase": Counter(k.phase for k in self.kills),
            "in_flight": sum(k.in_flight for k in self.kills),
            "cut_off": sum(k.cut_off for k in self.kills),
        }


def asked_again(
    ledger: Sequence[str], kills: Sequence[tuple[set[str], int]]
) -> tuple[list[str], Counter[int]]:
    """Find the calls that were made more than once.

    Args:
        ledger: Calls in the order they were made.
        kills: Of each kill, the calls whose answers the cache held right after it, and how long the ledger
            was then.

    Returns:
        A sentence for every call that was made although its answer was kept, or without a kill; and by
        kill how many were made again because it came before their answers had been kept.
    """
    last: dict[str, int] = {}
    repeated, in_flight = [], Counter[int]()
    for position, call in enumerate(ledger):
        kept = [index for index, (calls, at) in enumerate(kills) if at <= position and call in calls]
        if kept:
            repeated.append(f"call {call} was made again after kill {kept[0]}, and its answer was there")
        elif call in last:
            between = [index for index, (_, at) in enumerate(kills) if last[call] < at <= position]
            if between:
                in_flight[between[0]] += 1
            else:
                repeated.append(f"call {call} was made again without a kill")
        last[call] = position
    return repeated, in_flight


def lost_episodes(before: Held, after: Held) -> list[str]:
    """Name the episodes that had ended before and are gone, changed, or were played again."""
    found = [
        f"{key} is {'changed' if key in after.finished else 'gone'}"
        for key, events in before.finished.items()
        if after.finished.get(key) != events
    ]
    return found + [f"{name} was played again" for name in after.starts_after_end]
