"""The reverse sweep: every row's gradient against central differences, and what gradients mean on graphs."""

import dataclasses
import functools
import gc
import sys
import time

import numpy as np
import pytest
from row_cases import calls

from symgrad import ops, side
from symgrad.dtypes import FLOAT32, FLOAT64
from symgrad.errors import GradientError
from symgrad.expr import constant_node, interned_count, parameter_node, symbol_node, topological
from symgrad.interpreter import evaluate
from symgrad.ops import dim, symbol
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Composite
from symgrad.reverse import grad, value_and_grad, vjp

STEP = 1e-6
N = dim("N")
DIFFERENTIABLE = [
    call
    for call in calls()
    if call.row.name != "stop_gradient"
    and call.row.differentiable
    and call.node.dtype.is_float
    and any(x.dtype.is_float for x in call.operands)
]


def test_only_rows_with_floats_as_results_are_differentiable():
    floats = {call.row.name for call in calls() if call.node.dtype.is_float}
    assert [row.name for row in ROWS.values() if row.cases and row.differentiable and row.name not in floats] == []


def weighted_loss(node, name="weight"):
    """Reduce to a scalar in which every element of the node counts differently."""
    weight = symbol_node(name, node.shape, node.dtype)
    return weight, ops.sum(node * weight)


def check_slope(f, gradient, point, rng):
    """Compare a gradient with the central difference along two random directions."""
    for _ in range(2):
        direction = [rng.standard_normal(x.shape) for x in point]
        ahead = f([x + STEP * d for x, d in zip(point, direction, strict=True)])
        behind = f([x - STEP * d for x, d in zip(point, direction, strict=True)])
        slope = sum(float(np.sum(g * d)) for g, d in zip(gradient, direction, strict=True))
        scale = 1 + abs(ahead) + sum(float(np.sum(np.abs(g * d))) for g, d in zip(gradient, direction, strict=True))
        assert (ahead - behind) / (2 * STEP) == pytest.approx(slope, abs=1e-6 * scale)


def split(call, n):
    """Give the float operands, their values, and the values of the others."""
    pairs = list(zip(call.operands, call.draw(n), strict=True))
    floats = [x for x, _ in pairs if x.dtype.is_float]
    fixed = {dim("n"): n, dim("m"): n, **{x: v for x, v in pairs if not x.dtype.is_float}}
    return floats, [v for x, v in pairs if x.dtype.is_float], fixed


@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=str)
def test_gradients_of_rows_are_slopes(call):
    rng = np.random.default_rng(1)
    weight, loss = weighted_loss(call.node)
    floats = split(call, 1)[0]
    gradients = grad(loss, floats, simplify=False)
    assert [g.type for g in gradients] == [x.type for x in floats]
    for n in {0, 1, 17} & set(call.case.sizes):
        floats, point, fixed = split(call, n)
        fixed[weight] = rng.standard_normal(
            evaluate(call.node, {**fixed, **dict(zip(floats, point, strict=True))}).shape
        )

        def value(what, x, floats=floats, fixed=fixed):
            return evaluate(what, {**fixed, **dict(zip(floats, x, strict=True))})

        check_slope(functools.partial(value, loss), value(gradients, point), point, rng)


@pytest.mark.parametrize("call", [call for call in DIFFERENTIABLE if call.row.smooth], ids=str)
def test_second_derivatives_of_smooth_rows_are_slopes(call):
    rng = np.random.default_rng(2)
    weight, loss = weighted_loss(call.node)
    floats = split(call, 1)[0]
    gradients = grad(loss, floats, simplify=False)
    parts = [weighted_loss(g, f"direction{i}") for i, g in enumerate(gradients)]
    slope = functools.reduce(lambda a, b: a + b, [part for _, part in parts])
    seconds = grad(slope, floats, simplify=False, disconnected="zero")
    n = 3 if 3 in call.case.sizes else 1
    floats, point, fixed = split(call, n)
    fixed[weight] = rng.standard_normal(evaluate(call.node, {**fixed, **dict(zip(floats, point, strict=True))}).shape)
    for (direction, _), x in zip(parts, point, strict=True):
        fixed[direction] = rng.standard_normal(x.shape)

    def value(what, x):
        return evaluate(what, {**fixed, **dict(zip(floats, x, strict=True))})

    check_slope(functools.partial(value, slope), value(seconds, point), point, rng)


COMPOSITES = [name for name, row in ROWS.items() if row.vjp and isinstance(row.structure, Composite)]


