"""Error bounds of elementwise operators: what a function makes of boxes, and what its own rounding adds.

In: operands as values with errors (a computed operand may lie anywhere in value +- error; an infinite error says that
nothing is known: the operand is *undecided*), the row, the float type. Out: the error of the result. Functions that are
monotone in every operand take their extremes at the corners of the box; for the others the partial derivatives at
centre and corners bound the slope. A box that holds a jump gets the size of the jump, one that holds a pole is
undecided. It must not know graphs.

Rounding, in units in the last place, is what `docs/quality.md` promises: nothing for operators that round nothing, half
a unit for those that round once, 2 units (3 in float64) for functions, 4 for compositions of some.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oracle.partials import gamma_digamma, partials_of
from symgrad.ops.row import Row

Array = np.ndarray
UNIT64 = 2.0**-53  # the oracle's own float64


@dataclass(frozen=True)
class Box:
    """Values, and how far the computed ones may lie from them; integers and bools have the errors 0 and inf only."""

    value: Array
    error: Array

    @property
    def size(self) -> Array:
        """Give the magnitudes of finite values, 0 for others: what relative errors are taken of."""
        return np.where(np.isfinite(self.value), np.abs(np.asarray(self.value, np.float64)), 0.0)

    @property
    def least(self) -> Array:
        return self.value - self.error

    @property
    def greatest(self) -> Array:
        return self.value + self.error


EXACT = frozenset({
    "negative", "abs", "sign", "floor", "ceil", "round", "trunc", "maximum", "minimum", "clip", "where", "relu",
    "stop_gradient", "recompute", "fmod", "relu6", "hard_tanh",
})  # fmt: skip
ROUNDED_ONCE = frozenset({
    "add", "subtract", "multiply", "divide", "sqrt", "reciprocal", "square", "remainder", "floor_divide", "leaky_relu",
})  # fmt: skip
PRIMITIVES = frozenset({
    "power", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "erf", "erfc", "ndtr", "lgamma",
    "digamma", "trigamma", "polygamma", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh",
    "asinh", "acosh", "atanh", "hypot", "gelu_tanh",
})  # fmt: skip
COMPOSED = frozenset({
    "logaddexp", "elu", "selu", "celu", "sigmoid", "softplus", "log_sigmoid", "silu", "mish", "softsign", "gelu",
    "hard_sigmoid", "hard_swish",
})  # fmt: skip
OWN_ULPS = {("polygamma", "float64"): 16.0}  # powers and a factorial
ORACLE_ULPS = {"digamma": 16.0, "trigamma": 16.0, "polygamma": 16.0, "lgamma": 8.0}  # of NumPy, math and our series

# The extremes over a box lie at its corners: monotone in every operand, or linear in each.
CORNERED = frozenset({
    "add", "subtract", "multiply", "divide", "negative", "sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10",
    "log1p", "logaddexp", "sign", "floor", "ceil", "round", "trunc", "floor_divide", "maximum", "minimum", "clip",
    "relu", "relu6", "hard_tanh", "hard_sigmoid", "selu", "sigmoid", "softplus", "log_sigmoid", "softsign", "erf",
    "erfc", "ndtr", "asin", "acos", "atan", "sinh", "tanh", "asinh", "acosh", "atanh", "stop_gradient", "recompute",
})  # fmt: skip
COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
CURVATURE = 1 + 2.0**-6  # slopes inside a box, against those at its centre and corners
LARGEST_ANGLE = 2.0**28  # from which on float64 angles are NaN when compiled


def ulps_of(name: str, dtype: str) -> float:
    """Give the units in the last place by which a compiled operator may be off; KeyError for a row in no table."""
    if (name, dtype) in OWN_ULPS:
        return OWN_ULPS[name, dtype]
    for table, ulps in ((EXACT, 0.0), (ROUNDED_ONCE, 0.5), (PRIMITIVES, 2.0 if dtype == "float32" else 3.0),
                        (COMPOSED, 4.0)):  # fmt: skip
        if name in table:
            return ulps
    raise KeyError(f"{name} is in no table of rounding errors. Place it.")


# -- float results -------------------------------------------------------------------------------------------------


def enclosed(row: Row, operands: Sequence[Box], out: Array, dtype: str) -> Array:
    """Bound the error of a float result of an elementwise operator."""
    if row.name == "where":
        return _chosen(*operands)
    if row.name == "recompute":
        operands = [operands[0], Box(operands[1].value, np.zeros_like(operands[1].error))]
    moved = _moved(row, operands, out)
    for x in operands:
        moved = np.where(np.isinf(x.error), np.inf, moved)
    moved = np.where(_pole(row.name, operands), np.inf, moved)
    own = rounding(out, ulps_of(row.name, dtype), dtype, moved, ORACLE_ULPS.get(row.name, 4.0))
    if row.name in ROUNDED_ONCE:
        own = np.where(_is_exact(operands, out, dtype), 0.0, own)
    return moved + own + _beside(row.name, [x.value for x in operands], dtype)


def _is_exact(operands: Sequence[Box], out: Array, dtype: str) -> Array:
    """Tell where exact operands have a result that the float type holds: rounded once, it is that very number.

    In float64 the oracle rounds, too, and only whole numbers are known to be exact.
    """
    exact = np.all([np.broadcast_to(x.error == 0, out.shape) for x in operands], axis=0)
    if dtype == "float32":
        return exact & (out == out.astype(dtype))
    whole = np.all([np.broadcast_to(x.value == np.rint(x.value), out.shape) for x in operands], axis=0)
    return exact & whole & (out == np.rint(out)) & (np.abs(out) < 1 / UNIT64)


def is_countable(x: Box) -> Array:
    """Tell which elements are exact whole numbers, whose sums are exact while they are small."""
    return (x.error == 0) & (x.value == np.rint(x.value))


def rounding(out: Array, ulps: float, dtype: str, moved: Array | float = 0.0, oracle_ulps: float = 2.0) -> Array:
    """Give what rounding adds: `ulps` of the float type, and the oracle's own; an exact zero is exact."""
    if ulps == 0:
        return np.zeros(np.shape(out))
    info = np.finfo(dtype)
    size = np.where(np.isfinite(out), np.abs(out), 0.0)
    relative = ulps * float(info.eps) + oracle_ulps * 2 * UNIT64
    least = max(ulps, 1.0) * float(info.smallest_subnormal)
    return relative * (size + np.where(np.isfinite(moved), moved, 0.0)) + np.where((size > 0) | (moved > 0), least, 0.0)


