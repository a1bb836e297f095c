"""Lengths and spreads: the row `norm`, and what is written with the rows of reductions: norms of order 1 and inf, std.

In: an operand and axes. Out: `norm` nodes, kept whole so that the cotangent is the direction `x / norm(x)`, and
compositions of other rows. It must not know how a sum is computed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.axes import Axis
from symgrad.ops.composite import var
from symgrad.ops.reduce import axes_to_reduce, spread
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, register
from symgrad.ops.structure import Composite, kept_shape
from symgrad.shape import dim

__all__ = ["norm", "std"]

Axes = tuple[int, ...]
Tangents = tuple[Expr | None, ...]


# -- the row -------------------------------------------------------------------------------------------------------


def _infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,) = args
    return TensorType(kept_shape(x.shape, attrs["axes"], attrs["keepdims"]), x.dtype)


def _define(node: Expr) -> Expr:
    return ROWS["sqrt"](ROWS["sum"](ROWS["square"](node.args[0]), **node.attrs))


def _of_nonzero(node: Expr, value: Expr) -> Expr:
    """Give the value where the length is not 0, and 0 where it is; NaN stays."""
    return ROWS["where"](node != 0, value, 0)


def _vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    """Give the direction of x, scaled; for one norm of all elements the scalars stay scalars."""
    (x,) = node.args
    if node.ndim == 0:
        return (g * x * _of_nonzero(node, 1 / node),)
    return (x * spread(_of_nonzero(node, g / node), node),)


def _jvp(node: Expr, tangents: Tangents) -> Expr:
    return _of_nonzero(node, ROWS["sum"](node.args[0] * tangents[0], **node.attrs) / node)


def _oracle(x: np.ndarray, *, axes: Axes, keepdims: bool) -> np.ndarray:
    return np.asarray(np.sqrt(np.sum(x * x, axis=axes, keepdims=keepdims)))


_n = dim("n")
_norm = register(Row(
    name="norm", arity=1, operands="float", infer=_infer, structure=Composite(_define), vjp=_vjp, jvp=_jvp,
    oracle=_oracle, symbol="norm", doc="Euclidean length over axes.",
    sub_gradient="0 at zero, where every vector no longer than 1 is a sub-gradient",
    cases=tuple(
        Case((Sample((_n, 3), 0.5, 2.0),), {"axes": axes, "keepdims": keepdims}, (1, 3, 17, 64))
        for axes, keepdims in (((0,), False), ((1,), True), ((0, 1), False))
    ),
))  # fmt: skip


# -- functions -----------------------------------------------------------------------------------------------------


def norm(x: Any, ord: float = 2, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Measure the length of vectors: of all elements together, or of those along the given axes.

    - `ord`: 2 for the root of the sum of squares, 1 for the sum of magnitudes, `math.inf` for the greatest magnitude.

    The norm of a matrix is that of the vector of its elements (Frobenius for 2). Raises ShapeError for an axis that x
    does not have, ValueError for another order.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.norm([3.0, -4.0]), {})), float(sg.evaluate(sg.norm([3.0, -4.0], 1), {}))
    (5.0, 7.0)
    """
    node = as_expr(x)
    given: dict[str, Any] = {"axes": axes_to_reduce("norm", node, axis), "keepdims": bool(keepdims)}
    if ord == 2:
        return _norm(node, **given)
    if ord == 1:
        return ROWS["sum"](ROWS["abs"](node), **given)
    if ord == math.inf:
        return ROWS["max"](ROWS["abs"](node), **given)
    raise ValueError(f"norm: the order is 1, 2 or inf, not {ord!r}")


def std(x: Any, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Expr:
    """Take the root of the variance over the given axes, all by default; `ddof` is explained at `var`.

    Its derivative is not defined where all elements are equal. Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.std([1.0, 3.0]), {}))
    1.0
    """
    return ROWS["sqrt"](var(x, axis, ddof=ddof, keepdims=keepdims))
