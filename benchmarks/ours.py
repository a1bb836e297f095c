"""symgrad's side: the loss as a graph, trained in the native minibatch loop and, beside it, in a call a step.

In: a training task, or the arrays of a case. Out: contenders. The native loop is the one that `fit` runs, entered here
by `BatchProgram` because every step's loss is compared. A call a step is a function of `sg.function`: the data sets and
the positions of the batch go in, the rows are gathered inside; `memory_analysis` tells what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import symgrad as sg
from benchmarks.contest import OURS, Call, Contender, Idiom, Plan, Runner, Sample, Trainer, repeated, thinned, trained
from benchmarks.network import Network, Rule, Task
from benchmarks.pinn import NU, Burgers
from codegen.kernel import LOOP, Iteration, bind
from symgrad.compiled import process_threads
from symgrad.train.loop import BatchProgram
from symgrad.train.rows import as_rows

WHO = OURS
N, SAMPLES = sg.dim("N"), sg.dim("S")


def train(problem: Network | Burgers, task: Task) -> list[Contender]:
    """Enter a training task, in both idioms."""
    return [
        trained(WHO, "native loop", Idiom.MANY, problem.steps, lambda: Native(problem, task)),
        trained(WHO, "a call a step", Idiom.CALL, problem.steps, lambda: Calls(problem, task)),
    ]


class Training(Trainer):
    """The parameters of a training, and what its optimizer remembers; both can begin again."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        self._problem, self._task = problem, task
        self._parameters = [sg.parameter(f"w{k}", w.shape, init="zeros") for k, w in enumerate(task.weights)]
        self._optimizer = optimizer(problem.rule)

    def reset(self) -> None:
        """Begin again."""
        for parameter, first in zip(self._parameters, self._task.weights, strict=True):
            parameter.value = first
        for slot in self._optimizer.state:
            slot.value = np.zeros(slot.value.shape, np.float32)

    def _equations(self, columns: tuple[sg.Expr, sg.Expr]) -> tuple[sg.Expr, dict[Any, sg.Expr]]:
        """Give the loss of a batch, and the updates."""
        value = loss(self._problem, self._parameters, *columns)
        return value, self._optimizer.updates(value, self._parameters)


class Native(Training):
    """All steps in the native loop, of which Python looks at the clock now and then."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        super().__init__(problem, task)
        symbols = columns_of(problem, task, N)
        value, updates = self._equations(symbols)
        self._rows = [as_rows(f"x{k}", column) for k, column in enumerate(task.columns)]
        simple = sg.simplify([value, *updates.values()])
        changes = dict(zip(updates, simple[1:], strict=True))
        feeds = list(zip(symbols, self._rows, strict=True))
        self._program = BatchProgram(feeds, simple[:1], changes, "N", sg.Options())
        self._run = self.over(task.batches)

    def over(self, batches: np.ndarray) -> Callable[[], np.ndarray]:
        """Give a function that trains on these batches, whatever their size, and returns the losses."""
        order, size = batches.reshape(-1), batches.shape[1]
        out = self._program.allocate(len(order), size)

        def run() -> np.ndarray:
            for _ in self._program.run(self._rows, order, size, out):
                pass
            return out[self._program.slot_of[0]]

        return run

    def train(self) -> np.ndarray:
        """Run all steps of the task."""
        return self._run()


class Calls(Training):
    """A call a step."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        super().__init__(problem, task)
        symbols = columns_of(problem, task, SAMPLES)
        positions = sg.symbol("positions", (N,), dtype="int64")
        value, updates = self._equations((symbols[0][positions], symbols[1][positions]))
        self._step = sg.function([*symbols, positions], value, updates=updates)

    def train(self) -> list[np.float32]:
        """Call for each batch."""
        first, second = self._task.columns
        return [self._step(first, second, rows) for rows in self._task.batches]

    def plan(self) -> Plan:
        """Ask for the memory of a call."""
        return planned(self._step, {"N": self._problem.batch, "S": self._problem.samples})


def planned(function: Any, sizes: Mapping[str, int]) -> Plan:
    """Give the bytes that `memory_analysis` tells of a call: what stands outside of it, and the arena."""
    memory = function.memory_analysis(**sizes)
    kinds = ("inputs", "parameters", "constants", "outputs")
    return {**{kind: sum(m.bytes for m in getattr(memory, kind)) for kind in kinds}, "arena": memory.arena}


