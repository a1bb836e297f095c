"""Accuracy of every scalar function, compiled, over the whole range of exponents: against mpmath in float64, and in
float32 against float64 references, mpmath deciding where these come close to a bound.

Errors are in units in the last place of the exact result. A primitive may be off by 2 in float32 and 3 in float64, a
composition by 4. Near zeros that are not at 0 itself, where a result cancels, a unit is that of the largest
intermediate (`SCALES`).
"""

import math
import sys

import mpmath as mp
import numpy as np
import pytest
from mpmath import libmp

import symgrad as sg
from codegen.machine import runnable
from symgrad.ops import accuracy, generate
from symgrad.ops.row import ROWS

COUNT = 10_000
PRECISION = 140
PRIMITIVE = {"float32": 2.0, "float64": 3.0}
COMPOSITION = {"float32": 4.0, "float64": 4.0}

# -- references: the functions in mpmath, at a precision of PRECISION bits -----------------------------------------


def lgamma(x):
    if x <= 0 and x == mp.floor(x):
        return mp.inf
    if x < 0:
        return mp.log(mp.pi / abs(x * mp.sinpi(x))) - lgamma(-x)
    if x > 1e10:
        return (x - 0.5) * (mp.log(x) - 1) + (mp.log(2 * mp.pi) - 1) / 2 + 1 / (12 * x) - 1 / (360 * x**3)
    return mp.loggamma(x)


def digamma(x):
    if x < 0:
        return mp.nan if x == mp.floor(x) else digamma(1 - x) - mp.pi * mp.cospi(x) / mp.sinpi(x)
    return -mp.inf if x == 0 else mp.digamma(x)


def trigamma(x):
    if x < 0:
        return mp.inf if x == mp.floor(x) else (mp.pi / mp.sinpi(x)) ** 2 - trigamma(1 - x)
    if x == 0:
        return mp.inf
    return 1 / x + 1 / (2 * x**2) + 1 / (6 * x**3) if x > 1e8 else mp.psi(1, x)


def ndtr(x):
    return mp.mpf(x > 0) if abs(x) > 1000 else mp.erfc(-x / mp.sqrt(2)) / 2


def erfc(x):
    return mp.mpf(2 * (x < 0)) if abs(x) > 1000 else mp.erfc(x)


def sigmoid(x):
    return mp.mpf(x > 0) if abs(x) > 2000 else 1 / (1 + mp.exp(-x))


def softplus(x):
    return max(x, mp.mpf(0)) if abs(x) > 2000 else mp.log1p(mp.exp(x))


def mish(x):
    return max(x, mp.mpf(0)) if abs(x) > 2000 else x * mp.tanh(softplus(x))


def gelu_tanh(x):
    if abs(x) > 200:
        return max(x, mp.mpf(0))
    return x * sigmoid(mp.sqrt(8 / mp.pi) * (x + mp.mpf(44715) / 10**6 * x**3))


def elu(x, alpha):
    return x if x > 0 else alpha * expm1(x)


def expm1(x):
    return mp.mpf(-1) if x < -2000 else mp.expm1(x)


def power(x, y):
    if y == 0 or x == 1:
        return mp.mpf(1)
    if x < 0 and y != mp.floor(y):
        return mp.nan
    magnitude = exponential(mp.exp)(y * mp.log(abs(x)))
    return -magnitude if x < 0 and mp.floor(y) % 2 else magnitude


BERNOULLI = [mp.bernfrac(2 * k) for k in range(1, 13)]


def polygamma(n, y):
    """Sum 30 terms, then Euler and Maclaurin's formula; mp.psi gives the same and is slow."""
    if y < 0:
        return mp.nan
    if y == 0:
        return mp.inf if n % 2 else -mp.inf
    n, z = int(n), y + 30
    total = sum((y + k) ** (-n - 1) for k in range(30)) + z**-n / n + z ** (-n - 1) / 2
    rising = n + 1
    for k, (top, bottom) in enumerate(BERNOULLI, start=1):
        total += mp.mpf(top) / bottom / math.factorial(2 * k) * rising * z ** (-n - 2 * k)
        rising *= (n + 2 * k) * (n + 2 * k + 1)
    return (-1) ** (n + 1) * math.factorial(n) * total


def exponential(f, high=math.inf, low=0.0):
    """Give f with its limits where mpmath's exponents would grow beyond all bounds."""
    return lambda x: mp.mpf(high) if x > 3000 else mp.mpf(low) if x < -3000 else f(x)


def real(f):
    """Give f where it is real, else NaN."""

    def reference(*args):
        try:
            value = f(*args)
        except (ValueError, ZeroDivisionError):
            return mp.nan
        return mp.nan if isinstance(value, mp.mpc) else value

    return reference


