"""Rows for a drawing: every node of a graph at a level, and what passes a level without stopping there.

In: nodes by number, edges from the upper to the lower node, groups of nodes that a frame will enclose. Out: levels such
that every edge goes down, and `Layers`: rows of items, which are the nodes, a bend for each row that an edge only
passes, and the two borders of each frame. Edges from one node share their bends, so long ones are drawn as one line.
The order within rows is chosen in `ordering`, places in `coordinates`. It must not know what nodes stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Layers", "assign_levels", "layered"]

Edge = tuple[int, int]
LOOSE = -1  # the group of what is in no frame
LIGHT = 1


@dataclass(slots=True)
class Layers:
    """Items in rows: first the nodes by their numbers, then bends and borders.

    - `above[item]`: what it is linked to in the row above, in the order of operands; `below` is the converse.
    - `spine`: the links along which a drawing is kept straight, as pairs (upper, lower).
    - `bends`: for an edge, the bends from its upper to its lower end.
    - `borders`: for a group, its left and right borders from top to bottom.
    """

    nodes: int
    level: list[int]
    group: list[int]
    rows: list[list[int]]
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    spine: set[Edge] = field(default_factory=set)
    bends: dict[Edge, tuple[int, ...]] = field(default_factory=dict)
    borders: dict[int, tuple[list[int], list[int]]] = field(default_factory=dict)
    side: dict[int, int] = field(default_factory=dict)  # border -> -1 left, 1 right
    frames: list[list[int]] = field(default_factory=list)  # of each row, the groups whose frames it crosses

    def add(self, level: int, group: int) -> int:
        """Make an item that is no node."""
        item = len(self.level)
        self.level.append(level)
        self.group.append(group)
        self.above.append([])
        self.below.append([])
        self.rows[level].append(item)
        return item

    def link(self, upper: int, lower: int) -> None:
        """Link two items of successive rows, once."""
        if upper not in self.above[lower]:
            self.above[lower].append(upper)
            self.below[upper].append(lower)


# -- levels -----------------------------------------------------------------------------------------------------------


def assign_levels(count: int, edges: Sequence[Edge], group: Sequence[int]) -> tuple[list[int], list[int]]:
    """Give each node a level, 0 at the top, and each its group, without groups that cannot have rows of their own.

    Edges go down, and what is outside a group but above or below one of its nodes is above or below its whole frame.
    A node stands as low as its nearest user allows, unless that would draw out two lines or more to shorten one.

    >>> assign_levels(5, [(0, 2), (1, 2), (2, 3), (4, 3)], [-1] * 5)[0]
    [0, 0, 1, 2, 1]
    """
    group = list(group)
    while True:
        graph = _Constraints(count, edges, group)
        order = graph.topological()
        if len(order) == graph.size:
            return graph.levels(order)[:count], group
        stuck = set(range(graph.size)) - set(order)
        group = [LOOSE if n in stuck else g for n, g in enumerate(group)]


class _Constraints:
    """Who must be above whom: nodes, and the top and the bottom of each group's frame."""

    def __init__(self, count: int, edges: Sequence[Edge], group: Sequence[int]) -> None:
        names = list(dict.fromkeys(g for g in group if g != LOOSE))
        self.count = count
        self.top = {g: count + 2 * i for i, g in enumerate(names)}
        self.bottom = {g: count + 2 * i + 1 for i, g in enumerate(names)}
        self.size = count + 2 * len(names)
        self.lower: list[list[int]] = [[] for _ in range(self.size)]
        self.upper: list[list[int]] = [[] for _ in range(self.size)]
        self.uses = [0] * self.size  # by edges alone
        for u, v in edges:
            self.uses[u] += 1
            self._below(u if group[u] == group[v] else self.bottom.get(group[u], u),
                        v if group[u] == group[v] else self.top.get(group[v], v))  # fmt: skip
        for node, g in enumerate(group):
            if g != LOOSE:
                self._below(self.top[g], node)
                self._below(node, self.bottom[g])

    def _below(self, upper: int, lower: int) -> None:
        self.lower[upper].append(lower)
        self.upper[lower].append(upper)

    def topological(self) -> list[int]:
        """List everything, upper before lower; what is in a circle or below one is missing."""
        waits = [len(up) for up in self.upper]
        order = [n for n in range(self.size) if not waits[n]]
        for n in order:  # grows while it is read
            for m in self.lower[n]:
                waits[m] -= 1
                if not waits[m]:
                    order.append(m)
        return order

    def levels(self, order: Sequence[int]) -> list[int]:
        """Push everything down from the sources, then let down what hangs loose."""
        level = [0] * self.size
        for n in order:
            level[n] = 1 + max((level[m] for m in self.upper[n]), default=-1)
        ends = set(self.bottom.values())
        for n in reversed(order):
            if not self.lower[n] or n in ends:
                continue
            lowest = min(level[m] for m in self.lower[n]) - 1
            held = sum(self.uses[m] > 1 for m in self.upper[n] if m < self.count)
            if held < 2 or n >= self.count:
                level[n] = lowest
        return level


