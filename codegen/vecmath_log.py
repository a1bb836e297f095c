"""Vector mathematics, part two: log, log1p, log2, log10, asinh, acosh, atanh, pow.

In: `Lane`s of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors: what
it builds is the same arithmetic in every lane, without branches, tables in memory or estimates.
`codegen.vecmath_tables` has the constants; references and measured errors stand in `docs/quality.md`.
"""

from __future__ import annotations

import math

from codegen.lanes import Lane, clamp, copysign, exact_sum, fma, horner, residue, rint, sqrt, truncate, where
from codegen.vecmath_exp import exp_normal, exp_sum
from codegen.vecmath_tables import FORMATS, POLYNOMIALS, Format
from symgrad.dtypes import FLOAT32, FLOAT64

Sum = tuple[Lane, Lane]  # of two floats, the second far smaller: a number with more bits than one float has


def log(x: Lane) -> Lane:
    """Give log x.

    Reduction: x = 2^e m, sqrt(1/2) <= m < sqrt(2), by the bits (subnormals scaled first), f = m - 1 exact. Polynomials:
    see `log_one_plus`. log 0 = -inf, of a negative number NaN, of inf inf.
    """
    form = FORMATS[x.dtype]
    e, m = split(x, form)
    f = m - 1
    tail = fma(e, form.ln2_low, log_tail(f))
    return domain(x, fma(e, form.ln2_high, f + tail))


def log2(x: Lane) -> Lane:
    """Give log2 x = e + log(1 + f) / ln 2, the quotient in two parts; exact for powers of two."""
    return scaled_log(x, 1 / math.log(2), 1.0, 0.0)


def log10(x: Lane) -> Lane:
    """Give log10 x = e log10(2) + log(1 + f) / ln 10, both constants in two parts."""
    form = FORMATS[x.dtype]
    return scaled_log(x, 1 / math.log(10), form.log10_2_high, form.log10_2_low)


