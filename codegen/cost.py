"""Cost: how much work a group is, so that the runtime knows how many threads it is worth.

In: a group. Out: a size in flops, where moving a number from or to memory counts as `MOVE` and a transcendental
function as `FUNCTION`. An estimate: it decides who computes, never what.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.contraction import roles_of
from codegen.group import Group
from codegen.scalars import PRIMITIVES
from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Contraction, Map, Random, Sequential
from symgrad.shape import Size, product

MOVE = 8
FUNCTION = 20
PHILOX = 100


def work(group: Group, reads: Sequence[Expr]) -> Size:
    """Estimate the flops of a group."""
    moved = MOVE * (len(group.stores) + len(reads))
    total = product(group.domain) * (moved + sum(map(_price, group.nodes)))
    if group.root is None:
        return total
    structure = row_of(group.root).structure
    if isinstance(structure, Contraction):
        return total + 2 * product(roles_of(group.root).sizes.values())
    if isinstance(structure, Sequential) and structure.core == 2:  # every row is subtracted from every other
        return total + 2 * group.root.args[0].shape[-1] * sum_of_sizes(group.root)
    return total + (MOVE + FUNCTION) * sum_of_sizes(group.root)


def sum_of_sizes(root: Expr) -> Size:
    """Give the number of elements of the operands together."""
    total: Size = 0
    for operand in root.args:
        total = total + product(operand.shape)
    return total


def _price(node: Expr) -> int:
    structure = row_of(node).structure
    if isinstance(structure, Random):
        return PHILOX
    if isinstance(structure, Map) and structure.formula is None:
        return 1 if node.op in PRIMITIVES else FUNCTION
    return FUNCTION
