"""Guards: what must hold of computed and given indices before anything is read through them.

In: the graph as its user wrote it. Out: for every operator that indexes, a rank-0 bool expression that is true when a
position lies outside its axis; programs evaluate them before the operator and stop. It must not know kernels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from symgrad import side
from symgrad.dtypes import BOOL, INT64
from symgrad.expr import Expr, topological
from symgrad.ops.row import ROWS, cast, row_of
from symgrad.ops.structure import Gather, Layout, Scatter
from symgrad.shape import Size


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """`flag` is true when an element of `indices` is no position of an axis of this extent; `node` reads through it."""

    flag: Expr
    node: Expr
    indices: Expr
    extent: Size


def find_guards(roots: Iterable[Expr], trusted: Collection[Expr] = ()) -> list[Guard]:
    """List the guards of a graph, operands first; `trusted` indices have been checked already."""
    found: list[Guard] = []
    known = set(trusted)
    with side.building_at(None):
        for node in topological(roots):
            for indices, extent in _indexed(node):
                if indices not in known and not _is_safe(indices, extent):
                    found.append(Guard(_outside(indices, extent), node, indices, extent))
    return found


def _indexed(node: Expr) -> list[tuple[Expr, Size]]:
    structure = row_of(node).structure
    if isinstance(structure, Gather | Scatter):
        return [(node.args[1], structure.extent(node))]
    return [(node.args[0], node.attrs["depth"])] if node.op == "one_hot" else []


def _is_safe(indices: Expr, extent: Size) -> bool:
    """Tell whether positions are right by construction: 0, 1, ... below the extent, in any order, or a bool."""
    while isinstance(row_of(indices).structure, Layout):
        (indices,) = indices.args
    if indices.op == "argsort":
        return bool(indices.shape[indices.attrs["axis"]] == extent)
    if indices.op == "arange":
        return bool(indices.attrs["start"] == 0 and indices.attrs["step"] == 1 and indices.shape[0] == extent)
    return indices.dtype is BOOL


def _outside(indices: Expr, extent: Size) -> Expr:
    wide = cast(indices, INT64)
    bad = ROWS["logical_or"](ROWS["less"](wide, 0 - extent), ROWS["greater_equal"](wide, extent))
    return ROWS["any"](bad, axes=tuple(range(bad.ndim)), keepdims=False)
