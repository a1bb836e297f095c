"""The rows that cut pieces out of tensors and put pieces together: slice, place, concatenate.

In: operands and positions, which may be symbolic. Out: nodes whose elements are those of the operands, or zero.
Positions are stored absolute: `start` is the first element taken, `stop` lies behind the last one in the direction of
the step, so that -1 is the stop before element 0 of a negative step. What symbolic positions must satisfy for the node
to make sense is told by `conditions`; the bound sizes are checked against it. It must not know Python's slice objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.axes import as_shape, as_sizes, is_negative, may_be_negative, normalize_axis
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, describe, register, where_text
from symgrad.ops.structure import Indices, Layout, Place
from symgrad.shape import Shape, Size, dim

__all__ = ["concatenate", "place"]

n = dim("n")


def slice_length(start: Size, stop: Size, step: int) -> Size:
    """Count the elements from start to stop (not included); both must lie in the direction of the step."""
    return (stop - start + step - 1) // step if step > 0 else (start - stop - step - 1) // -step


def last_index(start: Size, length: Size, step: int) -> Size:
    """Give the position of the last of `length` elements."""
    return start + step * (length - 1)


# -- slice --------------------------------------------------------------------------------------------------------


def _slice_conditions(shape: Shape, attrs: Attrs) -> list[Size]:
    """List what must be >= 0 for a slice to lie inside its operand."""
    found: list[Size] = []
    for size, start, stop, step in zip(shape, attrs["starts"], attrs["stops"], attrs["steps"], strict=True):
        if step > 0:
            found += [start, size - stop, stop - start]
        else:
            found += [size - 1 - start, stop + 1, start - stop]
    return found


def _infer_slice(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,) = args
    starts, stops, steps = attrs["starts"], attrs["stops"], attrs["steps"]
    if not len(starts) == len(stops) == len(steps) == x.ndim:
        raise ShapeError("slice takes one start, stop and step per axis", got=describe(x), where=where_text(args))
    if 0 in steps:
        raise ShapeError("slice: a step is zero", got=describe(x), where=where_text(args))
    _refuse_impossible("slice", _slice_conditions(x.shape, attrs), args)
    return TensorType(tuple(map(slice_length, starts, stops, steps)), x.dtype)


def _slice_index(node: Expr, index: Indices) -> Indices:
    return tuple(a + s * i for a, s, i in zip(node.attrs["starts"], node.attrs["steps"], index, strict=True))


def _slice_oracle(x: np.ndarray, *, starts: Any, stops: Any, steps: Any) -> np.ndarray:
    ends = [None if stop < 0 else stop for stop in stops]
    out: np.ndarray = x[tuple(map(slice, starts, ends, steps))]
    return out


def _slice_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    """Put the cotangent back between zeros; axes that run backwards are turned first, as pieces have positive steps."""
    (x,) = node.args
    attrs = node.attrs
    turned = [i for i, step in enumerate(attrs["steps"]) if step < 0]
    starts = list(attrs["starts"])
    for axis in turned:
        starts[axis] = last_index(starts[axis], node.shape[axis], attrs["steps"][axis])
    return (PLACE(reverse_axes(g, turned), shape=x.shape, starts=tuple(starts), steps=tuple(map(abs, attrs["steps"]))),)


def reverse_axes(x: Expr, axes: Sequence[int]) -> Expr:
    """Turn the order along these axes; the operand itself for none."""
    if not axes:
        return x
    backwards = [i in axes for i in range(x.ndim)]
    return SLICE(
        x,
        starts=tuple(size - 1 if back else 0 for size, back in zip(x.shape, backwards, strict=True)),
        stops=tuple(-1 if back else size for size, back in zip(x.shape, backwards, strict=True)),
        steps=tuple(-1 if back else 1 for back in backwards),
    )


SLICE: Row = register(
    Row(
        name="slice", structure=Layout(_slice_index), arity=1, infer=_infer_slice, oracle=_slice_oracle, vjp=_slice_vjp,
        doc="Elements start, start + step, ... before stop along each axis.",
        cases=(
            Case((Sample((n, 7)),), {"starts": (0, 1), "stops": (n, 6), "steps": (1, 2)}),
            Case((Sample((n, 7)),), {"starts": (n - 1, 5), "stops": (-1, 0), "steps": (-1, -2)}),
            Case((Sample((n,)),), {"starts": (1,), "stops": (n,), "steps": (1,)}, sizes=(1, 3, 17, 64)),
            Case((Sample((4, 3)),), {"starts": (2, 0), "stops": (2, 3), "steps": (1, 1)}, sizes=(1,)),
        ),
    )
)  # fmt: skip


# -- place --------------------------------------------------------------------------------------------------------


def _place_conditions(piece: Shape, attrs: Attrs) -> list[Size]:
    """List what must be >= 0 for a piece to lie inside the result."""
    found: list[Size] = []
    for length, size, start, step in zip(piece, attrs["shape"], attrs["starts"], attrs["steps"], strict=True):
        if length != 0:
            found += [start, size - 1 - last_index(start, length, step)]
    return found


def _infer_place(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,) = args
    if not len(attrs["shape"]) == len(attrs["starts"]) == len(attrs["steps"]) == x.ndim:
        raise ShapeError("place takes one size, start and step per axis", got=describe(x), where=where_text(args))
    if any(step < 1 for step in attrs["steps"]):
        raise ShapeError("place: a step is not positive", got=describe(x), where=where_text(args))
    _refuse_impossible("place", _place_conditions(x.shape, attrs), args)
    return TensorType(attrs["shape"], x.dtype)


def _place_slices(lengths: Sequence[Size], starts: Sequence[Size], steps: Sequence[int]) -> list[tuple[Size, Size]]:
    """Give start and stop of the slice that a piece fills."""
    return [
        (0, 0) if length == 0 else (start, last_index(start, length, step) + 1)
        for length, start, step in zip(lengths, starts, steps, strict=True)
    ]


def _place_oracle(x: np.ndarray, *, shape: Any, starts: Any, steps: Any) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    ends = _place_slices(x.shape, starts, steps)
    out[tuple(slice(a, b, s) for (a, b), s in zip(ends, steps, strict=True))] = x
    return out


def _place_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    steps = node.attrs["steps"]
    ends = _place_slices(node.args[0].shape, node.attrs["starts"], steps)
    return (SLICE(g, starts=tuple(a for a, _ in ends), stops=tuple(b for _, b in ends), steps=steps),)


PLACE: Row = register(
    Row(
        name="place", arity=1, infer=_infer_place, oracle=_place_oracle, vjp=_place_vjp,
        structure=Place(
            offsets=lambda node: (node.attrs["starts"],), covers=False, steps=lambda node: tuple(node.attrs["steps"])
        ),
        doc="The operand between zeros: element i stands at start + step * i.",
        cases=(
            Case((Sample((n, 3)),), {"shape": (n, 8), "starts": (0, 1), "steps": (1, 2)}),
            Case((Sample((n,)),), {"shape": (n + 3,), "starts": (2,), "steps": (1,)}),
        ),
    )
)  # fmt: skip


def place(x: Any, shape: Any, starts: Any, steps: Any = None) -> Expr:
    """Give zeros of a shape, in which x stands: along each axis its element i is number start + step * i.

    - `starts`, `steps`: one for each axis; a step is 1 unless given.

    Raises ShapeError where x does not fit.

    >>> import symgrad as sg
    >>> sg.evaluate(place([1.0, 2.0], shape=(5,), starts=(1,), steps=(2,))).tolist()
    [0.0, 1.0, 0.0, 2.0, 0.0]
    """
    sizes, first = as_shape(shape, "place"), as_sizes(starts, "place")
    return PLACE(x, shape=sizes, starts=first, steps=(1,) * len(first) if steps is None else as_sizes(steps, "place"))


# -- concatenate --------------------------------------------------------------------------------------------------


def _infer_concatenate(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    first, axis = args[0], attrs["axis"]
    total: Size = 0
    for arg in args:
        if arg.ndim != first.ndim or _without(arg.shape, axis) != _without(first.shape, axis):
            raise ShapeError(
                f"concatenate: shapes differ outside axis {axis}", got=f"{describe(first)}, {describe(arg)}",
                where=where_text(args), hint="All sizes but that of the joined axis must be equal.",
            )  # fmt: skip
        total = total + arg.shape[axis]
    return TensorType((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _concatenate_offsets(node: Expr) -> list[Indices]:
    axis: int = node.attrs["axis"]
    before: Size = 0
    offsets: list[Indices] = []
    for arg in node.args:
        offsets.append(tuple(before if i == axis else 0 for i in range(node.ndim)))
        before = before + arg.shape[axis]
    return offsets


def _concatenate_vjp(node: Expr, g: Expr) -> tuple[Expr, ...]:
    steps = (1,) * node.ndim
    return tuple(
        SLICE(g, starts=start, stops=tuple(a + size for a, size in zip(start, arg.shape, strict=True)), steps=steps)
        for arg, start in zip(node.args, _concatenate_offsets(node), strict=True)
    )


CONCATENATE: Row = register(
    Row(
        name="concatenate", structure=Place(offsets=_concatenate_offsets, covers=True), operands="same",
        infer=_infer_concatenate, vjp=_concatenate_vjp,
        oracle=lambda *arrays, axis: np.concatenate(arrays, axis),
        doc="Tensors joined along an axis.",
        cases=(
            Case((Sample((n, 2)), Sample((n, 5))), {"axis": 1}),
            Case((Sample((n, 2)), Sample((3, 2)), Sample((n, 2))), {"axis": 0}),
        ),
    )
)  # fmt: skip


def concatenate(tensors: Sequence[Any], axis: int | None = 0) -> Expr:
    """Join tensors along an existing axis; with `axis=None` they are flattened first.

    Raises ShapeError where sizes differ on another axis.

    >>> from symgrad.ops.leaves import symbol
    >>> concatenate([symbol("a", (n, 2)), symbol("b", (n, 3))], axis=1).shape
    (n, 5)
    """
    parts = tuple(tensors)
    if not parts:
        raise ShapeError("concatenate: no tensors are given")
    args = tuple(as_expr(part) for part in parts)
    if axis is None:
        return CONCATENATE(*(ROWS["reshape"](arg, shape=(arg.size,)) for arg in args), axis=0)
    if any(arg.ndim == 0 for arg in args):
        raise ShapeError("concatenate: scalars have no axis to join", where=where_text(args), hint="Use sg.stack.")
    return CONCATENATE(*args, axis=normalize_axis(axis, args[0].ndim, "concatenate"))


# -- conditions ---------------------------------------------------------------------------------------------------


def conditions(node: Expr) -> list[Size]:
    """List the sizes that must be >= 0 for a slice or place node, proved ones left out."""
    if node.op == "slice":
        found = _slice_conditions(node.args[0].shape, node.attrs)
    elif node.op == "place":
        found = _place_conditions(node.args[0].shape, node.attrs)
    else:
        return []
    return [size for size in dict.fromkeys(found) if may_be_negative(size)]


def _refuse_impossible(what: str, found: Sequence[Size], args: tuple[Expr, ...]) -> None:
    for size in found:
        if is_negative(size):
            raise ShapeError(
                f"{what}: the positions lie outside the axis", where=where_text(args),
                got=f"{describe(args[0])}; {size} < 0",
            )  # fmt: skip
