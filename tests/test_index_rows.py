"""Indexing: `x[...]` against NumPy, the rows at computed positions, what is refused and how."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symgrad.ops as sg
from symgrad.errors import DTypeError, IndexRangeError, ShapeError
from symgrad.interpreter import evaluate
from symgrad.ops.layout import requirements
from symgrad.ops.row import ROWS
from symgrad.shape import dim

N, K = dim("N"), dim("K")
X = np.arange(4 * 3 * 5.0).reshape(4, 3, 5)
bounds = st.none() | st.integers(-7, 7)
steps = st.none() | st.integers(-3, 3).filter(bool)


def keys():
    item = st.builds(slice, bounds, bounds, steps) | st.integers(-3, 2) | st.none() | st.just(Ellipsis)
    return st.lists(item, max_size=4).map(tuple)


@given(keys())
def test_basic_indexing_is_numpys(key):
    x = sg.symbol("x", X.shape)
    try:
        expected = X[key]
    except IndexError:
        with pytest.raises(IndexRangeError):
            x[key]
        return
    node = x[key]
    assert node.shape == expected.shape
    np.testing.assert_array_equal(evaluate(node, {x: X}), expected)


@pytest.mark.parametrize(
    "key",
    [
        0, -1, slice(1, None), slice(None, -1), slice(None, 3), slice(-2, None), slice(None, None, -1), slice(3, 0, -1),
        slice(None, None, 2), slice(1, None, 2), slice(-1, 0, -2), slice(2, 1), (slice(1, -1), 2), (..., 0),
        (0, None, 1),
    ],
    ids=str,
)  # fmt: skip
def test_indexing_a_symbolic_axis(key):
    x = sg.symbol("x", (N, 3, 5))
    node = x[key]
    np.testing.assert_array_equal(evaluate(node, {x: X}), X[key])


def test_sizes_of_symbolic_slices():
    x = sg.symbol("x", (N, 3))
    assert x[1:].shape == x[:-1].shape == (N - 1, 3)
    assert x[:4].shape == x[-4:].shape == (4, 3)
    assert x[::-1].shape == (N, 3)
    assert x[: N - 1].shape == (N - 1, 3)
    assert x[N - 1] is x[-1]
    assert x[:] is x
    assert x[...] is x
    assert sg.symbol("w", (9,))[:K].shape == (K,)
    assert requirements(sg.symbol("w", (9,))[:K]) == (9 - K,)
    with pytest.raises(ShapeError):
        evaluate(x[:4], {x: np.zeros((3, 3))})


def test_positions_may_be_arrays():
    x = sg.symbol("x", (N, 3, 5))
    i = sg.symbol("i", (2, 2), "int32")
    positions = np.array([[0, -1], [2, 1]])
    env = {x: X, i: positions}
    for key, numpys in [
        ((i,), (positions,)),
        ((slice(None), i), (slice(None), positions)),
        ((slice(1, None), 0, i), (slice(1, None), 0, positions)),
        ((i, slice(None), 0), (positions, slice(None), 0)),
        ((..., positions, None), (..., positions, None)),
        ((slice(None), [2, 0]), (slice(None), [2, 0])),
    ]:
        np.testing.assert_array_equal(evaluate(x[key], env), X[numpys])
    k = sg.symbol("k", (), "int64")
    np.testing.assert_array_equal(evaluate(x[:, k], {x: X, k: 2}), X[:, 2])
    assert x[[]].shape == (0, 3, 5)


def test_one_element_of_each_row():
    z, y = sg.symbol("z", (N, 10)), sg.symbol("y", (N,), "int32")
    node = z[sg.arange(N), y]
    assert node.op == "pick"
    assert node is sg.pick(z, y)
    assert z[sg.arange(N, dtype="int32").astype("int64"), y] is node
    values, labels = np.random.default_rng(0).random((4, 10)), np.array([3, -1, 0, 9])
    np.testing.assert_array_equal(evaluate(node, {z: values, y: labels}), values[np.arange(4), labels])
    static, rows = sg.symbol("z", (4, 10)), np.arange(4)
    np.testing.assert_array_equal(evaluate(static[rows, labels], {static: values}), values[rows, labels])


def test_the_gradient_of_pick_counts_negative_positions_from_the_end():
    z, y, g = sg.symbol("z", (N, 4)), sg.symbol("y", (N,), "int32"), sg.symbol("g", (N,))
    cotangent, none = ROWS["pick"].vjp(sg.pick(z, y), g)
    assert none is None
    value = evaluate(cotangent, {z: np.zeros((3, 4)), y: np.array([1, -1, 3]), g: np.array([5.0, 6.0, 7.0])})
    np.testing.assert_array_equal(value, [[0, 5, 0, 0], [0, 0, 0, 6], [0, 0, 0, 7]])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_one_hot_and_its_definition_agree(dtype):
    y = sg.symbol("y", (N,), dtype)
    node = sg.one_hot(y, 300 if dtype == "uint8" else 5)
    labels = np.array([0, 4, 2, 3], dtype)
    if np.dtype(dtype).kind == "i":
        labels[3] = -2
    defined = ROWS["one_hot"].structure.define(node)
    assert defined.type == node.type
    np.testing.assert_array_equal(evaluate(node, {y: labels}), evaluate(defined, {y: labels}))
    assert evaluate(node, {y: labels}).sum() == 4
    with pytest.raises(IndexRangeError, match="one_hot"):
        evaluate(node if dtype != "uint8" else sg.one_hot(y, 5), {y: labels + 5})


def test_take_flattens_without_an_axis():
    x = sg.symbol("x", X.shape)
    np.testing.assert_array_equal(evaluate(sg.take(x, [0, -1, 7]), {x: X}), np.take(X, [0, -1, 7]))
    np.testing.assert_array_equal(evaluate(x.take([0, 2], axis=-1), {x: X}), np.take(X, [0, 2], -1))


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (4, IndexRangeError, r"index 4 is outside axis 0; x is \(4, 3, 5\)"),
        ((0, -4), IndexRangeError, "index -4 is outside axis 1.*Valid: -3 to 2"),
        ((0, 0, 0, 0), IndexRangeError, "4 indices are too many"),
        ((..., 0, ...), IndexRangeError, "more than one"),
        ([0, 4], IndexRangeError, "position 4 is outside an axis of size 4"),
        ((slice(None), [0, -4]), IndexRangeError, "position -4"),
        (True, DTypeError, "Use sg.where"),
        (X > 3, DTypeError, "Use sg.where"),
        (sg.symbol("x", X.shape) > 3, DTypeError, "Use sg.where"),
        ([0.5], DTypeError, "has integers; float32"),
        (0.5, TypeError, "not float"),
        ("name", TypeError, "not str"),
        (([0, 1], [0, 1]), ShapeError, r"arrays of positions on several axes.*z\[sg.arange\(4\), y\]"),
        ((0, slice(None), [0, 1]), ShapeError, r"Index in two steps, as in x\[0\]\[:, positions\]"),
        ((slice(None), 0, None, [0, 1]), ShapeError, "Index in two steps"),
        (slice(None, None, 0), ValueError, "step"),
    ],
    ids=str,
)
def test_bad_keys(key, error, message):
    x = sg.symbol("x", X.shape)
    with pytest.raises(error, match=message):
        x[key]


def test_symbolic_rows_need_the_first_axis_own_size():
    z, y = sg.symbol("z", (N, 10)), sg.symbol("y", (K,), "int32")
    for key in [(sg.arange(K), y), (sg.arange(N) + 1, y), (sg.arange(1, N + 1), y), (sg.arange(N), y)]:
        with pytest.raises(ShapeError, match=r"z\[sg.arange\(N\), y\]"):
            z[key]


def test_rows_refuse_wrong_operands():
    z = sg.symbol("z", (N, 10))
    with pytest.raises(DTypeError, match="positions are integers; float32"):
        sg.take(z, [0.5], axis=0)
    with pytest.raises(ShapeError, match="one position per row"):
        sg.pick(z, sg.symbol("y", (N, 2), "int32"))
    with pytest.raises(ShapeError, match="axis 2 is out of range"):
        sg.take(z, [0], axis=2)
    with pytest.raises(IndexRangeError, match="position 10"):
        sg.take(z, 10, axis=1)
    with pytest.raises(DTypeError, match="one_hot: positions are integers"):
        sg.one_hot(z, 3)
    with pytest.raises(ShapeError, match="one value per position"):
        ROWS["scatter_add"](z, sg.symbol("y", (K,), "int32"), axis=0, size=4)
