"""Reads transcripts: what a game printed and, on lines that start with ``>``, what was typed.

Two forms: plain transcripts, as interpreters and players keep them, and plays at Python's prompt
(``>>> get(lamp)``), as the ``adventure`` package ships them. Neither has a clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lookalike.core.errors import RecordingError
from lookalike.core.ids import hash_bytes
from lookalike.core.types import Demonstration, Observation, PlayerKind, Provenance, Trajectory
from lookalike.recordings.commands import clean_text_lines, parse_prompt_line
from lookalike.recordings.files import demonstration_id, read_bytes
from lookalike.recordings.text_safety import MAX_STEPS, clean_command, clean_observation

READER = "transcript"
_SEED = re.compile(r"adventure\.play\(seed=(\d{1,18})\)")
_INSTRUCTIONS = re.compile(r"WOULD YOU LIKE INSTRUCTIONS\?\s*$")


def read_transcript(
    path: Path,
    *,
    environment: str | None = None,
    licence: str = "unknown",
    player_kind: PlayerKind = "human",
) -> Demonstration:
    """Read a transcript with ``>`` lines, or a play at Python's prompt.

    In a Python-prompt play, the question about instructions and its answer are not part of the play; a
    jump to a saved game is a step whose action is unknown (``None``).

    Raises:
        RecordingError: Missing, empty, not a text, or without a command.
    """
    path = Path(path)
    data = read_bytes(path)
    if b"\x00" in data[:4096]:
        raise _wrong_format(path, "binary data")
    lines = clean_text_lines(data)
    if any(line.startswith(">>>") for line in lines):
        actions, texts, seed = _prompt_play(lines)
    else:
        actions, texts, seed = *_plain(lines), None
    if not actions:
        raise _wrong_format(path, f"{len(lines)} lines, none starts with '>' and a command")
    content_hash = hash_bytes(data)
    return Demonstration(
        id=demonstration_id(READER, content_hash),
        trajectory=Trajectory(
            observations=tuple(Observation(text=text) for text in texts), actions=tuple(actions)
        ),
        player_kind=player_kind,
        provenance=Provenance(path.name, READER, content_hash, licence, f"{len(actions)} commands"),
        environment=environment,
        started_with=seed,
    )


def _plain(lines: Sequence[str]) -> tuple[list[str | None], list[str]]:
    actions: list[str | None] = []
    texts: list[list[str]] = [[]]
    for line in lines:
        if line.startswith(">"):
            command = clean_command(line.lstrip(">"))
            if command and len(actions) < MAX_STEPS:
                actions.append(command)
                texts.append([])
        else:
            texts[-1].append(line)
    return actions, [clean_observation("\n".join(part)) for part in texts]


def _prompt_play(lines: Sequence[str]) -> tuple[list[str | None], list[str], int | None]:
    """Return actions, texts and seed of a play at Python's prompt."""
    actions: list[str | None] = []
    texts: list[list[str]] = [[]]
    seed: int | None = None
    # What Python itself answers, e.g. to an import, is not the game's.
    skipping = False
    for line in lines:
        if not line.startswith(">>>"):
            if not skipping:
                texts[-1].append("" if line == "<BLANKLINE>" else line)
            continue
        if match := _SEED.search(line):
            seed = int(match[1])
        parsed = parse_prompt_line(line[3:])
        starts = "adventure.play" in line
        skipping = parsed.kind in ("other", "save") and not starts
        if starts:
            actions, texts = [], [[]]
        elif (
            parsed.kind == "command" and not actions and parsed.command in ("yes", "no") and _asked(texts[0])
        ):
            texts = [[]]
        elif parsed.kind in ("command", "resume") and len(actions) < MAX_STEPS:
            actions.append(parsed.command or None)
            texts.append([])
    return actions, [clean_observation("\n".join(part)) for part in texts], seed


def _asked(lines: Sequence[str]) -> bool:
    return bool(_INSTRUCTIONS.search("\n".join(lines)))


def _wrong_format(path: Path, got: str) -> RecordingError:
    return RecordingError(
        "This file is not a transcript of a play.",
        got=f"{path.name}: {got}",
        expected="text in which every command stands on a line of its own that starts with '>'",
        remedy="mark the commands with '>', or give a video, an asciicast or a JSONL log",
    )