@pytest.mark.parametrize("name", COMPOSITES)
def test_the_vjp_of_a_composite_is_that_of_its_definition(name):
    row = ROWS[name]
    for call in (c for c in DIFFERENTIABLE if c.row is row):
        (x,), node = call.operands, call.node
        weight, whole = weighted_loss(node)
        expanded = ops.sum(row.structure.define(node) * weight)
        point = call.draw(3)[0]
        env = {x: point, weight: np.random.default_rng(0).standard_normal(evaluate(node, {x: point}).shape)}
        np.testing.assert_allclose(*evaluate([grad(whole, x), grad(expanded, x)], env), rtol=1e-9, atol=1e-12)


# -- what a gradient means on a graph --------------------------------------------------------------------------------


def test_uses_add_up():
    x = symbol("x", dtype="float64")
    assert evaluate(grad(x * x + x, x), {x: 3.0}) == 7.0


def test_an_intermediate_result_has_a_gradient_and_passes_one_on():
    x = symbol("x", (3,))
    h = ops.exp(x)
    gh, gx = evaluate(grad(ops.sum(h * h), [h, x]), {x: np.arange(3.0)})
    np.testing.assert_allclose(gh, 2 * np.exp(np.arange(3.0)))
    np.testing.assert_allclose(gx, 2 * np.exp(2 * np.arange(3.0)))


def test_the_structure_of_wrt_comes_back():
    x, y = symbol("x"), symbol("y")
    assert isinstance(grad(x * y, (x, y)), tuple)
    assert set(grad(x * y, {"a": x, "b": [y]})) == {"a", "b"}
    value, (gx, gy) = value_and_grad(x * y, [x, y])
    assert evaluate([value, gx, gy], {x: 2.0, y: 5.0}) == [10.0, 5.0, 2.0]


def test_the_gradient_with_respect_to_the_loss_is_one():
    x = symbol("x")
    loss = x * x
    assert evaluate(grad(loss, loss)) == 1


def test_higher_orders():
    x = symbol("x")
    g = ops.sin(x)
    for expected in (np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v), np.sin):
        g = grad(g, x)
        assert evaluate(g, {x: 0.7}) == pytest.approx(expected(0.7), abs=1e-12)


def test_matmul_gradients_are_products_of_transposes():
    x, W = symbol("x", (N, 4)), symbol("W", (4, 2))
    g = symbol("g", (N, 2))
    dx, dW = vjp(x @ W, [x, W], g, simplify=False)
    assert dx is g @ W.T
    assert dW is x.T @ g


def test_broadcasting_is_undone():
    x, b, s = symbol("x", (N, 4)), symbol("b", (4,)), symbol("s", (1, 1))
    out = x + b * s
    db, ds = grad(ops.sum(out * out), [b, s])
    env = {x: np.ones((3, 4)), b: np.arange(4.0), s: np.full((1, 1), 2.0)}
    db, ds = evaluate([db, ds], env)
    residual = 2 * (1 + 2 * np.arange(4.0)) * 3
    np.testing.assert_allclose(db, 2 * residual)
    np.testing.assert_allclose(ds, [[np.sum(residual * np.arange(4.0))]])


def test_ties_of_max_share_evenly():
    x = symbol("x", (4,))
    np.testing.assert_array_equal(evaluate(grad(ops.max(x), x), {x: [1.0, 5, 5, 2]}), [0, 0.5, 0.5, 0])


def test_the_gradient_of_a_product_is_exact_at_zeros():
    x = symbol("x", (3,))
    for point, expected in (([2.0, 0, 3], [0, 6, 0]), ([0.0, 0, 3], [0, 0, 0]), ([2.0, 4, 3], [12, 6, 8])):
        np.testing.assert_array_equal(evaluate(grad(ops.prod(x), x), {x: point}), expected)


def test_stop_gradient_stops():
    x = symbol("x")
    assert evaluate(grad(x * ops.stop_gradient(x), x), {x: 3.0}) == 3.0


def test_casts_carry_cotangents_between_floats_only():
    x = symbol("x", (3,), dtype="float32")
    g = grad(ops.sum(x.astype("float64") * 2), x)
    assert g.dtype is FLOAT32
    with pytest.raises(GradientError, match="no differentiable path"):
        grad(ops.sum(x.astype("int32").astype("float32")), x)


def test_a_composite_without_a_vjp_differentiates_its_definition(monkeypatch):
    row = dataclasses.replace(
        ROWS["multiply"], name="times", structure=Composite(lambda node: node.args[0] * node.args[1]), cases=()
    )
    monkeypatch.setitem(ROWS, "times", row)
    x = symbol("x")
    assert evaluate(grad(row(x, x), x), {x: 3.0}) == 6.0
    h = ops.exp(x)
    assert evaluate(grad(row(x, h), x), {x: 1.0}) == pytest.approx(2 * np.e)  # h's own path is the sweep's to follow


