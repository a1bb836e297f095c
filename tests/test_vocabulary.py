"""NumPy's vocabulary as compositions of rows: values against NumPy, interpreted and compiled, and slopes."""

import math

import numpy as np
import pytest

import symgrad as sg
from symgrad.errors import ShapeError
from symgrad.expr import topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS
from symgrad.options import Options

N = sg.dim("N")
SIZE = 5

# name, ours, NumPy's, the operand's shape
TABLE = [
    ("std", lambda x: sg.std(x), lambda x: np.std(x), (N, 3)),
    ("std-axis", lambda x: sg.std(x, 0, keepdims=True), lambda x: np.std(x, 0, keepdims=True), (N, 3)),
    ("std-sample", lambda x: sg.std(x, 1, ddof=1), lambda x: np.std(x, 1, ddof=1), (N, 3)),
    ("var-sample", lambda x: sg.var(x, 0, ddof=1), lambda x: np.var(x, 0, ddof=1), (N, 3)),
    ("var-all", lambda x: x.var(ddof=2), lambda x: x.var(ddof=2), (N, 3)),
    ("std-method", lambda x: x.std(0, ddof=1), lambda x: x.std(0, ddof=1), (N, 3)),
    ("norm", lambda x: sg.norm(x), lambda x: np.linalg.norm(x), (N, 3)),
    ("norm-axis", lambda x: sg.norm(x, axis=1), lambda x: np.linalg.norm(x, axis=1), (N, 3)),
    ("norm-1", lambda x: sg.norm(x, 1, 0), lambda x: np.linalg.norm(x, 1, 0), (N, 3)),
    ("norm-inf", lambda x: sg.norm(x, math.inf, 1), lambda x: np.linalg.norm(x, np.inf, 1), (N, 3)),
    (
        "norm-keep",
        lambda x: sg.norm(x, axis=0, keepdims=True),
        lambda x: np.linalg.norm(x, axis=0, keepdims=True),
        (N, 3),
    ),
    ("roll", lambda x: sg.roll(x, 2, 0), lambda x: np.roll(x, 2, 0), (N, 3)),
    ("roll-back", lambda x: sg.roll(x, -4, 1), lambda x: np.roll(x, -4, 1), (N, 3)),
    ("roll-far", lambda x: sg.roll(x, 13, 0), lambda x: np.roll(x, 13, 0), (N, 3)),
    ("roll-flat", lambda x: sg.roll(x, 1), lambda x: np.roll(x, 1), (N, 3)),
    ("roll-both", lambda x: sg.roll(x, (1, -1), (0, 1)), lambda x: np.roll(x, (1, -1), (0, 1)), (N, 3)),
    ("pad", lambda x: sg.pad(x, 2), lambda x: np.pad(x, 2), (N, 3)),
    ("pad-ends", lambda x: sg.pad(x, ((1, 0), (0, 2))), lambda x: np.pad(x, ((1, 0), (0, 2))), (N, 3)),
    ("pad-pair", lambda x: sg.pad(x, (1, 2)), lambda x: np.pad(x, (1, 2)), (N, 3)),
    (
        "pad-value",
        lambda x: sg.pad(x, ((1, 2), (0, 1)), constant_values=2.5),
        lambda x: np.pad(x, ((1, 2), (0, 1)), constant_values=2.5),
        (N, 3),
    ),
    ("pad-edge", lambda x: sg.pad(x, ((1, 3), (2, 0)), "edge"), lambda x: np.pad(x, ((1, 3), (2, 0)), "edge"), (N, 3)),
    ("pad-reflect", lambda x: sg.pad(x, (2, 1), "reflect"), lambda x: np.pad(x, (2, 1), "reflect"), (N, 3)),
    ("tile", lambda x: sg.tile(x, 2), lambda x: np.tile(x, 2), (N, 3)),
    ("tile-more", lambda x: sg.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), (N, 3)),
    ("tile-none", lambda x: sg.tile(x, (2, 0)), lambda x: np.tile(x, (2, 0)), (N, 3)),
    ("repeat", lambda x: sg.repeat(x, 3, 0), lambda x: np.repeat(x, 3, 0), (N, 3)),
    ("repeat-last", lambda x: sg.repeat(x, 2, -1), lambda x: np.repeat(x, 2, -1), (N, 3)),
    ("repeat-flat", lambda x: x.repeat(2), lambda x: x.repeat(2), (N, 3)),
    ("split", lambda x: sg.split(x, 3, 1)[1], lambda x: np.split(x, 3, 1)[1], (N, 6)),
    ("split-at", lambda x: sg.split(x, [1, 3])[2], lambda x: np.split(x, [1, 3])[2], (N, 3)),
    ("tril", lambda x: sg.tril(x), lambda x: np.tril(x), (N, 4)),
    ("tril-below", lambda x: sg.tril(x, -1), lambda x: np.tril(x, -1), (2, N, 4)),
    ("triu", lambda x: sg.triu(x, 1), lambda x: np.triu(x, 1), (2, N, 4)),
    ("diagonal", lambda x: sg.diagonal(x), lambda x: np.diagonal(x), (N, N)),
    ("diagonal-up", lambda x: sg.diagonal(x, 2), lambda x: np.diagonal(x, 2), (4, 6)),
    ("diagonal-down", lambda x: sg.diagonal(x, -1), lambda x: np.diagonal(x, -1), (N, N)),
    ("diagonal-off", lambda x: sg.diagonal(x, 7), lambda x: np.diagonal(x, 7), (4, 6)),
    ("diagonal-axes", lambda x: x.diagonal(1, 2, 0), lambda x: x.diagonal(1, 2, 0), (4, N, 4)),
    ("trace", lambda x: sg.trace(x), lambda x: np.trace(x), (N, N)),
    ("trace-stack", lambda x: x.trace(-1, 1, 2), lambda x: x.trace(-1, 1, 2), (N, 4, 3)),
    ("mask", lambda x: x * sg.eye(N, 3, k=-1), lambda x: x * np.eye(len(x), 3, k=-1), (N, 3)),
    ("full", lambda x: x + sg.full(x.shape, 0.25), lambda x: x + np.full(x.shape, 0.25), (N, 3)),
    ("like", lambda x: x + sg.ones_like(x) - sg.zeros_like(x), lambda x: x + 1.0, (N, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "numpys", "shape"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])
