"""Rules of one-hot rows in products: a product with a 1 among zeros is a choice of what stands at its place.

In: contractions of `one_hot(i, C)` with anything. Out: rules to `take` and `pick` where the classes are summed, to
`scatter_add` where they are kept and the positions are summed. Positions outside are refused before and after. The
class is `refines`: the product turns an infinity or a NaN anywhere in a sum into NaN, a choice gives what was chosen.
It must not know who made the one-hot rows.
"""

from __future__ import annotations

from symgrad.dtypes import FLOAT64
from symgrad.expr import Expr
from symgrad.ops.contract import Labels
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.contraction import CONTRACTIONS, Product, read
from symgrad.shape import dim

REFINES = RuleClass.REFINES
n = dim("n")


def _turned_rows(x: Expr, labels: Labels, context: Context) -> tuple[Expr, Labels] | None:
    """Read one-hot rows, transposed or not, as (positions, labels of their axes and of the classes)."""
    if context.sees(x, "transpose"):
        place = dict(zip(x.attrs["axes"], labels, strict=True))
        x, labels = x.args[0], tuple(place[axis] for axis in range(x.ndim))
    return (x.args[0], labels) if context.sees(x, "one_hot") else None


def _has_rows(x: Expr) -> bool:
    return x.op == "one_hot" or (x.op == "transpose" and x.args[0].op == "one_hot")


def _chosen(p: Product, context: Context) -> Expr | None:
    """Give a product whose left operand is one-hot rows without them."""
    rows = _turned_rows(p.x, p.left, context)
    if rows is None:
        return None
    positions, (*places, classes) = rows
    if classes not in p.out:
        return _taken(positions, places, classes, p)
    return _scattered(positions, places, classes, p)


def _taken(positions: Expr, places: list[int], classes: int, p: Product) -> Expr | None:
    """Choose along the summed classes: the same for all (take), or in each row (pick)."""
    if p.summed != (classes,):
        return None
    axis = p.right.index(classes)
    if not set(places) & set(p.right):
        labels = (*p.right[:axis], *places, *p.right[axis + 1 :])
        return _ordered(ROWS["take"](p.y, positions, axis=axis), labels, p.out)
    if set(places) == set(p.right) - {classes}:
        y = _ordered(p.y, p.right, (*places, classes))
        return _ordered(ROWS["pick"](y, positions), tuple(places), p.out)
    return None


def _scattered(positions: Expr, places: list[int], classes: int, p: Product) -> Expr | None:
    """Add rows at the places of their classes, if all positions are summed."""
    if classes in p.right or not places or set(p.summed) != set(places):
        return None
    others = tuple(label for label in p.right if label not in places)
    y = _ordered(p.y, p.right, (*places, *others))
    size = p.x.shape[p.left.index(classes)]
    return _ordered(ROWS["scatter_add"](y, positions, axis=0, size=size), (classes, *others), p.out)


def _ordered(x: Expr, labels: tuple[int, ...], out: tuple[int, ...]) -> Expr:
    order = tuple(labels.index(label) for label in out)
    return x if order == tuple(range(x.ndim)) else ROWS["transpose"](x, axes=order)


def _rows(*shape: object) -> Expr:
    return ROWS["one_hot"](symbol("i", shape, "int32"), depth=3, dtype=FLOAT64)


def _products() -> list[Expr]:
    W, G, x = (symbol(k, shape, "float64") for k, shape in (("W", (3, 4)), ("G", (n, 4)), ("x", (n, 3))))
    rows = _rows(n)
    turned = ROWS["transpose"](rows, axes=(1, 0))
    labels = {"left": (0, 1), "right": (0, 1), "out": (0,)}
    return [
        rows @ W, _rows() @ W, _rows(2, n) @ W, ROWS["transpose"](W, axes=(1, 0)) @ turned, turned @ G,
        ROWS["transpose"](G, axes=(1, 0)) @ rows, ROWS["contract"](rows, x, **labels),
        rows @ symbol("v", (3,), "float64"),
    ]  # fmt: skip


@structural(
    "contraction_of_one_hot", " ".join(CONTRACTIONS), "one_hot(i, C) @ W", "take(W, i, axis=0)", REFINES,
    condition="one_hot(i, C).T @ G: scatter_add; positions outside are refused by both", examples=_products,
)  # fmt: skip
def contraction_of_one_hot(node: Expr, context: Context) -> Expr | None:
    """Choose rather than multiply by ones and zeros."""
    p = read(node, context) if any(map(_has_rows, node.args)) else None
    if p is None:
        return None
    new = _chosen(p, context)
    return _chosen(p.swapped(), context) if new is None else new


CHOICE: tuple[Rule, ...] = (contraction_of_one_hot,)
