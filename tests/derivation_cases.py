"""The programs whose derivations are golden: source texts, so that the user's lines in them are always the same."""

import symgrad as sg
from symgrad.expr import parameter_node

NETWORK = """\
N = sg.dim("N")
X = sg.symbol("X", (N, 784))
Y = sg.symbol("Y", (N, 10), facts={"rows_sum_to_one"})
W1, b1 = parameter("W1", (784, 512)), parameter("b1", (512,))
W2, b2 = parameter("W2", (512, 10)), parameter("b2", (10,))
Z1 = X @ W1 + b1
H = sg.relu(Z1)
Z2 = H @ W2 + b2
loss = -sg.mean(sg.sum(Y * sg.log(sg.softmax(Z2, axis=1)), axis=1))
wrt = [W1, b1, W2, b2]
"""

LOGISTIC = """\
N = sg.dim("N")
X, y = sg.symbol("X", (N, 5)), sg.symbol("y", (N,))
w = parameter("w", (5,))
p = sg.sigmoid(X @ w)
loss = -sg.mean(y * sg.log(p) + (1 - y) * sg.log(1 - p))
wrt = w
"""

ATTENTION = """\
Q, K, V, G = (sg.symbol(name, (7, 4)) for name in "QKVG")
A = sg.softmax(Q @ K.T / 2, axis=-1).named("A")
loss = sg.sum(G * (A @ V))
wrt = [Q, K, V]
"""

RESIDUAL = """\
x, W = sg.symbol("x", (6, 4)), parameter("W", (4, 4))
h = x
for _ in range(2):
    h = h + sg.tanh(h @ W)
loss = sg.sum(sg.where(h > 1, 2 * h, h**2))
wrt = W
"""

LAYER_NORM = """\
x, G = sg.symbol("x", (6, 4)), sg.symbol("G", (6, 4))
g, b = parameter("g", (4,)), parameter("b", (4,))
m = sg.mean(x, axis=-1, keepdims=True)
s = sg.sqrt(sg.var(x, axis=-1, keepdims=True) + 1e-3).named("s")
n = ((x - m) / s).named("n")
loss = sg.sum(G * (g * n + b))
wrt = [x, g, b]
"""

PROGRAMS = {
    "network": NETWORK, "logistic": LOGISTIC, "attention": ATTENTION, "residual": RESIDUAL, "layer_norm": LAYER_NORM,
}  # fmt: skip


def parameter(name, shape):
    import numpy as np

    return parameter_node(name, np.zeros(shape), sg.symbol("x").dtype)


def run(name, file="net.py"):
    """Give what a program declares."""
    scope = {"sg": sg, "parameter": parameter}
    exec(compile(PROGRAMS[name], file, "exec"), scope)
    return scope


def derived(name):
    scope = run(name)
    return sg.derivation(scope["loss"], scope["wrt"])


def transformer_block():
    """Give a loss over a block of attention, layer norms and a perceptron, all sizes but the width symbolic."""
    B, T, width = sg.dim("B"), sg.dim("T"), 16
    shapes = {"Wq": (width, width), "Wk": (width, width), "Wv": (width, width), "Wo": (width, width)}
    shapes |= {"W1": (width, 4 * width), "W2": (4 * width, width), "c1": (4 * width,), "c2": (width,)}
    shapes |= dict.fromkeys(("g1", "b1", "g2", "b2"), (width,))
    p = {name: parameter(name, shape) for name, shape in shapes.items()}
    x, target = sg.symbol("x", (B, T, width)), sg.symbol("target", (B, T, width))

    def norm(x, g, b):
        deviation = x - sg.mean(x, axis=-1, keepdims=True)
        return g * (deviation / sg.sqrt(sg.var(x, axis=-1, keepdims=True) + 1e-5)) + b

    def heads(y):
        return sg.transpose(sg.reshape(y, (B, T, 4, width // 4)), (0, 2, 1, 3))

    h = norm(x, p["g1"], p["b1"])
    Q, K, V = (heads(h @ p[name]) for name in ("Wq", "Wk", "Wv"))
    A = sg.softmax(Q @ K.mT / 2, axis=-1)
    r = x + sg.reshape(sg.transpose(A @ V, (0, 2, 1, 3)), (B, T, width)) @ p["Wo"]
    y = r + sg.gelu(norm(r, p["g2"], p["b2"]) @ p["W1"] + p["c1"]) @ p["W2"] + p["c2"]
    return sg.mean((y - target) ** 2), [x, *p.values()]


def deep_network(layers):
    """Give the loss and the parameters of a network of many layers."""
    h = sg.symbol("x", (sg.dim("N"), 8))
    parameters = []
    for k in range(layers):
        W, b = parameter(f"W{k}", (8, 8)), parameter(f"b{k}", (8,))
        parameters += [W, b]
        h = sg.relu(h @ W + b)
    return sg.mean(h**2), parameters
