"""Locations: what is meant, what cannot be meant, and that a password is in no message."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path

import pytest

from lookalike.core.errors import StoreError
from lookalike.store import open_log
from lookalike.store.location import Server, is_url, read_location, shown

SECRET = "s3cret-Pa55"


def test_a_url_is_taken_apart():
    server = read_location(f"postgresql://ann:{SECRET}@db.example:6543/games")
    assert server == Server("db.example", 6543, "games", "ann", SECRET)
    assert server.shown == "postgresql://ann@db.example:6543/games"
    assert SECRET not in repr(server)
    assert SECRET not in server.shown


def test_what_is_left_out_has_its_usual_value(monkeypatch):
    monkeypatch.setenv("PGUSER", "ben")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    server = read_location("postgres://localhost/games")
    assert (server.port, server.user, server.password, server.schema) == (5432, "ben", SECRET, "lookalike")
    monkeypatch.delenv("PGPASSWORD")
    assert read_location("postgresql://ann@[::1]:7/games?sslmode=require") == Server(
        "::1", 7, "games", "ann", None, encryption="require"
    )
    assert shown("postgresql://ann@[::1]:7/games") == "postgresql://ann@[::1]:7/games"


def test_special_characters_are_percent_encoded():
    server = read_location("postgresql://a%40b:p%2Fw%40d@h/games%20x?schema=mine_2")
    assert (server.user, server.password, server.database) == ("a@b", "p/w@d", "games x")
    assert server.shown.endswith("?schema=mine_2")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"mysql://ann:{SECRET}@h/games", "'mysql' is not known"),
        (f"postgresql+psycopg2://ann:{SECRET}@h/games", "not known"),
        (f"postgresql://ann:{SECRET}@h", "names no database"),
        (f"postgresql://ann:{SECRET}@h/", "names no database"),
        (f"postgresql://ann:{SECRET}@h/a/b", "a part too many"),
        (f"postgresql://ann:{SECRET}@h:port/games", "no port"),
        (f"postgresql://ann:{SECRET}@h:99999/games", "no port"),
        (f"postgresql://ann:12{SECRET}/34@h/games", "no port"),
        (f"postgresql:/ann:{SECRET}@h/games", "too many"),
        (f"postgresql://ann:{SECRET}@h/games?password={SECRET}", "'password' is not known"),
        (f"postgresql://ann:{SECRET}@h/games?schema=x;DROP", "schema"),
        (f"postgresql://ann:{SECRET}@h/games?sslmode=maybe", "sslmode is one of"),
        (f"postgresql://[ann:{SECRET}@h/games", "no port or host"),
    ],
)
def test_a_malformed_url_says_the_form_and_never_the_password(url, why):
    with pytest.raises(StoreError, match="no location of a store") as caught:
        open_log(url)
    assert why in str(caught.value)
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in caught.value.expected
    text = "".join(traceback.format_exception(caught.value)) + repr(pickle.dumps(caught.value)) + shown(url)
    assert SECRET not in "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("url"))


def test_a_path_is_a_path(tmp_path):
    assert read_location(tmp_path / "a.sqlite") == tmp_path / "a.sqlite"
    assert read_location(str(tmp_path)) == tmp_path / "events.sqlite"
    assert read_location(tmp_path, file_name="responses.sqlite") == tmp_path / "responses.sqlite"
    assert read_location("~/runs/x.sqlite") == Path.home() / "runs" / "x.sqlite"
    assert not is_url("C:/runs/x.sqlite")
    assert not is_url("runs/a:b/x.sqlite")
    assert shown(tmp_path) == str(tmp_path)