def test_values_and_gradients(ours, numpys, shape):
    x = sg.symbol("x", shape, "float64")
    rng = np.random.default_rng(5)
    value = rng.uniform(-1, 1, [SIZE if size is N else size for size in shape])
    expected = numpys(value)
    out = ours(x)
    w = sg.symbol("w", out.shape, "float64")
    weights = rng.uniform(-1, 1, np.shape(expected))
    loss = sg.sum(out * w)
    gradient = sg.grad(loss, x)
    size = sg.symbol("size", (N,))
    function = sg.function([size, x, w], [out, gradient], options=Options(check=True))
    compiled = function(np.zeros(SIZE, "float32"), value, weights)
    for got, slope in (evaluate([out, gradient], {x: value, w: weights, N: SIZE}), compiled):
        assert np.shape(got) == np.shape(expected)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)
        direction = rng.standard_normal(value.shape)
        step = 1e-6 * direction
        ahead = np.sum(weights * (numpys(value + step) - numpys(value - step))) / 2e-6
        assert np.sum(slope * direction) == pytest.approx(ahead, abs=1e-7)


@pytest.mark.parametrize("name", ["roll", "pad", "pad-pair", "tile", "repeat", "tril", "roll-far", "roll-flat"])
def test_axes_without_elements(name):
    _, ours, numpys, shape = next(row for row in TABLE if row[0] == name)
    x = sg.symbol("x", shape, "float64")
    function = sg.function(x, ours(x))
    for size in (0, 1):
        value = np.ones([size if n is N else n for n in shape])
        np.testing.assert_array_equal(function(value), numpys(value))


