"""Regions: derivatives of one's own and their check; checkpoints, computed anew for the backward pass."""

import numpy as np
import pytest

import symgrad as sg
from codegen.kernel import bind
from symgrad.errors import GradientError
from symgrad.expr import topological
from symgrad.interpreter import evaluate
from symgrad.ops.body import inline
from symgrad.serial import from_data, to_data

N = sg.dim("N")


def symbols(*names, shape=(3,), dtype="float64"):
    return [sg.symbol(name, shape, dtype) for name in names]


# -- custom gradients ----------------------------------------------------------------------------------------------


@sg.custom_gradient(vjp=lambda operands, out, g: (g * operands[1] * out, g * operands[0] * out))
def weighted(x, w):
    return sg.exp(x * w)


def test_its_derivatives_are_those_given_and_those_of_the_function():
    x, w, t, v, u = symbols(*"xwtvu")
    rng = np.random.default_rng(0)
    env = {s: rng.standard_normal(3) for s in (x, w, t, v, u)}
    plain, own = sg.exp(x * w), weighted(x, w)
    assert [n.op for n in topological([own])] == ["symbol", "symbol", "custom"]
    for derive in (
        lambda y: y,
        lambda y: sg.grad(sg.sum(y * u), [x, w]),
        lambda y: sg.jvp(y, [x, w], [t, v]),
        lambda y: sg.hvp(sg.sum(y * u), [x, w], [t, v]),
        lambda y: sg.hessian(sg.sum(y * u), x),
        lambda y: sg.jvp(sg.jvp(sg.jvp(y, x, t), w, v), x, t),
    ):
        want = [derive(plain)] if not isinstance(derive(plain), list) else derive(plain)
        got = [derive(own)] if not isinstance(derive(own), list) else derive(own)
        for a, b in zip(evaluate(got, env), evaluate(want, env), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        inputs = [x, w, t, v, u]
        for a, b in zip(sg.function(inputs, got)(*(env[s] for s in inputs)), evaluate(want, env), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_forward_and_reverse_mode_are_transposes_of_the_given_rule():
    clipped = sg.custom_gradient(lambda x: x, lambda operands, out, g: sg.minimum(1, sg.abs(out)) * g, check=False)
    x, t, u = symbols("x", "t", "u")
    env = {x: [0.5, -2.0, 0.0], t: [1.0, 2.0, 3.0], u: [3.0, 2.0, 1.0]}
    forward, backward = evaluate([sg.jvp(clipped(x), x, t), sg.vjp(clipped(x), x, u)], env)
    np.testing.assert_array_equal(forward, [0.5, 2, 0])
    np.testing.assert_array_equal(backward, [1.5, 2, 0])


def test_operands_without_a_derivative():
    taken = sg.custom_gradient(
        lambda table, i: table[i], lambda operands, out, g: (sg.one_hot(operands[1], 3, "float64").T @ g, None)
    )
    table, i = sg.symbol("table", (3, 2), "float64"), sg.symbol("i", (N,), "int32")
    slope = evaluate(sg.grad(sg.sum(taken(table, i) ** 2), table), {table: np.arange(6.0).reshape(3, 2), i: [0, 2, 0]})
    np.testing.assert_array_equal(slope, [[0, 4], [0, 0], [8, 10]])


def test_symbolic_sizes_and_mapped_functions():
    total = sg.custom_gradient(lambda x, w: sg.sum(x * x, axis=-1) * w, lambda xs, out, g: (
        2 * g[..., None] * xs[1] * xs[0], sg.sum(g * sg.sum(xs[0] ** 2, axis=-1))
    ))  # fmt: skip
    x, w = sg.symbol("x", (N, 4, 3), "float64"), sg.symbol("w", (), "float64")
    env = {x: np.random.default_rng(0).standard_normal((2, 4, 3)), w: 1.5}
    whole = sg.sum(sg.vmap(total, in_axes=(0, None))(x, w) ** 2)
    plain = sg.sum((sg.sum(x * x, axis=-1) * w) ** 2)
    for got, want in zip(*evaluate([sg.grad(whole, [x, w]), sg.grad(plain, [x, w])], env), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_the_check_runs_once_for_each_type(monkeypatch):
    seen = []
    from symgrad import regions

    compare = regions._compare
    monkeypatch.setattr(regions, "_compare", lambda *args: seen.append(args[0]) or compare(*args))

    def cube(x):
        return x**3

    f = sg.custom_gradient(cube, lambda xs, out, g: 3 * g * xs[0] ** 2)
    (x, y), (z,) = symbols("x", "y"), symbols("z", shape=(N, 2))
    assert f(x) is f(x)
    f(y)
    f(z)
    assert seen == ["cube", "cube"]
    assert str(f(x) + f(y)) == "cube(x) + cube(y)"


def test_a_domain_is_found():
    x = sg.symbol("x", (3,))
    f = sg.custom_gradient(lambda x: sg.log(x - 2), lambda xs, out, g: g / (xs[0] - 2))
    assert evaluate(sg.grad(sg.sum(f(x)), x), {x: [3.0, 4.0, 6.0]}).tolist() == [1, 0.5, 0.25]


@pytest.mark.parametrize(
    ("f", "vjp", "message"),
    [
        (sg.sin, lambda xs, out, g: g * sg.sin(xs[0]), "its vjp is not its derivative.*check=False"),
        (sg.sin, lambda xs, out, g: None, "its vjp is not its derivative"),
        (sg.sin, lambda xs, out, g: sg.sum(g), r"another type; float32 of shape \(\) for operand 0, x, .* \(3,\)"),
        (sg.sin, lambda xs, out, g: [g, g], "one cotangent per operand; 2 for 1"),
        (lambda x: x * sg.symbol("w"), lambda xs, out, g: g, "uses w, whose derivative would be lost.*as an operand"),
        (sg.sin, lambda xs, out, g: g * sg.symbol("w"), "uses w, whose derivative would be lost"),
        (lambda x: sg.log(-1 - x * x), lambda xs, out, g: g, "cannot be checked; no finite value"),
        (lambda x: sg.argmax(x), lambda xs, out, g: g, "the output of a gradient is a float"),
    ],
)
def test_wrong_rules_are_refused_at_the_call(f, vjp, message):
    with pytest.raises(GradientError, match=message):
        sg.custom_gradient(f, vjp)(sg.symbol("x", (3,)))


def test_a_function_without_a_rule_is_refused():
    with pytest.raises(TypeError, match="takes a function and its vjp"):
        sg.custom_gradient(sg.sin)


# -- checkpoints ---------------------------------------------------------------------------------------------------


def layers(weights):
    def f(h):
        for w in weights:
            h = sg.tanh(h @ w)
        return h

    return f


def chain(weights, x, segment=0):
    """Build the loss of a deep chain; with a segment's length its segments are checkpoints."""
    h = x
    for start in range(0, len(weights), segment or len(weights)):
        part = layers(weights[start : start + (segment or len(weights))])
        h = (sg.checkpoint(part) if segment else part)(h)
    return sg.sum(h * h)


def test_checkpoints_save_memory_and_change_no_bit():
    x = sg.symbol("x", (N, 32))
    weights = [sg.parameter(f"W{k}", (32, 32), seed=k) for k in range(16)]
    values = np.random.default_rng(0).standard_normal((64, 32)).astype("float32")
    results, memory = [], []
    for segment in (0, 4):
        loss = chain(weights, x, segment)
        f = sg.function([x], [loss, *sg.grad(loss, weights)])
        results.append(f(values))
        memory.append(bind(f.executable, {"N": 64}).arena.nbytes)
    for plain, saved in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, saved)
    assert memory[1] <= 0.4 * memory[0], memory


def test_the_copy_shares_nothing_with_the_original():
    x = sg.symbol("x", (3,))
    slope = sg.grad(sg.sum(sg.checkpoint(lambda v: sg.exp(sg.sin(v)))(x) ** 2), x)
    (whole,) = inline([slope])
    assert sum(node.op == "sin" for node in topological([whole])) == 2
    assert sum(node.op == "recompute" for node in topological([whole])) == 1


def test_all_derivatives_of_a_checkpoint_are_those_of_its_function():
    x, t = symbols("x", "t")
    A = sg.parameter("A", (3, 3), dtype="float64", seed=1)

    def f(v, w):
        return sg.tanh(A @ v) * w

    rng = np.random.default_rng(0)
    env = {x: rng.standard_normal(3), t: rng.standard_normal(3)}
    for derive in (
        lambda y: sg.grad(sg.sum(y**2), [x, A]),
        lambda y: [sg.jvp(y, x, t)],
        lambda y: sg.hvp(sg.sum(y**2), [x, A], [t, sg.outer(t, t)]),
        lambda y: [sg.hessian(sg.sum(y**2), x), sg.jacobian(y, A)],
    ):
        want, got = derive(f(x, x)), derive(sg.checkpoint(f)(x, x))
        compiled = sg.function([x, t], got)(env[x], env[t])
        for a, b, c in zip(evaluate(got, env), evaluate(want, env), compiled, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
            np.testing.assert_allclose(c, b, rtol=1e-11, atol=1e-12)


def test_checkpoints_nest_and_take_structures():
    x, y = symbols("x", "y")
    inner = sg.checkpoint(sg.sin)
    outer = sg.checkpoint(lambda pair: {"s": inner(pair[0]) * pair[1], "p": [inner(inner(pair[1]))]})
    out = outer([x, y])
    loss = sg.sum(out["s"] * out["p"][0])
    plain = sg.sum(sg.sin(x) * y * sg.sin(sg.sin(y)))
    env = {x: [0.1, 0.2, 0.3], y: [1.0, 2.0, 3.0]}
    for got, want in zip(*evaluate([sg.grad(loss, [x, y]), sg.grad(plain, [x, y])], env), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)
    got = sg.function([x, y], sg.grad(loss, [x, y]))(*(np.array(v) for v in env.values()))
    np.testing.assert_allclose(got, evaluate(sg.grad(plain, [x, y]), env), rtol=1e-12)


def test_a_mapped_checkpoint():
    x, w = sg.symbol("x", (N, 3), "float64"), sg.symbol("w", (3,), "float64")
    region = sg.checkpoint(lambda v: sg.sum(sg.tanh(v * w)))
    whole, plain = sg.sum(sg.vmap(region)(x) ** 2), sg.sum(sg.sum(sg.tanh(x * w), axis=1) ** 2)
    env = {x: np.random.default_rng(0).standard_normal((4, 3)), w: np.array([1.0, -1.0, 0.5])}
    for got, want in zip(*evaluate([sg.grad(whole, [x, w]), sg.grad(plain, [x, w])], env), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_positions_and_sizes_inside_a_region_are_checked():
    table, i = sg.symbol("table", (5, 2)), sg.symbol("i", (N,), "int32")
    looked_up = sg.function([table, i], sg.checkpoint(lambda t, k: sg.exp(t[k]))(table, i))
    values = np.zeros((5, 2), "float32")
    assert looked_up(values, np.array([4, 0], "int32")).shape == (2, 2)
    with pytest.raises(sg.IndexRangeError):
        looked_up(values, np.array([5], "int32"))
    x = sg.symbol("x", (N,))
    second = sg.function([x], sg.checkpoint(lambda v: v[1:] * 2)(x))
    with pytest.raises(sg.ShapeError):
        second(np.zeros(0, "float32"))


def test_an_empty_batch():
    x = sg.symbol("x", (N, 2))
    loss = sg.sum(sg.checkpoint(sg.tanh)(x) ** 2)
    f = sg.function([x], [loss, sg.grad(loss, x)])
    assert f(np.zeros((0, 2), "float32"))[1].shape == (0, 2)


def test_regions_in_files_and_in_print():
    x, w = symbols("x", "w")
    node = weighted(x, sg.checkpoint(sg.tanh)(w))
    assert from_data(to_data([node]))[0] is node
    assert str(node) == "weighted(x, checkpoint(w))"
