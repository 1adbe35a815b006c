"""Tree search: states are nodes, what the members propose are the edges, and the reward model is the value.

After MASTER (arXiv 2501.14304), without a model's own rating of itself. From a root the search goes down the
tree by what was found below (UCT) and by the members' votes as priors (as in AlphaZero), lets the members
propose in the new state, and plays on from there with the recommendation alone (a rollout). A rollout is
worth what the reward model says of its steps, a setback included. One that ends without a setback becomes the
way: its end is the next root. Where none does after several tries the search goes back to an earlier root,
each time further. To wait is an edge of every node, and every further try waits a turn longer before its
rollout, because a restored game repeats itself. Every step that was played counts as an interaction.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from lookalike.core.types import Decision, Verdict
from lookalike.swarm.loop import World
from lookalike.swarm.search import WAIT, KeptState, ReturningEpisode, keep, restore

ROLLOUT = 20
TRIES = 12
EXPLORATION = 1.0
WAITING_PRIOR = 0.15
FURTHER_BACK = 1.5
_MOST_ROOTS_BACK = 400


@dataclass
class Node:
    """A state in the tree.

    Attributes:
        kept: What is needed to go on from here.
        priors: By action: the members' share of votes; empty until they were asked.
        visits: Rollouts through here; ``value``: sum of what they were worth.
        children: By action.
        lost: The game ended here or there was a setback: no way on.
    """

    kept: KeptState
    priors: dict[str, float] = field(default_factory=dict)
    visits: int = 0
    value: float = 0.0
    children: dict[str, Node] = field(default_factory=dict)
    lost: bool = False

    def best_action(self) -> str:
        """Return the edge with the highest upper bound; ties go to the first one proposed."""
        mean = self.value / self.visits if self.visits else 0.0

        def bound(action: str) -> float:
            child = self.children.get(action)
            visits = child.visits if child is not None else 0
            found = child.value / visits if child is not None and visits else mean
            return found + EXPLORATION * self.priors[action] * math.sqrt(self.visits + 1) / (1 + visits)

        return max(self.priors, key=lambda action: round(bound(action), 9))


@dataclass
class TreeSearchEpisode(ReturningEpisode):
    """Plays one goal with a tree search. Arguments are those of ``Episode``."""

    def search(self, world: World) -> int:
        """Move from root to root; back to an earlier one where no way on is found."""
        roots = [Node(keep(world))]
        furthest = failures = 0
        while self.more():
            end = self._way_on(world, roots[-1])
            if end is not None:
                roots.append(Node(end))
                if end.milestones > furthest:
                    furthest, failures = end.milestones, 0
                continue
            failures += 1
            back = min(int(FURTHER_BACK ** min(failures, 40)), _MOST_ROOTS_BACK, len(roots) - 1)
            del roots[len(roots) - back :]
        return len(world.rewards)

    def _way_on(self, world: World, root: Node) -> KeptState | None:
        """Search below a root; return the end of a rollout without a setback; ``None`` after enough tries."""
        for tried in range(TRIES):
            if not self.more():
                return None
            path = [root]
            while path[-1].priors and not path[-1].lost:
                action = path[-1].best_action()
                child = path[-1].children.get(action)
                if child is None:
                    break
                path.append(child)
            leaf = path[-1]
            value, end = -1.0, None
            if not leaf.lost:
                restore(world, leaf.kept)
                self.scorer = world.scorer
                child, value = self._expand(world, leaf)
                path.append(child)
                if not child.lost and self.more():
                    more, end = self._rollout(world, child.kept.milestones, waits=tried)
                    value += more
            for node in path:
                node.visits += 1
                node.value += max(-1.0, min(1.0, value))
            if end is not None:
                return end
        return None

    def _expand(self, world: World, node: Node) -> tuple[Node, float]:
        """Play the edge with the highest bound; the members are asked where nobody did yet."""
        if node.priors:
            action = node.best_action()
            at, number = len(world.rewards), self.totals.interactions
            verdict, self.success = self.given_step(world, at, action, "tree search", number=number)
        else:
            action, verdict = self._ask(world, node)
        self.note_score(world)
        parts = verdict.components if verdict is not None else {}
        lost = world.terminated or "setback" in parts or len(world.rewards) >= self.goal.step_limit
        milestones = node.kept.milestones + _paid(parts)
        child = Node(keep(world, milestones=milestones), lost=lost and not self.success)
        node.children[action] = child
        return child, verdict.value if verdict is not None else 0.0

    def _ask(self, world: World, node: Node) -> tuple[str, Verdict | None]:
        """Let the members propose in a node, and play the edge with the highest bound."""
        number = self.totals.interactions
        proposals, recollections = self.propose(world, self.config.roles, number)
        verdicts = self.preview(world, proposals)
        votes = Counter(proposal.action for proposal in proposals if proposal.action is not None)
        share = (1 - WAITING_PRIOR) / max(votes.total(), 1)
        node.priors = {action: share * vote for action, vote in votes.items()}
        node.priors[WAIT] = node.priors.get(WAIT, 0.0) + WAITING_PRIOR
        action = node.best_action()
        decision = Decision(action, "tree search", dict(node.priors))
        self.totals.count(proposals, decision, [None if v is None else v.value for v in verdicts])
        members = tuple(p.role.name for p in proposals if p.action == action)
        transition, verdict, self.success = self.act(world, action, members, len(world.rewards))
        self.record_step(
            world,
            number,
            transition,
            proposals=proposals,
            decision=decision,
            verdict=verdict,
            proposal_verdicts=verdicts,
            recollections=recollections,
            goal_reached=self.success,
        )
        return action, verdict

    def _rollout(self, world: World, milestones: int, *, waits: int) -> tuple[float, KeptState | None]:
        """Wait, play the recommendation; return its worth and, without a setback, the state at its end."""
        value = 0.0
        for action in self._recommended(world, waits):
            number = self.totals.interactions
            at = len(world.rewards)
            verdict, self.success = self.given_step(world, at, action, "rollout", number=number)
            self.note_score(world)
            parts = verdict.components if verdict is not None else {}
            value += verdict.value if verdict is not None else 0.0
            milestones += _paid(parts)
            if self.success:
                break
            if world.terminated or "setback" in parts or len(world.rewards) >= self.goal.step_limit:
                return value, None
        return value, keep(world, milestones=milestones)

    def _recommended(self, world: World, waits: int) -> Iterator[str]:
        for number in range(waits + ROLLOUT):
            if not self.more() or world.scorer is None:
                return
            yield WAIT if number < waits else next(iter(world.scorer.recommend(world.observation)), WAIT)


def _paid(parts: object) -> int:
    return int(isinstance(parts, dict) and any(str(name).startswith("milestone:") for name in parts))
