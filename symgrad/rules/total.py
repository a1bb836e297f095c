"""Rules of sums and contractions: what a sum is known to be, and transposes that a contraction absorbs.

In: sums, matrix products. Out: rules to cheaper or known values. A fact (`rows_sum_to_one`) enters here: it is what
turns the gradient of softmax with cross-entropy into P - Y. It must not know where the sums come from.
"""

from __future__ import annotations

from symgrad.dtypes import DType
from symgrad.expr import Expr, dim_node
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.ops.structure import kept_shape
from symgrad.rewrite import Context, Rule, RuleClass, order_key, structural
from symgrad.rules.algebra import has_fact
from symgrad.rules.scale import Scaled, joined, split
from symgrad.shape import dim, product

REAL = RuleClass.REAL
n = dim("n")


def _x() -> Expr:
    return symbol("x", (n, 3), "float64")


def _sum(x: Expr, *axes: int, keepdims: bool = False) -> Expr:
    return ROWS["sum"](x, axes=axes, keepdims=keepdims)


# -- sums ---------------------------------------------------------------------------------------------------------


def _unit_sums() -> list[Expr]:
    return [_sum(symbol("u", (n, 1), "float64"), 1), _sum(_x())]


@structural(
    "sum_of_one", "sum", "sum(x)", "reshape(x)", REAL, condition="the summed axes have size 1", examples=_unit_sums
)
def sum_of_one(node: Expr, context: Context) -> Expr | None:
    """Sum a single element by moving it."""
    (x,) = node.args
    if any(x.shape[a] != 1 for a in node.attrs["axes"]):
        return None
    return x if x.shape == node.shape else ROWS["reshape"](x, shape=node.shape)


def _repeated() -> list[Expr]:
    b, s = symbol("b", (3,), "float64"), symbol("s", (), "float64")
    wide = ROWS["broadcast_to"](b, shape=(n, 3))
    return [_sum(wide, 0), _sum(wide, 0, 1), _sum(wide, 1, keepdims=True), _sum(ROWS["broadcast_to"](s, shape=(n,)), 0)]


@structural(
    "sum_of_repeated", "sum", "sum(broadcast_to(x))", "size * sum(x)", REAL,
    condition="size elements are repeated along the summed axes", examples=_repeated,
)  # fmt: skip
def sum_of_repeated(node: Expr, context: Context) -> Expr | None:
    """Multiply by the number of repetitions."""
    (wide,) = node.args
    if not context.sees(wide, "broadcast_to"):
        return None
    (x,) = wide.args
    extra = wide.ndim - x.ndim
    repeated = [a for a in node.attrs["axes"] if a < extra or x.shape[a - extra] != wide.shape[a]]
    if not repeated:
        return None
    axes = tuple(a - extra for a in node.attrs["axes"] if a >= extra)
    inner = ROWS["sum"](x, axes=axes, keepdims=True) if axes else x
    kept = kept_shape(wide.shape, node.attrs["axes"], True)
    new = ROWS["multiply"](dim_node(product(wide.shape[a] for a in repeated), node.dtype), inner)
    new = new if new.shape == kept else ROWS["broadcast_to"](new, shape=kept)
    return new if node.shape == kept else ROWS["reshape"](new, shape=node.shape)


def _nested() -> list[Expr]:
    cube = symbol("x", (2, n, 3), "float64")
    return [_sum(_sum(cube, 1), 1), _sum(_sum(cube, 0, keepdims=True), 2, keepdims=True)]


@structural("sum_of_sum", "sum", "sum(sum(x))", "sum(x)", REAL, examples=_nested)
def sum_of_sum(node: Expr, context: Context) -> Expr | None:
    """Sum over all axes at once."""
    (inner,) = node.args
    if not context.sees(inner, "sum") or inner.attrs["keepdims"] != node.attrs["keepdims"]:
        return None
    (x,) = inner.args
    left = [a for a in range(x.ndim) if inner.attrs["keepdims"] or a not in inner.attrs["axes"]]
    axes = sorted({*inner.attrs["axes"], *(left[a] for a in node.attrs["axes"])})
    return ROWS["sum"](x, axes=tuple(axes), keepdims=node.attrs["keepdims"])


def _turned() -> list[Expr]:
    return [_sum(ROWS["transpose"](_x(), axes=(1, 0)), 1)]


@structural("sum_of_transpose", "sum", "sum(transpose(x))", "sum(x)", REAL, examples=_turned)
def sum_of_transpose(node: Expr, context: Context) -> Expr | None:
    """Sum over the axes where they were, if the others keep their order."""
    (turned,) = node.args
    if not context.sees(turned, "transpose") or node.attrs["keepdims"]:
        return None
    order = turned.attrs["axes"]
    rest = [order[a] for a in range(turned.ndim) if a not in node.attrs["axes"]]
    if rest != sorted(rest):
        return None
    axes = tuple(sorted(order[a] for a in node.attrs["axes"]))
    return ROWS["sum"](turned.args[0], axes=axes, keepdims=False)


def _ones() -> list[Expr]:
    z, y = symbol("z", (n, 4), "float64"), symbol("i", (n,), "int32")
    softmax = ROWS["softmax"](z, axis=1)
    labels = ROWS["one_hot"](y, depth=4, dtype=DType.FLOAT64)
    return [_sum(softmax, 1, keepdims=True), _sum(softmax, 0, 1), _sum(labels, 1)]


