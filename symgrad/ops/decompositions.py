"""Systems of equations, inverses, determinants, Cholesky factors: rows over the last two axes, the others a batch.

In: square matrices, stacked or not. Out: Sequential nodes (elimination with partial pivoting, triangular systems) and
`inv`, which is defined as the solution for the identity. Gradients are the textbooks': Giles, "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation" (2008). A singular matrix gives infinities
and NaN, for nothing is known of the numbers when a graph is built. It must not know how elimination runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.fill import eye, tril, triu
from symgrad.ops.layout import broadcast_to, matrix_transpose
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, as_expr, describe, register, where_text
from symgrad.ops.structure import Composite, Sequential
from symgrad.shape import Shape, broadcast_shapes, dim

__all__ = ["cholesky", "det", "det_sign", "inv", "logdet", "slogdet", "solve", "triangular_solve"]

n = dim("n")
_T = matrix_transpose


# -- types ---------------------------------------------------------------------------------------------------------


def _square(name: str, x: Expr) -> None:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} takes square matrices", got=describe(x), where=where_text([x]))


def _infer_same(name: str) -> Callable[[tuple[Expr, ...], Attrs], Type]:
    def infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
        _square(name, args[0])
        return args[0].type

    return infer


def _infer_number(name: str) -> Callable[[tuple[Expr, ...], Attrs], Type]:
    def infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
        _square(name, args[0])
        return TensorType(args[0].shape[:-2], args[0].dtype)

    return infer


def _infer_system(name: str) -> Callable[[tuple[Expr, ...], Attrs], Type]:
    def infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
        a, b = args
        _square(name, a)
        if b.ndim not in (a.ndim, a.ndim - 1) or b.shape[: a.ndim - 1] != a.shape[:-1]:
            raise _misfit(name, a, b)
        return b.type

    return infer


def _misfit(name: str, a: Expr, b: Expr) -> ShapeError:
    got, hint = f"{describe(a)}, {describe(b)}", f"The right-hand side has {a.shape[-1]} rows."
    return ShapeError(f"{name}: matrix and right-hand side do not fit", got=got, where=where_text((a, b)), hint=hint)


# -- oracles -------------------------------------------------------------------------------------------------------


def _each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute matrix by matrix; where NumPy raises for one, its result is NaN."""

    def oracle(*operands: np.ndarray) -> Any:
        batch = operands[0].shape[:-2]
        out = np.empty(operands[-1].shape, operands[-1].dtype)
        for place in np.ndindex(batch):
            try:
                out[place] = function(*(x[place] for x in operands))
            except np.linalg.LinAlgError:
                out[place] = np.nan
        return out

    return oracle


def _factored(a: np.ndarray) -> np.ndarray:
    """Factor the symmetric part; NumPy gives zeros beside the NaN that it makes of NaN."""
    factor = np.linalg.cholesky((a + a.T) / 2)
    return np.where(np.isnan(factor).any(), np.nan, factor)


def _substituted(a: np.ndarray, b: np.ndarray, *, lower: bool) -> np.ndarray:
    """Solve by substitution, beginning at the row with one unknown: zeros stay exact, and so do singular systems."""
    columns = b if b.ndim == a.ndim else b[..., None]
    size, out = a.shape[-1], np.zeros_like(columns)
    with np.errstate(all="ignore"):
        for row in range(size) if lower else reversed(range(size)):
            known = slice(0, row) if lower else slice(row + 1, size)
            taken = (a[..., row, None, known] @ out[..., known, :])[..., 0, :]
            out[..., row, :] = (columns[..., row, :] - taken) / a[..., row, row, None]
    return out.reshape(b.shape)


# -- cotangents ----------------------------------------------------------------------------------------------------


def _as_matrix(g: Expr) -> Expr:
    """Give a number for each matrix the two axes of a matrix; one number alone broadcasts."""
    return g if g.ndim == 0 else ROWS["reshape"](g, shape=(*g.shape, 1, 1))


def _products(node: Expr, gb: Expr) -> Expr:
    """Give gb @ X.T for the solution X of a system; for a vector that is the outer product."""
    if node.ndim == node.args[0].ndim:
        return gb @ _T(node)
    column, row = ((*node.shape, 1), (*node.shape[:-1], 1, node.shape[-1]))
    return ROWS["reshape"](gb, shape=column) * ROWS["reshape"](node, shape=row)


def _solve_vjp(node: Expr, g: Expr) -> tuple[Expr, Expr]:
    gb = SOLVE(_T(node.args[0]), g)
    return -_products(node, gb), gb


