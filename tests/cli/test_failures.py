"""Errors leave the process as a short text and an exit code; nothing else does."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner, Result

from lookalike.cli import failures
from lookalike.core.errors import RecordingError


def run(body: Callable[[], object], *words: str) -> Result:
    """Run ``body`` as the one command of an application like ours."""
    app = typer.Typer(cls=failures.GuardedGroup, pretty_exceptions_enable=False)

    @app.callback()
    def root(debug: bool = False) -> None:
        failures.set_debug(debug)

    @app.command("go")
    def go() -> None:
        body()

    return CliRunner().invoke(app, [*words, "go"])


def raising(error: BaseException) -> Callable[[], object]:
    def body() -> None:
        raise error

    return body


def test_our_errors_say_what_got_expected_remedy() -> None:
    error = RecordingError("No text.", got="a black picture", expected="a terminal", remedy="record it again")
    result = run(raising(error))
    assert result.exit_code == 2
    assert result.stdout == ""
    for line in [
        "No text.",
        "got:      a black picture",
        "expected: a terminal",
        "remedy:   record it again",
    ]:
        assert line in result.stderr
    assert "Traceback" not in result.stderr


def test_a_fault_is_one_line_and_names_debug() -> None:
    result = run(raising(RuntimeError("bad\nthings")))
    assert result.exit_code == 1
    assert "RuntimeError: bad" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback() -> None:
    result = run(raising(RuntimeError("bad")), "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_an_interruption_says_what_was_kept() -> None:
    def body() -> None:
        failures.keep("12 finished episodes in runs/x")
        raise KeyboardInterrupt

    result = run(body)
    assert result.exit_code == 130
    assert "Kept: 12 finished episodes in runs/x" in result.stderr
    # What one command kept is not said of the next.
    assert "12 finished" not in run(raising(KeyboardInterrupt())).stderr


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "may not be"),
        (errno.ENOENT, "not what the command needs"),
    ],
)
def test_the_systems_refusals_are_the_users_to_put_right(number: int, says: str) -> None:
    result = run(raising(OSError(number, "no", "some/file")))
    assert result.exit_code == 2
    assert says in result.stderr
    assert "some/file" in result.stderr
    assert "remedy" in result.stderr


def test_escape_sequences_in_an_error_do_not_reach_the_terminal() -> None:
    result = run(raising(RecordingError("Odd.", got="\x1b[2Jgone\x07")))
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr
    assert "gone" in result.stderr


def test_a_deliberate_exit_is_left_alone() -> None:
    result = run(raising(typer.Exit(3)))
    assert result.exit_code == 3
    assert result.stderr == ""
