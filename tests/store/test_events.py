"""Events: what is canonical, what is not, and reading what other versions wrote."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lookalike.core.errors import StoreError
from lookalike.core.types import (
    Decision,
    Observation,
    Outcome,
    Proposal,
    Recollection,
    Role,
    Transition,
    Usage,
    Verdict,
)
from lookalike.store import codec
from lookalike.store.codec import CURRENT_VERSIONS, canonical_bytes, parse_event
from lookalike.store.events import (
    EnvironmentRestarted,
    EpisodeFailed,
    EpisodeFinished,
    EpisodeKey,
    EpisodePaused,
    EpisodeStarted,
    Measured,
    RunFinished,
    RunStarted,
    StepTaken,
    UsageRecord,
    ends_episode,
    episode_of,
    is_incident,
    usage_of,
)

KEY = EpisodeKey(condition="swarm+expert", goal="lamp", seed=7)


def step(**changes):
    arguments = {
        "proposals": [
            Proposal(Role("t0.2", 0.2), "get lamp", 0.9, usage=Usage(1, 100, 3, 40, 0, 0.5)),
            Proposal(Role("t1.4", 1.4), None, None, usage=Usage(1, 100, 16, 16, 1, 0.25), reply="I would"),
        ],
        "decision": Decision("get lamp", "majority", {"look": 0.5, "get lamp": 1.0}, ("t1.4",), "first role"),
        "verdict": Verdict(0.5, {"milestone:lamp": 0.25, "rule:get": 0.25}, "The lamp matters."),
        "proposal_verdicts": [Verdict(0.5), None],
        "recollections": [
            Recollection("a room", "get lamp", 0.5, "Taken.", "member", "t0.2@3/episode 1", 0.75)
        ],
        "score": 30.0,
    } | changes
    transition = Transition(Observation("a room"), "get lamp", Observation("Taken."), 5.0)
    return StepTaken.of(KEY, 3, transition, **arguments)


ALL = [
    RunStarted(run_id="r", spec_hash="0" * 64, configuration={"b": 1, "a": [0.5, None]}, package_version="1"),
    EpisodeStarted(
        episode=KEY,
        environment_seed=5,
        first_observation="You are at the end of a road.",
        first_frame="a" * 64,
    ),
    step(),
    EnvironmentRestarted(episode=KEY, step=3, failure="no answer within 5 s", replayed=3),
    EpisodePaused(episode=KEY, step=4, reason="calls: 100 of 100"),
    EpisodeFinished.of(
        KEY,
        Outcome(True, 3, 30.0, False, False),
        interactions=3,
        usage=Usage(3, 4, 5, 6, 7, 8.0),
        rewards=[0.5, -0.5],
        seconds=2.0,
    ),
    EpisodeFailed(episode=KEY, failure="the worker died", will_retry=True),
    RunFinished(status="stopped", reason="Ctrl-C"),
]


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.kind)
def test_an_event_survives_being_written_and_read(event):
    body = canonical_bytes(event)
    assert parse_event(body, event.measured.model_dump_json().encode()) == event
    assert json.loads(body)["kind"] == event.kind
    assert canonical_bytes(parse_event(body)) == body


def test_every_kind_of_event_is_in_the_table_of_versions():
    assert {event.kind: event.version for event in ALL} == dict(CURRENT_VERSIONS)


def test_what_the_machine_measured_is_not_canonical():
    slow = step(seconds=9.0)
    cached = slow.model_copy(update={"measured": Measured(at=1.0, cached_calls=5, computed_tokens=0)})
    assert slow != cached
    assert canonical_bytes(slow) == canonical_bytes(cached)
    assert b"seconds" not in canonical_bytes(slow)
    assert b"cached" not in canonical_bytes(slow)


def test_a_different_decision_is_canonical():
    other = step(decision=Decision("look", "majority", {"look": 1.0, "get lamp": 0.5}))
    assert canonical_bytes(other) != canonical_bytes(step())


def test_the_order_in_which_votes_were_counted_does_not_matter():
    other = step(
        decision=Decision("get lamp", "majority", {"get lamp": 1.0, "look": 0.5}, ("t1.4",), "first role")
    )
    assert canonical_bytes(other) == canonical_bytes(step())


def test_a_step_takes_the_sum_of_its_proposals_usage():
    event = step()
    assert event.usage == UsageRecord(calls=2, prompt_tokens=200, completion_tokens=19)
    assert usage_of(event.usage, event.measured) == Usage(2, 200, 19, 56, 1, 0.75)


def test_what_was_paid_is_measured_and_comes_back():
    paid = Usage(1, 100, 3, 40, 0, 0.5, cost=0.002, unpriced_calls=1)
    event = step(proposals=[Proposal(Role("t0.2", 0.2), "get lamp", 0.9, usage=paid)])
    assert usage_of(event.usage, event.measured) == paid
    assert b"cost" not in canonical_bytes(event)
    assert b"unpriced" not in canonical_bytes(event)


def test_infinity_is_refused():
    with pytest.raises(ValidationError):
        step(score=float("nan"))


def test_events_cannot_be_changed():
    with pytest.raises(ValidationError):
        ALL[2].step = 4


@given(
    st.builds(
        EpisodeKey,
        condition=st.text(max_size=12),
        goal=st.text(max_size=12),
        seed=st.integers(0, 2**40),
        attempt=st.integers(0, 99),
    )
)
def test_episode_keys_are_read_back(key):
    assert EpisodeKey.parse(str(key)) == key


@given(
    st.lists(st.tuples(st.text("ab/% +", max_size=4), st.text("ab/% +", max_size=4)), min_size=2, max_size=2)
)
def test_different_episodes_have_different_keys(pairs):
    first, second = (EpisodeKey(condition=c, goal=g, seed=1) for c, g in pairs)
    assert (str(first) == str(second)) == (first == second)


def test_a_readable_condition_stays_readable():
    assert (
        str(EpisodeKey(condition="solo best-of-4", goal="get-lamp", seed=3)) == "solo best-of-4/get-lamp/3/0"
    )


@pytest.mark.parametrize("text", ["", "a/b/c/d", "a/b/1", "a/b/1/0/2"])
def test_what_is_no_episode_key_is_refused(text):
    with pytest.raises(StoreError, match="condition/goal/seed/attempt"):
        EpisodeKey.parse(text)


def test_which_events_end_an_episode():
    assert [event.kind for event in ALL if ends_episode(event)] == ["episode_finished"]
    assert ends_episode(EpisodeFailed(episode=KEY, failure="hung"))
    assert [episode_of(event) for event in ALL] == [None, *[str(KEY)] * 6, None]


def test_which_events_tell_of_the_machine_and_not_of_the_play():
    assert [event.kind for event in ALL if is_incident(event)] == [
        "environment_restarted",
        "episode_paused",
        "episode_failed",
    ]
    assert not is_incident(EpisodeFailed(episode=KEY, failure="hung again"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b'{"kind": "step_taken"}', "damaged"),
        (b'{"kind": "dream", "version": 1}', "newer version"),
        (b'{"kind": "step_taken", "version": 2}', "newer version"),
        (b'{"kind": "run_finished", "version": 1, "status": "lost"}', "fields of its kind"),
        (b'{"kind": "run_finished", "version": 1, "status": "finished", "x": 1}', "fields of its kind"),
    ],
)
def test_an_event_that_cannot_be_read_says_what_to_do(body, message):
    with pytest.raises(StoreError, match=message) as caught:
        parse_event(body)
    assert caught.value.remedy


def test_an_older_version_is_read_through_its_upgrade(monkeypatch):
    monkeypatch.setitem(
        codec.UPGRADES, ("run_finished", 0), lambda data: data | {"version": 1, "status": "finished"}
    )
    event = parse_event(b'{"kind": "run_finished", "version": 0}')
    assert event == RunFinished(status="finished")
