"""What facts and one-hot masks make of formulas: texts and values; normal forms of random graphs that carry facts."""

import numpy as np
import pytest
from formulas import printed_under_hash_seeds
from test_text import check_runs

import symgrad as sg
from symgrad.expr import topological
from symgrad.show import format_equations

N, C = sg.dim("N"), sg.dim("C")


def symbol(name, shape=(), dtype="float64", *facts):
    return sg.symbol(name, shape, dtype, facts)


x, b = symbol("x", (4,)), symbol("b", (4,))
p, q = symbol("p", (4,), "float64", "positive"), symbol("q", (4,), "float64", "positive")
k = symbol("k", (4,), "float64", "integer_valued")
f = symbol("f", (4,), "float64", "finite")
S, A = symbol("S", (4, 4), "float64", "symmetric"), symbol("A", (4, 4))
X, v = symbol("X", (N, 4)), symbol("v", (3,))
lam = symbol("lam")
labels, label = symbol("i", (N,), "int32"), symbol("i", (), "int32")
Z, T = symbol("Z", (N, 3)), symbol("T", (2, N, 3))

TARGETS = {
    "abs": (sg.abs(p * q / (1 + q)), "p * q / (q + 1)"),
    "abs of exp, which may underflow": (sg.abs(sg.exp(x)), "exp(x)"),
    "sign": (sg.sign(p + 1), "broadcast_to(1, (4,))"),
    "sign of exp stays": (sg.sign(sg.exp(x)), "sign(exp(x))"),
    "x times its sign": (sg.exp(x) * sg.sign(sg.exp(x)), "exp(x)"),
    "root of square": (sg.sqrt((p * q) ** 2), "p * q"),
    "root of square in general": (sg.sqrt(x**2), "abs(x)"),
    "relu": (sg.relu(sg.softmax(x)), "softmax(x)"),
    "maximum": (sg.maximum(0, p), "p"),
    "minimum": (sg.minimum(p, 0), "broadcast_to(0, (4,))"),
    "choice": (sg.where(p > 0, x, b), "x"),
    "choice by a mirrored comparison": (sg.where(0 < p, x, b), "x"),
    "other choice": (sg.where(p <= 0, x, b), "b"),
    "a guard that is needed stays": (sg.where(sg.exp(x) > 0, x, b), "where(exp(x) > 0, x, b)"),
    "nonzero": (sg.where(p == 0, x, b), "b"),
    "nan": (sg.where(sg.isnan(f), b, x), "x"),
    "log of square": (sg.log(p**2), "2 * log(p)"),
    "log of power": (sg.log(p**3), "3 * log(p)"),
    "floor": (sg.floor(2 * k - 1), "2 * k - 1"),
    "round of floor": (sg.round(sg.floor(x)), "floor(x)"),
    "trunc of an integer": (sg.trunc(labels.astype("float64")), "i"),
    "floor stays": (sg.floor(k / 2), "floor(k / 2)"),
    "transpose": (S.T @ x, "S @ x"),
    "transpose of what symmetric matrices make": ((2 * S + A.T @ A).T, "A.T @ A + 2 * S"),
    "transpose of a product": ((S @ S).T, "S @ S"),
    "transpose of an outer product": (sg.outer(x, x).T, "outer(x, x)"),
    "rows": (sg.sum(sg.stop_gradient(sg.softmax(A)), axis=1), "broadcast_to(1, (4,))"),
    "identity": (sg.sum(A * sg.eye(4), axis=1), "diagonal(A)"),
    "identity picks a row's element": (sg.sum(x * sg.eye(4), axis=1), "x"),
    "all of the identity": (sg.sum(A * sg.eye(4)), "sum(diagonal(A))"),
    "product with the identity": (sg.eye(4) @ A @ sg.eye(4), "A"),
    "product with a diagonal": (sg.where(sg.eye(4, dtype="bool"), x, 0) @ A, "A * x[:, None]"),
    "one-hot rows": (sg.sum(sg.one_hot(labels, 3) * Z, axis=1), "Z[arange(N), i]"),
    "all one-hot rows": (sg.sum(sg.one_hot(labels, 3) * Z), "sum(Z[arange(N), i])"),
    "one-hot rows of a vector": (sg.sum(sg.one_hot(labels, 3) * v, axis=1), "v[i]"),
    "one label": (sg.sum(sg.one_hot(label, 3) * v), "v[i]"),
    "one label of many rows": (sg.sum(sg.one_hot(label, 3) * Z, axis=1), "take(Z, i, axis=1)"),
    "one-hot rows beside more axes": (sg.sum(sg.one_hot(labels, 3) * T, axis=2), "sum(T * one_hot(i, 3), axis=2)"),
    "converted labels": (sg.one_hot(labels, 3).astype("float64") + Z, "Z + one_hot(i, 3)"),
    "eye": (2 * sg.eye(4), "2 * eye(4)"),
    "eye of a matrix": (A * sg.eye(4), "A * eye(4)"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_target(name):
    before, text = TARGETS[name]
    after = sg.simplify(before)
    assert str(after) == text
    assert sg.simplify(after) is after


GRADIENTS = {
    "quadratic form": (x @ S @ x, "2 * S @ x"),
    "quadratic form in general": (x @ A @ x, "(A + A.T) @ x"),
    "assumed in the formula": (x @ sg.assume(A, symmetric=True) @ x, "2 * A @ x"),
    "quadratic objective": (0.5 * (x @ S @ x) - b @ x, "S @ x - b"),
    "with a penalty": (0.5 * (x @ S @ x) - b @ x + lam * sg.sum(x**2), "S @ x + 2 * lam * x - b"),
    "not symmetric": (0.5 * (x @ A @ x) - b @ x, "0.5 * (A + A.T) @ x - b"),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_symmetric_matrices(name):
    loss, text = GRADIENTS[name]
    assert str(sg.grad(loss, x)) == text


def test_the_gradient_of_a_log_determinant_is_the_inverse_transpose():
    assert str(sg.grad(sg.linalg.logdet(A), A)) == "inv(A).T"
    assert str(sg.grad(sg.linalg.logdet(S), S)) == "inv(S)"


def test_the_gradient_of_ridge_regression():
    y = symbol("y", (N,))
    assert str(sg.grad(sg.sum((X @ x - y) ** 2) + lam * sg.sum(x**2), x)) == "2 * X.T @ (X @ x - y) + 2 * lam * x"


def test_jacobians_are_diagonals_where_they_are():
    assert str(sg.hessian(x @ S @ x, x)) == "2 * S"
    assert str(sg.hessian(sg.sum(x**3), x)) == "6 * diag(x)"
    assert str(sg.jacobian(sg.tanh(x), x)) == "diag(1 - tanh(x)**2)"
    assert str(sg.jacobian(A @ x, x)) == "A"
    assert str(sg.grad(x @ A @ b, A)) == "outer(x, b)"


# -- the second derivative of a cross-entropy ---------------------------------------------------------------------

SIZE = 5
z, one = symbol("z", (SIZE,)), symbol("label", (), "int32")
y = symbol("y", (SIZE,), "float64", "rows_sum_to_one")
free = symbol("y", (SIZE,))
LOSSES = {
    "dense": -sg.sum(y * sg.log_softmax(z)),
    "dense, log of softmax": -sg.sum(y * sg.log(sg.softmax(z))),
    "dense, assumed": -sg.sum(sg.assume(free, rows_sum_to_one=True) * sg.log_softmax(z)),
    "dense, product": -(y @ sg.log_softmax(z)),
    "logsumexp": sg.logsumexp(z) - sg.sum(y * z),
    "label": -sg.log_softmax(z)[one],
    "label, log of softmax": -sg.log(sg.softmax(z))[one],
    "label, log of one probability": -sg.log(sg.softmax(z)[one]),
    "a number as label": -sg.log_softmax(z)[3],
    "label, logsumexp": sg.logsumexp(z) - z[one],
    "one-hot": -sg.sum(sg.one_hot(one, SIZE) * sg.log_softmax(z)),
    "one-hot, log of softmax": -sg.sum(sg.log(sg.softmax(z)) * sg.one_hot(one, SIZE, "float64")),
}  # fmt: skip


def env_of(expr, rng):
    drawn = {node: rng.normal(size=node.shape) for node in topological([expr]) if node.op == "symbol"}
    drawn = {node: rng.dirichlet(np.ones(SIZE)) if node.attrs["name"] == "y" else v for node, v in drawn.items()}
    return {node: np.array(3) if node.dtype.is_integer else v for node, v in drawn.items()}


@pytest.mark.parametrize("spelling", LOSSES)
def test_the_hessian_of_softmax_with_cross_entropy(spelling):
    found = sg.hessian(LOSSES[spelling], z)
    assert str(found) == "p = softmax(z)\ndiag(p) - outer(p, p)"
    assert sg.simplify(found) is found
    env = env_of(LOSSES[spelling], np.random.default_rng(0))
    exp = np.exp(env[z] - env[z].max())
    probabilities = exp / exp.sum()
    value = sg.evaluate(found, env)
    np.testing.assert_allclose(value, np.diag(probabilities) - np.outer(probabilities, probabilities), atol=1e-15)
    slope = sg.grad(LOSSES[spelling], z, simplify=False)
    for j in range(SIZE):
        step = 1e-6 * np.eye(SIZE)[j]
        up, down = (sg.evaluate(slope, {**env, z: env[z] + s}) for s in (step, -step))
        np.testing.assert_allclose(value[:, j], (up - down) / 2e-6, atol=1e-8)


def test_the_hessian_reads_and_runs_as_numpy():
    found = sg.hessian(LOSSES["dense"], z)
    text = format_equations({"d2z": found})
    assert text.split("\n") == ["p   = softmax(z)", "d2z = diag(p) - outer(p, p)"]
    check_runs(text, {"d2z": found}, env_of(found, np.random.default_rng(0)))


COMPOUNDS = {
    "outer(b, x)": sg.outer(b, x), "2 * outer(x, x) / lam": 2 * sg.outer(x, x) / lam, "outer(x, v)": x[:, None] * v,
    "exp(outer(x, b))": sg.exp(sg.outer(x, b)), "diag(x)": sg.where(sg.eye(4, dtype="bool"), x, 0),
    "A * outer(x, b)": A * sg.outer(x, b), "outer(x, b) @ A": sg.outer(x, b) @ A,
    "diag(x**2) - A": sg.where(sg.eye(4, dtype="bool"), x**2, 0) - A,
    "A + eye(4)": sg.eye(4, dtype="float64") + A, "lam * eye(4)": lam * sg.eye(4, dtype="float64"),
    "A * x[:, None]": A * x[:, None], "x[:, None] - x": x[:, None] - x,
}  # fmt: skip


@pytest.mark.parametrize("text", COMPOUNDS)
def test_several_nodes_that_read_as_one_function(text):
    expr = COMPOUNDS[text]
    assert str(expr) == text
    env = {node: np.random.default_rng(0).uniform(0.5, 1, node.shape) for node in expr.free_symbols}
    check_runs(f"out = {text}", {"out": expr}, env)


def test_a_compound_of_names_makes_no_line():
    whole = sg.outer(x, b)
    assert str(whole * sg.sin(whole)) == "outer(x, b) * sin(outer(x, b))"
    own = symbol("own", (3,))  # the name stays with the node, which other tests must not meet
    column = own[:, None].named("c")
    assert str(column * b) == "c = own[:, None]\nb * c"


def test_any_number_of_classes():
    logits = symbol("z", (C,))
    assert str(sg.hessian(-sg.log_softmax(logits)[one], logits)) == "p = softmax(z)\ndiag(p) - outer(p, p)"


def test_targets_that_sum_to_anything():
    found = sg.hessian(-sg.sum(free * sg.log_softmax(z)), z)
    env = env_of(found, np.random.default_rng(1))
    env[free] = np.array([1.0, -2.0, 0.5, 4.0, 1.0])
    prob = sg.evaluate(sg.softmax(z), env)
    np.testing.assert_allclose(sg.evaluate(found, env), 4.5 * (np.diag(prob) - np.outer(prob, prob)), atol=1e-14)
    assert str(found).endswith("diag(t1 * p) - t1 * outer(p, p)")


def test_the_hessian_of_a_batch():
    rng = np.random.default_rng(2)
    logits = symbol("Z", (N, SIZE))
    whole = sg.hessian(-sg.mean(sg.log_softmax(logits)[sg.arange(N), labels]), logits)
    each = sg.vmap(lambda row, i: sg.hessian(-sg.log_softmax(row)[i], row))(logits, labels)
    env = {logits: rng.normal(size=(3, SIZE)), labels: np.array([0, 4, 2]), N: 3}
    prob = sg.evaluate(sg.softmax(logits), env)
    blocks = np.stack([np.diag(row) - np.outer(row, row) for row in prob])
    np.testing.assert_allclose(sg.evaluate(each, env), blocks, atol=1e-15)
    expected = np.zeros((3, SIZE, 3, SIZE))
    for i in range(3):
        expected[i, :, i] = blocks[i] / 3
    np.testing.assert_allclose(sg.evaluate(whole, env), expected, atol=1e-15)


# -- random graphs ------------------------------------------------------------------------------------------------

LEAVES = (S, symbol("P", (4, 4), "float64", "positive"), symbol("K", (4, 4), "float64", "integer_valued"), A, p, x)
LEAVES += (symbol("R", (4, 4), "float64", "rows_sum_to_one"),)
UNARY = (
    sg.abs, sg.sign, sg.relu, sg.floor, sg.round, sg.exp, sg.softmax, sg.sqrt, sg.square, lambda a: a.T, lambda a: -a,
    lambda a: a * sg.eye(4), lambda a: sg.sum(a * sg.eye(4), axis=1), lambda a: sg.sum(a, axis=a.ndim - 1), sg.tanh,
    lambda a: sg.where(a > 0, a, 0), lambda a: a[..., None] if a.ndim == 1 else a, lambda a: a / 4,
)  # fmt: skip
ORDERED = (
    lambda a, c: a - c, lambda a, c: a @ c if a.ndim == c.ndim == 2 and a.shape[1] == c.shape[0] else a,
    lambda a, c: sg.where(a > c, a, c), lambda a, c: a / (2 + sg.square(c)),
)  # fmt: skip
SWAPPED = (sg.add, sg.multiply, sg.maximum, sg.minimum)


def random_graph(seed, size, swap):
    """Draw a graph; with `swap`, the operands of commutative operators are given in the other order."""
    rng = np.random.default_rng(seed)
    nodes = [*LEAVES]
    while len(nodes) < len(LEAVES) + size:
        a, c = (nodes[i] for i in rng.integers(max(0, len(nodes) - 9), len(nodes), 2))
        kind, which = rng.random(), rng.integers(100)
        if a.ndim == 0 or c.ndim == 0:
            a = c = nodes[which % len(LEAVES)]
        if kind < 0.55:
            nodes.append(UNARY[which % len(UNARY)](a))
        elif kind < 0.75:
            nodes.append(ORDERED[which % len(ORDERED)](a, c))
        else:
            nodes.append(SWAPPED[which % len(SWAPPED)](*((c, a) if swap else (a, c))))
    return nodes[-3:]


MAKE = {
    "positive": np.abs, "integer_valued": lambda v: np.round(4 * v), "symmetric": lambda v: v + v.T,
    "rows_sum_to_one": lambda v: np.abs(v) / np.abs(v).sum(axis=-1, keepdims=True),
}  # fmt: skip


def values(roots, rng):
    env = {}
    for node in topological(roots):
        if node.op == "symbol":
            drawn = rng.uniform(-1, 1, node.shape)
            makers = [MAKE[fact] for fact in node.attrs["facts"]]
            env[node] = makers[0](drawn) if makers else drawn
    return env


@pytest.mark.parametrize("seed", range(80))
def test_random_graphs_with_facts(seed):
    roots, swapped = (random_graph(seed, 16, swap) for swap in (False, True))
    out = sg.simplify(roots)
    again = sg.simplify(out)
    assert all(a is c for a, c in zip(again, out, strict=True)), (str(out), str(again))
    for one_, other in zip(out, sg.simplify(swapped), strict=True):
        assert one_ is other, (str(one_), str(other))
    env = values(roots, np.random.default_rng(seed))
    for old, new in zip(*(sg.evaluate(nodes, env) for nodes in (roots, out)), strict=True):
        finite = np.isfinite(old)
        scale = np.max(np.abs(old[finite]), initial=1.0)
        np.testing.assert_allclose(new[finite], old[finite], rtol=1e-9, atol=1e-9 * scale)


PROGRAM = """
from test_fact_rules import LOSSES, TARGETS, random_graph, z
import symgrad as sg
for loss in LOSSES.values():
    print(sg.hessian(loss, z))
for before, _ in TARGETS.values():
    print(sg.simplify(before))
for seed in range(12):
    print(*sg.simplify(random_graph(seed, 16, False)), sep="; ")
"""


def test_the_result_does_not_depend_on_the_hash_seed():
    assert len(printed_under_hash_seeds(PROGRAM, "01")) == 1