SELU = mp.mpf(1.0507009873554805), mp.mpf(1.6732632423543772)
UNARY = {
    "sqrt": mp.sqrt, "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)), "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
    "exp": exponential(mp.exp), "exp2": exponential(lambda x: mp.mpf(2) ** x),
    "expm1": exponential(mp.expm1, low=-1),
    "log": mp.log, "log2": lambda x: mp.log(x, 2), "log10": mp.log10, "log1p": mp.log1p,
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "asin": mp.asin, "acos": mp.acos, "atan": mp.atan,
    "sinh": exponential(mp.sinh, low=-math.inf), "cosh": exponential(mp.cosh, low=math.inf),
    "tanh": exponential(mp.tanh, 1, -1), "asinh": mp.asinh, "acosh": mp.acosh, "atanh": mp.atanh,
    "erf": mp.erf, "erfc": erfc, "ndtr": ndtr, "lgamma": lgamma, "digamma": digamma, "trigamma": trigamma,
    "sigmoid": sigmoid, "softplus": softplus, "log_sigmoid": lambda x: -softplus(-x), "silu": lambda x: x * sigmoid(x),
    "mish": mish, "gelu": lambda x: x * ndtr(x), "gelu_tanh": gelu_tanh, "softsign": lambda x: x / (1 + abs(x)),
    "selu": lambda x: SELU[0] * elu(x, SELU[1]),
    "hard_sigmoid": lambda x: min(max(x + 3, mp.mpf(0)), mp.mpf(6)) / 6,
    "hard_swish": lambda x: x * min(max(x + 3, mp.mpf(0)), mp.mpf(6)) / 6,
}  # fmt: skip
BINARY = {
    "divide": lambda x, y: x / y, "hypot": mp.hypot, "atan2": mp.atan2,
    "fmod": lambda x, y: mp.mpf(math.fmod(x, y)) if y else mp.nan,
    "logaddexp": lambda x, y: max(x, y) + (mp.log1p(mp.exp(-abs(x - y))) if abs(x - y) < 3000 else 0),
    "power": power, "polygamma": polygamma,
    "elu": elu, "celu": lambda x, a: x if x > 0 else a * expm1(x / a), "leaky_relu": lambda x, a: x if x > 0 else a * x,
}  # fmt: skip
# Where half of the points lie: the part of the range in which something happens. The rest are of any magnitude.
RANGES = {
    "exp": (-110, 90), "exp2": (-155, 130), "expm1": (-20, 90), "sinh": (-90, 90), "cosh": (-90, 90), "tanh": (-10, 10),
    "erf": (-4, 4), "erfc": (-4, 10.5), "ndtr": (-14.5, 6), "sigmoid": (-105, 20), "softplus": (-105, 20),
    "log_sigmoid": (-20, 105), "silu": (-105, 20), "mish": (-105, 20), "gelu": (-14.5, 6), "gelu_tanh": (-11, 6),
    "selu": (-20, 5), "elu": (-20, 5), "celu": (-20, 5), "logaddexp": (-40, 40), "asin": (-1, 1), "acos": (-1, 1),
    "atanh": (-1, 1), "acosh": (1, 9), "log1p": (-1, 9), "lgamma": (-10, 20), "digamma": (-10, 20),
    "trigamma": (-10, 20), "polygamma": (0, 20), "hard_sigmoid": (-4, 4), "hard_swish": (-4, 4),
}  # fmt: skip
WIDER = {  # in float64, where the exponential reaches farther
    "exp": (-750, 715), "exp2": (-1080, 1030), "expm1": (-40, 715), "sinh": (-715, 715), "cosh": (-715, 715),
    "tanh": (-20, 20), "erf": (-6, 6), "erfc": (-6, 28), "ndtr": (-39, 9), "sigmoid": (-750, 40),
    "softplus": (-750, 40), "log_sigmoid": (-40, 750), "silu": (-750, 40), "mish": (-750, 40), "gelu": (-39, 9),
    "gelu_tanh": (-22, 9),
}  # fmt: skip


def lgamma_scale(x):
    """Give the magnitude of the logarithms whose difference lgamma is for negative x."""
    a = np.abs(x)
    with np.errstate(all="ignore"):
        return np.where(x < -0.5, 2 * np.abs(np.log(a) * (a + 1)) + 2, 0.0)


def digamma_scale(x):
    """Give the magnitude of what digamma adds: log |x|, and pi / tan(pi x) for negative x."""
    with np.errstate(all="ignore"):
        part = np.abs(np.log1p(np.abs(x)))
        return np.where(x < 0, part + np.abs(np.pi / np.tan(np.pi * (x - np.rint(x)))), 0.0)