def columns_of(problem: Network | Burgers, task: Task, rows: Any) -> tuple[sg.Expr, sg.Expr]:
    """Declare the columns of the data; one-hot labels are declared as such, as a model does."""
    one_hot = isinstance(problem, Network) and problem.loss == "crossentropy"
    x, y = task.columns
    facts = {"rows_sum_to_one"} if one_hot else set()
    return sg.symbol("x", (rows, x.shape[1])), sg.symbol("y", (rows, y.shape[1]), facts=facts)


def optimizer(rule: Rule) -> Any:
    """Give symgrad's own optimizer of a rule."""
    if rule.name == "adam":
        return sg.optim.Adam(rule.learning_rate, rule.beta_1, rule.beta_2, rule.epsilon)
    if rule.name == "rmsprop":
        return sg.optim.RMSprop(rule.learning_rate, rule.rho, rule.epsilon)
    return sg.optim.SGD(rule.learning_rate, momentum=rule.momentum if rule.name == "momentum" else 0.0)


def loss(problem: Network | Burgers, weights: list[Any], first: sg.Expr, second: sg.Expr) -> sg.Expr:
    """State the loss of a batch, given its columns."""
    if isinstance(problem, Burgers):
        return _residual(weights, first, second)
    h = first
    for k in range(problem.layers):
        z = h @ weights[2 * k] + weights[2 * k + 1]
        h = sg.tanh(z) if problem.activation == "tanh" else sg.relu(z)
    if problem.loss == "mse":
        return sg.losses.mean_squared_error(second, z)
    return sg.losses.categorical_crossentropy(second, z, from_logits=True)


def _residual(weights: list[Any], t: sg.Expr, x: sg.Expr) -> sg.Expr:
    """Give the mean square of what Burgers' equation leaves over."""
    row_x, row_t, bias, *rest = weights
    h = x * row_x + (2 * t - 1) * row_t + bias
    for W, b in zip(rest[::2], rest[1::2], strict=True):
        h = sg.tanh(h) @ W + b
    u = t * (1 - x**2) * h - sg.sin(np.pi * x)
    ones = sg.ones(x.shape)  # u at a point depends on t and x there alone
    u_x = sg.jvp(u, x, ones)
    return sg.mean(sg.square(sg.jvp(u, t, ones) + u * u_x - NU * sg.jvp(u_x, x, ones)))


# -- arrays --------------------------------------------------------------------------------------------------------


def chain(x: np.ndarray, times: int) -> list[Contender]:
    """Enter the chain of twelve operators."""
    v = sg.symbol("x", x.shape)
    u = sg.minimum(sg.maximum((v * 0.5 + 1) * v - 0.25, -1), 4)
    return [_called(sg.sqrt(abs(sg.square(u) + v)) * 1.5 - v, v, x, times)]


def softmax(x: np.ndarray, times: int) -> list[Contender]:
    """Enter the softmax of every row."""
    v = sg.symbol("x", x.shape)
    return [_called(sg.softmax(v, axis=1), v, x, times)]


def _called(result: sg.Expr, symbol: sg.Expr, x: np.ndarray, times: int) -> Contender:
    return repeated(WHO, "out=", times, lambda: _call([symbol], result, [x], 0))


def _call(symbols: list[sg.Expr], result: sg.Expr, arrays: list[np.ndarray], threads: int) -> Call:
    compute = sg.function(symbols, result, threads=threads or None)
    out = np.empty(tuple(int(n) for n in result.shape), np.float32)
    return Call(lambda: compute(*arrays, out=out), lambda: out, lambda: planned(compute, {}))


def product(a: np.ndarray, b: np.ndarray, turned: tuple[bool, bool], times: int, threads: int) -> list[Contender]:
    """Enter a product: all repetitions in one native call, which is what the kernel itself takes, and a call each."""
    left, right = sg.symbol("a", a.shape), sg.symbol("b", b.shape)
    result = (left.mT if turned[0] else left) @ (right.mT if turned[1] else right)

    def start() -> Runner:
        compute = sg.function([left, right], result)
        bound = bind(compute.executable, {}, Iteration({}))
        out = np.empty(tuple(int(n) for n in result.shape), np.float32)

        def run() -> Sample:
            addresses = [array.ctypes.data for array in (a, b, out)]  # this run keeps the arrays alive
            bound.table.patch_loop(LOOP, 0, times)
            begun = time.perf_counter()
            bound.run(addresses, threads or process_threads())
            spent = time.perf_counter() - begun
            return Sample(spent / times, thinned(out))

        return Runner(run, lambda: planned(compute, {}))

    return [
        Contender(WHO, "one native call", Idiom.MANY, start),
        repeated(WHO, "a call, out=", times, lambda: _call([left, right], result, [a, b], threads)),
    ]
