"""The reference network against NumPy: the same arrays, the same order of batches, interleaved in one run.

    python -m benchmarks.mnist [repetitions]

784-512-10, relu and softmax, RMSprop, categorical cross-entropy, batch 128, float32, both on all cores. NumPy's side is
what a careful person writes by hand: preallocated arrays, `out=` everywhere, OpenBLAS for the products. An epoch is the
time of all steps, the gathering of batches included; the median over the repetitions counts. Prints both, their ratio,
and whether the losses agree.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

import symgrad as sg

BATCH, HIDDEN, CLASSES = 128, 512, 10
LEARNING_RATE, RHO, EPSILON = np.float32(1e-3), np.float32(0.9), np.float32(1e-7)


class ByHand:
    """The network written with NumPy; every large result has a place of its own."""

    def __init__(self, weights: list[np.ndarray], batch: int) -> None:
        self.weights = [w.copy() for w in weights]
        self.squares = [np.zeros_like(w) for w in weights]
        self.gradients = [np.empty_like(w) for w in weights]
        self.work = [np.empty_like(w) for w in weights]
        self.x = np.empty((batch, weights[0].shape[0]), np.float32)
        self.y = np.empty((batch, CLASSES), np.float32)
        self.h, self.mask = np.empty((batch, HIDDEN), np.float32), np.empty((batch, HIDDEN), bool)
        self.dh, self.p = np.empty((batch, HIDDEN), np.float32), np.empty((batch, CLASSES), np.float32)

    def step(self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> float:
        """Draw a batch, run forward and backward, move the weights; return the loss."""
        n = len(rows)
        x, y, h, dh, p = self.x[:n], self.y[:n], self.h[:n], self.dh[:n], self.p[:n]
        w1, b1, w2, b2 = self.weights
        np.take(images, rows, axis=0, out=x, mode="clip")
        np.take(labels, rows, axis=0, out=y, mode="clip")
        np.matmul(x, w1, out=h)
        h += b1
        np.maximum(h, 0, out=h)
        np.matmul(h, w2, out=p)
        p += b2
        p -= p.max(axis=1, keepdims=True)
        true = np.einsum("ij,ij->i", p, y)
        np.exp(p, out=p)
        total = p.sum(axis=1, keepdims=True)
        loss = float((np.log(total[:, 0]) - true).mean())
        p /= total
        p -= y
        p *= np.float32(1 / n)
        np.matmul(h.T, p, out=self.gradients[2])
        np.sum(p, axis=0, out=self.gradients[3])
        np.matmul(p, w2.T, out=dh)
        np.greater(h, 0, out=self.mask[:n])
        dh *= self.mask[:n]
        np.matmul(x.T, dh, out=self.gradients[0])
        np.sum(dh, axis=0, out=self.gradients[1])
        for w, v, g, t in zip(self.weights, self.squares, self.gradients, self.work, strict=True):
            np.multiply(g, g, out=t)
            t *= 1 - RHO
            v *= RHO
            v += t
            np.add(v, EPSILON, out=t)
            np.sqrt(t, out=t)
            np.divide(g, t, out=t)
            t *= LEARNING_RATE
            w -= t
        return loss

    def epoch(self, images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> tuple[float, float]:
        """Run all batches; return the seconds and the mean loss weighted by batch size."""
        begun = time.perf_counter()
        total = 0.0
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            total += len(rows) * self.step(images, labels, rows)
        return time.perf_counter() - begun, total / len(order)


def main(repetitions: int) -> None:
    """Run both in turn and print the comparison."""
    (images, classes), _ = sg.datasets.mnist()
    x = images.reshape(len(images), 784).astype(np.float32) / np.float32(255)
    y = sg.to_categorical(classes, CLASSES)
    model = sg.Sequential(
        [
            sg.layers.Dense(HIDDEN, activation="relu", input_shape=(784,)),
            sg.layers.Dense(CLASSES, activation="softmax"),
        ],
        seed=0,
    )
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
    numpy_side = ByHand(model.get_weights(), BATCH)
    trainer = model.trainer(x, y, batch_size=BATCH)
    seconds: dict[str, list[float]] = {"symgrad": [], "numpy": []}
    for repetition in range(repetitions + 1):
        order = np.random.default_rng(repetition).permutation(len(x))
        begun = time.perf_counter()
        ours = trainer.epoch(order)["loss"]
        spent = time.perf_counter() - begun
        theirs_spent, theirs = numpy_side.epoch(x, y, order)
        difference = abs(ours - theirs) / theirs
        print(f"epoch {repetition}: symgrad {spent:.3f} s, loss {ours:.4f}", end="; ")
        print(f"NumPy {theirs_spent:.3f} s, loss {theirs:.4f}")
        if difference > 0.02:
            raise SystemExit(f"the losses differ by {difference:.1%}")
        if repetition:  # the first round compiles, and wakes both sides up
            seconds["symgrad"].append(spent)
            seconds["numpy"].append(theirs_spent)
    ours_median, theirs_median = (statistics.median(seconds[k]) for k in ("symgrad", "numpy"))
    flops = 6 * len(x) * (784 * HIDDEN + HIDDEN * CLASSES) - 2 * len(x) * 784 * HIDDEN
    print(f"median epoch: symgrad {ours_median:.3f} s ({flops / ours_median / 1e9:.0f} GFLOP/s)", end=", ")
    print(f"NumPy {theirs_median:.3f} s; ratio {ours_median / theirs_median:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
