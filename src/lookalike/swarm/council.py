"""The council: the rule that turns the members' proposals into one decision.

Every rule is deterministic. Ties go on to the next criterion of the rule, and the decision says which one
decided. ``votes`` holds the weight that the rule gave each proposed action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lookalike.core.errors import UnknownNameError
from lookalike.core.types import Decision, Proposal

Values = Sequence[float | None]
Arbiter = Callable[[Sequence[str]], Proposal]
"""Asks a model to choose among actions; returns its proposal (counted as a call)."""


def decide(
    rule: str, proposals: Sequence[Proposal], values: Values, *, arbiter: Arbiter | None = None
) -> Decision:
    """Return the council's decision.

    Args:
        rule: ``best-reward``, ``majority``, ``borda``, ``reward-weighted`` or ``arbiter``.
        proposals: One a member; those without an action have no vote.
        values: What each proposal would be worth, in [-1, 1], in the same order; ``None`` where not known
            (counts as 0).
        arbiter: Needed by ``arbiter`` alone.

    Raises:
        UnknownNameError: There is no such rule.
    """
    if rule not in RULES:
        raise UnknownNameError("council rule", rule, RULES)
    voted = [(p, v or 0.0) for p, v in zip(proposals, values, strict=True) if p.action is not None]
    if not voted:
        return Decision(None, rule, {})
    tally = _Tally(voted)
    if rule == "arbiter" and arbiter is not None and len(tally.actions) > 1:
        return _arbitrated(tally, arbiter)
    return tally.decision(rule, RULES[rule](tally))


class _Tally:
    """The proposed actions with everything a rule may ask about them."""

    def __init__(self, voted: Sequence[tuple[Proposal, float]]) -> None:
        self.voted = voted
        self.actions = list(dict.fromkeys(p.action for p, _ in voted if p.action is not None))
        self.count = {a: float(sum(1 for p, _ in voted if p.action == a)) for a in self.actions}
        self.value = {a: max(v for p, v in voted if p.action == a) for a in self.actions}
        self.probability = {
            a: sum(p.probability or 0.0 for p, _ in voted if p.action == a) for a in self.actions
        }

    def decision(self, rule: str, weight: Mapping[str, float]) -> Decision:
        """Take the action of most weight; ties go to the verdict, the votes, the probability, the order."""
        best, tie_break = self._break_ties(weight)
        dissent = tuple(p.role.name for p, _ in self.voted if p.action != best)
        # `votes` keeps how many stood behind each action, whatever weight the rule gave it.
        return Decision(best, rule, self.count, dissent, tie_break)

    def _break_ties(self, weight: Mapping[str, float]) -> tuple[str, str | None]:
        left = self.actions
        tie_break = None
        criteria = (
            ("", weight),
            ("verdict", self.value),
            ("votes", self.count),
            ("probability", self.probability),
        )
        for name, score in criteria:
            top = max(round(score[a], 9) for a in left)
            kept = [a for a in left if round(score[a], 9) == top]
            if name and len(kept) < len(left):
                tie_break = name
            left = kept
            if len(left) == 1:
                return left[0], tie_break
        return left[0], "order"


def _best_reward(tally: _Tally) -> Mapping[str, float]:
    return tally.value


def _majority(tally: _Tally) -> Mapping[str, float]:
    return tally.count


def _borda(tally: _Tally) -> Mapping[str, float]:
    """Borda count: each member ranks its own proposal first, the others by verdict and votes."""
    n = len(tally.actions)
    points = dict.fromkeys(tally.actions, 0.0)
    others = sorted(tally.actions, key=lambda a: (-tally.value[a], -tally.count[a], tally.actions.index(a)))
    for proposal, _ in tally.voted:
        ranking = [proposal.action, *(a for a in others if a != proposal.action)]
        for place, action in enumerate(ranking):
            points[action or ""] += n - 1 - place
    return points


def _reward_weighted(tally: _Tally) -> Mapping[str, float]:
    """Votes weighted by (1 + verdict) / 2, so that a punished proposal counts for nothing."""
    weight = dict.fromkeys(tally.actions, 0.0)
    for proposal, value in tally.voted:
        weight[proposal.action or ""] += (1.0 + value) / 2.0
    return weight


def _arbitrated(tally: _Tally, arbiter: Arbiter) -> Decision:
    """Let a model choose; where its reply is none of the proposals, the majority stands."""
    chosen = arbiter(tally.actions)
    if chosen.action in tally.actions:
        dissent = tuple(p.role.name for p, _ in tally.voted if p.action != chosen.action)
        return Decision(chosen.action, "arbiter", tally.count, dissent)
    return tally.decision("arbiter", tally.count)


RULES: dict[str, Callable[[_Tally], Mapping[str, float]]] = {
    "best-reward": _best_reward,
    "majority": _majority,
    "borda": _borda,
    "reward-weighted": _reward_weighted,
    "arbiter": _majority,
}