def _chosen(condition: Box, x: Box, y: Box) -> Array:
    """Give the error of the chosen side; where the condition is undecided, the distance between the two besides."""
    either = distance(x.value, y.value) + np.maximum(x.error, y.error)
    return np.where(condition.error > 0, either, np.where(condition.value, x.error, y.error))


def distance(a: Array, b: Array) -> Array:
    """Give |a - b|: 0 for equal infinities and two NaN, inf where only one is finite."""
    same = (a == b) | ((a != a) & (b != b))
    return np.where(same, 0.0, np.nan_to_num(np.abs(np.subtract(a, b, dtype=np.float64)), nan=np.inf, posinf=np.inf))


def _moved(row: Row, operands: Sequence[Box], out: Array) -> Array:
    """Bound how far the result moves while the operands move within their errors."""
    centres = [x.value for x in operands]
    errors = [np.where(np.isfinite(x.error), x.error, 0.0) for x in operands]
    active = [k for k, e in enumerate(errors) if e.any()]
    by_corner = np.zeros(out.shape)
    slopes = [np.zeros(out.shape) for _ in operands]
    by_slope = row.name not in CORNERED
    for signs in itertools.product((-1, 1), repeat=len(active)):
        at = list(centres)
        for k, sign in zip(active, signs, strict=True):
            at[k] = centres[k] + sign * errors[k]
        corner = row.oracle(*at)
        by_corner = np.maximum(by_corner, distance(corner, out))
        if by_slope:
            _take_in(slopes, row.name, at, corner)
    if not by_slope or not active:
        return by_corner
    _take_in(slopes, row.name, centres, out)
    total = sum(np.where(e == 0, 0.0, s * e) for s, e in zip(slopes, errors, strict=True)) * CURVATURE
    total = np.where(np.isfinite(out), np.nan_to_num(total, nan=np.inf, posinf=np.inf), 0.0)
    return np.maximum(by_corner, total) + _sawtooth(row.name, operands)


def _take_in(slopes: list[Array], name: str, operands: list[Array], out: Array) -> None:
    for k, slope in enumerate(partials_of(name, operands, out)):
        slopes[k] = np.fmax(slopes[k], np.abs(slope))


def _sawtooth(name: str, operands: Sequence[Box]) -> Array | float:
    """Give the height of the tooth where x / y may pass a whole number."""
    if name not in ("remainder", "fmod"):
        return 0.0
    x, y = operands
    ratio = x.value / y.value
    off = np.abs(ratio - np.rint(ratio)) * np.abs(y.value)
    near = (off <= x.error + (np.abs(ratio) + 1) * y.error) & (x.error + y.error > 0)
    return np.where(near, np.abs(y.value) + y.error, 0.0)


