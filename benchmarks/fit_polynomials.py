"""Fit the polynomials of `codegen.vecmath_tables`: `python -m benchmarks.fit_polynomials [NAME ...]`.

In: the table `FITS` (what is approximated, where, with which weight). Out: coefficients, lowest power first, rounded
to the dtype, and the weighted error that is left. The method is Remez' exchange in 60-digit arithmetic. Knows nothing
of code generation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import mpmath as mp
import numpy as np

mp.mp.dps = 60
Function = Callable[[mp.mpf], mp.mpf]
EXACT: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "float32": lambda c: mp.mpf(float(np.float32(float(c)))),
    "float64": lambda c: mp.mpf(float(c)),
}


@dataclass(frozen=True)
class Fit:
    """Approximate `f` on [lo, hi] by `degree + 1` coefficients so that `weight * error` is small everywhere."""

    f: Function
    lo: float
    hi: float
    degree: int
    weight: Function = lambda t: mp.mpf(1)


def remez(task: Fit, lo: mp.mpf, hi: mp.mpf) -> list[mp.mpf]:
    """Give the coefficients whose largest weighted error is (within 1 %) as small as can be."""
    n, count = task.degree + 1, 24 * (task.degree + 2)
    nodes = [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * i / n) for i in range(n + 1)]
    grid = [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / count) for i in range(count)]
    values, weights = [task.f(t) for t in grid], [task.weight(t) for t in grid]
    for _ in range(12):
        rows = [[t**k for k in range(n)] + [(-1) ** i / task.weight(t)] for i, t in enumerate(nodes)]
        *c, level = mp.lu_solve(mp.matrix(rows), mp.matrix([task.f(t) for t in nodes]))
        error = [w * (v - mp.polyval(c[::-1], t)) for t, v, w in zip(grid, values, weights, strict=True)]
        peaks: list[int] = []
        for i in range(count):  # the largest error of each run of one sign
            if peaks and (error[i] > 0) == (error[peaks[-1]] > 0):
                peaks[-1] = max(peaks[-1], i, key=lambda j: abs(error[j]))
            else:
                peaks.append(i)
        while len(peaks) > n + 1:
            peaks.remove(peaks[0] if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else peaks[-1])
        if len(peaks) < n + 1 or max(map(abs, error)) < 1.01 * abs(level):
            break
        nodes = [grid[i] for i in peaks]
    return list(c)


def fit(task: Fit, dtype: str) -> tuple[list[float], float]:
    """Fit, round to a dtype; give the coefficients, lowest power first, and the weighted error of the rounded ones."""
    lo, hi = mp.mpf(task.lo), mp.mpf(task.hi)
    rounded = [EXACT[dtype](c) for c in remez(task, lo, hi)]
    grid = [lo + (hi - lo) * (i + mp.mpf(1) / 3) / 400 for i in range(400)]
    return [float(c) for c in rounded], float(
        max(abs(task.weight(t) * (task.f(t) - mp.polyval(rounded[::-1], t))) for t in grid)
    )


def tail(f: Function, *known: float) -> Function:
    """Give what is left of a series after its known leading coefficients, divided by the first unknown power.

    At 0 the limit is taken a little beside it; the weight there is 0.
    """

    def rest(t: mp.mpf) -> mp.mpf:
        t = t if abs(t) > 1e-12 else mp.mpf("1e-12")
        return (f(t) - mp.polyval(known[::-1], t)) / t ** len(known)

    return rest


def odd(f: Function, *known: float) -> Function:
    """Give the same for f(sqrt(u)) / sqrt(u), the even part of an odd function, as a function of u."""
    return tail(lambda u: f(mp.sqrt(u)) / mp.sqrt(u), *known)


def relative(f: Function, power: int) -> Function:
    """Give the weight that turns an error of the coefficient of t^power into a relative error of f (never quite 0)."""
    return lambda t: (abs(t**power / f(t)) if t else mp.mpf(not power)) + mp.mpf("1e-9")


def even(f: Function) -> Function:
    """Give f(sqrt(u)) as a function of u."""
    return lambda u: f(mp.sqrt(u))


def scaled_erfc(v: mp.mpf) -> mp.mpf:
    """Give (1 + 2 x) exp(x^2) erfc(x) at x = 4 (1 + v) / (1 - v), that is, v = (x - 4) / (x + 4)."""
    x = 4 * (1 + v) / (1 - v)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def atanh2(u: mp.mpf) -> mp.mpf:
    """Give log((1 + s) / (1 - s)) / s at s = sqrt(u)."""
    s = mp.sqrt(u)
    return (mp.log1p(s) - mp.log1p(-s)) / s


def gamma_slope(t: mp.mpf) -> mp.mpf:
    """Give lgamma(2 + t) / t."""
    t = t if abs(t) > 1e-20 else mp.mpf("1e-20")
    return mp.loggamma(2 + t) / t


def stirling(v: mp.mpf) -> mp.mpf:
    """Give x (lgamma(x) - (x - 1/2) (log x - 1) - (log(2 pi) - 1) / 2) at x = 1 / sqrt(v)."""
    x = 1 / mp.sqrt(max(v, mp.mpf("1e-20")))
    return x * (mp.loggamma(x) - (x - 0.5) * (mp.log(x) - 1) - (mp.log(2 * mp.pi) - 1) / 2)


def digamma_slope(c: mp.mpf) -> mp.mpf:
    """Give digamma(x) / (x - its zero) at x = 3/2 + c."""
    x = mp.mpf(1.5) + c
    return mp.digamma(x) / (x - DIGAMMA_ZERO)


def digamma_tail(v: mp.mpf) -> mp.mpf:
    """Give x^2 (log x - 1 / (2 x) - digamma(x)) at x = 1 / sqrt(v)."""
    x = 1 / mp.sqrt(max(v, mp.mpf("1e-20")))
    return x * x * (mp.log(x) - 1 / (2 * x) - mp.digamma(x))


DIGAMMA_ZERO = mp.findroot(mp.digamma, 1.46)
LN2, PI = float(mp.log(2)), float(mp.pi)
HALF, QUARTER = LN2 / 2 * 1.0005, (PI / 4 * 1.0005) ** 2
LOW, HIGH = 0.5**0.5 - 1.0001, 2**0.5 - 0.9999
SMALL = 0.0296  # ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2, rounded up


def ratio(f: Function) -> Function:
    """Give f(sqrt(u)) / sqrt(u): what `relative` needs for an odd function."""
    return lambda u: f(mp.sqrt(u)) / mp.sqrt(u)


# (name, dtype) -> fit; the degree counts from the first unknown coefficient.
FITS: dict[tuple[str, str], Fit] = {}
for dtype, degrees in {
    "float32": {"exp": 5, "expm1": 4, "sinh": 4, "log": 7, "erf": 6, "log_e": 7, "erfc": 10,
                "sin": 2, "cos": 2, "atan": 8, "asin": 4,
                "lgamma": 10, "stirling": 2, "digamma": 11, "digamma_tail": 3, "cbrt": 5},
    "float64": {"exp": 11, "expm1": 9, "sinh": 8, "log_s": 6, "log_q": 3, "log_t": 6, "erf": 13, "log_e": 17,
                "erfc": 22, "sin": 5, "cos": 5, "atan": 18, "asin": 11,
                "lgamma": 19, "stirling": 6, "digamma": 21, "digamma_tail": 9, "cbrt": 5},
}.items():  # fmt: skip
    rows = {
        "exp": Fit(tail(mp.exp, 1, 1), -2 * HALF, 2 * HALF, 0, relative(mp.exp, 2)),
        "expm1": Fit(tail(mp.expm1, 0, 1), -HALF, HALF, 0, relative(mp.expm1, 2)),
        "log": Fit(tail(mp.log1p, 0, 1, -0.5), LOW, HIGH, 0, relative(mp.log1p, 3)),
        "log_s": Fit(tail(atanh2, 2), 0, SMALL, 0, relative(atanh2, 1)),
        "log_q": Fit(tail(atanh2, 2), 0, SMALL, 0, relative(atanh2, 1)),  # enough for a float32 power
        "log_t": Fit(tail(atanh2, 2, mp.mpf(2) / 3), 0, SMALL, 0, relative(atanh2, 2)),
        "sin": Fit(odd(mp.sin, 1), 0, QUARTER, 0, relative(ratio(mp.sin), 1)),
        "cos": Fit(tail(even(mp.cos), 1, -0.5), 0, QUARTER, 0, relative(even(mp.cos), 2)),
        "atan": Fit(odd(mp.atan, 1), 0, 1, 0, relative(ratio(mp.atan), 1)),
        "asin": Fit(odd(mp.asin, 1), 0, 0.2501, 0, relative(ratio(mp.asin), 1)),
        "sinh": Fit(odd(mp.sinh, 1), 0, 2.251, 0, relative(ratio(mp.sinh), 1)),
        "erf": Fit(lambda u: ratio(mp.erf)(u + mp.mpf("1e-30")) - 1, 0, 1.0001, 0, relative(ratio(mp.erf), 0)),
        "log_e": Fit(lambda t: -mp.log(mp.erfc(t)), 1, 4 if dtype == "float32" else 6, 0, mp.erfc),
        "erfc": Fit(scaled_erfc, -1, 0.45 if dtype == "float32" else 0.75, 0, relative(scaled_erfc, 0)),
        "lgamma": Fit(gamma_slope, -0.5, 0.5, 0, relative(gamma_slope, 0)),
        "stirling": Fit(stirling, 0, 8.5**-2, 0),
        "digamma": Fit(digamma_slope, -0.5, 0.5, 0, relative(digamma_slope, 0)),
        "digamma_tail": Fit(digamma_tail, 0, 6.0**-2, 0),
        "cbrt": Fit(mp.cbrt, 0.5**0.5 - 1e-4, 2**0.5 + 1e-4, 0, relative(mp.cbrt, 0)),
    }
    for name, degree in degrees.items():
        FITS[name, dtype] = replace(rows[name], degree=degree)

WIDE = {"erfc", "lgamma", "stirling", "digamma", "digamma_tail", "cbrt"}  # computed in float64 for float32 too

if __name__ == "__main__":
    chosen = [key for key in FITS if not sys.argv[1:] or key[0] in sys.argv[1:]]
    for key in chosen:
        coefficients, error = fit(FITS[key], "float64" if key[0] in WIDE else key[1])
        print(f'    ("{key[0]}", {key[1].upper()}): (  # weighted error 2^{float(mp.log(error, 2)):.1f}')
        for c in coefficients:
            print(f"        {c!r},")
        print("    ),", flush=True)
