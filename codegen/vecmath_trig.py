"""Vector mathematics, part four: sin, cos, tan, atan, atan2, asin, acos.

In: a `Lane` of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors:
what it builds is the same arithmetic in every lane, without tables in memory or estimates; large angles are reduced
in a branch of their own (`rarely`).
`codegen.vecmath_tables` has the constants; references and measured errors stand in `docs/quality.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from codegen.lanes import BITS, Lane, apply, copysign, fma, horner, rarely, residue, rint, sqrt, where
from codegen.vecmath_tables import FORMATS, HALF_PI, INVERSE_HALF_PI, POLYNOMIALS, TWO_OVER_PI, Format
from symgrad.dtypes import FLOAT32, FLOAT64, INT64, DType

NEAR = 2.0**28  # angles from here on take the slow reduction
WORD = 64
Turn = tuple[Lane, Lane, Lane | None]  # a quadrant q, modulo 4, and the angle r + low in it, |r| <= pi / 4


def sin(x: Lane) -> Lane:
    """Give sin x: +-sin r or +-cos r by the quadrant."""
    form = FORMATS[x.dtype]

    def of(q: Lane, r: Lane, low: Lane | None) -> Lane:
        return turned(choose(q, sine(r, low, x.dtype), cosine(r, low, x.dtype)), q, form)

    return where(abs(x) < form.small_angle, x, by_quadrant(x, of))


def cos(x: Lane) -> Lane:
    """Give cos x: +-cos r or +-sin r by the quadrant."""

    def of(q: Lane, r: Lane, low: Lane | None) -> Lane:
        return turned(choose(q, cosine(r, low, x.dtype), sine(r, low, x.dtype)), q + 1, FORMATS[x.dtype])

    return by_quadrant(x, of)


def tan(x: Lane) -> Lane:
    """Give tan x = sin r / cos r, or -cos r / sin r in odd quadrants; float32 divides in float64."""

    def of(q: Lane, r: Lane, low: Lane | None) -> Lane:
        s, c = sine(r, low, x.dtype), cosine(r, low, x.dtype)
        return turned(choose(q, s, c) / choose(q, c, s), q + q, FORMATS[FLOAT64]).cast(x.dtype)

    return where(abs(x) < FORMATS[x.dtype].small_angle, x, by_quadrant(x, of, wide=True))


def by_quadrant(x: Lane, of: Callable[[Lane, Lane, Lane | None], Lane], wide: bool = False) -> Lane:
    """Give a function of the quadrant q and of r + low = x - q pi / 2, in x's width unless wide is asked.

    Every finite angle is reduced; those from 2^28 on in a branch of their own, which costs the others nothing.
    """
    if x.dtype == FLOAT64:
        near, far = near64(x), far64(x)
    else:
        near, far = (turn if wide else narrow(turn) for turn in (near32(x), far32(x)))
    return rarely(abs(x) >= NEAR, of(*far), of(*near))


def narrow(turn: Turn) -> Turn:
    """Round the reduced angle of a float32, which is in float64."""
    q, r, low = turn
    return q.cast(BITS[FLOAT32]), r.cast(FLOAT32), low


def sine(r: Lane, low: Lane | None, dtype: DType) -> Lane:
    """Give sin(r + low) for |r| <= pi / 4, with a dtype's precision: r + r^3 p(r^2)."""
    u = r * r
    cube = u * r
    p = horner(u, POLYNOMIALS["sin", dtype])
    return fma(cube, p, r) if low is None else r + fma(cube, p, fma(u, low * -0.5, low))


def cosine(r: Lane, low: Lane | None, dtype: DType) -> Lane:
    """Give cos(r + low) for |r| <= pi / 4: 1 - r^2 / 2 + r^4 p(r^2), the first difference in two parts if given low."""
    u = r * r
    p = horner(u, POLYNOMIALS["cos", dtype])
    if low is None:
        return fma(u * u, p, fma(u, -0.5, 1.0))
    half = u * 0.5
    w = 1.0 - half
    return w + fma(u * u, p, fma(-r, low, (1.0 - w) - half))


def choose(q: Lane, even: Lane, odd: Lane) -> Lane:
    """Choose by the quadrant's last bit."""
    return where((q & 1).equals(0), even, odd)


def turned(y: Lane, q: Lane, form: Format) -> Lane:
    """Change the sign in quadrants 2 and 3."""
    return (y.bits ^ ((q & 2) << (form.width - 2))).bits


