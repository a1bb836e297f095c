"""JAX's side: one compiled step whose buffers are donated, called for every step or by `lax.scan` for many.

In: a training task, or the arrays of a case. Out: contenders. Data sets and the positions of all batches are JAX's own
arrays before the clock starts; it stops when the losses and the last weights are there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contest import Call, Contender, Idiom, Trainer, repeated, trained
from benchmarks.network import Network, Rule, Task
from benchmarks.pinn import NU, Burgers

WHO = "JAX"
Arrays = list[jax.Array]
Loss = Callable[[Arrays, jax.Array, jax.Array], jax.Array]
State = tuple[Arrays, list[Arrays], jax.Array]  # weights, slots of each weight, the number of steps


def train(problem: Network | Burgers, task: Task) -> list[Contender]:
    """Enter a training task, in both idioms."""
    return [
        trained(WHO, "jit", Idiom.CALL, problem.steps, lambda: Calls(problem, task)),
        trained(WHO, "lax.scan", Idiom.MANY, problem.steps, lambda: Scan(problem, task)),
    ]


class Training(Trainer):
    """A training with its data; `reset` makes a state, which the run that follows uses up."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        self._first, self._slots = task.weights, problem.rule.slots
        self._columns = [_own(column) for column in task.columns]
        self._step = _step(problem.rule, _residual if isinstance(problem, Burgers) else _perceptron(problem))

    def reset(self) -> None:
        """Begin again."""
        weights = [_own(w) for w in self._first]
        slots = [[_own(np.zeros_like(w)) for _ in range(self._slots)] for w in self._first]
        self._state: State = jax.block_until_ready((weights, slots, jnp.zeros((), jnp.float32)))


class Calls(Training):
    """All steps, a call each."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        super().__init__(problem, task)
        self._rows = [_own(rows) for rows in task.batches.astype(np.int32)]
        self._call = jax.jit(self._step, donate_argnums=0)

    def train(self) -> list[jax.Array]:
        """Call, and wait for everything at the end: until then calls may be on their way."""
        state, losses = self._state, []
        for rows in self._rows:
            state, loss = self._call(state, self._columns, rows)
            losses.append(loss)
        jax.block_until_ready((state, losses))
        return losses


class Scan(Training):
    """All steps in one call."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        super().__init__(problem, task)
        self._order = _own(task.batches.astype(np.int32))
        self._many = jax.jit(_scanned(self._step), donate_argnums=0)

    def train(self) -> np.ndarray:
        """Call once."""
        state, losses = self._many(self._state, self._columns, self._order)
        jax.block_until_ready((state, losses))
        return np.asarray(losses)


def _own(array: np.ndarray) -> jax.Array:
    """Copy an array: a donated buffer must not be NumPy's memory."""
    return jnp.array(array, copy=True)


def _scanned(step: Callable[..., Any]) -> Callable[..., Any]:
    def many(state: State, columns: Arrays, order: jax.Array) -> tuple[State, jax.Array]:
        return jax.lax.scan(lambda carried, rows: step(carried, columns, rows), state, order)

    return many


def _step(rule: Rule, loss: Loss) -> Callable[..., tuple[State, jax.Array]]:
    def step(state: State, columns: Arrays, rows: jax.Array) -> tuple[State, jax.Array]:
        weights, slots, steps = state
        batch = [jnp.take(column, rows, axis=0, mode="clip") for column in columns]
        value, gradients = jax.value_and_grad(loss)(weights, *batch)
        steps = steps + 1
        moved = [_moved(rule, steps, *each) for each in zip(weights, gradients, slots, strict=True)]
        return ([w for w, _ in moved], [s for _, s in moved], steps), value

    return step


def _moved(rule: Rule, steps: jax.Array, w: jax.Array, g: jax.Array, slots: Arrays) -> tuple[jax.Array, Arrays]:
    """Give a weight and its slots after a step."""
    rate = rule.learning_rate
    if rule.name == "sgd":
        return w - rate * g, []
    if rule.name == "momentum":
        v = rule.momentum * slots[0] - rate * g
        return w + v, [v]
    if rule.name == "rmsprop":
        v = rule.rho * slots[0] + (1 - rule.rho) * g * g
        return w - rate * g / jnp.sqrt(v + rule.epsilon), [v]
    m = rule.beta_1 * slots[0] + (1 - rule.beta_1) * g
    v = rule.beta_2 * slots[1] + (1 - rule.beta_2) * g * g
    corrected = rate * jnp.sqrt(1 - rule.beta_2**steps) / (1 - rule.beta_1**steps)
    return w - corrected * m / (jnp.sqrt(v) + rule.epsilon), [m, v]


# -- losses --------------------------------------------------------------------------------------------------------


def _perceptron(network: Network) -> Loss:
    activate = jnp.tanh if network.activation == "tanh" else jax.nn.relu

    def loss(weights: Arrays, x: jax.Array, y: jax.Array) -> jax.Array:
        h = x
        for k in range(network.layers):
            z = h @ weights[2 * k] + weights[2 * k + 1]
            h = activate(z)
        if network.loss == "mse":
            return jnp.mean((z - y) ** 2)
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), axis=1))

    return loss


def _solution(weights: Arrays, t: jax.Array, x: jax.Array) -> jax.Array:
    row_x, row_t, bias, *rest = weights
    h = x * row_x + (2 * t - 1) * row_t + bias
    for W, b in zip(rest[::2], rest[1::2], strict=True):
        h = jnp.tanh(h) @ W + b
    return t * (1 - x**2) * h - jnp.sin(jnp.pi * x)


def _residual(weights: Arrays, t: jax.Array, x: jax.Array) -> jax.Array:
    """Take the slopes by forward mode: u at a point depends on t and x there alone."""

    def along_x(place: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(lambda p: _solution(weights, t, p), (place,), (ones,))

    ones = jnp.ones_like(x)
    (u, u_x), (_, u_xx) = jax.jvp(along_x, (x,), (ones,))
    _, u_t = jax.jvp(lambda s: _solution(weights, s, x), (t,), (ones,))
    return jnp.mean((u_t + u * u_x - NU * u_xx) ** 2)


# -- arrays --------------------------------------------------------------------------------------------------------


def chain(x: np.ndarray, times: int) -> list[Contender]:
    """Enter the chain of twelve operators."""

    def whole(v: jax.Array) -> jax.Array:
        u = jnp.minimum(jnp.maximum((v * 0.5 + 1) * v - 0.25, -1), 4)
        return jnp.sqrt(jnp.abs(jnp.square(u) + v)) * 1.5 - v

    return [_compiled(times, whole, x)]


def softmax(x: np.ndarray, times: int) -> list[Contender]:
    """Enter the softmax of every row."""
    return [_compiled(times, lambda v: jax.nn.softmax(v, axis=1), x)]


def _compiled(times: int, whole: Callable[[jax.Array], jax.Array], x: np.ndarray) -> Contender:
    """Call a function again and again; the memory of the result before is donated to the next one."""

    def make() -> Call:
        given, step = _own(x), jax.jit(lambda v, into: whole(v), donate_argnums=1, keep_unused=True)
        held = [jnp.zeros_like(given)]

        def call() -> None:
            held[0] = jax.block_until_ready(step(given, held[0]))

        return Call(call, lambda: np.asarray(held[0]))

    return repeated(WHO, "jit, donated", times, make)


def product(a: np.ndarray, b: np.ndarray, turned: tuple[bool, bool], times: int, threads: int) -> list[Contender]:
    """Products are compared with NumPy alone."""
    return []
