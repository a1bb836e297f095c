"""The referee: binding, dtypes, structures, memory, refusals."""

import dataclasses
import weakref

import numpy as np
import pytest

from symgrad import ops
from symgrad.dtypes import FLOAT32
from symgrad.errors import DTypeError, IndexRangeError, ShapeError
from symgrad.expr import parameter_node
from symgrad.interpreter import evaluate
from symgrad.ops import dim, symbol
from symgrad.ops.row import ROWS

N, M = dim("N"), dim("M")
x, y, k = symbol("x", (N, 3)), symbol("y", (N,)), symbol("k", (N,), "int32")
ONES = np.ones((2, 3))


def test_the_structure_comes_back():
    s = symbol("s")
    out = evaluate({"a": s, "b": [s + 1, (s + 2,)]}, {s: 1.0})
    assert out == {"a": 1.0, "b": [2.0, (3.0,)]}
    assert isinstance(out["a"], np.float64)


def test_names_are_keys_too():
    assert evaluate(ops.sum(x), {"x": ONES}) == 6


def test_any_expression_can_be_given():
    h = ops.exp(x)
    assert evaluate(ops.sum(h * 2), {h: ONES}) == 12


def test_parameters_default_to_their_values():
    W = parameter_node("W", np.full((3,), 2.0), FLOAT32)
    assert evaluate(ops.sum(W), {}) == 6
    assert evaluate(ops.sum(W), {W: [1, 2, 4]}) == 7
    value = evaluate(W, {})
    value[:] = 9
    assert evaluate(ops.sum(W), {}) == 6


def test_dtypes_of_the_computation():
    third = symbol("third")
    assert evaluate(third * 3, {third: 1 / 3}) == 1.0
    assert evaluate(third, {third: 1 / 3}, dtype=None).dtype == np.float32
    assert evaluate(third.astype("float64"), {third: 1 / 3}, dtype=None) == np.float64(np.float32(1 / 3))
    assert evaluate(third.astype("float32"), {third: 1 / 3}) == 1 / 3
    assert evaluate(k, {k: [1, 2]}).dtype == np.int32
    assert evaluate(k.astype("float32"), {k: [1, 2]}).dtype == np.float64
    assert evaluate(x, {x: ONES}, dtype="float32").dtype == np.float32


def test_float64_is_more_accurate_than_the_declared_dtype():
    terms = np.full(100_000, 0.1)
    v = symbol("v", (N,))
    assert abs(evaluate(ops.sum(v), {v: terms}) - 10_000) < 1e-6
    assert evaluate(ops.sum(v), {v: terms}, dtype=None).dtype == np.float32


def test_dimensions_come_from_any_given_array():
    lonely = ops.broadcast_to(ops.constant(2.0), (N, 3))
    assert evaluate(lonely, {y: np.zeros(4)}).shape == (4, 3)
    assert evaluate(lonely, {N: 5}).shape == (5, 3)
    assert evaluate(ops.sum(y) / N, {y: [1.0, 3.0]}) == 2.0


def test_computed_sizes_are_checked_after_the_names_are_known():
    double = symbol("double", (2 * N,))
    assert evaluate(ops.sum(double) + ops.sum(y), {double: np.ones(4), y: np.ones(2)}) == 6
    with pytest.raises(ShapeError, match=r"axis 0 of double has the wrong size; 5 instead of 2\*N = 4"):
        evaluate(ops.sum(double) + ops.sum(y), {double: np.ones(5), y: np.ones(2)})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_rows_keep_their_bits(dtype):
    u = ops.random.uniform(7, (N, 3), dtype=dtype)
    declared = evaluate(u, {N: 4}, dtype=None)
    assert declared.dtype == dtype
    np.testing.assert_array_equal(evaluate(u, {N: 4}), declared)


def test_an_oracle_may_ask_for_its_node(monkeypatch):
    seen = []

    def oracle(array, *, node):
        seen.append((node.op, node.shape, node.ndim, node.size, node.dtype, node.args[0].shape))
        return array

    row = dataclasses.replace(ROWS["exp"], name="watched", oracle=oracle, oracle_wants_node=True, cases=())
    monkeypatch.setitem(ROWS, "watched", row)
    evaluate(row(x), {x: ONES})
    assert seen == [("watched", (2, 3), 2, 6, FLOAT32, (2, 3))]


