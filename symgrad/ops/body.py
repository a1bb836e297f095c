"""Graphs inside nodes: what a `Body` means for given operands, and the barrier behind which a region is computed anew.

In: bodies and operands. Out: the graph of a body over these operands (`substitute`), graphs in which no operator holds
a body any more (`inline`: what is compiled), and the rows `recompute` and `corner`. `recompute(x, after)` is x, but no
pass may take it for x, nor compute it before `after` exists: so the copy of a region that starts behind it shares no
value with the original, and lives only where it is needed. It must not know derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from symgrad import side
from symgrad.errors import ShapeError
from symgrad.expr import Body, Expr, TensorType, Type, rebuild, topological
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, describe, register, row_of, where_text
from symgrad.ops.structure import Composite, Indices, Layout, Map
from symgrad.shape import dim

__all__: list[str] = []

n = dim("n")


def replaced(roots: Sequence[Expr], values: Mapping[Expr, Expr]) -> list[Expr]:
    """Give the roots with some nodes replaced by others of the same types; iterative, shared parts stay shared."""
    known = dict(values)
    for node in topological(roots, stop=known.__contains__):
        if node not in known:
            known[node] = rebuild(node, tuple(known[arg] for arg in node.args))
    return [known[root] for root in roots]


def substitute(body: Body, args: Sequence[Expr]) -> list[Expr]:
    """Give the outputs of a body for these operands.

    >>> from symgrad.ops.leaves import symbol
    >>> x, y = symbol("x", (3,)), symbol("y", (3,))
    >>> substitute(Body([x], [ROWS["exp"](x)]), [y])[0] is ROWS["exp"](y)
    True
    """
    return replaced(body.outputs, dict(zip(body.inputs, args, strict=True)))


def holds_body(node: Expr) -> bool:
    """Tell whether a node is defined by a graph of its own."""
    return any(isinstance(value, Body) for value in node.attrs.values())


def inline(roots: Sequence[Expr]) -> list[Expr]:
    """Replace every node that holds a body by its definition, also inside definitions."""
    with side.building_at(None):
        known: dict[Expr, Expr] = {}
        for node in topological(roots):
            new = rebuild(node, tuple(known[arg] for arg in node.args))
            structure = row_of(new).structure
            if isinstance(structure, Composite) and holds_body(new):
                (new,) = inline([structure.define(new)])
            known[node] = new
    return [known[root] for root in roots]


# -- the barrier ---------------------------------------------------------------------------------------------------


def _infer_recompute(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    x, after = args
    if after.ndim != 0:
        raise ShapeError("recompute waits for a scalar", got=describe(after), where=where_text(args))
    return x.type


RECOMPUTE = register(
    Row(
        name="recompute", structure=Map("x"), arity=2, infer=_infer_recompute, derivatives=("1", "0"),
        oracle=lambda x, after: np.array(x),
        doc="x itself, computed anew once the second operand exists; its value is not used.",
        cases=(Case((Sample((n, 3)), Sample(()))), Case((Sample(()), Sample(())), sizes=(1,))),
    )
)  # fmt: skip


def _infer_corner(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,), keep = args, attrs["keep"]
    if not 0 <= keep <= x.ndim:
        raise ShapeError(f"corner: there are no {keep} axes to keep", got=describe(x), where=where_text(args))
    return TensorType(x.shape[:keep], x.dtype)


def _corner_index(node: Expr, index: Indices) -> Indices:
    return (*index, *(0,) * (node.args[0].ndim - len(index)))


def _corner_oracle(x: np.ndarray, *, keep: int) -> np.ndarray:
    """Take the first elements; where there is none, nobody may look at the result."""
    if 0 in x.shape[keep:]:
        return np.zeros(x.shape[:keep], x.dtype)
    return np.asarray(x[(slice(None),) * keep + (0,) * (x.ndim - keep)])


def _corner_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    (x,), kept = node.args, node.shape
    piece = ROWS["reshape"](g, shape=(*kept, *(1,) * (x.ndim - len(kept))))
    return (ROWS["place"](piece, shape=x.shape, starts=(0,) * x.ndim, steps=(1,) * x.ndim),)


CORNER = register(
    Row(
        name="corner", structure=Layout(_corner_index), arity=1, infer=_infer_corner, oracle=_corner_oracle,
        vjp=_corner_vjp, doc="The elements at position 0 of all axes but the first `keep`.",
        cases=(
            Case((Sample((n, 3)),), {"keep": 0}, sizes=(1, 3, 17)),
            Case((Sample((n, 3, 2)),), {"keep": 1}, sizes=(1, 3, 17)),
        ),
    )
)  # fmt: skip


def barrier(x: Expr, after: Expr) -> Expr:
    """Give x behind a barrier that opens when `after`, of any shape, is known."""
    return RECOMPUTE(x, after if after.ndim == 0 else CORNER(after, keep=0))
