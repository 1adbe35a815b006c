"""From a human play to a reward model: record it as a video, read the video, let the expert watch.

The pipeline gets the video and nothing else: the log that the recorder writes beside it is only compared
with what was read, to say how many commands were recovered exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.core.errors import GameError, UsageError
from lookalike.core.types import Demonstration
from lookalike.environments import make_environment
from lookalike.experts import make_expert
from lookalike.recordings import read_recording, read_recordings, record_replay, shipped_play, write_jsonl
from lookalike.rewards import RewardModel, save_reward_model

Advance = Callable[[float, float | None, str], None]
_SHIPPED_PLAYS = ("adventure:", "jericho:")
ZORK_WALKTHROUGH_SEED = 11
"""Our seed under which Jericho's Zork I walkthrough wins on release 119 (Jericho's own seed 12)."""


@dataclass(frozen=True)
class Watched:
    """Recordings that were read and watched.

    Attributes:
        video: The first recording.
        demonstrations: What was read.
        reward_model: What the expert wrote.
        path: Where the reward model lies.
        seeds: Seeds of the recorded plays, as far as they are known.
        commands: Commands typed in the recording; ``None`` where nobody but the recording knows.
        recovered: How many of them were read exactly.
    """

    video: Path
    demonstrations: tuple[Demonstration, ...]
    reward_model: RewardModel
    path: Path
    seeds: tuple[int, ...]
    commands: int | None = None
    recovered: int | None = None

    @property
    def demonstration(self) -> Demonstration:
        """The first one: what is replayed, and what plans are compared with."""
        return self.demonstrations[0]

    def note(self) -> str:
        """Say in a sentence what the expert saw."""
        count = sum(len(demonstration.trajectory) for demonstration in self.demonstrations)
        if self.commands is not None:
            return (
                f"The expert saw one recording of {count} commands, read off a video: {self.recovered} of "
                f"{self.commands} commands were recovered exactly."
            )
        named = ", ".join(d.provenance.file for d in self.demonstrations[:5])
        more = ", …" if len(self.demonstrations) > 5 else ""
        kinds = ", ".join(sorted({d.player_kind for d in self.demonstrations}))
        seen = f"{len(self.demonstrations)} recording(s) ({kinds})"
        return f"The expert saw {seen} of {count} steps: {named}{more}."


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


def is_shipped_play(source: str) -> bool:
    """Return whether a recording's name is that of a play that comes with a game, and not a file's."""
    return source.startswith(_SHIPPED_PLAYS)


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
    return Watched(
        video, (demonstration,), model, path, (play.seed,), len(typed), exact_commands(typed, found)
    )


def watch_files(
    recordings: Sequence[Path],
    *,
    named: Sequence[Mapping[str, str]],
    environment: str,
    folder: Path,
    progress: Advance | None = None,
) -> Watched:
    """Read recordings that are there, and write the reward model.

    Args:
        recordings: Files or datasets. Empty for a run that goes on: what was read is in the folder.
        named: Their names and content hashes: those that the folder has are not read again.
        environment: Environment id.
        folder: Where ``demonstration-N.jsonl`` and ``reward-model.yaml`` go.
        progress: Called with done, total and what is going on.

    Raises:
        UsageError: Nothing was read, and there is nothing to read.
        RecordingError: A recording cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "recordings.json"
    asked = json.dumps([dict(entry) for entry in named])
    if recordings and not (kept.exists() and kept.read_text(encoding="utf-8") == asked):
        read: list[Demonstration] = []
        for number, path in enumerate(recordings):

            def report(fraction: float, done: float = number, name: str = path.name) -> None:
                if progress is not None:
                    progress(done + fraction, float(len(recordings)), f"reading {name}")

            read.extend(read_recordings(path, environment=environment, progress=report))
        for old in folder.glob("demonstration-*.jsonl"):
            old.unlink()
        for number, demonstration in enumerate(read):
            write_jsonl(demonstration, folder / f"demonstration-{number}.jsonl")
        kept.write_text(asked, encoding="utf-8")  # last: what a kill left half is read again
    read = _read_before(folder)  # always as a run that goes on will read it
    if not read:
        raise UsageError(
            "There is no recording to watch.",
            got=str(folder),
            remedy="name one under `recordings` in the experiment's file (docs/experiments.md)",
        )
    model = make_expert("embedded-text").watch(read, environment=environment)
    path = folder / "reward-model.yaml"
    save_reward_model(model, path)
    first = recordings[0] if recordings else folder / "demonstration-0.jsonl"
    return Watched(
        first, tuple(read), model, path, tuple(d.started_with for d in read if d.started_with is not None)
    )


def _read_before(folder: Path) -> list[Demonstration]:
    """Return what a run that was begun in this folder had read."""
    files = sorted(folder.glob("demonstration-*.jsonl"), key=lambda p: int(p.stem.rpartition("-")[2]))
    return [read_recording(file) for file in files]


def exact_commands(typed: tuple[str, ...], found: tuple[str | None, ...]) -> int:
    """Return how many typed commands were recovered exactly, in order (longest common subsequence)."""
    from difflib import SequenceMatcher

    read = [command or "" for command in found]
    return sum(
        block.size for block in SequenceMatcher(None, list(typed), read, autojunk=False).get_matching_blocks()
    )
