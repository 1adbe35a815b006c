"""Writes docs/cli.md from the commands themselves, and checks that the page has not drifted.

``python -m lookalike.cli.reference --write docs/cli.md`` after a command changed; ``--check`` in CI.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = """# Commands

This page is written from the commands themselves by `make docs`; CI fails when the two differ.

Every command that lists something takes `--json`. Results go to stdout, messages and progress to
stderr. Exit codes: 0 done, 1 a fault of LookALike, 2 something you can put right (the text says what
was got, what was expected and what to do), 130 interrupted (the text says what was kept).

"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command as (its words, the click command), groups left out, in the order of help."""
    import typer

    from lookalike.cli.app import app

    def walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if children is None:
            yield words, command
            return
        for name, child in children.items():
            yield from walk(f"{words} {name}", child)

    yield from walk("lookalike", typer.main.get_command(app))


def root_options() -> list[Any]:
    """Return the options that stand before the command's name."""
    import typer

    from lookalike.cli.app import app

    return list(typer.main.get_command(app).params)


def render() -> str:
    """Return the page's text."""
    parts = [HEAD, "## Before the command's name\n\n", _parameters(root_options())]
    for words, command in commands():
        parts.append(f"\n## {words}\n\n{inspect.cleandoc(command.help or '')}\n\n")
        arguments = " ".join(_argument(p) for p in command.params if _is_argument(p))
        options = " [OPTIONS]" if any(not _is_argument(p) for p in command.params) else ""
        parts.append(f"    {words}{' ' + arguments if arguments else ''}{options}\n")
        table = _parameters(command.params)
        if table:
            parts.append(f"\n{table}")
    return "".join(parts)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper()
    name = f"{name}..." if parameter.nargs == -1 else name
    return name if parameter.required else f"[{name}]"


def _parameters(parameters: list[Any]) -> str:
    lines = []
    for parameter in parameters:
        if getattr(parameter, "hidden", False) or parameter.name == "help":
            continue
        if _is_argument(parameter):
            name = f"`{_argument(parameter)}`"
        else:
            spellings = [*parameter.opts, *parameter.secondary_opts]
            value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
            name = ", ".join(f"`{spelling}{value}`" for spelling in spellings)
        lines.append(f"- {name}: {(parameter.help or '').strip()}{_default(parameter)}\n")
    return "".join(lines)


def _default(parameter: Any) -> str:
    if parameter.required:
        return " (needed)"
    if parameter.default in (None, False, (), []) or callable(parameter.default):
        return ""
    return f" (default: `{parameter.default}`)"


def main(argv: list[str]) -> int:
    """Write or check the page; return the exit code."""
    if len(argv) != 2 or argv[0] not in {"--write", "--check"}:
        print("usage: python -m lookalike.cli.reference --write|--check docs/cli.md", file=sys.stderr)
        return 2
    page, text = Path(argv[1]), render()
    if argv[0] == "--write":
        page.write_text(text, encoding="utf-8")
        return 0
    found = page.read_text(encoding="utf-8") if page.exists() else ""
    if found == text:
        return 0
    difference = difflib.unified_diff(
        found.splitlines(), text.splitlines(), str(page), "the commands", lineterm="", n=1
    )
    print("\n".join(difference), file=sys.stderr)
    print("docs/cli.md and the commands differ: run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
