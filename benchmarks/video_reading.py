"""How fast and how exactly a play is read off its video: the whole 350-point play of Colossal Cave.

The video is made here, at a brisk person's pace (``Pace``'s defaults: 0.12 s a character, 0.5 s of thinking,
40 characters read a second), and read without its log. Speed is given as a multiple of the playing time,
and in seconds, wall and processor.
"""

from __future__ import annotations

import difflib
import tempfile
import time
from pathlib import Path
from typing import Any

from lookalike.core.types import Demonstration
from lookalike.environments import make_environment
from lookalike.recordings import Pace, normalise_whitespace, read_recording, record_replay, shipped_play

SPEED_TARGET = 10.0
EXACT_TARGET = 0.99


def measure() -> list[dict[str, Any]]:
    """Return reading speed, share of commands read exactly, and accuracy of the observations' characters."""
    play = shipped_play(2)
    environment = make_environment("colossal-cave", isolated=False)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        made = record_replay(
            environment,
            play.commands,
            seed=play.seed,
            out=Path(folder) / "play.mp4",
            licence=play.licence,
            player_kind="human",
        )
        making_s = time.perf_counter() - began
        truth = read_recording(made.log)
        megabytes = made.video.stat().st_size / 1e6
        began, began_cpu = time.perf_counter(), time.process_time()
        read = read_recording(made.video)
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    environment.close()
    speed = made.duration_s / wall_s
    exact, exact_observations, characters = _accuracy(truth, read)
    pace = Pace()
    return [
        {
            "name": "video_reading_speed",
            "value": round(speed, 1),
            "unit": "x playing time",
            "target": f">= {SPEED_TARGET:g}",
            "met": speed >= SPEED_TARGET,
            "detail": f"{made.duration_s:.0f} s of video ({megabytes:.1f} MB) read in {wall_s:.1f} s, "
            f"{cpu_s:.1f} s of processor time; made in {making_s:.1f} s; pace {pace.typing_s} s a character, "
            f"{pace.thinking_s} s thinking, {pace.reading_speed:g} characters read a second",
        },
        {
            "name": "video_reading_exact_commands",
            "value": round(exact, 4),
            "unit": "share",
            "target": f">= {EXACT_TARGET:g}",
            "met": exact >= EXACT_TARGET,
            "detail": f"of {len(truth.trajectory)} commands; {len(read.trajectory)} were found",
        },
        {
            "name": "video_reading_observations",
            "value": round(characters, 5),
            "unit": "share of characters",
            "target": None,
            "met": None,
            "detail": f"{exact_observations} of {len(truth.trajectory) + 1} observations exact after "
            f"whitespace normalisation; {read.provenance.note}",
        },
    ]


def _accuracy(truth: Demonstration, read: Demonstration) -> tuple[float, int, float]:
    """Return the shares of exact commands and characters, and the number of exact observations."""
    wanted, got = truth.trajectory.actions, read.trajectory.actions
    pairs = difflib.SequenceMatcher(None, wanted, got, autojunk=False).get_matching_blocks()
    exact = sum(block.size for block in pairs) / len(wanted)
    equal, right, total = 0, 0, 0
    for one, other in zip(truth.trajectory.observations, read.trajectory.observations, strict=False):
        a, b = normalise_whitespace(one.text or ""), normalise_whitespace(other.text or "")
        blocks = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
        equal += a == b
        right += sum(block.size for block in blocks)
        total += max(len(a), len(b))
    return exact, equal, right / total
