"""Partial derivatives of the elementwise operators, written by hand from the textbooks.

In: the operands and the result of a node, as float64 arrays. Out: `PARTIALS`: name of a row -> one function per operand
of (operands..., result). Nothing is taken from symgrad: neither `derived.py` nor the formulas of rows. Where no
derivative exists the choice is the documented one: relu'(0) = 0, abs'(0) = 0, clip 1 strictly inside, ties of maximum
and minimum shared evenly, floor and its kin 0. Formulas: Abramowitz and Stegun (AS) by number where they are not
school mathematics.

`FLAT` are operators whose derivative is 0 by definition, `DISCRETE` those whose results are no floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Array = np.ndarray
Partial = Callable[..., Array]

LN2, LN10 = math.log(2), math.log(10)
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717  # Klambauer et al., 2017


# -- functions that NumPy lacks ------------------------------------------------------------------------------------


def logistic(x: Array) -> Array:
    """Give 1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def logistic_slope(x: Array) -> Array:
    """Give the derivative of the logistic function; its tails do not cancel."""
    tail = np.exp(-np.abs(x))
    return tail / (1 + tail) ** 2


def lower_logistic(x: Array) -> Array:
    """Give 1 / (1 + exp(-x)) with a lower tail that keeps all its digits."""
    tail = np.exp(-np.abs(x))
    return np.where(x < 0, tail, 1.0) / (1 + tail)


_erfc = np.frompyfunc(math.erfc, 1, 1)


def normal_distribution(x: Array) -> Array:
    """Give the distribution function of the standard normal law."""
    return 0.5 * np.asarray(_erfc(-np.asarray(x) / math.sqrt(2)), np.float64)


def normal_density(x: Array) -> Array:
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


def gamma_digamma(x: Array) -> Array:
    """Give psi(x): recurrence (AS 6.3.5) up to 12, the asymptotic series (6.3.18), reflection (6.3.7) below 1/2."""
    x = np.asarray(x, np.float64)
    low = x < 0.5
    y = np.where(low, 1 - x, x)
    shift = np.zeros_like(y)
    for _ in range(12):
        small = y < 12
        shift = shift - np.where(small, 1 / np.where(small, y, 1), 0)
        y = np.where(small, y + 1, y)
    series = sum(b / (2 * k) / y ** (2 * k) for k, b in enumerate(BERNOULLI, start=1))
    above = np.log(y) - 0.5 / y - series + shift
    return np.where(low, above - math.pi / np.tan(math.pi * np.where(low, x, 0.5)), above)


def polygamma_above(order: Array, x: Array) -> Array:
    """Give psi^(n)(x), x > 0, n >= 1: recurrence (AS 6.4.6) up to 20, then the asymptotic series (6.4.11)."""
    n = np.broadcast_to(np.asarray(order, np.float64), np.broadcast_shapes(np.shape(order), np.shape(x)))
    y = np.broadcast_to(np.asarray(x, np.float64), n.shape)
    factorial = np.asarray(np.frompyfunc(lambda k: math.gamma(k + 1) if k > 0 else math.nan, 1, 1)(n), np.float64)
    total = np.zeros(n.shape)
    for _ in range(20):
        small = y < 20
        total = total + np.where(small, factorial / np.where(small, y, 1.0) ** (n + 1), 0)
        y = np.where(small, y + 1, y)
    total = total + factorial / n / y**n + factorial / 2 / y ** (n + 1)
    rising = factorial * (n + 1)  # (2k + n - 1)! for k = 1
    for k, b in enumerate(BERNOULLI, start=1):
        total = total + b * rising / math.factorial(2 * k) / y ** (2 * k + n)
        rising = rising * (2 * k + n) * (2 * k + n + 1)
    return np.where(n % 2 == 1, total, -total)


def gamma_trigamma(x: Array) -> Array:
    """Give psi'(x), below 1/2 by reflection (AS 6.4.7)."""
    low = x < 0.5
    above = polygamma_above(np.ones_like(x), np.where(low, 1 - x, x))
    return np.where(low, (math.pi / np.sin(math.pi * np.where(low, x, 0.5))) ** 2 - above, above)