def test_values_are_dropped_after_their_last_use(monkeypatch):
    alive = []
    exp = ROWS["exp"].oracle

    def oracle(array):
        assert sum(ref() is not None for ref in alive) <= 1, "only the operand is still needed"
        out = exp(array * 0)
        alive.append(weakref.ref(out))
        return out

    monkeypatch.setitem(ROWS, "exp", dataclasses.replace(ROWS["exp"], oracle=oracle, cases=()))
    node = x
    for _ in range(10):
        node = ROWS["exp"](node)
    evaluate(node, {x: ONES})
    assert len(alive) == 10


def test_outputs_alias_nothing():
    array = np.ones((2, 3))
    out = evaluate([x, x.T], {x: array})
    out[0][:] = 5
    out[1][:] = 7
    assert array.sum() == 6


def test_positions_are_checked():
    table = symbol("table", (4, 3))
    np.testing.assert_array_equal(evaluate(ops.take(table, k, axis=0), {table: np.eye(4, 3), k: [-1, 0]})[1], [1, 0, 0])
    with pytest.raises(IndexRangeError, match=r"take: a position is outside an axis of size 4; 4 at \(1,\) of k"):
        evaluate(ops.take(table, k, axis=0), {table: np.eye(4, 3), k: [0, 4]})


def test_symbolic_slices_are_checked():
    sliced = y[5:N]
    assert evaluate(sliced, {y: np.arange(7.0)}).tolist() == [5, 6]
    with pytest.raises(ShapeError, match="slice: the positions lie outside"):
        evaluate(sliced, {y: np.arange(3.0)})


@pytest.mark.parametrize(
    ("expr", "env", "error", "message"),
    [
        (x + 1, {}, TypeError, r"needs values for x of type float32\(N, 3\)"),
        (ops.sum(x) + ops.sum(y), {}, TypeError, "x of type .*, y of type"),
        (x, {"X": ONES}, TypeError, "'X' is no symbol of the expression. Did you mean 'x'"),
        (x, {3: ONES}, TypeError, "a key is a symbol or its name, not int"),
        (x, {x: y}, TypeError, "the value of x is an expression"),
        (x, {x: np.ones(3)}, ShapeError, r"x has the wrong rank; \(3,\) instead of \(N, 3\)"),
        (x, {x: np.ones((2, 4))}, ShapeError, "axis 1 of x has the wrong size; 4 instead of 3"),
        (
            ops.sum(x) + ops.sum(y), {x: ONES, y: np.ones(5)}, ShapeError,
            r"dimension N has two values; 2 \(axis 0 of x\), 5 \(axis 0 of y\)",
        ),
        (ops.sum(x), {x: ONES, N: 3}, ShapeError, r"two values; 3 \(the value given for N\), 2 \(axis 0 of x\)"),
        (ops.sum(x), {x: ONES, M: -1}, ShapeError, "M must be an int that is not negative"),
        (ops.sum(x), {x: ONES, 2 * M: 4}, TypeError, "is no dimension but made of some"),
        (ops.broadcast_to(ops.constant(1.0), (M,)), {}, ShapeError, "dimension M has no value"),
        (k, {k: [0.5, 1.0]}, DTypeError, "k is int32; float64 values"),
        (k, {k: np.array([2**31, 0])}, DTypeError, "k is int32; int64 values"),
        (x, {x: ONES * 1j}, DTypeError, "complex128"),
        (x, {x: np.array([["a"] * 3])}, DTypeError, "x is float32"),
        ("x", {}, TypeError, "evaluate takes expressions"),
    ],
)  # fmt: skip
def test_refusals(expr, env, error, message):
    with pytest.raises(error, match=message):
        evaluate(expr, env)


def test_only_float_dtypes_compute():
    with pytest.raises(DTypeError, match="float dtype; int32"):
        evaluate(x, {x: ONES}, dtype="int32")


def test_integers_that_fit_are_converted():
    assert evaluate(k, {k: np.array([1, 2], np.int64)}).dtype == np.int32
    assert evaluate(x, {x: np.ones((2, 3), np.uint8)}).dtype == np.float64
    assert evaluate(k, {k: []}).shape == (0,)
