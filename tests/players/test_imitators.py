"""Imitators: temperature on the logits, patience, and looking ahead with copies of a real game."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.core.errors import CapabilityError
from lookalike.core.types import Observation, Recollection, Role, Situation, Transition
from visual_games import needs_torch, needs_visual

pytestmark = needs_torch
ACTIONS = ("down", "left", "noop", "right", "up")
BLANK = np.zeros((64, 64, 3), np.uint8)


def model(favourite: str = "right", *, end: float = 1.0):
    """Return networks that always want one action, and call every end good where ``end`` is above 0."""
    import torch

    from lookalike.rewards.visual_network import Calibration, VisualModel, build_network

    torch.manual_seed(0)
    networks = {name: build_network(name, 5) for name in ("progress", "policy")}
    with torch.no_grad():
        for network in networks.values():
            for parameter in network.parameters():
                parameter.zero_()
        networks["policy"][-1].bias[ACTIONS.index(favourite)] = 2.0
        networks["progress"][-1].bias[2] = end
    return VisualModel("procgen:maze", ACTIONS, networks, Calibration(0, 1, 0.0, 20.0, 1.0))


def situation(*, history=(), guidance=(), offered=ACTIONS) -> Situation:
    return Situation("", "", guidance, (), history, Observation(frame=BLANK), offered, 0, 10)


def test_temperature_applies_to_the_logits():
    from lookalike.players.mimic import MimicPlayer, tempered

    player = MimicPlayer(model())
    player.start_episode(seed=0)
    cold, warm = (
        [player.propose(situation(), [Role("r", t)], seed=s)[0].action for s in range(60)] for t in (0.0, 1.4)
    )
    assert set(cold) == {"right"}
    assert 10 < warm.count("right") < 60
    logits = np.array([0.0, 1.0], np.float32)
    assert tempered(logits, 1.0)[1] == pytest.approx(np.e / (1 + np.e))
    assert tempered(logits, 0.0).tolist() == [0.0, 1.0]


def test_the_same_seed_proposes_alike_and_roles_draw_for_themselves():
    from lookalike.players.mimic import MimicPlayer

    player, roles = MimicPlayer(model()), [Role(f"r{n}", 1.4) for n in range(12)]
    first = [p.action for p in player.propose(situation(), roles, seed=3)]
    assert first == [p.action for p in player.propose(situation(), roles, seed=3)]
    assert len(set(first)) > 1


def test_what_leads_nowhere_is_not_repeated_for_ever():
    from lookalike.players.mimic import MimicPlayer

    player = MimicPlayer(model())
    player.start_episode(seed=0)
    stuck = Transition(Observation(frame=BLANK), "right", Observation(frame=BLANK))
    chosen = [
        player.propose(situation(history=((stuck, None),)), [Role("r", 0.0)], seed=s)[0].action
        for s in range(4)
    ]
    assert chosen[0] == "right"
    assert chosen[-1] != "right"


def test_recommendations_and_offers_are_heeded():
    from lookalike.players.mimic import MimicPlayer

    player = MimicPlayer(model())
    wanted = Recollection("", "up", 0.1, "", "expert", "recommendation")
    drawn = [
        player.propose(situation(guidance=(wanted,)), [Role("r", 1.0)], seed=s)[0].action for s in range(40)
    ]
    assert drawn.count("up") > 8
    only = player.propose(situation(offered=("left",)), [Role("r", 0.0)], seed=0)[0]
    assert only.action == "left"


def test_text_and_models_without_a_policy_are_refused():
    from lookalike.players.mimic import MimicPlayer

    networks = model()
    talk = Situation("", "", (), (), (), Observation(text="Hello"), None, 0, 1)
    with pytest.raises(CapabilityError, match="frames"):
        MimicPlayer(networks).propose(talk, [Role("r", 1.0)], seed=0)
    del networks.networks["policy"]
    with pytest.raises(CapabilityError, match="no policy"):
        MimicPlayer(networks)


@needs_visual
def test_looking_ahead_finds_a_way_and_the_plan_really_ends_there():
    from lookalike.environments.batch import make_environment_batch
    from lookalike.environments.procgen import Procgen
    from lookalike.players.lookahead import LookaheadPlayer, LookaheadSettings

    copies, game = make_environment_batch("procgen:maze", 8, isolated=False), Procgen("maze")
    player = LookaheadPlayer(model(), copies, level=203, settings=LookaheadSettings(steps=4_000, chance=0.8))
    plans = []
    for _ in range(2):
        player.start_episode(seed=0)
        game.reset(seed=203)
        plan = []
        while not game.facts()["over"] and len(plan) < 100:
            (proposal,) = player.propose(situation(), [Role("r", 0.6)], seed=0)
            assert proposal.action is not None
            plan.append(proposal.action)
            game.step(proposal.action)
        assert game.facts()["level_complete"]
        assert player.interactions > len(plan)
        plans.append(plan)
    assert plans[0] == plans[1]
    copies.close()
    game.close()


@needs_visual
def test_ends_that_look_bad_are_not_planned_for():
    from lookalike.environments.batch import make_environment_batch
    from lookalike.players.lookahead import LookaheadPlayer, LookaheadSettings

    copies = make_environment_batch("procgen:maze", 8, isolated=False)
    player = LookaheadPlayer(
        model(end=-4.0), copies, level=203, settings=LookaheadSettings(steps=2_000, chance=0.8)
    )
    player.start_episode(seed=0)
    copies.reset_many([203] * 8)
    actions = [player.propose(situation(), [Role("r", 0.6)], seed=0)[0].action for _ in range(10)]
    assert all(actions)
    copies.close()


@needs_visual
def test_where_recordings_stop_while_the_game_goes_on_members_stay_in_it():
    from dataclasses import replace

    from lookalike.environments.batch import make_environment_batch
    from lookalike.environments.procgen import Procgen
    from lookalike.players.lookahead import LookaheadPlayer, LookaheadSettings
    from lookalike.rewards.visual_network import NO_END

    game, steps, levels = Procgen("dodgeball"), 60, (205, 206, 207)
    blind = replace(model(), actions=("left", "right", "up", "down", "noop"))
    blind.calibration = replace(blind.calibration, end_threshold=NO_END)
    copies = make_environment_batch("procgen:dodgeball", 8, isolated=False)
    settings = LookaheadSettings(ahead=6, played=3, chance=0.8)

    def lasts(level: int, choose) -> int:
        game.reset(seed=level)
        return next((step for step in range(steps) if game.step(choose(step)).terminated), steps)

    for level in levels:
        player = LookaheadPlayer(blind, copies, level=level, settings=settings)
        player.start_episode(seed=0)
        propose = player.propose
        assert lasts(level, lambda s, p=propose: p(situation(), [Role("r", 0.6)], seed=s)[0].action) == steps
        assert player.interactions > steps
    draw = np.random.default_rng(0)
    assert min(lasts(level, lambda _: str(draw.choice(blind.actions))) for level in levels) < steps
    copies.close()
    game.close()


@needs_visual
@pytest.mark.parametrize(("further", "good"), [(1.0, True), (0.3, False)])
def test_a_good_end_is_one_where_end_score_and_progress_agree(further: float, good: bool):
    _, ((surplus, end), *_) = ends_in_maze(further=further)
    assert (surplus >= 0) == good
    assert end.potential == pytest.approx(further)


@needs_visual
@pytest.mark.parametrize(("forced", "good"), [(1.0, True), (0.2, True), (0.1, False)])
def test_an_end_that_more_actions_come_to_than_in_recordings_is_doubted(forced: float, good: bool):
    _, ends = ends_in_maze(further=1.0, forced=forced)
    assert {surplus >= 0 for surplus, _ in ends} == {good}


@needs_visual
def test_of_good_ends_the_earlier_one_is_worth_more():
    from dataclasses import replace

    members, ((surplus, end), *_) = ends_in_maze(further=1.0)
    late = replace(end, age=end.age + 40)
    assert members.worth((surplus, end)) > members.worth((surplus, late))


def ends_in_maze(*, further: float, forced: float = 1.0):
    """Go on at random from a maze's beginning until it ends; one of its five actions ends it there."""
    from dataclasses import replace

    from lookalike.environments.batch import make_environment_batch
    from lookalike.players.lookahead import LookaheadPlayer, LookaheadSettings
    from lookalike.players.lookahead_members import Members

    told = model(end=4.0)
    told.networks["progress"][-1].bias.data[0] = further
    told.calibration = replace(told.calibration, end_forced=forced)
    copies = make_environment_batch("procgen:maze", 8, isolated=False)
    settings = LookaheadSettings(chance=0.8, haste=0.0)
    player = LookaheadPlayer(told, copies, level=203, settings=settings)
    player.start_episode(seed=0)
    members = Members(told, copies, settings, 0)
    front, found = [player._at] * 8, []
    for _ in range(200):
        reached, ends = members.go_on(front, 1_000)
        found += ends
        front = [new or player._at for new in reached]
        if found:
            break
    copies.close()
    return members, found


def test_an_environment_that_cannot_go_back_is_refused():
    from lookalike.players.lookahead import LookaheadPlayer

    class Once:
        id = "tiny:once"
        capabilities = frozenset({"frames"})

    with pytest.raises(CapabilityError, match="cannot save and restore"):
        LookaheadPlayer(model(), Once(), level=0)  # type: ignore[arg-type]
