"""The reference network in NumPy, float64: what `fit` must compute, written once more and independently.

A dense network of two layers, relu and softmax with categorical cross-entropy, its gradient by hand, and the formulas
of the optimizers. The order of batches comes in; nothing here knows symgrad.
"""

from collections.abc import Callable

import numpy as np

Weights = list[np.ndarray]
Step = Callable[[Weights, Weights], None]  # changes the weights, given the gradients


def forward(weights: Weights, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    W1, b1, W2, b2 = weights
    h = np.maximum(x @ W1 + b1, 0)
    z = h @ W2 + b2
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return h, e / e.sum(axis=1, keepdims=True)


def loss_of(p: np.ndarray, y: np.ndarray) -> float:
    return float(-(y * np.log(p)).sum(axis=1).mean())


def gradients(weights: Weights, x: np.ndarray, y: np.ndarray) -> tuple[float, float, Weights]:
    """Give the loss, the accuracy and the gradients of one batch; any labels, also rows that do not sum to one."""
    h, p = forward(weights, x)
    dz = (p * y.sum(axis=1, keepdims=True) - y) / len(x)
    dh = dz @ weights[2].T * (h > 0)
    hits = (p.argmax(axis=1) == y.argmax(axis=1)).mean()
    return loss_of(p, y), float(hits), [x.T @ dh, dh.sum(axis=0), h.T @ dz, dz.sum(axis=0)]


def sgd(lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> Step:
    slots: Weights = []

    def step(weights: Weights, grads: Weights) -> None:
        slots.extend(np.zeros_like(w) for w in weights if len(slots) < len(weights))
        for w, g, v in zip(weights, grads, slots, strict=True):
            v[...] = momentum * v - lr * g
            w += momentum * v - lr * g if nesterov else v

    return step


def rmsprop(lr: float = 0.001, rho: float = 0.9, eps: float = 1e-7) -> Step:
    slots: Weights = []

    def step(weights: Weights, grads: Weights) -> None:
        slots.extend(np.zeros_like(w) for w in weights if len(slots) < len(weights))
        for w, g, v in zip(weights, grads, slots, strict=True):
            v[...] = rho * v + (1 - rho) * g**2
            w -= lr * g / np.sqrt(v + eps)

    return step


def adam(lr: float = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, eps: float = 1e-7) -> Step:
    means: Weights = []
    squares: Weights = []
    steps = [0]

    def step(weights: Weights, grads: Weights) -> None:
        steps[0] += 1
        for slots in (means, squares):
            slots.extend(np.zeros_like(w) for w in weights if len(slots) < len(weights))
        rate = lr * np.sqrt(1 - beta_2 ** steps[0]) / (1 - beta_1 ** steps[0])
        for w, g, m, v in zip(weights, grads, means, squares, strict=True):
            m[...] = beta_1 * m + (1 - beta_1) * g
            v[...] = beta_2 * v + (1 - beta_2) * g**2
            w -= rate * m / (np.sqrt(v) + eps)

    return step


def epoch(
    weights: Weights, x: np.ndarray, y: np.ndarray, order: np.ndarray, batch: int, step: Step
) -> tuple[float, float]:
    """Run over the samples in this order, the last batch short; give the means weighted by the sizes of the batches."""
    loss = hits = 0.0
    for begin in range(0, len(order), batch):
        rows = order[begin : begin + batch]
        value, share, grads = gradients(weights, x[rows], y[rows])
        step(weights, grads)
        loss += value * len(rows)
        hits += share * len(rows)
    return loss / len(order), hits / len(order)
