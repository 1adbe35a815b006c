"""Frames in words: what moved, where and in which colour, for a player that reads."""

from __future__ import annotations

import numpy as np

from lookalike.core.types import Observation, Proposal, Role, Situation, Transition
from lookalike.players.described import DescribedPlayer, describe_frame, moving_things
from visual_games import needs_torch


def scene(*, red: tuple[int, int] | None = None, blue: tuple[int, int] | None = None) -> np.ndarray:
    frame = np.full((64, 64, 3), 128, np.uint8)
    for place, colour in ((red, (220, 30, 30)), (blue, (40, 70, 230))):
        if place is not None:
            frame[place[0] : place[0] + 8, place[1] : place[1] + 8] = colour
    return frame


def test_things_are_found_where_they_are_in_their_colours():
    things, scrolled = moving_things(scene(red=(4, 4), blue=(52, 52)), scene())
    assert not scrolled
    assert {thing.words() for thing in things} == {"red at the top left", "blue at the bottom right"}
    assert moving_things(scene(red=(28, 28)), scene())[0][0].words() == "red in the centre"


def test_nothing_and_everything():
    assert moving_things(scene(), scene()) == ([], False)
    assert moving_things(np.zeros_like(scene()), scene()) == ([], True)


def test_large_frames_are_seen_as_small_ones():
    large, before = (one.repeat(8, 0).repeat(8, 1) for one in (scene(red=(4, 4)), scene()))
    assert moving_things(large, before) == moving_things(scene(red=(4, 4)), scene())


@needs_torch
def test_a_reading_player_is_given_words_and_its_text_is_left_alone():
    from test_imitators import ACTIONS, model

    seen: list[Situation] = []

    class Reader:
        name = "reader"

        def start_episode(self, *, seed: int) -> None:
            seen.clear()

        def propose(self, situation: Situation, roles, *, seed: int):
            seen.append(situation)
            return [Proposal(role, "left") for role in roles]

    player = DescribedPlayer(Reader(), model())
    player.start_episode(seed=0)
    step = Transition(Observation(frame=scene()), "left", Observation(frame=scene(red=(4, 4))))
    shown = Situation("", "", (), (), ((step, 0.1),), step.after, ACTIONS, 1, 9)
    (proposal,) = player.propose(shown, [Role("r", 1.0)], seed=0)
    assert proposal.action == "left"
    words = seen[0].observation.text
    assert words is not None
    assert "red at the top left" in words
    assert "% of the way" in words
    assert seen[0].history[0][0].before.text is not None
    spoken = Situation("", "", (), (), (), Observation(text="Hello"), ACTIONS, 0, 9)
    player.propose(spoken, [Role("r", 1.0)], seed=0)
    assert seen[1].observation.text == "Hello"


@needs_torch
def test_the_beginning_has_no_change():
    from test_imitators import model

    assert "oving" not in describe_frame(model(), scene(), None)
    assert describe_frame(model(), scene(), scene()).endswith("Nothing moved.")
