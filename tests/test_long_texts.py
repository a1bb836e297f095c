"""Deep networks: their texts cost what their graphs are long, nest no deeper than a reader follows, and run."""

import numpy as np
import pytest
from formulas import parameter, symbol
from reader import read

import symgrad as sg
from symgrad.show import format_equations, format_expression
from symgrad.show.wording import Writer

N = sg.dim("N")
WIDTH = 4


def gradients(layers):
    """Give the gradients of a deep tanh network as `sg.grad` derives them, and its parameters."""
    H, weights, below = symbol("X", (N, WIDTH)), [], []
    y = symbol("y", (N, WIDTH))
    for k in range(1, layers + 1):
        weights.append((parameter(f"W{k}", (WIDTH, WIDTH)), parameter(f"b{k}", (WIDTH,))))
        below.append(H)
        H = sg.tanh(H @ weights[-1][0] + weights[-1][1])
    G, found = H - y, {}
    for k in range(layers, 0, -1):
        G = G * (1 - H**2)
        found[f"dW{k}"], found[f"db{k}"] = below[k - 1].T @ G, G.sum(axis=0)
        G, H = G @ weights[k - 1][0].T, below[k - 1]
    return found, [p for pair in weights for p in pair]


def test_the_gradients_are_those_that_are_derived():
    found, parameters = gradients(3)
    H = symbol("X", (N, WIDTH))
    for W, b in zip(parameters[::2], parameters[1::2], strict=True):
        H = sg.tanh(H @ W + b)
    derived = sg.grad(sg.sum((H - symbol("y", (N, WIDTH))) ** 2) / 2, parameters)
    assert str(derived[0]) == str(sg.simplify(found["dW1"]))


@pytest.fixture
def phrases(monkeypatch):
    """Count the phrases that are said."""
    said, phrase = [], Writer.phrase

    def counted(writer, node, **how):
        said.append(1)
        return phrase(writer, node, **how)

    monkeypatch.setattr(Writer, "phrase", counted)
    return said


def test_twice_the_layers_are_twice_the_text(phrases):
    sizes = []
    for layers in (250, 500):
        equations, _ = gradients(layers)
        before = len(phrases)
        sizes.append((len(format_equations(equations)), len(phrases) - before))
    (short, few), (long, many) = sizes
    assert long < 2.2 * short
    assert many < 2.02 * few


@pytest.mark.parametrize("form", ["equations", "expression"])
def test_the_text_of_a_deep_network_runs(form):
    """Python's parser takes 200 brackets inside each other, a reader fewer."""
    equations, parameters = gradients(300)
    rng = np.random.default_rng(0)
    arrays = {p.name: rng.normal(size=p.shape) * 0.6 for p in parameters}
    arrays |= {"X": rng.normal(size=(5, WIDTH)), "y": rng.normal(size=(5, WIDTH))}
    env = {node: arrays[node.attrs["name"]] for node in equations["dW1"].free_symbols}
    if form == "expression":
        *lines, last = format_expression(equations["dW1"]).split("\n")
        text = "\n".join([*lines, f"dW1 = {last}"])
    else:
        text = format_equations(equations)
    assert max(line.count("(") for line in text.split("\n")) < 40
    np.testing.assert_allclose(read(text, arrays)["dW1"], sg.evaluate(equations["dW1"], env), rtol=1e-9, atol=0)


def test_a_long_sum_or_product_is_one_line():
    x = symbol("x", (N,))
    powers = [x**k for k in range(3, 60)]
    assert format_expression(sum(powers)).count("\n") == 0
    product = powers[0]
    for factor in powers[1:]:
        product = product * factor
    assert format_expression(product).count("\n") == 0
