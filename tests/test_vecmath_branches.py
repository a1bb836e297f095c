"""What the vector mathematics computes in a branch of its own: large angles, long divisions, reflections.

A branch is taken by all lanes or none, so it must never show in the bits: not beside other lanes, not in another width.
"""

from __future__ import annotations

import ctypes
import functools
import math
import re
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from vecmath_cases import FMA, INF, compiled, kernel_of, ulps

import symgrad as sg
from codegen import meaning
from codegen.emit import emit
from codegen.ir import Access, Buffer, Const, For, Kernel, Let, Load, Local, Name, Op, Set, Store, Tag
from codegen.jit import compile_ir, link
from codegen.machine import Machine, host, runnable
from codegen.vecmath import BINARY, MATH
from codegen.vecmath_tables import TWO_OVER_PI
from symgrad.dtypes import BOOL, FLOAT32, FLOAT64, DType
from symgrad.shape import dim

I, N = dim("i"), dim("N")
DTYPES = (FLOAT32, FLOAT64)
ANGLE_BOUNDS = {"sin": (1.7, 1.0), "cos": (1.7, 1.0), "tan": (1.0, 2.7)}
HARDEST = 6381956970095103 * 2.0**797  # the float64 that is nearest to a multiple of pi / 2
BRANCHING = ["sin", "cos", "tan", "rem", "lgamma", "digamma", "trigamma"]


def nearest_to_quarter_turns(exponent: int, bits: int) -> float:
    """Give the m 2^exponent, m < 2^bits, that is nearest to a multiple of pi / 2: a convergent's denominator."""
    rest = mp.frac(mp.ldexp(2, exponent) / mp.pi)
    before, m = 0, 1
    while rest:
        rest = 1 / rest
        before, m = m, int(rest) * m + before
        if m >= 2**bits:
            break
        rest = mp.frac(rest)
    before <<= bits - before.bit_length()  # a whole multiple is as near, in units of its own size
    return math.ldexp(before, exponent)


@functools.cache
def angles(dtype: DType) -> tuple[np.ndarray, dict[str, list[mp.mpf]]]:
    """Give angles of all exponents from 2^-10 on, with their functions' exact values."""
    info, rng = np.finfo(dtype.numpy), np.random.default_rng(5)
    exponents = np.arange(-10, info.maxexp)
    even = np.ldexp(rng.uniform(1, 2, (2, exponents.size)), exponents).ravel()
    with mp.workprec(1400):
        hard = [nearest_to_quarter_turns(int(e) - info.nmant, info.nmant + 1) for e in exponents]
        edges = [2.0**28, np.nextafter(2.0**28, 0), float(info.max)] + [HARDEST] * (dtype is FLOAT64)
        x = np.concatenate([even, hard, edges]).astype(dtype.numpy)
        x[::2] *= -1
        x = x[np.isfinite(x)]
        pairs = [mp.cos_sin(mp.mpf(v)) for v in x.tolist()]
        exact = {"sin": [s for _, s in pairs], "cos": [c for c, _ in pairs], "tan": [s / c for c, s in pairs]}
    return x, exact


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ANGLE_BOUNDS)
def test_angles_of_every_exponent(name: str, dtype: DType) -> None:
    x, exact = angles(dtype)
    assert x.size > (3000 if dtype is FLOAT64 else 400)
    for row in runnable():
        for lanes in (1, row.lanes(dtype)):
            with mp.workprec(1400):
                error = ulps(compiled(name, dtype, row, lanes)(x), exact[name])
            worst = int(np.argmax(error))
            at = f"{row.name}: {name}({x[worst]!r}): {error[worst]:.2f} ulp"
            assert error[worst] <= ANGLE_BOUNDS[name][dtype is FLOAT64], at


def test_the_constant_of_the_reduction() -> None:
    with mp.workprec(2000):
        words = int(mp.floor(mp.ldexp(2 / mp.pi, 64 * len(TWO_OVER_PI) - 26)))
    assert words == functools.reduce(lambda long, word: long << 64 | word, TWO_OVER_PI)


def test_the_slope_of_a_sine_far_out() -> None:
    x = sg.symbol("x", (3,), "float64")
    far = np.array([1e300, 0.5, -HARDEST])
    got = sg.function([x], sg.grad(sg.sum(sg.sin(x)), x))(far)
    with mp.workprec(1400):
        exact = [mp.cos(mp.mpf(v)) for v in far.tolist()]
        assert ulps(got, exact).max() <= 1.0


def mixed(name: str, dtype: DType, count: int) -> list[np.ndarray]:
    """Give arguments of which some lanes take the branch and some do not, specials among them."""
    rng = np.random.default_rng(count)
    info = np.finfo(dtype.numpy)
    usual, far = rng.uniform(0.1, 20, count), [1e30, -1e35, INF, -0.5, -7.25, -3.0, 0.0, math.nan, float(info.max)]
    x = np.where(rng.random(count) < 0.3, rng.choice(far, count), usual).astype(dtype.numpy)
    return [x, rng.permutation(usual).astype(dtype.numpy)] if name in BINARY else [x]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BRANCHING)
def test_neighbours_do_not_show_in_the_bits(name: str, dtype: DType) -> None:
    arrays = mixed(name, dtype, 200)
    for row in runnable():
        lanes = row.lanes(dtype)
        function = compiled(name, dtype, row, lanes)
        whole = function(*arrays)
        alone = [function(*(a[k : k + 1] for a in arrays))[0] for k in range(200)]
        np.testing.assert_array_equal(whole, alone)
        for start in range(1, lanes):  # every value in every lane
            np.testing.assert_array_equal(whole[start:], function(*(a[start:] for a in arrays)))
        np.testing.assert_array_equal(whole, compiled(name, dtype, row, 1)(*arrays))


