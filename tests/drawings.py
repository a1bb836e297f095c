"""Drawings that several tests look at, and ways to look at them."""

import re
from itertools import pairwise

import symgrad as sg

N = sg.dim("N")


def logistic():
    """Give the loss of logistic regression and its parameters."""
    X, y = sg.symbol("X", (N, 4)), sg.symbol("y", (N,))
    w, b = sg.parameter("w", (4,)), sg.parameter("b", ())
    return sg.losses.binary_crossentropy(y, sg.sigmoid(X @ w + b)), [w, b]


def network(hidden=(512,), activation="relu", features=784):
    """Give a compiled model: dense layers, softmax at the end."""
    first = {"input_shape": (features,)}
    layers = [sg.layers.Dense(n, activation=activation, **({} if i else first)) for i, n in enumerate(hidden)]
    model = sg.Sequential([*layers, sg.layers.Dense(10, activation="softmax")])
    model.compile("rmsprop", "categorical_crossentropy")
    return model


def attention():
    """Give attention and its gradients for a cotangent."""
    Q, K, V, G = (sg.symbol(name, (N, 16)) for name in "QKVG")
    out = sg.softmax(Q @ K.T / 4.0, axis=-1).named("A") @ V
    return {"O": out, **dict(zip(("dQ", "dK", "dV"), sg.vjp(out, [Q, K, V], G), strict=True))}


def towers():
    """Give a model of two layers side by side, and one below."""
    x = sg.layers.Input((8,), name="x")
    left, right = (sg.layers.Dense(4, activation=name)(x) for name in ("relu", "tanh"))
    return sg.Model(x, sg.layers.Dense(2)(left * right + left))


def drawn_with_gradient(loss, parameters):
    """Draw a loss and its gradient."""
    return sg.graph(loss, wrt=parameters)


def with_gradient(model):
    """Draw a model's loss and its gradient."""
    return sg.graph(model, wrt=model.parameters)


def block():
    """Give a transformer block with its normalisations."""
    T = sg.dim("T")
    x = sg.symbol("X", (T, 64))

    def weight(name, *shape):
        return sg.parameter(name, shape)

    def normalised(x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = sg.sqrt(sg.var(x, axis=-1, keepdims=True) + 1e-5)
        return weight(f"g{name}", 64) * centred / deviation + weight(f"b{name}", 64)

    h = normalised(x, 1)
    q, k, v = (h @ weight(name, 64, 64) for name in ("Wq", "Wk", "Wv"))
    x = x + sg.softmax(q @ k.T / 8.0, axis=-1) @ v @ weight("Wo", 64, 64)
    wide = sg.gelu(normalised(x, 2) @ weight("W1", 64, 256) + weight("c1", 256))
    return x + wide @ weight("W2", 256, 64)


def block_with_gradient():
    """Draw the block's mean square and its gradient."""
    loss = (block() ** 2).mean()
    return drawn_with_gradient(loss, [n for n in loss.free_symbols if n.op == "parameter"])


def shared_weights():
    """Draw a recurrent net, whose weights lines lead far, and its gradient."""
    x, h = sg.symbol("x", (4, 3)), sg.symbol("h", (4, 3))
    W = sg.parameter("W", (3, 3))
    for _ in range(20):
        h = sg.tanh(h @ W + x)
    return sg.graph(h.sum(), wrt=W)


def quadratic():
    """Draw a gradient before which nothing is computed."""
    A, v = sg.symbol("A", (3, 3)), sg.symbol("v", (3,))
    return sg.graph(sg.grad(v @ A @ v, v))


DRAWINGS = {
    "logistic": lambda: drawn_with_gradient(*logistic()),
    "network": lambda: with_gradient(network()),
    "deep": lambda: with_gradient(network([16] * 8, "tanh", 8)),
    "attention": lambda: sg.graph(attention()),
    "block": block_with_gradient,
    "shared_weights": shared_weights,
    "gradient": quadratic,
    "model": lambda: sg.graph(network()),
    "towers": lambda: sg.graph(towers()),
    "collapsed": lambda: sg.graph(network([32, 16]), collapse=True),
}


def points_of(path):
    """List points along a path: ends of lines, and points on curves."""
    points = []
    for command, text in re.findall(r"([MLVHCQ])([^MLVHCQ]*)", path):
        values = [float(v) for v in text.replace(",", " ").split()]
        if command == "V":
            points.append((points[-1][0], values[0]))
        elif command in "ML":
            points.append(tuple(values))
        else:
            corners = [points[-1], *zip(values[::2], values[1::2], strict=True)]
            points += [_on_curve(corners, step / 12) for step in range(1, 13)]
    return points


def _on_curve(corners, t):
    while len(corners) > 1:
        corners = [(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for a, b in pairwise(corners)]
    return corners[0]
