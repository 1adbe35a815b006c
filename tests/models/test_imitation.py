"""What the embedded model does with a recommendation, on real places of Colossal Cave.

The rendering was chosen on positions after step 120 of the play; these come before it.
"""

from __future__ import annotations

import re
from importlib import resources

import numpy as np
import pytest

from lookalike.core import Observation, Recollection, Role, Situation
from lookalike.environments.commands import TextBeliefs, load_command_table
from lookalike.models.embedded import EmbeddedModel
from lookalike.models.rendering import render

pytestmark = pytest.mark.model

HOW_TO_PLAY = 'Commands are one or two words. Move with n, s, e, w. Take things with "get lamp".'


def places(last: int, every: int) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (text, command, offered commands) along the play that the game's package ships."""
    from adventure import load_advent_dat
    from adventure.game import Game

    table = load_command_table("colossal-cave")
    beliefs = TextBeliefs(table)
    game = Game(2)
    load_advent_dat(game)
    game.start()
    text = game.output
    beliefs.read(None, text)
    source = (resources.files("adventure") / "tests" / "walkthrough2.txt").read_text()
    commands = [line[4:].strip() for line in source.splitlines() if line.startswith(">>> ")][2:]
    found = []
    for step, command in enumerate(commands[:last]):
        words = re.findall(r"\w+", command)
        action = table.canonical(" ".join(words))
        if step % every == 1 and action in beliefs.commands():
            found.append((text, action, beliefs.commands()))
        text = game.do_command(words)
        beliefs.read(action, text)
    return found


def probabilities(model: EmbeddedModel, *, guided: bool) -> list[float]:
    found = []
    for text, action, offered in places(120, 10):
        guidance = (Recollection(text, action, 0.5, "", "expert", "walkthrough2"),) if guided else ()
        situation = Situation(
            HOW_TO_PLAY, "Score 120 points.", guidance, (), (), Observation(text), offered, 0, 99
        )
        prompt = render(situation, Role("t1", 1.0), model.style)
        found.append(model.distribution(str(prompt), offered)[action])
    return found


def test_a_recommendation_is_followed_and_its_absence_is_not(embedded: EmbeddedModel) -> None:
    guided, alone = probabilities(embedded, guided=True), probabilities(embedded, guided=False)
    assert len(guided) >= 11
    assert np.mean(guided) > 0.85
    assert np.mean([p > 0.5 for p in guided]) > 0.9
    assert np.mean(alone) < 0.4
