"""The rows that read and write at computed positions: take, take_along_axis, pick, their transposes, one_hot.

In: a tensor and integer positions, which count from the end where they are negative. Out: Gather and Scatter nodes,
whose structure says with polynomials where an element comes from or goes to. Positions that are known are checked here,
all others when the graph runs. It must not know Python's indexing syntax: that is `getitem.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.dtypes import DType, as_dtype
from symgrad.errors import DTypeError, IndexRangeError, ShapeError
from symgrad.expr import Buffer, Expr, TensorType, Type, literal
from symgrad.ops.axes import as_shape, normalize_axis
from symgrad.ops.fill import ARANGE
from symgrad.ops.layout import broadcast_to, expand_dims, moveaxis, ravel
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, cast, describe, register, where_text
from symgrad.ops.structure import Composite, Gather, Indices, Scatter
from symgrad.shape import Shape, Size, broadcast_shapes, checked_size, dim, format_shape

__all__ = ["one_hot", "pick", "scatter_add", "scatter_along_axis", "take", "take_along_axis"]

n = dim("n")


def check_positions(what: str, indices: Expr, extent: Size, args: tuple[Expr, ...]) -> None:
    """Refuse positions that are no integers, or that are known and lie outside the axis."""
    if not indices.dtype.is_integer:
        hint = "Use sg.where to choose by a mask." if indices.dtype is DType.BOOL else "Convert them with astype."
        raise DTypeError(f"{what}: positions are integers", got=str(indices.dtype), where=where_text(args), hint=hint)
    value = literal(indices)
    known = indices.array if isinstance(indices, Buffer) else np.asarray([] if value is None else [value])
    if not isinstance(extent, int) or known.size == 0:
        return
    for position in (int(known.min()), int(known.max())):
        if not -extent <= position < extent:
            raise IndexRangeError(
                f"{what}: position {position} is outside an axis of size {extent}", got=describe(args[0]),
                where=where_text(args), hint=f"Valid: {-extent} to {extent - 1}." if extent else "",
            )  # fmt: skip


def _span(node: Expr) -> slice:
    """Give the axes of the indices inside the result of take, which are also those inside the values of scatter_add."""
    axis: int = node.attrs["axis"]
    return slice(axis, axis + node.args[1].ndim)


# -- take and scatter_add -----------------------------------------------------------------------------------------


def _infer_take(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x, indices), axis = args, attrs["axis"]
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"take: there is no axis {axis}", got=describe(x), where=where_text(args))
    check_positions("take", indices, x.shape[axis], args)
    return TensorType(x.shape[:axis] + indices.shape + x.shape[axis + 1 :], x.dtype)


def _at_span(node: Expr, index: Indices) -> Indices:
    return index[_span(node)]


def _through_span(node: Expr, index: Indices, position: Size) -> Indices:
    """Give the index with the position in place of the indices' axes."""
    span = _span(node)
    return (*index[: span.start], position, *index[span.stop :])


TAKE: Row = register(
    Row(
        name="take", arity=2, infer=_infer_take,
        structure=Gather(
            at=_at_span, source=_through_span, extent=lambda node: node.args[0].shape[node.attrs["axis"]]
        ),
        oracle=lambda x, indices, *, axis: np.take(x, indices, axis),
        vjp=lambda node, g: (
            SCATTER_ADD(g, node.args[1], axis=node.attrs["axis"], size=node.args[0].shape[node.attrs["axis"]]),
            None,
        ),
        doc="The slices of the first operand at the given positions along an axis.",
        cases=(
            Case((Sample((7, 3)), Sample((n,), 0, 7, "int64")), {"axis": 0}),
            Case((Sample((n, 5)), Sample((2, 3), -5, 5, "int32")), {"axis": 1}),
            Case((Sample((4,)), Sample((), 0, 4, "int64")), {"axis": 0}, sizes=(1,)),
        ),
    )
)  # fmt: skip


