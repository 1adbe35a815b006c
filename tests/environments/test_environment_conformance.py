"""Every registered environment keeps the contract, and the suite catches everyone who does not."""

from __future__ import annotations

import pytest
from reference_plays import cave_play, need_zork, zork_play

from lookalike.environments import environment_ids, make_environment
from lookalike.testing import environments as tiny
from lookalike.testing.conformance import ConformanceError, check_environment


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("id", environment_ids())
def test_registered_environments_keep_the_contract(id, isolated):
    if id == "zork1":
        need_zork()
    made = check_environment(lambda: make_environment(id, isolated=isolated), steps=40)
    assert {"same seed, same play", "save and restore", "strange commands", "close"} <= set(made)


def test_the_cave_keeps_it_where_chance_is_at_work():
    """Past the pirate and the dwarves."""
    commands = [command for command, _ in cave_play()]
    check_environment(
        lambda: make_environment("colossal-cave", isolated=False), actions=commands, seed=2, steps=120
    )


def test_zork_keeps_it_through_a_fight():
    need_zork()
    commands = [*zork_play()[:27], *["kill troll with sword"] * 10]
    check_environment(
        lambda: make_environment("zork1", isolated=False), actions=commands, seed=5, steps=len(commands)
    )


@pytest.mark.parametrize(
    "honest", [tiny.TinyEnvironment, tiny.NoisyTinyEnvironment, tiny.FramedTinyEnvironment]
)
def test_the_honest_ones_pass(honest):
    check_environment(honest)


@pytest.mark.parametrize(
    ("hostile", "cause"),
    [
        (tiny.UnseededEnvironment, "randomness from outside the seed"),
        (tiny.SharedStateEnvironment, "state on the class"),
        (tiny.ForgetfulEnvironment, "the random generator"),
        (tiny.StatefulBeyondSaveEnvironment, "a counter that shows up later"),
        (tiny.RaisingEnvironment, "without asking whether it is known"),
        (tiny.UnsortedActionsEnvironment, "sorted(set(actions))"),
        (tiny.BoastingEnvironment, "declared but the frame is missing"),
        (tiny.ReusedFrameEnvironment, "return a copy"),
        (tiny.ChangingFrameEnvironment, "cropped or scaled"),
        (tiny.MiscountingEnvironment, "in place of the difference"),
        (tiny.SlammingEnvironment, "without noting that it is gone"),
    ],
)
def test_the_hostile_ones_are_caught_with_their_cause(hostile, cause):
    with pytest.raises(ConformanceError) as caught:
        check_environment(hostile)
    assert cause in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("dict", "must return a StepResult"),
        ("none", "must return a StepResult"),
        ("nan", "finite number"),
        ("info", "JSON values"),
        ("bytes", "text"),
        ("frame", "frame"),
    ],
)
def test_malformed_answers_are_caught(kind, expected):
    with pytest.raises(ConformanceError, match=expected):
        check_environment(tiny.MalformedEnvironment, actions=("left", kind))
