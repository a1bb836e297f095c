"""Rules of one-hot rows: where a 1 stands among zeros, the element it picks, or the place it marks.

In: sums and contractions of `one_hot(i, C)` with anything; what scatters a number to one position. Out: `take` and
`pick` where the classes are summed, `scatter_add` where they are kept and the positions are summed; multiples of
`one_hot`. Positions outside are refused before and after. The class of choices is `refines`: the product turns an
infinity or a NaN anywhere in a sum into NaN, a choice gives what was chosen. It must not know who made the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from symgrad.dtypes import DType
from symgrad.expr import Expr, constant_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.moves import permuted, reshaped
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.contraction import CONTRACTIONS, Product, in_place, read
from symgrad.rules.diagonal import aligned, reduced
from symgrad.rules.examples import summed
from symgrad.rules.inference import knows
from symgrad.shape import dim

BITWISE, REAL, REFINES = RuleClass.BITWISE, RuleClass.REAL, RuleClass.REFINES
n = dim("n")


# -- sums, conversions and numbers ---------------------------------------------------------------------------------


def _labels() -> tuple[Expr, Expr]:
    i = symbol("i", (n,), "int32")
    return ROWS["one_hot"](i, depth=4, dtype=DType.FLOAT64), symbol("x", (n, 4), "float64")


def _label_sums() -> list[Expr]:
    labels, x = _labels()
    row, one = symbol("r", (4,), "float64"), symbol("i", (), "int32")
    single = ROWS["one_hot"](one, depth=4, dtype=DType.FLOAT64)
    return [
        summed(labels * x, 1), summed(x * labels, 0, 1), summed(labels * x, 1, keepdims=True), summed(labels * row, 1),
        summed(single * row, 0), summed(single * x, 1),
    ]  # fmt: skip


@structural(
    "sum_of_one_hot", "sum", "sum(one_hot(i) * x, axis=-1)", "x[..., i]", REFINES,
    condition="x has the shape of one_hot(i), or i or x has no other axes", examples=_label_sums,
)  # fmt: skip
def sum_of_one_hot(node: Expr, context: Context) -> Expr | None:
    """Take the element at each label; both forms refuse a position out of range."""
    (whole,) = node.args
    last = whole.ndim - 1
    if whole.op != "multiply" or last not in node.attrs["axes"]:
        return None
    for labels, x in (whole.args, whole.args[::-1]):
        if labels.op == "one_hot" and x.ndim and x.shape[-1] == labels.shape[-1]:
            found = _picked(x, labels.args[0])
            if found is not None and x.op != "one_hot":
                kept = reshaped(found, (*found.shape, 1))
                return reduced(aligned(kept, whole.ndim), whole.shape, last, node)
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
    if labels.op != "one_hot" or node.dtype is DType.BOOL:
        return None
    return ROWS["one_hot"](labels.args[0], depth=labels.attrs["depth"], dtype=node.dtype)


def _scattered_numbers() -> list[Expr]:
    one = symbol("i", (), "int32")
    return [ROWS["scatter_add"](constant_node(-2, DType.FLOAT64), one, axis=0, size=4)]


@structural(
    "scatter_number", "scatter_add", "scatter_add(s, i)", "s * one_hot(i)", REAL,
    condition="s and i have rank 0; s is known to be finite", examples=_scattered_numbers,
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
    if value.shape != (1,) or not isinstance(position[0], int):
        return None
    if value.op not in ("reshape", "broadcast_to"):
        return None
    (number,) = value.args
    if number.ndim or not node.dtype.is_float or not _is_finite(number, context):
        return None
    label = constant_node(position[0], DType.INT64)
    return ROWS["multiply"](number, ROWS["one_hot"](label, depth=node.shape[0], dtype=node.dtype))


def _is_finite(value: Expr, context: Context) -> bool:
    number = literal(value)
    return math.isfinite(number) if number is not None else knows(value, "finite", context)


# -- contractions --------------------------------------------------------------------------------------------------


def _has_rows(x: Expr) -> bool:
    return x.op == "one_hot" or (x.op == "transpose" and x.args[0].op == "one_hot")


def _chosen(p: Product, context: Context) -> Expr | None:
    """Give a product whose left operand is one-hot rows without them."""
    rows, (*places, classes) = in_place(p.x, p.left, context)
    if rows.op != "one_hot":
        return None
    (positions,) = rows.args
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


def _ordered(x: Expr, labels: Sequence[int], out: Sequence[int]) -> Expr:
    return permuted(x, [labels.index(label) for label in out])


def _rows(*shape: object) -> Expr:
    return ROWS["one_hot"](symbol("i", shape, "int32"), depth=3, dtype=DType.FLOAT64)


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


ONE_HOT: tuple[Rule, ...] = (cast_of_one_hot, sum_of_one_hot, scatter_number, place_number, contraction_of_one_hot)
