"""Vector mathematics, part five: lgamma, digamma, trigamma, polygamma.

In: a `Lane` of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors:
what it builds is the same arithmetic in every lane, without tables in memory or estimates; reflections are computed
in branches of their own (`rarely`), float32 in float64. Its constants stand here, as `benchmarks/fit_polynomials.py`
prints them; references and measured errors stand in `docs/quality.md`.
"""

from __future__ import annotations

import math

from codegen.lanes import Lane, copysign, exact_sum, floor, fma, horner, rarely, residue, rint, where
from codegen.vecmath_exp import exp
from codegen.vecmath_log import Sum, exp_of_sum, log, log_double, minus, times
from codegen.vecmath_tables import FORMATS
from codegen.vecmath_trig import cosine, sine
from symgrad.dtypes import FLOAT32, FLOAT64, DType

STIRLING_FROM = 8.5  # lgamma and digamma take their asymptotic series from here on
DIGAMMA_SERIES_FROM = 6.0
STIRLING_CONSTANT = 0.4189385332046727  # (log(2 pi) - 1) / 2
FROM_ZERO = (0.03836785503163766, 1.6445603550442201e-18)  # 3/2 less digamma's zero, in two floats
# B(2 k) / (2 k)!, k = 1, 2 ...: the coefficients of Euler and Maclaurin's sum formula, used from y + TERMS on.
EULER_MACLAURIN = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
    -3617 / 10670622842880000, 43867 / 5109094217170944000, -174611 / 802857662698291200000,
)  # fmt: skip
TERMS = 12
COEFFICIENTS: dict[tuple[str, DType], tuple[float, ...]] = {
    ("lgamma", FLOAT32): (  # weighted error 2^-34.9
        0.422784335106369,
        0.3224670336610718,
        -0.06735230274729062,
        0.020580789171055373,
        -0.007385491332412255,
        0.0028909441507046375,
        -0.0011935239347403267,
        0.0005057215031632658,
        -0.00021872597537167467,
        0.00011488977783831418,
        -5.621598018253827e-05,
    ),
    ("stirling", FLOAT32): (  # weighted error 2^-34.3
        0.08333333328586247,
        -0.0027777156482357897,
        0.0007815753365881708,
    ),
    ("digamma", FLOAT32): (  # weighted error 2^-30.5
        0.9510558754226864,
        -0.4236274193823981,
        0.24054265811047676,
        -0.14840515850138308,
        0.09498071839585753,
        -0.06191411712761393,
        0.04089467756754442,
        -0.0270895201872441,
        0.01691009578767335,
        -0.011145511004093755,
        0.011231388796233302,
        -0.007625080748315101,
    ),
    ("digamma_tail", FLOAT32): (  # weighted error 2^-35.0
        0.08333333330387933,
        -0.008333298791019978,
        0.00396190208056218,
        -0.0037870398929018244,
    ),
    ("lgamma", FLOAT64): (  # weighted error 2^-55.2
        0.42278433509846713,
        0.3224670334241132,
        -0.06735230105319814,
        0.020580808427784925,
        -0.007385551028668398,
        0.00289051033071368,
        -0.001192753911990993,
        0.0005096695256873162,
        -0.0002231547509514221,
        9.94574951946792e-05,
        -4.49263487219006e-05,
        2.050740901059528e-05,
        -9.438474878903146e-06,
        4.373503434526944e-06,
        -2.044856223284097e-06,
        9.610538963399211e-07,
        -4.304922203024569e-07,
        1.966721729057255e-07,
        -1.3400701800611825e-07,
        6.916023681146484e-08,
    ),
    ("stirling", FLOAT64): (  # weighted error 2^-57.6
        0.08333333333333333,
        -0.0027777777777759365,
        0.0007936507914974455,
        -0.0005952371486261263,
        0.000841551676982923,
        -0.0018957781893054583,
        0.00519881555313584,
    ),
    ("digamma", FLOAT64): (  # weighted error 2^-53.5
        0.951055876031833,
        -0.4236274212814606,
        0.24054248424077396,
        -0.1484049230538902,
        0.09498872445497708,
        -0.06192213327468678,
        0.04076083381057618,
        -0.026975796691557433,
        0.01790725248758472,
        -0.011908219413802053,
        0.007926943925353846,
        -0.005279946319554674,
        0.003519012974375221,
        -0.0023454203464335216,
        0.00155659467759718,
        -0.0010368440095596153,
        0.0007234529317617725,
        -0.00048472549347622134,
        0.00022699497044967643,
        -0.0001469844775749976,
        0.00025987569895416095,
        -0.00017655908734615374,
    ),
    ("digamma_tail", FLOAT64): (  # weighted error 2^-57.6
        0.08333333333333333,
        -0.008333333333333097,
        0.003968253967965757,
        -0.00416666652977649,
        0.007575724383398055,
        -0.021088130353565805,
        0.0829275342318148,
        -0.4207493898618004,
        2.2513145462937225,
        -8.073515721251969,
    ),
}


