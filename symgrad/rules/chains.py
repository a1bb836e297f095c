"""Chains of one kind of operator, read as a tree of leaves and written again with other leaves.

In: nested products and quotients, or nested sums and differences, that nothing else uses. Out: the tree, its leaves
from left to right, and the same tree with leaves changed or left out, so that the order of what stays is kept. Chains
are read up to LONGEST leaves, so that the cost is linear. It must not know what a leaf means.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from symgrad.expr import Expr
from symgrad.rewrite import Context

__all__ = ["LONGEST", "Branch", "leaves_of", "read_chain", "write_chain"]

LONGEST = 16
_INVERTS_LAST = ("divide", "subtract", "negative")


class Leaf(Protocol):
    """What ends a chain: at least its node."""

    @property
    def node(self) -> Expr:
        """Give its node."""


L = TypeVar("L", bound=Leaf)


@dataclass(frozen=True, slots=True)
class Branch(Generic[L]):
    """An operator of the chain applied to parts of it."""

    node: Expr
    parts: tuple[Branch[L] | L, ...]


def read_chain(node: Expr, context: Context, ops: Collection[str], leaf: Callable[[Expr, bool], L]) -> Branch[L] | L:
    """Read what stands below a node; `leaf` is told whether its node is divided by, or subtracted."""
    left = [LONGEST]

    def read(part: Expr, inverted: bool) -> Branch[L] | L:
        inner = part is node or context.owns(part, part.op)
        if part.op not in ops or not inner or left[0] <= 1:
            return leaf(part, inverted)
        left[0] -= 1
        last = inverted != (part.op in _INVERTS_LAST)
        sides = (inverted, last)[-len(part.args) :]
        return Branch(part, tuple(read(a, side) for a, side in zip(part.args, sides, strict=True)))

    return read(node, False)


def leaves_of(tree: Branch[L] | L) -> Iterator[L]:
    """List leaves from left to right."""
    if isinstance(tree, Branch):
        for part in tree.parts:
            yield from leaves_of(part)
    else:
        yield tree


Parts = list[Expr | None]


def write_chain(
    tree: Branch[L] | L,
    leaves: Iterator[L],
    write: Callable[[L], Expr | None],
    join: Callable[[Expr, Parts], Expr | None],
) -> Expr | None:
    """Write a tree with other leaves, given in the same order; None stands for what is left out.

    `join` applies the operator of a node to parts of which some are None.
    """
    if not isinstance(tree, Branch):
        new = next(leaves)
        return tree.node if new is tree else write(new)
    parts = [write_chain(part, leaves, write, join) for part in tree.parts]
    if all(new is part.node for new, part in zip(parts, tree.parts, strict=True)):
        return tree.node
    return join(tree.node, parts)