def _triangular_vjp(node: Expr, g: Expr) -> tuple[Expr, Expr]:
    lower = node.attrs["lower"]
    gb = TRIANGULAR_SOLVE(_T(node.args[0]), g, lower=not lower)
    ga = -_products(node, gb)
    return (tril(ga) if lower else triu(ga)), gb


def _inv_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    return (-(_T(node) @ g @ _T(node)),)


def _inv_jvp(node: Expr, tangents: tuple[Expr | None, ...]) -> Expr:
    (t,) = tangents
    assert t is not None
    return -(node @ t @ node)


def _det_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    return (_as_matrix(g * node) * _T(INV(node.args[0])),)


def _logdet_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    return (_as_matrix(g) * _T(INV(node.args[0])),)


def _cholesky_vjp(node: Expr, g: Expr) -> tuple[Expr]:
    """Give the symmetric part of inv(L).T @ phi(L.T @ g) @ inv(L); phi halves the diagonal and drops what is above."""
    inner = _T(node) @ g
    left = TRIANGULAR_SOLVE(_T(node), tril(inner) + tril(inner, -1), lower=False)
    whole = _T(TRIANGULAR_SOLVE(_T(node), _T(left), lower=False))
    return (0.25 * (whole + _T(whole)),)


# -- rows ----------------------------------------------------------------------------------------------------------


def _near_identity(x: np.ndarray) -> np.ndarray:
    """Add the identity to a matrix whose rows sum to less than a half: it is far from singular."""
    size = x.shape[-1]
    return np.asarray(np.eye(size) + x / (2 * max(size, 1)), x.dtype)


def _matrix(*shape: Any) -> Sample:
    return Sample(shape, -1.0, 1.0, make=_near_identity)


_SIZES = (0, 1, 3, 17)
_SQUARE = (Case((_matrix(n, n),), sizes=_SIZES), Case((_matrix(2, n, n),), sizes=_SIZES), Case((_matrix(n, 3, 3),)))
_SYSTEMS = (
    (_matrix(n, n), Sample((n, 4))),
    (_matrix(3, 3), Sample((3, n))),
    (_matrix(2, n, n), Sample((2, n, 1))),
    (_matrix(2, n, n), Sample((2, n))),
)

SOLVE = register(Row(
    name="solve", arity=2, operands="float", infer=_infer_system("solve"), structure=Sequential("solve", core=2),
    oracle=_each(np.linalg.solve), vjp=_solve_vjp, cases=tuple(Case(operands, sizes=_SIZES) for operands in _SYSTEMS),
    latex=r"{x}^{{-1}} {y}",
    doc="The X of A X = B, by elimination with partial pivoting; B of one axis less is a vector for each matrix.",
))  # fmt: skip

TRIANGULAR_SOLVE = register(Row(
    name="triangular_solve", arity=2, operands="float", infer=_infer_system("triangular_solve"),
    structure=Sequential("triangular_solve", core=2), vjp=_triangular_vjp,
    oracle=_substituted,
    cases=tuple(Case(operands, {"lower": i % 2 == 0}, _SIZES) for i, operands in enumerate(_SYSTEMS)),
    doc="The X of A X = B, where only the lower or the upper half of A counts; B is as for `solve`.",
))  # fmt: skip


def _define_inv(node: Expr) -> Expr:
    (a,) = node.args
    identity = eye(a.shape[-1], dtype=a.dtype)
    return SOLVE(a, identity if a.ndim == 2 else broadcast_to(identity, a.shape))


INV = register(Row(
    name="inv", arity=1, operands="float", infer=_infer_same("inv"), structure=Composite(_define_inv),
    oracle=_each(np.linalg.inv), vjp=_inv_vjp, jvp=_inv_jvp, cases=_SQUARE, latex=r"{x}^{{-1}}",
    doc="The inverse of a matrix.",
))  # fmt: skip

DET = register(Row(
    name="det", arity=1, operands="float", infer=_infer_number("det"), structure=Sequential("det", core=2),
    oracle=lambda a: np.asarray(np.linalg.det(a)), vjp=_det_vjp, cases=_SQUARE,
    sub_gradient="the gradient uses the inverse: it is not finite where the matrix is singular",
    doc="The determinant of a matrix.",
))  # fmt: skip

LOGDET = register(Row(
    name="logdet", arity=1, operands="float", infer=_infer_number("logdet"),
    structure=Sequential("logdet", core=2), oracle=lambda a: np.asarray(np.linalg.slogdet(a)[1]),
    vjp=_logdet_vjp, cases=_SQUARE,
    doc="The logarithm of the magnitude of the determinant; -inf for a singular matrix.",
))  # fmt: skip

