"""Events, and processes that write them, for the tests of the store."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from lookalike.core.types import Decision, Observation, Outcome, Proposal, Role, Transition, Usage, Verdict
from lookalike.store import EpisodeFinished, EpisodeKey, EpisodeStarted, StepTaken

SPEC = {"experiment": "paper/colossal-cave", "seeds": [1, 2]}


def key(seed=1, condition="solo"):
    return EpisodeKey(condition=condition, goal="lamp", seed=seed)


def started(seed=1, **changes):
    return EpisodeStarted(episode=key(seed), environment_seed=seed * 10, **changes)


def stepped(seed=1, step=0, **changes):
    transition = Transition(Observation("a room"), "get lamp", Observation("Taken."), 5.0)
    proposals = [Proposal(Role("t0.2", 0.2), "get lamp", 0.9, usage=Usage(1, 100, 3, 40, 0, 0.5))]
    decision = Decision("get lamp", "majority", {"get lamp": 1.0})
    return StepTaken.of(
        key(seed), step, transition, proposals=proposals, decision=decision, verdict=Verdict(0.5), **changes
    )


def finished(seed=1, success=True):
    return EpisodeFinished.of(
        key(seed), Outcome(success, 3, 30.0, False, False), interactions=3, usage=Usage(3), seconds=1.5
    )


def intact(log, run_id="r", files=None):
    """Return how many events a run has, none of which is anything but what was appended."""
    report = log.verify(run_id, files)
    assert report.problems == ()
    return report.events


def strip(events):
    return [
        event.model_copy(update={"measured": event.measured.model_copy(update={"at": None})})
        for event in events
    ]


WRITER = """
    import sys
    from lookalike.core.types import Outcome, Usage
    from lookalike.store import EpisodeFinished, EpisodeKey, EpisodeStarted, EventLog
    log = EventLog(sys.argv[1])
    log.start_run("r", {spec!r}, package_version="0.1.0")
    for seed in range(int(sys.argv[2]), int(sys.argv[3])):
        key = EpisodeKey(condition="solo", goal="lamp", seed=seed)
        end = EpisodeFinished.of(key, Outcome(True, 3, 30.0, False, False), interactions=3, usage=Usage())
        log.append("r", [EpisodeStarted(episode=key, environment_seed=seed), end])
        print(seed, flush=True)
"""


def python(code, *arguments, **options):
    """Start a Python process; its lines come through a pipe."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def writer(location, first, last, **options):
    """Start a process that plays episodes into run ``r`` and says each one's seed when it is kept."""
    return python(WRITER.format(spec=SPEC), location, first, last, **options)
