"""Reductions: folds over axes, and the functions that wrap them with NumPy's signatures.

In: an operand, an axis or several, `keepdims`. Out: Fold rows `sum prod max min argmax argmin any all`, whose formulas
say how one element enters the state and how two states join. The order of the joins is lowering's: each fold gives the
same meaning whether its parts are contiguous or interleaved (argmax takes the lower position among equals).
Sums and products of bools and integers are int64. A reduction of nothing is 0 for sum, 1 for prod, and refused for max,
min, argmax and argmin. It must not know loops, chunks or vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.dtypes import BOOL, INT64, DType
from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, constant_node
from symgrad.ops.axes import Axis, normalize_axes
from symgrad.ops.moves import permuted, reshaped, stretched
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, cast, describe, register, where_text
from symgrad.ops.slicing import reverse_axes
from symgrad.ops.structure import Fold, kept_shape
from symgrad.shape import Shape, Size, dim, product

__all__ = ["all", "any", "argmax", "argmin", "max", "min", "prod", "sum"]


# -- axes ----------------------------------------------------------------------------------------------------------


def axes_to_reduce(name: str, x: Expr, axis: Any) -> tuple[int, ...]:
    """Give the axes of x to reduce, sorted, from the front; None stands for all. ShapeError for an axis x has not."""
    try:
        return normalize_axes(axis, x.ndim, name)
    except ShapeError as error:
        raise ShapeError(error.what, got=describe(x), where=where_text([x]), hint=error.hint) from None


def reduced_size(node: Expr) -> Any:
    """Give how many elements of the operand one element of a reduction's result is made of."""
    return product(node.args[0].shape[a] for a in node.attrs["axes"])


def spread(value: Expr, node: Expr) -> Expr:
    """Give a value of the shape of a reduction's result to every operand element that went into it.

    The node needs an operand and the attributes `axes` and `keepdims`; the result has the operand's shape.
    """
    target = node.args[0].shape
    leading = node.attrs["axes"] == tuple(range(len(node.attrs["axes"])))
    if not (node.attrs["keepdims"] or leading):
        value = ROWS["reshape"](value, shape=kept_shape(target, node.attrs["axes"], True))
    return stretched(value, target)


# -- types ---------------------------------------------------------------------------------------------------------


def _fold_type(name: str, dtype: DType | None, empty: bool) -> Callable[[tuple[Expr, ...], Attrs], TensorType]:
    """Make the type rule of a fold: `dtype` of the result (None: the operand's), `empty` if nothing may be reduced."""

    def infer(args: tuple[Expr, ...], attrs: Attrs) -> TensorType:
        (x,) = args
        axes = attrs["axes"]
        if not empty and product(x.shape[a] for a in axes) == 0:
            raise ShapeError(f"{name}: nothing to choose from", got=describe(x), where=where_text([x]))
        return TensorType(kept_shape(x.shape, axes, attrs["keepdims"]), dtype or x.dtype)

    return infer


def _arg_type(name: str) -> Callable[[tuple[Expr, ...], Attrs], TensorType]:
    fold = _fold_type(name, INT64, empty=False)

    def infer(args: tuple[Expr, ...], attrs: Attrs) -> TensorType:
        if len(attrs["axes"]) not in (1, args[0].ndim):
            hint = "Reshape the axes into one first."
            raise ShapeError(f"{name} takes one axis, or all of them", got=f"axis={attrs['axes']}", hint=hint)
        return fold(args, attrs)

    return infer


# -- cotangents and tangents ---------------------------------------------------------------------------------------

Tangents = tuple[Expr | None, ...]


def _sum_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    return (spread(g, node),)


def _sum_jvp(node: Expr, tangents: Tangents) -> Expr:
    return ROWS["sum"](tangents[0], **node.attrs)


def shifted(x: Expr, axis: int, first: int) -> Expr:
    """Move elements one place to the back along an axis, with a number in front; the last one leaves."""
    front = ROWS["broadcast_to"](constant_node(first, x.dtype), shape=_with_size(x.shape, axis, 1))
    longer = ROWS["concatenate"](front, x, axis=axis)
    return ROWS["slice"](longer, starts=(0,) * x.ndim, stops=x.shape, steps=(1,) * x.ndim)


def _with_size(shape: Shape, axis: int, size: Size) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _product_of_others(node: Expr) -> Expr:
    """Multiply what comes before each element with what comes after it: no division, so it holds at zeros too."""
    x, axes = node.args[0], node.attrs["axes"]
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    order = (*kept, *axes)
    turned = permuted(x, order)
    lines = reshaped(turned, (*(x.shape[axis] for axis in kept), reduced_size(node)))
    last = len(kept)
    before = shifted(ROWS["cumprod"](lines, axis=last), last, 1)
    backwards = shifted(ROWS["cumprod"](reverse_axes(lines, (last,)), axis=last), last, 1)
    others = reshaped(before * reverse_axes(backwards, (last,)), turned.shape)
    return permuted(others, [order.index(axis) for axis in range(x.ndim)])


