"""Printed formulas: what a person would write (READING's table), and text that runs as Python with NumPy."""

import re

import numpy as np
import pytest
from formulas import EQUATIONS, N, network, rmsprop, symbol

import symgrad as sg
from symgrad.expr import topological
from symgrad.show import format_equations, format_expression


def unaligned(text):
    return re.sub(r"^(\w+) +(=|<-)", r"\1 \2", text, flags=re.MULTILINE).split("\n")


READING = {
    "linear_regression": ["R = X @ w + b - y", "dw = 2 * X.T @ R / N", "db = 2 * sum(R) / N"],
    "ridge": ["dw = 2 * X.T @ (X @ w - y) + 2 * lam * w"],
    "logistic_regression": ["p = sigmoid(X @ w + b)", "dw = X.T @ (p - y) / N", "db = sum(p - y) / N"],
    "softmax_regression": [
        "P = softmax(X @ W + b, axis=1)", "dW = X.T @ (P - Y) / N", "db = sum(P - Y, axis=0) / N",
    ],
    "integer_labels": ["P = softmax(X @ W + b, axis=1)", "dW = X.T @ (P - one_hot(y, 10)) / N"],
    "distance": ["r = A @ x - b", "dx = A.T @ r / sqrt(sum(r**2))"],
    "quadratic_form": ["dx = (A + A.T) @ x"],
}  # fmt: skip

REFERENCE = """\
Z1  = X @ W1 + b1
H   = relu(Z1)
P   = softmax(H @ W2 + b2, axis=1)
dW2 = H.T @ (P - Y) / N
db2 = sum(P - Y, axis=0) / N
G1  = (P - Y) @ W2.T * [Z1 > 0]
dW1 = X.T @ G1 / N
db1 = sum(G1, axis=0) / N"""


@pytest.mark.parametrize("name", READING)
def test_gradients_read_as_a_person_would_write_them(name, golden):
    text = format_equations(EQUATIONS[name]())
    assert unaligned(text) == READING[name]
    golden(f"{name}.txt", text)


def test_the_reference_network(golden):
    equations, names = network(sg.relu)
    text = format_equations(equations, names=names)
    assert text == REFERENCE
    golden("network.txt", text)


def test_a_tanh_network_differs_in_one_factor(golden):
    equations, names = network(sg.tanh)
    text = format_equations(equations, names=names)
    assert "G1  = (P - Y) @ W2.T * (1 - H**2)" in text.split("\n")
    golden("network_tanh.txt", text)


def test_the_gradient_of_the_second_kernel_by_itself():
    equations, _ = network(sg.relu)
    assert str(equations["dW2"]).split("\n") == [
        "H = relu(X @ W1 + b1)", "P = softmax(H @ W2 + b2, axis=1)", "H.T @ (P - Y) / N",
    ]  # fmt: skip


def test_updates_use_the_new_value_under_the_old_name(golden):
    text = format_equations({}, updates=rmsprop())
    assert text.split("\n")[-2:] == [
        "V  <- rho * V + (1 - rho) * dW**2", "W  <- W - lr * dW / sqrt(V + eps)",
    ]  # fmt: skip
    assert format_equations({}, updates=sg.simplify(rmsprop())) == text
    golden("rmsprop.txt", text)


def test_simultaneous_updates_that_read_each_other():
    a, b = symbol("a", (2,)), symbol("b", (2,))
    assert unaligned(format_equations({}, updates={a: b + 1, b: a * 2})) == [
        "a_new = b + 1",
        "b <- 2 * a",
        "a <- a_new",
    ]
    assert unaligned(format_equations({}, updates={a: a + 1, b: b + a})) == ["b <- a + b", "a <- a + 1"]


x, z = symbol("x", (N, 3)), symbol("z", (N, 3))
s, t = symbol("s"), symbol("t")
A, B = symbol("A", (3, 3)), symbol("B", (3, 3))
c = symbol("c", (N, 3), "bool")

PRECEDENCE = {
    "s * (x + z)": (x + z) * s, "x - (x + z)": x - (x + z), "x + z - s": x + z - s, "(-x)**2": (-x) ** 2,
    "-x**2": -(x**2), "x**-2": x**-2, "(x**2)**3": (x**2) ** 3, "x**s": x**s, "-(x + z)": -(x + z), "-x / s": -x / s,
    "A @ B @ A": A @ B @ A, "A @ (B @ A)": A @ (B @ A), "(A + B).T": (A + B).T, "A.T @ B.T": A.T @ B.T,
    "A @ B * A": (A @ B) * A, "(A * B) @ A": (A * B) @ A, "x / (s * t)": x / (s * t), "x / s / t": x / s / t,
    "x > s": x > s, "(x > s) & (z > s)": (x > s) & (z > s), "~c": ~c, "~(x > s)": ~(x > s),
    "x * [z > 0]": sg.where(z > 0, x, 0), "[z > 0]": sg.where(z > 0, 1.0, 0.0), "where(c, x, z)": sg.where(c, x, z),
    "sum(x, axis=0)": x.sum(axis=0), "sum(x)": x.sum(), "max(x, axis=1, keepdims=True)": x.max(axis=1, keepdims=True),
    "x[1:, ::2]": x[1:, ::2], "x[:, ::-1]": x[:, ::-1], "x[:, None, :]": x[:, None], "maximum(x, z)": sg.maximum(x, z),
    "0.1 * x": 0.1 * x, "1 / x": 1 / x, "2 * x / 3": 2 * x / 3, "x / N": x / N, "x / (3 * N)": x / (3 * N),
    "(N + 1) * x": x * (N + 1), "concatenate((x, z), axis=1)": sg.concatenate([x, z], axis=1),
    "exp(x) - 1": sg.exp(x) - 1, "x % z": x % z,
    "transpose(y, (2, 0, 1))": sg.transpose(symbol("y", (2, 3, 4)), (2, 0, 1)), "y.mT": symbol("y", (2, 3, 4)).mT,
    "log(x).astype(float32)": sg.log(x).astype("float32"),
}  # fmt: skip


