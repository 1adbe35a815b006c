"""Plays what is recommended, and draws where nothing is."""

from collections import Counter

from lookalike.core import Observation, Recollection, Role, Situation
from lookalike.core.protocols import Player
from lookalike.players.follow import FollowPlayer

ROLES = [Role("a", 0.2), Role("b", 1.0)]


def situation(guidance=(), admissible=("n", "s", "get lamp")) -> Situation:
    items = tuple(Recollection("x", action, 0.5, "", "expert", "model") for action in guidance)
    return Situation("Type.", "Win.", items, (), (), Observation("A room."), admissible, 0, 10)


def test_takes_the_best_recommendation_for_every_role() -> None:
    player: Player = FollowPlayer()
    player.start_episode(seed=0)
    proposals = player.propose(situation(("get lamp", "n")), ROLES, seed=1)
    assert [p.action for p in proposals] == ["get lamp", "get lamp"]
    assert all(p.usage.calls == 0 for p in proposals)


def test_draws_evenly_without_one() -> None:
    drawn = [FollowPlayer().propose(situation(), ROLES[:1], seed=s)[0] for s in range(600)]
    counts = Counter(p.action for p in drawn)
    assert set(counts) == {"n", "s", "get lamp"}
    assert all(150 <= n <= 250 for n in counts.values())
    assert drawn[:3] == [FollowPlayer().propose(situation(), ROLES[:1], seed=s)[0] for s in range(3)]


def test_proposes_nothing_where_nothing_is_known() -> None:
    assert [p.action for p in FollowPlayer().propose(situation((), None), ROLES, seed=0)] == [None, None]
