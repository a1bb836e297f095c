"""Rules of layout: reshapes, transposes, broadcasts and casts that say nothing, or say it twice.

In: nodes that only move elements, and reductions of them. Out: rules to fewer of them; a broadcast floats outward until
a consumer that stretches operands by itself absorbs it. It must not know arithmetic.
"""

from __future__ import annotations

from symgrad.dtypes import FLOAT32, FLOAT64, INT64
from symgrad.expr import Expr, dim_node
from symgrad.ops.leaves import symbol
from symgrad.ops.moves import reshaped, stretched
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Fold, kept_shape
from symgrad.pattern import attr, op, variables
from symgrad.rewrite import Context, Rule, RuleClass, rule, structural
from symgrad.rules.algebra import ELEMENTWISE
from symgrad.shape import dim, dropped_axes, repeated_axes

BITWISE = RuleClass.BITWISE
x, y = variables("x y")
shape, axes, other = attr("shape"), attr("axes"), attr("other")
n = dim("n")


def _x() -> Expr:
    return symbol("x", (n, 3), "float64")


def _row() -> Expr:
    return symbol("b", (3,), "float64")


def _identities() -> list[Expr]:
    x = _x()
    return [
        ROWS["reshape"](x, shape=x.shape), ROWS["transpose"](x, axes=(0, 1)), ROWS["broadcast_to"](x, shape=x.shape),
        ROWS["astype"](x, dtype=x.dtype),
    ]  # fmt: skip


@structural(
    "no_change", "reshape transpose broadcast_to astype", "f(x)", "x", BITWISE, condition="f changes nothing",
    examples=_identities,
)  # fmt: skip
def no_change(node: Expr, context: Context) -> Expr | None:
    """Drop a layout or cast that gives its operand back."""
    (x,) = node.args
    if node.op == "transpose":
        return x if node.attrs["axes"] == tuple(range(x.ndim)) else None
    return x if node.type == x.type else None


def _transposes() -> list[Expr]:
    x = symbol("x", (2, n, 3), "float64")
    return [ROWS["transpose"](ROWS["transpose"](x, axes=(1, 0, 2)), axes=(2, 1, 0))]


@structural(
    "transpose_transpose", "transpose", "transpose(transpose(x))", "transpose(x)", BITWISE, examples=_transposes
)
def transpose_transpose(node: Expr, context: Context) -> Expr | None:
    """Join two permutations of axes."""
    (inner,) = node.args
    if inner.op != "transpose":
        return None
    order = tuple(inner.attrs["axes"][a] for a in node.attrs["axes"])
    return ROWS["transpose"](inner.args[0], axes=order)


def _spreads() -> list[Expr]:
    row, whole = (ROWS["broadcast_to"](symbol("s", (), "float64"), shape=shape) for shape in ((n,), (n, 3)))
    return [ROWS["reshape"](row, shape=(n, 1)), ROWS["transpose"](whole, axes=(1, 0))]


@structural(
    "layout_of_scalar", "reshape transpose", "f(broadcast_to(s))", "broadcast_to(s)", BITWISE,
    condition="s has rank 0; f is reshape or transpose", examples=_spreads,
)  # fmt: skip
def layout_of_scalar(node: Expr, context: Context) -> Expr | None:
    """Give a repeated scalar its new shape at once."""
    (x,) = node.args
    if x.op != "broadcast_to" or x.args[0].ndim:
        return None
    return ROWS["broadcast_to"](x.args[0], shape=node.shape)


def _stretched() -> list[Expr]:
    x, b = _x(), _row()
    wide = ROWS["broadcast_to"](b, shape=(n, 3))
    return [x * wide, ROWS["exp"](wide), wide + b]


@structural(
    "broadcast_outward", " ".join(ELEMENTWISE), "f(broadcast_to(x), y)", "broadcast_to(f(x, y))", BITWISE,
    condition="f is elementwise; the broadcast is dropped where y brings the shape", examples=_stretched,
)  # fmt: skip
def broadcast_outward(node: Expr, context: Context) -> Expr | None:
    """Let an elementwise operator do the stretching, or stretch its result."""
    if not any(a.op == "broadcast_to" for a in node.args):
        return None
    args = [a.args[0] if a.op == "broadcast_to" else a for a in node.args]
    return ROWS[node.op](*args, **node.attrs)


def _dimension() -> list[Expr]:
    return [ROWS["astype"](dim_node(n, INT64), dtype=_x().dtype)]


@structural(
    "cast_dimension", "astype", "astype(dim)", "dim", BITWISE, condition="to a float dtype", examples=_dimension
)
def cast_dimension(node: Expr, context: Context) -> Expr | None:
    """Let a dimension have the dtype it is used in."""
    (x,) = node.args
    return dim_node(x.attrs["size"], node.dtype) if x.op == "dim" and node.dtype.is_float else None


def _size_number() -> list[Expr]:
    return [ROWS["astype"](ROWS["sqrt"](dim_node(n, FLOAT32)), dtype=FLOAT64)]