# -- made of nothing but a shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (sg.zeros((2, 3)), np.zeros((2, 3), "float32")),
        (sg.ones(4, "int32"), np.ones(4, "int32")),
        (sg.full((2, 2), [1.0, 2.0]), np.full((2, 2), [1.0, 2.0], "float32")),
        (sg.full(3, 7), np.full(3, 7)),
        (sg.full((), True), np.full((), True)),
        (sg.eye(3), np.eye(3, dtype="float32")),
        (sg.eye(2, 4, 1, "int64"), np.eye(2, 4, 1, "int64")),
        (sg.eye(3, k=-2, dtype="bool"), np.eye(3, k=-2, dtype="bool")),
        (sg.zeros_like([1, 2]), np.zeros_like([1, 2])),
        (sg.full_like([1, 2], 9, "float64"), np.full_like([1, 2], 9, "float64")),
    ],
)
def test_filled_tensors(node, expected):
    for got in (evaluate(node, dtype=None), sg.function([], node)()):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_symbolic_sizes_and_widths():
    x = sg.symbol("x", (N, 3))
    assert sg.eye(N).shape == (N, N)
    assert sg.pad(x, ((N, 1), (0, 0)), "edge").shape == (2 * N + 1, 3)
    assert sg.repeat(x, N, 1).shape == (N, 3 * N)
    assert sg.tile(x, (N, 2)).shape == (N * N, 6)
    assert [part.shape for part in sg.split(sg.symbol("y", (2 * N,)), 2)] == [(N,), (N,)]
    assert [part.shape for part in sg.split(sg.symbol("y", (6,)), 3)] == [(2,)] * 3
    assert sg.diagonal(sg.symbol("z", (N, N + 2))).shape == (N,)


# -- errors ----------------------------------------------------------------------------------------------------------

X = sg.symbol("X", (N, 4))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: sg.norm(X, 3), ValueError, "order is 1, 2 or inf, not 3"),
        (lambda: sg.norm(X, axis=2), ShapeError, "axis 2 is out of range"),
        (lambda: sg.roll(X, 1.5, 0), TypeError, "a shift is an int"),
        (lambda: sg.roll(X, (1, 2, 3), (0, 1)), ShapeError, "one shift for each axis"),
        (lambda: sg.pad(X, -1), ShapeError, "a width is negative"),
        (lambda: sg.pad(X, ((1, 2), (3, 4), (5, 6))), ShapeError, "a pair of widths for each axis"),
        (lambda: sg.pad(X, 1, "wrap"), ValueError, "unknown mode 'wrap'"),
        (lambda: sg.pad(X, ((0, 0), (4, 0)), "reflect"), ShapeError, "more elements than there are"),
        (lambda: sg.pad(X, 1, constant_values=[1, 2]), ShapeError, "the constant is one number"),
        (lambda: sg.repeat(X, [1, 2]), TypeError, "an int or a Dim"),
        (lambda: sg.repeat(X, -1), ShapeError, "repeats is negative"),
        (lambda: sg.tile(X, (1, -1)), ShapeError, "repeats is negative"),
        (lambda: sg.split(X, 3, 1), ShapeError, "no such number of equal parts"),
        (lambda: sg.split(X, 0, 1), ShapeError, "no such number of equal parts"),
        (lambda: sg.split(X, [5], 1), ShapeError, "outside the axis"),
        (lambda: sg.diagonal(X), ShapeError, "its length is not known"),
        (lambda: sg.diagonal(X, 0, 1, 1), ShapeError, "two different axes"),
        (lambda: sg.tril(X[0]), ShapeError, "two axes or more"),
        (lambda: ROWS["diagonal"](X), ShapeError, "square matrices"),
        (lambda: sg.zeros((2, -1)), ShapeError, "a size is negative"),
        (lambda: sg.full((2, 3), [1, 2]), ShapeError, "do not broadcast"),
        (lambda: sg.var(X, ddof=True), TypeError, "ddof is an int"),
    ],
)
def test_what_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_reflection_too_wide_is_refused_when_sizes_are_known():
    function = sg.function(X, sg.pad(X, ((3, 0), (0, 0)), "reflect"))
    assert function(np.ones((4, 4), "float32")).shape == (7, 4)
    with pytest.raises(ShapeError):
        function(np.ones((3, 4), "float32"))


