"""The order within the rows of a drawing: few crossings, operands from left to right, frames in one piece.

In: `Layers`. Out: the same with the rows in order. Rows are swept downwards and upwards, each item going to the median
of what it is linked to in the row before; the best order seen stays. A frame's items stand together between its
borders, and frames stand in one order in all rows that they share. It must not know widths or places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from symgrad.drawing.layering import LOOSE, Layers

__all__ = ["crossings", "order_rows"]

_SMALL, _MEDIUM = 2_000, 20_000  # items up to which there are many sweeps, and some
_PATIENCE = 4  # sweeps without an improvement before the search ends


def order_rows(layers: Layers, *, spread: bool = False) -> int:
    """Order the rows in place; give the number of crossings that are left.

    `spread` starts with the results, in their order, to the right and to the left of the first by turns.
    """
    _start(layers, spread=spread)
    ranks = _group_ranks(layers)
    for at in range(len(layers.rows)):
        layers.rows[at] = _arranged(layers, at, {}, ranks, _from_above)
    best, fewest, idle = [list(row) for row in layers.rows], crossings(layers), 0
    size = len(layers.level)
    sweeps = 24 if size <= _SMALL else 8 if size <= _MEDIUM else 3
    for number in range(sweeps):
        if not fewest or idle == _PATIENCE:
            break
        _sweep(layers, down=number % 2 == 0)
        found = crossings(layers)
        idle = idle + 1
        if found < fewest:
            best, fewest, idle = [list(row) for row in layers.rows], found, 0
    layers.rows[:] = best
    return fewest


def crossings(layers: Layers) -> int:
    """Count the crossings of links between successive rows, and operands that arrive in the wrong order."""
    total = 0
    for upper, lower in zip(layers.rows, layers.rows[1:], strict=False):
        place = {item: i for i, item in enumerate(upper)}
        ends: list[tuple[int, int]] = []  # (place of the upper end, port), ports counted from left to right
        port = 0
        for item in lower:
            for up in layers.above[item]:
                ends.append((place[up], port))
                port += 1
        ends.sort()
        total += _inversions([p for _, p in ends])
    return total


def _inversions(ports: Sequence[int]) -> int:
    """Count the pairs out of order, with a tree of partial sums."""
    size, total = len(ports), 0
    tree = [0] * (size + 1)
    for seen, port in enumerate(ports):
        at, before = port + 1, 0
        while at:
            before += tree[at]
            at &= at - 1
        total += seen - before
        at = port + 1
        while at <= size:
            tree[at] += 1
            at += at & -at
    return total


# -- the first order --------------------------------------------------------------------------------------------------


def _start(layers: Layers, *, spread: bool) -> None:
    """Order rows as a walk from the results finds their items, first operands first."""
    rows: list[list[int]] = [[] for _ in layers.rows]
    seen: set[int] = set()
    ends = [item for row in layers.rows for item in row if not layers.below[item] and item not in layers.side]
    ends.sort()
    if spread:
        ends = [*ends[1::2][::-1], *ends[::2]]
    stack = [(item, False) for item in reversed(ends)]
    while stack:
        item, done = stack.pop()
        if done:
            rows[layers.level[item]].append(item)
        elif item not in seen:
            seen.add(item)
            stack.append((item, True))
            stack += [(up, False) for up in reversed(layers.above[item]) if up not in seen]
    layers.rows[:] = rows


# -- sweeps -----------------------------------------------------------------------------------------------------------

Places = dict[int, float]
Wanted = Callable[[Layers, int, Places], "float | None"]


def _sweep(layers: Layers, *, down: bool) -> None:
    ranks = _group_ranks(layers)
    rows = range(len(layers.rows)) if down else range(len(layers.rows) - 1, -1, -1)
    place: Places = {}
    for at in rows:
        layers.rows[at] = _arranged(layers, at, place, ranks, _from_above if down else _from_below)
        place |= {item: float(i) for i, item in enumerate(layers.rows[at])}


def _from_above(layers: Layers, item: int, place: Places) -> float | None:
    return _median([place[up] for up in layers.above[item] if up in place])


def _from_below(layers: Layers, item: int, place: Places) -> float | None:
    """Give the median of the users' places, a little to the side for what is the first or the last operand."""
    found = []
    for user in layers.below[item]:
        if user in place:
            operands = layers.above[user]
            found.append(place[user] + (operands.index(item) + 0.5) / len(operands) - 0.5)
    return _median(found)