def test_vjp_of_several_outputs():
    x, g = symbol("x", (N,)), symbol("g", (N,))
    out = vjp({"a": ops.sin(x), "b": ops.sum(x)}, x, [g, 2.0])
    env = {x: np.arange(3.0), g: np.array([1.0, 2.0, 3.0])}
    np.testing.assert_allclose(evaluate(out, env), np.cos(env[x]) * env[g] + 2)


def test_cotangents_remember_their_step():
    x, y = symbol("x", (3,)), symbol("y", (3,))
    h = ops.tanh(x * y)
    gradient = grad(ops.sum(h), x, simplify=False)
    (origin, *_) = side.origins(gradient)
    assert origin.rule == "multiply[0]"
    assert origin.source is x * y
    assert side.origins(origin.upstream)[0].source is h
    assert side.sites(gradient) == ()


def test_nothing_off_the_path_is_differentiated():
    x, big = symbol("x", (3,)), symbol("big", (3,))
    loss = ops.sum(ops.exp(ops.sin(big)) * x)
    assert all(node.op != "cos" for node in topological([grad(loss, x, simplify=False)]))


def test_gradients_leave_nothing_behind():
    def once(k):
        x = symbol(f"leak{k}", (3,))
        grad(ops.sum(ops.softmax(ops.tanh(x) * x)), x)

    once(0)
    gc.collect()
    before = interned_count()
    for k in range(1, 5):
        once(k)
    gc.collect()
    assert interned_count() <= before


def test_a_chain_of_ten_thousand_nodes(low_recursion_limit):
    x = symbol("x")
    node = x
    for _ in range(5_000):
        node = ops.sin(node) * 1.0001
    start = time.process_time()
    gradient = grad(node, x, simplify=False)
    elapsed = time.process_time() - start
    assert elapsed < 2
    behind, ahead = (evaluate(node, {x: 0.5 + step}) for step in (-STEP, STEP))
    assert evaluate(gradient, {x: 0.5}) == pytest.approx((ahead - behind) / (2 * STEP), rel=1e-4)


@pytest.fixture
def low_recursion_limit():
    before, depth, frame = sys.getrecursionlimit(), 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + 120)
    yield
    sys.setrecursionlimit(before)


# -- refusals --------------------------------------------------------------------------------------------------------

W = parameter_node("W", np.ones((3, 2)), FLOAT32)
X = symbol("X", (N, 3))
K = symbol("K", (3,), dtype="int32")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grad(X @ W, W), GradientError, r"scalar loss; X @ W is \(N, 2\).*sum\(\)"),
        (lambda: grad(ops.sum(K), K), GradientError, "the loss of a gradient is a float"),
        (
            lambda: grad(ops.sum(X * 1.0 + ops.sum(K)), K),
            GradientError,
            "the variable of a gradient is a float; K is int32",
        ),
        (lambda: grad(ops.sum(X), W), GradientError, 'does not depend on W.*disconnected="zero"'),
        (lambda: grad(ops.sum(X), [X, W]), GradientError, "does not depend on W"),
        (lambda: grad(ops.sum(ops.argmax(X, axis=1)) * 1.0, X), GradientError, "does not depend on X"),
        (lambda: grad(3.0, W), TypeError, "expression, not float"),
        (lambda: grad(ops.sum(X), "X"), TypeError, "expression, not str"),
        (lambda: grad(ops.sum(X), X, disconnected="zeros"), ValueError, "Did you mean 'zero'"),
        (lambda: vjp(X @ W, W, constant_node(1.0, FLOAT32)), GradientError, r"shape of its output; \(\) for"),
        (lambda: vjp([X, W], W, [X]), GradientError, "one cotangent for each output; 1 for 2"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_loss_is_made_stable_before_it_is_differentiated():
    z, y = symbol("z", (N, 3)), symbol("y", (N, 3))
    loss = -ops.sum(y * ops.log(ops.softmax(z)))
    env = {z: [[1000.0, 0.0, -1000.0]], y: [[0.0, 1.0, 0.0]]}
    value, slope = evaluate(value_and_grad(loss, z), env)
    assert value == 1000
    np.testing.assert_array_equal(slope, [[1, -1, 0]])


def test_nothing_is_rewritten_through_a_variable():
    z = symbol("z", (N, 3))
    p = ops.softmax(z)
    slope = grad(ops.sum(ops.log(p)), p)
    np.testing.assert_allclose(evaluate(slope, {p: [[0.5, 0.25, 0.25]]}), [[2, 4, 4]])


def test_disconnected_zero():
    gx, gw = grad(ops.sum(X), [X, W], disconnected="zero")
    assert gw.type == W.type
    np.testing.assert_array_equal(evaluate([gx, gw], {X: np.ones((2, 3))})[1], np.zeros((3, 2)))


def test_the_dtype_of_a_gradient_is_its_variables():
    x = symbol("x", (3,), dtype="float64")
    assert grad(ops.sum(x * x), x).dtype is FLOAT64
