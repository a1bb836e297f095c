"""Nested sums and products read flat: as a reader sees them, not as they were built.

In: a node, and the names that stand for nodes. Out: the signed terms of a sum; the factors, masks and divisors of a
product. What has a name stays whole. It must not know the order of writing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from symgrad.expr import Expr, literal
from symgrad.show.compounds import compound, identity_factor
from symgrad.show.phrase import Call, Mask

__all__ = ["Factors", "factors", "is_mask", "is_negative", "terms"]

HasName = Callable[[Expr], bool]


def is_negative(node: Expr) -> bool:
    """Tell whether a node is a number below 0, or -0."""
    value = literal(node)
    return value is not None and not isinstance(value, bool) and math.copysign(1, value) < 0


def is_mask(node: Expr) -> bool:
    """Tell whether a node is 0 where a condition is false: where(c, x, 0), or a converted bool."""
    if node.op == "astype":
        return bool(node.args[0].dtype == "bool" and node.dtype.is_float)
    return node.op == "where" and node.dtype.is_float and node.args[2].op == "constant" and literal(node.args[2]) == 0


def terms(root: Expr, has_name: HasName) -> list[tuple[int, Expr]]:
    """Read nested sums as one list of signed terms; a subtracted sum stays whole."""
    found: list[tuple[int, Expr]] = []
    stack: list[tuple[int, Expr, bool]] = [(1, root, True)]
    while stack:
        sign, node, open_ = stack.pop()
        if open_ and (node is root or not has_name(node)):
            if node.op == "add":
                stack += [(sign, node.args[1], sign > 0), (sign, node.args[0], sign > 0)]
                continue
            if node.op == "subtract" and sign > 0:
                stack += [(-sign, node.args[1], False), (sign, node.args[0], True)]
                continue
            if node.op == "negative" and not has_name(node):
                stack.append((-sign, node.args[0], False))
                continue
        found.append((-sign if is_negative(node) and not has_name(node) else sign, node))
    return found


@dataclass(slots=True)
class Factors:
    """A product: its sign, factors and divisors; masks are conditions, or identity matrices.

    A mask guards its value: divisors inside are `guarded`, the others are `below`.
    """

    sign: int = 1
    above: list[Expr] = field(default_factory=list)
    masks: list[Mask | Call] = field(default_factory=list)
    guarded: list[Expr] = field(default_factory=list)
    below: list[Expr] = field(default_factory=list)


def factors(root: Expr, has_name: HasName) -> Factors:
    """Read nested products, quotients and masks as one product."""
    found = Factors()
    stack = [(root, found.below)]
    while stack:
        node, below = stack.pop()
        if node is not root and (has_name(node) or compound(node) is not None):
            found.above.append(node)
        elif node.op == "multiply":
            stack += [(x, below) for x in node.args[::-1]]
        elif node.op == "divide":
            below.append(node.args[1])
            stack.append((node.args[0], below))
        elif node.op == "negative":
            found.sign = -found.sign
            stack.append((node.args[0], below))
        elif is_mask(node):
            found.masks.append(identity_factor(node) or Mask(node.args[0]))
            if node.op == "where" and literal(node.args[1]) != 1:
                stack.append((node.args[1], found.guarded))
        else:
            found.above.append(node)
    found.masks.reverse()
    found.guarded.reverse()
    found.below.reverse()
    return found
