"""The row `contract`: a product of two tensors summed over shared axes, in any order of axes.

In: two operands whose axes bear labels; each label of an operand is kept in the result or shared with the other one.
Out: Contraction nodes; labels are the places in the result for kept axes, further numbers for summed ones, so that
equal contractions are one node. Cotangents are contractions again. It must not know letters: that is `subscripts.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.moves import permuted, reshaped
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, describe, register, where_text
from symgrad.ops.structure import Axes, Contraction
from symgrad.shape import Shape, Size, dim

Labels = tuple[int, ...]


# -- the pair ------------------------------------------------------------------------------------------------------


def pair(x: Expr, left: Sequence[Hashable], y: Expr, right: Sequence[Hashable], out: Sequence[Hashable]) -> Expr:
    """Multiply two tensors with labelled axes and sum over the labels not in `out`, which both must have.

    A product without a sum is elementwise.
    """
    if set(left) | set(right) == set(out):
        return ROWS["multiply"](_aligned(x, left, out), _aligned(y, right, out))
    return CONTRACT(x, y, **canonical(left, right, out))


def canonical(left: Sequence[Hashable], right: Sequence[Hashable], out: Sequence[Hashable]) -> dict[str, Labels]:
    """Number the labels by their places in the result, then in the left operand.

    >>> canonical("ij", "jk", "ik")
    {'left': (0, 2), 'right': (2, 1), 'out': (0, 1)}
    """
    number = {label: place for place, label in enumerate(dict.fromkeys((*out, *left, *right)))}
    return {
        name: tuple(number[label] for label in labels)
        for name, labels in (("left", left), ("right", right), ("out", out))
    }


def _aligned(x: Expr, labels: Sequence[Hashable], out: Sequence[Hashable]) -> Expr:
    """Bring axes into the order of `out`, with an axis of size 1 for each label between them that x does not have."""
    order = tuple(labels.index(label) for label in out if label in labels)
    x = permuted(x, order)
    sizes = iter(x.shape)
    first = min((place for place, label in enumerate(out) if label in labels), default=len(out))
    return reshaped(x, [next(sizes) if label in labels else 1 for label in out[first:]])


# -- the row -------------------------------------------------------------------------------------------------------


def _infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    x, y = args
    left, right, out = attrs["left"], attrs["right"], attrs["out"]
    got, where = f"{describe(x)}, {describe(y)}, labels {left} and {right} to {out}", where_text(args)
    if len(left) != x.ndim or len(right) != y.ndim or any(len(set(own)) != len(own) for own in (left, right, out)):
        raise ShapeError("contract takes one label for each axis", got=got, where=where)
    if not set(left) ^ set(right) <= set(out) <= set(left) | set(right):
        raise ShapeError("contract: each label is kept, or shared by both operands", got=got, where=where)
    sizes: dict[int, Size] = dict(zip(left, x.shape, strict=True))
    for label, size in zip(right, y.shape, strict=True):
        if sizes.setdefault(label, size) != size:
            raise ShapeError(f"contract: sizes of label {label} differ", got=got, where=where)
    return TensorType(tuple(sizes[label] for label in out), x.dtype)


def _oracle(x: np.ndarray, y: np.ndarray, *, left: Labels, right: Labels, out: Labels) -> np.ndarray:
    return np.asarray(np.einsum(x, list(left), y, list(right), list(out)))


def _vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    (x, y), (left, right, out) = node.args, (node.attrs[name] for name in ("left", "right", "out"))
    return pair(g, out, y, right, left), pair(x, left, g, out, right)


def _case(left: Labels, x: Shape, right: Labels, y: Shape, out: Labels) -> Case:
    return Case((Sample(x), Sample(y)), {"left": left, "right": right, "out": out}, (0, 1, 3, 17))


_n = dim("n")
CONTRACT: Row = register(Row(
    name="contract", arity=2, operands="arithmetic", infer=_infer, vjp=_vjp, oracle=_oracle,
    structure=Contraction(lambda node: Axes(node.attrs["left"], node.attrs["right"], node.attrs["out"])),
    doc="Sum of products over the labels that are not kept: einsum of two tensors.",
    cases=(
        _case((0, 2), (_n, 7), (2, 1), (7, 5), (0, 1)),
        _case((2, 0), (_n, 3), (1, 2), (5, _n), (0, 1)),
        _case((1, 2), (4, _n), (0, 2), (3, _n), (0, 1)),
        _case((0, 1), (_n, 3), (0, 1), (_n, 3), ()),
        _case((0, 1), (_n, 3), (1, 0), (3, _n), ()),
        _case((2, 0, 3), (4, _n, 3), (3, 2, 1), (3, 4, 5), (0, 1)),
        _case((0, 2, 1), (2, 3, _n), (2, 1), (3, _n), (0, 1)),
        _case((0, 3, 2), (3, 4, _n), (3, 1, 2), (4, 5, _n), (0, 1, 2)),
    ),
))  # fmt: skip
