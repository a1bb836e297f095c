"""Printed formulas: what a person would write (READING's table), and text that runs as Python with NumPy."""

import re

import numpy as np
import pytest
from formulas import FORMULAS, N, network, parameter, printed_under_hash_seeds, rmsprop, symbol
from reader import read

import symgrad as sg
from symgrad.show import format_equations, format_expression


def unaligned(text):
    return re.sub(r"^(\w+) +(=|<-)", r"\1 \2", text, flags=re.MULTILINE).split("\n")


# What a person would write; see docs/decisions/0009-what-a-printed-gradient-says.md for what is chosen otherwise.
READING = {
    "linear_regression": ["R = X @ w + b - y", "dw = 2 * X.T @ R / N", "db = 2 * sum(R) / N"],
    "ridge": ["dw = 2 * X.T @ (X @ w - y) + 2 * lam * w"],
    "logistic_regression": ["p = sigmoid(X @ w + b)", "dw = X.T @ (p - y) / N", "db = sum(p - y) / N"],
    "softmax_regression": [
        "P = softmax(X @ W + b, axis=1)", "dW = X.T @ (P - Y) / N", "db = sum(P - Y, axis=0) / N",
    ],
    "integer_labels": ["P = softmax(X @ W + b, axis=1)", "dW = X.T @ (P - one_hot(y, 10)) / N"],
    "distance": ["r = A @ x - b", "dx = A.T @ r / sqrt(sum(r**2))"],
    "exact_norm": ["r = A @ x - b", "t1 = norm(r)", "dx = A.T @ r / t1 * [t1 != 0]"],
    "quadratic_form": ["dx = (A + A.T) @ x"],
    "symmetric_form": ["dx = 2 * A @ x"],
    "log_determinant": ["dA = inv(A).T"],
    "trace_of_product": ["dX = A.T @ B.T"],
    "softmax_hessian": ["p = softmax(z)", "d2z = diag(p) - outer(p, p)"],
    "attention": [
        "A = softmax(Q @ K.T / sqrt(d), axis=1)", "dV = A.T @ G", "dA = G @ V.T",
        "dS = A * (dA - sum(A * dA, axis=1, keepdims=True))", "dQ = dS @ K / sqrt(d)", "dK = dS.T @ Q / sqrt(d)",
    ],
    "layer_norm": [
        "db = sum(G, axis=0)", "u = g * G", "s = sqrt(var(x, axis=1, keepdims=True) + eps)",
        "n = (x - mean(x, axis=1, keepdims=True)) / s",
        "dx = (u - mean(u, axis=1, keepdims=True) - n * mean(n * u, axis=1, keepdims=True)) / s",
        "dg = sum(G * n, axis=0)",
    ],
    "autoencoder": [
        "Z = X @ W1 + b1", "H = relu(Z)", "R = H @ W2 + b2 - X", "dW2 = H.T @ R / (32 * N)",
        "db2 = sum(R, axis=0) / (32 * N)", "G1 = R @ W2.T * [Z > 0]", "dW1 = X.T @ G1 / (32 * N)",
        "db1 = sum(G1, axis=0) / (32 * N)",
    ],
    "burgers_residual": [
        "H = tanh(outer(t, a) + outer(x, c) + b)", "t1 = 1 - H**2", "u_t = (a * t1) @ v", "u = H @ v",
        "u_x = (c * t1) @ v", "u_xx = -2 * (H * t1 * c**2) @ v", "r = u_t + u * u_x - nu * u_xx",
    ],
    "sgd": ["W <- W - lr * dW"],
    "momentum": ["V <- momentum * V - lr * dW", "W <- W + V"],
    "nesterov": ["V <- momentum * V - lr * dW", "W <- W + momentum * V - lr * dW"],
    "rmsprop": ["V <- rho * V + (1 - rho) * dW**2", "W <- W - lr * dW / sqrt(V + eps)"],
    "adam": [
        "M <- beta_1 * M + (1 - beta_1) * dW", "V <- beta_2 * V + (1 - beta_2) * dW**2",
        "W <- W - sqrt(1 - beta_2**t) * lr * M / (1 - beta_1**t) / (sqrt(V) + eps)",
    ],
    "adagrad": ["S <- S + dW**2", "W <- W - lr * dW / (sqrt(S) + eps)"],
    "network": [
        "Z1 = X @ W1 + b1", "H = relu(Z1)", "P = softmax(H @ W2 + b2, axis=1)", "dW2 = H.T @ (P - Y) / N",
        "db2 = sum(P - Y, axis=0) / N", "G1 = (P - Y) @ W2.T * [Z1 > 0]", "dW1 = X.T @ G1 / N",
        "db1 = sum(G1, axis=0) / N",
    ],
    "network_tanh": [
        "H = tanh(X @ W1 + b1)", "P = softmax(H @ W2 + b2, axis=1)", "dW2 = H.T @ (P - Y) / N",
        "db2 = sum(P - Y, axis=0) / N", "G1 = (P - Y) @ W2.T * (1 - H**2)", "dW1 = X.T @ G1 / N",
        "db1 = sum(G1, axis=0) / N",
    ],
}  # fmt: skip
SOFTMAX_REGRESSION = ["P = softmax(X @ W + b, axis=1)", "dW = X.T @ (P - Y) / N"]  # before any update of its kernel


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients_read_as_a_person_would_write_them(name, golden):
    text = FORMULAS[name]().text()
    golden(f"{name}.txt", text)
    lines = unaligned(text)
    if any("<-" in line for line in lines):
        lines = [line for line in lines if line not in [*SOFTMAX_REGRESSION, "t <- t + 1"]]
    if name != "burgers_gradient":
        assert lines == READING[name]


