"""Composite rows: one name for a definition in other rows, kept whole for gradients, rules and print.

In: an operand and axes. Out: `mean var softmax log_softmax logsumexp`. Each states its own cotangent, in the form that
people write and that stays finite where the definition's own derivative would not; tests prove the two equal. `define`
gives the definition, which lowering expands. It must not know how a definition is computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.expr import Expr, TensorType, Type, dim_node
from symgrad.ops.axes import Axis
from symgrad.ops.moves import reshaped
from symgrad.ops.reduce import axes_to_reduce, reduced_size, spread
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, register
from symgrad.ops.structure import Composite, kept_shape
from symgrad.shape import dim, product

__all__ = ["log_softmax", "logsumexp", "mean", "softmax", "var"]

Axes = tuple[int, ...]
Tangents = tuple[Expr | None, ...]
INFINITY = float("inf")


def _infer_fold(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,) = args
    return TensorType(kept_shape(x.shape, attrs["axes"], attrs["keepdims"]), x.dtype)


def _sum(x: Expr, axes: Axes) -> Expr:
    """Sum over axes that stay, with size 1."""
    return ROWS["sum"](x, axes=axes, keepdims=True)


def _greatest(x: Expr, axes: Axes) -> Expr:
    """Take the maximum over axes that stay: what is subtracted so that no exponential overflows."""
    return ROWS["max"](x, axes=axes, keepdims=True)


# -- mean and variance ---------------------------------------------------------------------------------------------


def _count(node: Expr) -> Expr:
    """Give the number of averaged elements as a node: a number, or a dimension that stays symbolic."""
    return dim_node(reduced_size(node), node.dtype)


def _define_mean(node: Expr) -> Expr:
    return ROWS["sum"](node.args[0], **node.attrs) / _count(node)


def _mean_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    return (spread(g / _count(node), node),)


def _mean_jvp(node: Expr, tangents: Tangents) -> Expr:
    return ROWS["mean"](tangents[0], **node.attrs)


def _mean_oracle(x: np.ndarray, *, axes: Axes, keepdims: bool) -> np.ndarray:
    count = np.prod([x.shape[a] for a in axes], dtype=x.dtype)
    return np.asarray(np.sum(x, axis=axes, keepdims=keepdims) / count, x.dtype)


def _deviation(node: Expr) -> Expr:
    x = node.args[0]
    return x - ROWS["mean"](x, axes=node.attrs["axes"], keepdims=True)


def _define_var(node: Expr) -> Expr:
    return ROWS["mean"](ROWS["square"](_deviation(node)), **node.attrs)


def _var_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    """Give 2 (x - mean) / size: the mean's own part is zero, for deviations sum to zero."""
    return (spread(2 * g / _count(node), node) * _deviation(node),)


def _var_jvp(node: Expr, tangents: Tangents) -> Expr:
    return 2 * ROWS["mean"](_deviation(node) * tangents[0], **node.attrs)


def _var_oracle(x: np.ndarray, *, axes: Axes, keepdims: bool) -> np.ndarray:
    deviation = x - _mean_oracle(x, axes=axes, keepdims=True)
    return _mean_oracle(deviation * deviation, axes=axes, keepdims=keepdims)


# -- softmax and its logarithms ------------------------------------------------------------------------------------