def unit_axis(x: Expr, context: Context) -> int | None:
    """Give the axis along which a value sums to 1, if one is known."""
    if id(x) in context.opaque:
        return x.ndim - 1 if has_fact(x, "rows_sum_to_one") else None
    if x.op == "softmax":
        axis: int = x.attrs["axis"]
        return axis
    return x.ndim - 1 if x.op == "one_hot" or has_fact(x, "rows_sum_to_one") else None


@structural(
    "sum_of_distribution", "sum", "sum(p)", "1", REAL,
    condition="p is softmax along the summed axis, one_hot of positions in range, or declared rows_sum_to_one",
    examples=_ones,
)  # fmt: skip
def sum_of_distribution(node: Expr, context: Context) -> Expr | None:
    """Use that probabilities sum to one; further summed axes count them."""
    (x,) = node.args
    axis = unit_axis(x, context)
    if axis is None or axis not in node.attrs["axes"]:
        return None
    count = product(x.shape[a] for a in node.attrs["axes"] if a != axis)
    value = dim_node(count, node.dtype)
    return ROWS["broadcast_to"](value, shape=node.shape) if node.shape else value


# -- contractions -------------------------------------------------------------------------------------------------


def _is_turned(x: Expr, context: Context) -> bool:
    return x.ndim == 2 and context.sees(x, "transpose") and x.attrs["axes"] == (1, 0)


def turned(x: Expr, context: Context) -> Expr:
    """Transpose a matrix, or take its transposition away."""
    return x.args[0] if _is_turned(x, context) else ROWS["transpose"](x, axes=(1, 0))


def _turned_products() -> list[Expr]:
    x, W = _x(), symbol("W", (n, 4), "float64")
    return [ROWS["transpose"](ROWS["transpose"](x, axes=(1, 0)) @ W, axes=(1, 0))]


@structural(
    "transpose_of_matmul", "transpose", "(a.T @ b).T", "b.T @ a", REAL, condition="matrices; one is a transpose",
    examples=_turned_products,
)  # fmt: skip
def transpose_of_matmul(node: Expr, context: Context) -> Expr | None:
    """Move a transpose into a product that already has one."""
    (inner,) = node.args
    if node.ndim != 2 or node.attrs["axes"] != (1, 0) or not context.sees(inner, "matmul"):
        return None
    a, b = inner.args
    if a.ndim != 2 or b.ndim != 2 or not (_is_turned(a, context) or _is_turned(b, context)):
        return None
    return ROWS["matmul"](turned(b, context), turned(a, context))


def _constant_products() -> list[Expr]:
    s = ROWS["broadcast_to"](symbol("s", (), "float64"), shape=(3,))
    return [_x() @ s]


@structural(
    "matmul_of_scalar", "matmul", "x @ broadcast_to(s)", "s * sum(x, axis=-1)", REAL,
    condition="s has rank 0 and is repeated to a vector", examples=_constant_products,
)  # fmt: skip
def matmul_of_scalar(node: Expr, context: Context) -> Expr | None:
    """Read a product with a constant vector as a sum."""
    a, b = node.args
    if b.ndim == 1 and context.sees(b, "broadcast_to") and b.args[0].ndim == 0:
        return ROWS["multiply"](b.args[0], ROWS["sum"](a, axes=(a.ndim - 1,), keepdims=False))
    if a.ndim == 1 and context.sees(a, "broadcast_to") and a.args[0].ndim == 0 and b.ndim <= 2:
        return ROWS["multiply"](a.args[0], ROWS["sum"](b, axes=(0,), keepdims=False))
    return None


def _two_products() -> list[Expr]:
    A, x = symbol("A", (3, 3), "float64"), symbol("v", (3,), "float64")
    return [A @ x + x @ A, 0.5 * (A @ x) + 0.5 * (x @ A)]


def _as_matvec(x: Expr, context: Context) -> tuple[Expr, Expr] | None:
    """Read a product of a matrix and a vector as (matrix, vector on its right)."""
    if not context.sees(x, "matmul"):
        return None
    a, b = x.args
    if a.ndim == 2 and b.ndim == 1:
        return a, b
    return (turned(b, context), a) if a.ndim == 1 and b.ndim == 2 else None


@structural(
    "add_matvecs", "add", "A @ v + B @ v", "(A + B) @ v", REAL, condition="v is a vector; v @ A is A.T @ v",
    examples=_two_products,
)  # fmt: skip
def add_matvecs(node: Expr, context: Context) -> Expr | None:
    """Add two matrices rather than two products with the same vector."""
    a, b = (split(x, context) for x in node.args)
    if a.core is None or b.core is None or not node.dtype.is_float or not _same_scale(a, b):
        return None
    left, right = _as_matvec(a.core, context), _as_matvec(b.core, context)
    if left is None or right is None or left[1] is not right[1]:
        return None
    matrix = ROWS["add"](*sorted((left[0], right[0]), key=order_key))
    core = ROWS["matmul"](matrix, left[1])
    return joined(Scaled(a.number, core, a.factors, a.divisor, a.divisors, a.size, a.divisor_size), node)


def _same_scale(a: Scaled, b: Scaled) -> bool:
    numbers = (a.number, a.divisor, a.size, a.divisor_size) == (b.number, b.divisor, b.size, b.divisor_size)
    return numbers and [*map(id, a.factors + a.divisors)] == [*map(id, b.factors + b.divisors)]


TOTAL: tuple[Rule, ...] = (
    sum_of_distribution,
    sum_of_one,
    sum_of_repeated,
    sum_of_sum,
    sum_of_transpose,
    transpose_of_matmul,
    matmul_of_scalar,
    add_matvecs,
)