def scaled_log(x: Lane, factor: float, unit: float, unit_low: float) -> Lane:
    """Give e (unit + unit_low) + log(1 + f) factor."""
    form = FORMATS[x.dtype]
    e, m = split(x, form)
    f = m - 1
    short = round_to(factor, form.mantissa // 2)
    head = truncate(f, form.mantissa // 2 + 2)  # head * short is exact
    tail = log_tail(f)
    low = fma(f - head, short, fma(tail, short, (f + tail) * (factor - short)))
    if unit_low:
        low = fma(e, unit_low, low)
    return domain(x, fma(e, unit, fma(head, short, low)))


def log1p(x: Lane) -> Lane:
    """Give log(1 + x).

    1 + x = u + c exactly (the error of a sum is a float); u = 2^e m as in `log`, f = (m - 1) + 2^-e c, which for
    e = 0 is x itself. Arguments below half an ulp of 1 are their own result.
    """
    form = FORMATS[x.dtype]
    u = 1.0 + x
    back = u - 1
    c = (1.0 - (u - back)) + (x - back)
    e, m = split(u, form)
    # 2^-e from e's float: magic + bias - e has the exponent field in its last bits; c is 0 long before e is 60.
    shifted = (form.magic + form.bias) - where(e > 60, 60, e)
    f = fma(c, (shifted.bits << form.mantissa).bits, m - 1)
    tail = fma(e, form.ln2_low, log_tail(f))
    result = domain(u, fma(e, form.ln2_high, f + tail))
    return where(abs(x) < form.epsilon / 4, x, result)


def asinh(x: Lane) -> Lane:
    """Give asinh x = log1p(a + a^2 / (1 + sqrt(1 + a^2))), a = |x|, log1p(a) + log 2 past 2^60; float32 in float64."""
    wide = x.cast(FLOAT64)
    a = abs(wide)
    far = a > 2.0**60
    square = a * a
    argument = where(far, a, a + square / (sqrt(square + 1) + 1))
    return copysign(log1p(argument) + where(far, a.like(math.log(2)), 0.0), wide).cast(x.dtype)


def acosh(x: Lane) -> Lane:
    """Give acosh x = log1p(t + sqrt(2 t + t^2)), t = x - 1, log1p(x) + log 2 past 2^60; float32 in float64."""
    wide = x.cast(FLOAT64)
    far = wide > 2.0**60
    t = wide - 1
    argument = where(far, wide, t + sqrt(fma(t, t, t + t)))
    result = log1p(argument) + where(far, wide.like(math.log(2)), 0.0)
    return where(wide < 1, math.nan, result).cast(x.dtype)


def atanh(x: Lane) -> Lane:
    """Give atanh x = log1p(2 a / (1 - a)) / 2, a = |x|; NaN outside [-1, 1]; float32 in float64."""
    wide = x.cast(FLOAT64)
    a = abs(wide)
    return copysign(log1p((a + a) / (1.0 - a)) * 0.5, wide).cast(x.dtype)


def pow(x: Lane, y: Lane) -> Lane:
    """Give x^y with C99's special values.

    float32: e^(y log |x|) in float64. float64: log |x| in two floats (some 66 bits), the product with y in two, then
    `exp` of their sum.
    """
    magnitude = pow32(abs(x), y) if x.dtype == FLOAT32 else pow64(abs(x), y)
    a, inf = abs(x), math.inf
    whole = rint(y).equals(y)
    half = y * 0.5
    odd = whole & rint(half).differs(half)
    fractional = (x < 0) & ~whole
    result = where(fractional, math.nan, magnitude)
    limit = where(a.equals(inf) ^ (y < 0), x.like(inf), 0.0)
    limit = where(y.equals(y), limit, y)
    result = where((a > 0) & (a < inf), result, where(a.equals(a), limit, a))
    result = where(odd, copysign(result, x), result)
    return where(y.equals(0) | x.equals(1), 1.0, result)


def pow32(a: Lane, y: Lane) -> Lane:
    """Give a^y of float32 lanes for 0 < a < inf, in float64."""
    form = FORMATS[FLOAT64]
    e, m = split(a.cast(FLOAT64), form, normal=True)
    f = m - 1
    s = f / (f + 2)
    u = s * s
    logarithm = fma(e, math.log(2), s * fma(u, horner(u, POLYNOMIALS["log_q", FLOAT64]), 2.0))
    exponent = clamp(y.cast(FLOAT64), -1e12, 1e12)  # beyond, only a = 1 does not end at 0 or inf
    return exp_normal(clamp(exponent * logarithm, -110, 90)).cast(FLOAT32)


def pow64(a: Lane, y: Lane) -> Lane:
    """Give a^y of float64 lanes for 0 < a < inf."""
    y = clamp(y, -1e21, 1e21)  # beyond, only a = 1 does not end at 0 or inf
    return exp_of_sum(times(y, log_double(a, FORMATS[FLOAT64])))


def times(y: Lane, x: Sum) -> Sum:
    """Give y x; the rounding of the larger product counts."""
    p = y * x[0]
    return p, fma(y, x[1], residue(y, x[0], -p))


def minus(a: Sum, b: Sum) -> Sum:
    """Give a - b; the rounding of the larger difference counts."""
    d, lost = exact_sum(a[0], -b[0])
    return d, lost + (a[1] - b[1])


def exp_of_sum(x: Sum, factor: Lane | None = None) -> Lane:
    """Give e^x, times a factor if one is given, of float64 lanes; e^x itself may be beyond their range."""
    limited = clamp(x[0], -1400, 1400)
    return exp_sum(limited, where(limited.equals(x[0]), x[1], 0.0), factor)


def log_double(a: Lane, form: Format) -> Sum:
    """Give log a as a sum of two floats, the second below the first's last bit.

    s = f / (2 + f) in two floats, log m = 2 s + s (u (2/3 + u t(u))), u = s^2; all but u t(u) is in two floats.
    """
    e, m = split(a, form)
    n, d = m - 1, m + 1
    d_low = m - (d - 1)
    inverse = 1.0 / d
    s = n * inverse
    s_low = (residue(-s, d, n) - s * d_low) * inverse
    u = s * s
    u_low = fma(s + s, s_low, residue(s, s, -u))
    third = 2 / 3
    w = u * horner(u, POLYNOMIALS["log_t", a.dtype])
    v = w + third
    v_low = ((third - v) + w) + form.two_thirds_low
    z = u * v
    z_low = fma(u_low, v, fma(u, v_low, residue(u, v, -z)))
    t = s * z
    t_low = fma(s_low, z, fma(s, z_low, residue(s, z, -t)))
    twice = s + s
    head = twice + t
    tail = ((twice - head) + t) + (t_low + (s_low + s_low))
    whole = e * form.ln2_high  # exact
    high = whole + head
    low = ((whole - high) + head) + fma(e, form.ln2_low, tail)
    return high, low


def split(x: Lane, form: Format, normal: bool = False) -> tuple[Lane, Lane]:
    """Give e and m with x = 2^e m and sqrt(1/2) <= m < sqrt(2), for 0 < x < inf."""
    base = x.like(form.magic + form.bias)
    if not normal:
        small = x < form.tiny
        lift = form.mantissa + 2
        x = where(small, x * 2.0**lift, x)
        base = where(small, form.magic + form.bias + lift, base)
    moved = x.bits + (form.one_bits - form.root_bits)
    m = ((moved & ((1 << form.mantissa) - 1)) + form.root_bits).bits
    e = (moved.lshr(form.mantissa) | form.magic_bits).bits - base
    return e, m


def log_tail(f: Lane) -> Lane:
    """Give log(1 + f) - f for sqrt(1/2) <= 1 + f < sqrt(2).

    float32: -f^2 / 2 + f^3 p(f). float64: with s = f / (2 + f) and R = s^2 p(s^2), s (f^2 / 2 + R) - f^2 / 2.
    """
    square = f * f
    if f.dtype == FLOAT32:
        return fma(square * f, horner(f, POLYNOMIALS["log", f.dtype]), square * -0.5)
    s = f / (f + 2)
    u = s * s
    half = square * 0.5
    return fma(s, fma(u, horner(u, POLYNOMIALS["log_s", f.dtype]), half), -half)


def domain(x: Lane, result: Lane) -> Lane:
    """Put a logarithm's limits in: inf at inf, -inf at 0, NaN below, NaN for NaN."""
    edge = where(x.equals(0), x.like(-math.inf), math.nan)
    return where(x > 0, where(x < math.inf, result, x), edge)


def round_to(constant: float, bits: int) -> float:
    """Give a constant rounded to so many bits."""
    fraction, exponent = math.frexp(constant)
    return math.ldexp(round(math.ldexp(fraction, bits)), exponent - bits)