def near32(x: Lane) -> Turn:
    """Reduce a float32 below 2^28, in float64, by pi / 2 in three parts (Cody and Waite); the first two are exact."""
    form = FORMATS[FLOAT64]
    wide = x.cast(FLOAT64)
    shifted = fma(wide, 2 / math.pi, form.magic)
    n = shifted - form.magic
    first, second, *_ = HALF_PI  # their sum is half_pi
    return shifted.bits, fma(n, -form.half_pi_low, fma(n, -second, fma(n, -first, wide))), None


def far32(x: Lane) -> Turn:
    """Reduce any finite float32, in float64 and by Payne and Hanek's idea.

    x = 2^(32 a) k with an integer a that leaves k whole where a > 0; x 2 / pi = k D (mod 4) with D = 2^(32 a) 2 / pi
    mod 4. D is four floats; the first three have at most 29 bits: their products with the 24 bits of k are exact.
    """
    form = FORMATS[FLOAT64]
    wide = x.cast(FLOAT64)
    size, k = abs(wide), wide
    parts: list[Lane] = [wide.like(c) for c in INVERSE_HALF_PI[0]]
    for a in (1, 2):
        beyond = size >= 2.0 ** (32 * a + 24)
        k = where(beyond, wide * 2.0 ** (-32 * a), k)
        parts = [where(beyond, c, part) for c, part in zip(INVERSE_HALF_PI[a], parts, strict=True)]
    first, second, third = (modulo4(k * part) for part in parts[:3])
    shifted = (first + (second + third)) + form.magic
    r = fma(k, parts[3], (((first - (shifted - form.magic)) + second) + third))
    return shifted.bits, r * (math.pi / 2), None


def modulo4(x: Lane) -> Lane:
    """Give x less a multiple of 4, between -2 and 2; exact."""
    return fma(rint(x * 0.25), -4.0, x)


def near64(x: Lane) -> Turn:
    """Reduce a float64 below 2^28 by pi / 2 in five parts (Cody and Waite), the first four of at most 26 bits.

    Products of these with n < 2^28 are exact without fma too, and so are the first two differences.
    """
    form = FORMATS[FLOAT64]
    shifted = fma(x, 2 / math.pi, form.magic)
    n = shifted - form.magic
    first, second, third, fourth, rest = HALF_PI
    r = fma(n, -second, fma(n, -first, x))
    s, s_low = difference(r, n * third)
    t, t_low = difference(s, n * fourth)
    low = fma(n, -rest, s_low + t_low)
    r = t + low
    return shifted.bits, r, (t - r) + low


def far64(x: Lane) -> Turn:
    """Reduce a float64 from 2^28 on by Payne and Hanek's method, in fixed point; q and NaN for an infinite one.

    |x| = 2^e m with a whole m < 2^53. Of 2 / pi only the bits from weight 2^(1 - e) on matter, as those above give
    multiples of 4; 192 of them, times m, make 2 bits of the quadrant and 126 of the fraction, which has at most 61
    leading zeros or ones (no float64 is nearer to a multiple of pi / 2).
    """
    form = FORMATS[FLOAT64]
    bits = abs(x).bits.cast(DType.UINT64)
    m = (bits & ((1 << form.mantissa) - 1)) | (1 << form.mantissa)
    start = bits.lshr(form.mantissa) - (form.bias + 28)  # of the 192 bits in TWO_OVER_PI
    high, middle, low = bits_from(TWO_OVER_PI, start, 3)
    last = apply("mulhi", m, low)
    lower = m * middle + last
    upper = m * high + apply("mulhi", m, middle) + (lower < last).cast(DType.UINT64)
    quadrants = (upper + (1 << (WORD - 3))).lshr(WORD - 2).cast(INT64)
    turn, turn_low = fraction((upper << 2) | lower.lshr(WORD - 2), lower << 2)
    turn = where(abs(x) < math.inf, turn, math.nan)
    r = turn * form.half_pi
    low = residue(turn, form.half_pi, -r) + fma(turn, form.half_pi_low, turn_low * form.half_pi)
    negative = x < 0
    return where(negative, -quadrants, quadrants), where(negative, -r, r), where(negative, -low, low)


