"""The plays written by people that the environment tests replay, and where they are found."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
CAVE_SEED = 2  # walkthrough2 of the adventure package was played under it
ZORK_SEED = 11  # the walkthrough in jericho reaches 350 points under it on release 119


def cave_play(number: int = 2) -> list[tuple[str, str]]:
    """Return (command, recorded reply) pairs of a walkthrough in the ``adventure`` package.

    The first command is the one after "no" to the instructions; lines of Python are left out.
    """
    text = (resources.files("adventure.tests") / f"walkthrough{number}.txt").read_text()
    pairs: list[tuple[str, str]] = []
    for block in text.split(">>> ")[1:]:
        line, _, reply = block.partition("\n")
        call = re.fullmatch(r"(\w+)\((\w*)\)", line.strip())
        command = " ".join(part for part in call.groups() if part) if call else line.strip()
        if re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)?", command) and not command.startswith("import"):
            pairs.append((command, reply.replace("<BLANKLINE>", "")))
    return pairs[1:]


def zork_play() -> list[str]:
    """Return the 396 commands of the Zork I walkthrough that Jericho carries, or skip the test."""
    game_info = pytest.importorskip("jericho.game_info", reason="jericho is not installed: make zork")
    (play,) = (
        value["walkthrough"].split("/")
        for value in vars(game_info).values()
        if isinstance(value, dict) and value.get("name") == "zork1"
    )
    return list(play)


def need_zork() -> None:
    """Skip the test where Zork I cannot be played."""
    from lookalike.environments.games import list_games

    pytest.importorskip("jericho", reason="jericho is not installed: make zork")
    (status,) = (one for one in list_games() if one.id == "zork1")
    if not status.ready:
        pytest.skip(f"Zork I: {status.detail}")