DET_SIGN = register(Row(
    name="det_sign", arity=1, operands="float", infer=_infer_number("det_sign"),
    structure=Sequential("det_sign", core=2), oracle=lambda a: np.asarray(np.linalg.slogdet(a)[0]),
    vjp=lambda node, g: (None,), differentiable=False, cases=_SQUARE,
    doc="The sign of the determinant: -1, 0 or 1.",
))  # fmt: skip

CHOLESKY = register(Row(
    name="cholesky", arity=1, operands="float", infer=_infer_same("cholesky"), vjp=_cholesky_vjp, cases=_SQUARE,
    structure=Sequential("cholesky", core=2),
    oracle=_each(_factored),
    doc="The lower triangular L with L @ L.T equal to the symmetric part of a matrix; NaN if that is not positive "
    "definite.",
))  # fmt: skip


# -- functions -----------------------------------------------------------------------------------------------------


def _system(row: Row, a: Any, b: Any, **attrs: Any) -> Expr:
    """Broadcast the batches; a right-hand side of one axis is a vector for all of them."""
    left, right = as_expr(a), as_expr(b)
    core = min(right.ndim, 2)
    _square(row.name, left)
    if core == 0 or left.shape[-1] != right.shape[-core]:
        raise _misfit(row.name, left, right)
    batch = broadcast_shapes(left.shape[:-2], right.shape[:-core])
    return row(_stacked(left, batch, 2), _stacked(right, batch, core), **attrs)


def _stacked(x: Expr, batch: Shape, core: int) -> Expr:
    return x if x.shape[:-core] == batch else broadcast_to(x, (*batch, *x.shape[-core:]))


def solve(a: Any, b: Any) -> Expr:
    """Give the X of a @ X = b.

    - `a`: shape (..., n, n);  `b`: shape (n,) or (..., n, k). The axes `...` broadcast.

    A singular matrix gives infinities and NaN. Raises ShapeError where shapes do not fit.

    >>> import symgrad as sg
    >>> solve(sg.symbol("A", (3, 3)), sg.symbol("b", (3,))).shape
    (3,)
    """
    return _system(SOLVE, a, b)


def triangular_solve(a: Any, b: Any, lower: bool = True, transpose: bool = False) -> Expr:
    """Give the X of a @ X = b, or of a.T @ X = b, where only the lower or the upper half of `a` counts.

    - `a`: shape (..., n, n);  `b`: shape (n,) or (..., n, k). The axes `...` broadcast.

    >>> import symgrad as sg
    >>> triangular_solve(sg.symbol("L", (3, 3)), sg.symbol("b", (3, 2))).shape
    (3, 2)
    """
    matrix = as_expr(a)
    return _system(TRIANGULAR_SOLVE, _T(matrix) if transpose else matrix, b, lower=bool(lower) != bool(transpose))


def inv(a: Any) -> Expr:
    """Give the inverse of each matrix; a singular one gives infinities and NaN.

    >>> import symgrad as sg
    >>> inv(sg.symbol("A", (sg.dim("N"), 3, 3))).shape
    (N, 3, 3)
    """
    return INV(a)


def det(a: Any) -> Expr:
    """Give the determinant of each matrix.

    >>> import symgrad as sg
    >>> det(sg.symbol("A", (sg.dim("N"), 3, 3))).shape
    (N,)
    """
    return DET(a)


def slogdet(a: Any) -> tuple[Expr, Expr]:
    """Give the sign of each matrix's determinant, and the logarithm of its magnitude: `det_sign` and `logdet`.

    >>> import symgrad as sg
    >>> sign, magnitude = slogdet(sg.symbol("A", (3, 3)))
    >>> sign.shape, magnitude.shape
    ((), ())
    """
    return DET_SIGN(a), LOGDET(a)


def det_sign(a: Any) -> Expr:
    """Give the sign of each determinant: -1, 0 or 1.

    >>> import symgrad as sg
    >>> float(sg.evaluate(det_sign([[0.0, 1.0], [1.0, 0.0]]), {}))
    -1.0
    """
    return DET_SIGN(a)


def logdet(a: Any) -> Expr:
    """Give the logarithm of the magnitude of each determinant: NumPy's `logabsdet`, where positive log(det(a)).

    >>> import symgrad as sg
    >>> logdet(sg.symbol("A", (3, 3))).shape
    ()
    """
    return LOGDET(a)


def cholesky(a: Any) -> Expr:
    """Give the lower triangular L with L @ L.T equal to the symmetric part of each matrix.

    It is NaN where that is not positive definite.

    >>> import symgrad as sg
    >>> cholesky(sg.symbol("A", (3, 3))).shape
    (3, 3)
    """
    return CHOLESKY(a)
