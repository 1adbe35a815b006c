"""What the guide does after a setback and in the dark, on small documents."""

from __future__ import annotations

import pytest

from lookalike.core.types import Demonstration, Observation, Provenance, Trajectory, Transition
from lookalike.experts import make_expert
from lookalike.rewards import RewardModel, RewardModelScorer, compile_plan
from lookalike.rewards.places import PlaceMap
from lookalike.rewards.text import read_text

HOUSE, ROAD, CAVE = "You are in a house.", "You are on a long road.", "You are in a wet cave."
DARK = "It is now pitch dark. If you proceed you will likely fall into a pit."
HALL = "You are in a splendid hall."
LIT = "Your lamp is now on.\n\n" + CAVE


@pytest.fixture
def model() -> RewardModel:
    """A play with a lamp that lights a cave, a gem and a coin further on."""
    steps = (
        ("get lamp", "Taken."),
        ("n", ROAD),
        ("s", HOUSE),
        ("d", DARK),
        ("on", LIT),
        ("e", HALL),
        ("get gem", "Taken."),
        ("w", CAVE),
        ("u", HOUSE),
        ("drop gem", "Dropped."),
        ("d", CAVE),
        ("e", HALL),
        ("get coin", "Taken."),
        ("w", CAVE),
        ("u", HOUSE),
        ("drop coin", "Dropped."),
    )
    texts = [HOUSE, *(reply for _, reply in steps)]
    path = Trajectory(tuple(Observation(t) for t in texts), tuple(action for action, _ in steps))
    note = Provenance("play.txt", "test", "0" * 64)
    return make_expert().watch([Demonstration("play", path, "human", note)], environment="test/none")


class Player:
    """Plays against a scorer, reply by reply."""

    def __init__(self, model: RewardModel) -> None:
        self.scorer, self.seen = RewardModelScorer(model), Observation(HOUSE)
        self.scorer.start(self.seen)

    def wants(self) -> str | None:
        return next(iter(self.scorer.recommend(self.seen)), None)

    def does(self, *moves: tuple[str, str]) -> None:
        for action, reply in moves:
            after = Observation(reply)
            self.scorer.score(Transition(self.seen, action, after))
            self.seen = after


def test_what_made_light_once_is_known_and_so_is_what_was_always_in_hand(model):
    plan = compile_plan(model)
    assert plan.kindle == ("on",)
    assert plan.companions == {"lamp"}


def test_in_the_dark_light_comes_first_and_the_place_is_known_all_the_same(model):
    player = Player(model)
    player.does(("get lamp", "Taken."), ("n", ROAD), ("s", HOUSE), ("d", DARK), ("on", LIT), ("e", DARK))
    assert player.scorer.place is not None
    assert "hall" in player.scorer.place
    assert player.wants() == "on"


def test_nothing_moves_in_the_dark_while_the_light_is_in_hand(model):
    player = Player(model)
    player.does(("get lamp", "Taken."), ("n", ROAD), ("s", HOUSE), ("d", DARK), ("on", LIT), ("e", DARK))
    player.does(("on", "Your lamp has run out of power."))
    for _ in range(70):
        assert player.wants() == "inventory"
        player.does(("inventory", "You are holding:\nbrass lamp"))
    player.does(*[("inventory", "You are holding:\nbrass lamp")] * 15)
    assert player.wants() != "inventory", "not for ever"


def test_after_a_setback_the_light_is_fetched_from_where_it_lies(model):
    player = Player(model)
    player.does(("get lamp", "Taken."), ("n", ROAD), ("s", HOUSE), ("d", DARK), ("on", LIT))
    player.does(("e", "You fell into a pit and broke every bone in your body!\n\n" + HOUSE))
    player.does(("look", HOUSE))
    assert player.wants() == "n", "around where one came to"
    player.does(("n", ROAD + "\n\nThere is a lamp here."))
    assert player.wants() == "get lamp"


def test_what_was_seen_lying_here_is_remembered_until_one_leaves(model):
    player = Player(model)
    player.does(("get lamp", "Taken."), ("n", ROAD), ("s", HOUSE), ("d", DARK), ("on", LIT), ("e", HALL))
    player.does(("get gem", "Taken."), ("w", CAVE))
    player.does(("look", "A thief robs you and vanishes! Your valuables are gone.\n\n" + CAVE))
    player.does(("inventory", "You are holding nothing."))
    player.does(("e", HALL + "\n\nThere is a coin here.\n\nThere is a lamp here."))
    player.does(("get coin", "Taken."))
    assert player.wants() == "get lamp"


def test_a_lamp_that_a_description_speaks_of_is_still_in_hand():
    reading = read_text("The ceiling here is too high up for your lamp to show it.")
    assert "lamp" not in reading.lying
    assert "lamp" in read_text("There is a shiny lamp here.").lying


@pytest.mark.parametrize(
    ("text", "dark"),
    [
        (DARK, True),
        ("You have moved into a dark place.", True),
        ("You're in the dark-room.", False),
        ("Your lamp has run out of power.", True),
        ("Your lamp has run out of power.\n\nYou are in a hall lit by torches.", False),
    ],
)
def test_what_is_dark(text, dark):
    assert read_text(text).dark is dark


def test_a_room_left_the_way_it_was_entered_is_one_room_whatever_it_is_called():
    places = PlaceMap()
    here = None
    for action, text in (
        (None, "You are in a hall of stone."),
        ("n", "You are following a wide path around a large cavern."),
        ("w", "You are in an alcove of chalk."),
        ("nw", "You're in misty cavern."),
        ("s", "You are in a hall of stone."),
    ):
        here = places.locate(read_text(text), here, action)
    merged = places.merge_twins()
    assert len(merged) == 1
    assert "misty" in next(iter(merged))


def test_a_magic_word_that_leads_both_ways_makes_one_room_of_two_wordings():
    places = PlaceMap()
    here = None
    for action, text in (
        (None, "You are in a hall of stone."),
        ("plover", "You are in a small chamber lit by an eerie green light."),
        ("ne", "You are in a wide gallery."),
        ("s", "You're in plover room."),
        ("plover", "You are in a hall of stone."),
    ):
        here = places.locate(read_text(text), here, action)
    assert list(places.merge_twins().values()) == ["small-chamber-lit-eerie"]


def test_waiting_does_not_hide_that_one_was_carried_away():
    places = PlaceMap()
    here = places.locate(read_text("You are in a hall of stone."), None, None)
    hall = here
    here = places.locate(read_text("You are in a wide gallery."), here, "n")
    assert places.locate(read_text("A flash!\n\nYou are in a hall of stone."), here, "inventory") == hall
