"""Tensors made of nothing but their shape, and matrices by their diagonal: `arange full eye`, `diagonal tril triu`.

In: shapes, which may be symbolic, and operands whose axes are taken as matrices. Out: the row `arange`, which counts;
broadcast numbers; masks that compare row and column numbers; and the row `diagonal`. It must not know what reads them.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from symgrad.dtypes import BOOL, DEFAULT_FLOAT, DType, as_dtype, weak_kind
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.axes import as_shape, as_sizes, is_negative, may_be_negative, normalize_axis
from symgrad.ops.layout import BROADCAST_TO, expand_dims
from symgrad.ops.moves import permuted
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, cast, describe, register, where_text
from symgrad.ops.slicing import SLICE, slice_length
from symgrad.ops.structure import Coordinate, Indices, Layout
from symgrad.shape import Dim, Size, dim

__all__ = [
    "arange", "diag", "diagonal", "eye", "full", "full_like", "ones", "ones_like", "trace", "tril", "triu", "zeros",
    "zeros_like",
]  # fmt: skip

n = dim("n")


# -- arange -------------------------------------------------------------------------------------------------------


def _infer_arange(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    if is_negative(attrs["size"]):
        raise ShapeError("arange: the number of elements is negative", got=str(attrs["size"]))
    return TensorType((attrs["size"],), attrs["dtype"])


def _arange_value(node: Expr, index: Indices) -> Size:
    start: Size = node.attrs["start"]
    step: int = node.attrs["step"]
    return start + step * index[0]


ARANGE: Row = register(
    Row(
        name="arange", structure=Coordinate(_arange_value), arity=0, infer=_infer_arange, vjp=lambda node, g: (),
        oracle=lambda *, start, step, size, dtype: (np.arange(size) * step + start).astype(dtype.numpy),
        differentiable=False, doc="start, start + step, ...: `size` numbers.",
        cases=(
            Case((), {"start": 0, "step": 1, "size": n, "dtype": DType.INT64}),
            Case((), {"start": n, "step": -2, "size": n, "dtype": DType.INT32}),
            Case((), {"start": 3, "step": 2, "size": n, "dtype": DType.FLOAT32}),
        ),
    )
)  # fmt: skip


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Expr:
    """Give the numbers from start to stop (not included) in steps; one argument is the stop.

    Bounds are ints, dimensions (the step an int), or Python floats. The dtype is int64, float32 where a float is given.

    >>> arange(n).shape, arange(n, 0, -2).shape, arange(0.0, 1.0, 0.25).dtype.name
    ((n,), ((n + 1)//2,), 'FLOAT32')
    """
    first, last = (0, start) if stop is None else (start, stop)
    if any(weak_kind(v) == "f" for v in (first, last, step)):
        return _float_range(float(first), float(last), float(step), as_dtype(dtype or DEFAULT_FLOAT))
    element = as_dtype(dtype or DType.INT64)
    if element is BOOL:
        raise DTypeError("arange has no bool form", hint="Compare: sg.arange(2) != 0.")
    begin, end = as_sizes((first, last), "arange")
    stride = _int_step(step)
    return ARANGE(start=begin, step=stride, size=_count(begin, end, stride), dtype=element)


def _count(start: Size, stop: Size, step: int) -> Size:
    ahead = stop - start if step > 0 else start - stop
    return 0 if is_negative(ahead) else slice_length(start, stop, step)


def _int_step(step: Any) -> int:
    if isinstance(step, (bool, Dim)) or not hasattr(step, "__index__"):
        raise TypeError(f"arange: the step is an int, not {step!r}")
    if operator.index(step) == 0:
        raise ValueError("arange: the step is 0. Use sg.broadcast_to for equal elements.")
    return operator.index(step)


def _float_range(start: float, stop: float, step: float, dtype: DType) -> Expr:
    if step == 0.0:
        raise ValueError("arange: the step is 0. Use sg.broadcast_to for equal elements.")
    count = max(0, math.ceil((stop - start) / step))
    index = ARANGE(start=0, step=1, size=count, dtype=dtype)
    return ROWS["add"](ROWS["multiply"](index, step), start)


# -- one number ----------------------------------------------------------------------------------------------------


def full(shape: Any, value: Any, dtype: Any = None) -> Expr:
    """Give a tensor in which every element is the value, a number or a tensor that broadcasts to the shape.

    Raises ShapeError for a negative size, or a value that does not broadcast.

    >>> import symgrad as sg
    >>> sg.full((sg.dim("N"), 3), 0.5).shape
    (N, 3)
    """
    element = None if dtype is None else as_dtype(dtype)
    operand = as_expr(value, element)
    if element is not None:
        operand = cast(operand, element)
    sizes = as_shape(shape, "full")
    return operand if operand.shape == sizes else BROADCAST_TO(operand, shape=sizes)


def zeros(shape: Any, dtype: Any = DEFAULT_FLOAT) -> Expr:
    """Give a tensor of zeros, of float32 unless told otherwise."""
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = DEFAULT_FLOAT) -> Expr:
    """Give a tensor of ones, of float32 unless told otherwise."""
    return full(shape, 1, dtype)


def full_like(x: Any, value: Any, dtype: Any = None) -> Expr:
    """Give a tensor of the shape and dtype of x in which every element is the value."""
    operand = as_expr(x)
    return full(operand.shape, value, operand.dtype if dtype is None else dtype)


def zeros_like(x: Any, dtype: Any = None) -> Expr:
    """Give zeros of the shape and dtype of x."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Expr:
    """Give ones of the shape and dtype of x."""
    return full_like(x, 1, dtype)


# -- masks ---------------------------------------------------------------------------------------------------------


def _numbers(size: Size, axis: int, offset: Size = 0) -> Expr:
    """Give the numbers of a matrix' rows as a column (axis 0), or of its columns as a row (axis 1)."""
    return expand_dims(ARANGE(start=offset, step=1, size=size, dtype=DType.INT64), 1 - axis)


def eye(rows: Any, columns: Any = None, k: int = 0, dtype: Any = DEFAULT_FLOAT) -> Expr:
    """Give the matrix with ones on its k-th diagonal and zeros elsewhere; k > 0 lies above the main diagonal.

    >>> import symgrad as sg
    >>> sg.evaluate(sg.eye(2, 3, k=1), {}).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    height, width = as_shape((rows, rows if columns is None else columns), "eye")
    (offset,) = as_sizes(k, "eye")
    return cast(ROWS["equal"](_numbers(height, 0, offset), _numbers(width, 1)), as_dtype(dtype))


def _matrices(what: str, x: Any) -> Expr:
    operand = as_expr(x)
    if operand.ndim < 2:
        raise ShapeError(f"{what} takes two axes or more", got=describe(operand), where=where_text((operand,)))
    return operand


def tril(x: Any, k: int = 0) -> Expr:
    """Keep the elements on and below the k-th diagonal of the last two axes; the others become zero.

    >>> import symgrad as sg
    >>> sg.evaluate(sg.tril(sg.ones((2, 3))), {}).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    operand = _matrices("tril", x)
    (offset,) = as_sizes(k, "tril")
    rows, columns = _numbers(operand.shape[-2], 0, offset), _numbers(operand.shape[-1], 1)
    return ROWS["where"](ROWS["less_equal"](columns, rows), operand, 0)


def triu(x: Any, k: int = 0) -> Expr:
    """Keep the elements on and above the k-th diagonal of the last two axes; the others become zero.

    >>> import symgrad as sg
    >>> sg.evaluate(sg.triu(sg.ones((2, 3)), 1), {}).tolist()
    [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """
    operand = _matrices("triu", x)
    (offset,) = as_sizes(k, "triu")
    rows, columns = _numbers(operand.shape[-2], 0, offset), _numbers(operand.shape[-1], 1)
    return ROWS["where"](ROWS["greater_equal"](columns, rows), operand, 0)


# -- the diagonal --------------------------------------------------------------------------------------------------


def _infer_diagonal(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,) = args
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError("diagonal takes square matrices", got=describe(x), where=where_text(args))
    return TensorType(x.shape[:-1], x.dtype)


def _on_diagonal(x: Expr) -> Expr:
    """Put the last axis on the diagonal of a matrix, between zeros."""
    size, row = x.shape[-1], x if x.ndim == 1 else expand_dims(x, -2)
    return ROWS["where"](ROWS["equal"](_numbers(size, 0), _numbers(size, 1)), row, 0)


def _diagonal_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    return (_on_diagonal(g),)


DIAGONAL: Row = register(
    Row(
        name="diagonal", structure=Layout(lambda node, index: (*index, index[-1])), arity=1, infer=_infer_diagonal,
        oracle=lambda x: np.diagonal(x, axis1=-2, axis2=-1), vjp=_diagonal_vjp,
        doc="The diagonals of square matrices, which are the last two axes.",
        cases=(Case((Sample((n, n)),)), Case((Sample((2, 5, 5)),), sizes=(1,)), Case((Sample((n, 3, 3)),))),
    )
)  # fmt: skip


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Expr:
    """Give the diagonals of matrices, which are the two axes named; the diagonal is the last axis of the result.

    - `offset`: above (> 0) or below (< 0) the main diagonal.

    Raises ShapeError where it is not known which of two symbolic sizes ends the diagonal.

    >>> import symgrad as sg
    >>> sg.diagonal(sg.symbol("x", (4, 6, 2)), 1).shape
    (2, 4)
    """
    operand = _matrices("diagonal", x)
    first, second = (normalize_axis(axis, operand.ndim, "diagonal") for axis in (axis1, axis2))
    if first == second:
        raise ShapeError("diagonal takes two different axes", got=f"{first} twice", where=where_text((operand,)))
    order = (*(i for i in range(operand.ndim) if i not in (first, second)), first, second)
    return DIAGONAL(_square(permuted(operand, order), offset))


def _square(x: Expr, offset: int) -> Expr:
    """Cut the square block whose main diagonal is the one at the offset."""
    row, column = max(-offset, 0), max(offset, 0)
    height, width = x.shape[-2] - row, x.shape[-1] - column
    if not may_be_negative(width - height):
        length = height
    elif not may_be_negative(height - width):
        length = width
    else:
        hint = "Cut a square block by slices first."
        raise ShapeError("diagonal: its length is not known", got=describe(x), where=where_text((x,)), hint=hint)
    if isinstance(length, int):
        length = max(length, 0)
        row, column = (row, column) if length else (0, 0)
    starts = (*(0,) * (x.ndim - 2), row, column)
    stops = (*x.shape[:-2], row + length, column + length)
    if starts == (0,) * x.ndim and stops == x.shape:
        return x
    return SLICE(x, starts=starts, stops=stops, steps=(1,) * x.ndim)


def diag(x: Any, k: int = 0) -> Expr:
    """Give the square matrix with a vector on its k-th diagonal and zeros elsewhere, or the k-th diagonal of a matrix.

    Raises ShapeError for anything else; `sg.diagonal` takes stacks of matrices.

    >>> import symgrad as sg
    >>> sg.evaluate(sg.diag([1.0, 2.0]), {}).tolist(), sg.evaluate(sg.diag([[1.0, 2.0], [3.0, 4.0]], 1), {}).tolist()
    ([[1.0, 0.0], [0.0, 2.0]], [2.0])
    """
    operand = as_expr(x)
    if operand.ndim == 2:
        return diagonal(operand, k)
    if operand.ndim != 1:
        hint = "sg.diagonal takes stacks of matrices."
        raise ShapeError(
            "diag takes a vector or a matrix", got=describe(operand), where=where_text((operand,)), hint=hint
        )
    matrix = _on_diagonal(operand)
    if k == 0:
        return matrix
    size = operand.shape[0] + abs(k)
    return ROWS["place"](matrix, shape=(size, size), starts=(max(-k, 0), max(k, 0)), steps=(1, 1))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Expr:
    """Sum the diagonals of matrices, which are the two axes named.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.trace(sg.eye(3)), {}))
    3.0
    """
    found = diagonal(x, offset, axis1, axis2)
    return ROWS["sum"](found, axes=(found.ndim - 1,), keepdims=False)
