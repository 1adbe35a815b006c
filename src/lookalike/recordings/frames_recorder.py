"""Records play on the screen: a video of the frames and, beside it, every action (VPT style).

``x.mp4`` holds one picture a step, starting with the one before the first action; ``x.jsonl`` holds one line
an action. The log's first line is a header that says what was played, from which level, and by whom.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from lookalike.core.errors import CapabilityError, UsageError
from lookalike.core.protocols import Environment
from lookalike.core.types import Frame, Observation
from lookalike.recordings.files import atomic_text
from lookalike.recordings.text_safety import MAX_STEPS, clean_command
from lookalike.recordings.video_writer import VideoWriter

ACTIONS_FORMAT = "lookalike-frame-actions"
ACTIONS_VERSION = 1
DEFAULT_FPS = 15
_SMALLEST_VIDEO = 128
"""Encoders smear what is smaller: frames are enlarged by a whole number until they are this large."""

Policy = Callable[[Observation, tuple[str, ...]], str | None]
"""Chooses an action by what is seen and what is admissible; ``None`` ends the recording."""


class RecordedFrames(NamedTuple):
    """What a recording left behind.

    Attributes:
        video: The mp4 or webm: one picture more than there are actions.
        log: The actions beside it.
        steps: Actions played.
        score: The environment's score at the end, in points; ``None`` where it has none.
        outcome: How it ended, in a few words.
    """

    video: Path
    log: Path
    steps: int
    score: float | None
    outcome: str


def record_frames(
    environment: Environment,
    actions: Sequence[str] | Policy,
    *,
    seed: int,
    out: Path,
    licence: str,
    player_kind: Literal["human", "scripted"] = "scripted",
    max_steps: int = 10_000,
    fps: int = DEFAULT_FPS,
    note: str = "",
    levels: Sequence[tuple[int, int]] = (),
    progress: Callable[[float], None] | None = None,
) -> RecordedFrames:
    """Play in an environment that shows frames, and record it as video and actions.

    Args:
        environment: Reset here with ``seed``; not closed.
        actions: Played in order until they end or the game does; or a policy, asked at every step.
        seed: The environment's seed, or level.
        out: The video, ``.mp4`` or ``.webm``; the log gets the same name with ``.jsonl``.
        licence: SPDX expression of the play.
        player_kind: ``human`` only where a person chose the actions.
        max_steps: Steps after which the recording ends.
        fps: Pictures per second, 1 to 60; times in the recording follow from it, never from the clock.
        note: How the play was made, for whoever reads the log.
        levels: Where several levels are played one after the other: each one's seed, and its first picture.
        progress: Called with the finished fraction, 0 to 1.

    Raises:
        CapabilityError: The environment shows no frames.
        RecordingError: The files cannot be written.
        UsageError: Nothing to play, a wrong frame rate, or a file name that is no video's.
    """
    out = _checked(environment, out, fps, max_steps)
    observation = environment.reset(seed=seed)
    choose = actions if callable(actions) else _replay(actions)
    offers = "admissible_actions" in environment.capabilities
    lines: list[dict[str, object]] = []
    total = len(actions) if not callable(actions) else max_steps
    terminated = truncated = False
    picture = _picture(observation)
    scale = max(1, -(-_SMALLEST_VIDEO // min(picture.shape[:2])))
    height, width = (even(side * scale) for side in picture.shape[:2])
    with VideoWriter(out, width=width, height=height, fps=fps) as video:
        video.add(enlarged(picture, scale))
        while len(lines) < max_steps and not terminated and not truncated:
            action = choose(observation, environment.admissible_actions() if offers else ())
            if action is None:
                break
            result = environment.step(action)
            observation, terminated, truncated = result.observation, result.terminated, result.truncated
            video.add(enlarged(_picture(observation), scale))
            lines.append({"step": len(lines), "action": clean_command(action), "reward": result.env_reward})
            if progress is not None and len(lines) % 100 == 0:
                progress(min(1.0, len(lines) / total))
        if not lines:
            raise UsageError("There is nothing to record.", got="no actions", expected="at least one action")
    score, outcome = _outcome(environment, terminated=terminated, truncated=truncated)
    header = {
        "format": ACTIONS_FORMAT,
        "version": ACTIONS_VERSION,
        "environment": environment.id,
        "seed": seed,
        "player_kind": player_kind,
        "licence": licence,
        "fps": fps,
        "frame": [int(side) for side in picture.shape[:2]],
        "outcome": outcome,
        "note": note,
        **({"levels": [list(level) for level in levels]} if levels else {}),
    }
    log = out.with_suffix(".jsonl")
    atomic_text(log, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [header, *lines]))
    if progress is not None:
        progress(1.0)
    return RecordedFrames(out, log, len(lines), score, outcome)


def enlarged(picture: Frame, scale: int) -> Frame:
    """Return the picture with every pixel repeated ``scale`` times each way, cut to even sides."""
    large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    return large[: even(large.shape[0]), : even(large.shape[1])]


def even(side: int) -> int:
    """Return the side without its last pixel where it is odd: encoders halve the colours' resolution."""
    return side - side % 2


def _checked(environment: Environment, out: Path, fps: int, max_steps: int) -> Path:
    out = Path(out)
    if "frames" not in environment.capabilities:
        raise CapabilityError(
            f"{environment.id} shows no frames, so there is nothing to film.",
            got=f"capabilities {', '.join(sorted(environment.capabilities))}",
            expected="frames",
            remedy="Record it as text: record_replay or record_person.",
        )
    if out.suffix.lower() not in (".mp4", ".webm"):
        raise UsageError(
            "A recording is a video.",
            got=out.name,
            expected="a name that ends in .mp4 or .webm",
            remedy="choose another file name",
        )
    if not 1 <= fps <= 60:
        raise UsageError("This frame rate cannot be drawn.", got=fps, expected="1 to 60 frames per second")
    if not 1 <= max_steps <= MAX_STEPS:
        raise UsageError("A recording has steps.", got=max_steps, expected=f"1 to {MAX_STEPS}")
    return out


def _replay(actions: Sequence[str]) -> Policy:
    left = iter(actions)
    return lambda *_: next(left, None)


def _picture(observation: Observation) -> Frame:
    if observation.frame is None:
        raise CapabilityError(
            "An environment that declares frames showed none.", remedy="Fix the environment."
        )
    return np.ascontiguousarray(observation.frame)


def _outcome(environment: Environment, *, terminated: bool, truncated: bool) -> tuple[float | None, str]:
    facts = environment.facts()
    score = float(facts["score"]) if "score" in environment.capabilities else None
    parts = [] if score is None else [f"{score:g} points"]
    if facts.get("level_complete"):
        parts.append("level complete")
    elif terminated:
        parts.append("game over")
    elif truncated:
        parts.append("out of time")
    return score, ", ".join(parts) or "stopped"
