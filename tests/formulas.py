"""The formulas of the printer's and the simplifier's tests: each gives equations as (equations, updates, names)."""

import subprocess
import sys

import symgrad as sg
from symgrad.expr import parameter_node

N = sg.dim("N")


def symbol(name, shape=(), dtype="float64", **facts):
    return sg.symbol(name, shape, dtype, **facts)


def printed_under_hash_seeds(program, seeds):
    """Give what a program prints in processes that order sets differently: one text, if nothing depends on that."""
    texts = set()
    for seed in seeds:
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": "tests"}
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
        texts.add(done.stdout)
    return texts


def parameter(name, shape):
    import numpy as np

    return parameter_node(name, np.zeros(shape), symbol("x").dtype)


def gradients(loss, **wrt):
    return dict(zip(wrt, sg.grad(loss, list(wrt.values())), strict=True))


X, w, b, y = symbol("X", (N, 5)), symbol("w", (5,)), symbol("b"), symbol("y", (N,))
W, bias = symbol("W", (5, 10)), symbol("b", (10,))
Y = symbol("Y", (N, 10), facts={"rows_sum_to_one"})


def linear_regression():
    residual = (X @ w + b - y).named("R")
    return gradients(sg.mean(residual**2), dw=w, db=b)


def ridge():
    lam = symbol("lam")
    return gradients(sg.sum((X @ w - y) ** 2) + lam * sg.sum(w**2), dw=w)


def logistic_regression():
    p = sg.sigmoid(X @ w + b)
    return gradients(-sg.mean(y * sg.log(p) + (1 - y) * sg.log(1 - p)), dw=w, db=b)


def softmax_regression():
    P = sg.softmax(X @ W + bias, axis=1)
    return gradients(-sg.mean(sg.sum(Y * sg.log(P), axis=1)), dW=W, db=bias)


def integer_labels():
    P, labels = sg.softmax(X @ W + bias, axis=1), symbol("y", (N,), "int32")
    return gradients(-sg.mean(sg.log(P[sg.arange(N), labels])), dW=W)


def distance():
    A, x, target = symbol("A", (3, 4)), symbol("x", (4,)), symbol("b", (3,))
    return gradients(sg.sqrt(sg.sum((A @ x - target) ** 2)), dx=x)


def quadratic_form():
    A, x = symbol("A", (4, 4)), symbol("x", (4,))
    return gradients(x @ A @ x, dx=x)


def network(activation):
    W1, b1, W2, b2 = (
        parameter(name, shape) for name, shape in (("W1", (784, 512)), ("b1", (512,)), ("W2", (512, 10)), ("b2", (10,)))
    )
    images = symbol("X", (N, 784))
    Z1 = images @ W1 + b1
    H = activation(Z1).named("H")
    P = sg.softmax(H @ W2 + b2, axis=1)
    loss = -sg.mean(sg.sum(Y * sg.log(P), axis=1))
    return gradients(loss, dW1=W1, db1=b1, dW2=W2, db2=b2), {Z1: "Z1"}


def rmsprop():
    V, rho, lr, eps = symbol("V", (5, 10)), symbol("rho"), symbol("lr"), symbol("eps")
    dW = softmax_regression()["dW"].named("dW")
    new = rho * V + (1 - rho) * dW**2
    return {V: new, W: W - lr * dW / sg.sqrt(new + eps)}


EQUATIONS = {
    f.__name__: f
    for f in (
        linear_regression, ridge, logistic_regression, softmax_regression, integer_labels, distance, quadratic_form,
    )
}  # fmt: skip
