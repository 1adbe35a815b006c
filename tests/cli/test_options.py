"""How seeds and lists of names are understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.cli.options import MAX_SEEDS, parse_seed, parse_seeds, split_names
from lookalike.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", (7,)),
        ("0", (0,)),
        ("100-103", (100, 101, 102, 103)),
        ("5-5", (5,)),
        ("1,5,9", (1, 5, 9)),
        (" 3 , 10 - 12 ", (3, 10, 11, 12)),
    ],
)
def test_seeds_are_understood(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "x", "1.5", "-3", "1-", "1--2", "1-2-3", "1,,2", "9-3", "1,1", "1-3,2", "²", "1e3"]
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_seeds(text)
    assert caught.value.expected


def test_a_slip_of_the_keyboard_does_not_fill_the_memory() -> None:
    with pytest.raises(UsageError, match="too many"):
        parse_seeds("0-99999999999")
    assert len(parse_seeds(f"1-{MAX_SEEDS}")) == MAX_SEEDS


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20, unique=True))
def test_what_is_written_is_read_back(seeds: list[int]) -> None:
    assert parse_seeds(",".join(map(str, seeds))) == tuple(seeds)


def test_one_seed() -> None:
    assert parse_seed("0") == 0
    with pytest.raises(UsageError):
        parse_seed("seven")


def test_names() -> None:
    assert split_names("lamp, keys,") == ("lamp", "keys")
    assert split_names(None) is None
    assert split_names(" ,") is None
