from __future__ import annotations

import numpy as np
import pytest
from reference_plays import ZORK_SEED, need_zork, zork_play

from lookalike.core.errors import GameError
from lookalike.environments import zork1
from lookalike.environments.zork1 import Zork1


@pytest.fixture
def game():
    need_zork()
    environment = Zork1()
    environment.reset(seed=ZORK_SEED)
    yield environment
    environment.close()


def test_the_human_play_reaches_350_points(game):
    play = zork_play()
    results = [game.step(command) for command in play]
    facts = game.facts()
    assert len(play) == 396
    assert (facts["score"], facts["won"], facts["finished"]) == (350, True, True)
    assert sum(result.env_reward for result in results) == 350
    assert results[-1].terminated
    assert not any(result.terminated for result in results[:-1])
    assert {"torch", "painting", "gold coffin", "trunk of jewels"} <= set(facts["in_case"])
    assert facts["troll_gone"]
    assert facts["thief_gone"]


def test_the_status_line_has_place_and_score_but_no_moves(game):
    first = (game.reset(seed=ZORK_SEED).text or "").splitlines()
    assert first[0] == "West of House   Score: 0"
    assert first[-1] == "There is a small mailbox here."
    for command in ("n", "n", "u"):
        game.step(command)
    text = game.step("get egg").observation.text
    assert text == "Up a Tree   Score: 5\nTaken."
    assert "Moves" not in text


def test_the_humans_commands_are_admissible(game):
    missed, sizes = [], []
    play = zork_play()
    for index, command in enumerate(play):
        offered = game.admissible_actions()
        assert list(offered) == sorted(set(offered))
        sizes.append(len(offered))
        if game.canonical(command) not in offered:
            missed.append((index, command))
        game.step(command)
    assert sum(index < 150 for index, _ in missed) <= 0.05 * 150, missed
    assert len(missed) <= 0.02 * len(play), missed  # measured: 2 of 396
    assert np.median(sizes) <= 30
    assert max(sizes) <= 60


def test_admissible_actions_come_from_the_text_alone(game):
    for command in ("n", "n", "u", "get egg"):
        game.step(command)
    before = game.admissible_actions()
    assert "drop egg" in before
    machine = game._machine
    machine.step("drop egg")  # behind the environment's back: no text of it was seen
    machine.step("d")
    assert game.admissible_actions() == before


def test_save_and_restore_carry_the_fights_with_them(game):
    play = zork_play()
    for command in play[:27]:
        game.step(command)
    state = game.save()
    blows = ["kill troll with sword"] * 6
    first = [game.step(blow) for blow in blows]
    other = Zork1()
    other.reset(seed=99)
    other.restore(state)
    assert [other.step(blow) for blow in blows] == first
    assert other.facts() == game.facts()
    other.close()


def test_deaths_survive_a_restore(game):
    for command in ("s", "e", "open window", "w", "w", "move rug", "open trapdoor", "d"):
        game.step(command)
    for _ in range(30):
        game.step("n")
        if game.facts()["deaths"]:
            break
    assert game.facts()["deaths"] >= 1
    state = game.save()
    game.reset(seed=1)
    assert game.facts()["deaths"] == 0
    game.restore(state)
    assert game.facts()["deaths"] >= 1


def test_a_missing_or_wrong_story_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(zork1, "zork1_path", lambda: tmp_path / "zork1.z3")
    with pytest.raises(GameError, match="lookalike games install zork1"):
        Zork1()
    need_zork()
    (tmp_path / "zork1.z3").write_bytes(b"\x03" + bytes(40_000))
    with pytest.raises(GameError):
        Zork1()