def lgamma(x: Lane) -> Lane:
    """Give log |gamma(x)|: inf at 0, at negative integers and at both infinities.

    From -1/2 on `log_gamma`; below by reflection, log(pi / (a sin(pi a))) - lgamma(a) with a = |x|.
    """
    wide = x.cast(FLOAT64)
    a = abs(wide)
    left = wide <= -0.5
    larger, smaller = log_gamma(where(left, a, wide), x.dtype)
    above = larger + smaller
    mirrored = above if x.dtype == FLOAT64 else precise_log_gamma(a)  # near zeros the two terms cancel
    distance = abs(a - rint(a))
    s, c = half_turn(distance)
    high, low = log_parts(math.pi / (a * where(distance > 0.25, c, s)), FLOAT64)
    reflected = where(distance.equals(0), math.inf, (high - mirrored) + low)
    result = where(a.equals(0) | a.equals(math.inf), math.inf, rarely(left, reflected, above))
    return where(wide.equals(wide), result, wide).cast(x.dtype)


def precise_log_gamma(u: Lane) -> Lane:
    """Give log |gamma(u)| for u > -1/2 with all that float64 has."""
    larger, smaller = log_gamma(u, FLOAT64)
    return larger + smaller


def log_gamma(u: Lane, dtype: DType) -> Sum:
    """Give log |gamma(u)| for u > -1/2, in float64 with the precision that a dtype needs, as any sum of two floats.

    Up to 8.5: t p(t), t = u - rint(u), is the logarithm of gamma(2 + t); that of the factors between 2 + t and u is
    added or subtracted. Beyond, Stirling's series: (u - 1/2) (log u - 1) + (log(2 pi) - 1) / 2 + p(1 / u^2) / u.
    """
    whole = rint(u)
    t = u - whole
    far = u >= STIRLING_FROM
    factors = u.like(1.0)
    for j in range(1, 7):
        factors = where(whole > j + 1.5, factors * (u - j), factors)
    below = whole < 1.5
    factors = where(below, where(whole < 0.5, abs(u) * (u + 1), u), factors)
    high, low = log_parts(where(far, u, factors), dtype)
    slope = horner(t, COEFFICIENTS["lgamma", dtype])
    near = where(below, -high, high), fma(t, slope, where(below, -low, low))
    inverse = 1.0 / u
    series = fma(inverse, horner(inverse * inverse, COEFFICIENTS["stirling", dtype]), STIRLING_CONSTANT)
    less = high - 1
    rest = ((high - less) - 1) + low
    steps = u - 0.5
    product = steps * less
    rounding = residue(steps, less, -product)
    tail = where(product < math.inf, (rounding + steps * rest) + series, 0.0)
    return where(far, product, near[0]), where(far, tail, near[1])


def log_parts(a: Lane, dtype: DType) -> Sum:
    """Give log a of float64 lanes as a sum of two floats; for float32 the first is enough."""
    return (log(a), a.like(0.0)) if dtype == FLOAT32 else log_double(a, FORMATS[FLOAT64])


def half_turn(distance: Lane) -> tuple[Lane, Lane]:
    """Give sin(pi d) and cos(pi d) for 0 <= d <= 1/4; beyond, up to 1/2, the two change places."""
    turn = where(distance > 0.25, 0.5 - distance, distance)
    angle = turn * math.pi
    low = fma(turn, 2 * FORMATS[FLOAT64].half_pi_low, residue(turn, math.pi, -angle))
    return sine(angle, low, FLOAT64), cosine(angle, low, FLOAT64)


def digamma(x: Lane) -> Lane:
    """Give the derivative of log gamma(x): -+inf at +-0, NaN at negative integers and at -inf.

    Below 0 by reflection, digamma(1 - x) - pi / tan(pi x).
    """
    wide = x.cast(FLOAT64)
    left = wide < 0
    above = digamma_right(where(left, 1.0 - wide, wide), x.dtype)
    mirrored = above if x.dtype == FLOAT64 else digamma_right(1.0 - wide, FLOAT64)  # near zeros the two terms cancel
    r = wide - rint(wide)
    distance = abs(r)
    s, c = half_turn(distance)
    steep = distance > 0.25
    cotangent = copysign(where(steep, s, c) / where(steep, c, s), r)
    reflected = where(distance.equals(0), math.nan, fma(cotangent, -math.pi, mirrored))
    return rarely(left, reflected, above).cast(x.dtype)