def _median(values: list[float]) -> float | None:
    """Give the middle value; of an even number, the mean of the two in the middle, weighted to the denser side."""
    if not values:
        return None
    values.sort()
    middle, odd = divmod(len(values), 2)
    if odd:
        return values[middle]
    if len(values) == 2:
        return (values[0] + values[1]) / 2
    left, right = values[middle - 1] - values[0], values[-1] - values[middle]
    if left + right == 0:
        return (values[middle - 1] + values[middle]) / 2
    return (values[middle - 1] * right + values[middle] * left) / (left + right)


@dataclass(slots=True)
class _Unit:
    """What stays in one piece: an item in no frame, or the items that a frame has in a row."""

    key: float | None
    group: int
    items: list[int]


def _arranged(layers: Layers, at: int, place: Places, ranks: dict[int, int], wanted: Wanted) -> list[int]:
    """Order a row by where its items want to stand, frames in one piece; who wants nothing keeps his place."""
    units: dict[int, _Unit] = {}  # frames by -1 - group, items by themselves
    keys: dict[int, float | None] = {}
    for item in layers.rows[at]:
        if item in layers.side:
            continue
        keys[item] = wanted(layers, item, place)
        g = layers.group[item]
        if g == LOOSE:
            units[item] = _Unit(keys[item], LOOSE, [item])
        else:
            units.setdefault(-1 - g, _Unit(None, g, [])).items.append(item)
    for g in layers.frames[at]:
        unit = units.setdefault(-1 - g, _Unit(None, g, []))
        own = unit.items or [sides[at - layers.level[sides[0]]] for sides in layers.borders[g]]
        known = [k for item in own if (k := keys.get(item, wanted(layers, item, place))) is not None]
        unit.key = sum(known) / len(known) if known else None
        unit.items = _settled([(keys[item], item) for item in unit.items])
    order = _settled([(unit.key, unit) for unit in units.values()])
    frames = iter(sorted((unit for unit in order if unit.group != LOOSE), key=lambda unit: ranks[unit.group]))
    row: list[int] = []
    for unit in order:
        row += unit.items if unit.group == LOOSE else _framed(layers, at, next(frames))
    return row


def _framed(layers: Layers, at: int, unit: _Unit) -> list[int]:
    left, right = layers.borders[unit.group]
    row = at - layers.level[left[0]]
    return [left[row], *unit.items, right[row]]


T = TypeVar("T")


def _settled(entries: Sequence[tuple[float | None, T]]) -> list[T]:
    """Sort what has a key into the places of what has one; the rest stays where it is."""
    keyed = sorted(((key, i) for i, (key, _) in enumerate(entries) if key is not None))
    following = (entries[i][1] for _, i in keyed)
    return [value if key is None else next(following) for key, value in entries]


def _group_ranks(layers: Layers) -> dict[int, int]:
    """Order frames from left to right, by where their items stand."""
    found: dict[int, list[float]] = {g: [] for g in layers.borders}
    for row in layers.rows:
        for i, item in enumerate(row):
            if layers.group[item] != LOOSE:
                found[layers.group[item]].append((i + 1) / (len(row) + 1))
    means = {g: sum(places) / max(1, len(places)) for g, places in found.items()}
    return {g: rank for rank, g in enumerate(sorted(means, key=lambda g: (means[g], g)))}
