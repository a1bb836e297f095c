"""Running sums, sorting and searching: NumPy's values on hard inputs, gradients, the same bits for any threads."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import codegen.kernel
import symgrad as sg
from codegen.machine import runnable
from codegen.program import encode
from symgrad.errors import IndexRangeError, ShapeError
from symgrad.interpreter import evaluate
from symgrad.options import Options

N = sg.dim("N")
SIZES = [0, 1, 2, 3, 7, 8, 9, 100, 1000]
OPTIONS = [Options(threads=2), Options(fuse=False), *(Options(machine=row.name) for row in runnable())]
X = sg.symbol("x", (N,), "float64")
ORDERS = sg.function([X], [op(X, descending=d) for op in (sg.argsort, sg.sort) for d in (False, True)])


def descending(x):
    return x.size - 1 - np.argsort(x[::-1], kind="stable")[::-1]


@pytest.mark.parametrize("size", SIZES)
def test_sorting_numbers_with_many_ties_and_nan(size):
    rng = np.random.default_rng(size)
    x = rng.integers(0, max(size // 2, 1), size).astype("float64")
    x[rng.random(size) < 0.1] = np.nan
    up, down, rising, falling = ORDERS(x)
    np.testing.assert_array_equal(up, np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(down, descending(x))
    np.testing.assert_array_equal(rising, np.sort(x))
    np.testing.assert_array_equal(falling, np.sort(x)[::-1])


@settings(max_examples=50, deadline=None)
@given(npst.arrays(np.float64, st.integers(0, 40), elements=st.floats(width=64)))
def test_sorting_any_floats(x):
    np.testing.assert_array_equal(ORDERS(x)[0], np.argsort(x, kind="stable"))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "uint64", "int64", "float32"])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_sorting_along_any_axis_in_any_dtype(dtype, axis):
    x = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (5, 6, 3)).astype(dtype)
    node = sg.symbol("x", x.shape, dtype)
    got = sg.function([node], [sg.sort(node, axis), sg.argsort(node, axis)])(x)
    np.testing.assert_array_equal(got[0], np.sort(x, axis))
    np.testing.assert_array_equal(got[1], np.argsort(x, axis, kind="stable"))


def test_top_k_takes_the_greatest():
    x = sg.symbol("x", (N, 6))
    data = np.random.default_rng(0).integers(0, 4, (5, 6)).astype("float32")
    values, positions = sg.top_k(x, 3)
    loss = (values * sg.constant([1.0, 2.0, 3.0])).sum()
    got, at, slope = sg.function([x], [values, positions, sg.grad(loss, x)])(data)
    np.testing.assert_array_equal(at, np.stack([descending(row)[:3] for row in data]))
    np.testing.assert_array_equal(got, np.take_along_axis(data, at, 1))
    expected = np.zeros_like(data)
    np.put_along_axis(expected, at, np.array([1, 2, 3], "float32")[None], 1)
    np.testing.assert_array_equal(slope, expected)
    first = sg.top_k(x.T, 2, axis=0)[0]
    np.testing.assert_array_equal(evaluate(first, {x: data}), np.sort(data.T, 0)[::-1][:2])
    with pytest.raises(ShapeError, match="no 7 elements"):
        sg.top_k(x, 7)


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted_is_numpys(side):
    a, v = sg.symbol("a", (N,), "float64"), sg.symbol("v", (3, 50), "float64")
    f = sg.function([a, v], sg.searchsorted(a, v, side))
    rng = np.random.default_rng(0)
    values = rng.integers(-1, 12, (3, 50)).astype("float64")
    values[0, :3] = np.nan, np.inf, -np.inf
    for size in SIZES[:-1]:
        ordered = np.sort(rng.integers(0, 10, size).astype("float64"))
        ordered[size - size // 4 :] = np.nan
        np.testing.assert_array_equal(f(ordered, values), np.searchsorted(ordered, values, side))
    with pytest.raises(ValueError, match="side"):
        sg.searchsorted(a, v, "middle")
    with pytest.raises(ShapeError, match="vector"):
        sg.searchsorted(v, v)


def test_long_sums_in_float32_keep_their_digits():
    x = sg.symbol("x", (N,))
    data = np.random.default_rng(0).random(200_000, dtype="float32")
    got, exact = sg.function([x], sg.cumsum(x))(data), np.cumsum(data, dtype="float64")
    np.testing.assert_allclose(got, exact, rtol=2 * np.finfo("float32").eps)


def test_running_sums_of_what_is_not_finite():
    data = np.array([1, np.inf, 2, -np.inf, 3, np.nan, 0], "float32")
    x = sg.symbol("x", (N,))
    np.testing.assert_array_equal(sg.function([x], sg.cumsum(x))(data), [1, np.inf, np.inf] + [np.nan] * 4)
    big = np.array([3e38, 3e38, -3e38], "float32")
    np.testing.assert_array_equal(sg.function([x], sg.cumsum(x))(big), [big[0], np.inf, np.inf])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint32", "int64"])
def test_integers_are_added_and_multiplied_in_int64(dtype):
    x = sg.symbol("x", (2, N), dtype)
    data = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (2, 5)).astype(dtype)
    for op, reference in ((sg.cumsum, np.cumsum), (sg.cumprod, np.cumprod)):
        for axis in (0, 1, None):
            got = sg.function([x], op(x, axis))(data)
            assert got.dtype == np.int64
            np.testing.assert_array_equal(got, reference(data, axis, dtype="int64"))


def test_taking_along_any_axis_broadcasts():
    x, at = sg.symbol("x", (4, N, 3), "float64"), sg.symbol("at", (1, 2, 3), "int32")
    data, positions = np.random.default_rng(0).random((4, 5, 3)), np.array([[[0, -1, 2], [4, -5, 1]]], "int32")
    taken = sg.take_along_axis(x, at, 1)
    f = sg.function([x, at], [taken, sg.grad(taken.sum(), x), sg.take_along_axis(x, at[0, 0], None)])
    values, slope, flat = f(data, positions)
    wide = np.broadcast_to(positions, (4, 2, 3))
    np.testing.assert_array_equal(values, np.take_along_axis(data, wide % 5, 1))
    expected = np.zeros_like(data)
    np.put_along_axis(expected, wide % 5, 1.0, 1)
    np.testing.assert_array_equal(slope, expected)
    np.testing.assert_array_equal(flat, data.ravel()[positions[0, 0]])
    with pytest.raises(IndexRangeError):
        f(data, positions + 1)
    with pytest.raises(ShapeError, match="rank"):
        sg.take_along_axis(x, at[0], 1)


def test_positions_that_collide_are_added_in_order():
    x, at = sg.symbol("x", (2, N)), sg.symbol("at", (2, 4), "int64")
    f = sg.function([x, at], sg.grad((sg.take_along_axis(x, at) * sg.constant([1.0, 2.0, 4.0, 8.0])).sum(), x))
    got = f(np.zeros((2, 3), "float32"), np.array([[0, 0, 2, 2], [1, 1, 1, 1]]))
    np.testing.assert_array_equal(got, [[3, 0, 12], [0, 15, 0]])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_any_schedule_gives_the_same_bits(options, monkeypatch):
    monkeypatch.setattr(codegen.kernel, "encode", functools.partial(encode, grain=1))  # every thread has work
    x = sg.symbol("x", (N, 333))
    data = np.random.default_rng(0).standard_normal((64, 333)).astype("float32")
    outputs = [sg.cumsum(x, 0), sg.cumsum(x, 1), sg.sort(x, 0), sg.grad((sg.cumprod(x, 1) ** 2).sum(), x)]
    plain = sg.function([x], outputs, options=Options(threads=1, check=True))(data)
    for one, two in zip(plain, sg.function([x], outputs, options=options)(data), strict=True):
        np.testing.assert_array_equal(one, two)