def _holds(x: Box, point: Array | float) -> Array:
    """Tell whether a box that is more than a point holds a number."""
    return (x.error > 0) & (np.abs(x.value - point) <= x.error)


def _pole(name: str, operands: Sequence[Box]) -> Array | bool:
    """Tell where the box holds a pole, which its corners do not show."""
    x = operands[-1]
    if name in ("divide", "reciprocal", "remainder", "fmod", "floor_divide"):
        return _holds(x, 0.0)
    if name == "power":
        return _holds(operands[0], 0.0) & (x.value - x.error < 0)
    if name == "tan":
        return _holds(x, (np.floor(x.value / np.pi) + 0.5) * np.pi)
    if name in ("lgamma", "digamma", "trigamma"):
        return _holds(x, np.rint(x.value)) & (np.rint(x.value) <= 0)
    return False


def _beside(name: str, x: Sequence[Array], dtype: str) -> Array | float:
    """Add what is rounded in a larger term than the result, as the document on quality says."""
    info = np.finfo(dtype)
    eps, least = float(info.eps) + 8 * UNIT64, float(info.smallest_subnormal)
    if name == "logaddexp":
        return 4 * eps * np.where(np.isfinite(x[0] + x[1]), np.maximum(np.abs(x[0]), np.abs(x[1])), 0.0)
    if name in ("silu", "mish", "gelu", "gelu_tanh", "hard_swish"):
        return 4 * least * np.where(np.isfinite(x[0]), np.abs(x[0]), 0.0)
    if name in ("lgamma", "digamma", "trigamma"):
        mirrored = np.where(x[0] < 0, 1 - x[0], 1.0)
        terms = {"lgamma": mirrored * np.log(mirrored + 1), "digamma": gamma_digamma(mirrored) + 1, "trigamma": 5.0}
        ours = 0.0 if name == "trigamma" else 16 * UNIT64  # of math and our series near the zeros
        return ours + np.where(np.isfinite(x[0]) & (x[0] < 0.5), 4 * eps * np.abs(terms[name]), 0.0)
    if name in ("sin", "cos", "tan") and dtype == "float64":
        return np.where(np.isfinite(x[0]) & (np.abs(x[0]) >= LARGEST_ANGLE), np.inf, 0.0)
    return 0.0


# -- bools and integers --------------------------------------------------------------------------------------------


def decided(row: Row, operands: Sequence[Box], out: Array) -> Array:
    """Give 0 where a bool or integer result is what it is whatever the operands are in their boxes, else inf."""
    if row.name in COMPARISONS:
        x, y = operands
        room = x.error + y.error
        return _undecided((distance(x.value, y.value) <= room) & (room > 0))
    if row.name in ("isnan", "isinf", "isfinite") or any(x.value.dtype.kind in "iu" for x in operands):
        return _undecided(sum(x.error for x in operands) > 0)
    choices = [(x.value, np.where(x.error > 0, ~x.value, x.value)) for x in operands]
    other = [row.oracle(*corner) != out for corner in itertools.product(*choices)]
    return _undecided(np.any(other, axis=0))


def _undecided(where: Array) -> Array:
    return np.where(where, np.inf, 0.0)


def _integers(x: Box, dtype: np.dtype) -> Array:
    """Bound a conversion of floats to integers, which truncates, and stops at the ends."""
    info = np.iinfo(dtype)
    least, greatest = (np.clip(np.trunc(end), float(info.min), float(info.max)) for end in (x.least, x.greatest))
    return _undecided(~((least == greatest) | ((x.error == 0) & np.isnan(x.value))))


def converted(x: Box, source: str, target: str) -> Array:
    """Bound the error of a conversion between element types."""
    if target == "bool":
        return _undecided(_holds(x, 0.0) if x.value.dtype.kind == "f" else x.error > 0)
    if not target.startswith("float"):
        return _integers(x, np.dtype(target)) if x.value.dtype.kind == "f" else _undecided(x.error > 0)
    if x.value.dtype.kind == "b":
        return np.where(x.error > 0, 1.0, 0.0)
    if source == target or source == "float32":
        return np.array(x.error)
    exact = np.asarray(x.value, np.float64)
    narrow = exact.astype(target).astype(np.float64)
    if x.value.dtype.kind in "iu" or not x.error.any():
        return x.error + distance(narrow, exact)
    return x.error + rounding(exact, 0.5, target, x.error)
