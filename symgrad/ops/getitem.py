"""What `x[...]` means: NumPy's basic indexing, an integer array on one axis, and `z[sg.arange(N), y]`.

In: an expression and the key that Python hands over. Out: slice, reshape, take or pick nodes; an error with a hint for
what is not among them. Positions on a symbolic axis may be symbolic; that they fit is checked when sizes are bound.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.dtypes import DType
from symgrad.errors import DTypeError, IndexRangeError, ShapeError
from symgrad.expr import Buffer, Expr
from symgrad.ops.axes import is_negative
from symgrad.ops.index import PICK, TAKE
from symgrad.ops.layout import RESHAPE
from symgrad.ops.row import as_expr, describe, where_text
from symgrad.ops.slicing import SLICE, slice_length
from symgrad.shape import Dim, Size

Range = tuple[Size, Size, int]  # start, stop, step of a slice node along one axis


@dataclass(slots=True)
class _Plan:
    """A key read from left to right: the slice of each axis, and the axes of the result before arrays are applied."""

    ranges: list[Range] = field(default_factory=list)
    layout: list[str] = field(default_factory=list)  # one word per key item: "int", "slice", "new", "array"
    shape: list[Size] = field(default_factory=list)
    arrays: list[tuple[int, Expr]] = field(default_factory=list)  # (axis of the result, positions)


def getitem(x: Expr, key: Any) -> Expr:
    """Give the elements that a key selects, as NumPy does.

    A key has ints, slices, None and `...`; at most one axis may have an array of integers. Ints and bounds may be
    dimensions. `z[sg.arange(N), y]` gives one element of each of the N rows. Raises IndexRangeError for too many
    indices and for known positions outside their axis.

    >>> from symgrad.ops.leaves import symbol, dim
    >>> x = symbol("x", (dim("N"), 28, 28))
    >>> x[0].shape, x[:, 3:, None].shape, x[1:, ..., -1].shape
    ((28, 28), (N, 25, 1, 28), (N - 1, 28))
    """
    items = _full_key(x, key)
    if _picks_rows(x, items):
        return PICK(x, items[1])
    plan = _Plan()
    for item in items:
        _read(x, item, plan)
    _refuse_arrays(x, plan)
    sliced = x
    if any(r != (0, size, 1) for r, size in zip(plan.ranges, x.shape, strict=True)):
        starts, stops, steps = zip(*plan.ranges, strict=True)
        sliced = SLICE(x, starts=starts, stops=stops, steps=steps)
    shape = tuple(plan.shape)
    basic = sliced if sliced.shape == shape else RESHAPE(sliced, shape=shape)
    for axis, positions in plan.arrays:
        return TAKE(basic, positions, axis=axis)
    return basic


# -- reading the key ----------------------------------------------------------------------------------------------


def _full_key(x: Expr, key: Any) -> list[Any]:
    """List one item per axis, and the Nones; `...` and what is left out at the end become full slices."""
    items = [_item(part) for part in (key if isinstance(key, tuple) else (key,))]
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > x.ndim:
        raise IndexRangeError(f"{used} indices are too many", got=describe(x), where=where_text((x,)))
    dots = [position for position, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexRangeError("an index has more than one ...", got=describe(x), where=where_text((x,)))
    position = dots[0] if dots else len(items)
    return [*items[:position], *[slice(None)] * (x.ndim - used), *items[position + 1 :]]


def _item(part: Any) -> Any:
    """Give one part of a key as None, Ellipsis, a slice, a size, or an integer expression."""
    if part is None or part is Ellipsis or isinstance(part, (slice, Dim)):
        return part
    if isinstance(part, (bool, np.bool_)):
        raise _mask_error()
    if isinstance(part, (Expr, np.ndarray, list)):
        node = as_expr(np.asarray(part, np.int64) if isinstance(part, list) and not part else part)
        if node.dtype is DType.BOOL:
            raise _mask_error()
        if not node.dtype.is_integer:
            raise DTypeError("an array of positions has integers", got=str(node.dtype), hint="Convert it with astype.")
        return node
    try:
        return operator.index(part)
    except TypeError:
        raise TypeError(
            f"an index is an int, a slice, None, ... or an array of integers, not {type(part).__name__}: {part!r}"
        ) from None


def _mask_error() -> DTypeError:
    return DTypeError(
        "a mask selects a number of elements that is not known",
        hint="Use sg.where(mask, x, 0), which keeps the shape, or multiply by the mask.",
    )


def _read(x: Expr, item: Any, plan: _Plan) -> None:
    """Add one item to the plan."""
    axis = len(plan.ranges)
    if item is None:
        plan.layout.append("new")
        plan.shape.append(1)
    elif isinstance(item, slice):
        plan.layout.append("slice")
        plan.ranges.append(_slice_range(item, x.shape[axis]))
        plan.shape.append(slice_length(*plan.ranges[-1]))
    elif isinstance(item, Expr):
        plan.layout.append("array")
        plan.arrays.append((len(plan.shape), item))
        plan.ranges.append((0, x.shape[axis], 1))
        plan.shape.append(x.shape[axis])
    else:
        plan.layout.append("int")
        start = _position(x, axis, item)
        plan.ranges.append((start, start + 1, 1))


def _position(x: Expr, axis: int, index: Size) -> Size:
    """Give an int or Dim as a position counted from the front; known ones are checked."""
    size = x.shape[axis]
    position = size + index if is_negative(index) else index
    if is_negative(position) or is_negative(size - 1 - position):
        raise IndexRangeError(
            f"index {index} is outside axis {axis}", got=describe(x), where=where_text((x,)),
            hint=f"Valid: {-size} to {size - 1}." if isinstance(size, int) and size else "",
        )  # fmt: skip
    return position


def _slice_range(part: slice, size: Size) -> Range:
    """Give a slice's absolute start, stop and step: clipped to a known size, taken at their word on a symbolic one."""
    step = 1 if part.step is None else operator.index(part.step)
    if step == 0:
        raise ValueError("the step of a slice is 0")
    low, high = (b if b is None or isinstance(b, Dim) else operator.index(b) for b in (part.start, part.stop))
    if isinstance(size, int) and not isinstance(low, Dim) and not isinstance(high, Dim):
        start, stop, _ = slice(low, high, step).indices(size)
        return (start, stop, step) if len(range(start, stop, step)) else (0, 0, 1)
    first, last = (0, size) if step > 0 else (size - 1, -1)
    begin = first if low is None else _bound(low, size)
    end = last if high is None else _bound(high, size)
    return (0, 0, 1) if is_negative((end - begin) * (1 if step > 0 else -1)) else (begin, end, step)


