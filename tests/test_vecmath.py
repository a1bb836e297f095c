"""The vector mathematics, compiled for this machine: accuracy, special values, the same bits in every width."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from vecmath_cases import FMA, INF, NAN, best, compiled, points, real, ulps

from codegen.ir import OPS, Name, Op, Value
from codegen.machine import runnable
from codegen.vecmath import BINARY, MATH, UNARY
from symgrad.dtypes import FLOAT32, FLOAT64, DType

DTYPES = (FLOAT32, FLOAT64)

# name -> (reference, where most points lie for float32, for float64, measured bound in ulp for float32, for float64)
ROWS: dict[str, tuple[Callable[[mp.mpf], mp.mpf], tuple[float, float], tuple[float, float], float, float]] = {
    "exp": (mp.exp, (-104, 89), (-746, 710), 1.6, 1.6),
    "exp2": (lambda x: mp.mpf(2) ** x, (-150, 128), (-1075, 1024), 1.6, 1.6),
    "expm1": (mp.expm1, (-20, 89), (-40, 710), 1.7, 1.8),
    "tanh": (mp.tanh, (-10, 10), (-20, 20), 1.9, 2.0),
    "sinh": (mp.sinh, (-89.4, 89.4), (-710.4, 710.4), 1.7, 1.7),
    "cosh": (mp.cosh, (-89.4, 89.4), (-710.4, 710.4), 1.7, 1.7),
    "log": (mp.log, (0, 10), (0, 10), 1.0, 1.0),
    "log1p": (mp.log1p, (-1, 10), (-1, 10), 1.6, 1.5),
    "log2": (lambda x: mp.log(x, 2), (0, 10), (0, 10), 1.2, 1.2),
    "log10": (mp.log10, (0, 10), (0, 10), 1.2, 2.2),
    "erf": (mp.erf, (-4, 4), (-6, 6), 1.3, 1.2),
    "erfc": (mp.erfc, (-4, 10.2), (-6, 27), 1.0, 2.8),
    "sin": (mp.sin, (-100, 100), (-100, 100), 1.7, 1.7),
    "cos": (mp.cos, (-100, 100), (-100, 100), 1.7, 1.7),
    "tan": (mp.tan, (-100, 100), (-100, 100), 1.0, 2.7),
    "atan": (mp.atan, (-10, 10), (-10, 10), 1.4, 1.5),
    "asin": (mp.asin, (-1, 1), (-1, 1), 1.4, 1.4),
    "asinh": (mp.asinh, (-10, 10), (-10, 10), 0.8, 2.6),
    "acosh": (mp.acosh, (1, 10), (1, 10), 0.8, 2.6),
    "atanh": (mp.atanh, (-1, 1), (-1, 1), 0.8, 2.6),
    "acos": (mp.acos, (-1, 1), (-1, 1), 1.4, 1.4),
}
POW_BOUND = {FLOAT32: 0.6, FLOAT64: 1.2}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROWS)
def test_the_error_stays_within_the_bound(name: str, dtype: DType) -> None:
    reference, *ranges, single, double = ROWS[name]
    low, high = ranges[dtype is FLOAT64]
    x = points(dtype, low, high, 700)
    exponential = name in ("exp", "exp2", "expm1", "sinh", "cosh")
    if exponential:  # beyond, the reference itself is out of reach; the special values cover it
        x = x[np.abs(x) < 2000]
    precision = 120
    if name in ("sin", "cos", "tan"):
        near = np.arange(1, 400) ** 3 * (math.pi / 2)  # where the reduction cancels
        x = np.concatenate([x, near.astype(dtype.numpy)])
        precision = 1300
    with mp.workprec(precision):
        error = ulps(best(name, dtype)(x), [real(reference, v) for v in x.tolist()])
    worst = int(np.argmax(error))
    assert error[worst] <= (double if dtype is FLOAT64 else single), f"{name}({x[worst]!r}): {error[worst]:.2f} ulp"


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_stay_within_the_bound_without_fma_too(dtype: DType) -> None:
    rng = np.random.default_rng(8)
    count = 1000
    x = np.concatenate([points(dtype, 0.5, 2, count), np.round(rng.uniform(-9, 9, count)).astype(dtype.numpy)])
    y = rng.uniform(-40, 40, x.size)
    y[::3] *= np.exp(-rng.uniform(0, 30, y[::3].size))
    y[1::3] = np.round(y[1::3])
    y = y.astype(dtype.numpy)
    keep = x != 0
    x, y = x[keep], y[keep]
    ends = np.abs(x[: x.size // 3])  # where y log x is large, and its error with it
    y[: ends.size] = rng.uniform(-700, 700, ends.size) / np.where(ends == 1, 1, np.log(ends.astype(np.float64)))

    def power(a: mp.mpf, b: mp.mpf) -> mp.mpf:
        if a > 0 or b == mp.floor(b):
            value = mp.exp(b * mp.log(abs(a)))
            return -value if a < 0 and int(b) % 2 else value
        return mp.nan

    with mp.workprec(160):
        exact = [real(power, *p) for p in zip(x.tolist(), y.tolist(), strict=True)]
        for row in runnable():
            error = ulps(compiled("pow", dtype, row, row.lanes(dtype))(x, y), exact)
            worst = int(np.argmax(error))
            assert error[worst] <= POW_BOUND[dtype], f"{row.name}: pow({x[worst]!r}, {y[worst]!r}): {error[worst]:.2f}"


# name -> pairs of argument and result, compared with the sign of zero
SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp": [(-INF, 0.0), (INF, INF), (NAN, NAN), (0.0, 1.0), (-0.0, 1.0), (1e30, INF), (-1e30, 0.0)],
    "exp2": [(-INF, 0.0), (INF, INF), (NAN, NAN), (0.0, 1.0), (10.0, 1024.0), (-3.0, 0.125), (1e30, INF)],
    "expm1": [(-INF, -1.0), (INF, INF), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-45, 1e-45), (-1e-40, -1e-40)],
    "tanh": [(-INF, -1.0), (INF, 1.0), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-45, 1e-45), (30.0, 1.0)],
    "sinh": [(-INF, -INF), (INF, INF), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e30, INF), (1e-45, 1e-45)],
    "cosh": [(-INF, INF), (INF, INF), (NAN, NAN), (0.0, 1.0), (-1e30, INF)],
    "log": [(0.0, -INF), (-0.0, -INF), (-1.0, NAN), (-INF, NAN), (INF, INF), (NAN, NAN), (1.0, 0.0)],
    "log1p": [(-1.0, -INF), (-2.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "log2": [(0.0, -INF), (-1.0, NAN), (INF, INF), (NAN, NAN), (1.0, 0.0), (8.0, 3.0), (2.0**-126, -126.0)],
    "log10": [(0.0, -INF), (-1.0, NAN), (INF, INF), (NAN, NAN), (1.0, 0.0)],
    "erf": [(INF, 1.0), (-INF, -1.0), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (7.0, 1.0)],
    "erfc": [(INF, 0.0), (-INF, 2.0), (NAN, NAN), (0.0, 1.0), (-0.0, 1.0)],
    "sin": [(INF, NAN), (-INF, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "cos": [(INF, NAN), (-INF, NAN), (NAN, NAN), (0.0, 1.0), (-0.0, 1.0)],
    "tan": [(INF, NAN), (-INF, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "atan": [(INF, math.pi / 2), (-INF, -math.pi / 2), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "asin": [(1.0, math.pi / 2), (-1.0, -math.pi / 2), (1.1, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (-INF, NAN)],
    "asinh": [(INF, INF), (-INF, -INF), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "acosh": [(INF, INF), (-INF, NAN), (NAN, NAN), (1.0, 0.0), (0.5, NAN)],
    "atanh": [(1.0, INF), (-1.0, -INF), (1.1, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "acos": [(1.0, 0.0), (-1.0, math.pi), (1.1, NAN), (-INF, NAN), (NAN, NAN), (0.0, math.pi / 2)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, dtype: DType) -> None:
    x, want = np.array(SPECIAL[name]).astype(dtype.numpy).T
    for row in runnable():
        got = compiled(name, dtype, row, row.lanes(dtype))(x)
        np.testing.assert_array_equal(got, want, err_msg=f"{row.name}: {name}({x})")
        signed = want == want
        np.testing.assert_array_equal(np.signbit(got[signed]), np.signbit(want[signed]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_angles_of_points(dtype: DType) -> None:
    y = points(dtype, -3, 3, 500)
    x = np.random.default_rng(9).permutation(y)
    with mp.workprec(120):
        error = ulps(best("atan2", dtype)(y, x), [real(mp.atan2, *p) for p in zip(y.tolist(), x.tolist(), strict=True)])
    assert error.max() <= 2.0
    special = [0.0, -0.0, 1.0, -1.0, INF, -INF, NAN]
    y, x = (
        np.array(axis).astype(dtype.numpy) for axis in zip(*((a, b) for a in special for b in special), strict=True)
    )
    want = np.arctan2(y, x)
    got = best("atan2", dtype)(y, x)
    np.testing.assert_allclose(got, want, rtol=float(np.finfo(dtype.numpy).eps))
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(want[numbers]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_powers(dtype: DType) -> None:
    base = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -3.0, INF, -INF, NAN]
    x, y = np.array([(a, b) for a in base for b in [*base, 3.0, 4.0, 2.5, -2.5]]).T
    want = []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        try:
            want.append(math.pow(a, b))  # follows C99, but raises where C sets a flag
        except ZeroDivisionError:
            want.append(math.copysign(INF, a) if b % 2 == 1 else INF)
        except ValueError:
            odd = math.isfinite(b) and b % 2 == 1
            want.append(NAN if a != 0 else math.copysign(INF, a) if odd else INF)
    got = best("pow", dtype)(x, y)
    np.testing.assert_allclose(got, np.array(want), rtol=float(np.finfo(dtype.numpy).eps))
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(want)[numbers])


@pytest.mark.parametrize("dtype", DTYPES)
def test_remainders_are_exact_without_fma_too(dtype: DType) -> None:
    x = points(dtype, -1000, 1000, 2000)
    y = np.random.default_rng(3).permutation(x)
    info = np.finfo(dtype.numpy)
    special = np.array([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, info.smallest_subnormal, info.max], dtype.numpy)
    grid = np.meshgrid(special, special)
    x, y = np.concatenate([x, grid[0].ravel()]), np.concatenate([y, grid[1].ravel()])
    with np.errstate(invalid="ignore"):
        want = np.fmod(x, y)
    for row in runnable():
        got = compiled("rem", dtype, row, row.lanes(dtype))(x, y)
        np.testing.assert_array_equal(got, want, err_msg=row.name)
        np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(want[want == 0]))


@pytest.mark.parametrize(("dtype", "bound"), [(FLOAT32, 0.6), (FLOAT64, 3.0)])
def test_polygamma(dtype: DType, bound: float) -> None:
    """Orders whose factorial, and arguments whose power, is beyond the range of floats among them."""
    rng = np.random.default_rng(4)
    order = np.concatenate([rng.integers(1, 9, 100), rng.integers(9, 300, 50)]).astype(dtype.numpy)
    x = np.exp(rng.uniform(-4, 6, 150)).astype(dtype.numpy)
    with mp.workprec(500):  # for fewer bits mpmath loses some of them
        exact = [mp.psi(int(n), mp.mpf(v)) for n, v in zip(order.tolist(), x.tolist(), strict=True)]
        for row in runnable():
            assert ulps(compiled("polygamma", dtype, row, row.lanes(dtype))(order, x), exact).max() <= bound, row.name
    info = np.finfo(dtype.numpy)
    edges = np.array([0.0, info.smallest_subnormal, info.tiny, INF, -1.0, -INF, NAN], dtype.numpy)
    got = best("polygamma", dtype)(np.ones_like(edges), edges)
    np.testing.assert_array_equal(got, [INF, INF, INF, 0.0, NAN, NAN, NAN])
    np.testing.assert_array_equal(best("polygamma", dtype)(2 * np.ones_like(edges), edges), -got)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_every_width_and_row_with_fma_gives_the_same_bits(name: str, dtype: DType) -> None:
    x = points(dtype, -3, 3, 300)
    arguments = (x, x[::-1]) if name in BINARY else (x,)
    results = [compiled(name, dtype, row, lanes)(*arguments) for row in FMA for lanes in {1, row.lanes(dtype)}]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize(("name", "dtype"), MATH)
def test_only_operations_of_the_loop_ir_are_used(name: str, dtype: DType) -> None:
    arguments = tuple(Name(n, dtype) for n in ("x", "y")[: 2 if name in BINARY else 1])
    stack: list[Value] = [MATH[name, dtype](*arguments)]
    seen: set[int] = set()
    assert stack[0].dtype == dtype
    while stack:
        value = stack.pop()
        if isinstance(value, Op) and id(value) not in seen:
            seen.add(id(value))
            assert len(value.args) == OPS[value.name]
            stack.extend(value.args)
    assert seen


def test_the_hot_functions_stay_short() -> None:
    """Count what one vector costs: distinct operations, constants aside."""

    def cost(value: Value, seen: set[int]) -> int:
        if not isinstance(value, Op) or id(value) in seen:
            return 0
        seen.add(id(value))
        free = value.name == "bitcast" or (OPS[value.name] == 2 and value.dtype == "bool")  # a clamp's comparison
        return (not free) + sum(cost(arg, seen) for arg in value.args)

    x = Name("x", FLOAT32)
    assert cost(MATH["exp", FLOAT32](x), set()) <= 16
    assert cost(MATH["tanh", FLOAT32](x), set()) <= 21  # neg(abs(x)) is one instruction
