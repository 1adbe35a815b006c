from __future__ import annotations

import pytest

from lookalike.environments.commands import TextBeliefs, canonical_command, load_command_table

GAMES = ("colossal-cave", "zork1")


@pytest.mark.parametrize("game", GAMES)
def test_a_tables_parts_fit_together(game):
    table = load_command_table(game)
    for rule in table.rules:
        assert {rule.near, rule.held} - {None} <= set(table.objects), rule.do
        assert {rule.flag, *rule.unless} - {None} <= set(table.flags), rule.do
        assert any((rule.near, rule.held, rule.cue, rule.once, rule.flag, rule.unless)), rule.do
        assert ("{}" in rule.do) == bool(rule.only), rule.do
        if isinstance(rule.only, tuple):
            assert set(rule.only) <= set(table.objects), rule.do
    for _, _, what in table.replies:
        assert what in {*table.objects, "everything", "treasures"}


@pytest.mark.parametrize("game", GAMES)
def test_every_offered_spelling_is_its_own_canonical_form(game):
    table = load_command_table(game)
    offered = [*table.always, *(rule.do.format("lamp") for rule in table.rules)]
    offered += [f"{verb} {name}" for name in table.objects for verb in ("get", "drop")]
    for command in offered:
        assert table.canonical(command) == command
    for spelling in [*table.words, *table.phrases]:
        once = table.canonical(spelling)
        assert table.canonical(once) == once


def test_the_caves_table_uses_words_the_game_knows():
    from lookalike.environments.colossal_cave_state import new_game

    table = load_command_table("colossal-cave")
    vocabulary = new_game(0).vocabulary
    commands = [*table.always, *table.objects, *(rule.do.format("axe") for rule in table.rules)]
    for word in {word for command in commands for word in command.split()}:
        assert word in vocabulary, word
    for spelling in [*table.verbs, *table.nouns]:
        assert spelling in vocabulary, spelling


@pytest.mark.parametrize(
    ("environment", "typed", "meant"),
    [
        ("colossal-cave", "TAKE  Lantern", "get lamp"),
        ("zork1", "Attack thief with nasty knife", "kill thief with nasty knife"),
        ("zork1", "PUT trunk in case", "put trunk in case"),
        ("zmachine:x.z5", "Open  DOOR", "open door"),
        ("dictionary", "Open  DOOR", "open door"),
        ("../../goals/zork1", "N", "n"),
    ],
)
def test_commands_have_one_spelling(environment, typed, meant):
    assert canonical_command(environment, typed) == meant


def read(game: str, *exchanges: tuple[str | None, str]) -> TextBeliefs:
    beliefs = TextBeliefs(load_command_table(game))
    for command, reply in exchanges:
        beliefs.read(command, reply)
    return beliefs


def test_what_is_taken_is_held_and_a_thief_takes_treasures_only():
    beliefs = read(
        "colossal-cave",
        (None, "THERE IS A SHINY BRASS LAMP NEARBY.\n\nTHERE ARE DIAMONDS HERE!"),
        ("get lamp", "OK"),
        ("take diamonds", "OK"),
    )
    assert beliefs.held == {"lamp", "diamonds"}
    beliefs.read("w", "HE SNATCHES YOUR TREASURE AND VANISHES INTO\nTHE GLOOM.")
    assert beliefs.held == {"lamp"}


def test_a_refusal_changes_nothing_and_an_absence_is_learnt():
    beliefs = read(
        "colossal-cave",
        (None, "THERE IS A SHINY BRASS LAMP NEARBY."),
        ("get lamp", "YOU CAN'T CARRY ANYTHING MORE.  YOU'LL HAVE TO DROP SOMETHING FIRST."),
    )
    assert beliefs.held == set()
    assert "get lamp" in beliefs.commands()
    beliefs.read("get lamp", "I SEE NO LAMP HERE.")
    assert "get lamp" not in beliefs.commands()


def test_a_fixture_is_remembered_where_the_game_describes_it_once():
    long = "Living Room   Score: 0\nLiving Room\nThere is a trophy case here.\nA brass lantern is on it."
    beliefs = read("zork1", (None, long), ("get painting", "Living Room   Score: 0\nTaken."))
    assert "put painting in case" in beliefs.commands()
    beliefs.read("e", "Kitchen   Score: 0\nKitchen")
    assert "put painting in case" not in beliefs.commands()
    beliefs.read("w", "Living Room   Score: 0\nLiving Room")
    assert "put painting in case" in beliefs.commands()
    assert "get lamp" not in beliefs.commands()


def test_all_at_once_is_followed_line_by_line():
    beliefs = read(
        "zork1",
        (None, "Attic   Score: 0\nAttic\nThere is a rope here.\nThere is a sword here."),
        ("get all", "Attic   Score: 0\nrope: Taken.\nsword: Your load is too heavy."),
    )
    assert "drop rope" in beliefs.commands()
    assert "drop sword" not in beliefs.commands()


def test_beliefs_survive_json():
    beliefs = read(
        "colossal-cave", (None, "YOU ARE INSIDE A BUILDING.\n\nTHERE IS FOOD HERE."), ("get food", "OK")
    )
    copy = TextBeliefs.from_json(beliefs.table, beliefs.to_json())
    assert copy.commands() == beliefs.commands()
    assert copy.to_json() == beliefs.to_json()
