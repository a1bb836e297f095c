"""From the start of the process to the end of the first training step of the reference network, nothing cached.

    python -m benchmarks.startup [repetitions]

Each repetition is a process of its own, measured from outside: the interpreter, all imports, declaring the network,
deriving its gradient, compiling the training step, one step on random arrays in memory. Prints every run and the
median, and fails if SymPy was imported on the way.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
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
    times = []
    for _ in range(repetitions):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", STEP], check=True)
        times.append(time.perf_counter() - begun)
        print(f"process start to the end of the first step: {times[-1]:.2f} s")
    print(f"median: {statistics.median(times):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
