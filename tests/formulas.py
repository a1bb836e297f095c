"""The formulas of the printer's and the simplifier's tests: EQUATIONS by name, UPDATES of parameters, and FORMULAS: all
of them with the names that somebody chose, to be printed, executed and compiled."""

import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np

import symgrad as sg
from symgrad.expr import parameter_node, topological
from symgrad.show import format_equations

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


def exact_norm():
    A, x, target = symbol("A", (3, 4)), symbol("x", (4,)), symbol("b", (3,))
    return gradients(sg.norm(A @ x - target), dx=x)


def symmetric_form():
    A, x = symbol("A", (4, 4), facts={"symmetric"}), symbol("x", (4,))
    return gradients(x @ A @ x, dx=x)


def log_determinant():
    A = symbol("A", (4, 4))
    return gradients(sg.logdet(A), dA=A)


def trace_of_product():
    A, unknown, B = symbol("A", (3, 4)), symbol("X", (4, 5)), symbol("B", (5, 3))
    return gradients(sg.trace(A @ unknown @ B), dX=unknown)


def softmax_hessian():
    z, label = symbol("z", (10,)), symbol("y", (), "int32")
    return {"d2z": sg.hessian(-sg.log(sg.softmax(z)[label]), z)}


def attention():
    T, L, d, width = (sg.dim(name) for name in ("T", "L", "d", "m"))
    Q, K, V = symbol("Q", (T, d)), symbol("K", (L, d)), symbol("V", (L, width))
    G = symbol("G", (T, width))
    A = sg.softmax(Q @ K.T / sg.sqrt(d), axis=-1).named("A")
    found = sg.vjp(A @ V, [Q, K, V], G)
    dA = sg.simplify(G @ V.T).named("dA")
    sg.simplify(A * (dA - sg.sum(A * dA, axis=-1, keepdims=True))).named("dS")
    return dict(zip(("dQ", "dK", "dV"), found, strict=True))


def layer_norm():
    x, g, shift, eps = symbol("x", (N, 5)), symbol("g", (5,)), symbol("b", (5,)), symbol("eps")
    G = symbol("G", (N, 5))
    s = sg.sqrt(sg.var(x, axis=-1, keepdims=True) + eps).named("s")
    n = ((x - sg.mean(x, axis=-1, keepdims=True)) / s).named("n")
    found = sg.vjp(g * n + shift, [x, g, shift], G)
    sg.simplify(g * G).named("u")  # the node that is part of what was found: a name lives as long as its node
    return dict(zip(("dx", "dg", "db"), found, strict=True))


def autoencoder():
    W1, b1, W2, b2 = (
        parameter(name, shape) for name, shape in (("W1", (64, 16)), ("b1", (16,)), ("W2", (16, 64)), ("b2", (64,)))
    )
    images = symbol("X", (N, 64))
    H = sg.relu(images @ W1 + b1).named("H")
    R = (H @ W2 + b2 - images).named("R")
    return gradients(sg.mean(R**2), dW1=W1, db1=b1, dW2=W2, db2=b2)


def solution():
    """Give a small network u(t, x), and the places where it is wanted."""
    a, c, shift, v = (parameter(name, (20,)) for name in ("a", "c", "b", "v"))
    t, x = symbol("t", (N,)), symbol("x", (N,))
    H = sg.simplify(sg.tanh(sg.outer(t, a) + sg.outer(x, c) + shift)).named("H")
    return (H @ v).named("u"), t, x, (a, c, shift, v)


def residual():
    """Give what Burgers' equation u_t + u * u_x = nu * u_xx leaves over: u at a point depends on t and x there."""
    u, t, x, parameters = solution()
    ones = sg.ones((N,), dtype="float64")
    u_t, u_x = sg.jvp(u, t, ones).named("u_t"), sg.jvp(u, x, ones).named("u_x")
    u_xx = sg.jvp(u_x, x, ones).named("u_xx")
    return (u_t + u * u_x - symbol("nu") * u_xx).named("r"), parameters


