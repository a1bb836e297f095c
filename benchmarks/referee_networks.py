"""What is compared with PyTorch beyond single operators: losses, layers, networks and second derivatives.

Each entry is one function written twice, of the same operands: with symgrad and with PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

import symgrad as sg
from symgrad.expr import Expr

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Composite:
    """A scalar function written twice.

    - `operands`: shapes by name, all differentiated with respect to; `fixed`: shapes of those that are not.
    - `order`: 1 compares gradients, 2 Hessians with respect to the first operand.
    """

    name: str
    ours: Callable[..., Expr]
    theirs: Callable[..., Tensor]
    operands: dict[str, Shape]
    fixed: dict[str, Shape] | None = None
    order: int = 1


def huber(r: Expr) -> Expr:
    return sg.mean(sg.where(sg.abs(r) <= 1, 0.5 * r * r, sg.abs(r) - 0.5))


def perceptron(act: Any, of: Any) -> Callable[..., Any]:
    return lambda W1, b1, W2, b2, x: of(act(x @ W1 + b1) @ W2 + b2)


def attention(exact: Any) -> Callable[..., Any]:
    """Scaled dot products of two heads, as a stack of matrices."""
    return lambda Q, K, V, G: (G * (exact.softmax(Q @ K.swapaxes(-1, -2) / 2.0, -1) @ V)).sum()


def normalised(module: Any, scale: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda x, g, b, w: (w * (scale(x) * g + b)).sum()


def lstm(module: Any) -> Callable[..., Any]:
    """Three steps of a long short-term memory of four cells; the gates stand side by side in W and U."""

    def run(W: Any, U: Any, b: Any, x: Any, h: Any, c: Any) -> Any:
        for t in range(3):
            z = x[:, t] @ W + h @ U + b
            i, f, o, g = (z[:, 4 * k : 4 * k + 4] for k in range(4))
            c = module.sigmoid(f) * c + module.sigmoid(i) * module.tanh(g)
            h = module.sigmoid(o) * module.tanh(c)
        return (h * h).sum()

    return run


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def our_layer_norm(x: Expr) -> Expr:
    return (x - sg.mean(x, -1, keepdims=True)) / sg.sqrt(sg.var(x, -1, keepdims=True) + 1e-5)


CLASSES = {"z": (7, 5)}
MLP = {"W1": (6, 8), "b1": (8,), "W2": (8, 3), "b2": (3,)}
GATES = {"W": (3, 16), "U": (4, 16), "b": (16,), "x": (5, 3, 3), "h": (5, 4), "c": (5, 4)}

COMPOSITES = (
    Composite("categorical cross-entropy of logits",
              lambda z, y: sg.losses.categorical_crossentropy(sg.softmax(y), z, from_logits=True),
              lambda z, y: functional.cross_entropy(z, torch.softmax(y, -1)), CLASSES, {"y": (7, 5)}),
    Composite("categorical cross-entropy of softmax",
              lambda z, y: sg.losses.categorical_crossentropy(sg.softmax(y), sg.softmax(z)),
              lambda z, y: functional.cross_entropy(z, torch.softmax(y, -1)), CLASSES, {"y": (7, 5)}),
    Composite("sparse categorical cross-entropy",
              lambda z, y: sg.losses.sparse_categorical_crossentropy(sg.argmax(y, -1), z, from_logits=True),
              lambda z, y: functional.cross_entropy(z, torch.argmax(y, -1)), CLASSES, {"y": (7, 5)}),
    Composite("binary cross-entropy of logits",
              lambda z, y: sg.losses.binary_crossentropy(sg.sigmoid(y), z, from_logits=True),
              lambda z, y: functional.binary_cross_entropy_with_logits(z, torch.sigmoid(y)), CLASSES, {"y": (7, 5)}),
    Composite("binary cross-entropy of sigmoid",
              lambda z, y: sg.losses.binary_crossentropy(sg.sigmoid(y), sg.sigmoid(z)),
              lambda z, y: functional.binary_cross_entropy(torch.sigmoid(z), torch.sigmoid(y)), CLASSES,
              {"y": (7, 5)}),
    Composite("mean squared error", lambda z, y: sg.losses.mean_squared_error(y, z), functional.mse_loss, CLASSES,
              {"y": (7, 5)}),
    Composite("Huber loss", lambda z, y: huber(z - y), functional.huber_loss, CLASSES, {"y": (7, 5)}),
    Composite("Kullback-Leibler divergence",
              lambda z, y: sg.sum(sg.softmax(y) * (sg.log_softmax(y) - sg.log_softmax(z))) / 7,
              lambda z, y: functional.kl_div(torch.log_softmax(z, -1), torch.softmax(y, -1), reduction="batchmean"),
              CLASSES, {"y": (7, 5)}),
    *(Composite(f"perceptron, {name}", perceptron(getattr(sg, name), sg.logsumexp),
                perceptron(theirs, lambda z: torch.logsumexp(z, (0, 1))), MLP, {"x": (9, 6)})
      for name, theirs in (("tanh", torch.tanh), ("relu", torch.relu), ("gelu", functional.gelu),
                           ("silu", functional.silu), ("mish", functional.mish), ("softplus", functional.softplus))),
    Composite("attention", attention(sg), attention(torch),
              {"Q": (2, 5, 4), "K": (2, 6, 4), "V": (2, 6, 3)}, {"G": (2, 5, 3)}),
    Composite("layer normalisation", normalised(sg, our_layer_norm),
              normalised(torch, lambda x: functional.layer_norm(x, (6,))),
              {"x": (5, 6), "g": (6,), "b": (6,)}, {"w": (5, 6)}),
    Composite("LSTM, three steps", lstm(sg), lstm(torch), GATES),
    Composite("ridge regression", lambda w, X, y: sg.sum((X @ w - y) ** 2) + 0.1 * (w @ w),
              lambda w, X, y: torch.sum((X @ w - y) ** 2) + 0.1 * (w @ w), {"w": (5,), "X": (8, 5), "y": (8,)}),
    Composite("Hessian: Rosenbrock", rosenbrock, rosenbrock, {"x": (6,)}, order=2),
    Composite("Hessian: log-sum-exp", sg.logsumexp, lambda x: torch.logsumexp(x, 0), {"x": (6,)}, order=2),
    Composite("Hessian: logistic regression", lambda w, X, y: sg.sum(sg.softplus(X @ w) - y * (X @ w)),
              lambda w, X, y: torch.sum(functional.softplus(X @ w) - y * (X @ w)), {"w": (5,)},
              {"X": (8, 5), "y": (8,)}, order=2),
    Composite("Hessian: cross-entropy of a layer",
              lambda W, x, y: sg.losses.categorical_crossentropy(sg.softmax(y), x @ W, from_logits=True),
              lambda W, x, y: functional.cross_entropy(x @ W, torch.softmax(y, -1)), {"W": (4, 3)},
              {"x": (7, 4), "y": (7, 3)}, order=2),
    Composite("Hessian: log-determinant", lambda X: sg.logdet(X @ X.T + 1.0 * sg.eye(4, dtype=X.dtype)),
              lambda X: torch.logdet(X @ X.T + torch.eye(4, dtype=X.dtype)), {"X": (4, 6)}, order=2),
    Composite("Hessian: perceptron, tanh", perceptron(sg.tanh, sg.sum), perceptron(torch.tanh, torch.sum),
              MLP, {"x": (9, 6)}, order=2),
    Composite("Hessian: attention in Q", attention(sg), attention(torch),
              {"Q": (2, 3, 4), "K": (2, 4, 4), "V": (2, 4, 3)}, {"G": (2, 3, 3)}, order=2),
)  # fmt: skip