@pytest.mark.parametrize("text", PRECEDENCE)
def test_precedence(text):
    assert str(PRECEDENCE[text]) == text


def test_let_lines_for_what_is_used_twice_and_what_is_named():
    shared = sg.exp(x * s) + z
    assert str((shared * sg.sin(shared)).sum()) == "t1 = z + exp(s * x)\nsum(t1 * sin(t1))"
    assert str((x - z) * (x - z)) == "(x - z) * (x - z)"
    assert str((x * 3 + z).named("Q") + 1) == "Q = z + 3 * x\nQ + 1"
    assert str((x * 3 + z).named("Q")) == "Q = z + 3 * x"


def test_generated_names_avoid_the_users():
    H = sg.symbol("H", (N, 3), "float64")
    hidden = sg.tanh(x @ A)
    text = format_equations({"u": hidden * hidden.sum() + H})
    assert text.split("\n")[0].startswith("H1 ")


def test_text_does_not_depend_on_the_order_of_operands():
    pairs = [(x + z, z + x), (x * z, z * x), (A + A.T, A.T + A), (sg.maximum(x, 0), sg.maximum(0, x))]
    for left, right in pairs[:3]:
        assert str(left) == str(right)
    assert str(sg.simplify(pairs[3][0])) == str(sg.simplify(pairs[3][1]))


def test_text_is_linear_in_the_graph():
    e = x
    for _ in range(40):  # as a tree, 2**40 nodes
        e = sg.sin(e) * sg.cos(e) + 1
    assert len(str(e)) < 4_000


# -- the text runs ------------------------------------------------------------------------------------------------


def softmax(v, axis=-1):
    e = np.exp(v - v.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


NUMPY = {
    **{name: getattr(np, name) for name in dir(np) if not name.startswith("_")},
    "softmax": softmax, "sigmoid": lambda v: 1 / (1 + np.exp(-v)), "relu": lambda v: np.maximum(v, 0),
    "one_hot": lambda i, depth: np.eye(depth)[i], "norm": np.linalg.norm,
}  # fmt: skip


def run(text, env):
    """Execute a formula's lines with NumPy, after the two replacements that READING names."""
    scope = {**NUMPY, **env}
    for line in text.split("\n"):
        python = re.sub(r"(?<![\w)\]])\[([^\[\]]*)\]", r"where(\1, 1.0, 0.0)", line.replace("<-", "="))
        exec(python, scope)
    return scope


def values(nodes, rng):
    env = {}
    for node in nodes:
        shape = tuple(s if isinstance(s, int) else 6 for s in node.shape)
        if node.dtype.is_integer:
            env[node] = rng.integers(0, 10, shape)
        elif "rows_sum_to_one" in node.attrs.get("facts", ()):
            env[node] = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
        else:
            env[node] = rng.uniform(0.1, 1.0, shape) * (1 if not shape else rng.choice([-1, 1], shape))
    return env


def leaves(roots):
    return [n for n in topological(roots) if n.op in ("symbol", "parameter")]


def check_runs(text, results, env):
    names = {n.attrs["name"]: v.copy() for n, v in env.items()}
    scope = run(text, {**names, "N": 6, "n": 6})
    for name, expr in results.items():
        expected = sg.evaluate(expr, env)
        assert np.shape(scope[name]) == np.shape(expected)
        np.testing.assert_allclose(scope[name], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", EQUATIONS)
def test_equations_run(name):
    equations = EQUATIONS[name]()
    env = values(leaves(equations.values()), np.random.default_rng(0))
    check_runs(format_equations(equations), equations, env)


@pytest.mark.parametrize("activation", [sg.relu, sg.tanh], ids=["relu", "tanh"])
def test_the_network_runs(activation):
    equations, names = network(activation)
    env = values(leaves(equations.values()), np.random.default_rng(0))
    env = {node: value * (0.05 if node.op == "parameter" else 1) for node, value in env.items()}
    check_runs(format_equations(equations, names=names), equations, env)


def test_updates_run():
    updates = rmsprop()
    env = values(leaves(updates.values()), np.random.default_rng(0))
    env = {node: np.abs(v) if node.attrs["name"] in ("V", "eps", "rho") else v for node, v in env.items()}
    check_runs(format_equations({}, updates=updates), {p.attrs["name"]: new for p, new in updates.items()}, env)


RUNNABLE = [t for t in PRECEDENCE if not t.startswith(("x**s", "log", "transpose", "y."))]


@pytest.mark.parametrize("text", RUNNABLE)
def test_single_expressions_run(text):
    expr = PRECEDENCE[text]
    env = values(leaves([expr]), np.random.default_rng(0))
    env = {node: v > 0 if node.dtype == "bool" else v for node, v in env.items()}
    if "N" in text and not leaves([expr]):
        env[N] = 6
    check_runs("out = " + format_expression(expr), {"out": expr}, env)
