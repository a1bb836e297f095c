"""Vector mathematics, part four: sin, cos, tan, atan, atan2, asin, acos.

In: a `Lane` of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors:
what it builds is the same arithmetic in every lane, without branches, tables in memory or estimates.
`codegen.vecmath_tables` has the constants; references and measured errors stand in `docs/quality.md`.
"""

from __future__ import annotations

import math

from codegen.lanes import BITS, Lane, copysign, fma, horner, rint, sqrt, where
from codegen.vecmath_tables import FORMATS, HALF_PI, INVERSE_HALF_PI, POLYNOMIALS, Format
from symgrad.dtypes import FLOAT32, FLOAT64, DType

ANGLE_LIMIT = 2.0**28  # float64 angles from here on give NaN: a full reduction would triple the cost of all others


def sin(x: Lane) -> Lane:
    """Give sin x: +-sin r or +-cos r by the quadrant. See `quadrant` for the reduction and its range."""
    q, r, low = quadrant(x)
    y = choose(q, sine(r, low, x.dtype), cosine(r, low, x.dtype))
    form = FORMATS[x.dtype]
    return where(abs(x) < form.small_angle, x, turn(y, q, form))


def cos(x: Lane) -> Lane:
    """Give cos x: +-cos r or +-sin r by the quadrant. See `quadrant` for the reduction and its range."""
    q, r, low = quadrant(x)
    y = choose(q, cosine(r, low, x.dtype), sine(r, low, x.dtype))
    return turn(y, q + 1, FORMATS[x.dtype])


def tan(x: Lane) -> Lane:
    """Give tan x = sin r / cos r, or -cos r / sin r in odd quadrants; float32 divides in float64."""
    form = FORMATS[FLOAT64]
    low: Lane | None = None
    if x.dtype == FLOAT32:
        q, r = quadrant_wide(x)
    else:
        q, r, low = quadrant64(x)
    s, c = sine(r, low, x.dtype), cosine(r, low, x.dtype)
    y = turn(choose(q, s, c) / choose(q, c, s), q + q, form).cast(x.dtype)
    return where(abs(x) < FORMATS[x.dtype].small_angle, x, y)


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


def turn(y: Lane, q: Lane, form: Format) -> Lane:
    """Change the sign in quadrants 2 and 3."""
    return (y.bits ^ ((q & 2) << (form.width - 2))).bits


def quadrant(x: Lane) -> tuple[Lane, Lane, Lane | None]:
    """Give q and r + low = x - q pi / 2, |r| <= pi / 4 (q modulo 4), in integers and floats of x's width."""
    if x.dtype == FLOAT64:
        return quadrant64(x)
    q, r = quadrant_wide(x)
    return q.cast(BITS[FLOAT32]), r.cast(FLOAT32), None


def quadrant_wide(x: Lane) -> tuple[Lane, Lane]:
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
    return shifted.bits, r * (math.pi / 2)


def modulo4(x: Lane) -> Lane:
    """Give x less a multiple of 4, between -2 and 2; exact."""
    return fma(rint(x * 0.25), -4.0, x)


def quadrant64(x: Lane) -> tuple[Lane, Lane, Lane]:
    """Reduce a float64 by pi / 2 in five parts (Cody and Waite), the first four of at most 26 bits; NaN from 2^28 on.

    Products of these with n < 2^28 are exact without fma too, and so are the first two differences.
    """
    form = FORMATS[FLOAT64]
    x = where(abs(x) < ANGLE_LIMIT, x, math.nan)
    shifted = fma(x, 2 / math.pi, form.magic)
    n = shifted - form.magic
    first, second, third, fourth, rest = HALF_PI
    r = fma(n, -second, fma(n, -first, x))
    s, s_low = difference(r, n * third)
    t, t_low = difference(s, n * fourth)
    low = fma(n, -rest, s_low + t_low)
    r = t + low
    return shifted.bits, r, (t - r) + low


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
