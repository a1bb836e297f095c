"""From the start of the process to the end of the first training step of the reference network.

    python -m benchmarks.startup [repetitions]

Each repetition is a process of its own, measured from outside: the interpreter, all imports, declaring the network,
deriving its gradient, compiling the training step, one step on random arrays in memory. Half of them keep no compiled
code (cold), half find what one before them has kept, in a directory of this run (warm), in turns. Prints every run and
both medians, and fails if SymPy was imported on the way.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

STEP = """
import sys
import numpy as np
import symgrad as sg
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
    with tempfile.TemporaryDirectory() as kept:
        _first_step(kept)
        times = [(_first_step("off"), _first_step(kept)) for _ in range(repetitions)]
    for cold, warm in times:
        print(f"process start to the end of the first step: {cold:.2f} s, with compiled code found {warm:.2f} s")
    cold, warm = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"median: {cold:.2f} s, with compiled code found {warm:.2f} s")


def _first_step(cache: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", STEP], check=True, env={**os.environ, "SYMGRAD_CACHE": cache})
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
