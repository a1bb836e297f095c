"""Rules of matrix products: transposes that a product absorbs, and two products with one vector.

In: `matmul` of matrices and vectors, and sums of them. Out: fewer transposes, fewer products. A fact (`symmetric`)
enters here: of a symmetric matrix S, S @ x + S.T @ x is 2 * S @ x. It must not know stacks, nor contractions in general
(`contraction.py`).
"""

from __future__ import annotations

from symgrad.expr import Expr
from symgrad.ops.leaves import symbol
from symgrad.ops.moves import is_transposed, transposed
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, order_key, structural
from symgrad.rules.inference import knows
from symgrad.rules.scale import Scaled, joined, split
from symgrad.shape import dim

REAL = RuleClass.REAL
MOST_TERMS = 8
n = dim("n")


def _is_turned(x: Expr, context: Context) -> bool:
    return x.ndim == 2 and x.op == "transpose" and is_transposed(x)


def _turned(x: Expr, context: Context) -> Expr:
    """Transpose a matrix, or take its transposition away; a symmetric one is its own."""
    if _is_turned(x, context):
        return x.args[0]
    return x if knows(x, "symmetric", context) else transposed(x)


def _turned_products() -> list[Expr]:
    x, W = symbol("x", (n, 3), "float64"), symbol("W", (n, 4), "float64")
    return [transposed(transposed(x) @ W)]


@structural(
    "transpose_of_matmul", "transpose", "(a.T @ b).T", "b.T @ a", REAL,
    condition="matrices; one is a transpose, or symmetric",
    examples=_turned_products,
)  # fmt: skip
def transpose_of_matmul(node: Expr, context: Context) -> Expr | None:
    """Move a transpose into a product that already has one."""
    (inner,) = node.args
    if node.ndim != 2 or not is_transposed(node) or inner.op != "matmul":
        return None
    a, b = inner.args
    if a.ndim != 2 or b.ndim != 2:
        return None
    if not any(_is_turned(x, context) or knows(x, "symmetric", context) for x in (a, b)):
        return None
    return ROWS["matmul"](_turned(b, context), _turned(a, context))


def _two_products() -> list[Expr]:
    A, x = symbol("A", (3, 3), "float64"), symbol("v", (3,), "float64")
    return [A @ x + x @ A, 0.5 * (A @ x) + 0.5 * (x @ A)]


def _as_matvec(x: Expr, context: Context) -> tuple[Expr, Expr] | None:
    """Read a product of a matrix and a vector as (matrix, vector on its right)."""
    if x.op != "matmul":
        return None
    a, b = x.args
    if a.ndim == 2 and b.ndim == 1:
        return a, b
    return (_turned(b, context), a) if a.ndim == 1 and b.ndim == 2 else None


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


@structural(
    "gather_matvecs", "add", "(A @ v + x) + B @ v", "(A @ v + B @ v) + x", REAL,
    condition=f"of sums of up to {MOST_TERMS} terms; the two products then become one", examples=_long_sums,
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
        open_ = at.op in ("add", "subtract") and id(at) not in context.kept
        if open_ and len(paths) < MOST_TERMS:
            paths += [(*path, (at, place)) for place in ((0, 1) if at.op == "add" else (0,))]
    return None


def _same_scale(a: Scaled, b: Scaled) -> bool:
    numbers = (a.number, a.divisor, a.size, a.divisor_size) == (b.number, b.divisor, b.size, b.divisor_size)
    return numbers and [*map(id, a.factors + a.divisors)] == [*map(id, b.factors + b.divisors)]


MATMUL: tuple[Rule, ...] = (transpose_of_matmul, add_matvecs, gather_matvecs)
