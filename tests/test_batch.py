"""vmap against a loop, for every row and every choice of mapped operands; Jacobians and Hessians from it.

Compiled maps, along another axis, stand in `laws/test_maps.py`.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from row_cases import calls

import symgrad as sg
from symgrad.errors import ShapeError
from symgrad.expr import symbol_node, topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS
from symgrad.vectorise import unit_cotangents

B, N = sg.dim("B"), sg.dim("N")
CASES = [
    pytest.param(call, mapped, id=f"{call}-{''.join('01'[m] for m in mapped)}")
    for call in (dataclasses.replace(call, float_dtype="float64") for call in calls())
    if call.operands
    for mapped in itertools.product((True, False), repeat=len(call.operands))
    if any(mapped)
]  # fmt: skip


def mapped_call(call, mapped):
    """Map a case over the operands marked; give these and the result."""
    shapes = [(B, *x.shape) if m else x.shape for x, m in zip(call.operands, mapped, strict=True)]
    operands = [symbol_node(x.attrs["name"], shape, x.dtype) for x, shape in zip(call.operands, shapes, strict=True)]
    axes = tuple(0 if m else None for m in mapped)
    return operands, sg.vmap(lambda *args: call.row(*args, **call.case.attrs), in_axes=axes)(*operands)


def draws(call, mapped, n, count):
    """Draw the operands of every call, and stack those that are mapped."""
    samples = [call.draw(n, seed=k) for k in range(count)]
    each = [[s[i] if m else samples[0][i] for i, m in enumerate(mapped)] for s in samples]
    stacked = [np.stack([s[i] for s in each]) if m else samples[0][i] for i, m in enumerate(mapped)]
    return each, stacked


@pytest.mark.parametrize(("call", "mapped"), CASES)
def test_vmap_is_a_loop(call, mapped):
    operands, out = mapped_call(call, mapped)
    assert out.type.dtype is call.node.dtype
    n = 3 if 3 in call.case.sizes else call.case.sizes[0]
    each, stacked = draws(call, mapped, n, count=2)
    env = {sg.dim("n"): n, sg.dim("m"): n}
    got = evaluate(out, {**env, **dict(zip(operands, stacked, strict=True))})
    want = [evaluate(call.node, {**env, **dict(zip(call.operands, one, strict=True))}) for one in each]
    np.testing.assert_allclose(got, np.stack(want), rtol=1e-12, atol=1e-12)


def test_argmax_of_all_elements_is_counted_within_each_sample():
    x = sg.symbol("x", (4, 3, 5))
    values = np.random.default_rng(0).standard_normal((4, 3, 5))
    got = evaluate(sg.vmap(sg.argmax)(x), {x: values})
    np.testing.assert_array_equal(got, values.reshape(4, -1).argmax(axis=1))


# -- functions -----------------------------------------------------------------------------------------------------


def test_axes_and_structures():
    x, y = sg.symbol("x", (2, N, 3)), sg.symbol("y", (N, 3))
    seen = []

    def f(pair, scale):
        seen.append((pair["x"].shape, pair["y"].shape, scale))
        return [pair["x"] @ pair["y"] * scale, pair["y"]]

    products, copies = sg.vmap(f, in_axes=({"x": 1, "y": 0}, None), out_axes=[-1, 1])({"x": x, "y": y}, 2.0)
    assert seen == [((2, 3), (3,), 2.0)]
    assert products.shape == (2, N)
    assert copies.shape == (3, N)
    rng = np.random.default_rng(0)
    env = {x: rng.standard_normal((2, 4, 3)), y: rng.standard_normal((4, 3))}
    np.testing.assert_allclose(evaluate(products, env), 2 * np.einsum("ink,nk->in", env[x], env[y]))
    np.testing.assert_array_equal(evaluate(copies, env), env[y].T)


def test_vmap_of_vmap_and_closures():
    x, y, w = sg.symbol("x", (3,)), sg.symbol("y", (5,)), sg.symbol("w")
    table = sg.vmap(lambda a: sg.vmap(lambda b: a - b * w)(y))(x)
    env = {x: np.arange(3.0), y: np.arange(5.0), w: 2.0}
    np.testing.assert_array_equal(evaluate(table, env), env[x][:, None] - 2 * env[y])


def test_what_no_sample_changes_is_computed_once_and_repeated():
    x, y = sg.symbol("x", (N, 3)), sg.symbol("y", (3,))
    out = sg.vmap(lambda v: sg.exp(y))(x)
    assert out is sg.broadcast_to(sg.exp(y), (N, 3))
    product = sg.vmap(lambda v: v @ sg.exp(W))(x)
    assert product is x @ sg.exp(W)


W = sg.symbol("W", (3, 4))


def test_gradients_of_each_sample_and_of_mapped_functions():
    X, y, w = sg.symbol("X", (N, 3), "float64"), sg.symbol("y", (N,), "float64"), sg.symbol("w", (3,), "float64")
    each = sg.vmap(lambda x, t: sg.grad((sg.tanh(x @ w) - t) ** 2, w))(X, y)
    assert each.shape == (N, 3)
    whole = sg.grad(sg.sum(sg.vmap(lambda x, t: (sg.tanh(x @ w) - t) ** 2)(X, y)), w)
    rng = np.random.default_rng(0)
    env = {X: rng.standard_normal((5, 3)), y: rng.standard_normal(5), w: rng.standard_normal(3)}
    per_sample, total = evaluate([each, whole], env)
    np.testing.assert_allclose(per_sample.sum(axis=0), total, rtol=1e-12)


def test_a_deep_chain_is_no_recursion():
    x = sg.symbol("x", (2,))
    out = sg.vmap(lambda v: [v := sg.sin(v) * 1.5 for _ in range(3_000)][-1])(x)
    assert out.shape == (2,)


def test_positions_outside_of_a_sample_are_refused_in_a_batch_too():
    x, i = sg.symbol("x", (2, 3), "float64"), sg.symbol("i", (2,), "int64")
    taken = sg.vmap(lambda row, k: row[k])(x, i)
    added = sg.vmap(lambda row, k: sg.grad(row[k] * 2, row))(x, i)
    env = {x: np.arange(6.0).reshape(2, 3), i: np.array([-1, 1])}
    np.testing.assert_array_equal(evaluate(taken, env), [2, 4])
    np.testing.assert_array_equal(evaluate(added, env), [[0, 0, 2], [0, 2, 0]])
    for out in (taken, added):
        with pytest.raises(sg.IndexRangeError):
            evaluate(out, {**env, i: np.array([3, 0])})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: sg.vmap(sg.add)(x, sg.symbol("y", (4,))), ShapeError, "the mapped axes have one size"),
        (lambda x: sg.vmap(sg.exp, in_axes=None)(x), ShapeError, "Give an axis to map over"),
        (lambda x: sg.vmap(sg.exp)(sg.symbol("s")), ShapeError, "axis 0 is out of range"),
        (lambda x: sg.vmap(sg.exp, in_axes=(0, 0))(x), ValueError, "one axis for each of 1 values, not 2"),
        (lambda x: sg.vmap(sg.exp, out_axes=None)(x), ValueError, "None is no place"),
        (lambda x: sg.vmap(lambda v: "v")(x), TypeError, "not str"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call(sg.symbol("x", (3,)))


# -- Jacobians -----------------------------------------------------------------------------------------------------


def differences(f, x, step=1e-6):
    """Give the Jacobian by central differences."""
    columns = []
    for k in range(x.size):
        d = np.zeros(x.size)
        d[k] = step
        columns.append((f(x + d.reshape(x.shape)) - f(x - d.reshape(x.shape))) / (2 * step))
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *x.shape)


@pytest.mark.parametrize("size", [N, 4])
def test_a_jacobian_has_the_shapes_of_both_and_the_values_of_differences(size):
    A, x = sg.symbol("A", (size, 3), "float64"), sg.symbol("x", (3, 2), "float64")
    out = sg.tanh(A @ x) * sg.sum(x)
    jacobian = sg.jacobian(out, x)
    assert jacobian.shape == (size, 2, 3, 2)
    rng = np.random.default_rng(0)
    env = {A: rng.standard_normal((4, 3)), x: rng.standard_normal((3, 2))}
    want = differences(lambda v: evaluate(out, {A: env[A], x: v}), env[x])
    np.testing.assert_allclose(evaluate(jacobian, env), want, atol=1e-8)
    compiled = sg.function([A, x], jacobian)(env[A], env[x])
    np.testing.assert_allclose(compiled, want, atol=1e-8)


def test_the_graph_of_a_jacobian_does_not_grow_with_its_size():
    def nodes(size):
        x = sg.symbol("x", (size,))
        return len(topological([sg.jacobian(sg.exp(x) * sg.sum(x**2), x)]))

    assert nodes(3) == nodes(3000) == nodes(N)


def test_structures_of_outputs_and_variables():
    x, y = sg.symbol("x", (2,)), sg.symbol("y")
    found = sg.jacobian({"a": x * y, "b": sg.sum(x) * y}, [x, y])
    assert [part.shape for part in found["a"]] == [(2, 2), (2,)]
    assert [part.shape for part in found["b"]] == [(2,), ()]
    blocks = sg.hessian(sg.sum(x**2) * y, {"x": x, "y": y})
    assert blocks["x"]["y"].shape == (2,)
    values = evaluate(blocks, {x: [1.0, 2.0], y: 3.0})
    np.testing.assert_array_equal(values["x"]["x"], 6 * np.eye(2))
    np.testing.assert_array_equal(values["x"]["y"], values["y"]["x"])
    assert values["y"]["y"] == 0


def test_unit_cotangents():
    np.testing.assert_array_equal(evaluate(unit_cotangents(sg.symbol("x", (2, 3)))), np.eye(6).reshape(6, 2, 3))


SMOOTH = [
    c.values[0]
    for c in CASES
    if all(c.values[1]) and c.values[0].row.smooth and c.values[0].row.differentiable
    and c.values[0].node.dtype.is_float and any(x.dtype.is_float for x in c.values[0].operands)
]  # fmt: skip


@pytest.mark.parametrize("call", SMOOTH, ids=str)
def test_hessians_are_symmetric_and_the_derivative_of_gradients(call):
    floats = [x for x in call.operands if x.dtype.is_float]
    weight = symbol_node("weight", call.node.shape, call.node.dtype)
    n = min(2, max(call.case.sizes))
    n = n if n in call.case.sizes else min(s for s in call.case.sizes if s)
    rng = np.random.default_rng(1)
    env = {sg.dim("n"): n, sg.dim("m"): n, **dict(zip(call.operands, call.draw(n), strict=True))}
    env[weight] = rng.standard_normal(evaluate(call.node, env).shape)
    loss = sg.sum(call.node * weight)
    hessian = evaluate(sg.hessian(loss, floats, disconnected="zero"), env)
    for i, a in enumerate(floats):
        for j, b in enumerate(floats):
            block, other = hessian[i][j], hessian[j][i]
            rows, columns = env[a].size, env[b].size
            turned = np.reshape(other, (columns, rows)).T
            np.testing.assert_allclose(np.reshape(block, (rows, columns)), turned, rtol=1e-9, atol=1e-10)
    vectors = [symbol_node(f"v{k}", x.shape, x.dtype) for k, x in enumerate(floats)]
    env |= {v: rng.standard_normal(env[x].shape) for v, x in zip(vectors, floats, strict=True)}
    product = evaluate(sg.hvp(loss, floats, vectors, disconnected="zero"), env)
    for a, row, got in zip(floats, hessian, product, strict=True):
        want = sum(np.reshape(h, (env[a].size, -1)) @ env[v].ravel() for h, v in zip(row, vectors, strict=True))
        np.testing.assert_allclose(got.ravel(), want, rtol=1e-9, atol=1e-10)


def test_every_row_has_a_batching_rule():
    mapped = {c.values[0].row.name for c in CASES}
    assert mapped == {row.name for row in ROWS.values() if row.cases and row.cases[0].operands}


def test_each_key_draws_the_numbers_that_it_has_alone():
    keys = sg.symbol("keys", (N,), "int64")
    drawn = sg.vmap(lambda k: sg.random.normal(sg.random.fold_in(k, 1), (2, 3), dtype="float64"))(keys)
    values = np.array([7, -1, 7])
    each = [sg.random.normal(sg.random.fold_in(int(k), 1), (2, 3), dtype="float64") for k in values]
    alone = np.stack(evaluate(each))
    np.testing.assert_array_equal(evaluate(drawn, {keys: values}), alone)
    np.testing.assert_allclose(sg.function([keys], drawn)(values), alone, rtol=1e-15)
    np.testing.assert_array_equal(alone[0], alone[2])


def test_arrays_are_mapped_over_like_expressions():
    x = sg.symbol("x", (3, 4))
    array = np.arange(12.0).reshape(3, 4)
    mapped = sg.vmap(lambda a, b: sg.sum(a * b))
    np.testing.assert_array_equal(sg.evaluate(mapped(x, array), {x: array}), (array * array).sum(axis=1))
    np.testing.assert_array_equal(sg.evaluate(mapped(array, array), {}), (array * array).sum(axis=1))
    with pytest.raises(TypeError, match="vmap maps expressions and arrays, .* not str"):
        mapped(x, "array")