def gamma_tetragamma(x: Array) -> Array:
    """Give psi''(x), below 1/2 by the derivative of the reflection."""
    low = x < 0.5
    above = polygamma_above(np.full_like(x, 2.0), np.where(low, 1 - x, x))
    angle = math.pi * np.where(low, x, 0.5)
    return np.where(low, above - 2 * math.pi**3 * np.cos(angle) / np.sin(angle) ** 3, above)


# -- slopes of some length -----------------------------------------------------------------------------------------


def share(better: Array, equal: Array) -> Array:
    """Give 1 to the operand that is chosen, a half where two are equal."""
    return np.where(better, 1.0, np.where(equal, 0.5, 0.0))


def power_in_base(x: Array, y: Array, out: Array) -> Array:
    return np.where(y == 0, 0.0, y * np.power(x, np.where(y == 0, 1.0, y - 1)))


def power_in_exponent(x: Array, y: Array, out: Array) -> Array:
    return np.where(x == 0, np.where(y > 0, 0.0, np.where(y == 0, 0.0, np.nan)), out * np.log(np.where(x == 0, 1.0, x)))


def mish_slope(x: Array, out: Array) -> Array:
    """Give the derivative of x tanh(log(1 + exp(x)))."""
    ratio = np.tanh(np.logaddexp(0.0, x))
    return ratio + x * (1 - ratio**2) * logistic(x)


def gelu_tanh_slope(x: Array, out: Array) -> Array:
    """Give the derivative of x (1 + tanh v) / 2, v = sqrt(2 / pi) (x + 0.044715 x^3)."""
    c = math.sqrt(2 / math.pi)
    ratio = np.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * (1 + ratio) + 0.5 * x * (1 - ratio**2) * c * (1 + 3 * 0.044715 * x**2)


def celu_in_alpha(x: Array, y: Array, out: Array) -> Array:
    ratio = np.minimum(x, 0) / y
    return np.where(x > 0, 0.0, np.expm1(ratio) - ratio * np.exp(ratio))


def unit(x: Array, *others: Array) -> Array:
    return np.ones_like(x)


def zero(x: Array, *others: Array) -> Array:
    return np.zeros_like(np.asarray(x, np.float64))


def between(low: float, high: float, slope: float = 1.0) -> Partial:
    return lambda x, out: np.where((x > low) & (x < high), slope, 0.0)


