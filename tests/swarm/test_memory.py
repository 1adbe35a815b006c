"""What the swarm remembers, and to whom it tells it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.swarm.memory import Entry, SwarmMemory, state_key

HALL = "You are in a splendid hall thirty feet high with walls of frozen orange stone."
NEARLY = "You are in a splendid hall thirty feet high with walls of frozen yellow stone."
ROAD = "You are standing at the end of a road before a small brick building."


def entry(
    action: str, reward: float | None = None, *members: str, at: str = HALL, outcome: str = "OK", of: str = ""
) -> Entry:
    return Entry(at, action, reward, outcome, members or ("a",), of or f"{action} by {'+'.join(members)}")


def memory(*entries: Entry, shared: bool = True) -> SwarmMemory:
    found = SwarmMemory(shared=shared)
    for one in entries:
        found.remember(one)
    return found


def recalled(found: SwarmMemory, at: str = HALL, **options: object) -> list[tuple[str, float | None]]:
    return [(r.action, r.reward) for r in found.recall(at, **options)]


def test_an_empty_memory_recalls_nothing() -> None:
    found = SwarmMemory()
    assert len(found) == 0
    assert found.recall(HALL) == ()
    assert found.recall("") == ()
    assert found.value(HALL, "n") is None


def test_the_same_state_is_recalled_whatever_the_wrapping() -> None:
    found = memory(entry("n", 0.5))
    (one,) = found.recall(HALL.upper().replace(" WALLS", "\nWALLS"))
    assert (one.action, one.reward, one.outcome, one.source, one.score) == ("n", 0.5, "OK", "member", 1.0)
    assert one.observation == HALL
    assert state_key(HALL) == state_key(HALL.upper().replace(" WALLS", "\nWALLS"))


def test_best_last_and_worst_before_it() -> None:
    found = memory(entry("n", 0.2), entry("s", -0.5), entry("e", 0.9), entry("w", -0.1))
    assert recalled(found) == [("s", -0.5), ("e", 0.9)]
    assert recalled(found, limit=1) == [("e", 0.9)]


def test_the_worst_is_told_only_where_it_was_punished() -> None:
    assert recalled(memory(entry("n", 0.2), entry("s", 0.0))) == [("n", 0.2)]
    assert recalled(memory(entry("n", -0.2))) == [("n", -0.2)]


def test_the_newest_outcome_of_an_action_counts() -> None:
    found = memory(entry("n", 0.9, outcome="first"), entry("n", -0.3, outcome="second"), entry("s", 0.1))
    assert recalled(found) == [("n", -0.3), ("s", 0.1)]
    assert len(found) == 3


def test_the_value_of_an_action_is_its_mean() -> None:
    found = memory(entry("n", 0.5), entry("n", -0.1), entry("n", None), entry("s", None))
    assert found.value(HALL, "n") == pytest.approx(0.2)
    assert found.value(HALL, "s") is None
    assert found.value(HALL, "e") is None
    assert found.value(NEARLY, "n") is None


def test_similar_states_fill_the_room_that_is_left() -> None:
    found = memory(entry("n", 0.5, at=NEARLY), entry("s", 0.2), entry("e", 0.9, at=ROAD))
    first, second = found.recall(HALL, limit=3)
    assert (first.action, second.action) == ("n", "s")  # the most relevant last
    assert 0.5 <= first.score < second.score == 1
    assert recalled(found, limit=1) == [("s", 0.2)]


def test_similar_states_are_recalled_only_where_they_were_rewarded() -> None:
    found = memory(entry("n", -0.5, at=NEARLY), entry("s", 0.0, at=NEARLY), entry("w", None, at=NEARLY))
    assert recalled(found) == []


def test_the_most_similar_stands_nearest() -> None:
    other = HALL.replace("frozen orange stone", "mossy yellow brick")
    found = memory(entry("far", 0.9, at=other), entry("near", 0.1, at=NEARLY))
    assert recalled(found) == [("far", 0.9), ("near", 0.1)]
    assert recalled(found, limit=1) == [("near", 0.1)]


def test_provenance_says_where_it_comes_from() -> None:
    (one,) = memory(entry("n", 0.1, "a", "b", of="step 12 by a+b")).recall(HALL)
    assert one.provenance == "step 12 by a+b"


def test_private_memory_is_told_to_who_proposed_it() -> None:
    entries = (entry("n", 0.9, "a"), entry("s", 0.5, "b"), entry("e", 0.1, "a", "b"))
    private, shared = memory(*entries, shared=False), memory(*entries)
    assert recalled(private, member="a") == [("n", 0.9)]
    assert recalled(private, member="b") == [("s", 0.5)]
    assert recalled(private, member="c") == []
    assert (private.value(HALL, "n", member="a"), private.value(HALL, "n", member="b")) == (0.9, None)
    assert private.value(HALL, "e", member="b") == 0.1
    for member in ("a", "b", "c"):
        assert recalled(shared, member=member) == [("n", 0.9)]
        assert shared.value(HALL, "n", member=member) == 0.9


def test_private_memory_of_similar_states_is_private_too() -> None:
    found = memory(entry("n", 0.9, "a", at=NEARLY), shared=False)
    assert recalled(found, member="a") == [("n", 0.9)]
    assert recalled(found, member="b") == []


def test_a_limit_of_nothing_recalls_nothing() -> None:
    assert memory(entry("n", 0.5), entry("s", -0.5)).recall(HALL, limit=0) == ()


def test_equal_memories_recall_equally() -> None:
    entries = [
        entry(a, r, at=f"{HALL} {i}") for i, (a, r) in enumerate([("n", 0.5), ("s", 0.5), ("e", 0.5)] * 20)
    ]
    assert memory(*entries).recall(HALL) == memory(*entries).recall(HALL)


PLACES = st.sampled_from([HALL, NEARLY, ROAD, ""])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(PLACES, st.sampled_from("nse"), st.floats(-1, 1)), max_size=12),
    st.text(max_size=60),
    st.integers(1, 4),
)
def test_any_memory_can_be_asked(steps, text, limit) -> None:
    found = memory(*(entry(action, reward, at=at) for at, action, reward in steps))
    for at in (HALL, ROAD, "", text):
        told = found.recall(at, limit=limit)
        assert len(told) <= limit
        assert all(0.5 <= r.score <= 1 for r in told)
        assert len({(r.observation, r.action) for r in told}) == len(told)
