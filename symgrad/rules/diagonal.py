"""Rules of the identity mask: a sum over it is a diagonal, a product with it scales rows.

In: masks where(i == j, x, 0) over the positions along two axes, in sums and products. Out: the elements they pick, as
views; diagonals in one canonical form. This is what makes the second derivative of a cross-entropy
diag(p) - outer(p, p). It must not know where masks come from.
"""

from __future__ import annotations

from symgrad.dtypes import DType
from symgrad.expr import Expr, constant_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.moves import permuted, reshaped, stretched
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.examples import summed
from symgrad.rules.identity import diagonal_of, identity_mask, lies_along
from symgrad.shape import Shape, dim

BITWISE, REAL = RuleClass.BITWISE, RuleClass.REAL
n = dim("n")


def _eye(count: int | None = None) -> Expr:
    """Give the condition i == j."""
    numbers = ROWS["arange"](start=0, step=1, size=count or 4, dtype=DType.INT64)
    return ROWS["equal"](ROWS["reshape"](numbers, shape=(count or 4, 1)), numbers)


def _masked(x: Expr) -> Expr:
    return ROWS["where"](_eye(), x, 0)


# -- axes ---------------------------------------------------------------------------------------------------------


def aligned(x: Expr, rank: int) -> Expr:
    """Put axes of size 1 before those of x, up to this rank."""
    return reshaped(x, (*(1,) * (rank - x.ndim), *x.shape))


def _moved(x: Expr, source: int, target: int) -> Expr:
    """Move an axis to where another one has the size 1; a reshape where it passes none but unit axes."""
    shape = list(x.shape)
    shape[source], shape[target] = shape[target], shape[source]
    first, last = sorted((source, target))
    if all(size == 1 for size in x.shape[first + 1 : last]):
        return reshaped(x, shape)
    axes = list(range(x.ndim))
    axes[source], axes[target] = target, source
    return permuted(x, axes)


def _where_equal(x: Expr, rank: int, summed: int, kept: int) -> Expr:
    """Give the elements of x whose positions along two axes agree: `summed` becomes 1, the result broadcasts."""
    x = aligned(x, rank)
    if x.shape[summed] == 1:
        return x
    if x.shape[kept] == 1:
        return _moved(x, summed, kept)
    order = (*(a for a in range(rank) if a not in (summed, kept)), kept, summed)
    diagonal = ROWS["diagonal"](permuted(x, order))
    back = list(range(rank - 2))
    back.insert(kept - (kept > summed), rank - 2)
    return reshaped(permuted(diagonal, back), (*x.shape[:summed], 1, *x.shape[summed + 1 :]))


def reduced(x: Expr, whole: Shape, gone: int, node: Expr) -> Expr:
    """Sum over the other axes of a sum, of which one has become 1 already; `whole` is what x broadcasts to."""
    rest = tuple(a - (a > gone) for a in node.attrs["axes"] if a != gone)
    if not rest and node.attrs["keepdims"]:
        return x
    x = reshaped(x, (*x.shape[:gone], *x.shape[gone + 1 :]))
    if not rest:
        return x
    x = stretched(x, (*whole[:gone], *whole[gone + 1 :]))
    return reshaped(ROWS["sum"](x, axes=rest, keepdims=False), node.shape)


# -- rules -------------------------------------------------------------------------------------------------


def _identity_sums() -> list[Expr]:
    v, X = symbol("v", (4,), "float64"), symbol("X", (4, 4), "float64")
    cube = ROWS["where"](_eye(), symbol("C", (2, 4, 4), "float64"), 0)
    column = ROWS["reshape"](v, shape=(4, 1))
    numbers = ROWS["arange"](start=0, step=1, size=4, dtype=DType.INT64)
    apart = ROWS["equal"](ROWS["reshape"](numbers, shape=(4, 1, 1)), numbers)
    wide = ROWS["where"](apart, symbol("D", (4, 3, 4), "float64"), 0)
    return [
        summed(_masked(v), 1, keepdims=True), summed(_masked(v), 0), summed(_masked(column), 0), summed(_masked(X), 1),
        summed(_masked(X), 0, 1), summed(cube, 0, 2), summed(cube, 1, keepdims=True), summed(wide, 0), summed(wide, 2),
        summed(ROWS["where"](_eye(), 1.0, 0.0), 0, 1), summed(ROWS["astype"](_eye(), dtype=DType.FLOAT64), 1),
    ]  # fmt: skip


@structural(
    "sum_of_identity", "sum", "sum(where(i == j, x, 0), axis=j)", "x[i, i]", REAL,
    condition="i and j are the positions along two axes of one size", examples=_identity_sums,
)  # fmt: skip
def sum_of_identity(node: Expr, context: Context) -> Expr | None:
    """Take the one element of each row that the identity leaves."""
    (whole,) = node.args
    mask = identity_mask(whole)
    if mask is None:
        return None
    summed = [axis for axis in mask.axes[::-1] if axis in node.attrs["axes"]]
    if not summed:
        return None
    kept = mask.axes[0] if summed[0] == mask.axes[1] else mask.axes[1]
    found = _where_equal(mask.x, whole.ndim, summed[0], kept)
    return reduced(found, whole.shape, summed[0], node)


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
    if x.op != "reshape" or lies_along(x, node.ndim) != [first]:
        return None
    turned = _moved(aligned(x, node.ndim), first, last)
    leading = next((i for i, size in enumerate(turned.shape) if size != 1), 0)
    vector = turned.args[0] if turned.op == "reshape" else turned
    return ROWS["where"](mask.condition, reshaped(vector, turned.shape[leading:]), node.args[2])


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
        if this.op not in ("add", "subtract") or id(this) in context.kept or x.ndim == 0:
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
        d = None if x.ndim > 2 else diagonal_of(this)
        if d is None or not node.dtype.is_float:
            continue
        if literal(d) == 1:
            return x
        by_rows = place == 0 and x.ndim == 2 and d.ndim == 1
        return ROWS["multiply"](reshaped(d, (*d.shape, 1)) if by_rows else d, x)
    return None


DIAGONAL: tuple[Rule, ...] = (sum_of_identity, diagonal_by_row, identity_times, matmul_of_diagonal)
