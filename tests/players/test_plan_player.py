"""A plan is written in one go, without a reply, and played blindly."""

import pytest

from lookalike.core import Observation, Role, Situation
from lookalike.core.errors import UsageError
from lookalike.core.protocols import Completion, Player
from lookalike.core.types import Usage
from lookalike.players.plan import MAX_PROMPT_TOKENS, MAX_SHOWN_TOKENS, PlanPlayer
from lookalike.testing.scripted_model import ScriptedModel

ROLE = Role("t0.6", 0.6)


def situation(step: int = 0, seen: str = "A room.\n> quit") -> Situation:
    return Situation("Type words.", "Get the lamp.", (), (), (), Observation(seen), ("n", "s"), step, 10)


def play(player: PlanPlayer, steps: int, role: Role = ROLE) -> list[str | None]:
    return [player.propose(situation(i, f"reply {i}"), [role], seed=i)[0].action for i in range(steps)]


def test_written_at_the_first_step_and_played_to_its_end() -> None:
    model = ScriptedModel(["enter", " Get  Lamp. ", "out"])
    player: Player = PlanPlayer(model, 3)
    player.start_episode(seed=0)
    first = player.propose(situation(), [ROLE], seed=1)[0]
    assert len(model.requests) == 3
    assert (first.action, first.usage.calls) == ("enter", 3)
    later = [player.propose(situation(i, f"reply {i}"), [ROLE], seed=9)[0] for i in (1, 2, 3, 4)]
    assert [p.action for p in later] == ["get lamp", "out", None, None]
    assert sum(p.usage.calls for p in later) == 0
    assert len(model.requests) == 3
    assert all("reply" not in str(r.prompt) for r in model.requests)


def test_every_call_extends_the_same_prefix() -> None:
    model = ScriptedModel(["enter", "get lamp", "out"])
    PlanPlayer(model, 3, shown=["brief", "in"]).propose(situation(), [ROLE], seed=1)
    prompts = [str(r.prompt) for r in model.requests]
    start = "> look\nA room. quit\n"
    assert prompts[0] == f"Type words.\nGoal: Get the lamp.\n{start}> brief\n> in\n{start}>"
    assert prompts[1] == prompts[0] + " enter\n>"
    assert prompts[2] == prompts[1] + " get lamp\n>"
    assert all(r.allowed_replies is None and r.temperature == 0.6 for r in model.requests)
    assert len({r.seed for r in model.requests}) == 3


def test_a_line_that_is_no_action_stays_in_the_plan_and_leaves_the_prompt() -> None:
    model = ScriptedModel(["", "{x}", "get lamp"])
    player = PlanPlayer(model, 3)
    assert play(player, 3) == [None, None, "get lamp"]
    assert model.requests[0].prompt == model.requests[2].prompt
    assert len(model.requests) == 3, "nothing is asked again"
    assert player.propose(situation(1), [ROLE], seed=0)[0].reply == "{x}"


def test_each_episode_has_a_plan_of_its_own() -> None:
    player = PlanPlayer(ScriptedModel(["n", "s"]), 1)
    assert play(player, 1) == ["n"]
    assert play(player, 1) == ["n"]
    player.start_episode(seed=2)
    assert play(player, 1) == ["s"]


def test_roles_write_their_own_plans_from_their_own_seeds() -> None:
    model = ScriptedModel({"n": 1.0, "s": 1.0, "e": 1.0})
    roles = [ROLE, Role("t1", 1.0, persona="You are careful.")]
    player = PlanPlayer(model, 8)
    proposals = player.propose(situation(), roles, seed=4)
    assert [p.role for p in proposals] == roles
    assert play(player, 8, roles[0]) != play(player, 8, roles[1])
    assert "You are careful." in str(model.requests[1].prompt)
    again = PlanPlayer(ScriptedModel({"n": 1.0, "s": 1.0, "e": 1.0}), 8)
    assert again.propose(situation(), roles, seed=4) == proposals


def test_a_chat_is_asked_for_one_command_a_turn() -> None:
    model = ScriptedModel(["enter", "get lamp"], style="chat")
    PlanPlayer(model, 2, shown=["brief"]).propose(situation(), [ROLE], seed=1)
    first, second = (r.prompt for r in model.requests)
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert [role for role, _ in second] == ["system", "user", "assistant", "user"]
    assert second[:2] == first
    assert "brief" in first[1][1]
    assert "<<<A room. quit>>>" in first[1][1]


class Counting(ScriptedModel):
    """Says how long its prompts are: 30 tokens a line."""

    def complete(self, requests):
        found = super().complete(requests)
        return [
            Completion(c.text, None, Usage(calls=1, prompt_tokens=30 * str(r.prompt).count("\n")))
            for c, r in zip(found, requests, strict=True)
        ]


def test_a_long_plan_and_a_long_demonstration_stay_within_the_context() -> None:
    model = Counting(lambda prompt: "go north")
    player = PlanPlayer(model, 200)
    assert play(player, 200) == ["go north"] * 200
    assert max(str(r.prompt).count("\n") for r in model.requests) * 30 <= MAX_PROMPT_TOKENS + 30
    shown = PlanPlayer(model, 1, shown=["drop lamp"] * 5000).shown
    assert 100 < len(shown) < MAX_SHOWN_TOKENS


def test_a_plan_has_a_command() -> None:
    with pytest.raises(UsageError, match="at least one"):
        PlanPlayer(ScriptedModel([]), 0)
