"""Elementwise rows of special functions: the error function's and the gamma function's families.

In: nothing; importing this file registers the rows. Out: the rows themselves, which are the public functions, under
the names of SciPy and PyTorch. It must not know SymPy, nor how a row becomes machine code.

The derivatives of lgamma are digamma, trigamma, then `polygamma` of each order: every order exists.
"""

from __future__ import annotations

import math

import numpy as np

from symgrad.ops.scalar import by_element, scalar

__all__ = ["digamma", "erf", "erfc", "lgamma", "ndtr", "polygamma", "trigamma"]

GAMMA_DOMAIN = ((0.3, 4.0),)


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # at a pole, and where it exceeds the floats
        return math.inf


def _cotangent(x: float) -> float:
    """Give pi / tan(pi x), NaN at the integers."""
    fraction = math.remainder(x, 1) if math.isfinite(x) else math.nan
    return math.pi / math.tan(math.pi * fraction) if fraction else math.nan


def _digamma(x: float) -> float:
    """Sum 1 / (x + k) up to 20, then the asymptotic series; by reflection below 0."""
    if x == 0:
        return -math.copysign(math.inf, x)
    if x < 0:
        return _digamma(1 - x) - _cotangent(x)
    terms = []
    while x < 20:
        terms.append(-1 / x if x > 1e-308 else -math.inf)
        x += 1
    if terms and terms[0] == -math.inf:
        return -math.inf
    w = 1 / x / x
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w / 132))))
    return math.fsum((*terms, -series, -0.5 / x, math.log(x)))


def _polygamma(n: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Sum n! / (x + k)^(n + 1) up to k = 30, then Euler and Maclaurin's formula, in float64; NaN below 0."""
    order, y = np.asarray(n, np.float64), np.asarray(x, np.float64)
    factorial = by_element(lambda a: math.gamma(a + 1) if 0 < a < 150 else math.nan)(order)
    total = sum((y + k) ** (-order - 1) for k in range(30))
    z, rising = y + 30, order + 1
    tail = 1 / order + 0.5 / z
    for k, coefficient in enumerate((1 / 12, -1 / 720, 1 / 30240, -1 / 1209600), start=1):
        tail = tail + coefficient * rising / z ** (2 * k)
        rising = rising * (order + 2 * k) * (order + 2 * k + 1)
    value = np.where(order % 2 == 1, 1, -1) * factorial * (total + z**-order * tail)
    return np.where(y >= 0, value, np.nan).astype(x.dtype)


def _trigamma(x: np.ndarray) -> np.ndarray:
    u = np.where(x < 0.5, 1 - x, x)
    above = _polygamma(np.ones_like(u), u)
    return np.where(x < 0.5, np.square(np.pi / np.sin(np.pi * (x - np.rint(x)))) - above, above).astype(x.dtype)


_ANGLE = "(pi * where(x < 0.5, x - round(x), 0.5))"  # an angle without a pole where the reflection is not used
_REFLECTED = f"2 * pi**3 * cos{_ANGLE} / sin{_ANGLE}**3"

erf = scalar(
    "erf", by_element(math.erf), derivatives=("2 / sqrt(pi) * exp(-square(x))",),
    latex=r"\operatorname{erf} {x}",
    doc="Give the error function, 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x.",
)  # fmt: skip
erfc = scalar(
    "erfc", by_element(math.erfc), derivatives=("-2 / sqrt(pi) * exp(-square(x))",),
    latex=r"\operatorname{erfc} {x}", doc="Give 1 - erf(x), accurate where that is small.",
)  # fmt: skip
ndtr = scalar(
    "ndtr", by_element(lambda x: 0.5 * math.erfc(-x * math.sqrt(0.5))),
    derivatives=("exp(-0.5 * square(x)) / sqrt(2 * pi)",),
    latex=r"\Phi({x})", doc="Give the distribution function of the standard normal law, accurate in its lower tail.",
)  # fmt: skip
lgamma = scalar(
    "lgamma", by_element(_lgamma), domain=GAMMA_DOMAIN, derivatives=("digamma(x)",),
    latex=r"\log |\Gamma({x})|", doc="Give log(abs(gamma(x))); inf at 0 and at negative integers.",
)  # fmt: skip
digamma = scalar(
    "digamma", by_element(_digamma), domain=GAMMA_DOMAIN, derivatives=("trigamma(x)",),
    latex=r"\psi({x})", doc="Give the derivative of lgamma; NaN at negative integers.",
)  # fmt: skip
trigamma = scalar(
    "trigamma", _trigamma, domain=GAMMA_DOMAIN,
    derivatives=(f"polygamma(2, where(x < 0.5, 1 - x, x)) - where(x < 0.5, {_REFLECTED}, 0)",),
    latex=r"\psi'({x})", doc="Give the second derivative of lgamma; inf at 0 and at negative integers.",
)  # fmt: skip
polygamma = scalar(
    "polygamma", _polygamma, operands="order", domain=((1.0, 4.0), *GAMMA_DOMAIN),
    derivatives=("0", "polygamma(x + 1, y)"), latex=r"\psi^{({x})}({y})", sub_gradient="0 in the order",
    doc="Give derivative number x = 1, 2 ... of digamma at y > 0; NaN where y < 0 or x <= 0.",
)  # fmt: skip
