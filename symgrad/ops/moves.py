"""Nodes that move elements, made only where something moves: for vjps, definitions and rules.

In: operands, and the shape or the order of axes that is wanted. Out: the operand itself where it is as wanted, else a
node of `layout.py`. It must not know what is wanted, nor why.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.expr import Expr
from symgrad.ops.row import ROWS
from symgrad.shape import Size

__all__ = ["is_transposed", "permuted", "reshaped", "stretched", "swapped", "transposed"]


def reshaped(x: Expr, shape: Sequence[Size]) -> Expr:
    """Give the elements in another shape.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (2, 3))
    >>> reshaped(x, (2, 3)) is x, reshaped(x, (6,)).op
    (True, 'reshape')
    """
    wanted = tuple(shape)
    return x if x.shape == wanted else ROWS["reshape"](x, shape=wanted)


def stretched(x: Expr, shape: Sequence[Size]) -> Expr:
    """Give the elements broadcast to a shape."""
    wanted = tuple(shape)
    return x if x.shape == wanted else ROWS["broadcast_to"](x, shape=wanted)


def permuted(x: Expr, order: Sequence[int]) -> Expr:
    """Give the elements with the axes in another order."""
    wanted = tuple(order)
    return x if wanted == tuple(range(x.ndim)) else ROWS["transpose"](x, axes=wanted)


def swapped(rank: int) -> tuple[int, ...]:
    """Give the order of axes in which the last two, of two or more, are exchanged.

    >>> swapped(2), swapped(4)
    ((1, 0), (0, 1, 3, 2))
    """
    return (*range(rank - 2), rank - 1, rank - 2)


def transposed(x: Expr) -> Expr:
    """Exchange the last two axes; a vector stays as it is."""
    return x if x.ndim < 2 else ROWS["transpose"](x, axes=swapped(x.ndim))


def is_transposed(x: Expr) -> bool:
    """Tell whether a node exchanges the last two axes of its operand, and no others."""
    return x.op == "transpose" and x.ndim > 1 and x.attrs["axes"] == swapped(x.ndim)
