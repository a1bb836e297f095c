"""Rules of axes of size 1: added late, dropped early, never both.

In: reshapes that add or drop axes of size 1 and do nothing else, below what broadcasts, reduces or moves. Out: rules
that carry such axes outward through operators, until they meet what drops them, what broadcasts by itself, or the end.
What one sample is in `vmap` becomes a stack of rows in this way. It must not know arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from symgrad.dtypes import INT64
from symgrad.expr import Expr
from symgrad.ops.moves import permuted, reshaped
from symgrad.ops.row import ROWS
from symgrad.ops.structure import kept_shape
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.algebra import ELEMENTWISE
from symgrad.rules.examples import summed, tensor
from symgrad.shape import Shape, Size, broadcast_shapes, dim, dropped_axes

BITWISE, REAL = RuleClass.BITWISE, RuleClass.REAL
n = dim("n")


def _added(x: Expr, context: Context) -> tuple[int, ...]:
    """Give the axes of size 1 that a reshape adds, if it does nothing else."""
    return dropped_axes(x.shape, x.args[0].shape) or () if x.op == "reshape" else ()


def _without(shape: Sequence[Size], dropped: Collection[int]) -> Shape:
    return tuple(size for axis, size in enumerate(shape) if axis not in dropped)


def _renumbered(axes: Sequence[int], dropped: Collection[int]) -> tuple[int, ...]:
    """Give the numbers of axes after others were dropped."""
    return tuple(axis - sum(gone < axis for gone in dropped) for axis in axes if axis not in dropped)


# -- elementwise ---------------------------------------------------------------------------------------------------


def _columns() -> list[Expr]:
    u, v, x = tensor("u", n), tensor("v", n), tensor("x", n, 3)
    column, other = reshaped(u, (n, 1)), reshaped(v, (n, 1))
    return [
        ROWS["exp"](column), column + other, 2 + column, reshaped(x, (n, 1, 3)) * reshaped(x, (n, 1, 3)),
        ROWS["where"](reshaped(v > 0, (n, 1)), column, 0),
    ]  # fmt: skip


@structural(
    "units_outward", " ".join(ELEMENTWISE), "f(x[:, None], y[:, None])", "f(x, y)[:, None]", BITWISE,
    condition="f is elementwise, but no scalar factor; reshapes add axes of size 1, which no other operand has",
    examples=_columns,
)  # fmt: skip
def units_outward(node: Expr, context: Context) -> Expr | None:
    """Add axes of size 1 to the result rather than to each operand."""
    if not any(a.op == "reshape" for a in node.args) or _is_scaled(node):
        return None
    common = {axis for axis, size in enumerate(node.shape) if size == 1}
    for arg in node.args:
        further = node.ndim - arg.ndim
        added = {axis + further for axis in _added(arg, context)}
        common &= added | set(range(further))
    if not common:
        return None
    args = []
    for arg in node.args:
        further = node.ndim - arg.ndim
        shape = _without(arg.shape, {axis - further for axis in common})
        args.append(arg if shape == arg.shape else reshaped(arg.args[0], shape))
    return reshaped(ROWS[node.op](*args, **node.attrs), node.shape)


def _is_scaled(node: Expr) -> bool:
    """Tell whether a node is a multiple of one operand: scalar factors go further outward than axes."""
    return node.op in ("multiply", "divide", "negative") and sum(a.ndim > 0 for a in node.args) == 1


def _rows() -> list[Expr]:
    x, b, s = tensor("x", n, 3), tensor("b", 3), tensor("s")
    total, product_ = summed(b, 0, keepdims=True), summed(b * tensor("c", 3), 0, keepdims=True)
    return [x * reshaped(b, (1, 3)), reshaped(s, (1,)) + b, b - total, b * product_]


@structural(
    "leading_units", " ".join(ELEMENTWISE), "f(x, y[None, :])", "f(x, y)", REAL,
    condition="f is elementwise and broadcasts y by itself; also sum(y, keepdims=True) over all axes", examples=_rows,
)  # fmt: skip
def leading_units(node: Expr, context: Context) -> Expr | None:
    """Leave it to broadcasting to put axes of size 1 in front."""
    if node.ndim == 0 or len(node.args) < 2:
        return None
    args = [_without_leading(a, context) for a in node.args]
    if all(new is old for new, old in zip(args, node.args, strict=True)):
        return None
    return ROWS[node.op](*args, **node.attrs) if broadcast_shapes(*(a.shape for a in args)) == node.shape else None


def _without_leading(x: Expr, context: Context) -> Expr:
    """Drop the axes of size 1 that stand before all others, where that costs nothing."""
    if x.ndim and x.op == "sum" and context.owns(x, "sum") and all(size == 1 for size in x.shape):
        whole = len(x.attrs["axes"]) == x.args[0].ndim and x.attrs["keepdims"]
        return _whole_sum(x.args[0], context) if whole else x
    added = _added(x, context)
    count = next((i for i in range(x.ndim) if i not in added), x.ndim)
    return reshaped(x.args[0], x.shape[count:]) if count else x


def _whole_sum(x: Expr, context: Context) -> Expr:
    """Sum over all axes; products of vectors are what `@` sums."""
    if x.ndim == 1 and context.owns(x, "multiply") and x.args[0].shape == x.args[1].shape:
        return ROWS["matmul"](*x.args)
    return ROWS["sum"](x, axes=tuple(range(x.ndim)), keepdims=False)


def _meeting() -> list[Expr]:
    x, t = tensor("x", n, 3), tensor("t", n, 1)
    return [reshaped(summed(x, 1) / reshaped(t, (n,)), (n, 1))]


@structural(
    "units_inward", "reshape", "(sum(x, axis=1) / y[:, 0])[:, None]", "sum(x, axis=1, keepdims=True) / y", BITWISE,
    condition="elementwise; operands have dropped these axes, sums may keep them; nothing else uses the quotient",
    examples=_meeting,
)  # fmt: skip
def units_inward(node: Expr, context: Context) -> Expr | None:
    """Keep axes of size 1 that would be dropped before and added after."""
    (inner,) = node.args
    if inner.op not in ELEMENTWISE or not context.owns(inner, inner.op) or not dropped_axes(node.shape, inner.shape):
        return None
    args = [_restored(a, inner, node, context) for a in inner.args]
    if any(a is None for a in args) or not any(a.op == "reshape" for a in inner.args):
        return None
    new = ROWS[inner.op](*args, **inner.attrs)
    return new if new.shape == node.shape else None


def _restored(x: Expr, inner: Expr, node: Expr, context: Context) -> Expr | None:
    """Give an operand with the axes that a reshape of the whole adds."""
    if x.ndim == 0:
        return x
    if x.shape != inner.shape:
        return None
    if x.op == "reshape" and x.args[0].shape == node.shape:
        return x.args[0]
    dropped = x.op in ("sum", "mean") and context.owns(x, x.op) and not x.attrs["keepdims"]
    if dropped and kept_shape(x.args[0].shape, x.attrs["axes"], True) == node.shape:
        return ROWS[x.op](x.args[0], axes=x.attrs["axes"], keepdims=True)
    return None


# -- one operand and axes ------------------------------------------------------------------------------------------


def _lines() -> list[Expr]:
    x = reshaped(tensor("x", n, 3), (n, 1, 3))
    return [ROWS["softmax"](x, axis=2), ROWS["log_softmax"](x, axis=0)]


@structural(
    "softmax_of_units", "softmax log_softmax", "softmax(x[:, None, :], axis=2)", "softmax(x, axis=1)[:, None, :]",
    BITWISE, condition="the axis is not one of size 1 that the reshape adds", examples=_lines,
)  # fmt: skip
def softmax_of_units(node: Expr, context: Context) -> Expr | None:
    """Add axes of size 1 to the probabilities."""
    (x,), axis = node.args, node.attrs["axis"]
    added = _added(x, context)
    if not added or axis in added:
        return None
    return reshaped(ROWS[node.op](x.args[0], axis=_renumbered((axis,), added)[0]), node.shape)


def _labels() -> list[Expr]:
    positions = ROWS["arange"](start=0, step=1, size=3, dtype=INT64)
    return [ROWS["one_hot"](reshaped(positions, (3, 1)), depth=4, dtype=tensor("x").dtype)]


@structural("one_hot_of_units", "one_hot", "one_hot(i[:, None])", "one_hot(i)[:, None, :]", BITWISE, examples=_labels)
def one_hot_of_units(node: Expr, context: Context) -> Expr | None:
    """Add axes of size 1 to the labels."""
    (positions,) = node.args
    if not _added(positions, context):
        return None
    return reshaped(ROWS["one_hot"](positions.args[0], **node.attrs), node.shape)


def _slices() -> list[Expr]:
    x = reshaped(tensor("x", n, 3), (n, 1, 3))
    return [ROWS["slice"](x, starts=(0, 0, 1), stops=(n, 1, 3), steps=(1, 1, 1))]


@structural(
    "slice_of_units", "slice", "x[:, None, :][:, :, 1:]", "x[:, 1:][:, None, :]", BITWISE,
    condition="the axes that the reshape adds are kept", examples=_slices,
)  # fmt: skip
def slice_of_units(node: Expr, context: Context) -> Expr | None:
    """Cut before axes of size 1 are added."""
    (x,) = node.args
    added = _added(x, context)
    if not added or any(node.shape[axis] != 1 for axis in added):
        return None
    attrs = {name: _without(node.attrs[name], added) for name in ("starts", "stops", "steps")}
    return reshaped(ROWS["slice"](x.args[0], **attrs), node.shape)


def _whole() -> list[Expr]:
    return [ROWS["slice"](tensor("x", n, 3), starts=(0, 0), stops=(n, 3), steps=(1, 1))]


@structural("whole_slice", "slice", "x[:, :]", "x", BITWISE, examples=_whole)
def whole_slice(node: Expr, context: Context) -> Expr | None:
    """Drop an index that takes everything."""
    (x,) = node.args
    return x if node.shape == x.shape and all(step == 1 for step in node.attrs["steps"]) else None


def _turned() -> list[Expr]:
    return [ROWS["transpose"](reshaped(tensor("x", n, 3), (n, 1, 3)), axes=(1, 0, 2))]


@structural(
    "transpose_of_units", "transpose", "transpose(x[:, None, :], (1, 0, 2))", "x[None, :, :]", BITWISE,
    condition="the reshape adds axes of size 1", examples=_turned,
)  # fmt: skip
def transpose_of_units(node: Expr, context: Context) -> Expr | None:
    """Permute the axes that have elements; axes of size 1 are added where they end."""
    (x,), order = node.args, node.attrs["axes"]
    added = _added(x, context)
    if not added:
        return None
    moved = permuted(x.args[0], _renumbered([axis for axis in order if axis not in added], added))
    return reshaped(moved, node.shape)


def _reduced() -> list[Expr]:
    x = reshaped(tensor("x", n, 3), (n, 1, 3))
    return [summed(x, 2), summed(x, 1, 2, keepdims=True), ROWS["max"](x, axes=(0, 1), keepdims=False)]


@structural(
    "fold_of_units", "sum prod mean max min logsumexp", "sum(x[:, None, :], axis=2)", "sum(x, axis=1)[:, None]",
    BITWISE, condition="axes are reduced that have elements", examples=_reduced,
)  # fmt: skip
def fold_of_units(node: Expr, context: Context) -> Expr | None:
    """Reduce before axes of size 1 are added."""
    (x,) = node.args
    added = _added(x, context)
    axes = _renumbered(node.attrs["axes"], added)
    if not added or not axes:
        return None
    return reshaped(ROWS[node.op](x.args[0], axes=axes, keepdims=node.attrs["keepdims"]), node.shape)


UNITS: tuple[Rule, ...] = (
    whole_slice,
    units_outward,
    leading_units,
    units_inward,
    softmax_of_units,
    one_hot_of_units,
    slice_of_units,
    transpose_of_units,
    fold_of_units,
)
