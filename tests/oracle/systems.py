"""Error bounds of linear algebra: perturbation bounds for elimination with partial pivoting and Cholesky's method.

In: the bounds so far (`bound.Bounds`) and a node. Out: the bound of its result. A computed solution is that of a matrix
which differs by the backward error (Higham, "Accuracy and Stability of Numerical Algorithms", theorems 8.5, 9.4, 10.3),
taken from the factors' magnitudes; what that and the operands' errors do to the result
is bounded by the inverse's magnitudes. A matrix that may be singular within these errors leaves its result undecided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oracle.enclosure import UNIT64, rounding
from oracle.tape import applied, half_lower, inverse, turned

if TYPE_CHECKING:
    from oracle.bound import Bounds
    from symgrad.expr import Expr

Array = np.ndarray


def eliminated(a: Array) -> tuple[Array, Array]:
    """Give |L| |U| of each matrix, its rows in the matrix' order, and the magnitudes of the pivots."""
    product, pivots = np.zeros(a.shape), np.zeros(a.shape[:-1])
    for place in np.ndindex(a.shape[:-2]):
        upper, size = np.array(a[place]), a.shape[-1]
        lower, order = np.zeros((size, size)), np.arange(size)
        for k in range(size):
            best = k + int(np.argmax(np.abs(upper[k:, k])))
            for rows in (upper, lower, order):
                rows[[k, best]] = rows[[best, k]]
            lower[k, k] = 1
            lower[k + 1 :, k] = upper[k + 1 :, k] / (upper[k, k] or 1.0)
            upper[k + 1 :] -= lower[k + 1 :, k : k + 1] * upper[k]
            upper[k + 1 :, k] = 0
        product[place][order] = np.abs(lower) @ np.abs(upper)
        pivots[place] = np.abs(np.diagonal(upper))
    return product, pivots


def _backward(a: Array, error: Array, unit: float) -> tuple[Array, Array]:
    """Give what elimination may have changed the matrix by with the matrix' own error, and the pivots."""
    product, pivots = eliminated(a)
    return error + 3 * (a.shape[-1] + 1) * (unit + UNIT64) * product, pivots


def _amplified(inner: Array) -> Array:
    """Give 1 / (1 - k) for the norm k of a relative perturbation: inf where the matrix may be singular."""
    k = np.max(np.sum(inner, axis=-1), axis=-1, initial=0.0)[..., None, None]
    return np.where(k < 0.5, 1 / (1 - np.minimum(k, 0.5)), np.inf)


def solution(bounds: Bounds, node: Expr) -> Array:
    """Bound X of A X = B by |inv A| (dA |X| + dB)."""
    a, b = bounds.boxes(node)
    size, unit, out = a.value.shape[-1], bounds.unit(node), np.abs(bounds.graph.values[node])
    matrix = a.value
    if node.op == "triangular_solve":
        cut = np.tril if node.attrs["lower"] else np.triu
        matrix = cut(matrix)
        change = cut(a.error) + 2 * size * (unit + UNIT64) * np.abs(matrix)
    else:
        change, _ = _backward(matrix, a.error, unit)
    inner = np.abs(inverse(matrix))
    moved = applied(inner, applied(change, out) + b.error)
    amplified = _amplified(inner @ change)
    grown = moved * (amplified if out.ndim == matrix.ndim else amplified[..., 0])
    decided = np.nan_to_num(grown, nan=np.inf, posinf=np.inf) + _passed(bounds, node, matrix, b.size)
    if node.op == "triangular_solve":  # substitution: what is exact above a singular row stays so
        decided = np.where(moved == 0, 0.0, decided)
    return decided + rounding(out, 1.0, bounds.float_type(node), moved)


def _passed(bounds: Bounds, node: Expr, matrix: Array, b: Array) -> Array:
    """Undecide columns on whose way some sum may be infinite: those of U x and b, with the growth of pivots."""
    out = np.abs(bounds.graph.values[node])
    sums = applied(np.abs(matrix), out) + np.abs(b)
    greatest = sums.max(axis=-1 if out.ndim < matrix.ndim else -2, keepdims=True, initial=0.0)
    growth = 2.0 ** min(matrix.shape[-1] - 1, 10)
    return np.where(growth * greatest > float(np.finfo(bounds.float_type(node)).max), np.inf, 0.0)


def _relative_change(bounds: Bounds, node: Expr) -> tuple[Array, Array]:
    """Bound the relative change of a determinant, and give the pivots' magnitudes."""
    (a,) = bounds.boxes(node)
    inner = np.abs(inverse(a.value))
    change, pivots = _backward(a.value, a.error, bounds.unit(node))
    trace = np.sum(turned(inner) * change, axis=(-1, -2)) * _amplified(inner @ change)[..., 0, 0]
    return np.nan_to_num(np.expm1(np.minimum(trace, 700.0)), nan=np.inf) + np.where(trace < 700, 0, np.inf), pivots


def determinant(bounds: Bounds, node: Expr) -> Array:
    (a,) = bounds.boxes(node)
    out, size = np.abs(bounds.graph.values[node]), a.value.shape[-1]
    change, pivots = _relative_change(bounds, node)
    partial = np.cumprod(pivots, axis=-1).max(axis=-1, initial=0.0)
    low = np.where(partial * (1 + change) > float(np.finfo(bounds.float_type(node)).max), np.inf, 0.0)
    return out * change + rounding(out, size, bounds.float_type(node), out * change, size + 2.0) + low


def log_determinant(bounds: Bounds, node: Expr) -> Array:
    """Add to the relative change the roundings of a sum of logarithms of pivots."""
    size = bounds.graph.values[node.args[0]].shape[-1]
    change, pivots = _relative_change(bounds, node)
    logs = np.sum(np.abs(np.log(pivots)), axis=-1)
    return change + (size + 4) * (2 * bounds.unit(node) + UNIT64) * logs


def determinant_sign(bounds: Bounds, node: Expr) -> Array:
    change, _ = _relative_change(bounds, node)
    return np.where(change < 0.5, 0.0, np.where(np.isfinite(change), 2.0, np.inf))  # of a NaN there is no sign


def cholesky(bounds: Bounds, node: Expr) -> Array:
    """Bound the factor of S by |L| Phi(|inv L| dS |inv L.T|), to first order with the amplification above."""
    (a,) = bounds.boxes(node)
    lower = bounds.graph.values[node]
    size, unit = lower.shape[-1], bounds.unit(node)
    own = (size + 3) * (unit + UNIT64) * np.abs(lower) @ turned(np.abs(lower))
    change = 0.5 * (a.error + turned(a.error)) + own
    inner = np.abs(inverse(lower))
    relative = inner @ change @ turned(inner)
    moved = np.abs(lower) @ (2 * half_lower(relative)) * _amplified(relative)
    return np.tril(np.nan_to_num(moved, nan=np.inf)) + rounding(lower, 1.0, bounds.float_type(node), moved)
