"""Vector mathematics, part seven: sigmoid, silu, mish.

In: a `Lane` of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors:
what it builds is the same arithmetic in every lane, without branches, tables in memory or estimates. References and
measured errors stand in `docs/quality.md`.

All are made of E = e^-|x|. Below 0 they are multiples of E, which far out leaves the normal range: there they are kept
times 2^`lift` until the last product, which alone can be subnormal.
"""

from __future__ import annotations

from codegen.lanes import Lane, fma, where
from codegen.vecmath_exp import expm1_parts
from codegen.vecmath_tables import FORMATS
from symgrad.dtypes import DType

BEYOND = 12.0  # from exp_low - 12 on x e^x rounds to 0 too


def sigmoid(x: Lane) -> Lane:
    """Give 1 / (1 + e^-x): 1 / (1 + E), or E / (1 + E) below 0."""
    lifted, tail = tails(x)
    return lowered(where(x < 0, lifted, 1.0) / (1.0 + tail), x)


def silu(x: Lane) -> Lane:
    """Give x / (1 + e^-x): x / (1 + E), or x E / (1 + E) below 0."""
    lifted, tail = tails(x)
    return lowered(where(x < 0, limited(x) * lifted, x) / (1.0 + tail), x)


def mish(x: Lane) -> Lane:
    """Give x tanh(log(1 + e^x)) = x / (1 + 2 E^2 / (1 + 2 E)), or x E / (1 + E (1 + E) / (2 + E)) below 0."""
    lifted, tail = tails(x)
    below = x < 0
    twice = tail + tail
    share = where(below, tail + 1, twice) / where(below, tail + 2, twice + 1)
    return lowered(where(below, limited(x) * lifted, x) / fma(tail, share, 1.0), x)


def tails(x: Lane) -> tuple[Lane, Lane]:
    """Give E times 2^lift, and E."""
    form = FORMATS[x.dtype]
    q, s = expm1_parts(-abs(limited(x)), form, form.bias + lift(x.dtype))
    lifted = fma(s, q, s)
    return lifted, lifted * 2.0 ** -lift(x.dtype)


def limited(x: Lane) -> Lane:
    """Bound x where E is 0 and x E too, so that an infinity is no factor of 0; NaN passes."""
    end = BEYOND - FORMATS[x.dtype].exp_low
    x = where(x < -end, -end, x)
    return where(x > end, end, x)


def lowered(y: Lane, x: Lane) -> Lane:
    """Undo the lift, which results below 0 have."""
    return where(x < 0, y * 2.0 ** -lift(x.dtype), y)


def lift(dtype: DType) -> int:
    """Give an exponent that keeps E and x E normal."""
    return FORMATS[dtype].bias // 2