PARTIALS: dict[str, tuple[Partial, ...]] = {
    "add": (unit, unit),
    "subtract": (unit, lambda x, y, o: -unit(x)),
    "multiply": (lambda x, y, o: y, lambda x, y, o: x),
    "divide": (lambda x, y, o: 1 / y, lambda x, y, o: -x / y / y),
    "negative": (lambda x, o: -unit(x),),
    "square": (lambda x, o: x + x,),
    "reciprocal": (lambda x, o: -1 / x / x,),
    "power": (power_in_base, power_in_exponent),
    "remainder": (unit, lambda x, y, o: -np.floor_divide(x, y)),
    "fmod": (unit, lambda x, y, o: -np.rint((x - o) / y)),  # x - o is a multiple of y
    "sqrt": (lambda x, o: 1 / (2 * o),),
    "cbrt": (lambda x, o: 1 / (3 * o * o),),
    "exp": (lambda x, o: np.exp(x),),
    "exp2": (lambda x, o: LN2 * np.exp2(x),),
    "expm1": (lambda x, o: np.exp(x),),
    "log": (lambda x, o: 1 / x,),
    "log2": (lambda x, o: 1 / (LN2 * x),),
    "log10": (lambda x, o: 1 / (LN10 * x),),
    "log1p": (lambda x, o: 1 / (1 + x),),
    "logaddexp": (lambda x, y, o: lower_logistic(x - y), lambda x, y, o: lower_logistic(y - x)),
    "abs": (lambda x, o: np.where(x > 0, 1.0, np.where(x < 0, -1.0, 0.0)),),
    "maximum": (lambda x, y, o: share(x > y, x == y), lambda x, y, o: share(y > x, x == y)),
    "minimum": (lambda x, y, o: share(x < y, x == y), lambda x, y, o: share(y < x, x == y)),
    "clip": (
        lambda x, y, z, o: np.where((y < x) & (x < z), 1.0, 0.0),
        lambda x, y, z, o: np.where((x <= y) & (y < z), 1.0, 0.0),
        lambda x, y, z, o: np.where((x >= z) | (y >= z), 1.0, 0.0),
    ),
    "where": (zero, lambda c, x, y, o: np.where(c, 1.0, 0.0), lambda c, x, y, o: np.where(c, 0.0, 1.0)),
    "recompute": (unit, zero),
    "relu": (between(0, np.inf),),
    "relu6": (between(0, 6),),
    "hard_tanh": (between(-1, 1),),
    "hard_sigmoid": (between(-3, 3, 1 / 6),),
    "hard_swish": (lambda x, o: np.where(x >= 3, 1.0, np.where(x > -3, x / 3 + 0.5, 0.0)),),
    "leaky_relu": (lambda x, a, o: np.where(x > 0, 1.0, a), lambda x, a, o: np.where(x > 0, 0.0, x)),
    "elu": (
        lambda x, a, o: np.where(x > 0, 1.0, a * np.exp(np.minimum(x, 0))),
        lambda x, a, o: np.where(x > 0, 0.0, np.expm1(np.minimum(x, 0))),
    ),
    "celu": (lambda x, a, o: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0) / a)), celu_in_alpha),
    "selu": (lambda x, o: SELU_SCALE * np.where(x > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(x, 0))),),
    "sigmoid": (lambda x, o: logistic_slope(x),),
    "softplus": (lambda x, o: lower_logistic(x),),
    "log_sigmoid": (lambda x, o: lower_logistic(-x),),
    "silu": (lambda x, o: lower_logistic(x) + x * logistic_slope(x),),
    "mish": (mish_slope,),
    "softsign": (lambda x, o: (1 + np.abs(x)) ** -2.0,),
    "gelu": (lambda x, o: normal_distribution(x) + x * normal_density(x),),
    "gelu_tanh": (gelu_tanh_slope,),
    "erf": (lambda x, o: 2 / math.sqrt(math.pi) * np.exp(-x * x),),
    "erfc": (lambda x, o: -2 / math.sqrt(math.pi) * np.exp(-x * x),),
    "ndtr": (lambda x, o: normal_density(x),),
    "lgamma": (lambda x, o: gamma_digamma(x),),
    "digamma": (lambda x, o: gamma_trigamma(x),),
    "trigamma": (lambda x, o: gamma_tetragamma(x),),
    "polygamma": (zero, lambda n, x, o: polygamma_above(n + 1, x)),
    "sin": (lambda x, o: np.cos(x),),
    "cos": (lambda x, o: -np.sin(x),),
    "tan": (lambda x, o: 1 / np.cos(x) ** 2,),
    "asin": (lambda x, o: 1 / np.sqrt((1 - x) * (1 + x)),),
    "acos": (lambda x, o: -1 / np.sqrt((1 - x) * (1 + x)),),
    "atan": (lambda x, o: 1 / (1 + x * x),),
    "atan2": (lambda y, x, o: x / (x * x + y * y), lambda y, x, o: -y / (x * x + y * y)),
    "sinh": (lambda x, o: np.cosh(x),),
    "cosh": (lambda x, o: np.sinh(x),),
    "tanh": (lambda x, o: 1 / np.cosh(x) ** 2,),
    "asinh": (lambda x, o: 1 / np.hypot(x, 1),),
    "acosh": (lambda x, o: 1 / np.sqrt((x - 1) * (x + 1)),),
    "atanh": (lambda x, o: 1 / ((1 - x) * (1 + x)),),
    "hypot": (lambda x, y, o: x / np.where(o == 0, 1.0, o), lambda x, y, o: y / np.where(o == 0, 1.0, o)),
}

FLAT = frozenset({"floor", "ceil", "round", "trunc", "sign", "floor_divide", "stop_gradient"})

DISCRETE = frozenset({
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isnan", "isinf", "isfinite",
    "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or", "bitwise_xor",
    "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift",
})  # fmt: skip


def partials_of(name: str, operands: list[Array], out: Array) -> list[Array]:
    """Give the partial derivatives of a row at its operands, each of the result's shape or broadcasting to it.

    Raises KeyError for a row in no table.
    """
    if name in FLAT:
        return [zero(x) for x in operands]
    with np.errstate(all="ignore"):
        wide = [x if x.dtype == bool else np.asarray(x, np.float64) for x in operands]
        return [np.asarray(partial(*wide, out), np.float64) for partial in PARTIALS[name]]
