"""Rows along an ordered axis: cumsum, cumprod, recurrence, argsort, sort, searchsorted, and top_k over them.

In: an operand and one axis. Out: Sequential nodes, whose steps each need the ones before. A linear recurrence is what
running products become when they are differentiated, and recurrences become when they are: nothing divides by an
element. A sort is the elements taken at the positions that argsort gives, so its gradient goes back to where they came
from. NaN is greater than every number. It must not know loops or scratch memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.dtypes import INT64
from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.axes import normalize_axis
from symgrad.ops.index import take_along_axis
from symgrad.ops.layout import flip, ravel
from symgrad.ops.reduce import shifted
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, describe, register, where_text
from symgrad.ops.structure import Composite, Sequential
from symgrad.shape import Size, bounds, checked_size, dim

__all__ = ["argsort", "cumprod", "cumsum", "recurrence", "searchsorted", "sort", "top_k"]

n = dim("n")


def _infer_along(args: tuple[Expr, ...], attrs: Attrs) -> TensorType:
    (x,), axis = args, attrs["axis"]
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"there is no axis {axis}", got=describe(x), where=where_text(args))
    return TensorType(x.shape, x.dtype)


def _flat(x: Any, axis: int | None, what: str) -> tuple[Expr, int]:
    """Give the operand and its axis; without an axis, its elements in a row."""
    operand = as_expr(x)
    if axis is None:
        return (operand if operand.ndim == 1 else ravel(operand)), 0
    return operand, normalize_axis(axis, operand.ndim, what)


# -- running sums and products -------------------------------------------------------------------------------------


def _from_the_end(x: Expr, axis: int) -> Expr:
    """Add up from the last element to the first."""
    return flip(ROWS["cumsum"](flip(x, axis), axis=axis), axis)


def _cumsum_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    return (_from_the_end(g, node.attrs["axis"]),)


def _recurrence_oracle(a: np.ndarray, b: np.ndarray, *, axis: int) -> np.ndarray:
    a, out = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0).copy()
    for k in range(1, len(out)):
        out[k] += a[k] * out[k - 1]
    return np.moveaxis(out, 0, axis)


def _infer_recurrence(args: tuple[Expr, ...], attrs: Attrs) -> TensorType:
    a, b = args
    if a.shape != b.shape:
        got = f"{describe(a)}, {describe(b)}"
        raise ShapeError("recurrence: every term needs a factor", got=got, where=where_text(args))
    return _infer_along((b,), attrs)


def _backward(a: Expr, g: Expr, axis: int) -> Expr:
    """Solve the recurrence of the transposed system: each element is its g, and the next one times the next factor."""
    return flip(RECURRENCE(shifted(flip(a, axis), axis, 0), flip(g, axis), axis=axis), axis)


def _recurrence_vjp(node: Expr, g: Expr) -> tuple[Expr, Expr]:
    axis = node.attrs["axis"]
    whole = _backward(node.args[0], g, axis)
    return whole * shifted(node, axis, 0), whole


def _recurrence_jvp(node: Expr, tangents: tuple[Expr | None, ...]) -> Expr:
    axis, (of_a, of_b) = node.attrs["axis"], tangents
    terms = [] if of_a is None else [of_a * shifted(node, axis, 0)]
    terms += [] if of_b is None else [of_b]
    return RECURRENCE(node.args[0], terms[0] if len(terms) == 1 else terms[0] + terms[1], axis=axis)


def _cumprod_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    """Multiply what comes before by a sum over what comes after, which is a recurrence: no division by elements."""
    axis = node.attrs["axis"]
    return (shifted(node, axis, 1) * _backward(node.args[0], g, axis),)


def _cumprod_jvp(node: Expr, tangents: tuple[Expr | None, ...]) -> Expr:
    (t,), axis = tangents, node.attrs["axis"]
    assert t is not None
    return RECURRENCE(node.args[0], t * shifted(node, axis, 1), axis=axis)


def _running_cases(low: float, high: float) -> tuple[Case, ...]:
    return (
        Case((Sample((n,), low, high),), {"axis": 0}),
        Case((Sample((3, n), low, high),), {"axis": 1}),
        Case((Sample((n, 3, 2), low, high),), {"axis": 0}, (0, 1, 3, 17)),
        Case((Sample((2, n, 3), low, high),), {"axis": 1}, (0, 1, 3, 17)),
    )


CUMSUM = register(Row(
    name="cumsum", arity=1, operands="accumulate", infer=_infer_along, structure=Sequential("cumsum"),
    oracle=lambda x, *, axis: np.cumsum(x, axis), vjp=_cumsum_vjp,
    jvp=lambda node, tangents: ROWS["cumsum"](tangents[0], **node.attrs), cases=_running_cases(-2.0, 2.0),
    doc="Sums of the elements so far along an axis; bools and integers are summed in int64.",
))  # fmt: skip

CUMPROD = register(Row(
    name="cumprod", arity=1, operands="accumulate", infer=_infer_along, structure=Sequential("cumprod"),
    oracle=lambda x, *, axis: np.cumprod(x, axis), vjp=_cumprod_vjp, jvp=_cumprod_jvp, cases=_running_cases(0.7, 1.3),
    doc="Products of the elements so far along an axis; bools and integers are multiplied in int64.",
))  # fmt: skip

RECURRENCE = register(Row(
    name="recurrence", arity=2, operands="float", infer=_infer_recurrence, structure=Sequential("recurrence"),
    oracle=_recurrence_oracle, vjp=_recurrence_vjp, jvp=_recurrence_jvp,
    cases=(
        Case((Sample((n,), -1.0, 1.0), Sample((n,))), {"axis": 0}),
        Case((Sample((2, n, 3), -1.0, 1.0), Sample((2, n, 3))), {"axis": 1}, (0, 1, 3, 17)),
    ),
    doc="Each element is y plus x times the element before, along an axis; the first is y. Running products are "
    "differentiated with it.",
))  # fmt: skip


def recurrence(x: Any, y: Any, axis: int = 0) -> Expr:
    """Give the sequence along an axis in which each element is y plus x times the element before; the first is y.

    Both operands have one shape. Raises ShapeError where they have not.

    >>> import symgrad as sg
    >>> sg.evaluate(recurrence([9.0, 0.5, 0.5], [8.0, 1.0, 1.0])).tolist()
    [8.0, 5.0, 3.5]
    """
    factors = as_expr(x)
    return RECURRENCE(factors, y, axis=normalize_axis(axis, factors.ndim, "recurrence"))


def cumsum(x: Any, axis: int | None = None) -> Expr:
    """Give the sums of the elements so far along an axis; without an axis, of the flattened x.

    Rounding errors are carried along, and do not grow with the length.

    >>> import symgrad as sg
    >>> sg.evaluate(cumsum(sg.constant([1, 2, 3]))).tolist()
    [1, 3, 6]
    """
    operand, own = _flat(x, axis, "cumsum")
    return CUMSUM(operand, axis=own)


def cumprod(x: Any, axis: int | None = None) -> Expr:
    """Give the products of the elements so far along an axis; without an axis, of the flattened x.

    Its derivatives, of any order, are right where elements are 0, too.

    >>> import symgrad as sg
    >>> sg.evaluate(cumprod(sg.constant([1, 2, 3]))).tolist()
    [1, 2, 6]
    """
    operand, own = _flat(x, axis, "cumprod")
    return CUMPROD(operand, axis=own)


# -- sorting -------------------------------------------------------------------------------------------------------


def _infer_positions(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    return TensorType(_infer_along(args, attrs).shape, INT64)


def _argsort_oracle(x: np.ndarray, *, axis: int, descending: bool) -> np.ndarray:
    if not descending:
        return np.asarray(np.argsort(x, axis, kind="stable"), np.int64)
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(backwards, axis), np.int64)


def _sort_oracle(x: np.ndarray, *, axis: int, descending: bool) -> np.ndarray:
    return np.take_along_axis(x, _argsort_oracle(x, axis=axis, descending=descending), axis)


def _define_sort(node: Expr) -> Expr:
    return take_along_axis(node.args[0], ARGSORT(node.args[0], **node.attrs), node.attrs["axis"])


_SORTED = (
    Case((Sample((n,)),), {"axis": 0, "descending": False}),
    Case((Sample((n, 3)),), {"axis": 0, "descending": True}),
    Case((Sample((2, n)),), {"axis": 1, "descending": False}),
    Case((Sample((2, n, 3), 0, 4, "int32"),), {"axis": 1, "descending": True}),
    Case((Sample((3, n), dtype="bool"),), {"axis": 1, "descending": False}),
)

ARGSORT = register(Row(
    name="argsort", arity=1, structure=Sequential("argsort"), oracle=_argsort_oracle, vjp=lambda node, g: (None,),
    infer=_infer_positions, differentiable=False, cases=_SORTED,
    doc="The positions of the elements in sorted order along an axis; equal ones keep their order, NaN is greatest.",
))  # fmt: skip

SORT = register(Row(
    name="sort", arity=1, structure=Composite(_define_sort), oracle=_sort_oracle, infer=_infer_along, cases=_SORTED,
    doc="The elements in sorted order along an axis; NaN is greatest.",
    sub_gradient="equal elements keep their order: each has the cotangent of its place",
))  # fmt: skip


def argsort(x: Any, axis: int | None = -1, descending: bool = False) -> Expr:
    """Give the positions (int64) of the elements in sorted order along an axis; None sorts the flattened x.

    The order is stable in both directions. NaN is greater than every number.

    >>> import symgrad as sg
    >>> sg.evaluate(argsort(sg.constant([3.0, 1.0, 2.0, 1.0]))).tolist()
    [1, 3, 2, 0]
    """
    operand, own = _flat(x, axis, "argsort")
    return ARGSORT(operand, axis=own, descending=bool(descending))


def sort(x: Any, axis: int | None = -1, descending: bool = False) -> Expr:
    """Give the elements in sorted order along an axis; None sorts the flattened x. NaN is greater than every number.

    >>> import symgrad as sg
    >>> sg.evaluate(sort(sg.constant([3, 1, 2]), descending=True)).tolist()
    [3, 2, 1]
    """
    operand, own = _flat(x, axis, "sort")
    return SORT(operand, axis=own, descending=bool(descending))


def top_k(x: Any, k: Size, axis: int = -1) -> tuple[Expr, Expr]:
    """Give the k greatest elements along an axis, the greatest first, and their positions (int64).

    Of equal elements the first comes first. Raises ShapeError where the axis is shorter than k.

    >>> from symgrad.ops.leaves import symbol
    >>> values, positions = top_k(symbol("x", (n, 10)), 3)
    >>> values.shape, positions.dtype.name
    ((n, 3), 'INT64')
    """
    operand = as_expr(x)
    own = normalize_axis(axis, operand.ndim, "top_k")
    k = checked_size(k)
    room = bounds(operand.shape[own] - k)[1]
    if (room is not None and room < 0) or (isinstance(k, int) and k < 0):
        raise ShapeError(f"top_k: there are no {k} elements", got=describe(operand), where=where_text([operand]))
    order = ARGSORT(operand, axis=own, descending=True)
    starts, steps = (0,) * order.ndim, (1,) * order.ndim
    stops = (*order.shape[:own], k, *order.shape[own + 1 :])
    positions = ROWS["slice"](order, starts=starts, stops=stops, steps=steps)
    return take_along_axis(operand, positions, own), positions


# -- searching -----------------------------------------------------------------------------------------------------


def _infer_search(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    ordered, values = args
    if ordered.ndim == 0 or ordered.ndim != values.ndim or ordered.shape[:-1] != values.shape[:-1]:
        got = f"{describe(ordered)}, {describe(values)}"
        raise ShapeError("searchsorted: every line of values needs a sorted line", got=got, where=where_text(args))
    if attrs["side"] not in ("left", "right"):
        raise ValueError(f"searchsorted: side is 'left' or 'right', not {attrs['side']!r}")
    return TensorType(values.shape, INT64)


def _search_oracle(ordered: np.ndarray, values: np.ndarray, *, side: str) -> np.ndarray:
    out = np.empty(values.shape, np.int64)
    for line in np.ndindex(values.shape[:-1]):
        out[line] = np.searchsorted(ordered[line], values[line], side)  # type: ignore[call-overload]
    return out


_ascending: Callable[[np.ndarray], np.ndarray] = lambda x: np.sort(x, -1)  # noqa: E731
SEARCHSORTED = register(Row(
    name="searchsorted", arity=2, operands="same", infer=_infer_search, structure=Sequential("searchsorted", core=1),
    oracle=_search_oracle, vjp=lambda node, g: (None, None), differentiable=False,
    cases=(
        Case((Sample((n,), make=_ascending), Sample((5,))), {"side": "left"}),
        Case((Sample((2, 4), make=_ascending), Sample((2, n))), {"side": "right"}),
    ),
    doc="Where values would be inserted into sorted lines (along the last axis) so that they stay sorted.",
))  # fmt: skip


def searchsorted(a: Any, v: Any, side: str = "left") -> Expr:
    """Give the positions (int64) at which values would be inserted into a sorted vector so that it stays sorted.

    - `a`: shape (n,), ascending;  `v`: any shape. `side` says whether equal elements come after or before.

    >>> import symgrad as sg
    >>> sg.evaluate(searchsorted(sg.constant([1.0, 2.0, 2.0]), sg.constant([2.0, 0.0]), side="right")).tolist()
    [3, 0]
    """
    ordered, values = as_expr(a), as_expr(v)
    if ordered.ndim != 1:
        raise ShapeError("searchsorted takes a vector", got=describe(ordered), where=where_text([ordered]))
    found = SEARCHSORTED(ordered, values if values.ndim == 1 else ravel(values), side=side)
    return found if values.ndim == 1 else ROWS["reshape"](found, shape=values.shape)
