"""Reductions and composites: values against NumPy, the folds' formulas, extremes, dtypes, refusals."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from row_cases import calls

import symgrad as sg
from symgrad import ops
from symgrad.dtypes import BOOL, FLOAT32, INT64, as_dtype
from symgrad.errors import DTypeError, ShapeError
from symgrad.formula import parse
from symgrad.interpreter import evaluate
from symgrad.ops import dim, symbol
from symgrad.ops.calculus import compute
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Composite, Fold
from symgrad.reverse import grad, vjp

N = dim("N")
INF, NAN = np.inf, np.nan
NUMPY = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "argmax": np.argmax, "argmin": np.argmin,
    "any": np.any, "all": np.all, "mean": np.mean, "var": np.var,
}  # fmt: skip
FOLDS = [name for name, row in ROWS.items() if isinstance(row.structure, Fold)]
AXES = [None, 0, 1, -1, (0, 1), (-1, 0), ()]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", NUMPY)
def test_functions_agree_with_numpy(name, axis, keepdims):
    if name.startswith("arg") and isinstance(axis, tuple):
        axis = None
    x, array = symbol("x", (N, 4)), np.random.default_rng(0).standard_normal((3, 4))
    out = getattr(ops, name)(x, axis=axis, keepdims=keepdims)
    value = evaluate(out, {x: array})
    np.testing.assert_allclose(value, NUMPY[name](array, axis=axis, keepdims=keepdims), rtol=1e-14)
    assert np.shape(value) == tuple(3 if size == N else size for size in out.shape)


# -- the folds' formulas, run as lowering may run them -----------------------------------------------------------------


def run_fold(fold, elements, dtype, out, partials):
    """Fold with interleaved partial states, joined as a tree: position i goes to partial i % partials."""
    types = [{"x": dtype, "out": out}.get(kind, kind) for _, kind in fold.state]
    types = [as_dtype(t) for t in types]

    def values(formulas, env):
        return tuple(compute(parse(f), env, t).astype(t.numpy) for f, t in zip(formulas, types, strict=True))

    names = [name for name, _ in fold.state]
    states = [values(fold.init, {}) for _ in range(partials)]
    for i, element in enumerate(elements):
        env = {**dict(zip(names, states[i % partials], strict=True)), "x": element, "i": np.int64(i)}
        states[i % partials] = values(fold.step, env)
    while len(states) > 1:
        later = {f"{name}_": part for name, part in zip(names, states.pop(), strict=True)}
        states[-1] = values(fold.combine, {**dict(zip(names, states[-1], strict=True)), **later})
    return compute(parse(fold.finish), dict(zip(names, states[0], strict=True)), out)


@given(
    name=st.sampled_from(FOLDS), partials=st.integers(1, 5), data=st.data(),
    dtype=st.sampled_from(["float32", "int64"]),
)  # fmt: skip
def test_fold_formulas_mean_what_the_oracle_computes(name, partials, data, dtype):
    row = ROWS[name]
    if name in ("any", "all"):
        dtype, element = "bool", st.booleans()
    elif dtype == "float32":
        element = st.sampled_from([-INF, -2.0, -0.5, 0.0, 1.0, 1.5, 2.0, INF, NAN])
    else:
        element = st.integers(-3, 3)
    items = data.draw(st.lists(element, min_size=0 if row.structure.empty else 1, max_size=9))
    array = np.array(items, dtype)
    x = symbol("x", (N,), dtype)
    out = row(x, axes=(0,), keepdims=False)
    with np.errstate(all="ignore"):
        expected = row.oracle(array, axes=(0,), keepdims=False)
        got = run_fold(row.structure, array, x.dtype, out.dtype, partials)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


# -- dtypes and empty axes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64"])
def test_sums_of_integers_are_int64(dtype):
    x = symbol("x", (N,), dtype)
    array = np.ones(300, dtype)
    for total in (ops.sum(x), ops.prod(x)):
        assert total.dtype is INT64
    assert evaluate(ops.sum(x), {x: array}, dtype=None) == 300


def test_dtypes_of_the_others():
    x, b = symbol("x", (N,), "int32"), symbol("b", (N,), "bool")
    assert ops.max(x).dtype == "int32"
    assert ops.max(b).dtype is BOOL
    assert ops.mean(x).dtype is ops.softmax(x).dtype is ops.var(b).dtype is FLOAT32
    assert ops.argmax(x).dtype is INT64
    assert ops.any(x).dtype is ops.all(symbol("f", (3,))).dtype is BOOL
    with pytest.raises(DTypeError, match="any takes bool"):
        ROWS["any"](x, axes=(0,), keepdims=False)


def test_reductions_of_nothing():
    x, y = symbol("x", (0, 3)), symbol("y", (N, 3))
    assert evaluate(ops.sum(x), {x: np.ones((0, 3))}) == 0
    assert evaluate(ops.prod(x), {x: np.ones((0, 3))}) == 1
    assert evaluate(ops.max(x, axis=1), {x: np.ones((0, 3))}).shape == (0,)
    assert evaluate(ops.logsumexp(x), {x: np.ones((0, 3))}) == -INF
    assert evaluate(ROWS["logsumexp"].structure.define(ops.logsumexp(x)), {x: np.ones((0, 3))}) == -INF
    assert np.isnan(evaluate(ops.mean(x), {x: np.ones((0, 3))}))
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(ShapeError, match=rf"{name}: nothing to choose from; x is \(0, 3\)"):
            getattr(ops, name)(x, axis=0)
        with pytest.raises(ShapeError, match=f"{name}: nothing to choose from"):
            evaluate(getattr(ops, name)(y, axis=0), {y: np.ones((0, 3))})
    for nothing in (ops.softmax(x, axis=0), ops.log_softmax(x, axis=0), grad(ops.sum(ops.logsumexp(x, axis=0)), x)):
        assert evaluate(nothing, {x: np.ones((0, 3))}).shape == (0, 3)
        assert sg.function([x], nothing)(np.ones((0, 3))).shape == (0, 3)


# -- composites ------------------------------------------------------------------------------------------------------

DEFINED = [call for call in calls() if isinstance(call.row.structure, Composite) and call.node.dtype.is_float]


@pytest.mark.parametrize("call", DEFINED, ids=str)
def test_definitions_mean_what_the_oracle_computes(call):
    node = call.node
    definition = call.row.structure.define(node)
    assert definition.type == node.type
    for n in set(call.case.sizes) - {0}:  # the maximum of nothing is refused, here by the referee
        env = {dim("n"): n, dim("m"): n, **dict(zip(call.operands, call.draw(n), strict=True))}
        np.testing.assert_allclose(*evaluate([definition, node], env), rtol=1e-13)


EXTREMES = [
    [1000.0, 1000.0, -1000.0], [-1000.0, -1001.0, -1002.0], [-INF, 0.0, 1.0], [-INF, -INF, -INF], [INF, 0.0, 1.0],
    [INF, -INF, 3.0], [NAN, 0.0, INF], [88.0, 89.0, 90.0],
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("values", EXTREMES, ids=str)
def test_extremes(values, name, dtype):
    x = symbol("x", (3,), dtype)
    node = getattr(ops, name)(x)
    got, defined = evaluate([node, ROWS[name].structure.define(node)], {x: values}, dtype=None)
    with np.errstate(all="ignore"):
        shifted = np.array(values) - np.max(values)
        exponentials = np.exp(shifted)
        expected = {
            "softmax": exponentials / exponentials.sum(),
            "log_softmax": shifted - np.log(exponentials.sum()),
            "logsumexp": np.logaddexp.reduce(np.array(values)),
        }[name]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    np.testing.assert_allclose(defined, expected, rtol=1e-6)


@pytest.mark.parametrize("values", [[1000.0, 1000.0, -1000.0], [-INF, 0.0, 1.0], [-1000.0, -1001.0, 0.0]], ids=str)
def test_gradients_stay_finite_at_extremes(values):
    x, w = symbol("x", (3,)), np.array([1.0, -2.0, 3.0])
    p = evaluate(ops.softmax(x), {x: values})
    expected = {"softmax": p * (w - p @ w), "log_softmax": w - p * w.sum(), "logsumexp": p}
    for name, slope in expected.items():
        g = ops.constant(w if name != "logsumexp" else 1.0, "float32")
        got = evaluate(vjp(getattr(ops, name)(x), x, g), {x: values}, dtype=None)
        np.testing.assert_allclose(got, slope, rtol=1e-5, atol=1e-7)
    pair = ops.logsumexp(ops.reshape(x, (3, 1)), axis=(0, 1))
    np.testing.assert_allclose(evaluate(grad(pair, x), {x: values}), p, rtol=1e-12)


def test_variance_does_not_cancel():
    x = symbol("x", (4,))
    assert evaluate(ops.var(x), {x: np.array([0.0, 1, 2, 3]) + 1000}, dtype=None) == np.float32(1.25)


def test_a_mean_divides_by_the_dimension_last():
    x = symbol("x", (N, 4))
    (g,) = ROWS["mean"].vjp(ops.mean(x), symbol("g"))
    assert g.op == "broadcast_to"
    divide = g.args[0]
    assert divide.op == "divide"
    assert divide.args[1].attrs["size"] == 4 * N


# -- refusals --------------------------------------------------------------------------------------------------------

X = symbol("rows", (N, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.sum(X, axis=2), ShapeError,
            r"sum: axis 2 is out of range; rows is \(N, 3\) \(test_red.*:\d+; rows declared .*:\d+\)\. Valid: -2 to 1",
        ),
        (lambda: ops.max(X, axis=-3), ShapeError, "axis -3"),
        (lambda: ops.sum(X, axis=(0, -2)), ShapeError, "given twice"),
        (lambda: ops.sum(symbol("s"), axis=0), ShapeError, "A scalar has no axes"),
        (lambda: ops.sum(X, axis="rows"), TypeError, "not str"),
        (lambda: ops.sum(X, axis=True), TypeError, "not bool"),
        (lambda: ops.argmax(symbol("t", (2, 3, 4)), axis=(0, 1)), ShapeError, "argmax takes one axis, or all"),
        (lambda: ops.softmax(X, axis=(0, 1)), TypeError, "softmax works along one axis"),
        (lambda: ops.softmax(X, axis=2), ShapeError, "softmax: axis 2"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_positions_of_equals_and_nans():
    x = symbol("x", (5,))
    for values in itertools.product([1.0, 2.0, NAN], repeat=5):
        got = evaluate([ops.argmax(x), ops.argmin(x)], {x: values})
        assert got == [np.argmax(values), np.argmin(values)]