def burgers_residual():
    return {"r": residual()[0]}


def burgers_gradient():
    r, (a, c, shift, v) = residual()
    return gradients(sg.mean(r**2), da=a, dc=c, db=shift, dv=v)


def gradient_of_softmax_regression():
    kernel = parameter("W", (5, 10))
    P = sg.softmax(X @ kernel + bias, axis=1)
    return sg.grad(-sg.mean(sg.sum(Y * sg.log(P), axis=1)), kernel).named("dW"), kernel


def optimized(optimizer):
    """Give what an optimizer does to softmax regression's weights; its numbers are parameters."""
    return optimizer.apply([gradient_of_softmax_regression()])


def adagrad():
    S, lr, eps = parameter("S", (5, 10)), symbol("lr"), symbol("eps")
    dW, kernel = gradient_of_softmax_regression()
    total = S + dW**2
    return {S: total, kernel: kernel - lr * dW / (sg.sqrt(total) + eps)}


EQUATIONS = {
    f.__name__: f
    for f in (
        linear_regression, ridge, logistic_regression, softmax_regression, integer_labels, distance, exact_norm,
        quadratic_form, symmetric_form, log_determinant, trace_of_product, softmax_hessian, attention, layer_norm,
        autoencoder, burgers_residual, burgers_gradient,
    )
}  # fmt: skip
UPDATES = {
    "sgd": lambda: optimized(sg.optim.SGD(0.1)),
    "momentum": lambda: optimized(sg.optim.SGD(0.1, momentum=0.9)),
    "nesterov": lambda: optimized(sg.optim.SGD(0.1, momentum=0.9, nesterov=True)),
    "rmsprop": rmsprop,
    "adam": lambda: optimized(sg.optim.Adam()),
    "adagrad": adagrad,
}


SIZES = {"N": 6, "T": 5, "L": 7, "d": 4, "m": 3}  # of dimensions, where formulas are executed


# -- all of them, to be printed and executed ------------------------------------------------------------------------


@dataclass(frozen=True)
class Formula:
    """Equations, updates, and names that somebody chose for values in them."""

    equations: dict
    updates: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)

    def text(self):
        return format_equations(self.equations, updates=self.updates, names=self.names)

    @property
    def results(self):
        """Map the names of lines to what they are."""
        return {**self.equations, **{target.attrs["name"]: new for target, new in self.updates.items()}}


FORMULAS = {
    **{name: lambda f=f: Formula(f()) for name, f in EQUATIONS.items()},
    **{name: lambda f=f: Formula({}, f()) for name, f in UPDATES.items()},
    "network": lambda: Formula(*named_network(sg.relu)),
    "network_tanh": lambda: Formula(*named_network(sg.tanh)),
}


def named_network(activation):
    equations, names = network(activation)
    return equations, {}, names


def bound(formula, seed=0):
    """Map the leaves of a formula to arrays that are as declared; parameters get theirs as a value."""
    rng = np.random.default_rng(seed)
    env = {}
    for node in topological(formula.results.values()):
        if node.op in ("symbol", "parameter"):
            env[node] = drawn(node, rng)
        if node.op == "parameter":
            node.value = env[node]
    return env


def drawn(node, rng):
    """Draw what a leaf stands for: small weights, positive numbers, what is declared."""
    shape, facts = tuple(SIZES.get(str(n), n) for n in node.shape), node.attrs.get("facts", ())
    if node.dtype.is_integer:
        return rng.integers(0, 10, shape).astype(node.dtype.numpy)
    if "rows_sum_to_one" in facts:
        return rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    if "symmetric" in facts:
        square = rng.normal(size=shape)
        return square + square.T
    if not shape or node.attrs["name"] in ("V", "S"):  # hyperparameters, and sums of squares
        return rng.uniform(0.1, 0.9, shape)
    return rng.normal(size=shape) * (0.1 if node.op == "parameter" else 1)
