"""Tensors made of nothing but their shape, and matrices by their diagonal: `full eye`, `diagonal trace tril triu`.

In: shapes, which may be symbolic, and operands whose axes are taken as matrices. Out: broadcast numbers, masks that
compare row and column numbers, and the row `diagonal`. It must not know what reads them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.dtypes import DEFAULT_FLOAT, DType, as_dtype
from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.axes import as_shape, as_sizes, may_be_negative, normalize_axis
from symgrad.ops.layout import ARANGE, BROADCAST_TO, expand_dims
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, cast, describe, register, where_text
from symgrad.ops.slicing import SLICE
from symgrad.ops.structure import Layout
from symgrad.shape import Size, dim

__all__ = [
    "diagonal", "eye", "full", "full_like", "ones", "ones_like", "trace", "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip

n = dim("n")


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


def _diagonal_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    """Put the cotangent back on the diagonal, between zeros."""
    size = node.shape[-1]
    return (ROWS["where"](ROWS["equal"](_numbers(size, 0), _numbers(size, 1)), expand_dims(g, -1), 0),)


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
    moved = operand if order == tuple(range(operand.ndim)) else ROWS["transpose"](operand, axes=order)
    return DIAGONAL(_square(moved, offset))


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


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Expr:
    """Sum the diagonals of matrices, which are the two axes named.

    >>> import symgrad as sg
    >>> float(sg.evaluate(sg.trace(sg.eye(3)), {}))
    3.0
    """
    found = diagonal(x, offset, axis1, axis2)
    return ROWS["sum"](found, axes=(found.ndim - 1,), keepdims=False)
