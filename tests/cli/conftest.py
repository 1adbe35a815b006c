"""How the command tests call a command."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

Call = Callable[..., Result]


@pytest.fixture
def call() -> Call:
    """Return a function that runs ``lookalike ARGS...`` in this process."""
    from lookalike.cli.app import app

    def run(*words: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], input=stdin, prog_name="lookalike")

    return run
