"""Vector mathematics, part three: erf, erfc.

In: a `Lane` of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors:
what it builds is the same arithmetic in every lane, without branches, tables in memory or estimates.
`codegen.vecmath_tables` has the constants; references and measured errors stand in `docs/quality.md`.
"""

from __future__ import annotations

from codegen.lanes import Lane, copysign, fma, horner, truncate, where
from codegen.vecmath_exp import exp_normal, expm1_parts
from codegen.vecmath_tables import FORMATS, POLYNOMIALS
from symgrad.dtypes import FLOAT32, FLOAT64


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
    high = head * head  # exact
    low = (a - head) * (a + head)
    square = high + low
    form = FORMATS[x.dtype]
    q, s = expm1_parts(-square, form, form.bias + 600, (square - high) - low)
    g = horner((a - 4) / (a + 4), coefficients) / fma(a, 2.0, 1.0)
    far = fma(g, q, g) * s * 2.0**-600  # so that only the last product can be subnormal
    near = fma(-x, horner(x * x, POLYNOMIALS["erf", x.dtype]), 1.0 - x)
    return where(abs(x) < 1, near, where(x < 0, 2.0 - far, far))