def _infer_softmax(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    return args[0].type


def _shifted(x: Expr, axes: Axes) -> Expr:
    return x - _greatest(x, axes)


def _define_softmax(node: Expr) -> Expr:
    (x,), axes = node.args, (node.attrs["axis"],)
    if x.shape[axes[0]] == 0:
        return x
    exponentials = ROWS["exp"](_shifted(x, axes))
    return exponentials / _sum(exponentials, axes)


def _softmax_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    return (node * (g - _sum(g * node, (node.attrs["axis"],))),)


def _softmax_jvp(node: Expr, tangents: Tangents) -> Expr:
    """Give the same as the cotangent: the Jacobian diag(p) - outer(p, p) is symmetric."""
    (t,) = tangents
    assert t is not None
    return _softmax_vjp(node, t)[0]  # type: ignore[return-value]


def _softmax_oracle(x: np.ndarray, *, axis: int) -> np.ndarray:
    exponentials = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return np.asarray(exponentials / np.sum(exponentials, axis=axis, keepdims=True))


def _define_log_softmax(node: Expr) -> Expr:
    (x,), axes = node.args, (node.attrs["axis"],)
    if x.shape[axes[0]] == 0:
        return x
    shifted = _shifted(x, axes)
    return shifted - ROWS["log"](_sum(ROWS["exp"](shifted), axes))


def _log_softmax_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    axis = node.attrs["axis"]
    return (g - ROWS["softmax"](node.args[0], axis=axis) * _sum(g, (axis,)),)


def _log_softmax_jvp(node: Expr, tangents: Tangents) -> Expr:
    (t,), axis = tangents, node.attrs["axis"]
    return t - _sum(ROWS["softmax"](node.args[0], axis=axis) * t, (axis,))


def _log_softmax_oracle(x: np.ndarray, *, axis: int) -> np.ndarray:
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)))


def _define_logsumexp(node: Expr) -> Expr:
    """Subtract the maximum where it is finite: of infinities only the logarithm itself can tell the result."""
    x, axes = node.args[0], node.attrs["axes"]
    if any(x.shape[a] == 0 for a in axes):
        return ROWS["log"](ROWS["sum"](x, **node.attrs))
    greatest = _greatest(x, axes)
    shift = ROWS["where"](abs(greatest) < INFINITY, greatest, 0)
    out = ROWS["log"](_sum(ROWS["exp"](x - shift), axes)) + shift
    return reshaped(out, node.shape)


def _shares(node: Expr) -> Expr:
    """Give each element's share of the sum of exponentials: the softmax over the axes."""
    x, axes = node.args[0], node.attrs["axes"]
    return ROWS["softmax"](x, axis=axes[0]) if len(axes) == 1 else ROWS["exp"](x - spread(node, node))


def _logsumexp_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    return (spread(g, node) * _shares(node),)


def _logsumexp_jvp(node: Expr, tangents: Tangents) -> Expr:
    return ROWS["sum"](_shares(node) * tangents[0], **node.attrs)


def _logsumexp_oracle(x: np.ndarray, *, axes: Axes, keepdims: bool) -> np.ndarray:
    greatest = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(greatest), greatest, x.dtype.type(0))
    out = np.log(np.sum(np.exp(x - shift), axis=axes, keepdims=True)) + shift
    return np.asarray(out if keepdims else np.squeeze(out, axis=axes))


# -- rows ----------------------------------------------------------------------------------------------------------


def _fold_cases(sizes: tuple[int, ...]) -> tuple[Case, ...]:
    matrix = (Sample((dim("n"), 3)),)
    return tuple(
        Case(matrix, {"axes": axes, "keepdims": keepdims}, sizes)
        for axes, keepdims in (((0,), False), ((1,), True), ((0, 1), False))
    )


_NOT_EMPTY = (1, 3, 17, 64)
_SOFTMAX_CASES = (
    Case((Sample((dim("n"), 5)),), {"axis": 1}),
    Case((Sample((dim("n"),)),), {"axis": 0}),
    Case((Sample((dim("n"), 5), 80.0, 120.0),), {"axis": 1}),
)

_mean = register(Row(
    name="mean", arity=1, operands="float", infer=_infer_fold, structure=Composite(_define_mean),
    vjp=_mean_vjp, jvp=_mean_jvp, oracle=_mean_oracle, cases=_fold_cases(_NOT_EMPTY), symbol="mean",
    doc="Mean over axes; the mean of integers is float32, of nothing NaN.",
))  # fmt: skip

_var = register(Row(
    name="var", arity=1, operands="float", infer=_infer_fold, structure=Composite(_define_var),
    vjp=_var_vjp, jvp=_var_jvp, oracle=_var_oracle, cases=_fold_cases(_NOT_EMPTY), symbol="var",
    doc="Mean squared deviation from the mean over axes; two passes, so that nothing cancels.",
))  # fmt: skip