@pytest.mark.parametrize(("name", "dtype"), MATH)
def test_the_interpreter_agrees_to_the_bit(name: str, dtype: DType) -> None:
    kernel = kernel_of(name, dtype, 1)
    arrays = [np.array([1e30, 0.3, -2.75, 6.0, 0.0, -INF, math.nan, 2.0**-130], dtype.numpy)]
    if name == "polygamma":
        arrays = [np.array([1, 2, 3, 4, 50], dtype.numpy)]
    if name in BINARY:
        arrays.append(np.array([0.7, 1.5, -0.2, 3, 2, 1, 7, -1], dtype.numpy)[: arrays[0].size])
    got = np.empty_like(arrays[0])
    meaning.run(kernel, [*arrays, got], {"N": got.size}, MATH)
    np.testing.assert_array_equal(got, compiled(name, dtype, FMA[0], FMA[0].lanes(dtype))(*arrays))


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_the_long_products_stand_in_the_branch_only(name: str) -> None:
    row = host()
    blocks = re.split(r"\n(?=[\w.]+:\n)", emit(kernel_of(name, FLOAT64, row.lanes(FLOAT64)), row))
    long = [block.split(".")[0] for block in blocks if "i128" in block]
    assert long == ["rare", "rare"]  # of whole vectors and of the masked rest


def op(name: str, *args: Const | Name | Load | Op, dtype: DType = FLOAT64) -> Op:
    return Op(name, args, dtype)


def shared_kernel(lanes: int) -> Kernel:
    """Give a loop whose branches share values with what follows, read a `Local`, nest, and may differ in width."""
    x, y, zero = Load("x", (I,), FLOAT64), Load("x", (0,), FLOAT64), Const(0.0, FLOAT64)
    root, state = op("sqrt", op("abs", x)), Name("s", FLOAT64)
    many = op("lt", x, zero, dtype=BOOL)
    inner = op("rarely", op("lt", root, Const(1.0, FLOAT64), dtype=BOOL), op("mul", root, state), x)
    outer = op("rarely", many, inner, root)
    uniform = op("rarely", op("lt", y, zero, dtype=BOOL), op("add", x, state), y)  # one condition for all lanes
    body = (
        Local("s", x),
        Let("a", outer),
        Set("s", op("rarely", many, op("add", state, Const(1.0, FLOAT64)), state)),
        Store("o", (I,), op("add", op("add", Name("a", FLOAT64), inner), op("add", state, uniform))),
        Store("p", (I,), op("rarely", many, y, zero)),
    )
    loop = For("i", 0, N, body, lanes, Tag.VECTOR) if lanes > 1 else For("i", 0, N, body)
    buffers = [Buffer(b, FLOAT64, (N,), Access.IN if b == "x" else Access.OUT) for b in "xop"]
    return Kernel("shared", tuple(buffers), ("N",), (loop,))


def execute(kernel: Kernel, row: Machine, arrays: list[np.ndarray], size: int) -> None:
    function = link({kernel.name: compile_ir(emit(kernel, row), row)}).function(kernel.name)
    pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
    function(pointers, (ctypes.c_int64 * 1)(size), 0, 1, None)


@pytest.mark.parametrize("lanes", [1, 4, 8])
@pytest.mark.parametrize("first", [-2.0, 0.5])
def test_branches_share_values_read_state_and_nest(lanes: int, first: float) -> None:
    x = np.concatenate([[first], np.random.default_rng(6).uniform(-0.3, 3, 20), np.arange(-4.0, 4)])
    kernel = shared_kernel(lanes)
    want = [x, np.zeros_like(x), np.zeros_like(x)]
    meaning.run(kernel, want, {"N": x.size})
    for row in runnable():
        got = [x, np.zeros_like(x), np.zeros_like(x)]
        execute(kernel, row, got, x.size)
        np.testing.assert_array_equal(got[1:], want[1:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_residue_is_what_the_rounding_of_a_product_lost(dtype: DType) -> None:
    rng = np.random.default_rng(7)
    a, b = (np.ldexp(rng.uniform(-2, 2, 101), rng.integers(-20, 20, 101)).astype(dtype.numpy) for _ in "ab")
    x, y = Load("a", (I,), dtype), Load("b", (I,), dtype)
    lost = op("residue", x, y, op("neg", op("mul", x, y, dtype=dtype), dtype=dtype), dtype=dtype)
    buffers = [Buffer(n, dtype, (N,), Access.OUT if n == "o" else Access.IN) for n in "abo"]
    loop = For("i", 0, N, (Store("o", (I,), lost),), 4, Tag.VECTOR)
    kernel = Kernel("lost", tuple(buffers), ("N",), (loop,))
    triples = zip(*np.stack([a, b, a * b]).tolist(), strict=True)
    products = [(Fraction(p) * Fraction(q), Fraction(r)) for p, q, r in triples]
    for row in runnable():
        got = np.zeros_like(a)
        execute(kernel, row, [a, b, got], a.size)
        slack = 0 if row.has_fma or dtype is FLOAT32 else Fraction(1, 2**105)
        for value, (product, rounded) in zip(got.tolist(), products, strict=True):
            assert abs(Fraction(value) - (product - rounded)) <= slack * abs(product), row.name
