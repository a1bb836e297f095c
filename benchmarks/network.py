"""Training tasks: what is trained, on which data, from which weights, in which order; the same for everyone.

A `Network` is a multilayer perceptron, a `Burgers` (see `pinn`) a network in a differential equation. Each draws a
`Task` from its seed: arrays, which every framework copies into its own. Nothing here knows a framework.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Rule:
    """An optimizer with its constants: Keras' formulas and defaults.

    sgd W -= lr g;  momentum V = mu V - lr g, W += V;  rmsprop V = rho V + (1 - rho) g^2, W -= lr g / sqrt(V + eps);
    adam M = b1 M + (1 - b1) g, V = b2 V + (1 - b2) g^2, W -= lr sqrt(1 - b2^t) / (1 - b1^t) M / (sqrt(V) + eps).
    """

    name: Literal["sgd", "momentum", "rmsprop", "adam"]
    learning_rate: float = 0.001
    momentum: float = 0.9
    rho: float = 0.9
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    @property
    def slots(self) -> int:
        """Count the arrays that are remembered of every weight."""
        return {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2}[self.name]

    def rate(self, step: int) -> float:
        """Give the factor of a step, counted from 1: Adam corrects for what began at zero.

        >>> Rule("sgd", 0.1).rate(7), round(Rule("adam").rate(1), 6)
        (0.1, 0.000316)
        """
        if self.name != "adam":
            return self.learning_rate
        return float(self.learning_rate * np.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step))


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Arrays: `columns` have a sample a row, `batches` the positions of the samples of each step."""

    columns: tuple[np.ndarray, np.ndarray]
    weights: tuple[np.ndarray, ...]
    batches: np.ndarray


@dataclass(frozen=True, slots=True)
class Network:
    """A multilayer perceptron and how it is trained; `sizes` are those of its layers, the inputs first.

    mse is the mean over everything; crossentropy is that of softmax with one-hot labels, the mean over the batch. The
    last layer is linear before the loss.
    """

    name: str
    sizes: tuple[int, ...]
    activation: Literal["tanh", "relu"]
    loss: Literal["mse", "crossentropy"]
    rule: Rule
    batch: int
    samples: int
    steps: int
    seed: int = 0

    @property
    def layers(self) -> int:
        """Count the layers with weights."""
        return len(self.sizes) - 1

    @property
    def flops(self) -> int:
        """Count the floating-point operations of a step: those of the products.

        Three for each layer, forward, gradient of the weights and of the inputs, but the last not for the first layer.

        >>> Network("n", (784, 512, 10), "relu", "crossentropy", Rule("rmsprop"), 128, 60_000, 468).flops
        209453056
        """
        pairs = [m * n for m, n in itertools.pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(pairs) - pairs[0])

    def shortened(self, share: int) -> Self:
        """Give the same training with a fraction of the steps, and of the samples."""
        return replace(self, steps=max(5, self.steps // share), samples=max(2 * self.batch, self.samples // share))

    def draw(self) -> Task:
        """Make data that can be learned, Glorot's first weights and the batches."""
        draw = np.random.default_rng(self.seed)
        x = draw.random((self.samples, self.sizes[0]), np.float32)
        teacher = draw.standard_normal((self.sizes[0], self.sizes[-1]), np.float32)
        target = (x - np.float32(0.5)) @ teacher * np.float32(np.sqrt(12 / self.sizes[0]))  # of variance 1
        if self.loss == "crossentropy":
            y = np.eye(self.sizes[-1], dtype=np.float32)[target.argmax(axis=1)]
        else:
            y = np.tanh(target)
        weights = tuple(w for m, n in itertools.pairwise(self.sizes) for w in glorot(draw, m, n))
        return Task((x, y), weights, batches(draw, self.samples, self.batch, self.steps))


def glorot(draw: np.random.Generator, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a matrix of weights by Glorot and Bengio's rule, and make its biases: zeros."""
    limit = np.sqrt(6 / (rows + columns))
    return draw.uniform(-limit, limit, (rows, columns)).astype(np.float32), np.zeros(columns, np.float32)


def batches(draw: np.random.Generator, samples: int, batch: int, steps: int) -> np.ndarray:
    """Give the positions of each step's samples: whole batches of as many permutations as it takes.

    >>> batches(np.random.default_rng(0), 7, 3, 5).shape
    (5, 3)
    """
    whole = samples // batch
    passes = [draw.permutation(samples)[: whole * batch].reshape(whole, batch) for _ in range(-(-steps // whole))]
    return np.ascontiguousarray(np.concatenate(passes)[:steps])
