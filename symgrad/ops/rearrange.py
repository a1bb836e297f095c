"""Functions that cut, repeat and join: `roll pad tile repeat split`.

In: operands and widths, which may be symbolic. Out: slices, concatenations and broadcasts of the operands: these are
compositions, no pass knows them by name. It must not know what reads the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from symgrad.dtypes import DType
from symgrad.errors import ShapeError
from symgrad.expr import Expr
from symgrad.ops.axes import as_sizes, is_negative, normalize_axes, normalize_axis
from symgrad.ops.fill import ARANGE
from symgrad.ops.index import TAKE
from symgrad.ops.layout import BROADCAST_TO, RESHAPE
from symgrad.ops.row import ROWS, as_expr, cast, describe, where_text
from symgrad.ops.slicing import CONCATENATE, PLACE, SLICE
from symgrad.shape import Dim, Shape, Size, exact_div, product

__all__ = ["pad", "repeat", "roll", "split", "tile"]


def _cut(x: Expr, axis: int, start: Size, stop: Size, step: int = 1) -> Expr:
    """Take the elements from start to stop (not included) along one axis."""
    starts: list[Size] = [0] * x.ndim
    stops, steps = list(x.shape), [1] * x.ndim
    starts[axis], stops[axis], steps[axis] = start, stop, step
    return SLICE(x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))


def _joined(pieces: Sequence[Expr], axis: int) -> Expr:
    kept = [piece for piece in pieces if piece.shape[axis] != 0]
    return kept[0] if len(kept) == 1 else CONCATENATE(*(kept or pieces[:1]), axis=axis)


# -- roll ----------------------------------------------------------------------------------------------------------


def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Expr:
    """Move elements along axes; what leaves at one end comes in at the other. Without an axis x is seen flattened.

    >>> import symgrad as sg
    >>> sg.evaluate(sg.roll([1, 2, 3, 4], 1), {}).tolist()
    [4, 1, 2, 3]
    """
    operand = as_expr(x)
    if axis is None:
        return RESHAPE(roll(RESHAPE(operand, shape=(operand.size,)), shift, 0), shape=operand.shape)
    axes = [normalize_axis(a, operand.ndim, "roll") for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    shifts = list(shift) if isinstance(shift, (tuple, list)) else [shift]
    if len(shifts) == 1 or len(axes) == 1:
        shifts, axes = shifts * len(axes), axes * len(shifts)
    if len(shifts) != len(axes):
        raise ShapeError("roll takes one shift for each axis", got=f"{len(shifts)} shifts, {len(axes)} axes")
    for step, along in zip(shifts, axes, strict=True):
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError(f"roll: a shift is an int, not {step!r}")
        operand = _rolled(operand, step, along)
    return operand


def _rolled(x: Expr, shift: int, axis: int) -> Expr:
    """Exchange the two parts of an axis; of an unknown size, which may be less than the shift, take the positions."""
    size = x.shape[axis]
    if isinstance(size, int):
        first = shift % size if size else 0
        return x if first == 0 else _joined([_cut(x, axis, size - first, size), _cut(x, axis, 0, size - first)], axis)
    if shift == 0:
        return x
    places = ARANGE(start=-shift, step=1, size=size, dtype=DType.INT64)
    return TAKE(x, ROWS["remainder"](places, size), axis=axis)


# -- pad -----------------------------------------------------------------------------------------------------------


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Expr:
    """Put elements before and after those of each axis.

    - `pad_width`: one width for all ends, `(before, after)` for all axes, or a pair for each axis.
    - `mode`: "constant" for `constant_values`, "edge" for the nearest element, "reflect" for the elements inside in
      reverse order, the outermost not repeated.

    Raises ShapeError for negative widths, and where "reflect" asks for more elements than there are.

    >>> import symgrad as sg
    >>> sg.evaluate(sg.pad([1, 2, 3], (2, 1), "reflect"), {}).tolist()
    [3, 2, 1, 2, 3, 2]
    """
    operand = as_expr(x)
    widths = _widths(operand, pad_width)
    if mode == "constant":
        return _filled(operand, widths, cast(as_expr(constant_values, operand.dtype), operand.dtype))
    if mode not in ENDS:
        raise ValueError(f"pad: unknown mode {mode!r}. Choose one of constant, {', '.join(ENDS)}.")
    for axis, (before, after) in enumerate(widths):
        if (before, after) != (0, 0):
            pieces = (ENDS[mode](operand, axis, before, True), operand, ENDS[mode](operand, axis, after, False))
            operand = _joined(pieces, axis)
    return operand


def _widths(x: Expr, given: Any) -> list[tuple[Size, Size]]:
    """Read the widths: one pair for each axis."""
    items = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    pairs = [as_sizes(item, "pad") for item in items]
    if not any(isinstance(item, (tuple, list)) for item in items):
        pairs = [as_sizes(items, "pad")]
    if len(pairs) == 1:
        pairs *= x.ndim
    if len(pairs) != x.ndim or any(len(pair) not in (1, 2) for pair in pairs):
        got = f"{describe(x)}, pad_width={given!r}"
        raise ShapeError("pad takes a pair of widths for each axis", got=got, where=where_text((x,)))
    widths = [(pair[0], pair[-1]) for pair in pairs]
    if any(is_negative(width) for pair in widths for width in pair):
        raise ShapeError("pad: a width is negative", got=f"pad_width={given!r}", where=where_text((x,)))
    return widths


def _filled(x: Expr, widths: Sequence[tuple[Size, Size]], value: Expr) -> Expr:
    """Place x between zeros; with another value join pieces made of it to x."""
    if value.ndim != 0:
        raise ShapeError("pad: the constant is one number", got=describe(value), where=where_text((x,)))
    if all(pair == (0, 0) for pair in widths):
        return x
    if value.op == "constant" and value.attrs["bits"] == 0:
        shape = tuple(before + size + after for size, (before, after) in zip(x.shape, widths, strict=True))
        return PLACE(x, shape=shape, starts=tuple(before for before, _ in widths), steps=(1,) * x.ndim)
    for axis, pair in enumerate(widths):
        ends = [BROADCAST_TO(value, shape=(*x.shape[:axis], width, *x.shape[axis + 1 :])) for width in pair]
        x = _joined((ends[0], x, ends[1]), axis)
    return x


def _edge(x: Expr, axis: int, width: Size, first: bool) -> Expr:
    """Repeat the outermost elements of an axis."""
    if width == 0:
        return _cut(x, axis, 0, 0)
    size = x.shape[axis]
    outermost = _cut(x, axis, 0, 1) if first else _cut(x, axis, size - 1, size)
    return BROADCAST_TO(outermost, shape=(*x.shape[:axis], width, *x.shape[axis + 1 :]))


def _reflected(x: Expr, axis: int, width: Size, first: bool) -> Expr:
    """Turn the elements next to the outermost ones."""
    size = x.shape[axis]
    if width == 0:
        return _cut(x, axis, 0, 0)
    if is_negative(size - 1 - width):
        what, hint = "pad: 'reflect' needs more elements than there are", "Reflect several times, or use mode='edge'."
        got = f"{describe(x)}, {width} on axis {axis}"
        raise ShapeError(what, got=got, where=where_text((x,)), hint=hint)
    return _cut(x, axis, width, 0, -1) if first else _cut(x, axis, size - 2, size - 2 - width, -1)


# What lies before (True) or after the elements of an axis, by mode.
ENDS: dict[str, Callable[[Expr, int, Size, bool], Expr]] = {"edge": _edge, "reflect": _reflected}


# -- repetition ----------------------------------------------------------------------------------------------------


def tile(x: Any, reps: Any) -> Expr:
    """Repeat a tensor as a whole, this often along each axis; missing axes are added in front.

    >>> import symgrad as sg
    >>> sg.tile(sg.symbol("x", (2, 3)), (sg.dim("N"), 1, 2)).shape
    (N, 2, 6)
    """
    operand, counts = as_expr(x), as_sizes(reps, "tile")
    _check_counts("tile", counts)
    rank = max(operand.ndim, len(counts))
    shape = (*(1,) * (rank - operand.ndim), *operand.shape)
    counts = (*(1,) * (rank - len(counts)), *counts)
    apart = tuple(size for own in shape for size in (1, own))
    whole = tuple(size for pair in zip(counts, shape, strict=True) for size in pair)
    repeated = BROADCAST_TO(RESHAPE(operand, shape=apart), shape=whole)
    return RESHAPE(repeated, shape=tuple(c * size for c, size in zip(counts, shape, strict=True)))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Expr:
    """Repeat each element this often along an axis; without an axis x is seen flattened.

    - `repeats`: one number for all elements; NumPy's list of numbers has no symbolic form.

    >>> import symgrad as sg
    >>> sg.evaluate(sg.repeat([1, 2], 2), {}).tolist()
    [1, 1, 2, 2]
    """
    operand = as_expr(x)
    if axis is None:
        operand, axis = RESHAPE(operand, shape=(operand.size,)), 0
    if isinstance(repeats, bool) or not (isinstance(repeats, Dim) or hasattr(repeats, "__index__")):
        raise TypeError(f"repeat: the number of repeats is an int or a Dim, not {repeats!r}. Use take for others.")
    (count,) = as_sizes(repeats, "repeat")
    _check_counts("repeat", (count,))
    at = normalize_axis(axis, operand.ndim, "repeat") + 1
    before, after = operand.shape[:at], operand.shape[at:]
    wide = BROADCAST_TO(RESHAPE(operand, shape=(*before, 1, *after)), shape=(*before, count, *after))
    return RESHAPE(wide, shape=(*before[:-1], product((before[-1], count)), *after))


def _check_counts(what: str, counts: Shape) -> None:
    if any(is_negative(count) for count in counts):
        raise ShapeError(f"{what}: a number of repeats is negative", got=f"{counts}")


# -- split ---------------------------------------------------------------------------------------------------------


def split(x: Any, parts: int | Sequence[Size], axis: int = 0) -> list[Expr]:
    """Cut a tensor along an axis: into a number of equal parts, or at the positions listed.

    Raises ShapeError where the axis does not divide into equal parts, or a position lies outside of it.

    >>> import symgrad as sg
    >>> [part.shape for part in sg.split(sg.symbol("x", (6, 2)), [1, 4])]
    [(1, 2), (3, 2), (2, 2)]
    """
    operand = as_expr(x)
    (along,) = normalize_axes(axis, operand.ndim, "split")
    size = operand.shape[along]
    if isinstance(parts, (tuple, list)):
        at = (0, *as_sizes(parts, "split"), size)
    else:
        length = exact_div(size, parts) if isinstance(parts, int) and parts > 0 else None
        if length is None:
            got = f"{describe(operand)}, axis {along} in {parts} parts"
            raise ShapeError("split: the axis has no such number of equal parts", got=got, where=where_text((operand,)))
        assert isinstance(parts, int)
        at = tuple(length * k for k in range(parts + 1))
    return [_cut(operand, along, start, stop) for start, stop in pairwise(at)]
