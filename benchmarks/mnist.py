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
from benchmarks.by_hand import ByHand
from benchmarks.measure import PAUSE
from benchmarks.network import Network, Rule, Task

BATCH, HIDDEN, CLASSES = 128, 512, 10
NETWORK = Network("mnist", (784, HIDDEN, CLASSES), "relu", "crossentropy", Rule("rmsprop"), BATCH, 60_000, 469)


def main(repetitions: int) -> None:
    """Run both in turn and print the comparison; before each, threads that the other left spinning go to sleep."""
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
    numpy_side = ByHand(NETWORK, Task((x, y), tuple(model.get_weights()), np.empty((0, BATCH), np.intp)))
    trainer = model.trainer(x, y, batch_size=BATCH)
    seconds: dict[str, list[float]] = {"symgrad": [], "numpy": []}
    for repetition in range(repetitions + 1):
        order = np.random.default_rng(repetition).permutation(len(x))
        parts = np.split(order, range(BATCH, len(order), BATCH))
        time.sleep(PAUSE)
        begun = time.perf_counter()
        ours = trainer.epoch(order)["loss"]
        spent = time.perf_counter() - begun
        time.sleep(PAUSE)
        begun = time.perf_counter()
        theirs = sum(len(rows) * numpy_side.step(rows) for rows in parts) / len(order)
        theirs_spent = time.perf_counter() - begun
        difference = abs(ours - theirs) / theirs
        print(f"epoch {repetition}: symgrad {spent:.3f} s, loss {ours:.4f}", end="; ")
        print(f"NumPy {theirs_spent:.3f} s, loss {theirs:.4f}")
        if difference > 0.02:
            raise SystemExit(f"the losses differ by {difference:.1%}")
        if repetition:  # the first round compiles, and wakes both sides up
            seconds["symgrad"].append(spent)
            seconds["numpy"].append(theirs_spent)
    ours_median, theirs_median = (statistics.median(seconds[k]) for k in ("symgrad", "numpy"))
    flops = NETWORK.flops * len(x) / BATCH
    print(f"median epoch: symgrad {ours_median:.3f} s ({flops / ours_median / 1e9:.0f} GFLOP/s)", end=", ")
    print(f"NumPy {theirs_median:.3f} s; ratio {ours_median / theirs_median:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
