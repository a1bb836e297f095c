"""Vector mathematics, part six: cbrt, hypot, and `rem`, the remainder of floats.

In: `Lane`s of float32 or float64. Out: the formula as a `Lane`, for `codegen.vecmath`. Knows nothing of vectors: what
it builds is the same arithmetic in every lane, without tables in memory or estimates; the later steps of long divisions
stand in branches of their own (`rarely`). float32 is computed in float64; references and measured errors stand in
`docs/quality.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from codegen.lanes import Lane, copysign, fma, horner, rarely, rint, sqrt, truncate, where
from codegen.vecmath_exp import scale
from codegen.vecmath_log import split
from codegen.vecmath_tables import FORMATS
from symgrad.dtypes import FLOAT32, FLOAT64

WIDE = FORMATS[FLOAT64]
STAGES = {FLOAT32: (1, 9), FLOAT64: (2, 8, 71)}  # steps of `rem`: quotients to 2^28; to 2^52, to 2^260
CBRT = (  # of [sqrt(1/2), sqrt(2)); relative error 2^-19.6
    0.42168810481684454,
    1.0560211955421426,
    -0.8360775965265806,
    0.510969507741295,
    -0.1795567675869756,
    0.026954568703513274,
)


def cbrt(x: Lane) -> Lane:
    """Give the cube root, that of a negative number negative.

    Reduction: |x| = 2^(3 q) c, c = 2^k m with k = -1, 0, 1. A polynomial of m, cut to 22 bits so that its square is
    exact, then one step of Halley's: the new error is two thirds of the cube of the old.
    """
    wide = x.cast(FLOAT64)
    a = abs(wide)
    e, m = split(a, WIDE)
    q = rint(e * (1 / 3))
    k = fma(q, -3.0, e)
    c = where(k > 0, m + m, where(k < 0, m * 0.5, m))
    t = horner(m, CBRT) * where(k > 0, wide.like(2 ** (1 / 3)), where(k < 0, wide.like(2 ** (-1 / 3)), 1.0))
    t = truncate(t, 30)
    r = c / (t * t)
    t = fma(t, (r - t) / (t + t + r), t)
    root = t * power_of_two(q)
    regular = (a > 0) & (a < math.inf)
    return where(regular, copysign(root, wide), wide).cast(x.dtype)


def hypot(x: Lane, y: Lane) -> Lane:
    """Give sqrt(x^2 + y^2), scaled so that no square overflows or vanishes; inf where an operand is infinite."""
    a, b = abs(x.cast(FLOAT64)), abs(y.cast(FLOAT64))
    large, small = where(a < b, b, a), where(a < b, a, b)
    infinite = a.equals(math.inf) | b.equals(math.inf)
    if x.dtype == FLOAT32:
        root = sqrt(fma(large, large, small * small))
    else:
        up, down = large < 2.0**-400, large > 2.0**500
        factor = where(up, x.like(2.0**600), where(down, x.like(2.0**-600), 1.0))
        back = where(up, x.like(2.0**-600), where(down, x.like(2.0**600), 1.0))
        large, small = large * factor, small * factor
        root = sqrt(fma(large, large, small * small)) * back
    return where(infinite, math.inf, root).cast(x.dtype)


def rem(x: Lane, y: Lane) -> Lane:
    """Give the remainder of x / y with the sign of x, exactly: C's fmod. NaN for infinite x and for y = 0.

    With x = 2^(k + e) m and y = 2^e n the remainder is 2^e (2^k m mod n), and 2^k is multiplied in step by step. A step
    of 28 bits, over an n of 24, keeps all products exact; in float64 n is cut in two for that, and a step has 26 bits.
    """
    a, b = abs(x.cast(FLOAT64)), abs(y.cast(FLOAT64))
    e, n = split(b, WIDE)
    top, r = split(a, WIDE)
    k = top - e
    inverse = 1.0 / n
    single = x.dtype == FLOAT32
    head = n if single else truncate(n, 27)
    rest = None if single else head - n
    r = reduce_by(r, inverse, head, rest)
    r = divided(r, k, 28 if single else 26, STAGES[x.dtype], lambda part: reduce_by(part, inverse, head, rest))
    r = where(r < 0, r + n, r)
    half = rint(e * 0.5)
    result = r * power_of_two(half) * power_of_two(e - half)  # exact: the last factor may give a subnormal number
    result = where(a < b, a, result)
    defined = (a < math.inf) & (b > 0)  # false for NaN of either
    return copysign(where(defined, result, math.nan), x.cast(FLOAT64)).cast(x.dtype)


def divided(r: Lane, k: Lane, bits: int, stages: tuple[int, ...], reduce: Callable[[Lane], Lane]) -> Lane:
    """Give 2^k r, reduced, in stages of so many steps; a later stage is for the lanes that have not ended."""
    for _ in range(stages[0]):
        step = where(k < bits, k, bits)
        k = k - step
        r = reduce(r * power_of_two(step))
    return rarely(k > 0, divided(r, k, bits, stages[1:], reduce), r) if len(stages) > 1 else r


def reduce_by(r: Lane, inverse: Lane, head: Lane, rest: Lane | None) -> Lane:
    """Give r less the nearest multiple of n = head - rest, exactly."""
    q = rint(r * inverse)
    r = fma(-q, head, r)
    return r if rest is None else fma(q, rest, r)


def power_of_two(k: Lane) -> Lane:
    """Give 2^k for a whole k within the range of normal numbers."""
    return scale(k + (WIDE.magic + WIDE.bias), WIDE)
