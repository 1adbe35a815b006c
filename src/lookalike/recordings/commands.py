"""Command files: the commands of a play without its answers, in the forms people keep them in.

Also the plays that the ``adventure`` package ships for its own tests. They are written for Python's
prompt, where a command of two words is a call: ``>>> get(lamp)``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

from lookalike.core.errors import RecordingError, UsageError
from lookalike.recordings.files import read_bytes
from lookalike.recordings.text_safety import MAX_STEPS, clean_command, clean_text

_SEED = re.compile(r"^>>> adventure\.play\(seed=(\d+)\)", re.MULTILINE)
_SHIPPED_PLAYS = range(1, 5)


class ShippedPlay(NamedTuple):
    """A play shipped with the ``adventure`` package.

    Attributes:
        commands: In order, without the answer to the question about instructions.
        seed: What the game was started with.
        licence: SPDX expression of the package.
    """

    commands: tuple[str, ...]
    seed: int
    licence: str


class PromptLine(NamedTuple):
    """What a line at Python's prompt means for the play.

    Attributes:
        kind: ``command``; ``save`` and ``resume``, which jump in the play; ``other`` is not about the play.
        command: The command in plain words; empty for other kinds.
    """

    kind: str
    command: str = ""


def parse_prompt_line(source: str) -> PromptLine:
    """Return what one line typed at Python's prompt means; nothing is ever evaluated.

    ``xyzzy`` is ``xyzzy``, ``get(lamp)`` is ``get lamp``, ``get.lamp`` likewise. Imports, assignments,
    and calls on objects that are not words of the game are no commands.
    """
    try:
        tree = ast.parse(source.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return PromptLine("other")
    words = _words(tree.body)
    if words is None or words[0] == "savefile":
        return PromptLine("other")
    if words[0] == "adventure":
        return PromptLine("resume") if words[1:2] == ["resume"] else PromptLine("other")
    if words == ["save", "savefile"]:
        return PromptLine("save")
    return PromptLine("command", clean_command(" ".join(words)))


def _words(node: ast.expr) -> list[str] | None:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.Attribute):
        left = _words(node.value)
        return None if left is None else [*left, node.attr]
    if isinstance(node, ast.Call) and len(node.args) <= 1 and not node.keywords:
        left = _words(node.func)
        right = _words(node.args[0]) if node.args else []
        return None if left is None or right is None else [*left, *right]
    return None


def read_commands(path: Path) -> tuple[str, ...]:
    """Read a command file: Python-prompt play, transcript with ``>`` lines, or one command a line.

    In the last form, blank lines and lines that start with ``#`` are skipped. A Python-prompt play's
    commands between a save and the resume that undoes them are left out, so that a replay meets the same
    game; its answer to the question about instructions stays (see :func:`shipped_play`).

    Raises:
        RecordingError: Missing, unreadable, or without a command.
    """
    path = Path(path)
    text = clean_text_lines(read_bytes(path))
    if any(line.startswith(">>>") for line in text):
        commands = _prompt_commands(text)
    elif any(line.startswith(">") for line in text):
        commands = [clean_command(line[1:]) for line in text if line.startswith(">")]
    else:
        commands = [clean_command(line) for line in text if not line.startswith("#")]
    commands = [command for command in commands if command][:MAX_STEPS]
    if not commands:
        raise RecordingError(
            "The command file holds no commands.",
            got=path.name,
            expected="one command a line, a transcript with '>' lines, or a Python-prompt play",
            remedy="write the commands into it, one a line",
        )
    return tuple(commands)


def shipped_play(number: int) -> ShippedPlay:
    """Return a play from the ``adventure`` package: 1 (long, with mistakes and deaths), 2 (350 points), 3, 4.

    Raises:
        UsageError: There is no play of that number.
    """
    path = shipped_play_path(number)
    commands = read_commands(path)
    match = _SEED.search(path.read_text(encoding="utf-8"))
    if match is None or commands[0] not in ("no", "yes"):
        raise RecordingError(
            "The play shipped with the adventure package is not as expected.",
            got=f"{path.name}: first command {commands[0]!r}",
            expected="adventure.play(seed=N) and an answer to its question",
            remedy="install adventure 1.7",
        )
    return ShippedPlay(commands[1:], int(match[1]), "Apache-2.0")


def shipped_play_path(number: int) -> Path:
    """Return where the ``adventure`` package keeps play ``number``."""
    if number not in _SHIPPED_PLAYS:
        raise UsageError(
            f"The adventure package ships no play {number!r}.",
            got=number,
            expected="1, 2, 3 or 4",
            remedy="choose one of these",
        )
    import adventure

    return Path(adventure.__file__).parent / "tests" / f"walkthrough{number}.txt"


def clean_text_lines(data: bytes) -> list[str]:
    """Return the lines of a text file, cleaned one by one; a byte-order mark is dropped."""
    text = data.decode("utf-8-sig", "replace")
    return [clean_text(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def _prompt_commands(lines: list[str]) -> list[str]:
    commands: list[str] = []
    saved_at: int | None = None
    for line in lines:
        if not line.startswith(">>>"):
            continue
        parsed = parse_prompt_line(line[3:])
        if parsed.kind == "command":
            commands.append(parsed.command)
        elif parsed.kind == "save":
            saved_at = len(commands)
        elif parsed.kind == "resume" and saved_at is not None:
            del commands[saved_at:]
    return commands