@structural(
    "cast_of_size", "astype", "astype(f(dim))", "f(astype(dim))", RuleClass.REAL,
    condition="f is elementwise, of numbers and dimensions; float dtypes", examples=_size_number,
)  # fmt: skip
def cast_of_size(node: Expr, context: Context) -> Expr | None:
    """Compute with sizes in the dtype in which the result is used."""
    (x,) = node.args
    if node.shape or not (x.dtype.is_float and node.dtype.is_float):
        return None
    if x.op not in ELEMENTWISE or x.op == "astype":
        return None
    if not x.args or any(a.op not in ("dim", "constant") or a.dtype is not x.dtype for a in x.args):
        return None
    return ROWS[x.op](*(ROWS["astype"](a, dtype=node.dtype) for a in x.args), **x.attrs)


def _repeated() -> list[Expr]:
    x = ROWS["broadcast_to"](_row(), shape=(n, 3))
    return [
        ROWS["mean"](x, axes=(0,), keepdims=False), ROWS["mean"](x, axes=(0, 1), keepdims=False),
        ROWS["max"](x, axes=(0, 1), keepdims=True), ROWS["min"](x, axes=(0,), keepdims=True),
        ROWS["sum"](x, axes=(1,), keepdims=False), ROWS["var"](x, axes=(1,), keepdims=True),
    ]  # fmt: skip


@structural(
    "fold_of_repeated", "sum prod mean max min var logsumexp", "mean(broadcast_to(x))", "broadcast_to(mean(x))",
    RuleClass.REFINES, condition="mean, max or min, or elements are repeated along other axes only", examples=_repeated,
)  # fmt: skip
def fold_of_repeated(node: Expr, context: Context) -> Expr | None:
    """Look at each element once: what is repeated changes no mean and no extremum."""
    (wide,) = node.args
    if wide.op != "broadcast_to":
        return None
    (x,), axes = wide.args, node.attrs["axes"]
    repeated, extra = repeated_axes(x.shape, wide.shape), wide.ndim - x.ndim
    own = tuple(a - extra for a in axes if a not in repeated)
    if len(own) < len(axes) and node.op not in ("mean", "max", "min"):
        return None
    inner = ROWS[node.op](x, axes=own, keepdims=True) if own or not axes else x
    kept = kept_shape(wide.shape, axes, True)
    return reshaped(stretched(inner, kept), node.shape)


def _dropped() -> list[Expr]:
    return [ROWS["reshape"](ROWS[op](_x(), axes=(1,), keepdims=True), shape=(n,)) for op in ("sum", "mean")]


def _narrowed() -> list[Expr]:
    wide = ROWS["broadcast_to"](_row(), shape=(2, 1, n, 3))
    column = ROWS["broadcast_to"](symbol("c", (n, 1), "float64"), shape=(2, n, 1))
    return [ROWS["reshape"](wide, shape=(2, n, 3)), ROWS["reshape"](column, shape=(2, n))]


@structural(
    "reshape_of_broadcast", "reshape", "reshape(broadcast_to(x))", "broadcast_to(reshape(x))", BITWISE,
    condition="reshape only drops axes of size 1", examples=_narrowed,
)  # fmt: skip
def reshape_of_broadcast(node: Expr, context: Context) -> Expr | None:
    """Drop axes of size 1 before the stretching."""
    (wide,) = node.args
    if wide.op != "broadcast_to":
        return None
    dropped = dropped_axes(wide.shape, node.shape)
    if not dropped:
        return None
    (x,) = wide.args
    shape = [size for axis, size in enumerate(x.shape, wide.ndim - x.ndim) if axis not in dropped]
    return stretched(reshaped(x, shape), node.shape)


FOLDS = (*(name for name, row in ROWS.items() if isinstance(row.structure, Fold)), "mean", "var", "logsumexp")


@structural(
    "reshape_of_fold", "reshape", "reshape(sum(x, keepdims=True))", "sum(x)", BITWISE,
    condition="reshape drops the reduced axes; nothing else uses the sum; also other reductions", examples=_dropped,
)  # fmt: skip
def reshape_of_fold(node: Expr, context: Context) -> Expr | None:
    """Reduce to the shape that is wanted."""
    (inner,) = node.args
    if inner.op not in FOLDS or not context.owns(inner, inner.op) or not inner.attrs["keepdims"]:
        return None
    if node.shape != kept_shape(inner.args[0].shape, inner.attrs["axes"], False):
        return None
    return ROWS[inner.op](inner.args[0], axes=inner.attrs["axes"], keepdims=False)


LAYOUT: tuple[Rule, ...] = (
    no_change,
    cast_of_size,
    rule(
        "reshape_reshape", op("reshape", op("reshape", x, shape=other), shape=shape), op("reshape", x, shape=shape),
        BITWISE,
        examples=lambda: [ROWS["reshape"](ROWS["reshape"](_x(), shape=(3, n)), shape=(3 * n,))],
    ),
    rule(
        "broadcast_broadcast", op("broadcast_to", op("broadcast_to", x, shape=other), shape=shape),
        op("broadcast_to", x, shape=shape), BITWISE,
        examples=lambda: [ROWS["broadcast_to"](ROWS["broadcast_to"](_row(), shape=(n, 3)), shape=(2, n, 3))],
    ),
    transpose_transpose,
    layout_of_scalar,
    cast_dimension,
    broadcast_outward,
    fold_of_repeated,
    reshape_of_broadcast,
    reshape_of_fold,
)  # fmt: skip
