"""Rules of sums: what a sum is known to be, and what need not be summed.

In: sums. Out: rules to cheaper or known values. A fact (`rows_sum_to_one`) enters here: it is what turns the gradient
of softmax with cross-entropy into P - Y. It must not know where the sums come from, nor sums of products
(`summation.py`).
"""

from __future__ import annotations

from symgrad.dtypes import FLOAT64, DType
from symgrad.expr import Expr, constant_node, dim_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.moves import reshaped, stretched
from symgrad.ops.row import ROWS
from symgrad.ops.structure import kept_shape
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.examples import summed
from symgrad.rules.inference import knows
from symgrad.shape import bounds, dim, product, repeated_axes

REAL = RuleClass.REAL
n = dim("n")


def _x() -> Expr:
    return symbol("x", (n, 3), "float64")


def _unit_sums() -> list[Expr]:
    return [summed(symbol("u", (n, 1), "float64"), 1), summed(_x())]


@structural(
    "sum_of_one", "sum", "sum(x)", "reshape(x)", REAL, condition="the summed axes have size 1", examples=_unit_sums
)
def sum_of_one(node: Expr, context: Context) -> Expr | None:
    """Sum a single element by moving it."""
    (x,) = node.args
    if any(x.shape[a] != 1 for a in node.attrs["axes"]):
        return None
    return reshaped(x, node.shape)


def _repeated() -> list[Expr]:
    b, s = symbol("b", (3,), "float64"), symbol("s", (), "float64")
    wide = ROWS["broadcast_to"](b, shape=(n, 3))
    number = ROWS["broadcast_to"](s, shape=(n,))
    return [summed(wide, 0), summed(wide, 0, 1), summed(wide, 0, keepdims=True), summed(number, 0)]


@structural(
    "sum_of_repeated", "sum", "sum(broadcast_to(x))", "size * sum(x)", REAL,
    condition="size elements are repeated along the summed axes", examples=_repeated,
)  # fmt: skip
def sum_of_repeated(node: Expr, context: Context) -> Expr | None:
    """Multiply by the number of repetitions."""
    (wide,) = node.args
    if wide.op != "broadcast_to":
        return None
    (x,) = wide.args
    repeated = set(repeated_axes(x.shape, wide.shape)) & set(node.attrs["axes"])
    if not repeated:
        return None
    extra = wide.ndim - x.ndim
    axes = tuple(a - extra for a in node.attrs["axes"] if a >= extra)
    inner = ROWS["sum"](x, axes=axes, keepdims=True) if axes else x
    kept = kept_shape(wide.shape, node.attrs["axes"], True)
    new = ROWS["multiply"](dim_node(product(wide.shape[a] for a in sorted(repeated)), node.dtype), inner)
    return reshaped(stretched(new, kept), node.shape)


def _nested() -> list[Expr]:
    cube = symbol("x", (2, n, 3), "float64")
    return [summed(summed(cube, 1), 1), summed(summed(cube, 0, keepdims=True), 2, keepdims=True)]


@structural("sum_of_sum", "sum", "sum(sum(x))", "sum(x)", REAL, examples=_nested)
def sum_of_sum(node: Expr, context: Context) -> Expr | None:
    """Sum over all axes at once."""
    (inner,) = node.args
    if inner.op != "sum" or inner.attrs["keepdims"] != node.attrs["keepdims"]:
        return None
    (x,) = inner.args
    left = [a for a in range(x.ndim) if inner.attrs["keepdims"] or a not in inner.attrs["axes"]]
    axes = sorted({*inner.attrs["axes"], *(left[a] for a in node.attrs["axes"])})
    return ROWS["sum"](x, axes=tuple(axes), keepdims=node.attrs["keepdims"])


def _turned() -> list[Expr]:
    return [summed(ROWS["transpose"](_x(), axes=(1, 0)), 1)]


@structural("sum_of_transpose", "sum", "sum(transpose(x))", "sum(x)", REAL, examples=_turned)
def sum_of_transpose(node: Expr, context: Context) -> Expr | None:
    """Sum over the axes where they were, if the others keep their order."""
    (turned,) = node.args
    if turned.op != "transpose" or node.attrs["keepdims"]:
        return None
    order = turned.attrs["axes"]
    rest = [order[a] for a in range(turned.ndim) if a not in node.attrs["axes"]]
    if rest != sorted(rest):
        return None
    axes = tuple(sorted(order[a] for a in node.attrs["axes"]))
    return ROWS["sum"](turned.args[0], axes=axes, keepdims=False)