def test_the_reference_network_is_aligned():
    assert FORMULAS["network"]().text().split("\n")[:3] == [
        "Z1  = X @ W1 + b1", "H   = relu(Z1)", "P   = softmax(H @ W2 + b2, axis=1)",
    ]  # fmt: skip


RMSPROP = """\
Z   = X @ W1 + b1
H   = relu(Z)
P   = softmax(H @ W2 + b2, axis=1)
G1  = (P - Y) @ W2.T * [Z > 0]
dW1 = X.T @ G1 / N
V   <- rho * V + (1 - rho) * dW1**2
W1  <- W1 - lr * dW1 / sqrt(V + eps)
db1 = sum(G1, axis=0) / N
V_2 <- rho * V_2 + (1 - rho) * db1**2
b1  <- b1 - lr * db1 / sqrt(V_2 + eps)
dW2 = H.T @ (P - Y) / N
V_3 <- rho * V_3 + (1 - rho) * dW2**2
W2  <- W2 - lr * dW2 / sqrt(V_3 + eps)
db2 = sum(P - Y, axis=0) / N
V_4 <- rho * V_4 + (1 - rho) * db2**2
b2  <- b2 - lr * db2 / sqrt(V_4 + eps)"""


def test_what_an_update_reads_is_called_after_what_it_changes():
    images, labels = symbol("X", (N, 784)), symbol("Y", (N, 10), facts={"rows_sum_to_one"})
    shapes = {"W1": (784, 512), "b1": (512,), "W2": (512, 10), "b2": (10,)}
    W1, b1, W2, b2 = (parameter(name, shape) for name, shape in shapes.items())
    P = sg.softmax(sg.relu(images @ W1 + b1) @ W2 + b2, axis=1)
    loss = -sg.mean(sg.sum(labels * sg.log(P), axis=1))
    assert format_equations(sg.optim.RMSprop().updates(loss, [W1, b1, W2, b2])) == RMSPROP


def test_texts_are_the_same_in_every_process():
    program = "from formulas import FORMULAS\nfor one in FORMULAS.values(): print(one().text())"
    assert len(printed_under_hash_seeds(program, ["0", "1", "77", "4294967295"])) == 1


def test_the_gradient_of_the_second_kernel_by_itself():
    equations, _ = network(sg.relu)
    assert str(equations["dW2"]).split("\n") == [
        "H = relu(X @ W1 + b1)", "P = softmax(H @ W2 + b2, axis=1)", "H.T @ (P - Y) / N",
    ]  # fmt: skip


def test_simplified_updates_read_the_same():
    assert format_equations({}, updates=sg.simplify(rmsprop())) == FORMULAS["rmsprop"]().text()


def test_simultaneous_updates_that_read_each_other():
    a, b = symbol("a", (2,)), symbol("b", (2,))
    assert unaligned(format_equations({}, updates={a: b + 1, b: a * 2})) == [
        "a_new = b + 1",
        "b <- 2 * a",
        "a <- a_new",
    ]
    assert unaligned(format_equations({}, updates={a: a + 1, b: b + a})) == ["b <- b + a", "a <- a + 1"]


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
    "exp(x) - 1": sg.exp(x) - 1, "x % z": x % z, "-(x // z)": -(x // z), "-x // z": -x // z, "s - x // z": s - x // z,
    "-(x % z) - s": -(x % z) - s, "x // z + s": s + x // z, "s * (x // z)": s * (x // z), "x // z // s": x // z // s,
    "x / z * [z != 0]": sg.where(z != 0, x / z, 0), "x * [z != 0] / z": sg.where(z != 0, x, 0) / z,
    "1 / z * [z != 0]": sg.where(z != 0, 1 / z, 0), "s != 0": 0 != s, "sort(x, axis=1)": sg.sort(x),
    "sort(x, axis=0, descending=True)": sg.sort(x, axis=0, descending=True), "reshape(1, (1,))": sg.expand_dims(1.0, 0),
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


# -- the text runs: single expressions here, formulas in test_reader.py ---------------------------------------------

RUNNABLE = [t for t in PRECEDENCE if not t.startswith(("x**s", "log"))]


def drawn(node):
    shape = tuple(size if isinstance(size, int) else 6 for size in node.shape)
    rng = np.random.default_rng(len(shape))
    values = rng.uniform(0.1, 1.0, shape) * rng.choice([-1, 1], shape)
    return values > 0 if node.dtype == "bool" else values


def check_runs(text, results, env):
    """Execute a text with NumPy, and compare its lines with what they are said to be."""
    scope = read(text, {node.attrs["name"]: np.array(value) for node, value in env.items()} | {"N": 6, "n": 6})
    for name, expr in results.items():
        expected = sg.evaluate(expr, env)
        assert np.shape(scope[name]) == np.shape(expected)
        np.testing.assert_allclose(np.asarray(scope[name]), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("text", RUNNABLE)
def test_single_expressions_run(text):
    expr = PRECEDENCE[text]
    env = {node: drawn(node) for node in expr.free_symbols}
    if "N" in text and not env:
        env[N] = 6
    check_runs(f"out = {format_expression(expr)}", {"out": expr}, env)
