"""Vector mathematics, part three: erf, erfc, ndtr, gelu, gelu_tanh.

In: a `Lane` of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors:
what it builds is the same arithmetic in every lane, without branches, tables in memory or estimates.
`codegen.vecmath_tables` has the constants; references and measured errors stand in `docs/quality.md`.
"""

from __future__ import annotations

import math

from codegen.lanes import Lane, clamp, copysign, fma, horner, residue, truncate, where
from codegen.vecmath_exp import exp, exp_normal, exp_sum, expm1_parts
from codegen.vecmath_tables import FORMATS, POLYNOMIALS
from symgrad.dtypes import FLOAT32, FLOAT64, DType

GELU_LINE = (1.5957691216057308, -9.96930880911092e-17)  # sqrt(8 / pi), in two floats
GELU_CUBE = (0.07135481627260025, -6.175149918155315e-19)  # 0.044715 sqrt(8 / pi)


def erf(x: Lane) -> Lane:
    """Give erf x: x + x p(x^2) up to 1, beyond 1 - e^-q(|x|) with q a polynomial for -log erfc.

    The limit of |x| is where erfc is less than half an ulp of 1.
    """
    u = x * x
    near = fma(x, horner(u, POLYNOMIALS["erf", x.dtype]), x)
    last = 4.0 if x.dtype == FLOAT32 else 6.0
    a = abs(x)
    a = where(a > last, last, a)
    far = copysign(1.0 - exp_normal(-horner(a, POLYNOMIALS["log_e", x.dtype])), x)
    return where(abs(x) < 1, near, far)


def erfc(x: Lane) -> Lane:
    """Give erfc x: 1 - erf x up to 1, beyond e^(-x^2) g(v) / (1 + 2 x), v = (x - 4) / (x + 4); 2 less that for -x.

    x^2 is taken in two parts, since e^(-x^2) magnifies its rounding by x^2; so float32 is computed in float64.
    """
    if x.dtype == FLOAT32:
        return erfc_of(x.cast(FLOAT64), 10.5, POLYNOMIALS["erfc", FLOAT32]).cast(FLOAT32)
    return erfc_of(x, 27.5, POLYNOMIALS["erfc", FLOAT64])


def erfc_of(x: Lane, limit: float, coefficients: tuple[float, ...]) -> Lane:
    """Give erfc of float64 lanes; beyond the limit the result of the asked dtype is 0."""
    a = abs(x)
    a = where(a > limit, limit, a)
    head = truncate(a, 27)
    far = upper_tail(a, head * head, (a - head) * (a + head), coefficients, 1.0)
    near = fma(-x, horner(x * x, POLYNOMIALS["erf", x.dtype]), 1.0 - x)
    return where(abs(x) < 1, near, where(x < 0, 2.0 - far, far))


def upper_tail(a: Lane, high: Lane, low: Lane, coefficients: tuple[float, ...], factor: Lane | float) -> Lane:
    """Give a factor times erfc a for a >= 0, of float64 lanes, with a^2 = high + low."""
    form = FORMATS[a.dtype]
    square = high + low
    q, s = expm1_parts(-square, form, form.bias + 600, (square - high) - low)
    g = horner((a - 4) / (a + 4), coefficients) / fma(a, 2.0, 1.0)
    return fma(g, q, g) * factor * s * 2.0**-600  # so that only the last product can be subnormal


def ndtr(x: Lane) -> Lane:
    """Give the distribution function of the normal law, erfc(-x / sqrt 2) / 2, accurate in its lower tail.

    As `erfc`, with a = |x| / sqrt 2 and a^2 from x, so that the root's rounding does not count; between, up to
    |x| = 1/2, 1/2 + erf(x / sqrt 2) / 2. float32 is computed in float64.
    """
    wide = x.cast(FLOAT64)
    a = normal_limited(wide, x.dtype)
    far = normal_tail(a, 0.5, x.dtype)
    return where(a < 0.5, normal_centre(wide), where(wide < 0, far, 1.0 - far)).cast(x.dtype)


def gelu(x: Lane) -> Lane:
    """Give x ndtr(x), as `ndtr` does: in its lower tail only the last product can be subnormal."""
    wide = x.cast(FLOAT64)
    a = normal_limited(wide, x.dtype)
    far = normal_tail(a, copysign(a * 0.5, wide), x.dtype)  # x times the tail beyond |x|
    return where(a < 0.5, wide * normal_centre(wide), where(wide < 0, far, wide - far)).cast(x.dtype)


def normal_limited(x: Lane, dtype: DType) -> Lane:
    """Give |x|, bounded where the normal law's tail, and x times it, is 0 in a dtype; NaN passes."""
    limit = (10.5 if dtype == FLOAT32 else 27.5) * math.sqrt(2)
    return where(abs(x) > limit, limit, abs(x))


def normal_tail(a: Lane, factor: Lane | float, dtype: DType) -> Lane:
    """Give a factor times erfc(a / sqrt 2), of float64 lanes with the precision that a dtype needs."""
    head = truncate(a, 27)
    low = (a - head) * (a + head) * 0.5
    return upper_tail(a * math.sqrt(0.5), head * head * 0.5, low, POLYNOMIALS["erfc", dtype], factor)


def normal_centre(x: Lane) -> Lane:
    """Give ndtr(x) up to |x| = 1/2, of float64 lanes."""
    t = x * math.sqrt(0.5)
    half = t * 0.5
    return 0.5 + fma(half, horner(t * t, POLYNOMIALS["erf", FLOAT64]), half)


def gelu_tanh(x: Lane) -> Lane:
    """Give x (1 + tanh(v / 2)) / 2 = x / (1 + e^-v), v = sqrt(8 / pi) (x + 0.044715 x^3).

    With E = e^-|v|: x / (1 + E), or x E / (1 + E) where x < 0. In the lower tail E magnifies the rounding of v, which
    therefore is in two floats; float32 is computed in float64.
    """
    wide = x.cast(FLOAT64)
    v, low = gelu_angle(wide) if x.dtype == FLOAT64 else (wide * fma(wide * wide, GELU_CUBE[0], GELU_LINE[0]), None)
    bounded = where(wide < -60, -60, wide)  # where E is 0 already: -inf is no factor of 0
    if low is None:
        tail = exp(-abs(v))
        product = bounded * tail
    else:
        limited = clamp(-abs(v), -1400, 0.0)
        low = where(limited.equals(-abs(v)), where(v < 0, low, -low), 0.0)
        tail, product = exp_sum(limited, low), exp_sum(limited, low, bounded)
    return (where(wide < 0, product, wide) / (1.0 + tail)).cast(x.dtype)


def gelu_angle(x: Lane) -> tuple[Lane, Lane]:
    """Give v of `gelu_tanh` as a sum of two floats."""
    square = x * x
    square_low = residue(x, x, -square)
    p = square * GELU_CUBE[0]
    p_low = residue(square, GELU_CUBE[0], -p) + fma(square, GELU_CUBE[1], square_low * GELU_CUBE[0])
    q = p + GELU_LINE[0]
    part = q - p
    q_low = ((p - (q - part)) + (GELU_LINE[0] - part)) + (p_low + GELU_LINE[1])
    v = x * q
    return v, fma(x, q_low, residue(x, q, -v))
