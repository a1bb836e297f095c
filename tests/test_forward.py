"""Forward mode: every row against reverse mode by transposition, higher orders, and choices that do not leak."""

import dataclasses
import functools
import time

import numpy as np
import pytest
from row_cases import Call, calls

import symgrad as sg
from symgrad.errors import GradientError
from symgrad.expr import symbol_node, topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Composite
from symgrad.shape import evaluate as size_value

N = sg.dim("N")
DIFFERENTIABLE = [
    dataclasses.replace(call, float_dtype="float64")
    for call in calls()
    if call.row.differentiable and call.node.dtype.is_float and any(x.dtype.is_float for x in call.operands)
]
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


def inner(pairs):
    """Give a sum of inner products, and the size of its terms."""
    terms = [np.multiply(a, b) for a, b in pairs]
    return sum(float(np.sum(t)) for t in terms), 1 + sum(float(np.sum(np.abs(t))) for t in terms)


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


def test_compiled_forward_and_reverse_mode_are_transposes():
    """One case of every row with operands of a symbolic size, in one compiled function."""
    exact = [c for c in reversed(DIFFERENTIABLE) if len(c.case.sizes) > 1 and c.node.dtype == "float64"]
    first = {c.row.name: c for c in exact}
    inputs, outputs, checks = [], [], []
    for k, call in enumerate(first.values()):
        mine = {x: symbol_node(f"x{k}{x.attrs['name']}", x.shape, x.dtype) for x in call.operands}
        node = call.row(*mine.values(), **call.case.attrs)
        own = [mine[x] for x in floats(call)]
        u, ts = like(f"u{k}", node), [like(f"t{k}{j}", x) for j, x in enumerate(own)]
        inputs += [*mine.values(), u, *ts]
        checks.append((call, mine, u, ts, len(own)))
        outputs += [sg.jvp(node, own, ts, disconnected="zero"), sg.vjp(node, own, u, disconnected="zero")]
    f = sg.function(inputs, outputs)
    for n in (1, 17):
        env = {}
        for call, mine, u, ts, _ in checks:
            drawn = environment(call, n, [u, *ts])
            env.update({mine.get(key, key): value for key, value in drawn.items()})
        results = iter(f(*(np.asarray(env[x], x.dtype.numpy) for x in inputs)))
        for _, _, u, ts, _ in checks:
            check_transposed(next(results), next(results), u, ts, env)


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
        (t,) = directions(call)
        own = sg.jvp(call.node, call.operands, [t], simplify=False)
        monkeypatch.setitem(ROWS, name, dataclasses.replace(call.row, jvp=None))
        transposed = sg.jvp(call.node, call.operands, [t], simplify=False)
        monkeypatch.undo()
        np.testing.assert_allclose(*evaluate([own, transposed], environment(call, 3, [t])), rtol=1e-10, atol=1e-12)


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
    x = sg.symbol("x", dtype="float64")
    node = x
    for _ in range(60):
        node = sg.sin(node) * node + node
    times = []
    for _ in range(3):
        start = time.process_time()
        slope = sg.grad(node, x)
        times.append(time.process_time() - start)
    assert min(times) < 0.1
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


# -- choices -------------------------------------------------------------------------------------------------------

POINT = np.array([-1.0, 0.0, 0.25, 4.0])
# name: function, first and second derivative at POINT, with 0 on the side that is not taken
TRAPS = {
    "sqrt": (lambda x: sg.where(x > 0, sg.sqrt(x), 0), [0, 0, 1, 0.25], [0, 0, -2, -1 / 32]),
    "else": (lambda x: sg.where(x <= 0, 0, sg.sqrt(x)), [0, 0, 1, 0.25], [0, 0, -2, -1 / 32]),
    "log": (lambda x: sg.where(x > 0, x * sg.log(x), 0), [0, 0, 1 + np.log(0.25), 1 + np.log(4)], [0, 0, 4, 0.25]),
    "reciprocal": (lambda x: sg.where(x > 0, sg.sin(1 / x) * x**2, x), None, None),
    "overflow": (lambda x: sg.where(x < 1, sg.exp(400 * x), x), None, None),
    "nested": (
        lambda x: sg.where(x > 0, sg.where(x > 1, sg.sqrt(x - 1), sg.sqrt(x)), 0),
        [0, 0, 1, 0.5 / np.sqrt(3)], [0, 0, -2, -0.25 / 3**1.5],
    ),
    "row": (
        lambda x: sg.where((x > 0)[:, None], sg.sqrt(x)[:, None] * np.ones(2), 0).sum(axis=1) / 2,
        [0, 0, 1, 0.25], [0, 0, -2, -1 / 32],
    ),
    "shared": (
        lambda x: sg.where(x > 0, sg.sqrt(x), 0) + sg.where(x > 2, 0, sg.where(x > 0, sg.sqrt(x), x)), None, None
    ),
    "through a sum": (
        lambda x: sg.where(x > 0, sg.sqrt(sg.sum(sg.stack([x, 0 * x]), axis=0)), 0),
        [0, 0, 1, 0.25], [0, 0, -2, -1 / 32],
    ),
    "norm": (
        lambda x: sg.where(sg.sum(0 * x**2) > 0, sg.sqrt(sg.sum(0 * x**2)), 0) * x, [0, 0, 0, 0], [0, 0, 0, 0]
    ),
    "softmax": (lambda x: sg.where(x > 0, sg.log(sg.softmax(sg.stack([x, -x]), axis=0)[0]), 0), None, None),
    "gather": (lambda x: sg.where(x > 0, sg.take(sg.sqrt(x), [0, 1, 2, 3]), 0), [0, 0, 1, 0.25], [0, 0, -2, -1 / 32]),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAPS)
@pytest.mark.parametrize("simplify", [False, True])
def test_a_branch_that_is_not_taken_does_not_leak(name, simplify):
    f, first, second = TRAPS[name]
    x = sg.symbol("x", (4,), "float64")
    loss, ones = sg.sum(f(x)), np.ones(4)
    slope = sg.grad(loss, x, simplify=simplify)
    curve = sg.grad(sg.sum(slope), x, simplify=simplify, disconnected="zero")
    along = sg.jvp(f(x), x, ones, simplify=simplify)
    product = sg.hvp(loss, x, ones, simplify=simplify)
    twice = sg.jvp(along, x, ones, simplify=simplify, disconnected="zero")
    values = evaluate([slope, along, curve, product, twice], {x: POINT})
    assert all(np.isfinite(v).all() for v in values)
    if first is not None:
        np.testing.assert_allclose(values[0], first, atol=1e-12)
        np.testing.assert_allclose(np.sum(values[1]), np.sum(first), atol=1e-12)
    if second is not None:
        for value in values[2:4]:
            np.testing.assert_allclose(value, second, atol=1e-12)


def test_compiled_choices_do_not_leak():
    x = sg.symbol("x", (4,), "float64")
    outputs = [(sg.grad(sg.sum(f(x)), x), sg.hvp(sg.sum(f(x)), x, np.ones(4))) for f, _, _ in TRAPS.values()]
    compiled = sg.function([x], outputs)(POINT)
    for got, want in zip(compiled, evaluate(outputs, {x: POINT}), strict=True):
        for a, b in zip(got, want, strict=True):
            assert np.isfinite(a).all()
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_a_choice_costs_one_selection():
    x = sg.symbol("x", (4,))
    slope = sg.grad(sg.sum(sg.where(x > 0, sg.sqrt(x), 0)), x)
    assert sum(node.op == "where" for node in topological([slope])) == 1
