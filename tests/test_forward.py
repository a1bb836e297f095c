"""Forward mode: every row against reverse mode by transposition, and higher orders.

The compiled law of transposition, and choices that do not leak, stand in `laws/`.
"""

import dataclasses
import functools

import numpy as np
import pytest
from counting import calls_while
from row_cases import Call, differentiable, inner

import symgrad as sg
from symgrad.errors import GradientError
from symgrad.expr import symbol_node, topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Composite
from symgrad.shape import evaluate as size_value

N = sg.dim("N")
DIFFERENTIABLE = differentiable()
SMOOTH = [call for call in DIFFERENTIABLE if call.row.smooth]


def floats(call: Call):
    return [x for x in call.operands if x.dtype.is_float]


def like(name, node):
    return symbol_node(name, node.shape, node.dtype)


def directions(call: Call):
    return [like(f"t{k}", x) for k, x in enumerate(floats(call))]


def environment(call: Call, n, extra, seed=0):
    """Draw the operands, and normal numbers for further symbols."""
    rng = np.random.default_rng([seed, n])
    env = {sg.dim("n"): n, sg.dim("m"): n, **dict(zip(call.operands, call.draw(n), strict=True))}
    for symbol in extra:
        env[symbol] = rng.standard_normal([size_value(size, {"n": n, "m": n}) for size in symbol.shape])
    return env


def sizes(call: Call):
    return sorted({0, 1, 3} & set(call.case.sizes)) or [call.case.sizes[0]]


def check_transposed(forward, backward, u, ts, env_values):
    left, _ = inner([(forward, env_values[u])])
    right, scale = inner([(g, env_values[t]) for g, t in zip(backward, ts, strict=True)])
    assert abs(left - right) <= 1e-12 * scale


# -- rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=str)
def test_forward_and_reverse_mode_are_transposes(call):
    u, ts = like("u", call.node), directions(call)
    forward = sg.jvp(call.node, floats(call), ts, simplify=False, disconnected="zero")
    backward = sg.vjp(call.node, floats(call), u, simplify=False, disconnected="zero")
    assert forward.type == call.node.type
    for n in sizes(call):
        env = environment(call, n, [u, *ts])
        check_transposed(*evaluate([forward, backward], env), u, ts, env)


@pytest.mark.parametrize("call", SMOOTH, ids=str)
def test_third_derivatives_of_smooth_rows_agree_in_both_modes(call):
    ts, weight = directions(call), like("u", call.node)
    thrice = sg.sum(call.node * weight)
    forward = call.node
    for _ in range(3):
        forward = sg.jvp(forward, floats(call), ts, simplify=False, disconnected="zero")
        slopes = sg.grad(thrice, floats(call), simplify=False, disconnected="zero")
        thrice = functools.reduce(lambda a, b: a + b, [sg.sum(g * t) for g, t in zip(slopes, ts, strict=True)])
    n = 3 if 3 in call.case.sizes else 1
    env = environment(call, n, [weight, *ts])
    ahead, back = evaluate([forward, thrice], env)
    got, scale = inner([(ahead, env[weight])])
    assert got == pytest.approx(float(back), abs=1e-8 * scale)


def test_a_composite_without_derivatives_follows_its_definition(monkeypatch):
    definition = Composite(lambda node: node.args[0] * node.args[1])
    row = dataclasses.replace(ROWS["multiply"], name="times", structure=definition, cases=())
    monkeypatch.setitem(ROWS, "times", row)
    x = sg.symbol("x")
    assert evaluate(sg.jvp(row(x, x), x, 1.0), {x: 3.0}) == 6.0
    assert evaluate(sg.jvp(row(x, sg.exp(x)), x, 1.0), {x: 1.0}) == pytest.approx(2 * np.e)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.jvp and row.vjp and row.cases])
def test_a_stated_tangent_is_the_transpose_of_the_cotangent(name, monkeypatch):
    stated = [c for c in DIFFERENTIABLE if c.row.name == name]
    for call in stated:
        ts = directions(call)
        own = sg.jvp(call.node, call.operands, ts, simplify=False)
        monkeypatch.setitem(ROWS, name, dataclasses.replace(call.row, jvp=None))
        transposed = sg.jvp(call.node, call.operands, ts, simplify=False)
        monkeypatch.undo()
        np.testing.assert_allclose(*evaluate([own, transposed], environment(call, 3, ts)), rtol=1e-10, atol=1e-12)


