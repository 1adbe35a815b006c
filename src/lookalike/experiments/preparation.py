"""From a human play to a reward model: record it as a video, read the video, let the expert watch.

The pipeline gets the video and nothing else: the log that the recorder writes beside it is only compared
with what was read, to say how many commands were recovered exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lookalike.core.errors import GameError, UsageError
from lookalike.core.types import Demonstration
from lookalike.environments import make_environment
from lookalike.experts import make_expert
from lookalike.recordings import read_recording, record_replay, shipped_play, write_jsonl
from lookalike.rewards import RewardModel, save_reward_model

Advance = Callable[[float, float | None, str], None]
ZORK_WALKTHROUGH_SEED = 11
"""Our seed under which Jericho's Zork I walkthrough wins on release 119 (Jericho's own seed 12)."""


@dataclass(frozen=True)
class Watched:
    """A recording that was made, read and watched.

    Attributes:
        video: The recording.
        demonstration: What was read off the video.
        reward_model: What the expert wrote.
        path: Where the reward model lies.
        seed: Seed of the recorded play.
        commands: Commands typed in the recording.
        recovered: How many of them were read exactly.
    """

    video: Path
    demonstration: Demonstration
    reward_model: RewardModel
    path: Path
    seed: int
    commands: int
    recovered: int


@dataclass(frozen=True)
class HumanPlay:
    """A play that somebody wrote down.

    Attributes:
        commands: What was typed.
        seed: Seed it was made for.
        licence: SPDX expression.
    """

    commands: tuple[str, ...]
    seed: int
    licence: str


def human_play(source: str) -> HumanPlay:
    """Return the human-written play behind ``adventure:N`` or ``jericho:zork1``.

    Raises:
        UsageError: The source is neither.
        GameError: Jericho is not installed.
    """
    kind, _, which = source.partition(":")
    if kind == "adventure" and which.isdigit():
        play = shipped_play(int(which))
        return HumanPlay(tuple(play.commands), play.seed, play.licence)
    if source == "jericho:zork1":
        try:
            from jericho import game_info
        except ImportError:
            raise GameError(
                "Jericho, which ships the Zork I walkthrough, is not installed.", remedy="Run `make zork`."
            ) from None
        commands = tuple(c.strip().lower() for c in game_info.zork1["walkthrough"].split("/") if c.strip())
        return HumanPlay(commands, ZORK_WALKTHROUGH_SEED, "GPL-2.0-or-later")
    raise UsageError(
        "Unknown recording.", got=repr(source), expected="adventure:1 to adventure:4, or jericho:zork1"
    )


def watch_play(
    source: str, *, environment: str, folder: Path, progress: Advance | None = None, reuse: bool = True
) -> Watched:
    """Record a human-written play as a video, read the video back, and write the reward model.

    Args:
        source: ``adventure:N`` or ``jericho:zork1``.
        environment: Environment id.
        folder: Where ``recording.mp4``, ``demonstration.jsonl`` and ``reward-model.yaml`` go.
        progress: Called with done, total and what is going on.
        reuse: Take a video and a demonstration that lie there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    play = human_play(source)
    video = folder / "recording.mp4"

    def report(note: str) -> Callable[[float], None]:
        return lambda fraction: progress(fraction, 1.0, note) if progress is not None else None

    if not (reuse and video.exists()):
        game = make_environment(environment)
        try:
            record_replay(
                game,
                play.commands,
                seed=play.seed,
                out=video,
                licence=play.licence,
                player_kind="human",
                progress=report("drawing the recording"),
            )
        finally:
            game.close()
    read = folder / "demonstration.jsonl"
    if not (reuse and read.exists() and read.stat().st_mtime >= video.stat().st_mtime):
        demonstration = read_recording(
            video,
            environment=environment,
            licence=play.licence,
            player_kind="human",
            progress=report("reading the video"),
        )
        write_jsonl(demonstration, read)
    demonstration = read_recording(read)
    model = make_expert("embedded-text").watch([demonstration], environment=environment)
    path = folder / "reward-model.yaml"
    save_reward_model(model, path)
    found = demonstration.trajectory.actions
    typed = play.commands[: len(found)] if len(found) <= len(play.commands) else play.commands
    return Watched(video, demonstration, model, path, play.seed, len(typed), exact_commands(typed, found))


def exact_commands(typed: tuple[str, ...], found: tuple[str | None, ...]) -> int:
    """Return how many typed commands were recovered exactly, in order (longest common subsequence)."""
    from difflib import SequenceMatcher

    read = [command or "" for command in found]
    return sum(
        block.size for block in SequenceMatcher(None, list(typed), read, autojunk=False).get_matching_blocks()
    )
