"""How large derivatives are: nodes, counted, as a multiple of what they are derivatives of."""

import numpy as np
import pytest

import symgrad as sg
from symgrad.expr import topological
from symgrad.interpreter import evaluate

N = sg.dim("N")


def count(*nodes):
    return len(topological(list(nodes)))


def parameters(*shapes):
    return [sg.parameter(f"W{k}", shape, seed=k) for k, shape in enumerate(shapes)]


def mean_square(a, b):
    return sg.mean((a - b) ** 2)


def logistic():
    x, y = sg.symbol("x", (N, 8)), sg.symbol("y", (N,))
    w, b = parameters((8,), ())
    return sg.losses.binary_crossentropy(y, sg.sigmoid(x @ w + b)), [w, b]


def perceptron():
    x, y = sg.symbol("x", (N, 8)), sg.symbol("y", (N,), "int32")
    W, b, V, c, U, d = parameters((8, 16), (16,), (16, 16), (16,), (16, 4), (4,))
    z = sg.relu(sg.tanh(x @ W + b) @ V + c) @ U + d
    return sg.losses.sparse_categorical_crossentropy(y, z, from_logits=True), [W, b, V, c, U, d]


def normalised(x, g, b):
    mean = sg.mean(x, axis=-1, keepdims=True)
    return g * (x - mean) / sg.sqrt(sg.var(x, axis=-1, keepdims=True) + 1e-3) + b


def layer_norm():
    x, y = sg.symbol("x", (N, 8)), sg.symbol("y", (N, 4))
    W, b, g, s, V = parameters((8, 16), (16,), (16,), (16,), (16, 4))
    return mean_square(sg.gelu(normalised(x @ W + b, g, s)) @ V, y), [W, b, g, s, V]


def attention():
    x, y = sg.symbol("x", (N, 6, 8)), sg.symbol("y", (N, 6, 8))
    Q, K, V, O, A, B, g, s = parameters((8, 8), (8, 8), (8, 8), (8, 8), (8, 16), (16, 8), (8,), (8,))
    h = normalised(x, g, s)
    scores = (h @ Q) @ (h @ K).mT / np.sqrt(8.0)
    seen = np.tril(np.ones((6, 6), bool))
    h = x + sg.softmax(sg.where(seen, scores, -1e9)) @ (h @ V) @ O
    h = h + sg.relu(normalised(h, g, s) @ A) @ B
    return mean_square(h, y), [Q, K, V, O, A, B, g, s]


def autoencoder():
    x = sg.symbol("x", (N, 16))
    W, b, V, c = parameters((16, 4), (4,), (4, 16), (16,))
    code = sg.softplus(x @ W + b)
    return mean_square(sg.sigmoid(code @ V + c), x) + 0.01 * sg.sum(sg.abs(code)) / N, [W, b, V, c]


def burgers():
    """The residual of Burgers' equation, with derivatives of the network inside of the loss."""
    t, x = sg.symbol("t", (N,)), sg.symbol("x", (N,))
    weights = parameters((2, 20), (20,), (20, 20), (20,), (20, 1), (1,))
    W, b, V, c, U, d = weights
    u = (sg.tanh(sg.tanh(sg.stack([t, x], axis=1) @ W + b) @ V + c) @ U + d)[:, 0]
    ut, ux = sg.grad(sg.sum(u), [t, x])
    uxx = sg.grad(sg.sum(ux), x)
    return sg.mean((ut + u * ux - 0.01 / np.pi * uxx) ** 2), weights


@pytest.mark.parametrize("network", [logistic, perceptron, layer_norm, attention, autoencoder, burgers])
def test_a_gradient_has_at_most_five_times_the_nodes_of_its_network(network):
    loss, weights = network()
    value, gradients = sg.value_and_grad(loss, weights)
    assert count(*gradients) <= 5 * count(loss), (count(*gradients), count(loss))
    assert count(value, *gradients) <= 5 * count(loss)


@pytest.mark.parametrize("network", [logistic, perceptron, layer_norm, attention, autoencoder])
def test_products_with_hessians_cost_a_small_multiple_of_gradients(network):
    loss, weights = network()
    vectors = [sg.symbol(f"v{k}", w.shape) for k, w in enumerate(weights)]
    gradients = sg.grad(loss, weights)
    assert count(*sg.hvp(loss, weights, vectors)) <= 3 * count(*gradients)


def test_a_network_mapped_over_samples_has_the_nodes_of_one_sample():
    W, V = parameters((8, 16), (16, 4))
    one, many = sg.symbol("x", (8,)), sg.symbol("X", (N, 8))

    def gradients(v):
        return sg.grad(sg.sum(sg.tanh(sg.tanh(v @ W) @ V)), [W, V])

    assert count(*sg.vmap(gradients)(many)) <= 1.5 * count(*gradients(one))


def nested(x, depth):
    for _ in range(depth):
        x = sg.sin(x) * x + x
    return x


@pytest.mark.parametrize("derive", [sg.grad, lambda node, x: sg.jvp(node, x, 1.0)], ids=["grad", "jvp"])
def test_the_derivative_of_a_nested_function_is_linear_in_its_depth(derive):
    x = sg.symbol("x", dtype="float64")
    sizes = [count(derive(nested(x, depth), x)) for depth in (20, 40, 60)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    assert sizes[2] <= 5 * count(nested(x, 60))


def test_the_second_derivative_of_a_nested_function_is_linear_in_its_depth():
    x = sg.symbol("x", dtype="float64")
    seconds = [sg.grad(sg.grad(nested(x, depth), x), x) for depth in (10, 20, 30)]
    sizes = [count(second) for second in seconds]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    step = 1e-5
    slope = sg.grad(nested(x, 10), x)
    ahead, behind = (float(evaluate(slope, {x: 0.01 + s})) for s in (step, -step))
    assert float(evaluate(seconds[0], {x: 0.01})) == pytest.approx((ahead - behind) / (2 * step), rel=1e-6)
