"""Sums of ten million float32 numbers: the error grows at most with the logarithm of their number.

Every bound is `FACTOR * log2(n) * eps * scale`, scale being the sum of the magnitudes that are added. A plain running
sum misses it by a factor of hundreds (`tenths`: each addition rounds to the same side).
"""

import math

import numpy as np
import pytest

import symgrad as sg
from codegen.machine import runnable
from symgrad.options import Options

COUNT = 10_000_000
ROWS = 3_000_000
FACTOR = 4
EPS = 2.0**-23
N = sg.dim("N")
DATA = {
    "ones": lambda rng, n: np.ones(n),
    "tenths": lambda rng, n: np.full(n, 0.1),
    "random": lambda rng, n: rng.random(n, dtype="float32"),
    "alternating": lambda rng, n: (1 - 2 * (np.arange(n) % 2)) * rng.random(n, dtype="float32"),
}


def logsumexp(x):
    return x.max() + math.log(np.exp(x - x.max()).sum())


# name -> the operator, its value in float64, the scale of its error
REDUCTIONS = {
    "sum": (sg.sum, np.sum, lambda x: np.abs(x).sum()),
    "mean": (sg.mean, np.mean, lambda x: np.abs(x).mean()),
    "var": (sg.var, np.var, lambda x: np.var(x) + EPS * np.mean(x) ** 2),
    "norm": (sg.norm, np.linalg.norm, np.linalg.norm),
    "norm_1": (lambda x: sg.norm(x, ord=1), lambda x: np.abs(x).sum(), lambda x: np.abs(x).sum()),
    "logsumexp": (sg.logsumexp, logsumexp, lambda x: 1 + abs(logsumexp(x))),
}


@pytest.fixture(scope="module", params=DATA)
def x(request):
    return DATA[request.param](np.random.default_rng(1), COUNT).astype("float32")


@pytest.fixture(scope="module")
def wide(x):
    return x.astype("float64")


def bound(scale, n=COUNT, factor=FACTOR):
    return factor * math.log2(n) * EPS * scale


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, x, wide):
    operator, value, scale = REDUCTIONS[name]
    v = sg.symbol("v", (N,))
    got = sg.function([v], operator(v))(x)
    assert got.dtype == "float32"
    assert abs(float(got) - value(wide)) <= bound(scale(wide))


def test_running_sums(x, wide):
    v = sg.symbol("v", (N,))
    got = sg.function([v], sg.cumsum(v))(x)
    error = np.abs(got - np.cumsum(wide))
    assert (error <= bound(np.cumsum(np.abs(wide)), 2)).all()  # compensated: it does not grow at all


def test_inner_products(x, wide):
    v, w = sg.symbol("v", (N,)), sg.symbol("w", (N,))
    weights = np.resize(np.array([0.3, -0.7, 1.1], "float32"), COUNT)
    got = sg.function([v, w], v @ w)(x, weights)
    products = wide * weights
    assert abs(float(got) - products.sum()) <= bound(np.abs(products).sum())


def test_sums_over_rows_and_matrix_products(x, wide):
    """Reduce over the leading axis, and multiply matrices whose inner axis is long: in chains of 1024 products."""
    rows = np.stack([x[:ROWS], x[-ROWS:]], axis=1)
    a, b = sg.symbol("a", (N, 2)), sg.symbol("b", (N, 2))
    total, product = sg.function([a, b], [sg.sum(a, axis=0), a.T @ b])(rows, rows[:, ::-1].copy())
    exact = rows.astype("float64")
    limit = bound(np.abs(exact).sum(axis=0), ROWS)
    assert (np.abs(total - exact.sum(axis=0)) <= limit).all()
    limit = bound(np.abs(exact).T @ np.abs(exact[:, ::-1]), ROWS, factor=6)
    assert (np.abs(product - exact.T @ exact[:, ::-1]) <= limit).all()


@pytest.mark.parametrize("machine", [row.name for row in runnable()])
@pytest.mark.parametrize("tiles", [None, (5, 16), (7, 32)])
def test_long_products_of_many_rows_keep_to_their_blocks(machine, tiles):
    """Rows pass in blocks while the chunks of a sum do: no tile lies in two of them, or beyond the last row."""
    draw = np.random.default_rng(0)
    for rows, packing in ((540, None), (540, True), (1031, None)):
        a, b = (draw.integers(-2, 3, shape).astype("float32") for shape in ((rows, 1030), (1030, 70)))
        x, y = sg.symbol("x", a.shape), sg.symbol("y", b.shape)
        W = sg.parameter("W", (rows, 70), init="zeros")
        W.value = start = draw.integers(-9, 10, (rows, 70)).astype("float32")
        options = Options(machine=machine, tiles=tiles, packing=packing, poison=True, check=True)
        sg.function([x, y], [], updates={W: W + x @ y}, options=options)(a, b)
        np.testing.assert_array_equal(W.value, start + a @ b)
