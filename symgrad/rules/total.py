"""Rules of sums and contractions: what a sum is known to be, and transposes that a contraction absorbs.

In: sums, matrix products. Out: rules to cheaper or known values. A fact (`rows_sum_to_one`) enters here: it is what
turns the gradient of softmax with cross-entropy into P - Y. It must not know where the sums come from.
"""

from __future__ import annotations

from symgrad.dtypes import FLOAT64, DType
from symgrad.expr import Expr, constant_node, dim_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.ops.structure import kept_shape
from symgrad.rewrite import Context, Rule, RuleClass, order_key, structural
from symgrad.rules.inference import knows
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


def _placed() -> list[Expr]:
    whole = ROWS["place"](_x(), shape=(n + 2, 7), starts=(1, 2), steps=(1, 2))
    return [_sum(whole, 0, 1), _sum(whole, 0), _sum(whole, 1, keepdims=True)]


@structural(
    "sum_of_place", "sum", "sum(place(x))", "place(sum(x))", REAL, condition="along the axes that are not summed",
    examples=_placed,
)  # fmt: skip
def sum_of_place(node: Expr, context: Context) -> Expr | None:
    """Add up what was placed, not the zeros around it."""
    (whole,) = node.args
    if not context.sees(whole, "place"):
        return None
    axes = node.attrs["axes"]
    kept = [a for a in range(whole.ndim) if a not in axes]
    found = ROWS["sum"](whole.args[0], axes=axes, keepdims=False)
    if kept:
        places = {key: tuple(whole.attrs[key][a] for a in kept) for key in ("shape", "starts", "steps")}
        found = ROWS["place"](found, **places)
    return found if found.shape == node.shape else ROWS["reshape"](found, shape=node.shape)


def _row_masks() -> list[Expr]:
    rows, one = symbol("c", (n, 1), "bool"), symbol("d", (), "bool")
    zero = constant_node(0, FLOAT64)
    masked = [ROWS["where"](c, _x(), zero) for c in (rows, one)]
    return [_sum(masked[0], 1), _sum(masked[0], 1, keepdims=True), _sum(masked[1], 0), _sum(masked[1])]


@structural(
    "sum_of_mask", "sum", "sum(where(c, x, 0))", "where(c, sum(x), 0)", REAL,
    condition="c is the same along the summed axes, x is not", examples=_row_masks,
)  # fmt: skip
def sum_of_mask(node: Expr, context: Context) -> Expr | None:
    """Choose once, after the sum."""
    (whole,) = node.args
    if not context.sees(whole, "where") or literal(whole.args[2]) != 0 or whole.args[1].shape != whole.shape:
        return None
    c, x, zero = whole.args
    sizes = (*(1,) * (whole.ndim - c.ndim), *c.shape)
    if any(sizes[a] != 1 for a in node.attrs["axes"]):
        return None
    if not node.attrs["keepdims"]:
        sizes = tuple(size for a, size in enumerate(sizes) if a not in node.attrs["axes"])
    c = c if c.ndim == 0 or c.shape == sizes else ROWS["reshape"](c, shape=sizes)
    return ROWS["where"](c, ROWS["sum"](x, **node.attrs), zero)


def _ones() -> list[Expr]:
    z, y = symbol("z", (n, 4), "float64"), symbol("i", (n,), "int32")
    softmax = ROWS["softmax"](z, axis=1)
    labels = ROWS["one_hot"](y, depth=4, dtype=DType.FLOAT64)
    return [_sum(softmax, 1, keepdims=True), _sum(softmax, 0, 1), _sum(labels, 1)]


def unit_axis(x: Expr, context: Context) -> int | None:
    """Give the axis along which a value sums to 1, if one is known."""
    if context.sees(x, "softmax"):
        axis: int = x.attrs["axis"]
        return axis
    return x.ndim - 1 if knows(x, "rows_sum_to_one", context) else None


