"""docs/cli.md lists every command and every option, and says what they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.cli import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
COMMANDS = list(reference.commands())


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.render(), "run `make docs`"


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[words for words, _ in COMMANDS])
def test_every_command_and_option_is_explained(words: str, command: object) -> None:
    assert command.help, f"{words} has no help"
    for parameter in command.params:
        assert parameter.help, f"{words}: {parameter.name} has no help"


def test_drift_is_reported_with_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "cli.md"
    assert reference.main(["--write", str(page)]) == 0
    assert reference.main(["--check", str(page)]) == 0
    page.write_text(page.read_text(encoding="utf-8").replace("--seeds", "--seed-list"), encoding="utf-8")
    assert reference.main(["--check", str(page)]) == 1
    errors = capsys.readouterr().err
    assert "--seed-list" in errors
    assert "make docs" in errors


def test_wrong_use_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main([]) == 2
    assert "usage" in capsys.readouterr().err
