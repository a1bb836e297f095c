"""From the start of the process to the end of the first training step of the reference network.

    python -m benchmarks.startup [repetitions]

Each repetition is a process of its own, measured from outside: the interpreter, all imports, declaring the network,
deriving its gradient, compiling the training step, one step on random arrays in memory. Half of them find an empty
cache and keep their compiled code there, half find what one before them has kept, in turns. Prints every run, with the
part that `import symgrad` takes, NumPy's import included, and the medians; fails if SymPy was imported on the way.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

KINDS = ("empty cache", "compiled code found")
STEP = """
import sys, time
begun = time.perf_counter()
import symgrad as sg
print(time.perf_counter() - begun)
import numpy as np
rng = np.random.default_rng(0)
x = rng.random((128, 784), dtype=np.float32)
y = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 128)]
model = sg.Sequential([
    sg.layers.Dense(512, activation="relu", input_shape=(784,)),
    sg.layers.Dense(10, activation="softmax"),
])
model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
loss = model.train_on_batch(x, y)
assert 0 < loss < 10
assert "sympy" not in sys.modules, "SymPy was imported"
"""


def main(repetitions: int) -> None:
    """Run the processes one after the other and print their times."""
    pairs = [_pair() for _ in range(repetitions)]
    for pair in pairs:
        for kind, (whole, loaded) in zip(KINDS, pair, strict=True):
            print(f"process start to the end of the first step, {kind}: {whole:.3f} s, of which import {loaded:.3f} s")
    for kind, runs in zip(KINDS, zip(*pairs, strict=True), strict=True):
        whole, loaded = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"median, {kind}: {whole:.3f} s, of which import {loaded:.3f} s")


def _pair() -> list[tuple[float, float]]:
    """Run twice with one cache, which is empty at first."""
    with tempfile.TemporaryDirectory() as kept:
        return [_first_step(kept) for _ in KINDS]


def _first_step(cache: str) -> tuple[float, float]:
    """Give the seconds of a process, and those of its import."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", STEP], check=True, env={**os.environ, "SYMGRAD_CACHE": cache}, stdout=subprocess.PIPE
    )
    return time.perf_counter() - begun, float(done.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