# -- norm ------------------------------------------------------------------------------------------------------------


def test_the_gradient_of_a_norm_reads_as_in_books():
    A, x, b = sg.symbol("A", (5, 3)), sg.symbol("x", (3,)), sg.symbol("b", (5,))
    assert str(sg.grad(sg.norm(A @ x - b), x)) == "r  = A @ x - b\nt1 = norm(r)\nA.T @ r / t1 * [t1 != 0]"
    assert str(sg.norm(A, axis=1)) == "norm(A, axis=1)"


def test_the_text_of_a_diagonal_names_the_axes_of_stacks():
    assert str(sg.trace(sg.symbol("x", (3, 3)))) == "sum(diagonal(x))"
    assert str(sg.diagonal(sg.symbol("x", (2, 3, 3)), 0, 1, 2)) == "diagonal(x, axis1=-2, axis2=-1)"


# -- facts -----------------------------------------------------------------------------------------------------------


def test_assume_is_the_value_itself():
    x = sg.symbol("x", (3,), "float64")
    y = sg.assume(sg.exp(x), nonzero=True)
    assert str(y) == "exp(x)"
    assert str(2 * sg.assume(x + 1, finite=True)) == "2 * (x + 1)"
    assert str(sg.grad(sg.sum(y), x)) == "exp(x)"
    value = np.array([0.5, 1.0, 2.0])
    function = sg.function(x, [y, sg.grad(sg.sum(y), x)])
    for results in (function(value), evaluate([y, sg.grad(sg.sum(y), x)], {x: value})):
        for got in results:
            np.testing.assert_allclose(got, np.exp(value), rtol=1e-14)
    np.testing.assert_allclose(evaluate(sg.jvp(y, x, np.ones(3)), {x: value}), np.exp(value), rtol=1e-14)


def test_facts_add_up_and_are_interned():
    x = sg.symbol("x", (3,))
    both = sg.assume(sg.assume(x, finite=True), nonzero=True)
    assert both is sg.assume(x, nonzero=True, finite=True)
    assert both.attrs["facts"] == ("finite", "nonzero")
    assert sg.assume(both, finite=True) is both
    assert sg.assume(x) is sg.assume(x, finite=False) is x
    declared = sg.symbol("d", (3,), facts={"finite"})
    assert sg.assume(declared, finite=True) is declared


def test_rules_rely_on_assumed_facts():
    z, y = sg.symbol("z", (N, 3)), sg.symbol("y", (N, 3))
    labels = sg.assume(sg.square(y), rows_sum_to_one=True)

    def loss(target):
        return -sg.sum(target * sg.log_softmax(z)) / N

    assert str(sg.grad(loss(labels), z)) == "P = softmax(z, axis=1)\n(P - y**2) / N"
    general = sg.grad(loss(sg.square(y)), z)
    assert "sum" in {node.op for node in topological([general])}


def test_facts_that_are_refused():
    x = sg.symbol("x", ())
    with pytest.raises(ValueError, match="unknown fact 'finit'.*finite"):
        sg.assume(x, finit=True)
    with pytest.raises(ShapeError, match="no rows that sum to one"):
        sg.assume(x, rows_sum_to_one=True)
    with pytest.raises(TypeError, match="finite is True or False"):
        sg.assume(x, finite="yes")
