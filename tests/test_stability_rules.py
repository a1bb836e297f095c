"""Forms that lose digits or overflow become forms that do not: what they become, and what float32 makes of both."""

import mpmath
import numpy as np
import pytest
from formulas import N, symbol

import symgrad as sg
from symgrad.expr import topological
from symgrad.ops.row import ROWS

x, y = symbol("x", (N, 4)), symbol("y", (N, 4))
e = sg.exp(x)
A = symbol("A", (3, 3))
rows = {"axis": 1, "keepdims": True}

TARGETS = {
    "logsumexp": (sg.log(sg.sum(e, axis=0)), "logsumexp(x, axis=0)"),
    "log of a mean": (sg.log(sg.mean(e, axis=1)), f"logsumexp(x, axis=1) - {np.log(4)}"),
    "log of two": (sg.log(e + sg.exp(y)), "logaddexp(y, x)"),
    "log1p": (sg.log(1 + x), "log1p(x)"),
    "log1p of minus": (sg.log(1 - x), "log1p(-x)"),
    "expm1": (e - 1, "expm1(x)"),
    "1 - exp": (1 - e, "-expm1(x)"),
    "softplus": (sg.log(1 + e), "softplus(x)"),
    "log sigmoid": (sg.log(sg.sigmoid(x)), "-softplus(-x)"),
    "log 1 - sigmoid": (sg.log(1 - sg.sigmoid(x)), "-softplus(x)"),
    "log1p - sigmoid": (sg.log1p(-sg.sigmoid(x)), "-softplus(x)"),
    "1 - sigmoid": (1 - sg.sigmoid(x), "sigmoid(-x)"),
    "sigmoid": (1 / (1 + sg.exp(-x)), "sigmoid(x)"),
    "sigmoid of minus": (1 / (1 + e), "sigmoid(-x)"),
    "sigmoid, as a quotient": (e / (1 + e), "sigmoid(x)"),
    "softmax": (e / sg.sum(e, **rows), "softmax(x, axis=1)"),
    "softmax, shifted": (sg.exp(x - sg.max(x, **rows)) / sg.sum(sg.exp(x - sg.max(x, **rows)), **rows),
                         "softmax(x, axis=1)"),
    "log softmax": (sg.log(sg.softmax(x, axis=1)), "log_softmax(x, axis=1)"),
    "log of softmax by hand": (sg.log(e / sg.sum(e, **rows)), "log_softmax(x, axis=1)"),
    "log softmax, as a difference": (x - sg.logsumexp(x, **rows), "log_softmax(x, axis=1)"),
    "softmax of log softmax": (sg.exp(x - sg.logsumexp(x, **rows)), "softmax(x, axis=1)"),
    "log exp": (sg.log(e), "x"),
    "exp log": (sg.exp(sg.log(x)), "x"),
    "exp log1p": (sg.exp(sg.log1p(x)), "x + 1"),
    "log1p expm1": (sg.log(1 + (e - 1)), "x"),
    "variance": (sg.mean(x**2, axis=0) - sg.mean(x, axis=0) ** 2, "var(x, axis=0)"),
    "variance of all": (sg.mean(x * x) - sg.mean(x) * sg.mean(x), "var(x)"),
    "no variance": (sg.mean(x**2, axis=0) - sg.mean(x) ** 2, "mean(x**2, axis=0) - mean(x)**2"),
    "hypot": (sg.sqrt(x * x + y * y), "hypot(y, x)"),
    "abs": (sg.sqrt(x**2), "abs(x)"),
    "tanh": ((e - sg.exp(-x)) / (e + sg.exp(-x)), "tanh(x)"),
    "sinh": ((e - sg.exp(-x)) / 2, "sinh(x)"),
    "cosh": ((e + sg.exp(-x)) / 2, "cosh(x)"),
    "1 - cos": (1 - sg.cos(x), "2 * sin(0.5 * x)**2"),
    "1 - erf": (1 - sg.erf(x), "erfc(x)"),
    "log det": (sg.log(ROWS["det"](A)), "logdet(A)"),
    "product of exponentials": (e * sg.exp(y), "exp(x + y)"),
    "quotient of exponentials": (e / sg.exp(y), "exp(x - y)"),
    "over an exponential stays": (y / e, "y / exp(x)"),
    "square of an exponential": (e**2, "exp(2 * x)"),
    "tanh's derivative stays": (1 - sg.tanh(x) ** 2, "1 - tanh(x)**2"),
    "power 0": (x**0, "broadcast_to(1, (N, 4))"),
    "power 1/2": (x**0.5, "sqrt(x)"),
    "power -1/2": (x**-0.5, "1 / sqrt(x)"),
    "power -1": (x**-1, "1 / x"),
    "power -2": (x**-2, "1 / x**2"),
    "power 3 stays": (x**3, "x**3"),
    "exact division": (2 * x / 8, "0.25 * x"),
    "inexact division stays": (x / 10, "x / 10"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_target(name):
    before, text = TARGETS[name]
    after = sg.simplify(before)
    assert str(after) == text
    assert sg.simplify(after) is after
    env = {x: np.random.default_rng(0).uniform(0.1, 0.9, (3, 4)), y: np.full((3, 4), 0.7), A: 2 * np.eye(3)}
    used = set(topological([before]))
    given = {node: value for node, value in env.items() if node in used}
    np.testing.assert_allclose(*sg.evaluate([after, before], given), rtol=1e-12, atol=1e-12)


def test_a_sigmoid_that_is_needed_anyway_is_subtracted():
    p = sg.sigmoid(x)
    assert [node.op for node in topological([sg.simplify(p * (1 - p))])].count("sigmoid") == 1


def test_exponentials_that_are_needed_anyway_are_multiplied():
    one, two = sg.simplify([e * sg.exp(y), sg.sin(e)])
    assert one.op == "multiply"
    assert two.args[0] is e


def test_exponentials_of_different_shapes_are_multiplied():
    """An outer product has fewer exponentials than elements."""
    row, column = symbol("r", (4,)), symbol("c", (N, 1))
    assert sg.simplify(sg.exp(row) * sg.exp(column)).op == "multiply"


# What float32 makes of a number, where the form as written loses digits, overflows or underflows.
z = sg.symbol("z", (1,))
EDGES = {
    "log(1 - exp(z)) near 0": (sg.log(1 - sg.exp(z)), -1e-6, lambda t: mpmath.log(-mpmath.expm1(t))),
    "log(1 - exp(z)) far from it": (sg.log(1 - sg.exp(z)), -30.0, lambda t: mpmath.log1p(-mpmath.exp(t))),
    "log(1 + exp(z))": (sg.log(1 + sg.exp(z)), 100.0, lambda t: t),
    "exp(z) - 1": (sg.exp(z) - 1, 1e-6, mpmath.expm1),
    "1 - exp(z)": (1 - sg.exp(z), 1e-6, lambda t: -mpmath.expm1(t)),
    "1 - sigmoid(z)": (1 - sg.sigmoid(z), 30.0, lambda t: 1 / (1 + mpmath.exp(t))),
    "exp(z) / (1 + exp(z))": (sg.exp(z) / (1 + sg.exp(z)), 100.0, lambda t: 1 / (1 + mpmath.exp(-t))),
    "log(sigmoid(z))": (sg.log(sg.sigmoid(z)), -120.0, lambda t: t),
    "exp(z) * exp(-1.5 z)": (sg.exp(z) * sg.exp(-1.5 * z), 70.0, lambda t: mpmath.exp(-t / 2)),
    "1 - cos(z)": (1 - sg.cos(z), 1e-4, lambda t: 1 - mpmath.cos(t)),
    "1 - erf(z)": (1 - sg.erf(z), 6.0, mpmath.erfc),
    "sinh": ((sg.exp(z) - sg.exp(-z)) / 2, 1e-5, mpmath.sinh),
    "tanh": ((sg.exp(z) - sg.exp(-z)) / (sg.exp(z) + sg.exp(-z)), 100.0, mpmath.tanh),
    "sqrt(z * z + 1)": (sg.sqrt(z * z + sg.square(2 * z)), 1e25, lambda t: t * mpmath.sqrt(5)),
    "softmax": (sg.sum(sg.exp(z) / sg.sum(sg.exp(z), axis=0, keepdims=True), keepdims=True), 200.0, lambda t: 1),
}


@pytest.mark.parametrize("name", EDGES)
def test_float32_is_accurate_after_and_was_not_before(name):
    expr, point, exact = EDGES[name]
    value = np.float32([point])
    with mpmath.workdps(40):
        true = float(exact(mpmath.mpf(float(value[0]))))
    before = float(sg.evaluate(expr, {z: value}, dtype="float32")[0])
    after = float(sg.evaluate(sg.simplify(expr), {z: value}, dtype="float32")[0])
    assert abs(after - true) <= 1e-6 * abs(true)
    assert not abs(before - true) <= 1e-5 * abs(true)


def test_a_small_variance_of_large_numbers_keeps_its_digits():
    values = np.float32(10_000 + np.arange(8) / 8)
    v = sg.symbol("v", (8,))
    written = sg.mean(v**2) - sg.mean(v) ** 2
    exact = np.var(values.astype(float))
    assert abs(sg.evaluate(sg.simplify(written), {v: values}, dtype="float32") - exact) < 1e-5 * exact
    assert abs(sg.evaluate(written, {v: values}, dtype="float32") - exact) > 0.1 * exact


def test_gradients_are_of_the_stable_form():
    loss = sg.sum(sg.log(1 - sg.exp(-sg.softplus(z))))  # log(sigmoid(z)) in disguise
    gradient = sg.grad(loss, z)
    for point in (-80.0, -5.0, 3.0, 80.0):
        got = float(sg.evaluate(gradient, {z: [point]})[0])
        assert got == pytest.approx(1 / (1 + np.exp(point)), rel=1e-9, abs=1e-30)
