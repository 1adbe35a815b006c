"""Playback, chance and people."""

from collections import Counter

import pytest

from lookalike.core import Demonstration, Observation, Provenance, Recollection, Role, Situation, Trajectory
from lookalike.core.errors import CapabilityError, UnknownNameError, UsageError
from lookalike.core.protocols import Player
from lookalike.players import HumanPlayer, RandomPlayer, ReplayPlayer, make_player, player_names
from lookalike.testing.scripted_model import ScriptedModel

ROLE = Role("t1", 1.0)


def situation(step: int = 0, admissible: tuple[str, ...] | None = ("a", "b", "c", "d")) -> Situation:
    guidance = (Recollection("x", "b", 0.5, "", "expert", "model"),)
    return Situation("Type words.", "Win.", guidance, (), (), Observation("A room."), admissible, step, 10)


def demonstration(*actions: str | None) -> Demonstration:
    seen = tuple(Observation(f"room {i}") for i in range(len(actions) + 1))
    provenance = Provenance("play.mp4", "terminal-video", "0" * 64)
    return Demonstration("d", Trajectory(seen, actions), "human", provenance)


def test_replay_plays_by_step_and_stops_at_the_end() -> None:
    player = ReplayPlayer.of(demonstration("n", None, "get lamp"))
    played = [player.propose(situation(step), [ROLE, ROLE], seed=1)[1].action for step in range(4)]
    assert played == ["n", None, "get lamp", None]


def test_replay_needs_actions() -> None:
    with pytest.raises(UsageError, match="nothing to play back"):
        ReplayPlayer.of(demonstration(None, None))


def test_random_is_even_and_reproducible() -> None:
    player = RandomPlayer()
    drawn = [player.propose(situation(), [ROLE], seed=seed)[0] for seed in range(800)]
    counts = Counter(p.action for p in drawn)
    assert set(counts) == {"a", "b", "c", "d"}
    assert all(150 <= count <= 250 for count in counts.values())
    assert drawn[0].probability == 0.25
    assert [player.propose(situation(), [ROLE], seed=s)[0] for s in range(5)] == drawn[:5]


def test_random_roles_draw_for_themselves() -> None:
    roles = [Role(f"r{i}", 1.0) for i in range(30)]
    assert len({p.action for p in RandomPlayer().propose(situation(), roles, seed=0)}) == 4


def test_random_without_a_list_uses_its_vocabulary() -> None:
    player = RandomPlayer(vocabulary=["x"])
    assert player.propose(situation(0, None), [ROLE], seed=1)[0].action == "x"
    with pytest.raises(CapabilityError, match="nothing to draw"):
        RandomPlayer().propose(situation(0, None), [ROLE], seed=1)


def human(*lines: str) -> tuple[HumanPlayer, list[str]]:
    shown: list[str] = []
    waiting = iter(lines)

    def read(prompt: str) -> str:
        shown.append(prompt)
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    return HumanPlayer(read=read, write=shown.append), shown


def test_human_sees_the_situation_and_types() -> None:
    player, shown = human("?", "Get Lamp")
    player.start_episode(seed=1)
    (proposal,) = player.propose(situation(), [ROLE], seed=1)
    assert proposal.action == "get lamp"
    assert shown == [
        "Type words.",
        "Goal: Win.",
        "The expert recommends: b",
        "A room.",
        "> ",
        "a; b; c; d",
        "> ",
    ]


def test_human_is_asked_again_and_may_leave() -> None:
    player, shown = human("!!!", "", "north")
    assert player.propose(situation(), [ROLE], seed=1)[0].action == "north"
    assert "An empty line is no command." in shown
    assert player.propose(situation(), [ROLE], seed=1)[0].action is None


def test_human_answers_for_each_role_by_name() -> None:
    player, shown = human("n", "s")
    proposals = player.propose(situation(), [Role("a", 0.2), Role("b", 1.0)], seed=1)
    assert [p.action for p in proposals] == ["n", "s"]
    assert "a> " in shown
    assert "b> " in shown


def test_players_by_name() -> None:
    assert player_names() == ("human", "llm", "random", "replay")
    made: list[Player] = [
        make_player("human"),
        make_player("llm", model=ScriptedModel(["n"]), admissible=False),
        make_player("random", vocabulary=["n"]),
        make_player("replay", demonstration=demonstration("n")),
        make_player("replay", actions=["n"]),
    ]
    assert [player.name for player in made] == ["human", "llm", "random", "replay", "replay"]


def test_unknown_player_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'replay'"):
        make_player("reply")
