"""The gradient function of three composed tensor functions: a(W1, b(W2, c(W3))).

A framework that differentiates symbolically gives the gradient as expressions: they can be printed, and compiled like
everything else.
"""

import numpy as np

import symgrad as sg

N = sg.dim("N")
x = sg.symbol("x", (N, 4))
W1 = sg.parameter("W1", (3, 1), seed=1)
W2 = sg.parameter("W2", (5, 3), seed=2)
W3 = sg.parameter("W3", (4, 5), seed=3)


def c(W3):
    return sg.tanh(x @ W3)


def b(W2, inner):
    return sg.relu(inner @ W2)


def a(W1, inner):
    return (sg.sigmoid(inner @ W1)).sum()


loss = a(W1, b(W2, c(W3)))
gradients = dict(zip(["dW1", "dW2", "dW3"], sg.grad(loss, [W1, W2, W3]), strict=True))
print(sg.format_equations({"loss": loss}))
print()
print(sg.format_equations(gradients))

f = sg.function([x], [loss, *gradients.values()])
value, *slopes = f(np.linspace(-1, 1, 24).reshape(6, 4))
print()
print(f"loss at a point: {value:.6f}; the compiled gradients have the shapes {[g.shape for g in slopes]}")
