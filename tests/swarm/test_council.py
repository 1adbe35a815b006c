"""The council's rules, each against a table worked out by hand."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.core.errors import UnknownNameError
from lookalike.core.types import Proposal, Role
from lookalike.swarm.council import RULES, decide


def proposals(*actions: str | None, probability: float | None = None) -> list[Proposal]:
    return [Proposal(Role(f"m{i}", 1.0), action, probability) for i, action in enumerate(actions)]


@pytest.mark.parametrize(
    ("rule", "actions", "values", "decision", "tie_break"),
    [
        ("best-reward", "nnse", [0.1, 0.1, 0.5, 0.2], "s", None),
        ("best-reward", "nnse", [-0.5, -0.5, -0.1, None], "e", None),  # not known counts as 0
        ("best-reward", "nnse", [None] * 4, "n", "votes"),
        ("best-reward", "nse", [0.3, 0.3, 0.0], "n", "order"),
        ("best-reward", "snn", [0.3, 0.3, 0.3], "n", "votes"),
        ("majority", "nnse", [0.1, 0.1, 0.9, 0.2], "n", None),
        ("majority", "nnss", [0.1, 0.1, 0.9, 0.2], "s", "verdict"),
        ("majority", "nnss", [0.2, 0.2, 0.2, 0.2], "n", "order"),
        ("majority", "nse", [0.0, 0.0, 0.4], "e", "verdict"),
        # n: 2 + 2 + 1 + 1 (e's voter ranks n second by votes), s: 1 + 1 + 2 + 0, e: 0 + 0 + 0 + 2
        ("borda", "nnse", [0.0, 0.0, 0.0, 0.0], "n", None),
        # s is everybody's second choice by its verdict: n 2+1, s 1+2+1... one vote each: n 2, s 1+2+1, e 2
        ("borda", "nse", [0.0, 0.9, 0.0], "s", None),
        ("borda", "ns", [0.0, 0.0], "n", "order"),
        # two votes of (1 - 0.5) / 2 weigh less than one of (1 + 0.8) / 2
        ("reward-weighted", "nns", [-0.5, -0.5, 0.8], "s", None),
        ("reward-weighted", "nns", [0.0, 0.0, 0.8], "n", None),
        ("reward-weighted", "nns", [-1.0, -1.0, -0.9], "s", None),
        ("reward-weighted", "nnsz", [0.0, 0.0, 1.0, -1.0], "s", "verdict"),
        ("arbiter", "nns", [0.0, 0.0, 0.9], "n", None),  # nobody to ask: the majority
    ],
)
def test_rules(rule, actions, values, decision, tie_break) -> None:
    found = decide(rule, proposals(*actions), values)
    assert (found.action, found.tie_break, found.by) == (decision, tie_break, rule)
    assert found.votes == {a: actions.count(a) for a in actions}
    assert found.dissent == tuple(f"m{i}" for i, a in enumerate(actions) if a != decision)


def test_a_tie_is_broken_by_the_players_own_probability() -> None:
    members = [*proposals("n", probability=0.2), *proposals("s", probability=0.7)]
    for rule in RULES:
        found = decide(rule, members, [0.0, 0.0])
        assert (found.action, found.tie_break) == ("s", "probability"), rule


@pytest.mark.parametrize("rule", RULES)
def test_no_executable_proposal_is_no_decision(rule) -> None:
    for nothing in ([], proposals(None), proposals(None, None, None)):
        found = decide(rule, nothing, [None] * len(nothing))
        assert found.action is None
        assert found.votes == {}
        assert found.dissent == ()
        assert found.agreement == 0


@pytest.mark.parametrize("rule", RULES)
def test_who_proposed_nothing_has_no_vote_and_does_not_dissent(rule) -> None:
    found = decide(rule, proposals(None, "n", None, "n"), [None, 0.1, 0.9, 0.1])
    assert (found.action, found.votes, found.dissent, found.agreement) == ("n", {"n": 2.0}, (), 1.0)


def test_agreement_is_the_share_of_votes() -> None:
    assert decide("majority", proposals(*"nnse"), [None] * 4).agreement == 0.5


def test_an_unknown_rule_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'majority'"):
        decide("majorty", proposals("n"), [None])


def test_values_must_match_the_proposals() -> None:
    with pytest.raises(ValueError, match="zip"):
        decide("majority", proposals("n", "s"), [None])


# --- the arbiter


class Arbiter:
    """Chooses what it is told to, and keeps what it was asked."""

    def __init__(self, choice: str | None) -> None:
        self.choice, self.asked = choice, []

    def __call__(self, actions) -> Proposal:
        self.asked.append(list(actions))
        return Proposal(Role("arbiter", 0.0), self.choice)


def test_the_arbiter_chooses_among_the_proposals() -> None:
    arbiter = Arbiter("s")
    found = decide("arbiter", proposals(*"nnsn"), [0.9, 0.9, -0.9, 0.9], arbiter=arbiter)
    assert (found.action, found.by, found.tie_break) == ("s", "arbiter", None)
    assert arbiter.asked == [["n", "s"]]
    assert found.dissent == ("m0", "m1", "m3")
    assert found.votes == {"n": 3.0, "s": 1.0}


@pytest.mark.parametrize("choice", [None, "w", "", "N"])
def test_an_arbiter_that_chooses_something_else_leaves_it_to_the_majority(choice) -> None:
    found = decide("arbiter", proposals(*"nns"), [0.0, 0.0, 0.9], arbiter=Arbiter(choice))
    assert (found.action, found.by) == ("n", "arbiter")


def test_no_arbiter_is_asked_where_all_agree() -> None:
    arbiter = Arbiter("s")
    assert decide("arbiter", proposals(*"nn"), [0.0, 0.0], arbiter=arbiter).action == "n"
    assert decide("arbiter", proposals(None, None), [None, None], arbiter=arbiter).action is None
    assert arbiter.asked == []


def test_other_rules_ask_no_arbiter() -> None:
    arbiter = Arbiter("s")
    for rule in set(RULES) - {"arbiter"}:
        decide(rule, proposals(*"ns"), [0.0, 0.0], arbiter=arbiter)
    assert arbiter.asked == []


# --- whatever is proposed

ACTIONS = st.lists(st.sampled_from([None, "n", "s", "e", "get lamp"]), max_size=6)
VALUES = st.one_of(st.none(), st.floats(-1, 1))


@given(ACTIONS, st.sampled_from(sorted(RULES)), st.data())
def test_a_decision_is_one_of_the_proposals(actions, rule, data) -> None:
    values = [data.draw(VALUES) for _ in actions]
    found = decide(rule, proposals(*actions), values)
    assert found.action in (actions if any(actions) else [None])
    assert (found.action is None) == (not any(actions))
    assert 0 <= found.agreement <= 1
    assert found == decide(rule, proposals(*actions), values)


def test_the_order_of_members_matters_only_where_it_breaks_the_tie() -> None:
    votes = list(zip("nnse", (0.1, 0.1, 0.5, 0.2), strict=True))
    for rule, order in itertools.product(RULES, itertools.permutations(votes)):
        found = decide(rule, proposals(*(a for a, _ in order)), [v for _, v in order])
        if found.tie_break != "order":
            assert found.action == ("s" if rule in ("best-reward", "borda") else "n"), (rule, order)