def digamma_right(y: Lane, dtype: DType) -> Lane:
    """Give digamma(y) for y >= 0, in float64 with the precision that a dtype needs.

    In [1, 2) it is (y - zero) p(y - 3/2); up to 6 the sum of 1 / (y - j), a single fraction, is added, below 1 the
    fraction 1 / y subtracted. Beyond, log y - 1 / (2 y) - p(1 / y^2) / y^2.
    """
    whole = floor(y)
    c = (y - whole) - 0.5
    near = ((c + FROM_ZERO[0]) + FROM_ZERO[1]) * horner(c, COEFFICIENTS["digamma", dtype])
    top, bottom = y.like(0.0), y.like(1.0)
    for j in range(1, 5):
        more, factor = whole > j + 0.5, y - j
        top = where(more, fma(top, factor, bottom), top)
        bottom = where(more, bottom * factor, bottom)
    first = whole < 0.5
    near = near + where(first, -1.0, top) / where(first, y, bottom)
    inverse = 1.0 / y
    square = inverse * inverse
    tail = square * horner(square, COEFFICIENTS["digamma_tail", dtype])
    far = log(y) - fma(inverse, 0.5, tail)
    return where(y >= DIGAMMA_SERIES_FROM, far, near)


def trigamma(x: Lane) -> Lane:
    """Give the derivative of digamma: sum of 1 / (x + k)^2. inf at 0 and at negative integers.

    The sum's first terms, then `zeta_tail`; below -1/2 by reflection, (pi / sin(pi x))^2 - trigamma(1 - x).
    """
    wide = x.cast(FLOAT64)
    left = wide < -0.5
    u = where(left, 1.0 - wide, wide)
    one = u.like(1.0)
    z = u + TERMS
    total = z.like(0.0)
    for k in reversed(range(TERMS)):
        inverse = 1.0 / (u + k)
        total = fma(inverse, inverse, total)
    total = total + zeta_tail(one, z) / z
    distance = abs(wide - rint(wide))
    s, c = half_turn(distance)
    sine_of = where(distance > 0.25, c, s)
    inverse = 1.0 / sine_of
    ratio = inverse * math.pi
    low = (residue(-ratio, sine_of, math.pi) + 2 * FORMATS[FLOAT64].half_pi_low) * inverse  # what its rounding lost
    reflected = fma(ratio, ratio, fma(ratio + ratio, low, -total))
    reflected = where(distance.equals(0), math.inf, reflected)
    return rarely(left, reflected, total).cast(x.dtype)


def polygamma(n: Lane, y: Lane) -> Lane:
    """Give derivative number n = 1, 2 ... of digamma at y > 0, -(-1)^n n! sum of 1 / (y + k)^(n + 1).

    NaN where y is negative or n is not positive.

    As n! y^-n (sum of (y / (y + k))^(n + 1) / y + the rest of it), each power by its logarithm in two floats, n! y^-n
    by a single one: its two factors may be far beyond the range of floats.
    """
    order, wide = n.cast(FLOAT64), y.cast(FLOAT64)
    start = log_parts(wide, y.dtype)
    total = wide.like(0.0)
    for k in reversed(range(1, TERMS)):
        total = total + exp_parts(times(order + 1, minus(start, log_shifted(wide, k, y.dtype))), y.dtype)
    rest = exp_parts(times(order, minus(start, log_shifted(wide, TERMS, y.dtype))), y.dtype)
    divisor = where(wide < 1e-300, 1e-300, wide)  # below, the result is infinite, but this factor shall not be
    total = (total + 1) / divisor + zeta_tail(order, wide + TERMS) * rest
    factorial = exact_sum(*log_gamma(order + 1, y.dtype))
    result = exp_parts(minus(factorial, times(order, start)), y.dtype, total)
    result = where(wide.equals(0), math.inf, where(wide.equals(math.inf), 0.0, result))
    odd = (order * 0.5).differs(rint(order * 0.5))
    signed = where(order > 0, where(odd, result, -result), math.nan)
    return where(wide >= 0, signed, math.nan).cast(y.dtype)


def log_shifted(a: Lane, k: int, dtype: DType) -> Sum:
    """Give log(a + k) of float64 lanes, with what the rounding of a + k loses."""
    shifted, lost = exact_sum(a, a.like(k))
    high, low = log_parts(shifted, dtype)
    return high, low + lost / shifted


def exp_parts(x: Sum, dtype: DType, factor: Lane | None = None) -> Lane:
    """Give a factor times e^x in float64, with the precision that a dtype needs."""
    if dtype == FLOAT64:
        return exp_of_sum(x, factor)
    return exp(x[0]) if factor is None else exp(x[0]) * factor


def zeta_tail(n: Lane, z: Lane) -> Lane:
    """Give z^n times the sum over all k >= 0 of 1 / (z + k)^(n + 1), by Euler and Maclaurin's formula; z >= 12."""
    v = 1.0 / (z * z)
    series = z.like(EULER_MACLAURIN[-1])
    for k in range(len(EULER_MACLAURIN) - 1, 0, -1):
        series = fma((n + 2 * k) * (n + (2 * k + 1)) * v, series, EULER_MACLAURIN[k - 1])
    return 1.0 / n + fma((n + 1) * v, series, 0.5 / z)