def _bound(bound: Size, size: Size) -> Size:
    return size + bound if is_negative(bound) else bound


# -- arrays in the key --------------------------------------------------------------------------------------------


def _picks_rows(x: Expr, items: Sequence[Any]) -> bool:
    """Tell whether the key is one position for each row: (arange over the first axis, positions)."""
    if x.ndim != 2 or len(items) != 2 or not all(isinstance(item, Expr) for item in items):
        return False
    rows, positions = items
    return _counts(rows, x.shape[0]) and positions.shape == rows.shape


def _counts(node: Expr, size: Size) -> bool:
    """Tell whether a node is 0, 1, ... size - 1."""
    if isinstance(node, Buffer):
        return isinstance(size, int) and node.shape == (size,) and bool((node.array == np.arange(size)).all())
    if node.op == "astype":
        node = node.args[0]
    return node.op == "arange" and (node.attrs["start"], node.attrs["step"], node.attrs["size"]) == (0, 1, size)


def _refuse_arrays(x: Expr, plan: _Plan) -> None:
    """Refuse what arrays in a key may not do: stand on two axes, or lead NumPy to move an axis to the front."""
    if not plan.arrays:
        return
    if len(plan.arrays) > 1:
        raise ShapeError(
            "arrays of positions on several axes", got=describe(x), where=where_text((x,)),
            hint=f"z[sg.arange({x.shape[0]}), y] takes one element of each row of a matrix; "
            "all else can be written with sg.take, one axis at a time.",
        )  # fmt: skip
    advanced = [i for i, word in enumerate(plan.layout) if word in ("int", "array")]
    together = advanced[-1] - advanced[0] == len(advanced) - 1
    if not together and plan.arrays[0][0] > 0:
        raise ShapeError(
            "an int and an array of positions with a slice between them", got=describe(x), where=where_text((x,)),
            hint="Index in two steps, as in x[0][:, positions].",
        )  # fmt: skip