_softmax = register(Row(
    name="softmax", arity=1, operands="float", infer=_infer_softmax, structure=Composite(_define_softmax),
    vjp=_softmax_vjp, jvp=_softmax_jvp, oracle=_softmax_oracle, cases=_SOFTMAX_CASES, symbol="softmax",
    doc="exp(x) / sum(exp(x)) along an axis, at any magnitude of x.",
))  # fmt: skip

_log_softmax = register(Row(
    name="log_softmax", arity=1, operands="float", infer=_infer_softmax, structure=Composite(_define_log_softmax),
    vjp=_log_softmax_vjp, jvp=_log_softmax_jvp, oracle=_log_softmax_oracle, cases=_SOFTMAX_CASES, symbol="log_softmax",
    doc="Logarithm of softmax along an axis, finite where softmax itself rounds to 0.",
))  # fmt: skip

_logsumexp = register(Row(
    name="logsumexp", arity=1, operands="float", infer=_infer_fold, structure=Composite(_define_logsumexp),
    vjp=_logsumexp_vjp, jvp=_logsumexp_jvp, oracle=_logsumexp_oracle, cases=_fold_cases(_NOT_EMPTY), symbol="logsumexp",
    doc="log(sum(exp(x))) over axes, at any magnitude of x; -inf of nothing and of infinities below.",
))  # fmt: skip


# -- functions -----------------------------------------------------------------------------------------------------


def _fold(row: Row, x: Any, axis: Axis, keepdims: bool) -> Expr:
    node = as_expr(x)
    return row(node, axes=axes_to_reduce(row.name, node, axis), keepdims=bool(keepdims))


def _along(row: Row, x: Any, axis: int) -> Expr:
    node = as_expr(x)
    axes = axes_to_reduce(row.name, node, axis)
    if len(axes) != 1:
        raise TypeError(f"{row.name} works along one axis, not {axis!r}")
    return row(node, axis=axes[0])


def mean(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Average over the given axes, all by default; integers average in float32.

    Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.mean([1, 2, 6]), {}))
    3.0
    """
    return _fold(_mean, x, axis, keepdims)


def var(x: Any, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Expr:
    """Average the squared deviations from the mean over the given axes, all by default.

    - `ddof`: what is subtracted from the number of elements that the sum of squares is divided by: 0 for the variance
      of a population, 1 for the unbiased estimate from a sample.

    Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.var([1.0, 3.0]), {})), float(sg.evaluate(sg.var([1.0, 3.0], ddof=1), {}))
    (1.0, 2.0)
    """
    if isinstance(ddof, bool) or not isinstance(ddof, int):
        raise TypeError(f"var: ddof is an int, not {ddof!r}")
    node = as_expr(x)
    whole = _fold(_var, node, axis, keepdims)
    if ddof == 0:
        return whole
    count = product(node.shape[a] for a in axes_to_reduce("var", node, axis))
    return whole * (dim_node(count, whole.dtype) / dim_node(count - ddof, whole.dtype))


def softmax(x: Any, axis: int = -1) -> Expr:
    """Divide exponentials by their sum along an axis; no magnitude of x overflows.

    An element -inf gets 0. Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> [float(p) for p in sg.evaluate(sg.softmax([1000.0, 1000.0]), {})]
    [0.5, 0.5]
    """
    return _along(_softmax, x, axis)


def log_softmax(x: Any, axis: int = -1) -> Expr:
    """Take the logarithm of softmax along an axis, exact where softmax itself would round to 0.

    Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> [float(p) for p in sg.evaluate(sg.log_softmax([0.0, 1000.0]), {})]
    [-1000.0, 0.0]
    """
    return _along(_log_softmax, x, axis)


def logsumexp(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    """Compute log(sum(exp(x))) over the given axes, all by default; no magnitude of x overflows.

    Raises ShapeError for an axis that x does not have.

    >>> import symgrad as sg
    >>> round(float(sg.evaluate(sg.logsumexp([1000.0, 1000.0]), {})) - 1000, 4)
    0.6931
    """
    return _fold(_logsumexp, x, axis, keepdims)
