"""The identity matrix as rules and formulas meet it: a comparison of two axes' numbers, i == j.

In: conditions and masks. Out: along which axes such a condition is the identity, and what vector a mask spreads along a
diagonal. It must not know rules, nor text.
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.expr import Expr, constant_node, literal

__all__ = ["IdentityMask", "diagonal_of", "identity_axes", "identity_mask"]


def identity_axes(condition: Expr) -> tuple[int, int] | None:
    """Give the two axes along which a condition is true where their positions are equal, and there alone.

    >>> import symgrad as sg
    >>> identity_axes(sg.equal(sg.arange(3)[:, None], sg.arange(3))), identity_axes(sg.symbol("c", (3, 3), "bool"))
    ((0, 1), None)
    """
    if condition.op != "equal":
        return None
    found = [_numbered_axis(x, condition.ndim) for x in condition.args]
    if found[0] is None or found[1] is None:
        return None
    (first, size), (second, other) = sorted((found[0], found[1]), key=lambda pair: pair[0])
    return (first, second) if first != second and size == other else None


def _numbered_axis(x: Expr, rank: int) -> tuple[int, object] | None:
    """Give the axis (of a result of this rank) along which a node counts 0, 1, 2 ..., and its size."""
    source = x.args[0] if x.op == "reshape" else x
    if source.op != "arange" or (source.attrs["start"], source.attrs["step"]) != (0, 1):
        return None
    axes = [axis for axis, size in enumerate(x.shape) if size != 1]
    return (axes[0] + rank - x.ndim, x.shape[axes[0]]) if len(axes) == 1 else None


@dataclass(frozen=True, slots=True)
class IdentityMask:
    """where(i == j, x, 0): the condition, x (which broadcasts), and the two axes of the whole that are compared."""

    condition: Expr
    x: Expr
    axes: tuple[int, int]


def identity_mask(node: Expr) -> IdentityMask | None:
    """Read a node as where(i == j, x, 0); a converted condition is the mask of ones."""
    if node.op not in ("where", "astype") or not node.dtype.is_float:
        return None
    condition = node.args[0]
    axes = identity_axes(condition)
    if axes is None or (node.op == "where" and literal(node.args[2]) != 0):
        return None
    x = node.args[1] if node.op == "where" else constant_node(1, node.dtype)
    further = node.ndim - condition.ndim
    return IdentityMask(condition, x, (axes[0] + further, axes[1] + further))


def diagonal_of(node: Expr) -> Expr | None:
    """Give the vector, or the number, that a matrix has on its diagonal between zeros; None for any other node.

    >>> import symgrad as sg
    >>> v = sg.symbol("v", (3,))
    >>> diagonal_of(sg.where(sg.eye(3, dtype="bool"), v, 0)) is v
    True
    """
    mask = identity_mask(node)
    return mask.x if mask is not None and node.ndim == 2 and mask.x.shape in ((), node.shape[1:]) else None
