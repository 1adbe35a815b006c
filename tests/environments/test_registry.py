from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from lookalike.core.errors import GameError, UnknownNameError, UsageError
from lookalike.environments import environment_ids, make_environment, register_environment, registry
from lookalike.testing.environments import TinyEnvironment


@pytest.fixture
def entries(monkeypatch):
    """A copy of the registry, thrown away after the test."""
    environment_ids()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    return registry._entries


def test_the_shipped_games_are_there():
    assert {"colossal-cave", "zork1"} <= set(environment_ids())
    assert not any(id.endswith(":") for id in environment_ids())


def test_registering_and_making(entries):
    register_environment("tiny", TinyEnvironment, description="a corridor")
    register_environment("tiny-by-name", "lookalike.testing.environments:NoisyTinyEnvironment")
    assert "tiny" in environment_ids()
    assert registry.environment_description("tiny") == "a corridor"
    assert make_environment("tiny", isolated=False).id == "tiny"
    environment = make_environment("tiny-by-name")
    assert environment.id == "tiny-noisy"
    environment.close()


def test_duplicates_raise(entries):
    with pytest.raises(UsageError, match="registered already"):
        register_environment("colossal-cave", TinyEnvironment)


@pytest.mark.parametrize("id", ["", "Tiny", "a b", ":", "x:y"])
def test_malformed_ids_raise(entries, id):
    with pytest.raises(UsageError, match="lower-case"):
        register_environment(id, TinyEnvironment)


def test_families_take_what_follows_the_colon(entries):
    class Named(TinyEnvironment):
        def __init__(self, argument: str) -> None:
            super().__init__()
            self.id = f"named:{argument}"

    register_environment("named:", Named)
    assert make_environment("named:a:b", isolated=False).id == "named:a:b"
    with pytest.raises(UnknownNameError):
        make_environment("named:", isolated=False)


@pytest.mark.parametrize(
    ("asked", "near"),
    [("colosal-cave", "colossal-cave"), ("zork", "zork1"), ("zmachin:x.z5", "zmachine:PATH")],
)
def test_unknown_names_suggest_the_nearest(asked, near):
    with pytest.raises(UnknownNameError, match=near):
        make_environment(asked)


def test_a_loader_that_cannot_be_imported(entries):
    register_environment("broken", "no.such.module:Game")
    with pytest.raises(GameError, match="cannot be imported"):
        make_environment("broken", isolated=False)
    with pytest.raises(GameError, match="cannot be imported"):
        make_environment("broken")


def test_other_packages_register_by_entry_point(entries, monkeypatch):
    point = EntryPoint(
        "their-game", "lookalike.testing.environments:TinyEnvironment", registry.ENTRY_POINT_GROUP
    )
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    registry._load_entry_points.cache_clear()
    assert "their-game" in environment_ids()
    assert make_environment("their-game", isolated=False).id == "tiny"


def test_importing_the_room_loads_no_game():
    code = (
        "import sys, lookalike.environments;"
        "print([m for m in ('adventure', 'jericho', 'gymnasium') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
