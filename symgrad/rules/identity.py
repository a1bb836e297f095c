"""The identity matrix as rules and formulas meet it, a comparison of two axes' numbers i == j; triangles, j <= i + k.

In: conditions and masks. Out: along which axes such a condition is the identity, and what vector a mask spreads along a
diagonal; which triangle of a matrix a mask leaves. It must not know rules, nor text.
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.expr import Expr, constant_node, literal
from symgrad.shape import Size

__all__ = ["IdentityMask", "diagonal_of", "identity_axes", "identity_mask", "lies_along", "triangle_of"]


def lies_along(x: Expr, rank: int) -> list[int]:
    """Give the axes, of a result of this rank that x broadcasts to, along which x has other sizes than 1.

    >>> import symgrad as sg
    >>> lies_along(sg.symbol("x", (3,)), 2), lies_along(sg.symbol("x", (3, 1)), 2)
    ([1], [0])
    """
    return [axis + rank - x.ndim for axis, size in enumerate(x.shape) if size != 1]


def identity_axes(condition: Expr) -> tuple[int, int] | None:
    """Give the two axes along which a condition is true where their positions are equal, and there alone.

    >>> import symgrad as sg
    >>> row, column = sg.arange(3), sg.arange(3)[:, None]
    >>> identity_axes(sg.equal(row, column)), identity_axes(sg.equal(column, row)), identity_axes(sg.equal(row, 1))
    ((0, 1), (0, 1), None)
    """
    if condition.op != "equal":
        return None
    found = [_numbers(x, condition.ndim) for x in condition.args]
    one, other = found
    if one is None or other is None:
        return None
    same = one.size == other.size and one.start == other.start == 0
    first, second = sorted((one.axis, other.axis))
    return (first, second) if first != second and same else None


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What counts start, start + 1 ... along one axis."""

    axis: int
    size: Size
    start: Size


def _numbers(x: Expr, rank: int) -> _Numbers | None:
    """Read a node as numbers along one axis, of a result of this rank."""
    source = x.args[0] if x.op == "reshape" else x
    if source.op != "arange" or source.attrs["step"] != 1:
        return None
    axes = lies_along(x, rank)
    return _Numbers(axes[0], x.shape[axes[0] - rank], source.attrs["start"]) if len(axes) == 1 else None


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


# Which triangle a comparison of column numbers (left) with row numbers (right) leaves, and by how much it is shifted.
_TRIANGLES = {"less_equal": ("tril", 0), "less": ("tril", -1), "greater_equal": ("triu", 0), "greater": ("triu", 1)}
_MIRRORED = {"less_equal": "greater_equal", "less": "greater", "greater_equal": "less_equal", "greater": "less"}


def triangle_of(node: Expr) -> tuple[str, Expr, Size] | None:
    """Read where(j <= i + k, x, 0) as ("tril", x, k), and where(j >= i + k, x, 0) as ("triu", x, k).

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (3, 4))
    >>> triangle_of(sg.tril(x, -1)) == ("tril", x, -1), triangle_of(sg.where(x > 0, x, 0))
    (True, None)
    """
    if node.op != "where" or node.ndim < 2 or literal(node.args[2]) != 0 or node.args[1].shape != node.shape:
        return None
    condition, x, _ = node.args
    if condition.op not in _TRIANGLES or condition.ndim != 2:
        return None
    left, right = (_numbers(side, 2) for side in condition.args)
    if left is None or right is None or left.axis == right.axis:
        return None
    mirrored = left.axis == 0
    columns, rows = (right, left) if mirrored else (left, right)
    name, shift = _TRIANGLES[_MIRRORED[condition.op] if mirrored else condition.op]
    return name, x, rows.start - columns.start + shift
