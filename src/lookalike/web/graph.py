"""Milestones as a picture: a layered drawing of what comes after what, folded into rows.

Each milestone stands one column behind the last of those it comes after (longest path); columns are folded
like the lines of a book, so that a chain of two hundred fits a page. Own code and not a library's: there is
nothing to untangle in a graph that is nearly a chain, and a layout engine would be larger than these pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.rewards.document import Milestone

COLUMNS = 9
CELL_WIDTH, CELL_HEIGHT = 118.0, 62.0
_TOP = 18.0
_LANE = 22.0
"""How far above a row the edges into it run: below the names of the row before."""


@dataclass(frozen=True)
class Node:
    """A milestone's place in the drawing, in its units.

    Attributes:
        milestone: Which.
        x: From the left.
        y: From the top.
    """

    milestone: Milestone
    x: float
    y: float


@dataclass(frozen=True)
class Graph:
    """A drawing.

    Attributes:
        nodes: In the document's order.
        edges: Paths of SVG, one for each "after".
        width: Of the drawing.
        height: Of the drawing.
    """

    nodes: tuple[Node, ...]
    edges: tuple[str, ...]
    width: float
    height: float


def layout(milestones: Sequence[Milestone]) -> Graph:
    """Place milestones.

    Args:
        milestones: Any order; what names nobody, or would close a circle, is left out of the edges.
    """
    columns = _columns(milestones)
    by_column: dict[int, list[Milestone]] = {}
    for milestone in milestones:
        by_column.setdefault(columns[milestone.id], []).append(milestone)
    nodes: dict[str, Node] = {}
    top = _TOP
    last = max(by_column, default=-1)
    for first in range(0, last + 1, COLUMNS):
        row = range(first, min(first + COLUMNS, last + 1))
        for column in row:
            for place, milestone in enumerate(by_column.get(column, ())):
                x = (column - first + 0.5) * CELL_WIDTH
                nodes[milestone.id] = Node(milestone, x, top + place * CELL_HEIGHT)
        top += CELL_HEIGHT * max((len(by_column.get(column, ())) for column in row), default=1)
    edges = [
        _edge(nodes[before], nodes[milestone.id])
        for milestone in milestones
        for before in milestone.after
        if before in nodes and columns[before] < columns[milestone.id]
    ]
    ordered = tuple(nodes[m.id] for m in milestones)
    return Graph(ordered, tuple(edges), CELL_WIDTH * min(COLUMNS, last + 1), top)


def _columns(milestones: Sequence[Milestone]) -> dict[str, int]:
    """Return each milestone's column: one behind the last it comes after. Circles are cut."""
    by_id = {m.id: m for m in milestones}
    columns: dict[str, int] = {}
    for milestone in milestones:
        # An own stack: a document may be a chain of any length.
        stack, on_stack = [milestone.id], {milestone.id}
        while stack:
            current = stack[-1]
            waiting = [
                a for a in by_id[current].after if a in by_id and a not in columns and a not in on_stack
            ]
            if waiting:
                stack.append(waiting[0])
                on_stack.add(waiting[0])
                continue
            before = [columns[a] for a in by_id[current].after if a in columns]
            columns.setdefault(current, 1 + max(before, default=-1))
            on_stack.discard(stack.pop())
    return columns


def _edge(before: Node, after: Node) -> str:
    """Return an edge: straight within a row; down and around into the next one."""
    if after.y == before.y:
        return f"M{before.x:.1f} {before.y:.1f}L{after.x:.1f} {after.y:.1f}"
    lane = after.y - _LANE
    return (
        f"M{before.x:.1f} {before.y:.1f}C{before.x + 58:.1f} {before.y:.1f} {before.x + 58:.1f} {lane:.1f} "
        f"{before.x:.1f} {lane:.1f}L{after.x:.1f} {lane:.1f}C{after.x - 52:.1f} {lane:.1f} "
        f"{after.x - 52:.1f} {after.y:.1f} {after.x:.1f} {after.y:.1f}"
    )
