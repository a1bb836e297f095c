"""NumPy's side: what a careful person writes by hand. Preallocated arrays, `out=` everywhere, OpenBLAS for products.

In: a network, or the arrays of a case. Out: contenders, each a call a step. NumPy has no many-steps form, and second
derivatives by hand are left out. Sweeps over memory are entered twice: operator by operator over whole arrays, and
block by block, so that what one operator leaves is still in the cache for the next.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.contest import Call, Contender, Idiom, Trainer, repeated, trained
from benchmarks.network import Network, Rule, Task
from benchmarks.pinn import Burgers

WHO = "NumPy"
ONE = np.float32(1)


def train(problem: Network | Burgers, task: Task) -> list[Contender]:
    """Enter a training task."""
    if isinstance(problem, Burgers):
        return []
    return [trained(WHO, "by hand", Idiom.CALL, problem.steps, lambda: ByHand(problem, task))]


class ByHand(Trainer):
    """A perceptron written with NumPy; every large result has a place of its own."""

    def __init__(self, network: Network, task: Task) -> None:
        self._network, self._task = network, task
        self._places = {network.batch: _Places(network.sizes, network.batch)}
        self._weights = [w.copy() for w in task.weights]
        self._gradients = [np.empty_like(w) for w in self._weights]
        self._update = Updates(network.rule, self._weights)

    def reset(self) -> None:
        """Begin again."""
        for w, first in zip(self._weights, self._task.weights, strict=True):
            w[...] = first
        self._update.reset()

    def train(self) -> list[float]:
        """Run all steps; give their losses."""
        return [self.step(rows) for rows in self._task.batches]

    def step(self, rows: np.ndarray) -> float:
        """Draw these rows, run forward and backward, move the weights; give the loss."""
        if (count := len(rows)) not in self._places:
            self._places[count] = _Places(self._network.sizes, count)
        at = self._places[count]
        x, y = self._task.columns
        np.take(x, rows, axis=0, out=at.h[0], mode="clip")
        np.take(y, rows, axis=0, out=at.y, mode="clip")
        self._forward(at)
        loss = (_mse if self._network.loss == "mse" else _crossentropy)(at)
        self._backward(at)
        self._update(self._gradients)
        return loss

    def _forward(self, at: _Places) -> None:
        last = self._network.layers - 1
        activate = np.tanh if self._network.activation == "tanh" else _relu
        for k in range(last + 1):
            h = at.h[k + 1]
            np.matmul(at.h[k], self._weights[2 * k], out=h)
            h += self._weights[2 * k + 1]
            if k < last:
                activate(h, out=h)

    def _backward(self, at: _Places) -> None:
        for k in reversed(range(self._network.layers)):
            h, dz = at.h[k], at.dz[k]
            np.matmul(h.T, dz, out=self._gradients[2 * k])
            np.sum(dz, axis=0, out=self._gradients[2 * k + 1])
            if k == 0:
                return
            below = at.dz[k - 1]
            np.matmul(dz, self._weights[2 * k].T, out=below)
            if self._network.activation == "tanh":
                slope = np.multiply(h, h, out=at.slope[k - 1])
                below *= np.subtract(ONE, slope, out=slope)
            else:
                below *= np.greater(h, 0, out=at.mask[k - 1])


class _Places:
    """Where the results of a step lie, for one size of batches."""

    def __init__(self, sizes: tuple[int, ...], batch: int) -> None:
        self.h = [np.empty((batch, n), np.float32) for n in sizes]  # the inputs of each layer, and the last output
        self.y = np.empty((batch, sizes[-1]), np.float32)
        self.dz = [np.empty((batch, n), np.float32) for n in sizes[1:]]
        self.slope = [np.empty((batch, n), np.float32) for n in sizes[1:]]
        self.mask = [np.empty((batch, n), bool) for n in sizes[1:]]


def _mse(at: _Places) -> float:
    """Give the mean square, and leave its derivative in the last dz."""
    dz = at.dz[-1]
    np.subtract(at.h[-1], at.y, out=dz)
    flat = dz.reshape(-1)
    loss = float(np.dot(flat, flat)) / dz.size
    dz *= np.float32(2 / dz.size)
    return loss


def _crossentropy(at: _Places) -> float:
    """Give the cross-entropy of softmax, and leave its derivative in the last dz."""
    p, dz, y = at.h[-1], at.dz[-1], at.y
    p -= p.max(axis=1, keepdims=True)
    true = np.einsum("ij,ij->i", p, y)
    np.exp(p, out=p)
    total = p.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - true).mean())
    np.divide(p, total, out=dz)
    dz -= y
    dz *= np.float32(1 / len(y))
    return loss


def _relu(z: np.ndarray, out: np.ndarray) -> None:
    np.maximum(z, 0, out=out)


class Updates:
    """An optimizer written with NumPy, in place."""

    def __init__(self, rule: Rule, weights: list[np.ndarray]) -> None:
        self._rule, self._weights, self._steps = rule, weights, 0
        self._slots = [[np.zeros_like(w) for _ in range(rule.slots)] for w in weights]
        self._work = [np.empty_like(w) for w in weights]
        self._move: Callable[..., None] = getattr(self, f"_{rule.name}")

    def reset(self) -> None:
        """Forget everything."""
        self._steps = 0
        for slots in self._slots:
            for slot in slots:
                slot[...] = 0

    def __call__(self, gradients: list[np.ndarray]) -> None:
        """Move the weights."""
        self._steps += 1
        rate = np.float32(self._rule.rate(self._steps))
        for w, slots, g, work in zip(self._weights, self._slots, gradients, self._work, strict=True):
            self._move(w, g, work, rate, *slots)

    def _sgd(self, w: np.ndarray, g: np.ndarray, work: np.ndarray, rate: np.float32) -> None:
        np.multiply(g, rate, out=work)
        w -= work

    def _momentum(self, w: np.ndarray, g: np.ndarray, work: np.ndarray, rate: np.float32, v: np.ndarray) -> None:
        v *= np.float32(self._rule.momentum)
        np.multiply(g, rate, out=work)
        v -= work
        w += v

    def _rmsprop(self, w: np.ndarray, g: np.ndarray, work: np.ndarray, rate: np.float32, v: np.ndarray) -> None:
        _average(v, g, np.float32(self._rule.rho), work, squared=True)
        np.add(v, np.float32(self._rule.epsilon), out=work)
        np.sqrt(work, out=work)
        np.divide(g, work, out=work)
        work *= rate
        w -= work

    def _adam(
        self, w: np.ndarray, g: np.ndarray, work: np.ndarray, rate: np.float32, m: np.ndarray, v: np.ndarray
    ) -> None:  # fmt: skip
        _average(m, g, np.float32(self._rule.beta_1), work, squared=False)
        _average(v, g, np.float32(self._rule.beta_2), work, squared=True)
        np.sqrt(v, out=work)
        work += np.float32(self._rule.epsilon)
        np.divide(m, work, out=work)
        work *= rate
        w -= work


def _average(mean: np.ndarray, g: np.ndarray, rho: np.float32, work: np.ndarray, *, squared: bool) -> None:
    """Move a running mean of gradients, or of their squares."""
    if squared:
        np.multiply(g, g, out=work)
        work *= ONE - rho
    else:
        np.multiply(g, ONE - rho, out=work)
    mean *= rho
    mean += work


# -- arrays --------------------------------------------------------------------------------------------------------


BLOCK = 1 << 14  # elements: two blocks of float32 fit a cache of the second level, and most of the first
Sweep = Callable[[np.ndarray, np.ndarray], None]


def chain(x: np.ndarray, times: int) -> list[Contender]:
    """Enter the chain of twelve operators: a sweep for each, in one array."""
    return _entered(_chain, x, times, BLOCK)


def _chain(x: np.ndarray, out: np.ndarray) -> None:
    np.multiply(x, np.float32(0.5), out=out)
    np.add(out, ONE, out=out)
    np.multiply(out, x, out=out)
    np.subtract(out, np.float32(0.25), out=out)
    np.maximum(out, -ONE, out=out)
    np.minimum(out, np.float32(4), out=out)
    np.square(out, out=out)
    np.add(out, x, out=out)
    np.abs(out, out=out)
    np.sqrt(out, out=out)
    np.multiply(out, np.float32(1.5), out=out)
    np.subtract(out, x, out=out)


def softmax(x: np.ndarray, times: int) -> list[Contender]:
    """Enter the softmax of every row."""
    return _entered(_softmax, x, times, max(1, BLOCK // x.shape[1]))


def _softmax(x: np.ndarray, out: np.ndarray) -> None:
    np.subtract(x, x.max(axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    np.divide(out, out.sum(axis=1, keepdims=True), out=out)


def _entered(sweep: Sweep, x: np.ndarray, times: int, rows: int) -> list[Contender]:
    """Enter a sweep over an array as a whole, and one over so many rows at a time."""

    def whole() -> Call:
        out = np.empty_like(x)
        return Call(lambda: sweep(x, out), lambda: out)

    def in_blocks() -> Call:
        out = np.empty_like(x)
        parts = [(x[k : k + rows], out[k : k + rows]) for k in range(0, len(x), rows)]

        def step() -> None:
            for given, into in parts:
                sweep(given, into)

        return Call(step, lambda: out)

    return [repeated(WHO, "out=", times, whole), repeated(WHO, "out=, in blocks", times, in_blocks)]


def product(a: np.ndarray, b: np.ndarray, turned: tuple[bool, bool], times: int, threads: int) -> list[Contender]:
    """Enter a product of matrices, or of stacks of them; `turned` tells which are stored transposed.

    OpenBLAS chooses the number of threads itself.
    """

    def make() -> Call:
        left = a.mT if turned[0] else a
        right = b.mT if turned[1] else b
        out = np.empty((*a.shape[:-2], left.shape[-2], right.shape[-1]), np.float32)
        return Call(lambda: np.matmul(left, right, out=out), lambda: out)

    return [repeated(WHO, "np.matmul, out=", times, make)]
