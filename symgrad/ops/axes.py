"""Axes, shapes and positions as users write them, read into the one form that rows store.

In: an axis or axes (negative ones count from the end), a shape (an int, a Dim, a tuple or list of them). Out: sorted
non-negative axes, tuples of sizes; errors that repeat what was written. It must not know any operator.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from symgrad import side
from symgrad.errors import ShapeError
from symgrad.shape import Dim, Shape, Size, bounds, checked_size, format_shape

Axis = int | Sequence[int] | None


def normalize_axis(axis: Any, rank: int, what: str) -> int:
    """Read one axis of a tensor of this rank, which a negative number counts from the end.

    >>> normalize_axis(-1, 3, "sum")
    2
    """
    if isinstance(axis, bool) or not hasattr(axis, "__index__") or isinstance(axis, Dim):
        raise TypeError(f"{what}: an axis is an int, not {type(axis).__name__}")
    position = operator.index(axis)
    if not -rank <= position < rank:
        text = f"{what}: axis {position} is out of range"
        raise ShapeError(text, got=f"{rank} axes", where=_here(), hint=_range_hint(rank))
    return position % rank


def normalize_axes(axis: Any, rank: int, what: str) -> tuple[int, ...]:
    """Read an axis, several, or None for all; sorted, each at most once.

    >>> normalize_axes((-1, 0), 3, "sum"), normalize_axes(None, 2, "sum")
    ((0, 2), (0, 1))
    """
    if axis is None:
        return tuple(range(rank))
    given = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(sorted(normalize_axis(a, rank, what) for a in given))
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{what}: an axis is given twice", got=f"axis={given}", where=_here())
    return axes


def as_shape(shape: Any, what: str) -> Shape:
    """Read a shape: a tuple or list of sizes, or one size for one axis; no size is negative.

    >>> as_shape(3, "reshape"), as_shape([2, 3], "reshape")
    ((3,), (2, 3))
    """
    sizes = as_sizes(shape, what)
    for size in sizes:
        if is_negative(size):
            raise ShapeError(f"{what}: a size is negative", got=f"{size} in {format_shape(sizes)}", where=_here())
    return sizes


def as_sizes(shape: Any, what: str) -> Shape:
    """Read the entries of a shape without asking for their sign."""
    given = shape if isinstance(shape, (tuple, list)) else (shape,)
    try:
        return tuple(checked_size(size) for size in given)
    except TypeError as error:
        hint = "Sizes are ints and sg.dim(...)."
        raise ShapeError(f"{what}: {error}", got=f"shape {shape!r}", where=_here(), hint=hint) from None


def is_negative(size: Size) -> bool:
    """Tell whether a size is below 0 whatever its names stand for."""
    high = bounds(size)[1]
    return high is not None and high < 0


def may_be_negative(size: Size) -> bool:
    """Tell whether a size is not proved to be 0 or more."""
    low = bounds(size)[0]
    return low is None or low < 0


def _here() -> str:
    return str(side.caller_site() or "")


def _range_hint(rank: int) -> str:
    return f"Valid: {-rank} to {rank - 1}." if rank else "A scalar has no axes."
