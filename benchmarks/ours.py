"""symgrad's side: the loss as a graph, trained in the native minibatch loop and, beside it, in a call a step.

In: a training task, or the arrays of a case. Out: contenders. The native loop is the one that `fit` runs, entered here
by `BatchProgram` because every step's loss is compared. A call a step is a function of `sg.function`: the data sets and
the positions of the batch go in, the rows are gathered inside.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import symgrad as sg
from benchmarks.contest import OURS, Contender, Idiom, Sample, repeated, thinned, trained
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
    return [_native(problem, task), _calls(problem, task)]


class _State:
    """The parameters of a training, and what its optimizer remembers; both can begin again."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        self.parameters = [sg.parameter(f"w{k}", w.shape, init="zeros") for k, w in enumerate(task.weights)]
        self._first = task.weights
        self._optimizer = _optimizer(problem.rule)
        self._problem = problem

    def step(self, columns: tuple[sg.Expr, sg.Expr]) -> tuple[sg.Expr, dict[Any, sg.Expr]]:
        """Give the loss of a batch, and the updates."""
        loss = _loss(self._problem, self.parameters, *columns)
        return loss, self._optimizer.updates(loss, self.parameters)

    def reset(self) -> None:
        """Begin again."""
        for parameter, first in zip(self.parameters, self._first, strict=True):
            parameter.value = first
        for slot in self._optimizer.state:
            slot.value = np.zeros(slot.value.shape, np.float32)


def _native(problem: Network | Burgers, task: Task) -> Contender:
    state = _State(problem, task)
    symbols = _symbols(problem, task, N)
    loss, updates = state.step(symbols)
    rows = [as_rows(f"x{k}", column) for k, column in enumerate(task.columns)]
    simple = sg.simplify([loss, *updates.values()])
    changes = dict(zip(updates, simple[1:], strict=True))
    program = BatchProgram(list(zip(symbols, rows, strict=True)), simple[:1], changes, "N", sg.Options())
    order = task.batches.reshape(-1)
    out = program.allocate(len(order), problem.batch)

    def run() -> np.ndarray:
        for _ in program.run(rows, order, problem.batch, out):
            pass
        return out[program.slot_of[0]]

    return trained(WHO, "native loop", Idiom.MANY, problem.steps, state.reset, run)


def _calls(problem: Network | Burgers, task: Task) -> Contender:
    state = _State(problem, task)
    symbols = _symbols(problem, task, SAMPLES)
    positions = sg.symbol("positions", (N,), dtype="int64")
    loss, updates = state.step((symbols[0][positions], symbols[1][positions]))
    step = sg.function([*symbols, positions], loss, updates=updates)
    first, second = task.columns

    def run() -> list[float]:
        return [step(first, second, rows) for rows in task.batches]

    return trained(WHO, "a call a step", Idiom.CALL, problem.steps, state.reset, run)


def _symbols(problem: Network | Burgers, task: Task, rows: Any) -> tuple[sg.Expr, sg.Expr]:
    """Declare the columns of the data; one-hot labels are declared as such, as a model does."""
    one_hot = isinstance(problem, Network) and problem.loss == "crossentropy"
    x, y = task.columns
    facts = {"rows_sum_to_one"} if one_hot else set()
    return sg.symbol("x", (rows, x.shape[1])), sg.symbol("y", (rows, y.shape[1]), facts=facts)


def _optimizer(rule: Rule) -> Any:
    if rule.name == "adam":
        return sg.optim.Adam(rule.learning_rate, rule.beta_1, rule.beta_2, rule.epsilon)
    if rule.name == "rmsprop":
        return sg.optim.RMSprop(rule.learning_rate, rule.rho, rule.epsilon)
    return sg.optim.SGD(rule.learning_rate, momentum=rule.momentum if rule.name == "momentum" else 0.0)


def _loss(problem: Network | Burgers, weights: list[Any], first: sg.Expr, second: sg.Expr) -> sg.Expr:
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
    compute, out = sg.function([symbol], result), np.empty(x.shape, np.float32)
    return repeated(WHO, "out=", times, lambda: compute(x, out=out), lambda: out)


def product(a: np.ndarray, b: np.ndarray, turned: tuple[bool, bool], times: int, threads: int) -> list[Contender]:
    """Enter a product: all repetitions are one native call, which is what the kernel itself takes."""
    left, right = sg.symbol("a", a.shape), sg.symbol("b", b.shape)
    result = (left.mT if turned[0] else left) @ (right.mT if turned[1] else right)
    bound = bind(sg.function([left, right], result).executable, {}, Iteration({}))
    out = np.empty(tuple(int(n) for n in result.shape), np.float32)

    def run() -> Sample:
        addresses = [array.ctypes.data for array in (a, b, out)]  # this run keeps the arrays alive
        bound.table.patch_loop(LOOP, 0, times)
        begun = time.perf_counter()
        bound.run(addresses, threads or process_threads())
        spent = time.perf_counter() - begun
        return Sample(spent / times, thinned(out))

    return [Contender(WHO, "one native call", Idiom.MANY, run)]
