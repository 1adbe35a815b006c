"""What is read out of a game's reply: real replies of Colossal Cave, texts in Zork's manner, and noise."""

from __future__ import annotations

import random
import textwrap
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.environments import make_environment
from lookalike.rewards.text import (
    content_words,
    is_look,
    key,
    normalise_action,
    read_text,
    split_action,
)

HOUSE = """West of House                                        Score: 0
West of House
You are standing in an open field west of a white house, with a boarded front door.
There is a small mailbox here."""


@pytest.fixture(scope="module")
def cave():
    game = make_environment("colossal-cave", isolated=False)
    yield game
    game.close()


def replies(game, *commands: str, seed: int = 2) -> list[str]:
    """Return the text of the start and of the reply to each command."""
    texts = [game.reset(seed=seed).text or ""]
    return texts + [game.step(command).observation.text or "" for command in commands]


# --- real replies of Colossal Cave


def test_the_first_description(cave) -> None:
    (text,) = replies(cave)
    reading = read_text(text)
    assert reading.anchor == "you are standing at the end of a road before a small brick building"
    assert reading.sentences[0] == reading.anchor
    assert reading.lead == ()
    assert {"stand", "road", "brick", "fores", "gully"} <= reading.description
    assert reading.questions == ()
    assert not reading.failure
    assert reading.setback is None
    assert reading.score is None
    assert not reading.titled


def test_what_lies_here(cave) -> None:
    texts = replies(cave, "enter", "get lamp", "look")
    assert {"keys", "lamp", "food", "bottle"} <= read_text(texts[1]).lying
    assert "lamp" not in read_text(texts[3]).lying


def test_the_anchor_comes_after_what_happened_on_the_way(cave) -> None:
    *_, dark, lit = replies(cave, "brief", "enter", "get lamp", "xyzzy", "on")
    assert "pitch dark" in (read_text(dark).anchor or "")
    reading = read_text(lit)
    assert reading.anchor == "you are in a debris room filled with stuff washed in from the surface"
    assert reading.lead == ("your lamp is now on",)
    assert "lamp" not in reading.description


@pytest.mark.parametrize(
    ("commands", "absent"),
    [
        (["get axe"], True),
        (["drop lamp"], True),
        (["frobnicate"], False),
        (["xyzzy"], False),
        (["enter", "u"], False),
    ],
)
def test_refused_commands(cave, commands, absent) -> None:
    reading = read_text(replies(cave, *commands)[-1])
    assert reading.failure, reading.sentences
    assert reading.absent is absent, reading.sentences
    assert not reading.full_hands


def test_accepted_commands_are_no_failures(cave, walk2) -> None:
    """In the recorded play, every command but the game's own question was accepted."""
    refused = [
        (step.action, read_text(step.after.text or "").sentences[:1])
        for step in walk2.trajectory.transitions()
        if read_text(step.after.text or "").failure
    ]
    assert refused == []


def test_full_hands() -> None:
    full = read_text("You can't carry anything more.  You'll have to drop something first.")
    assert full.full_hands
    assert full.failure
    assert not full.absent


def test_a_question_counts_only_where_the_reply_waits_for_the_answer(cave) -> None:
    asked = read_text(replies(cave, "quit")[-1])
    assert asked.questions == ("do you really want to quit now",)
    assert not asked.failure
    text = "WHAT'S THE MATTER, CAN'T YOU READ?  NOW YOU'D BEST START OVER."
    assert read_text(text).questions == ()
    assert read_text("Please answer the question.").questions == ("please answer the question",)


def test_death_is_a_setback_and_asks_to_be_undone(walk1) -> None:
    deaths = [
        (step.action, reading)
        for step in walk1.trajectory.transitions()
        if (reading := read_text(step.after.text or "")).setback is not None
    ]
    assert [action for action, _ in deaths] == ["west", "throw axe", "nw"]
    assert deaths[0][1].setback == "you fell into a pit and broke every bone in your body"
    assert deaths[1][1].setback == "it gets you"
    assert all(reading.questions for _, reading in deaths)


def test_a_miss_is_no_setback() -> None:
    reading = read_text("THERE IS A LITTLE DWARF HERE!\n\nONE SHARP KNIFE IS THROWN AT YOU!\n\nIT MISSES!")
    assert reading.setback is None
    assert reading.sentences[-1] == "it misses"


# --- texts in the manner of Zork


def test_a_status_line_names_the_place_and_the_score() -> None:
    reading = read_text(HOUSE)
    assert (reading.score, reading.titled, reading.anchor) == (0, True, "west of house")
    assert "west of house" in reading.sentences
    assert not any("score" in sentence for sentence in reading.sentences)
    assert {"mailb", "field", "white"} <= reading.description
    assert "mailbox" in reading.lying


def test_a_status_line_over_a_reply_without_description() -> None:
    reading = read_text("Living Room                  Score: 25\nTaken.")
    assert (reading.score, reading.anchor, reading.sentences) == (25, "living room", ("taken",))
    assert reading.lead == ()


def test_a_negative_score() -> None:
    assert read_text("Forest          Score: -10\nOk.").score == -10


