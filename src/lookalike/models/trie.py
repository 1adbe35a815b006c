"""How probable each allowed reply is, from as few forward passes as possible.

Replies share their beginnings, so their tokens form a trie. The first level costs nothing (the prompt's
last logits); everything below a branch that matters is computed in one pass with a tree-shaped attention
mask. A reply ends with the line, so the line's end is its last token: that is what tells ``n`` from
``north`` and ``get lamp`` from ``get lamp post``.

The approximation: a branch that holds less than ``PRUNE_BELOW`` of the allowed probability, even after
flattening with ``PRUNE_TEMPERATURE``, is not computed further; its mass is spread evenly over its
replies. Both are constants, never taken from a request: the stored distribution must not depend on who
asked for it first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PRUNE_BELOW = 0.004
PRUNE_TEMPERATURE = 1.4
EAGER_NODES = 12
"""Branches of at most this many nodes are computed whole; larger ones level by level."""

LogProbabilities = NDArray[np.float32]
Branch = Callable[[Sequence[int], Sequence[int]], LogProbabilities]
"""``branch(tokens, parents)``: log-probabilities ``[n, vocabulary]`` of what follows each new node.

``parents[i]`` is the number of the parent node in order of computation, or -1 for the prompt's end.
"""


@dataclass
class _Node:
    token: int
    parent: _Node | None
    children: dict[int, _Node] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    log_p: float = 0.0
    number: int = -1
    followers: LogProbabilities | None = None

    def leaves(self) -> list[int]:
        """Return the replies below this node, itself included."""
        found = list(self.ends)
        for child in self.children.values():
            found += child.leaves()
        return found

    def inner(self) -> list[_Node]:
        """Return this node and all below that must be computed (ends of replies need no computation)."""
        if not self.children:
            return []
        found = [self]
        for child in self.children.values():
            found += child.inner()
        return found


def score_replies(
    sequences: Sequence[Sequence[int]], first: LogProbabilities, branch: Branch
) -> tuple[NDArray[np.float64], int]:
    """Return the log-probability of each reply among all of them.

    Args:
        sequences: Tokens of each reply, the end of the line included; no two alike, at least one.
        first: Log-probabilities ``[vocabulary]`` of what follows the prompt.
        branch: Computes what follows inner nodes of the trie.

    Returns:
        Normalised natural log-probabilities in the order of ``sequences``, and the number of nodes
        that were computed.
    """
    root = _build(sequences)
    root.followers = first
    log_p = np.full(len(sequences), -np.inf)
    frontier = [root]
    computed = 0
    while frontier:
        for node in frontier:
            _pass_down(node)
        wanted, settled = _triage(root)
        for node in settled:
            leaves = node.leaves()
            log_p[leaves] = node.log_p - np.log(len(leaves))
        frontier = wanted
        if wanted:
            for offset, node in enumerate(wanted):
                node.number = computed + offset
            parents = [-1 if n.parent is None or n.parent is root else n.parent.number for n in wanted]
            rows = branch([n.token for n in wanted], parents)
            for node, row in zip(wanted, rows, strict=True):
                node.followers = row
            computed += len(wanted)
    log_p -= np.logaddexp.reduce(log_p)
    return log_p, computed


def _build(sequences: Sequence[Sequence[int]]) -> _Node:
    root = _Node(token=-1, parent=None)
    for index, tokens in enumerate(sequences):
        node = root
        for token in tokens:
            if token not in node.children:
                node.children[token] = _Node(token, node)
            node = node.children[token]
        node.ends.append(index)
    return root


def _pass_down(node: _Node) -> None:
    """Give the children of a computed node their log-probability from the prompt's end."""
    if node.followers is not None:
        for child in node.children.values():
            child.log_p = node.log_p + float(node.followers[child.token])


def _triage(root: _Node) -> tuple[list[_Node], list[_Node]]:
    """Split the edge of what is computed into nodes to compute next and nodes that are settled."""
    edge: list[_Node] = []
    stack = [root]
    while stack:
        node = stack.pop()
        for child in node.children.values():
            (edge if child.followers is None else stack).append(child)
    logs = np.array([node.log_p for node in edge]) / PRUNE_TEMPERATURE
    mass = np.exp(logs - np.logaddexp.reduce(logs))
    wanted: list[_Node] = []
    settled: list[_Node] = []
    for node, share in zip(edge, mass, strict=True):
        below = node.inner()
        if share < PRUNE_BELOW or not below:
            settled.append(node)
        else:
            wanted += below if len(below) <= EAGER_NODES else below[:1]
    return wanted, settled
