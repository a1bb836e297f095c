"""Depth: what a network of so many layers costs before its first step, in this process.

    python -m benchmarks.depth LAYERS

In: a number of layers. Out: a `Preparation`, printed as JSON: the seconds to derive the gradient, to compile the
training step, to run it for the first time, and the number of different kernels. SYMGRAD_CACHE says whether compiled
code may be found.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass

import symgrad as sg
from benchmarks import ours
from benchmarks.network import Network, Rule

WIDTH, BATCH = 64, 64


@dataclass(frozen=True, slots=True)
class Preparation:
    """Seconds, one after the other, and different kernels."""

    gradient: float
    compile: float
    first_step: float
    kernels: int


def network_of(layers: int, steps: int = 1) -> Network:
    """Give a network of so many layers of one width; tanh and Glorot's weights keep its values of moderate size."""
    return Network("depth", (WIDTH,) * (layers + 1), "tanh", "mse", Rule("rmsprop"), BATCH, 2_048, steps)


def prepare(layers: int) -> Preparation:
    """Declare the network, derive, compile and run one step."""
    problem = network_of(layers)
    task = problem.draw()
    parameters = [sg.parameter(f"w{k}", w.shape, init=w) for k, w in enumerate(task.weights)]
    symbols = ours.columns_of(problem, task, ours.N)
    x, y = (column[:BATCH] for column in task.columns)
    loss = ours.loss(problem, parameters, *symbols)
    declared = time.perf_counter()
    gradients = sg.grad(loss, parameters)
    derived = time.perf_counter()
    updates = ours.optimizer(problem.rule).apply(zip(gradients, parameters, strict=True))
    step = sg.function(list(symbols), loss, updates=updates)
    compiled = time.perf_counter()
    step(x, y)
    finished = time.perf_counter()
    kernels = len(step.subject.compiled.kernels)
    return Preparation(derived - declared, compiled - derived, finished - compiled, kernels)


if __name__ == "__main__":
    print(json.dumps(asdict(prepare(int(sys.argv[1])))))