# -- rows -------------------------------------------------------------------------------------------------------------


def layered(
    level: Sequence[int], edges: Iterable[Edge], group: Sequence[int], weight: Sequence[int] | None = None
) -> Layers:
    """Put nodes into rows, and bends where edges pass a row.

    - `level`: of each node, from 0; every edge goes down.
    - `weight`: of each node; the line from its heaviest operand comes down to a node straight, and lines of LIGHT
      nodes turn at once.

    >>> layers = layered([0, 1, 2], [(0, 1), (1, 2), (0, 2)], [-1, -1, -1])
    >>> layers.rows, layers.bends[0, 2]
    ([[0], [1, 3], [2]], (3,))
    """
    count = len(level)
    spans = _spans(level, group)
    depth = 1 + max([*level, *(bottom for _, bottom in spans.values())], default=-1)
    rows: list[list[int]] = [[] for _ in range(depth)]
    for node, at in enumerate(level):
        rows[at].append(node)
    layers = Layers(count, list(level), list(group), rows, [[] for _ in level], [[] for _ in level])
    _add_bends(layers, edges, spans)
    _add_borders(layers, spans)
    _choose_spine(layers, weight or [LIGHT + 1] * count)
    return layers


def _spans(level: Sequence[int], group: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Give the first and the last row of each frame: one above its nodes, for the title, and one below."""
    spans: dict[int, tuple[int, int]] = {}
    for at, g in zip(level, group, strict=True):
        if g != LOOSE:
            first, last = spans.get(g, (at - 1, at + 1))
            spans[g] = min(first, at - 1), max(last, at + 1)
    return spans


def _add_bends(layers: Layers, edges: Iterable[Edge], spans: Mapping[int, tuple[int, int]]) -> None:
    """Lead each edge through the rows between its ends; those from one node into one group share their bends."""
    lines: dict[tuple[int, int], list[int]] = {}
    for u, v in edges:
        own, target = layers.group[u], layers.group[v]
        line = lines.setdefault((u, target), [])
        for at in range(layers.level[u] + 1 + len(line), layers.level[v]):
            inside = own if own != LOOSE and at <= spans[own][1] else LOOSE
            inside = target if target != LOOSE and at >= spans[target][0] else inside
            bend = layers.add(at, inside)
            layers.link(line[-1] if line else u, bend)
            line.append(bend)
        way = tuple(line[: layers.level[v] - layers.level[u] - 1])
        layers.bends[u, v] = way
        layers.link(way[-1] if way else u, v)


def _add_borders(layers: Layers, spans: Mapping[int, tuple[int, int]]) -> None:
    layers.frames = [[] for _ in layers.rows]
    for g, (first, last) in spans.items():
        sides: tuple[list[int], list[int]] = ([], [])
        for at in range(first, last + 1):
            layers.frames[at].append(g)
            for side, border in zip((-1, 1), sides, strict=True):
                item = layers.add(at, g)
                layers.side[item] = side
                if border:
                    layers.link(border[-1], item)
                border.append(item)
        layers.borders[g] = sides


def _choose_spine(layers: Layers, weight: Sequence[int]) -> None:
    """Link each node with its heaviest operands, of these with those that have the longest ways behind them.

    Of the links from one item only those to the longest ways on are kept.
    """
    behind = _ways(layers, layers.rows, layers.above)
    source = list(range(len(layers.level)))  # of the line that an item is part of
    for row in layers.rows:
        for item in row:
            if item >= layers.nodes and layers.above[item] and item not in layers.side:
                source[item] = source[layers.above[item][0]]
    links: dict[int, list[int]] = {}
    for item, ups in enumerate(layers.above):
        if item in layers.side:
            layers.spine |= {(up, item) for up in ups}
            continue
        weights = [(weight[source[up]], behind[up]) for up in ups]
        for up, own in zip(ups, weights, strict=True):
            bends = item >= layers.nodes and (up >= layers.nodes or weight[up] > LIGHT)
            if bends or (item < layers.nodes and own == max(weights)):
                links.setdefault(up, []).append(item)
    ahead = _ways(layers, layers.rows[::-1], layers.below)
    for up, lows in links.items():
        longest = max(ahead[low] for low in lows)
        layers.spine |= {(up, low) for low in lows if ahead[low] == longest}


def _ways(layers: Layers, rows: Sequence[Sequence[int]], following: Sequence[Sequence[int]]) -> list[int]:
    """Count the nodes on the longest way from each item on, in rows of which each is after those that follow."""
    way = [0] * len(layers.level)
    for row in rows:
        for item in row:
            way[item] = int(item < layers.nodes) + max((way[other] for other in following[item]), default=0)
    return way