# Magnitudes of intermediates beside which an error is measured; those of float64 arithmetic do not count in float32.
SCALES = {
    "lgamma": lgamma_scale, "digamma": digamma_scale,
    "logaddexp": lambda x, y: np.maximum(np.abs(np.maximum(x, y)), 0.7),
}  # fmt: skip
ZEROS = {  # where two terms cancel
    "lgamma": [-2.457024738220801, -2.7476826467274127, -3.1435808883499798, -3.9552942848585979, -4.039361839740537],
    "digamma": [-0.5040830082644554, -1.5734984731623905, -2.6107208684441447, -3.6352933664369010, 1.4616321449683623],
}  # fmt: skip
SIGNED_ZEROS = {"reciprocal", "digamma", "divide", "atan2", "power"}  # mpmath has one zero only
ONE_KERNEL = {"sigmoid", "silu", "mish", "gelu"}  # compositions without a formula
ANGLES = {"sin", "cos", "tan"}


def is_composition(name):
    """Tell whether a row is more than one operation or function, in its formula or in the kernel it has."""
    return name in ONE_KERNEL or (ROWS[name].structure.formula is not None and name not in ("square", "reciprocal"))


def points(name, dtype, operand):
    """Draw 10,000 numbers: half of them of any exponent and sign, half where something happens, thinning towards 0."""
    rng = np.random.default_rng([operand, sum(map(ord, name))])
    info, size = np.finfo(dtype), np.dtype(dtype).itemsize
    low, high = (WIDER.get(name) if dtype == "float64" else None) or RANGES.get(name, (-10, 10))
    wild = rng.integers(0, 2 ** (8 * size), COUNT // 2, dtype=np.uint64).astype(f"uint{8 * size}").view(dtype)
    near = rng.uniform(low, high, COUNT // 2)
    near[::3] *= np.exp(-rng.uniform(0, 40, near[::3].size))
    edges = [0.0, info.tiny, info.smallest_subnormal, info.max, info.max / 2, 1 - info.epsneg, 1 + info.eps, 1.0]
    x = np.concatenate([wild[np.isfinite(wild)], near.astype(dtype), np.array([*edges, *(-e for e in edges)], dtype)])
    zeros = np.array(ZEROS.get(name, []), dtype)
    x = np.concatenate([zeros, np.nextafter(zeros, np.array(0, dtype)), x])
    if name in ("elu", "celu", "leaky_relu") and operand:  # a slope, of the usual size
        return rng.uniform(0.1, 3, COUNT + 16).astype(dtype)
    if name == "polygamma" and not operand:  # the order
        return rng.integers(1, 9, COUNT + 16).astype("int32")
    if name == "power" and operand:  # a third are whole, as powers of negative numbers are
        x[::3] = np.rint(x[::3])
    if name in SIGNED_ZEROS:
        x = x[x != 0]
    extra = rng.uniform(low, high, max(0, COUNT + 16 - x.size)).astype(dtype)
    return np.concatenate([x, extra])[: COUNT + 16]


def to_mpf(value):
    return mp.make_mpf(libmp.from_float(value)) if math.isfinite(value) else mp.mpf(value)


def errors(got, exact, floor):
    """Give |got - exact| in ulp of exact, or of `floor` where that is coarser; inf where one is infinite, one not."""
    info = np.finfo(got.dtype)
    least, bits = int(info.minexp) - info.nmant, info.nmant
    limit = mp.mpf(float(info.max)) * (1 + mp.mpf(float(info.eps)) / 4)
    result = np.empty(got.size)
    for i, (g, e, f) in enumerate(zip(got.tolist(), exact, floor.tolist(), strict=True)):
        if not mp.isfinite(e) or abs(e) > limit:
            expected = math.nan if mp.isnan(e) else math.copysign(math.inf, e)
            result[i] = 0 if g == expected or (g != g and expected != expected) else math.inf
            continue
        _, man, exp, bc = e._mpf_
        exponent = max(exp + bc - 1 - bits if man else least, least, math.frexp(f)[1] - 1 - bits if f else least)
        if not math.isfinite(g):
            result[i] = math.inf
            continue
        difference = libmp.mpf_sub(libmp.from_float(g), e._mpf_)
        result[i] = abs(libmp.to_float(libmp.mpf_shift(difference, -exponent)))
    return result


def measure(name, dtype):
    """Give the largest error of a row and where it is."""
    reference = real(UNARY.get(name) or BINARY[name])
    arrays = [points(name, dtype, k) for k in range(ROWS[name].arity)]
    operands = [sg.symbol(v, (sg.dim("N"),), str(a.dtype)) for v, a in zip("xy", arrays, strict=False)]
    got = sg.function(operands, ROWS[name](*operands))(*arrays)
    wide = [a.astype("float64") for a in arrays]
    cancels = name in SCALES and (dtype == "float64" or name == "logaddexp")
    floor = SCALES[name](*wide) if cancels else np.zeros(got.size)
    index = np.arange(got.size)
    if dtype == "float32":  # only where float64 cannot tell
        index = suspects(name, got, wide, floor)
    precision = 1200 if name in ANGLES else PRECISION
    worst = np.zeros(got.size)
    with mp.workprec(precision):
        exact = [reference(*map(to_mpf, p)) for p in zip(*(w[index].tolist() for w in wide), strict=True)]
        worst[index] = errors(got[index], exact, floor[index])
    place = int(np.argmax(worst))
    return float(worst[place]), [float(a[place]) for a in arrays], float(got[place]), got.size


def suspects(name, got, wide, floor):
    """Keep of float32 results those that are special, and the 300 that differ most from the float64 oracle."""
    want = ROWS[name].oracle(*wide)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.maximum(np.abs(want), floor).astype("float32")).astype("float64")
        error = np.abs(got.astype("float64") - want) / unit
    strange = np.flatnonzero(~np.isfinite(error))
    with np.errstate(over="ignore"):
        same = (np.isnan(got) & np.isnan(want)) | (got == want.astype("float32"))
    return np.union1d(strange[~same[strange]], np.argsort(np.nan_to_num(error, nan=-1, posinf=-1))[-300:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_accuracy(name, dtype):
    bound = (COMPOSITION if is_composition(name) else PRIMITIVE)[dtype]
    worst, at, got, count = measure(name, dtype)
    stated = 0.5 if name in accuracy.ROUNDED_ONCE else 0.0 if name in accuracy.EXACT else documented(name, dtype)
    assert count >= COUNT
    assert worst <= bound, f"{name}({at}) = {got}: {worst:.2f} ulp"
    if any(row.has_fma for row in runnable()):  # where fma does not round once errors are larger, within the bounds
        assert worst <= stated, f"{name}({at}) = {got}: {worst:.2f} ulp, symgrad/ops/accuracy.py says {stated}"


def documented(name, dtype):
    """Give what the documentation says; half a hundredth more, for it is rounded."""
    return accuracy.MEASURED[name][dtype == "float64"] + 0.005


@pytest.mark.parametrize("name", accuracy.MEASURED)
def test_documented_errors_keep_the_bounds(name):
    bounds = COMPOSITION if is_composition(name) else PRIMITIVE
    assert all(0.5 <= documented(name, dtype) <= bounds[dtype] for dtype in bounds)


@pytest.mark.parametrize("name", [row.name for row in generate.rows()])
def test_every_scalar_row_has_one_statement(name):
    tables = (accuracy.MEASURED, accuracy.ROUNDED_ONCE, accuracy.EXACT, accuracy.STATED)
    assert sum(name in table for table in tables) == 1
    assert name not in accuracy.MEASURED or name in {*UNARY, *BINARY}


ONE_ROUNDING = {
    "add", "subtract", "multiply", "negative", "abs", "sign", "floor", "ceil", "round", "trunc", "maximum", "minimum",
    "clip", "relu", "relu6", "hard_tanh", "stop_gradient", "floor_divide", "remainder",
}  # fmt: skip


def test_every_function_of_floats_is_measured():
    smooth = {row.name for row in generate.rows() if row.differentiable and row.operands not in ("bool", "select")}
    assert set(UNARY) | set(BINARY) | ONE_ROUNDING == smooth


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_division_with_rest_gives_the_bits_of_numpy(name, dtype):
    info, rng = np.finfo(dtype), np.random.default_rng(3)
    special = [0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 7.0, math.inf, math.nan, info.max, info.tiny, info.smallest_subnormal]
    grid = np.meshgrid(*2 * [np.array([*special, *(-v for v in special)], dtype)])
    whole = np.rint(rng.uniform(-50, 50, (2, COUNT))).astype(dtype)
    x, y = (np.concatenate([points(name, dtype, k), whole[k], grid[k].ravel()]) for k in (0, 1))
    operands = [sg.symbol(v, (sg.dim("N"),), dtype) for v in "xy"]
    got = sg.function(operands, ROWS[name](*operands))(x, y)
    want = ROWS[name].oracle(x, y)
    nan = np.isnan(want)
    np.testing.assert_array_equal(np.isnan(got), nan)
    integer = f"uint{info.bits}"
    np.testing.assert_array_equal(got[~nan].view(integer), want[~nan].view(integer))


if __name__ == "__main__":
    for name in sys.argv[1:] or [*UNARY, *BINARY]:
        print(name, *(f"{d} {measure(name, d)[:3]}" for d in ("float32", "float64")), flush=True)
