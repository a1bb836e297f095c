"""The rows that only move elements: reshape, transpose, broadcast_to; and functions on top.

In: operands and shapes, which may be symbolic. Out: nodes whose element at an index is the operand's element at another
index, given as polynomials. A consumer reads through these maps; it need not copy. It must not know what reads it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.axes import as_shape, as_sizes, may_be_negative, normalize_axes, normalize_axis
from symgrad.ops.row import Attrs, Case, Row, Sample, as_expr, describe, register, unbroadcast, where_text
from symgrad.ops.slicing import concatenate, conditions, reverse_axes
from symgrad.ops.structure import Indices, Layout
from symgrad.shape import (
    Shape,
    Size,
    dim,
    format_shape,
    infer_minus_one,
    names,
    product,
    simplify_with,
    substitute,
)  # fmt: skip

__all__ = [
    "broadcast_to", "concatenate", "expand_dims", "flatten", "flip", "matrix_transpose", "moveaxis", "ravel", "reshape",
    "squeeze", "stack", "swapaxes", "transpose",
]  # fmt: skip

n = dim("n")


# -- reshape ------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def reshape_map(source: Shape, target: Shape) -> tuple[tuple[str, ...], Indices]:
    """Give names for the index into the target and, over these names, the index into the source.

    >>> reshape_map((n, 28, 28), (n, 784))
    (('i0', 'i1'), (i0, i1//28, i1 % 28))
    """
    taken = frozenset().union(*map(names, (*source, *target)))
    prefix = "i"
    while any(name.startswith(prefix) and name[len(prefix) :].isdigit() for name in taken):
        prefix += "_"
    variables = tuple(f"{prefix}{axis}" for axis in range(len(target)))
    if 0 in source or 0 in target:  # no element is ever asked for, and nothing may be divided by 0
        return variables, (0,) * len(source)
    extents = dict(zip(variables, target, strict=True))
    index: list[Size] = []
    for inner, outer in _blocks(source, target):
        flat: Size = 0
        for axis in outer:
            flat = flat * target[axis] + dim(variables[axis])
        index += _unflattened(flat, [source[axis] for axis in inner])
    return variables, tuple(simplify_with(size, extents) for size in index)


def _unflattened(flat: Size, shape: Sequence[Size]) -> list[Size]:
    """Give the index whose row-major position in a shape is `flat`."""
    index: list[Size] = []
    below: Size = 1
    for axis in range(len(shape) - 1, -1, -1):
        position = flat // below
        index.append(position if axis == 0 else position % shape[axis])
        below = below * shape[axis]
    return index[::-1]


def _blocks(source: Shape, target: Shape) -> list[tuple[range, range]]:
    """Cut both shapes, from the left, into the shortest runs of axes with equal products; a run may be empty."""
    blocks: list[tuple[range, range]] = []
    i = j = 0
    while i < len(source) or j < len(target):
        ends = _first_cut(source[i:], target[j:])
        blocks.append((range(i, i + ends[0]), range(j, j + ends[1])))
        i, j = i + ends[0], j + ends[1]
    return blocks


def _first_cut(source: Shape, target: Shape) -> tuple[int, int]:
    """Give the lengths of the shortest prefixes of equal product; one of them is not empty."""
    right = [product(target[:length]) for length in range(len(target) + 1)]
    for length in range(len(source) + 1):
        left = product(source[:length])
        for other, size in enumerate(right):
            if length + other > 0 and left == size:
                return length, other
    raise ShapeError("shapes of different sizes", got=f"{format_shape(source)}, {format_shape(target)}")


def _reshape_index(node: Expr, index: Indices) -> Indices:
    variables, polynomials = reshape_map(node.args[0].shape, node.attrs["shape"])
    values = dict(zip(variables, index, strict=True))
    return tuple(substitute(size, values) for size in polynomials)


def _infer_reshape(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,), shape = args, attrs["shape"]
    if product(shape) != x.size:
        raise ShapeError(
            "reshape: the number of elements changes",
            got=f"{describe(x)} with {x.size} elements, {format_shape(shape)} has {product(shape)}",
            where=where_text(args), hint="One size may be -1: it follows from the others.",
        )  # fmt: skip
    return TensorType(shape, x.dtype)


RESHAPE: Row = register(
    Row(
        name="reshape", structure=Layout(_reshape_index), arity=1, infer=_infer_reshape,
        oracle=lambda x, *, shape: x.reshape(shape), vjp=lambda node, g: (RESHAPE(g, shape=node.args[0].shape),),
        doc="The same elements in row-major order in another shape.",
        cases=(
            Case((Sample((n, 4, 6)),), {"shape": (n, 24)}),
            Case((Sample((n, 24)),), {"shape": (n, 4, 6)}),
            Case((Sample((n, 4)),), {"shape": (4 * n,)}),
            Case((Sample((6, 4)),), {"shape": (8, 1, 3)}, sizes=(1,)),
        ),
    )
)  # fmt: skip


def reshape(x: Any, shape: Any) -> Expr:
    """Give the same elements, in row-major order, in another shape; one size may be -1.

    Raises ShapeError where the number of elements would change, or is not proved to stay.

    >>> from symgrad.ops.leaves import symbol
    >>> images = symbol("images", (n, 28, 28))
    >>> reshape(images, (-1, 784)).shape, reshape(images, (n, 784)) is reshape(images, (n, -1))
    ((n, 784), True)
    """
    operand = as_expr(x)
    sizes = as_sizes(shape, "reshape")
    unknown = [axis for axis, size in enumerate(sizes) if size == -1]
    if len(unknown) > 1:
        raise ShapeError("reshape: only one size may be -1", got=format_shape(sizes), where=where_text((operand,)))
    if unknown:
        rest = product(size for size in sizes if size != -1)
        inferred = infer_minus_one(operand.size, rest)
        if inferred is None:
            raise ShapeError(
                "reshape: no size fits in place of -1", where=where_text((operand,)),
                got=f"{describe(operand)} with {operand.size} elements, {format_shape(sizes)} divides them by {rest}",
            )  # fmt: skip
        sizes = tuple(inferred if size == -1 else size for size in sizes)
    return RESHAPE(operand, shape=as_shape(sizes, "reshape"))


# -- transpose and broadcast --------------------------------------------------------------------------------------


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _infer_transpose(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,), axes = args, attrs["axes"]
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(
            "transpose: axes must name each axis once", got=f"{describe(x)}, axes {axes}", where=where_text(args)
        )
    return TensorType(tuple(x.shape[axis] for axis in axes), x.dtype)


TRANSPOSE: Row = register(
    Row(
        name="transpose", structure=Layout(lambda node, index: tuple(index[k] for k in _inverse(node.attrs["axes"]))),
        arity=1, infer=_infer_transpose, oracle=lambda x, *, axes: np.transpose(x, axes),
        vjp=lambda node, g: (TRANSPOSE(g, axes=_inverse(node.attrs["axes"])),),
        doc="The axes in another order.",
        cases=(Case((Sample((n, 5)),), {"axes": (1, 0)}), Case((Sample((2, n, 3)),), {"axes": (2, 0, 1)})),
    )
)  # fmt: skip


def transpose(x: Any, axes: Sequence[int] | None = None) -> Expr:
    """Give the axes in another order; without `axes` in the reverse order.

    >>> from symgrad.ops.leaves import symbol
    >>> transpose(symbol("x", (n, 3, 5))).shape, transpose(symbol("x", (n, 3, 5)), (0, -1, 1)).shape
    ((5, 3, n), (n, 5, 3))
    """
    operand = as_expr(x)
    order = range(operand.ndim)[::-1] if axes is None else [normalize_axis(a, operand.ndim, "transpose") for a in axes]
    return TRANSPOSE(operand, axes=tuple(order))


def _infer_broadcast(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,), shape = args, attrs["shape"]
    extra = len(shape) - x.ndim
    if extra < 0 or any(size not in (1, target) for size, target in zip(x.shape, shape[extra:], strict=True)):
        raise ShapeError(
            "broadcast_to: shapes do not broadcast", got=f"{describe(x)}, the new shape is {format_shape(shape)}",
            where=where_text(args), hint="Only the size 1 broadcasts; reshape or expand_dims aligns axes.",
        )  # fmt: skip
    return TensorType(shape, x.dtype)


def _broadcast_index(node: Expr, index: Indices) -> Indices:
    sizes = node.args[0].shape
    return tuple(0 if size == 1 else i for size, i in zip(sizes, index[len(index) - len(sizes) :], strict=True))


BROADCAST_TO: Row = register(
    Row(
        name="broadcast_to", structure=Layout(_broadcast_index), arity=1, infer=_infer_broadcast,
        oracle=lambda x, *, shape: np.broadcast_to(x, shape), vjp=lambda node, g: (unbroadcast(g, node.args[0]),),
        doc="The operand repeated along new axes and along axes of size 1.",
        cases=(
            Case((Sample((1, 4)),), {"shape": (n, 4)}),
            Case((Sample((n, 1)),), {"shape": (2, n, 5)}),
            Case((Sample(()),), {"shape": (n,)}),
        ),
    )
)  # fmt: skip


def broadcast_to(x: Any, shape: Any) -> Expr:
    """Repeat a tensor along new leading axes and along axes of size 1 until it has the shape.

    >>> from symgrad.ops.leaves import symbol
    >>> broadcast_to(symbol("b", (10,)), (n, 10)).shape
    (n, 10)
    """
    return BROADCAST_TO(as_expr(x), shape=as_shape(shape, "broadcast_to"))


# -- functions over the rows --------------------------------------------------------------------------------------


def expand_dims(x: Any, axis: int | Sequence[int]) -> Expr:
    """Insert axes of size 1 at these positions of the result.

    >>> from symgrad.ops.leaves import symbol
    >>> expand_dims(symbol("y", (n,)), -1).shape
    (n, 1)
    """
    operand = as_expr(x)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    new = normalize_axes(axis, operand.ndim + count, "expand_dims")
    rest = iter(operand.shape)
    return RESHAPE(operand, shape=tuple(1 if i in new else next(rest) for i in range(operand.ndim + count)))


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Expr:
    """Drop axes of size 1: the given ones, or all that are known to be 1."""
    operand = as_expr(x)
    if axis is None:
        dropped = tuple(i for i, size in enumerate(operand.shape) if size == 1)
    else:
        dropped = normalize_axes(axis, operand.ndim, "squeeze")
    for i in dropped:
        if operand.shape[i] != 1:
            what = f"squeeze: axis {i} has size {operand.shape[i]}, not 1"
            raise ShapeError(what, got=describe(operand), where=where_text((operand,)))
    return RESHAPE(operand, shape=tuple(size for i, size in enumerate(operand.shape) if i not in dropped))


def stack(tensors: Sequence[Any], axis: int = 0) -> Expr:
    """Join tensors of one shape along a new axis.

    >>> from symgrad.ops.leaves import symbol
    >>> stack([symbol("a", (n,)), symbol("b", (n,))], axis=1).shape
    (n, 2)
    """
    args = tuple(map(as_expr, tensors))
    if not args:
        raise ShapeError("stack: no tensors are given")
    for arg in args:
        if arg.shape != args[0].shape:
            got = f"{describe(args[0])}, {describe(arg)}"
            raise ShapeError("stack: shapes differ", got=got, where=where_text(args))
    position = normalize_axis(axis, args[0].ndim + 1, "stack")
    return concatenate([expand_dims(arg, position) for arg in args], axis=position)


def flip(x: Any, axis: int | Sequence[int] | None = None) -> Expr:
    """Turn the order of the elements along the given axes, or along all."""
    operand = as_expr(x)
    return reverse_axes(operand, normalize_axes(axis, operand.ndim, "flip"))


def swapaxes(x: Any, axis1: int, axis2: int) -> Expr:
    """Exchange two axes."""
    operand = as_expr(x)
    a, b = (normalize_axis(axis, operand.ndim, "swapaxes") for axis in (axis1, axis2))
    order = list(range(operand.ndim))
    order[a], order[b] = b, a
    return TRANSPOSE(operand, axes=tuple(order))


def moveaxis(x: Any, source: int, destination: int) -> Expr:
    """Move one axis to another position; the others keep their order."""
    operand = as_expr(x)
    a, b = (normalize_axis(axis, operand.ndim, "moveaxis") for axis in (source, destination))
    order = [axis for axis in range(operand.ndim) if axis != a]
    order.insert(b, a)
    return TRANSPOSE(operand, axes=tuple(order))


def matrix_transpose(x: Any) -> Expr:
    """Exchange the last two axes."""
    operand = as_expr(x)
    if operand.ndim < 2:
        raise ShapeError(
            "matrix_transpose takes two axes or more", got=describe(operand), where=where_text((operand,)),
            hint="x[:, None] makes a column of a vector.",
        )  # fmt: skip
    return swapaxes(operand, -1, -2)


def ravel(x: Any) -> Expr:
    """Give the elements in row-major order along one axis."""
    operand = as_expr(x)
    return RESHAPE(operand, shape=(operand.size,))


flatten = ravel


# -- what binding checks ------------------------------------------------------------------------------------------


def requirements(node: Expr) -> tuple[Size, ...]:
    """List the sizes that must be >= 0 for a node to make sense: what its symbolic positions ask of the dimensions.

    Binding evaluates them for every node and refuses dimensions for which one is negative; what always holds is left
    out.

    >>> from symgrad.ops.leaves import symbol
    >>> from symgrad.ops.row import ROWS
    >>> requirements(ROWS["slice"](symbol("x", (n,)), starts=(2,), stops=(n,), steps=(1,)))
    (n - 2,)
    """
    if node.op == "arange":
        return (node.shape[0],) if may_be_negative(node.shape[0]) else ()
    return tuple(conditions(node))