@pytest.mark.parametrize("line", ["Score: 10", "your Score:   10", "Room  Score: ten", "Room Score: 10"])
def test_what_is_no_status_line(line) -> None:
    assert read_text(line + "\nYou are in a room.").score is None


@pytest.mark.parametrize(
    ("text", "failure", "absent", "full"),
    [
        ("You can't go that way.", True, False, False),
        ("You can't see any sword here!", True, True, False),
        ("You don't have the sword.", True, True, False),
        ("The grate is locked.", True, False, False),
        ("The trap door is closed.", True, False, False),
        ("Your load is too heavy.", True, False, True),
        ("You're holding too many things already!", False, False, False),  # known only as a refusal's words
        ('I don\'t know the word "xyzzy".', True, False, False),
        ("What do you want to unlock?", False, False, False),
        ("Taken.", False, False, False),
        ("With a great effort, the rug is moved to one side of the room.", False, False, False),
        ("The door crashes shut, and you hear someone barring it.", False, False, False),
    ],
)
def test_zork_replies(text, failure, absent, full) -> None:
    reading = read_text(text)
    assert (reading.failure, reading.absent, reading.full_hands) == (failure, absent, full)


@pytest.mark.parametrize(
    "text",
    [
        "Oh, no! You have walked into the slavering fangs of a lurking grue!\n\n   ****  You have died  ****",
        "The troll's axe stroke cleaves you from the nave to the chops. It kills you.",
        "The thief's blow knocks you out.",
        "I am afraid you are dead.",
    ],
)
def test_zork_setbacks(text) -> None:
    assert read_text(text).setback is not None


def test_line_breaks_capitals_and_punctuation_do_not_matter(walk2) -> None:
    for observation in walk2.trajectory.observations:
        text = observation.text or ""
        wrapped = "\n\n".join(textwrap.fill(" ".join(p.split()), 60) for p in text.split("\n\n"))
        assert read_text(wrapped.lower().replace("'", "’")) == read_text(text)


def test_narrow_wrapping_in_capitals_does_not_matter(walk2) -> None:
    text = walk2.trajectory.observations[0].text or ""
    narrow = "\n".join(textwrap.wrap(" ".join(text.split()), 32))
    assert read_text(narrow) == read_text(text)


# --- commands and words


@pytest.mark.parametrize(
    ("command", "verb", "thing"),
    [
        ("get the lamp", "get", "lamp"),
        ("  PICK  UP lamp ", "get", "lamp"),
        ("put bar in case", "put", "bar"),
        ("throw axe at dwarf", "throw", "axe"),
        ("take brass lantern from table", "take", "brass lantern"),
        ("n", "n", ""),
        ("", "", ""),
        ("the", "", ""),
        ("!!!", "", ""),
    ],
)
def test_splitting_a_command(command, verb, thing) -> None:
    assert split_action(command) == (verb, thing)


def test_looking_is_told_from_doing() -> None:
    assert all(is_look(action) for action in ("look", "L", "inventory", "score"))
    assert not any(is_look(action) for action in ("get lamp", "n", "open mailbox", "wait", ""))


def test_keys_and_content_words() -> None:
    assert key("You're IN a “maze”,\n twisty!") == "youre in a maze twisty"
    assert content_words("you are in a maze of twisty little passages") == {"maze", "twist", "littl", "passa"}


# --- anything at all


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_read(text) -> None:
    reading = read_text(text)
    assert set(reading.questions) <= set(reading.sentences)
    assert reading.anchor is None or reading.titled or reading.anchor in reading.sentences
    assert reading.anchor not in reading.cues
    assert all(sentence and sentence == key(sentence) for sentence in reading.sentences)
    assert isinstance(reading.lying, frozenset)
    assert not (reading.absent and not reading.failure)
    assert not (reading.full_hands and not reading.failure)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_command_can_be_split(command) -> None:
    verb, thing = split_action(command)
    assert len(normalise_action(command)) <= 120
    assert bool(verb) or not thing
    assert normalise_action(normalise_action(command)) == normalise_action(command)
    assert isinstance(is_look(command), bool)


def test_a_long_text_is_cut() -> None:
    text = "You are in a cave. " + "There is gold here! " * 50_000
    reading = read_text(text)
    assert sum(len(s) + 1 for s in reading.sentences) <= 20_000
    assert reading.anchor == "you are in a cave"


@pytest.mark.parametrize(
    "piece",
    ["?", ". ", "\n\n", "a ", "A b", "\n \n", "'", "you are in ", "the the ", "  Score: ", "\x00", "é"],
)
def test_repetition_does_not_make_reading_slow(piece) -> None:
    """No pattern backtracks for long: the longest text that counts, of one piece, in a second at most."""
    start = time.process_time()
    read_text(piece * 30_000)
    assert time.process_time() - start < 1.0


def test_shuffled_real_words_can_be_read(walk1) -> None:
    words = " ".join(o.text or "" for o in walk1.trajectory.observations[:60]).split(" ")
    draw = random.Random(0)
    for _ in range(50):
        draw.shuffle(words)
        read_text(" ".join(words[:200]))