def _placed() -> list[Expr]:
    whole = ROWS["place"](_x(), shape=(n + 2, 7), starts=(1, 2), steps=(1, 2))
    return [summed(whole, 0, 1), summed(whole, 0), summed(whole, 1, keepdims=True)]


@structural(
    "sum_of_place", "sum", "sum(place(x))", "place(sum(x))", REAL, condition="along the axes that are not summed",
    examples=_placed,
)  # fmt: skip
def sum_of_place(node: Expr, context: Context) -> Expr | None:
    """Add up what was placed, not the zeros around it."""
    (whole,) = node.args
    if whole.op != "place":
        return None
    axes = node.attrs["axes"]
    kept = [a for a in range(whole.ndim) if a not in axes]
    found = ROWS["sum"](whole.args[0], axes=axes, keepdims=False)
    if kept:
        places = {key: tuple(whole.attrs[key][a] for a in kept) for key in ("shape", "starts", "steps")}
        found = ROWS["place"](found, **places)
    return reshaped(found, node.shape)


def _row_masks() -> list[Expr]:
    rows, one = symbol("c", (n, 1), "bool"), symbol("d", (), "bool")
    zero = constant_node(0, FLOAT64)
    masked = [ROWS["where"](c, _x(), zero) for c in (rows, one)]
    return [summed(masked[0], 1), summed(masked[0], 1, keepdims=True), summed(masked[1], 0), summed(masked[1])]


@structural(
    "sum_of_mask", "sum", "sum(where(c, x, 0))", "where(c, sum(x), 0)", REAL,
    condition="c is the same along the summed axes, x is not", examples=_row_masks,
)  # fmt: skip
def sum_of_mask(node: Expr, context: Context) -> Expr | None:
    """Choose once, after the sum."""
    (whole,) = node.args
    if whole.op != "where" or literal(whole.args[2]) != 0 or whole.args[1].shape != whole.shape:
        return None
    c, x, zero = whole.args
    sizes = (*(1,) * (whole.ndim - c.ndim), *c.shape)
    if any(sizes[a] != 1 for a in node.attrs["axes"]):
        return None
    if not node.attrs["keepdims"]:
        sizes = tuple(size for a, size in enumerate(sizes) if a not in node.attrs["axes"])
    c = c if c.ndim == 0 else reshaped(c, sizes)
    return ROWS["where"](c, ROWS["sum"](x, **node.attrs), zero)


def _ones() -> list[Expr]:
    z, y = symbol("z", (n, 4), "float64"), symbol("i", (n,), "int32")
    softmax = ROWS["softmax"](z, axis=1)
    labels = ROWS["one_hot"](y, depth=4, dtype=DType.FLOAT64)
    return [summed(softmax, 1, keepdims=True), summed(softmax, 0, 1), summed(labels, 1)]


def unit_axis(x: Expr, context: Context) -> int | None:
    """Give the axis along which a value sums to 1, if one is known."""
    if x.op == "softmax":
        axis: int = x.attrs["axis"]
        least = bounds(x.shape[axis], {})[0]
        return axis if least is not None and least > 0 else None  # nothing sums to 0
    return x.ndim - 1 if knows(x, "rows_sum_to_one", context) else None


@structural(
    "sum_of_distribution", "sum", "sum(p)", "1", REAL,
    condition="p is softmax along the summed axis, which has elements, or known to be rows_sum_to_one",
    examples=_ones,
)  # fmt: skip
def sum_of_distribution(node: Expr, context: Context) -> Expr | None:
    """Use that probabilities sum to one; further summed axes count them."""
    (x,) = node.args
    axis = unit_axis(x, context)
    if axis is None or axis not in node.attrs["axes"]:
        return None
    count = product(x.shape[a] for a in node.attrs["axes"] if a != axis)
    return stretched(dim_node(count, node.dtype), node.shape)


TOTAL: tuple[Rule, ...] = (
    sum_of_distribution,
    sum_of_one,
    sum_of_repeated,
    sum_of_sum,
    sum_of_transpose,
    sum_of_place,
    sum_of_mask,
)
