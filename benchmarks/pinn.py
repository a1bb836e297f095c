"""A physics-informed network: the solution of Burgers' equation, without data; second derivatives stand in the loss.

    u_t + u u_x = nu u_xx,   nu = 0.01 / pi,   u = t (1 - x^2) h(t, x) - sin(pi x)

h is a tanh network of t and x, u is right at the edges whatever h is (as in `examples/05_second_derivatives.py`). The
loss is the mean square of what the equation leaves over at the points of a batch. Every framework states it in its own
words. Nothing here knows a framework.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from benchmarks.network import Rule, Task, batches, glorot

NU = 0.01 / np.pi


@dataclass(frozen=True, slots=True)
class Burgers:
    """The training of a network with these hidden layers; the points of every step come from `samples` points."""

    name: str
    hidden: tuple[int, ...]
    rule: Rule
    batch: int
    samples: int
    steps: int
    seed: int = 0

    def shortened(self, share: int) -> Self:
        """Give the same training with a fraction of the steps."""
        return replace(self, steps=max(5, self.steps // share))

    def draw(self) -> Task:
        """Draw points, weights and batches.

        The weights are the row of x, the row of t and the biases of the first layer, then matrix and biases of each.
        """
        draw = np.random.default_rng(self.seed)
        t = draw.random((self.samples, 1), np.float32)
        x = draw.uniform(-1, 1, (self.samples, 1)).astype(np.float32)
        first, bias = glorot(draw, 2, self.hidden[0])
        rest = [w for m, n in itertools.pairwise((*self.hidden, 1)) for w in glorot(draw, m, n)]
        weights = (first[:1].copy(), first[1:].copy(), bias, *rest)
        return Task((t, x), weights, batches(draw, self.samples, self.batch, self.steps))
