"""Vector mathematics, part one: exp, exp2, expm1, tanh, sinh, cosh.

In: a `Lane` of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors:
what it builds is the same arithmetic in every lane, without branches, tables in memory or estimates. One text serves
both dtypes. `codegen.vecmath_tables` has the constants; references and measured errors stand in `docs/quality.md`.
"""

from __future__ import annotations

import math

from codegen.lanes import Lane, clamp, copysign, fma, horner, where
from codegen.vecmath_tables import FORMATS, POLYNOMIALS, Format


def exp(x: Lane) -> Lane:
    """Give e^x.

    Reduction: x = 2 k ln 2 + r, |r| <= ln 2, so that e^r 2^k 2^k reaches every result, subnormal ones included, with
    one final rounding. Polynomial: 1 + r + r^2 p(r). NaN passes; the clamp gives 0 and inf at the ends.
    """
    form = FORMATS[x.dtype]
    x = clamp(x, form.exp_low, form.exp_high)
    shifted = fma(x, 0.5 / math.log(2), form.magic + form.bias)
    k = shifted - (form.magic + form.bias)
    r = reduce(x, k, form, 2)
    return scale_twice(one_plus(r), shifted, form)


def exp2(x: Lane) -> Lane:
    """Give 2^x. Reduction: x = 2 k + f, |f| <= 1, exact; then e^(f ln 2) as in `exp`."""
    form = FORMATS[x.dtype]
    x = clamp(x, form.exp_low / math.log(2), form.exp_high / math.log(2))
    shifted = fma(x, 0.5, form.magic + form.bias)
    f = fma(shifted - (form.magic + form.bias), -2.0, x)
    return scale_twice(one_plus(f * math.log(2)), shifted, form)


def expm1(x: Lane) -> Lane:
    """Give e^x - 1.

    Reduction: x = n ln 2 + r, |r| <= ln(2) / 2. Polynomial: q = r + r^2 p(r), an expm1 of r; then 2^n q + (2^n - 1), in
    halves because 2^128 is no float32. Arguments below half an ulp of 1 are their own result (-0 and subnormals too).
    """
    form = FORMATS[x.dtype]
    q, s = expm1_parts(clamp(x, -form.one_at, form.exp_high), form, form.bias - 1)
    return where(abs(x) < form.epsilon / 4, x, fma(s, q, s - 0.5) * 2)


def tanh(x: Lane) -> Lane:
    """Give tanh x = (1 - E) / (1 + E), E = e^(-2 |x|), both sums from the parts of expm1(-2 |x|).

    So small arguments keep their bits. E <= 1 because the sums' roundings would show near 1 otherwise; the clamp is
    where both round to 1, which makes the limits exact.
    """
    form = FORMATS[x.dtype]
    y = -abs(x)
    y = where(y < -form.one_at / 2, -form.one_at / 2, y)
    q, s = expm1_parts(y + y, form, form.bias)
    return copysign(fma(s, q, s - 1) / fma(s, q, s + 1), x)


def sinh(x: Lane) -> Lane:
    """Give sinh x: x + x^3 p(x^2) up to 1.5, beyond from h = e^|x| / 2 (no overflow before its time) h - 1 / (4 h)."""
    form = FORMATS[x.dtype]
    u = x * x
    near = fma(x * u, horner(u, POLYNOMIALS["sinh", x.dtype]), x)
    half = half_exp(abs(x), form)
    far = copysign(half - 0.25 / half, x)
    return where(abs(x) < 1.5, near, far)


def cosh(x: Lane) -> Lane:
    """Give cosh x = e^|x| / 2 + 1 / (2 e^|x|)."""
    half = half_exp(abs(x), FORMATS[x.dtype])
    return half + 0.25 / half


def half_exp(a: Lane, form: Format) -> Lane:
    """Give e^a / 2 for a >= 0, inf only where that is too large."""
    q, s = expm1_parts(where(a > form.half_exp_high, form.half_exp_high, a), form, form.bias - 2)
    return fma(s, q, s) * 2


def exp_normal(x: Lane) -> Lane:
    """Give e^x where that is a normal number: one scaling, no clamp; NaN passes."""
    form = FORMATS[x.dtype]
    shifted = fma(x, 1 / math.log(2), form.magic + form.bias)
    r = reduce(x, shifted - (form.magic + form.bias), form, 1)
    return one_plus(r) * scale(shifted, form)


def exp_sum(x: Lane, low: Lane, factor: Lane | None = None) -> Lane:
    """Give e^(x + low), times a factor, for |x| <= 1400 and a low part far smaller, rounded little more than once.

    As `exp`, but what is lost in r and in 1 + r is kept and added with the polynomial.
    """
    form = FORMATS[x.dtype]
    shifted = fma(x, 0.5 / math.log(2), form.magic + form.bias)
    k = shifted - (form.magic + form.bias)
    high = fma(k, -2 * form.ln2_high, x)  # exact
    small = low - k * (2 * form.ln2_low)
    r = high + small
    low = (high - r) + small
    head = 1.0 + r
    rest = fma(r * r, horner(r, POLYNOMIALS["exp", x.dtype]), ((1.0 - head) + r) + fma(low, r, low))
    p = head + rest if factor is None else fma(head, factor, rest * factor)
    return scale_twice(p, shifted, form)


def expm1_parts(x: Lane, form: Format, bias: int, low: Lane | None = None) -> tuple[Lane, Lane]:
    """Give q and s with e^(x + low) = 2^(b - bias) s (1 + q), q an expm1 within ln(2) / 2, b the format's own bias."""
    shifted = fma(x, 1 / math.log(2), form.magic + bias)
    r = reduce(x, shifted - (form.magic + bias), form, 1)
    r = r if low is None else r + low
    return fma(r * r, horner(r, POLYNOMIALS["expm1", x.dtype]), r), scale(shifted, form)


def reduce(x: Lane, k: Lane, form: Format, step: int) -> Lane:
    """Give x - k step ln 2, in two parts of which the first is short enough for k * part to be exact without fma."""
    return fma(k, -step * form.ln2_low, fma(k, -step * form.ln2_high, x))


def one_plus(r: Lane) -> Lane:
    """Give e^r for |r| <= ln 2."""
    return horner(r, (1.0, 1.0, *POLYNOMIALS["exp", r.dtype]))


def scale(shifted: Lane, form: Format) -> Lane:
    """Give 2^k from the float magic + bias + k, whose last bits are the integer k + bias."""
    return (shifted.bits << form.mantissa).bits


def scale_twice(p: Lane, shifted: Lane, form: Format) -> Lane:
    """Give p 4^k; the first product is exact."""
    s = scale(shifted, form)
    return p * s * s
