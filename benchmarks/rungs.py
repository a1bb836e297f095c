"""The table of rungs: what symgrad and its peers are compared on, from the smallest network to the largest.

In: the name of a rung, and whether only to see that things run. Out: a `Rung`, whose arrays live as long as it does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

from benchmarks import arrays
from benchmarks.contest import Case, Contender, Rung, Unit
from benchmarks.network import Network, Rule
from benchmarks.pinn import Burgers

SHORT = 20  # a quick look takes this part of the steps

# fmt: off
NETWORKS = (
    #       name      sizes           activation loss            optimizer               batch samples steps
    Network("tiny",   (8, 32, 32, 1), "tanh",    "mse",          Rule("sgd", 0.05),      32,   4_096,  10_000),
    Network("logreg", (784, 10),      "relu",    "crossentropy", Rule("sgd", 0.01),      128,  60_000, 2_000),
    Network("mlp",    (784, 512, 10), "relu",    "crossentropy", Rule("rmsprop"),        128,  60_000, 468),
    Network("deep",   (256,) * 11,    "relu",    "mse",          Rule("adam"),           64,   12_800, 200),
    Network("wide",   (2048,) * 3,    "relu",    "mse",          Rule("momentum", 0.01), 256,  2_560,  10),
)
# fmt: on
BURGERS = Burgers("pinn", (20,) * 8, Rule("adam", 0.005), 1_000, 20_000, 200)


def network(problem: Network, quick: bool) -> Rung:
    """Give the training of a perceptron."""
    p = problem.shortened(SHORT) if quick else problem
    sizes = "-".join(map(str, p.sizes)) if p.layers < 5 else f"{p.layers} layers of {p.sizes[0]}"
    activation = f" {p.activation}" if p.layers > 1 else ""
    loss = {"mse": "mean squared error", "crossentropy": "softmax and cross-entropy"}[p.loss]
    subject = f"{sizes}{activation}, {loss}, {p.rule.name}, batch {p.batch}, {p.steps} steps a run, float32"
    return Rung(p.name, subject, (_training(p, Unit.FLOPS, p.flops),))


def burgers(quick: bool) -> Rung:
    """Give the training of a network in Burgers' equation."""
    p = BURGERS.shortened(SHORT) if quick else BURGERS
    sizes = f"2-{p.hidden[0]}x{len(p.hidden)}-1"
    subject = f"Burgers' equation, {sizes} tanh, second derivatives, {p.batch} points, adam, {p.steps} steps a run"
    return Rung(p.name, subject, (_training(p, Unit.STEPS, 1),))


def _training(problem: Network | Burgers, unit: Unit, work: float) -> Case:
    task = functools.cache(problem.draw)  # drawn by the first who enters, shared by all

    def enter(peer: ModuleType) -> list[Contender]:
        train: Callable[..., list[Contender]] = peer.train
        return train(problem, task())

    return Case("a step", unit, work, enter)


RUNGS: dict[str, Callable[[bool], Rung]] = {
    **{problem.name: functools.partial(network, problem) for problem in NETWORKS},
    BURGERS.name: burgers,
    "elementwise": arrays.elementwise,
    "softmax": arrays.softmax,
    "gemm": arrays.gemm,
}
