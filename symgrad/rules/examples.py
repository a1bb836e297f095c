"""What the examples of rules are made of: operands, sums. Tests ask a rule for its examples.

In: names, shapes, axes. Out: nodes of float64. It must not know rules.
"""

from __future__ import annotations

from symgrad.expr import Expr
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS

__all__ = ["summed", "tensor"]


def tensor(name: str, *shape: object) -> Expr:
    """Declare an operand.

    >>> tensor("x", 2, 3).shape
    (2, 3)
    """
    return symbol(name, shape, "float64")


def summed(x: Expr, *axes: int, keepdims: bool = False) -> Expr:
    """Sum over axes; over none of them too, which no user can write."""
    return ROWS["sum"](x, axes=axes, keepdims=keepdims)
