"""Products of matrices: the row `matmul`, and NumPy's functions that are written with it.

In: operands of rank 1 and more; `matmul` contracts the last axis of the first with the second-last (or only) axis of
the second, and broadcasts all axes before. Out: Contraction nodes; cotangents are matrix products of transposes, which
the printers show as `g @ W.T` and `x.T @ g`. It must not know tiles, panels or strides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.axes import normalize_axis
from symgrad.ops.moves import permuted, reshaped, transposed
from symgrad.ops.row import (
    ROWS,
    Attrs,
    Case,
    Row,
    Sample,
    as_expr,
    describe,
    factor,
    label,
    register,
    unbroadcast,
    where_text,
)  # fmt: skip
from symgrad.ops.structure import Axes, Contraction
from symgrad.shape import Shape, Size, broadcast_shapes, dim, format_shape, product

__all__ = ["dot", "inner", "matmul", "outer", "tensordot", "vdot"]


# -- type ----------------------------------------------------------------------------------------------------------


def _contracted(x: Expr, side: int) -> int:
    """Give the contracted axis of the left (0) or the right (1) operand."""
    return x.ndim - 1 if side == 0 or x.ndim == 1 else x.ndim - 2


def _infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    left, right = args
    for x in args:
        if x.ndim == 0:
            got, hint = ", ".join(map(describe, args)), "Use * to scale by a scalar."
            raise ShapeError("matmul takes no scalars", got=got, where=where_text(args), hint=hint)
    inner, other = left.shape[_contracted(left, 0)], right.shape[_contracted(right, 1)]
    if inner != other:
        raise _mismatch(left, right, inner, other)
    batch = _batch_shape(left, right)
    return TensorType((*batch, *left.shape[-2:-1], *(right.shape[-1:] if right.ndim > 1 else ())), left.dtype)


def _batch_shape(left: Expr, right: Expr) -> Shape:
    if left.ndim <= 2 and right.ndim <= 2:
        return ()
    try:
        return broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ShapeError:
        got = ", ".join(map(describe, (left, right)))
        hint = "The axes before the last two broadcast: equal sizes, or the size 1."
        raise ShapeError(
            "matmul: batch axes do not broadcast", got=got, where=where_text((left, right)), hint=hint
        ) from None


def _mismatch(left: Expr, right: Expr, inner: Size, other: Size) -> ShapeError:
    """Make the error that names both operands as the user did, and the likeliest repair."""
    what = f"{factor(left)} @ {factor(right)}: contracted dimensions differ: {describe(left)}, {describe(right)}"
    return ShapeError(what, got=f"{inner} != {other}", where=where_text([right]), hint=_repair(left, right))


def _repair(left: Expr, right: Expr) -> str:
    inner = left.shape[-1]
    if right.ndim == 2 and right.shape[1] == inner:
        return f"Did you mean {factor(left)} @ {factor(right)}.T?"
    if left.ndim == 2 and left.shape[0] == right.shape[_contracted(right, 1)]:
        return f"Did you mean {factor(left)}.T @ {factor(right)}?"
    if right.op in ("parameter", "symbol"):
        axis = _contracted(right, 1)
        wanted = (*right.shape[:axis], inner, *right.shape[axis + 1 :])
        return f"Did you mean {label(right)} of shape {format_shape(wanted)}?"
    return "The last axis of the left operand meets the second-last axis (or the only one) of the right."


# -- structure -----------------------------------------------------------------------------------------------------


def _axes(node: Expr) -> Axes:
    """Label the axes: those of the result by their place in it, the contracted one by the next number."""
    left, right = node.args
    batch = node.ndim - (left.ndim > 1) - (right.ndim > 1)
    contracted = node.ndim

    def labels(x: Expr, core: tuple[int, ...]) -> tuple[int, ...]:
        own = max(x.ndim - 2, 0)
        return (*range(batch - own, batch), *core)

    return Axes(
        left=labels(left, (batch, contracted) if left.ndim > 1 else (contracted,)),
        right=labels(right, (contracted, node.ndim - 1) if right.ndim > 1 else (contracted,)),
        out=tuple(range(node.ndim)),
    )


# -- cotangents ----------------------------------------------------------------------------------------------------


def _vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    left, right = node.args
    if left.ndim == 1 and right.ndim == 1:
        return g * right, g * left
    if right.ndim == 2 and left.ndim >= 2:
        return _row(g, transposed(right)), _weight_cotangent(left, g)
    if left.ndim == 1 and right.ndim == 2:
        return _row(right, g), outer(left, g)
    if left.ndim == 2 and right.ndim == 1:
        return outer(g, right), _row(transposed(left), g)
    return _batched_vjp(left, right, g)


def _weight_cotangent(left: Expr, g: Expr) -> Expr:
    """Contract over every axis that the result shares with the left operand: a stack of rows is one tall matrix."""
    if left.ndim > 2:
        left = reshaped(left, (product(left.shape[:-1]), left.shape[-1]))
        g = reshaped(g, (product(g.shape[:-1]), g.shape[-1]))
    return _row(transposed(left), g)


def _batched_vjp(left: Expr, right: Expr, g: Expr) -> tuple[Expr, Expr]:
    """Treat vectors as matrices of one row or column, then undo the broadcasting of the batch axes."""
    a = reshaped(left, (1, *left.shape)) if left.ndim == 1 else left
    b = reshaped(right, (*right.shape, 1)) if right.ndim == 1 else right
    if left.ndim == 1:
        g = reshaped(g, (*g.shape[:-1], 1, g.shape[-1]))
    if right.ndim == 1:
        g = reshaped(g, (*g.shape, 1))
    da, db = unbroadcast(_row(g, transposed(b)), a), unbroadcast(_row(transposed(a), g), b)
    return reshaped(da, left.shape), reshaped(db, right.shape)


# -- the row -------------------------------------------------------------------------------------------------------

_n = dim("n")
_row = register(Row(
    name="matmul", arity=2, operands="arithmetic", infer=_infer, structure=Contraction(_axes), vjp=_vjp,
    oracle=lambda x, y: np.asarray(np.matmul(x, y)), symbol="@", latex=r"{x} {y}",
    doc="Matrix product of the last two axes, the others broadcast; a rank-1 operand is a row on the left, a column on "
    "the right.",
    cases=(
        Case((Sample((_n, 7)), Sample((7, 5)))),
        Case((Sample((3, _n)), Sample((_n, 5)))),
        Case((Sample((_n,)), Sample((_n,)))),
        Case((Sample((_n,)), Sample((_n, 3)))),
        Case((Sample((3, _n)), Sample((_n,)))),
        Case((Sample((2, _n, 3)), Sample((2, 3, 4)))),
        Case((Sample((2, _n, 3)), Sample((3, 4)))),
        Case((Sample((2, 1, _n, 3)), Sample((5, 3, 2))), sizes=(0, 1, 3, 17)),
        Case((Sample((3,)), Sample((2, 3, _n))), sizes=(0, 1, 3, 17)),
        Case((Sample((2, _n, 3)), Sample((3,)))),
    ),
))  # fmt: skip


# -- functions -----------------------------------------------------------------------------------------------------


def matmul(x: Any, y: Any) -> Expr:
    """Multiply matrices: `x @ y`, as NumPy does for vectors, matrices and stacks of them.

    - `x`: shape (..., m, k) or (k,);  `y`: shape (..., k, n) or (k,). The axes `...` broadcast.

    Raises ShapeError where the contracted sizes differ, batch axes do not broadcast or an operand is a scalar.

    >>> import symgrad as sg
    >>> x, W = sg.symbol("x", (sg.dim("N"), 784)), sg.symbol("W", (784, 10))
    >>> (x @ W).shape
    (N, 10)
    """
    return _row(x, y)


def dot(x: Any, y: Any) -> Expr:
    """Contract the last axis of x with the second-last (or only) axis of y; a scalar scales.

    For stacks of matrices this is NumPy's dot: no batch axes, every matrix of x meets every matrix of y.

    >>> import symgrad as sg
    >>> sg.dot(sg.symbol("a", (2, 3)), sg.symbol("b", (3,))).shape
    (2,)
    """
    a, b = as_expr(x), as_expr(y)
    if a.ndim == 0 or b.ndim == 0:
        return ROWS["multiply"](x, y)
    if b.ndim <= 2:
        return _row(x, y)
    return tensordot(x, y, axes=([-1], [-2]))


def inner(x: Any, y: Any) -> Expr:
    """Contract the last axes of both operands; a scalar scales.

    >>> import symgrad as sg
    >>> sg.inner(sg.symbol("a", (2, 3)), sg.symbol("b", (5, 3))).shape
    (2, 5)
    """
    a, b = as_expr(x), as_expr(y)
    if a.ndim == 0 or b.ndim == 0:
        return ROWS["multiply"](x, y)
    if b.ndim == 1:
        return _row(x, y)
    return tensordot(x, y, axes=([-1], [-1]))


def outer(x: Any, y: Any) -> Expr:
    """Multiply every element of x with every element of y; both are flattened first.

    >>> import symgrad as sg
    >>> sg.outer(sg.symbol("a", (2,)), sg.symbol("b", (3,))).shape
    (2, 3)
    """
    a, b = as_expr(x), as_expr(y)
    return reshaped(a, (a.size, 1)) * reshaped(b, (1, b.size))


def vdot(x: Any, y: Any) -> Expr:
    """Sum the products of equally placed elements; both operands are flattened first.

    >>> import symgrad as sg
    >>> sg.vdot(sg.symbol("a", (2, 3)), sg.symbol("b", (2, 3))).shape
    ()
    """
    a, b = as_expr(x), as_expr(y)
    return _row(reshaped(a, (a.size,)), reshaped(b, (b.size,)))


def tensordot(x: Any, y: Any, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Expr:
    """Contract several axes at once: the last `axes` of x with the first of y, or the listed pairs.

    Raises ShapeError where paired sizes differ or the lists have different lengths.

    >>> import symgrad as sg
    >>> sg.tensordot(sg.symbol("a", (2, 3, 4)), sg.symbol("b", (4, 3, 5)), axes=([1, 2], [1, 0])).shape
    (2, 5)
    """
    a, b = as_expr(x), as_expr(y)
    pairs = (range(a.ndim - axes, a.ndim), range(axes)) if isinstance(axes, int) else axes
    left = [normalize_axis(axis, a.ndim, "tensordot") for axis in pairs[0]]
    right = [normalize_axis(axis, b.ndim, "tensordot") for axis in pairs[1]]
    if [a.shape[i] for i in left] != [b.shape[i] for i in right]:
        got = f"{describe(a)}, {describe(b)}, axes {left} and {right}"
        raise ShapeError("tensordot: paired axes differ in size", got=got, where=where_text((a, b)))
    rows, columns = _others(a, left), _others(b, right)
    shape = (*(a.shape[i] for i in rows), *(b.shape[i] for i in columns))
    return reshaped(_row(_matrix(a, rows, left), _matrix(b, right, columns)), shape)


def _others(x: Expr, axes: Sequence[int]) -> list[int]:
    return [i for i in range(x.ndim) if i not in axes]


def _matrix(x: Expr, first: Sequence[int], second: Sequence[int]) -> Expr:
    """Bring axes into the order first, second, and join each group into one."""
    x = permuted(x, (*first, *second))
    return reshaped(x, (product(x.shape[: len(first)]), product(x.shape[len(first) :])))