# -- graphs --------------------------------------------------------------------------------------------------------


def test_what_does_not_move_has_no_tangent():
    x, y, t = sg.symbol("x", (N, 3)), sg.symbol("y", (N, 3)), sg.symbol("t", (N, 3))
    assert sg.jvp(sg.exp(y) + x, x, t, simplify=False) is t
    assert sg.jvp(sg.exp(y) @ x.T, x, t, simplify=False) is sg.exp(y) @ t.T
    joined = sg.jvp(sg.concatenate([sg.exp(y), x]), x, t, simplify=False)
    assert [n.op for n in topological([joined])] == ["symbol", "place"]


def test_outputs_keep_their_structure_and_variables_their_order():
    x, y = sg.symbol("x", (3,)), sg.symbol("y")
    out = sg.jvp({"a": x * y, "b": [sg.sum(x)]}, [x, y], [[1.0, 0.0, 0.0], 2.0])
    a, (b,) = evaluate([out["a"], out["b"]], {x: [1.0, 2.0, 3.0], y: 5.0})
    np.testing.assert_array_equal(a, [7, 4, 6])
    assert b == 1


def test_an_intermediate_result_moves_by_itself_and_with_what_it_is_made_of():
    x = sg.symbol("x")
    h = sg.exp(x)
    assert evaluate(sg.jvp(h * h, h, 1.0), {x: 0.0}) == 2
    assert evaluate(sg.jvp(h * h, [h, x], [1.0, 1.0]), {x: 0.0}) == 4
    slope = evaluate(sg.grad(h * h, [h, x]), {x: 0.0})
    assert sum(slope) == 4


def test_hvp_is_the_hessian_times_the_vector():
    A, x, v = sg.symbol("A", (3, 3), "float64"), sg.symbol("x", (3,), "float64"), sg.symbol("v", (3,), "float64")
    loss = sg.sum(sg.tanh(A @ x) ** 2) + sg.logsumexp(x)
    rng = np.random.default_rng(0)
    env = {A: rng.standard_normal((3, 3)), x: rng.standard_normal(3), v: rng.standard_normal(3)}
    product, whole = evaluate([sg.hvp(loss, x, v), sg.hessian(loss, x)], env)
    np.testing.assert_allclose(product, whole @ env[v], rtol=1e-12)
    np.testing.assert_allclose(whole, whole.T, rtol=1e-12, atol=1e-14)
    both = sg.hvp(loss, {"x": x, "A": A}, [v, sg.zeros_like(A)] if hasattr(sg, "zeros_like") else [v, 0 * A])
    np.testing.assert_allclose(evaluate(both["x"], env), product, rtol=1e-12)


def test_sixty_levels_of_sine_differentiate_at_once():
    """A tenth of a second is some 700,000 calls, see benchmarks/symbolic.py; thirty levels take half of it."""
    x = sg.symbol("x", dtype="float64")
    node, counts = x, {}
    for level in range(1, 61):
        node = sg.sin(node) * node + node
        if level in (30, 60):
            counts[level], slope = calls_while(lambda node=node: sg.grad(node, x))
    assert counts[60] < 700_000
    assert counts[60] < 2.2 * counts[30]
    assert evaluate(slope, {x: 0.01}) == pytest.approx(float(evaluate(sg.jvp(node, x, 1.0), {x: 0.01})), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, k: sg.jvp(x, [x], [x, x]), GradientError, "one tangent is needed for each variable; 2 for 1"),
        (
            lambda x, k: sg.jvp(x, x, 1.0),
            GradientError,
            r"the shape of its variable; \(\) for x is \(3,\)",
        ),
        (lambda x, k: sg.jvp(x, k, k), GradientError, "the variable of a gradient is a float; k is int32"),
        (lambda x, k: sg.jvp(k, x, x), GradientError, "the output of a gradient is a float; k is int32"),
        (lambda x, k: sg.jvp(x.sum(), sg.symbol("w"), 1.0), GradientError, "does not depend on w"),
        (lambda x, k: sg.hvp(x, x, x), GradientError, "scalar loss"),
        (lambda x, k: sg.jvp([x, 1.0], x, x), TypeError, "expression, not float"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call(sg.symbol("x", (3,)), sg.symbol("k", (3,), "int32"))