def _prod_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    return (spread(g, node) * _product_of_others(node),)


def _prod_jvp(node: Expr, tangents: Tangents) -> Expr:
    return ROWS["sum"](tangents[0] * _product_of_others(node), **node.attrs)


def _attains(node: Expr) -> tuple[Expr, Expr]:
    """Tell which elements attain the extremum, and how many of them there are."""
    attains = node.args[0] == spread(node, node)
    return attains, ROWS["sum"](cast(attains, node.dtype), **node.attrs)


def _extremum_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    """Share the cotangent evenly among the elements that attain the extremum."""
    attains, ties = _attains(node)
    return (ROWS["where"](attains, spread(g / ties, node), 0),)


def _extremum_jvp(node: Expr, tangents: Tangents) -> Expr:
    """Average the tangents of the elements that attain the extremum."""
    attains, ties = _attains(node)
    return ROWS["sum"](ROWS["where"](attains, tangents[0], 0), **node.attrs) / ties


# -- oracles -------------------------------------------------------------------------------------------------------


def _arg_oracle(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    def oracle(x: np.ndarray, *, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
        axis = axes[0] if len(axes) == 1 else None
        return np.asarray(function(x, axis=axis, keepdims=keepdims), np.int64)

    return oracle


def _fold_oracle(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    def oracle(x: np.ndarray, *, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
        return np.asarray(function(x, axis=axes, keepdims=keepdims))

    return oracle


# -- rows ----------------------------------------------------------------------------------------------------------


def _cases(sizes: tuple[int, ...], low: float = -2.0, high: float = 2.0, dtype: str = "float") -> tuple[Case, ...]:
    n = dim("n")
    one, two = Sample((n,), low, high, dtype), Sample((n, 3), low, high, dtype)
    return (
        Case((one,), {"axes": (0,), "keepdims": False}, sizes),
        Case((two,), {"axes": (0,), "keepdims": True}, sizes),
        Case((two,), {"axes": (1,), "keepdims": False}, sizes),
        Case((two,), {"axes": (0, 1), "keepdims": False}, sizes),
    )


_ANY_SIZE = (0, 1, 3, 17, 64)
_NOT_EMPTY = (1, 3, 17, 64)
_TIES = "the elements that attain the extremum share the cotangent evenly"

_sum = register(Row(
    name="sum", arity=1, operands="accumulate", infer=_fold_type("sum", None, empty=True),
    structure=Fold(state=(("s", "out"),), init=("0",), step=("s + x",), combine=("s + s_",), finish="s"),
    oracle=_fold_oracle(np.sum), vjp=_sum_vjp, jvp=_sum_jvp, cases=_cases(_ANY_SIZE), symbol="sum",
    doc="Sum over axes; bools and integers are summed in int64, nothing sums to 0.",
))  # fmt: skip

_prod = register(Row(
    name="prod", arity=1, operands="accumulate", infer=_fold_type("prod", None, empty=True),
    structure=Fold(state=(("p", "out"),), init=("1",), step=("p * x",), combine=("p * p_",), finish="p"),
    oracle=_fold_oracle(np.prod), vjp=_prod_vjp, jvp=_prod_jvp, cases=_cases(_ANY_SIZE, 0.5, 1.5), symbol="prod",
    doc="Product over axes; bools and integers are multiplied in int64, nothing multiplies to 1.",
))  # fmt: skip

_max = register(Row(
    name="max", arity=1, infer=_fold_type("max", None, empty=False),
    structure=Fold(
        state=(("m", "x"),), init=("lowest",), step=("maximum(m, x)",), combine=("maximum(m, m_)",), finish="m",
        empty=False,
    ),
    oracle=_fold_oracle(np.max), vjp=_extremum_vjp, jvp=_extremum_jvp, cases=_cases(_NOT_EMPTY), symbol="max",
    sub_gradient=_TIES,
    doc="Greatest element over axes; NaN if there is one.",
))  # fmt: skip

_min = register(Row(
    name="min", arity=1, infer=_fold_type("min", None, empty=False),
    structure=Fold(
        state=(("m", "x"),), init=("highest",), step=("minimum(m, x)",), combine=("minimum(m, m_)",), finish="m",
        empty=False,
    ),
    oracle=_fold_oracle(np.min), vjp=_extremum_vjp, jvp=_extremum_jvp, cases=_cases(_NOT_EMPTY), symbol="min",
    sub_gradient=_TIES,
    doc="Least element over axes; NaN if there is one.",
))  # fmt: skip


def _arg_fold(better: str, start: str) -> Fold:
    """Make the fold of the first position whose element is better than all before it; the first NaN is best."""
    beats = f"logical_or(x {better} best, logical_and(x != x, best == best))"
    ties = "logical_or(best_ == best, logical_and(best_ != best_, best != best))"
    wins = (
        f"logical_or(logical_or(best_ {better} best, logical_and(best_ != best_, best == best)), "
        f"logical_and({ties}, at_ < at))"
    )
    return Fold(
        state=(("best", "x"), ("at", "int64")),
        init=(start, "0"),
        step=(f"where({beats}, x, best)", f"where({beats}, i, at)"),
        combine=(f"where({wins}, best_, best)", f"where({wins}, at_, at)"),
        finish="at",
        empty=False,
    )


_argmax = register(Row(
    name="argmax", arity=1, infer=_arg_type("argmax"), structure=_arg_fold(">", "lowest"), differentiable=False,
    oracle=_arg_oracle(np.argmax), cases=_cases(_NOT_EMPTY), symbol="argmax",
    doc="Position of the greatest element along an axis, or in the flattened operand; the first of equals; NaN first.",
))  # fmt: skip

_argmin = register(Row(
    name="argmin", arity=1, infer=_arg_type("argmin"), structure=_arg_fold("<", "highest"), differentiable=False,
    oracle=_arg_oracle(np.argmin), cases=_cases(_NOT_EMPTY), symbol="argmin",
    doc="Position of the least element along an axis, or in the flattened operand; the first of equals; NaN first.",
))  # fmt: skip

_any = register(Row(
    name="any", arity=1, operands="bool", infer=_fold_type("any", BOOL, empty=True),
    structure=Fold(
        state=(("s", "bool"),), init=("lowest",), step=("logical_or(s, x)",), combine=("logical_or(s, s_)",),
        finish="s",
    ),
    oracle=_fold_oracle(np.any), cases=_cases(_ANY_SIZE, dtype="bool"), differentiable=False, symbol="any",
    doc="Whether some element is true; false for nothing.",
))  # fmt: skip

_all = register(Row(
    name="all", arity=1, operands="bool", infer=_fold_type("all", BOOL, empty=True),
    structure=Fold(
        state=(("s", "bool"),), init=("highest",), step=("logical_and(s, x)",), combine=("logical_and(s, s_)",),
        finish="s",
    ),
    oracle=_fold_oracle(np.all), cases=_cases(_ANY_SIZE, dtype="bool"), differentiable=False, symbol="all",
    doc="Whether every element is true; true for nothing.",
))  # fmt: skip


# -- functions -----------------------------------------------------------------------------------------------------


def _reduce(row: Row, x: Any, axis: Axis, keepdims: bool) -> Expr:
    node = as_expr(x)
    return row(node, axes=axes_to_reduce(row.name, node, axis), keepdims=bool(keepdims))


def sum(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Sum over the given axes, all by default; bools and integers are summed in int64.

    Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (sg.dim("N"), 3))
    >>> sg.sum(x, axis=0).shape, sg.sum(x, axis=-1, keepdims=True).shape, sg.sum(x).shape
    ((3,), (N, 1), ())
    """
    return _reduce(_sum, x, axis, keepdims)


def prod(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Multiply over the given axes, all by default; bools and integers are multiplied in int64.

    Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.prod([2.0, 3.0, 4.0]), {}))
    24.0
    """
    return _reduce(_prod, x, axis, keepdims)


def max(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Take the greatest element over the given axes, all by default; NaN if there is one.

    Elements that tie share the gradient evenly. Raises ShapeError for an axis that x does not have or that is empty.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.max([2.0, 7.0, 4.0]), {}))
    7.0
    """
    return _reduce(_max, x, axis, keepdims)


def min(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Take the least element over the given axes, all by default; NaN if there is one.

    Elements that tie share the gradient evenly. Raises ShapeError for an axis that x does not have or that is empty.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.min([2.0, 7.0, 4.0]), {}))
    2.0
    """
    return _reduce(_min, x, axis, keepdims)


def argmax(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Expr:
    """Find the position of the greatest element along an axis, or in the flattened operand; the first of equals.

    The first NaN counts as greatest. The result is int64. Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> int(sg.evaluate(sg.argmax([2.0, 7.0, 7.0]), {}))
    1
    """
    return _reduce(_argmax, x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Expr:
    """Find the position of the least element along an axis, or in the flattened operand; the first of equals.

    The first NaN counts as least. The result is int64. Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> int(sg.evaluate(sg.argmin([2.0, 1.0, 1.0]), {}))
    1
    """
    return _reduce(_argmin, x, axis, keepdims)


def _truth(x: Any) -> Expr:
    node = as_expr(x)
    return node if node.dtype is BOOL else node != 0


def any(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Tell whether some element is true (not zero) over the given axes, all by default; false for nothing.

    >>> import symgrad as sg
    >>> bool(sg.evaluate(sg.any([0.0, 2.0]), {}))
    True
    """
    return _reduce(_any, _truth(x), axis, keepdims)


def all(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Tell whether every element is true (not zero) over the given axes, all by default; true for nothing.

    >>> import symgrad as sg
    >>> bool(sg.evaluate(sg.all([0.0, 2.0]), {}))
    False
    """
    return _reduce(_all, _truth(x), axis, keepdims)
