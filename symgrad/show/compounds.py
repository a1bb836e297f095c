"""What a formula shows as one thing although it is several nodes: diag(p), outer(p, q), eye(n), tril(x).

In: nodes. Out: the phrase that they are together; and what the text of a node reads, which is what its operands are
for all other nodes. Every pass over a formula follows `reads`, so that no line is made for what is not written. It must
not know precedences, nor who has a name.
"""

from __future__ import annotations

from collections.abc import Iterable

from symgrad import side
from symgrad.expr import Expr, literal
from symgrad.rules.identity import diagonal_of, identity_mask, triangle_of
from symgrad.show.phrase import Call, Outer

__all__ = ["compound", "identity_factor", "reading_order", "reads"]


def compound(node: Expr) -> Call | Outer | None:
    """Read a node and some below it as one function.

    >>> import symgrad as sg
    >>> a, b = sg.symbol("a", (2,)), sg.symbol("b", (3,))
    >>> compound(sg.outer(a, b)).column is a, compound(a + 1)
    (True, None)
    """
    if node.op == "multiply":
        return _outer(node)
    triangle = triangle_of(node)
    if triangle is not None:
        name, whole, offset = triangle
        return Call(name, (whole,) if offset == 0 else (whole, str(offset)))
    if node.op not in ("where", "astype") or node.ndim != 2:
        return None
    x = diagonal_of(node)
    if x is None:
        return None
    if literal(x) == 1:
        return Call("eye", (str(node.shape[0]),))
    return Call("diag", (x,)) if x.ndim else None


def _outer(node: Expr) -> Outer | None:
    """Read x[:, None] * y as outer(x, y)."""
    if node.ndim != 2:
        return None
    sides = [_laid_along(x) for x in node.args]
    for (column, down), (row, across) in (sides, sides[::-1]):
        if down == 0 and across == 1:
            return Outer(column, row)
    return None


def _laid_along(x: Expr) -> tuple[Expr, int | None]:
    """Give a vector, and along which axis of a matrix it lies; None for what is no vector."""
    if x.ndim == 1:
        return x, 1
    if x.op != "reshape" or x.ndim != 2 or x.args[0].ndim != 1 or side.name_of(x) is not None:
        return x, None
    size = x.args[0].shape[0]
    return x.args[0], 0 if x.shape == (size, 1) else 1 if x.shape == (1, size) else None


def identity_factor(node: Expr) -> Call | None:
    """Give the mask of where(i == j, x, 0) over the last two axes as eye(n); None for any other node."""
    mask = identity_mask(node) if node.op == "where" else None
    is_last = mask is not None and mask.axes == (node.ndim - 2, node.ndim - 1)
    return Call("eye", (str(node.shape[-1]),)) if is_last else None


def reads(node: Expr) -> tuple[Expr, ...]:
    """Give the nodes that are written inside the text of a node."""
    found = compound(node)
    if isinstance(found, Outer):
        return found.column, found.row
    if found is not None:
        return tuple(arg for arg in found.args if isinstance(arg, Expr))
    if node.op == "recompute":  # it waits for the others, which are no part of its value
        return node.args[:1]
    if node.op == "checkpoint":  # its derivative reads the others
        return node.args[: node.attrs["count"]]
    return node.args if identity_factor(node) is None else node.args[1:2]


def reading_order(roots: Iterable[Expr]) -> list[Expr]:
    """List every node that is read below the roots, what is read before what reads it; iterative at any depth."""
    order: list[Expr] = []
    seen: set[int] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(x, False) for x in reversed(reads(node)) if id(x) not in seen]
    return order