@structural(
    "sum_of_distribution", "sum", "sum(p)", "1", REAL,
    condition="p is softmax along the summed axis, or known to be rows_sum_to_one",
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
    """Transpose a matrix, or take its transposition away; a symmetric one is its own."""
    if _is_turned(x, context):
        return x.args[0]
    return x if knows(x, "symmetric", context) else ROWS["transpose"](x, axes=(1, 0))


def _turned_products() -> list[Expr]:
    x, W = _x(), symbol("W", (n, 4), "float64")
    return [ROWS["transpose"](ROWS["transpose"](x, axes=(1, 0)) @ W, axes=(1, 0))]


@structural(
    "transpose_of_matmul", "transpose", "(a.T @ b).T", "b.T @ a", REAL,
    condition="matrices; one is a transpose, or symmetric",
    examples=_turned_products,
)  # fmt: skip
def transpose_of_matmul(node: Expr, context: Context) -> Expr | None:
    """Move a transpose into a product that already has one."""
    (inner,) = node.args
    if node.ndim != 2 or node.attrs["axes"] != (1, 0) or not context.sees(inner, "matmul"):
        return None
    a, b = inner.args
    if a.ndim != 2 or b.ndim != 2:
        return None
    if not any(_is_turned(x, context) or knows(x, "symmetric", context) for x in (a, b)):
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
    return _together(node.args[0], node.args[1], context)


def _together(x: Expr, y: Expr, context: Context) -> Expr | None:
    """Add two multiples of products with one vector."""
    a, b = split(x, context), split(y, context)
    if a.core is None or b.core is None or not x.dtype.is_float or not _same_scale(a, b):
        return None
    left, right = _as_matvec(a.core, context), _as_matvec(b.core, context)
    if left is None or right is None or left[1] is not right[1]:
        return None
    matrix = ROWS["add"](*sorted((left[0], right[0]), key=order_key))
    core = ROWS["matmul"](matrix, left[1])
    return joined(Scaled(a.number, core, a.factors, a.divisor, a.divisors, a.size, a.divisor_size), x)


def _long_sums() -> list[Expr]:
    A, x, b = symbol("A", (3, 3), "float64"), symbol("v", (3,), "float64"), symbol("b", (3,), "float64")
    return [(A @ x - b) + x @ A, (b + (x @ A - x)) + A @ x]


_MOST_TERMS = 8


@structural(
    "gather_matvecs", "add", "(A @ v + x) + B @ v", "(A @ v + B @ v) + x", REAL,
    condition=f"of sums of up to {_MOST_TERMS} terms; the two products then become one", examples=_long_sums,
)  # fmt: skip
def gather_matvecs(node: Expr, context: Context) -> Expr | None:
    """Find the other product with the same vector further down in a sum."""
    if node.ndim != 1:
        return None
    for term, rest in (node.args, node.args[::-1]):
        core = split(term, context).core
        if core is not None and _as_matvec(core, context) is not None:
            found = _into_sum(rest, term, context)
            if found is not None:
                return found
    return None


def _into_sum(whole: Expr, term: Expr, context: Context) -> Expr | None:
    """Add a term to the one in a nested sum that it makes one product with; the sums around it stay as they are."""
    paths: list[tuple[tuple[Expr, int], ...]] = [()]
    for path in paths:  # grows while it is read
        at = path[-1][0].args[path[-1][1]] if path else whole
        new = _together(at, term, context) if path else None
        if new is not None:
            for parent, place in reversed(path):
                args = (new, parent.args[1]) if place == 0 else (parent.args[0], new)
                new = ROWS[parent.op](*args)
            return new
        open_ = at.op in ("add", "subtract") and id(at) not in context.opaque and id(at) not in context.kept
        if open_ and len(paths) < _MOST_TERMS:
            paths += [(*path, (at, place)) for place in ((0, 1) if at.op == "add" else (0,))]
    return None


def _same_scale(a: Scaled, b: Scaled) -> bool:
    numbers = (a.number, a.divisor, a.size, a.divisor_size) == (b.number, b.divisor, b.size, b.divisor_size)
    return numbers and [*map(id, a.factors + a.divisors)] == [*map(id, b.factors + b.divisors)]


TOTAL: tuple[Rule, ...] = (
    sum_of_distribution,
    sum_of_one,
    sum_of_repeated,
    sum_of_sum,
    sum_of_transpose,
    sum_of_place,
    sum_of_mask,
    transpose_of_matmul,
    matmul_of_scalar,
    add_matvecs,
    gather_matvecs,
)