def take(x: Any, indices: Any, axis: int | None = None) -> Expr:
    """Give the slices of x at the positions along an axis; without an axis, the elements of the flattened x.

    The shape is that of x with the indices' shape in place of the axis. Known positions outside the axis raise
    IndexRangeError here, all others when the graph runs.

    >>> from symgrad.ops.leaves import symbol
    >>> take(symbol("table", (1000, 16)), symbol("words", (n, 20), "int32"), axis=0).shape
    (n, 20, 16)
    """
    operand = as_expr(x)
    if axis is None:
        return TAKE(operand if operand.ndim == 1 else ravel(operand), indices, axis=0)
    return TAKE(operand, indices, axis=normalize_axis(axis, operand.ndim, "take"))


def _infer_scatter(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (values, indices), axis, size = args, attrs["axis"], attrs["size"]
    span = slice(axis, axis + indices.ndim)
    if axis < 0 or values.shape[span] != indices.shape:
        got = f"{describe(values)}, {describe(indices)}, axis {axis}"
        raise ShapeError("scatter_add: one value per position is needed", got=got, where=where_text(args))
    check_positions("scatter_add", indices, size, args)
    return TensorType((*values.shape[:axis], size, *values.shape[span.stop :]), values.dtype)


def _scatter_oracle(values: np.ndarray, indices: np.ndarray, *, axis: int, size: int) -> np.ndarray:
    shape = (*values.shape[:axis], size, *values.shape[axis + indices.ndim :])
    out = np.zeros(shape, values.dtype)
    key: Any = (*(slice(None),) * axis, indices)
    np.add.at(out, key, values)
    return out


SCATTER_ADD: Row = register(
    Row(
        name="scatter_add", arity=2, infer=_infer_scatter, oracle=_scatter_oracle,
        structure=Scatter(
            at=_at_span, target=_through_span, extent=lambda node: node.attrs["size"],
            serial=lambda node: tuple(range(node.args[0].ndim))[_span(node)],
        ),
        vjp=lambda node, g: (TAKE(g, node.args[1], axis=node.attrs["axis"]), None),
        doc="Zeros, to which each value is added at its position along an axis.",
        cases=(
            Case((Sample((n, 3)), Sample((n,), 0, 5, "int64")), {"axis": 0, "size": 5}),
            Case((Sample((2, n, 3)), Sample((n, 3), -4, 4, "int32")), {"axis": 1, "size": 4}),
        ),
    )
)  # fmt: skip


def scatter_add(x: Any, indices: Any, axis: int = 0, *, size: Any) -> Expr:
    """Give zeros, to which each slice of x is added at its position along an axis: the opposite of `take`.

    - `x`: its axes from `axis` on have the indices' shape; the result has one axis of this `size` in their place.

    Slices that meet are added in order. Positions are checked as by `take`; raises ShapeError where shapes do not fit.

    >>> import symgrad as sg
    >>> sg.evaluate(scatter_add([1.0, 2.0, 3.0], [0, 3, 0], size=4)).tolist()
    [4.0, 0.0, 0.0, 2.0]
    """
    values = as_expr(x)
    (extent,) = as_shape(size, "scatter_add")
    return SCATTER_ADD(values, indices, axis=normalize_axis(axis, values.ndim, "scatter_add"), size=extent)


# -- along the last axis -------------------------------------------------------------------------------------------


def _infer_along(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    x, indices = args
    if x.ndim == 0 or x.ndim != indices.ndim or x.shape[:-1] != indices.shape[:-1]:
        got = f"{describe(x)}, {describe(indices)}"
        raise ShapeError("take_along_axis: every line needs positions", got=got, where=where_text(args))
    check_positions("take_along_axis", indices, x.shape[-1], args)
    return TensorType(indices.shape, x.dtype)


def _own_place(node: Expr, index: Indices) -> Indices:
    return index


def _in_line(node: Expr, index: Indices, position: Size) -> Indices:
    return (*index[:-1], position)


TAKE_ALONG_AXIS: Row = register(
    Row(
        name="take_along_axis", arity=2, infer=_infer_along,
        structure=Gather(at=_own_place, source=_in_line, extent=lambda node: node.args[0].shape[-1]),
        oracle=lambda x, indices: np.take_along_axis(x, indices.astype(np.int64), -1),
        vjp=lambda node, g: (SCATTER_ALONG_AXIS(g, node.args[1], size=node.args[0].shape[-1]), None),
        doc="Elements of each line (along the last axis) at positions of its own: x[i, indices[i, j]].",
        cases=(
            Case((Sample((7,)), Sample((n,), 0, 7, "int64"))),
            Case((Sample((2, n, 5)), Sample((2, n, 3), -5, 5, "int32"))),
        ),
    )
)  # fmt: skip


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Expr:
    """Give elements of each line along an axis, at positions that differ from line to line.

    The indices have as many axes as x; all but the axis broadcast. Without an axis, x is flattened and the indices are
    a vector. Positions outside raise IndexRangeError: known ones here, others when the graph runs.

    >>> from symgrad.ops.leaves import symbol
    >>> take_along_axis(symbol("x", (n, 10)), symbol("best", (n, 3), "int32"), axis=1).shape
    (n, 3)
    """
    operand, positions = as_expr(x), as_expr(indices)
    if axis is None:
        return TAKE_ALONG_AXIS(ravel(operand), positions)
    if operand.ndim != positions.ndim:
        got = f"{describe(operand)}, {describe(positions)}"
        raise ShapeError("take_along_axis: the operands differ in rank", got=got, where=where_text([operand]))
    own = normalize_axis(axis, operand.ndim, "take_along_axis")
    lines = [e if own == operand.ndim - 1 else moveaxis(e, own, -1) for e in (operand, positions)]
    shape = broadcast_shapes(*(e.shape[:-1] for e in lines))
    wide = (e if e.shape[:-1] == shape else broadcast_to(e, (*shape, e.shape[-1])) for e in lines)
    out = TAKE_ALONG_AXIS(*wide)
    return out if own == operand.ndim - 1 else moveaxis(out, -1, own)


def _infer_scatter_along(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    values, indices = args
    if values.ndim == 0 or values.shape != indices.shape:
        got = f"{describe(values)}, {describe(indices)}"
        raise ShapeError("scatter_along_axis: one position per value is needed", got=got, where=where_text(args))
    check_positions("scatter_along_axis", indices, attrs["size"], args)
    return TensorType((*values.shape[:-1], attrs["size"]), values.dtype)


def _scatter_along_oracle(values: np.ndarray, indices: np.ndarray, *, size: int) -> np.ndarray:
    out = np.zeros((*values.shape[:-1], size), values.dtype)
    place = np.indices(values.shape)[:-1]
    np.add.at(out, (*place, indices), values)
    return out


SCATTER_ALONG_AXIS: Row = register(
    Row(
        name="scatter_along_axis", arity=2, infer=_infer_scatter_along, oracle=_scatter_along_oracle,
        structure=Scatter(
            at=_own_place, target=_in_line, extent=lambda node: node.attrs["size"],
            serial=lambda node: (node.args[0].ndim - 1,),
        ),
        vjp=lambda node, g: (TAKE_ALONG_AXIS(g, node.args[1]), None),
        doc="Zeros, to which each value is added at its position in its line (along the last axis).",
        cases=(
            Case((Sample((n,)), Sample((n,), 0, 5, "int64")), {"size": 5}),
            Case((Sample((2, n, 3)), Sample((2, n, 3), -4, 4, "int32")), {"size": 4}),
        ),
    )
)  # fmt: skip


def scatter_along_axis(x: Any, indices: Any, *, size: Any) -> Expr:
    """Give zeros, to which each element of x is added at its position in its line: the opposite of `take_along_axis`.

    - `indices`: of the shape of x. Lines are along the last axis; those of the result have this `size`.

    >>> import symgrad as sg
    >>> sg.evaluate(scatter_along_axis([[1.0, 2.0], [3.0, 4.0]], [[0, 2], [1, 1]], size=3)).tolist()
    [[1.0, 0.0, 2.0], [0.0, 7.0, 0.0]]
    """
    (extent,) = as_shape(size, "scatter_along_axis")
    return SCATTER_ALONG_AXIS(x, indices, size=extent)


# -- pick and one_hot ---------------------------------------------------------------------------------------------


def _infer_pick(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    x, indices = args
    if x.ndim == 0 or x.shape[:-1] != indices.shape:
        raise ShapeError(
            "pick: one position per row is needed", got=f"{describe(x)}, {describe(indices)}", where=where_text(args),
            hint=f"Positions of shape {format_shape(x.shape[:-1])} fit." if x.ndim else "",
        )  # fmt: skip
    check_positions("pick", indices, x.shape[-1], args)
    return TensorType(indices.shape, x.dtype)


def _pick_vjp(node: Expr, g: Expr) -> tuple[Expr, None]:
    x, indices = node.args
    return ROWS["multiply"](one_hot(indices, x.shape[-1], x.dtype), expand_dims(g, -1)), None


PICK: Row = register(
    Row(
        name="pick", arity=2, infer=_infer_pick, vjp=_pick_vjp,
        structure=Gather(
            at=lambda node, index: index,
            source=lambda node, index, position: (*index, position),
            extent=lambda node: node.args[0].shape[-1],
        ),
        oracle=lambda x, indices: np.take_along_axis(x, indices[..., None].astype(np.int64), -1)[..., 0],
        doc="One element of each row (along the last axis): x[i, indices[i]].",
        cases=(
            Case((Sample((n, 10)), Sample((n,), 0, 10, "int32"))),
            Case((Sample((2, n, 4)), Sample((2, n), -4, 4, "int64"))),
        ),
    )
)  # fmt: skip


def pick(x: Any, indices: Any) -> Expr:
    """Give one element of each row, x[..., indices]: the meaning of `x[sg.arange(N), y]`.

    >>> from symgrad.ops.leaves import symbol
    >>> pick(symbol("z", (n, 10)), symbol("y", (n,), "int32")).shape
    (n,)
    """
    return PICK(x, indices)


def _infer_one_hot(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (indices,) = args
    if not indices.dtype.is_integer:
        raise DTypeError("one_hot: positions are integers", got=str(indices.dtype), where=where_text(args))
    shape: Shape = (*indices.shape, attrs["depth"])
    return TensorType(shape, attrs["dtype"])


def _define_one_hot(node: Expr) -> Expr:
    """Compare each position with 0, 1, ...; narrow integers are widened, for the depth may not fit them."""
    (indices,), depth = node.args, node.attrs["depth"]
    positions = indices if indices.dtype.size >= 4 else cast(indices, DType.INT32)
    if positions.dtype.kind == "i":
        from_end = ROWS["add"](positions, as_expr(depth, positions.dtype))
        positions = ROWS["where"](ROWS["less"](positions, 0), from_end, positions)
    classes = ARANGE(start=0, step=1, size=depth, dtype=positions.dtype)
    return cast(ROWS["equal"](expand_dims(positions, -1), classes), node.dtype)


def _one_hot_oracle(indices: np.ndarray, *, depth: int, dtype: DType) -> np.ndarray:
    positions = indices
    if indices.dtype.kind == "i":
        wide = indices.astype(np.int64)
        positions = np.where(wide < 0, wide + depth, wide)
    out: np.ndarray = (positions[..., None] == np.arange(depth)).astype(dtype.numpy)
    return out


ONE_HOT: Row = register(
    Row(
        name="one_hot", structure=Composite(_define_one_hot), arity=1, infer=_infer_one_hot, oracle=_one_hot_oracle,
        vjp=lambda node, g: (None,), differentiable=False,
        doc="1 at each position, 0 elsewhere; a position outside is refused when the graph runs.",
        cases=(
            Case((Sample((n,), 0, 10, "int32"),), {"depth": 10, "dtype": DType.FLOAT32}),
            Case((Sample((n, 2), -3, 3, "int64"),), {"depth": 3, "dtype": DType.FLOAT64}),
            Case((Sample((4,), 0, 200, "uint8"),), {"depth": n + 200, "dtype": DType.FLOAT32}),
        ),
    )
)  # fmt: skip


def one_hot(indices: Any, depth: Size, dtype: Any = "float32") -> Expr:
    """Give rows of zeros with a 1 at each position, along a new last axis of size `depth`.

    Negative positions count from the end; a position outside raises IndexRangeError when the graph runs.
    Raises ShapeError for a negative depth.

    >>> from symgrad.ops.leaves import symbol
    >>> one_hot(symbol("y", (n,), "int32"), 10).shape
    (n, 10)
    """
    if isinstance(depth, int) and depth < 0:
        raise ShapeError("one_hot: the depth is negative", got=f"depth={depth}")
    return ONE_HOT(indices, depth=checked_size(depth), dtype=as_dtype(dtype))
