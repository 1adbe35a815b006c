"""The language-model player against a scripted model."""

import pytest

from lookalike.core import Observation, Recollection, Role, Situation
from lookalike.core.errors import CapabilityError
from lookalike.core.protocols import Player
from lookalike.players.llm import LanguageModelPlayer, normalise_action, why_no_action
from lookalike.testing.scripted_model import ScriptedModel

ROLES = [Role("t0.2", 0.2), Role("t1", 1.0), Role("t1.4", 1.4)]


def situation(
    admissible: tuple[str, ...] | None = ("get lamp", "n", "s"), recollections: tuple[Recollection, ...] = ()
) -> Situation:
    return Situation("Type.", "Win.", (), recollections, (), Observation("A room."), admissible, 0, 10)


def remembered(action: str, reward: float) -> Recollection:
    return Recollection("A room.", action, reward, "", "member", "t1@0/episode 0")


def test_all_roles_in_one_batch_with_their_own_temperature_and_seed() -> None:
    model = ScriptedModel({"get lamp": 5.0, "n": 1.0, "quit": 9.0})
    player: Player = LanguageModelPlayer(model, True)
    proposals = player.propose(situation(), ROLES, seed=0)
    assert [p.role for p in proposals] == ROLES
    assert {p.action for p in proposals} <= {"get lamp", "n"}
    assert [r.temperature for r in model.requests] == [0.2, 1.0, 1.4]
    assert len({r.prompt for r in model.requests}) == 1
    assert len({r.seed for r in model.requests}) == 3
    assert all(r.allowed_replies == ("get lamp", "n", "s") for r in model.requests)
    assert player.propose(situation(), ROLES, seed=0) == proposals
    assert all(p.usage.calls == 1 for p in proposals)


def test_admissible_without_a_list_is_an_error() -> None:
    for empty in (None, ()):
        with pytest.raises(CapabilityError, match="admissible"):
            LanguageModelPlayer(ScriptedModel(["n"])).propose(situation(empty), ROLES[:1], seed=1)


def test_no_roles_no_call() -> None:
    model = ScriptedModel([])
    assert LanguageModelPlayer(model).propose(situation(), [], seed=1) == []
    assert model.requests == []


def test_free_text_is_normalised() -> None:
    player = LanguageModelPlayer(ScriptedModel([' "Get   Lamp." ']), False)
    (proposal,) = player.propose(situation(), ROLES[:1], seed=1)
    assert proposal.action == "get lamp"
    assert player.model.requests[0].allowed_replies is None  # type: ignore[attr-defined]


def test_a_reply_that_is_no_action_is_asked_once_more_with_the_error() -> None:
    model = ScriptedModel(["n", "{'action': 1}", "", "go west"])
    first, second = LanguageModelPlayer(model, False).propose(situation(), ROLES[:2], seed=1)
    assert first.action == "n"
    assert second.action is None
    assert second.reply == ""
    assert second.usage.calls == 2
    assert len(model.requests) == 3
    assert "words only" in str(model.requests[2].prompt)
    assert model.requests[2].seed != model.requests[1].seed


def test_the_second_reply_counts() -> None:
    model = ScriptedModel(["???", "west"])
    (proposal,) = LanguageModelPlayer(model, False).propose(situation(), ROLES[:1], seed=1)
    assert proposal.action == "west"
    assert proposal.usage.calls == 2


def test_a_reply_outside_the_list_is_never_mapped_to_a_near_one() -> None:
    model = ScriptedModel(["get the lamp", "get lamps"])
    (proposal,) = LanguageModelPlayer(model, True).propose(situation(), ROLES[:1], seed=1)
    assert proposal.action is None
    assert proposal.reply == "get lamps"


def test_actions_punished_in_this_state_are_not_offered_to_a_model_that_imitates() -> None:
    model = ScriptedModel({"get lamp": 1.0, "n": 1.0, "s": 1.0})
    memory = (remembered("n", -0.5), remembered("s", -0.5), remembered("s", 0.9))
    (proposal,) = LanguageModelPlayer(model).propose(situation(recollections=memory), ROLES[:1], seed=1)
    assert model.requests[0].allowed_replies == ("get lamp", "s")
    assert proposal.rationale == "not offered, punished here: n"


@pytest.mark.parametrize(
    ("style", "heed", "memory"),
    [
        ("chat", True, ("n",)),
        ("transcript", False, ("n",)),
        ("transcript", True, ("get lamp", "n", "s")),
    ],
)
def test_when_punished_actions_stay(style: str, heed: bool, memory: tuple[str, ...]) -> None:
    model = ScriptedModel({"get lamp": 1.0}, style=style)  # type: ignore[arg-type]
    player = LanguageModelPlayer(model, heed_punishment=heed)
    punished = tuple(remembered(action, -0.5) for action in memory)
    (proposal,) = player.propose(situation(recollections=punished), ROLES[:1], seed=1)
    assert model.requests[0].allowed_replies == ("get lamp", "n", "s")
    assert proposal.rationale is None


def test_chat_models_get_messages() -> None:
    model = ScriptedModel(["n"], style="chat")
    LanguageModelPlayer(model).propose(situation(), ROLES[:1], seed=1)
    assert isinstance(model.requests[0].prompt, tuple)


def test_personas_split_the_prompt() -> None:
    model = ScriptedModel({"n": 1.0})
    roles = [Role("a", 1.0), Role("b", 1.0, persona="Be careful.")]
    LanguageModelPlayer(model).propose(situation(), roles, seed=1)
    assert model.requests[0].prompt != model.requests[1].prompt


@pytest.mark.parametrize("reply", ["", "  ", "a" * 61, "n\ns", "rm -rf /; ls", "<b>", "go\x07", "1+1", "🐉"])
def test_what_is_no_action(reply: str) -> None:
    assert why_no_action(reply) is not None


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        ("North", "north"),
        ("> get lamp.", "get lamp"),
        ("'open  door'", "open door"),
        ("say o'clock", "say o'clock"),
    ],
)
def test_what_is_an_action(reply: str, action: str) -> None:
    assert why_no_action(reply) is None
    assert normalise_action(reply) == action
