"""A swarm of eight against one player, per step, with the embedded model and no response cache.

Every step is a fresh situation of a real play of Colossal Cave (steps of a seeded random walk), rendered
with and without a recommendation; solo and swarm take turns on the same prompts, each with a cold key-value
cache, so that neither lives off the other.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from lookalike.core.types import Observation, Recollection, Role, Situation
from lookalike.environments import make_environment
from lookalike.models.embedded import EmbeddedModel
from lookalike.players import LanguageModelPlayer

TARGET = 2.0
STEPS = 24
SOLO = [Role("t1", 1.0)]
SWARM = [Role(f"m{i}-t{t}", t) for i in range(2) for t in (0.2, 0.6, 1.0, 1.4)]


def measure() -> list[dict[str, Any]]:
    """Return the ratio with admissible actions (the target's) and with free text (beside it)."""
    model = EmbeddedModel()
    model.load()
    return [_ratio(model, admissible=True), _ratio(model, admissible=False)]


def _ratio(model: EmbeddedModel, *, admissible: bool) -> dict[str, Any]:
    player = LanguageModelPlayer(model, admissible)
    ratios, solo_ms, swarm_ms = [], [], []
    for step, situation in enumerate(_situations(STEPS)):
        # Which goes first changes every step, so that warm processor caches favour neither.
        order = (SOLO, SWARM) if step % 2 else (SWARM, SOLO)
        taken = {len(roles): _seconds(player, situation, roles) for roles in order}
        solo, swarm = taken[len(SOLO)], taken[len(SWARM)]
        ratios.append(swarm / solo)
        solo_ms.append(solo * 1e3)
        swarm_ms.append(swarm * 1e3)
    value = statistics.median(ratios)
    return {
        "name": "swarm_of_8_against_solo" + ("" if admissible else "_free_text"),
        "value": round(value, 2),
        "unit": "x",
        "target": f"<= {TARGET:g}" if admissible else None,
        "met": value <= TARGET if admissible else None,
        "detail": f"median of {STEPS} steps; solo {statistics.median(solo_ms):.0f} ms, "
        f"8 roles {statistics.median(swarm_ms):.0f} ms a step",
    }


def _seconds(player: LanguageModelPlayer, situation: Situation, roles: list[Role]) -> float:
    network = player.model.network()  # type: ignore[attr-defined]
    network.forget()
    start = time.perf_counter()
    player.propose(situation, roles, seed=situation.step)
    return time.perf_counter() - start


def _situations(count: int) -> list[Situation]:
    environment = make_environment("colossal-cave", isolated=False)
    random = np.random.default_rng(7)
    observation = environment.reset(seed=7)
    found = []
    for step in range(count):
        actions = environment.admissible_actions()
        if not actions:
            observation = environment.reset(seed=7 + step)
            actions = environment.admissible_actions()
        action = actions[int(random.integers(len(actions)))]
        advice = Recollection(observation.text or "", action, 0.5, "", "expert", "benchmark")
        found.append(
            Situation(
                how_to_play=environment.how_to_play,
                goal="Bring a treasure to the building.",
                guidance=(advice,) if step % 2 else (),
                recollections=(),
                history=(),
                observation=Observation(observation.text),
                admissible_actions=actions,
                step=step,
                steps_left=count - step,
            )
        )
        observation = environment.step(action).observation
    environment.close()
    return found
