"""Rules of sums of products: nothing is multiplied that can be summed first.

In: sums and means of contractions, and sums that are contractions in disguise. Out: contractions of sums, and matrix
products. A sum of an elementwise product stays one where no factor is repeated: it is computed in one pass, and reads
better. It must not know sums of anything else: that is `total.py`.
"""

from __future__ import annotations

from symgrad.expr import Expr
from symgrad.ops.moves import reshaped
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.contraction import Product, factor, read_owned, summed_over
from symgrad.rules.examples import tensor
from symgrad.shape import dim

REAL = RuleClass.REAL
n = dim("n")


def _sums_of_products() -> list[Expr]:
    A, B = tensor("A", n, 3), tensor("B", 3, 4)
    sums = [ROWS["sum"](A @ B, axes=axes, keepdims=False) for axes in ((0,), (1,), (0, 1))]
    return [*sums, ROWS["sum"](A @ B, axes=(1,), keepdims=True), ROWS["mean"](A @ B, axes=(0, 1), keepdims=False)]


@structural(
    "sum_of_contraction", "sum mean", "sum(x @ y, axis=0)", "sum(x, axis=0) @ y", REAL,
    condition="the summed axis is in one operand alone; nothing else uses the product", examples=_sums_of_products,
)  # fmt: skip
def sum_of_contraction(node: Expr, context: Context) -> Expr | None:
    """Sum an operand rather than a product, which has more elements to compute."""
    (inner,) = node.args
    p = read_owned(inner, context)
    if p is None:
        return None
    gone = [p.out[a] for a in node.attrs["axes"] if not (p.out[a] in p.left and p.out[a] in p.right)]
    if not gone:
        return None
    x, left = summed_over(p.x, p.left, gone, node.op)
    y, right = summed_over(p.y, p.right, gone, node.op)
    out = tuple(label for label in p.out if label not in gone)
    core, _ = summed_over(Product(x, left, y, right, out).built(), out, [p.out[a] for a in node.attrs["axes"]], node.op)
    return reshaped(core, node.shape)


def _sums_of_outer() -> list[Expr]:
    x, c, W = tensor("x", n, 3), tensor("c", n, 1), tensor("W", 3, 4)
    wide = ROWS["multiply"](ROWS["reshape"](x, shape=(n, 3, 1)), W)
    return [
        ROWS["sum"](x * c, axes=(1,), keepdims=False), ROWS["mean"](c * x, axes=(1,), keepdims=True),
        ROWS["sum"](wide, axes=(1,), keepdims=False), ROWS["sum"](wide, axes=(0, 1), keepdims=True),
        ROWS["sum"](x / c, axes=(1,), keepdims=True),
    ]  # fmt: skip


@structural(
    "sum_of_product", "sum mean", "sum(x[:, :, None] * y[None, :, :], axis=1)", "x @ y", REAL,
    condition="each factor lacks an axis of the other; a factor without the summed axes is moved out",
    examples=_sums_of_outer,
)  # fmt: skip
def sum_of_product(node: Expr, context: Context) -> Expr | None:
    """Never build a product that is larger than its factors only to sum it."""
    (inner,) = node.args
    if not node.dtype.is_float or not (context.owns(inner, "multiply") or context.owns(inner, "divide")):
        return None
    labels, gone = tuple(range(inner.ndim)), node.attrs["axes"]
    (x, left), (y, right) = (factor(a, inner, labels) for a in inner.args)
    alone = [label for label in gone if (label in left) != (label in right)]
    if inner.op == "divide":
        return _divided_sum(node, inner) if right and set(left) > set(right) and not set(right) & set(gone) else None
    outer = bool(set(left) - set(right)) and bool(set(right) - set(left))
    if not left or not right or (not (outer if node.op == "sum" else alone) and alone != list(gone)):
        return None
    x, left = summed_over(x, left, alone, node.op)
    y, right = summed_over(y, right, alone, node.op)
    rest = [label for label in gone if label not in alone]
    kept = tuple(label for label in labels if label not in alone and (node.op == "mean" or label not in rest))
    core = Product(x, left, y, right, kept).built()
    core, _ = summed_over(core, kept, rest, node.op)
    return reshaped(core, node.shape)


def _divided_sum(node: Expr, inner: Expr) -> Expr:
    """Divide the sum, by a divisor that is the same for all that is summed."""
    (x, y), gone = inner.args, node.attrs["axes"]
    labels = tuple(range(inner.ndim))
    y, of_y = factor(y, inner, labels)
    total, rest = summed_over(x, labels, gone, node.op)
    first = rest.index(of_y[0])
    shape = [size if label in of_y else 1 for label, size in zip(rest, total.shape, strict=True)][first:]
    return reshaped(ROWS["divide"](total, reshaped(y, shape)), node.shape)


SUMMATION: tuple[Rule, ...] = (sum_of_contraction, sum_of_product)