def bits_from(words: tuple[int, ...], start: Lane, count: int) -> list[Lane]:
    """Give `count` words of a long number from a bit on, counted from its head: a barrel shifter.

    The words are constants, chosen by the bits of the word's index from the highest down; no table stands in memory.
    """
    chosen: list[Lane] = [start.like(word) for word in words]
    index, shift = start.lshr(6), start & 63
    for level in (8, 4, 2, 1):
        moved = (index & level).differs(0)
        chosen = [where(moved, chosen[i + level], chosen[i]) for i in range(count + level)]
    return [(chosen[i] << shift) | chosen[i + 1].lshr(WORD - shift) for i in range(count)]


def fraction(upper: Lane, lower: Lane) -> tuple[Lane, Lane]:
    """Give a signed fixed-point number of 128 bits, all behind the point, as a sum of two floats."""
    signed, half = upper.cast(INT64), (1 << 32) - 1
    first = (signed >> 32).cast(FLOAT64) * 2.0**-32
    second = (signed & half).cast(FLOAT64) * 2.0**-64
    third = lower.lshr(32).cast(FLOAT64) * 2.0**-96
    fourth = (lower & half).cast(FLOAT64) * 2.0**-128
    s, s_low = fast_sum(first, second)
    t, t_low = fast_sum(s, third)
    return fast_sum(t, (s_low + t_low) + fourth)


def fast_sum(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """Give a + b and what its rounding lost, for |a| above |b| or a = 0."""
    s = a + b
    return s, b - (s - a)


def difference(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """Give a - b and what its rounding lost, for |a| above |b| or a difference that is exact."""
    d = a - b
    return d, (a - d) - b


def atan(x: Lane) -> Lane:
    """Give atan x: t + t^3 p(t^2) up to 1, pi / 2 less that of 1 / x beyond."""
    a = abs(x)
    return copysign(half_pi_or(a > 1, where(a > 1, -1.0 / a, a)), x)


def atan2(y: Lane, x: Lane) -> Lane:
    """Give the angle of (x, y): `atan` of the smaller over the larger, moved to its octant; C99's special values."""
    form = FORMATS[y.dtype]
    a, b = abs(y), abs(x)
    steep = a > b
    large, small = where(steep, a, b), where(steep, b, a)
    t = where(small.equals(large), where(large.equals(0), large, 1.0), small / large)  # not inf / inf, not 0 / 0
    angle = half_pi_or(steep, where(steep, -t, t))
    behind = (2 * form.half_pi - angle) + 2 * form.half_pi_low
    return copysign(where(x.bits < 0, behind, angle), y)


def half_pi_or(far: Lane, t: Lane) -> Lane:
    """Give atan t, |t| <= 1, plus pi / 2 where asked."""
    form = FORMATS[t.dtype]
    u = t * t
    rest = (t * u) * horner(u, POLYNOMIALS["atan", t.dtype])
    rest = rest + where(far, t.like(form.half_pi_low), 0.0)
    return where(far, t.like(form.half_pi), 0.0) + (t + rest)


def asin(x: Lane) -> Lane:
    """Give asin x: t + t^3 p(t^2) up to 1/2, pi / 2 - 2 asin(sqrt((1 - |x|) / 2)) beyond; NaN outside [-1, 1]."""
    form = FORMATS[x.dtype]
    a = abs(x)
    far = a > 0.5
    u = where(far, fma(a, -0.5, 0.5), x * x)
    t = where(far, sqrt(u), a)
    rest = (t * u) * horner(u, POLYNOMIALS["asin", x.dtype])
    head = fma(t, -2.0, form.half_pi)
    beyond = head + (fma(t, -2.0, form.half_pi - head) + fma(rest, -2.0, form.half_pi_low))
    return copysign(where(far, beyond, t + rest), x)


def acos(x: Lane) -> Lane:
    """Give acos x: pi / 2 - asin x up to 1/2, 2 asin(sqrt((1 - |x|) / 2)) beyond, pi less that for -x."""
    form = FORMATS[x.dtype]
    a = abs(x)
    far = a > 0.5
    u = where(far, fma(a, -0.5, 0.5), x * x)
    t = where(far, sqrt(u), x)
    rest = (t * u) * horner(u, POLYNOMIALS["asin", x.dtype])
    near = form.half_pi - (t + (rest - form.half_pi_low))
    twice = (t + rest) * 2
    return where(far, where(x < 0, (2 * form.half_pi - twice) + 2 * form.half_pi_low, twice), near)
