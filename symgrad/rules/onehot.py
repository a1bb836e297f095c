"""Rules of one-hot masks: a sum over one is the element it picks, and the identity matrix leaves a diagonal.

In: sums of masks in which one position of each row is true, where(i == j, x, 0) and x * one_hot(i); what scatters a
number to one position. Out: the element itself, taken by index or as a view; diagonals in one canonical form. This is
what makes the second derivative of a cross-entropy diag(p) - outer(p, p). It must not know where masks come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from symgrad.dtypes import DType
from symgrad.expr import Expr, constant_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.identity import diagonal_of, identity_mask
from symgrad.rules.inference import knows
from symgrad.shape import Shape, dim

BITWISE, REAL, REFINES = RuleClass.BITWISE, RuleClass.REAL, RuleClass.REFINES
n = dim("n")


def _eye(count: int | None = None) -> Expr:
    """Give the condition i == j."""
    numbers = ROWS["arange"](start=0, step=1, size=count or 4, dtype=DType.INT64)
    return ROWS["equal"](ROWS["reshape"](numbers, shape=(count or 4, 1)), numbers)


def _masked(x: Expr) -> Expr:
    return ROWS["where"](_eye(), x, 0)


def _sum(x: Expr, *axes: int, keepdims: bool = False) -> Expr:
    return ROWS["sum"](x, axes=axes, keepdims=keepdims)


# -- axes ---------------------------------------------------------------------------------------------------------


def _reshaped(x: Expr, shape: Sequence[object]) -> Expr:
    return x if x.shape == tuple(shape) else ROWS["reshape"](x, shape=tuple(shape))


def _aligned(x: Expr, rank: int) -> Expr:
    return _reshaped(x, (*(1,) * (rank - x.ndim), *x.shape))


def _moved(x: Expr, source: int, target: int) -> Expr:
    """Move an axis to where another one has the size 1; a reshape where it passes none but unit axes."""
    shape = list(x.shape)
    shape[source], shape[target] = shape[target], shape[source]
    first, last = sorted((source, target))
    if all(size == 1 for size in x.shape[first + 1 : last]):
        inner = x.args[0] if x.op == "reshape" else x
        return _reshaped(inner, shape)
    axes = list(range(x.ndim))
    axes[source], axes[target] = target, source
    return ROWS["transpose"](x, axes=tuple(axes))


def _where_equal(x: Expr, rank: int, summed: int, kept: int) -> Expr:
    """Give the elements of x whose positions along two axes agree: `summed` becomes 1, the result broadcasts."""
    x = _aligned(x, rank)
    if x.shape[summed] == 1:
        return x
    if x.shape[kept] == 1:
        return _moved(x, summed, kept)
    order = (*(a for a in range(rank) if a not in (summed, kept)), kept, summed)
    turned = x if order == tuple(range(rank)) else ROWS["transpose"](x, axes=order)
    diagonal = ROWS["diagonal"](turned)
    if diagonal.ndim - 1 != (kept if kept < summed else kept - 1):
        back = list(range(diagonal.ndim - 1))
        back.insert(kept if kept < summed else kept - 1, diagonal.ndim - 1)
        diagonal = ROWS["transpose"](diagonal, axes=tuple(back))
    return _reshaped(diagonal, (*x.shape[:summed], 1, *x.shape[summed + 1 :]))


def _reduced(x: Expr, whole: Shape, gone: int, node: Expr) -> Expr:
    """Sum over the other axes of a sum, of which one has become 1 already; `whole` is what x broadcasts to."""
    rest = tuple(a - (a > gone) for a in node.attrs["axes"] if a != gone)
    if not rest and node.attrs["keepdims"]:
        return x
    x = _reshaped(x, (*x.shape[:gone], *x.shape[gone + 1 :]))
    if not rest:
        return x
    shape = (*whole[:gone], *whole[gone + 1 :])
    x = x if x.shape == shape else ROWS["broadcast_to"](x, shape=shape)
    return _reshaped(ROWS["sum"](x, axes=rest, keepdims=False), node.shape)


# -- the identity -------------------------------------------------------------------------------------------------


def _identity_sums() -> list[Expr]:
    v, X = symbol("v", (4,), "float64"), symbol("X", (4, 4), "float64")
    cube = ROWS["where"](_eye(), symbol("C", (2, 4, 4), "float64"), 0)
    column = ROWS["reshape"](v, shape=(4, 1))
    numbers = ROWS["arange"](start=0, step=1, size=4, dtype=DType.INT64)
    apart = ROWS["equal"](ROWS["reshape"](numbers, shape=(4, 1, 1)), numbers)
    wide = ROWS["where"](apart, symbol("D", (4, 3, 4), "float64"), 0)
    return [
        _sum(_masked(v), 1, keepdims=True), _sum(_masked(v), 0), _sum(_masked(column), 0), _sum(_masked(X), 1),
        _sum(_masked(X), 0, 1), _sum(cube, 0, 2), _sum(cube, 1, keepdims=True), _sum(wide, 0), _sum(wide, 2),
        _sum(ROWS["where"](_eye(), 1.0, 0.0), 0, 1), _sum(ROWS["astype"](_eye(), dtype=DType.FLOAT64), 1),
    ]  # fmt: skip


@structural(
    "sum_of_identity", "sum", "sum(where(i == j, x, 0), axis=j)", "x[i, i]", REAL,
    condition="i and j are the positions along two axes of one size", examples=_identity_sums,
)  # fmt: skip
def sum_of_identity(node: Expr, context: Context) -> Expr | None:
    """Take the one element of each row that the identity leaves."""
    (whole,) = node.args
    mask = None if id(whole) in context.opaque else identity_mask(whole)
    if mask is None:
        return None
    summed = [axis for axis in mask.axes[::-1] if axis in node.attrs["axes"]]
    if not summed:
        return None
    kept = mask.axes[0] if summed[0] == mask.axes[1] else mask.axes[1]
    found = _where_equal(mask.x, whole.ndim, summed[0], kept)
    return _reduced(found, whole.shape, summed[0], node)


def _column_masks() -> list[Expr]:
    return [_masked(ROWS["reshape"](symbol("v", (4,), "float64"), shape=(4, 1)))]


@structural(
    "diagonal_by_row", "where", "where(i == j, x[i], 0)", "where(i == j, x[j], 0)", BITWISE,
    condition="x is a vector that reshape has laid along the first of the two axes", examples=_column_masks,
)  # fmt: skip
def diagonal_by_row(node: Expr, context: Context) -> Expr | None:
    """Lay the vector that becomes a diagonal along the last of the two axes."""
    mask = identity_mask(node)
    if mask is None:
        return None
    x, (first, last) = mask.x, mask.axes
    x_axes = [axis + node.ndim - x.ndim for axis, size in enumerate(x.shape) if size != 1]
    if not context.sees(x, "reshape") or x_axes != [first]:
        return None
    turned = _moved(_aligned(x, node.ndim), first, last)
    leading = next((i for i, size in enumerate(turned.shape) if size != 1), 0)
    return ROWS["where"](mask.condition, _reshaped(turned.args[0], turned.shape[leading:]), node.args[2])


def _jacobians() -> list[Expr]:
    v, X = symbol("v", (4,), "float64"), symbol("X", (4, 4), "float64")
    ones = ROWS["where"](_eye(), constant_node(1, v.dtype), 0)
    return [v * (ones - X), v * (X - ones), (ones + X) * v, v * (X - ROWS["astype"](_eye(), dtype=DType.FLOAT64))]


@structural(
    "identity_times", "multiply", "x * (where(i == j, d, 0) - y)", "where(i == j, x * d, 0) - x * y", REAL,
    condition="also y - where(...) and sums", examples=_jacobians,
)  # fmt: skip
def identity_times(node: Expr, context: Context) -> Expr | None:
    """Write a Jacobian as a diagonal and a rest."""
    if not node.dtype.is_float:
        return None
    for this, x in (node.args, node.args[::-1]):
        if this.op not in ("add", "subtract") or id(this) in context.opaque or id(this) in context.kept or x.ndim == 0:
            continue
        parts = [_diagonal(part, x) for part in this.args]
        if any(part is not None for part in parts):
            terms = [
                ROWS["multiply"](x, old) if new is None else new for old, new in zip(this.args, parts, strict=True)
            ]
            return ROWS[this.op](*terms)
    return None


def _diagonal(part: Expr, x: Expr) -> Expr | None:
    mask = identity_mask(part)
    if mask is None or x.ndim > part.ndim:
        return None
    value = x if literal(mask.x) == 1 else ROWS["multiply"](x, mask.x)
    return ROWS["where"](mask.condition, value, constant_node(0, part.dtype))


def _diagonal_products() -> list[Expr]:
    v, X, ones = symbol("v", (4,), "float64"), symbol("X", (4, n), "float64"), constant_node(1, DType.FLOAT64)
    turned = ROWS["transpose"](X, axes=(1, 0))
    return [_masked(v) @ X, turned @ _masked(v), _masked(ones) @ X, v @ _masked(ones), _masked(v) @ v]


@structural(
    "matmul_of_diagonal", "matmul", "where(i == j, d, 0) @ x", "d[:, None] * x", REAL,
    condition="also x @ where(...); the identity leaves x", examples=_diagonal_products,
)  # fmt: skip
def matmul_of_diagonal(node: Expr, context: Context) -> Expr | None:
    """Multiply rows or columns by numbers, rather than matrices."""
    for place, (this, x) in enumerate((node.args, node.args[::-1])):
        d = None if id(this) in context.opaque or x.ndim > 2 else diagonal_of(this)
        if d is None or not node.dtype.is_float:
            continue
        if literal(d) == 1:
            return x
        by_rows = place == 0 and x.ndim == 2 and d.ndim == 1
        return ROWS["multiply"](_reshaped(d, (*d.shape, 1)) if by_rows else d, x)
    return None


# -- one_hot ------------------------------------------------------------------------------------------------------


def _labels() -> tuple[Expr, Expr]:
    i = symbol("i", (n,), "int32")
    return ROWS["one_hot"](i, depth=4, dtype=DType.FLOAT64), symbol("x", (n, 4), "float64")


def _label_sums() -> list[Expr]:
    labels, x = _labels()
    row, one = symbol("r", (4,), "float64"), symbol("i", (), "int32")
    single = ROWS["one_hot"](one, depth=4, dtype=DType.FLOAT64)
    return [
        _sum(labels * x, 1), _sum(x * labels, 0, 1), _sum(labels * x, 1, keepdims=True), _sum(labels * row, 1),
        _sum(single * row, 0), _sum(single * x, 1),
    ]  # fmt: skip


@structural(
    "sum_of_one_hot", "sum", "sum(one_hot(i) * x, axis=-1)", "x[..., i]", REFINES,
    condition="x has the shape of one_hot(i), or i or x has no other axes", examples=_label_sums,
)  # fmt: skip
def sum_of_one_hot(node: Expr, context: Context) -> Expr | None:
    """Take the element at each label; both forms refuse a position out of range."""
    (whole,) = node.args
    last = whole.ndim - 1
    if not context.sees(whole, "multiply") or last not in node.attrs["axes"]:
        return None
    for labels, x in (whole.args, whole.args[::-1]):
        if context.sees(labels, "one_hot") and x.ndim and x.shape[-1] == labels.shape[-1]:
            found = _picked(x, labels.args[0])
            if found is not None and x.op != "one_hot":
                kept = _reshaped(found, (*found.shape, 1))
                return _reduced(_aligned(kept, whole.ndim), whole.shape, last, node)
    return None


def _picked(x: Expr, positions: Expr) -> Expr | None:
    """Give x[..., positions], where a gather says so without copies of either."""
    if positions.ndim == 0 or x.ndim == 1:
        return ROWS["take"](x, positions, axis=x.ndim - 1)
    return ROWS["pick"](x, positions) if x.shape[:-1] == positions.shape else None


def _converted_labels() -> list[Expr]:
    labels, _ = _labels()
    return [ROWS["astype"](labels, dtype=DType.FLOAT32)]


@structural(
    "cast_of_one_hot", "astype", "astype(one_hot(i))", "one_hot(i)", BITWISE, condition="to a dtype of numbers",
    examples=_converted_labels,
)  # fmt: skip
def cast_of_one_hot(node: Expr, context: Context) -> Expr | None:
    """Make labels in the dtype in which they are used."""
    (labels,) = node.args
    if not context.sees(labels, "one_hot") or node.dtype is DType.BOOL:
        return None
    return ROWS["one_hot"](labels.args[0], depth=labels.attrs["depth"], dtype=node.dtype)


def _scattered() -> list[Expr]:
    one = symbol("i", (), "int32")
    return [ROWS["scatter_add"](constant_node(-2, DType.FLOAT64), one, axis=0, size=4)]


@structural(
    "scatter_number", "scatter_add", "scatter_add(s, i)", "s * one_hot(i)", REAL,
    condition="s and i have rank 0; s is known to be finite", examples=_scattered,
)  # fmt: skip
def scatter_number(node: Expr, context: Context) -> Expr | None:
    """Write a number at one position as a multiple of a label."""
    value, position = node.args
    if value.ndim or position.ndim or not node.dtype.is_float or not _is_finite(value, context):
        return None
    return ROWS["multiply"](value, ROWS["one_hot"](position, depth=node.attrs["size"], dtype=node.dtype))


def _placed() -> list[Expr]:
    number = constant_node(-2, DType.FLOAT64)
    ones = [ROWS["reshape"](number, shape=(1,)), ROWS["broadcast_to"](number, shape=(1,))]
    return [ROWS["place"](x, shape=(5,), starts=(3,), steps=(1,)) for x in ones]


@structural(
    "place_number", "place", "place(s, starts=(k,))", "s * one_hot(k)", REAL,
    condition="s is a finite number that stands in a vector", examples=_placed,
)  # fmt: skip
def place_number(node: Expr, context: Context) -> Expr | None:
    """Write a number at a known position as a multiple of a label."""
    (value,), position = node.args, node.attrs["starts"]
    if value.shape != (1,) or value.op not in ("reshape", "broadcast_to") or not isinstance(position[0], int):
        return None
    (number,) = value.args
    if number.ndim or not node.dtype.is_float or not _is_finite(number, context):
        return None
    label = constant_node(position[0], DType.INT64)
    return ROWS["multiply"](number, ROWS["one_hot"](label, depth=node.shape[0], dtype=node.dtype))


def _is_finite(value: Expr, context: Context) -> bool:
    number = literal(value)
    return math.isfinite(number) if number is not None else knows(value, "finite", context)


ONE_HOT: tuple[Rule, ...] = (
    sum_of_identity,
    diagonal_by_row,
    identity_times,
    matmul_of_diagonal,
    cast_of_one_hot,
    sum_of_one_hot,
    scatter_number,
    place_number,
)
