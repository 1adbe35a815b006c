"""The dashboard over a run of 1,000,000 events: how long a page takes, a step of the replay, and its memory.

The run is synthetic and has the shape of a real one: 9 conditions, 25 goals, 22 seeds, four members, about
1,500 bytes a step; one of its episodes has 100,000 steps. The server is the real one, in a process of its
own, and is asked over HTTP: the page cold, then steps as the replay asks for them, a page of 40 at a time.
Where Chromium and Playwright are, a real browser opens the page and steps through the middle of the long
episode too.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from lookalike.environments import load_goals
from lookalike.experiments import find_condition
from lookalike.store import (
    EpisodeFinished,
    EpisodeKey,
    EpisodeStarted,
    Event,
    ProposalRecord,
    RecollectionRecord,
    StepTaken,
    UsageRecord,
    VerdictRecord,
    open_log,
)
from lookalike.web.library import key_of

EVENTS = int(os.environ.get("DASHBOARD_EVENTS", "1000000"))
LONG_STEPS = min(100_000, EVENTS // 4)
CONDITIONS = (
    "random",
    "solo",
    "solo+expert",
    "swarm",
    "swarm+expert",
    "majority",
    "borda",
    "arbiter",
    "reward-only",
)
RUN = "synthetic"
_BATCH = 5_000
_TEXT = "YOU ARE IN A MAZE OF TWISTY LITTLE PASSAGES, ALL ALIKE. THERE IS A SHINY BRASS LAMP HERE. " * 2


def _step(key: EpisodeKey, step: int) -> StepTaken:
    roles = ("t0.2", "t0.6", "t1", "t1.4")
    action = ("north", "get lamp", "east", "look")[step % 4]
    return StepTaken.model_construct(
        kind="step_taken",
        version=1,
        episode=key,
        step=step,
        world=None,
        observation=f"{_TEXT} ({step})",
        proposals=tuple(
            ProposalRecord.model_construct(role=r, action=action, probability=0.5, rationale=None, reply=None)
            for r in roles
        ),
        proposal_verdicts=tuple(
            VerdictRecord.model_construct(value=0.1, components={"progress": 0.1}, feedback="") for _ in roles
        ),
        by="best-reward",
        votes={action: 4.0},
        decision=action,
        tie_break=None,
        dissent=() if step % 7 else ("t1.4",),
        recollections=(
            RecollectionRecord.model_construct(
                provenance=f"step {max(0, step - 3)} by t0.2", source="member", score=1.0
            ),
        ),
        next_observation=f"{_TEXT} ({step + 1})",
        next_frame=None,
        env_reward=0.0,
        score=36.0,
        terminated=False,
        truncated=False,
        goal_reached=False,
        verdict=VerdictRecord.model_construct(
            value=0.1, components={"progress": 0.1}, feedback="Nearer to the next milestone."
        ),
        usage=UsageRecord(calls=4, prompt_tokens=400, completion_tokens=8),
        measured=StepTaken.model_fields["measured"].default,
    )


def _episode(key: EpisodeKey, steps: int) -> Iterator[Event]:
    yield EpisodeStarted(episode=key, environment_seed=key.seed, first_observation=_TEXT)
    for step in range(steps):
        yield _step(key, step)
    yield EpisodeFinished(
        episode=key,
        success=(key.seed * 7 + len(key.goal)) % 3 == 0,
        steps=steps,
        interactions=steps,
        score=36.0,
        terminated=False,
        truncated=True,
        rewards=tuple(0.1 for _ in range(steps)),
        proposals=4 * steps,
        executable_proposals=4 * steps,
        agreement=0.9,
        dissents=steps // 7,
        usage=UsageRecord(calls=4 * steps, prompt_tokens=400 * steps, completion_tokens=8 * steps),
    )


def write_run(folder: Path, events: int) -> tuple[int, int]:
    """Write a synthetic run, its first episode the long one; return how many events and episodes it has."""
    goals = [goal.name for goal in load_goals("colossal-cave")]
    seeds = list(range(1000, 1022))
    keys = [EpisodeKey(condition=c, goal=g, seed=s) for s in seeds for g in goals for c in CONDITIONS]
    each = max(1, -(-(events - LONG_STEPS) // (len(keys) - 1)) - 2)
    configuration: dict[str, Any] = {
        "experiment": "paper/colossal-cave",
        "environment": "colossal-cave",
        "recording": "adventure:2",
        "goals": goals,
        "seeds": seeds,
        "conditions": [find_condition(name).model_dump(mode="json") for name in CONDITIONS],
        "reward_model": None,
        "model": "embedded",
    }
    folder.mkdir(parents=True)
    with open_log(folder / "events.sqlite") as log:
        log.start_run(RUN, configuration, package_version="0", folder=str(folder))
        batch: list[Event] = []
        for number, key in enumerate(keys):
            for event in _episode(key, LONG_STEPS if number == 0 else each):
                batch.append(event)
                if len(batch) >= _BATCH:
                    log.append(RUN, batch)
                    batch = []
        log.append(RUN, batch)
        summary = log.summary(RUN)
        return summary.events, len(keys)


def _get(port: int, path: str) -> tuple[float, bytes]:
    began = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return time.perf_counter() - began, body


def _peak_mb(process_id: int) -> float:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _processor_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure() -> list[dict[str, Any]]:
    """Write the run, start the server, ask it as a browser does."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "runs"
        events, episodes = write_run(folder / RUN, EVENTS)
        main = "from lookalike.cli import main; main()"
        server = subprocess.Popen(
            [sys.executable, "-c", main, "view", str(folder), "--no-browser", "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr is not None
            port = int(server.stderr.readline().rpartition(":")[2].partition("/")[0])
            return _ask(port, server.pid, folder / RUN, events, episodes)
        finally:
            server.terminate()
            server.wait(20)


def _ask(port: int, process_id: int, folder: Path, events: int, episodes: int) -> list[dict[str, Any]]:
    run = f"/runs/{key_of(str((folder / 'events.sqlite').resolve()), RUN)}"
    before = _processor_s(process_id)
    cold, page = _get(port, run)
    processor = _processor_s(process_id) - before
    warm = statistics.median(_get(port, run)[0] for _ in range(3))
    opened, _ = _get(port, f"{run}/episodes/0")
    outline, _ = _get(port, f"/api{run}/episodes/0/outline")
    far = [LONG_STEPS * i // 12 for i in range(1, 12)]
    found = [_get(port, f"/api{run}/episodes/0/place?step={step}")[0] for step in far]
    pages = [_get(port, f"/api{run}/episodes/0/steps?start={step // 40 * 40}")[0] for step in far]
    ordinary = [
        _get(port, f"/api{run}/episodes/{number}/steps?start=0")[0]
        for number in range(1, episodes, episodes // 15)
    ]
    seen = _in_chromium(port, run)
    memory = _peak_mb(process_id)
    detail = f"{events:,} events, {episodes:,} episodes, one of {LONG_STEPS:,} steps"

    def row(name: str, value: float, unit: str, target: float | None, words: str) -> dict[str, Any]:
        met = None if target is None else value <= target
        return {
            "name": name,
            "value": round(value, 4),
            "unit": unit,
            "target": None if target is None else f"<= {target:g}",
            "met": met,
            "detail": f"{words}; {detail}",
        }

    return [
        row("run page, first time", cold, "s", 1.0, f"{len(page):,} bytes, everything computed"),
        row(
            "run page, first time, processor",
            processor,
            "s",
            1.0,
            "the server's own seconds, other work left out",
        ),
        row("run page, again", warm, "s", 1.0, "median of 3"),
        row("replay page of the long episode", opened, "s", 1.0, "first time"),
        row("outline of the long episode", outline, "s", None, "once an episode"),
        row(
            "step far into the long episode",
            max(pages) * 1000,
            "ms",
            100.0,
            "slowest of 11 pages of 40 steps, each asked for the first time",
        ),
        row("link to a step of the long episode", max(found) * 1000, "ms", 100.0, "slowest of 11"),
        row(
            "step of an ordinary episode",
            max(ordinary) * 1000,
            "ms",
            100.0,
            "slowest of 15 episodes, each opened for the first time",
        ),
        *(row(name, value, unit, target, words) for name, value, unit, target, words in seen),
        row("server's memory, highest", memory, "MB", 500.0, "VmHWM after all of it"),
    ]


_STEPS_IN_PAGE = """async () => {
  const root = document.querySelector("#replay"), next = root.querySelector("[data-do=next]"), times = [];
  for (let i = 0; i < 100; i++) {
    const wanted = String(Number(root.dataset.shown) + 1), began = performance.now();
    next.click();
    while (root.dataset.shown !== wanted) await new Promise((done) => setTimeout(done, 0));
    times.push(performance.now() - began);
  }
  return times;
}"""


def _in_chromium(port: int, run: str) -> list[tuple[str, float, str, float, str]]:
    """Return how long a browser takes; nothing where there is none."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    if chromium is None:
        return []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            began = time.perf_counter()
            page.goto(f"http://127.0.0.1:{port}{run}")
            opened = time.perf_counter() - began
            page.goto(f"http://127.0.0.1:{port}{run}/episodes/0#step={LONG_STEPS // 2}")
            page.wait_for_selector(f"#replay[data-shown='{LONG_STEPS // 2 + 1}']")
            steps = sorted(page.evaluate(_STEPS_IN_PAGE))
        finally:
            browser.close()
    words = f"slowest of 100 in the middle of the long episode; median {statistics.median(steps):.1f} ms"
    return [
        ("run page in Chromium", opened, "s", 1.0, "until it has loaded, after the cold one"),
        ("step in Chromium", steps[-1], "ms", 100.0, words),
    ]
