"""PyTorch's side: eager, and compiled by Inductor, which needs a C++ compiler. Each is a call a step: it has no other.

In: a training task, or the arrays of a case. Out: contenders. Eager training uses PyTorch's own fused optimizers, but
writes RMSprop with its operators on lists of tensors, since epsilon stands outside the root there; the epsilon of its
Adam is set in every step to what makes the formula Keras'. The compiled step is one function: batch, loss, gradients
and updates. The positions of all batches are tensors before the clock starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.contest import Call, Contender, Idiom, Trainer, repeated, trained
from benchmarks.network import Network, Rule, Task
from benchmarks.pinn import NU, Burgers
from symgrad.compiled import process_threads

WHO = "PyTorch"
Tensors = list[torch.Tensor]
Loss = Callable[[Tensors, torch.Tensor, torch.Tensor], torch.Tensor]

torch.set_num_threads(process_threads())


def train(problem: Network | Burgers, task: Task) -> list[Contender]:
    """Enter a training task, eager and compiled."""
    return [
        trained(WHO, "eager", Idiom.CALL, problem.steps, lambda: Eager(problem, task)),
        trained(WHO, "compiled", Idiom.CALL, problem.steps, lambda: Compiled(problem, task)),
    ]


class Eager(Trainer):
    """A training as PyTorch's users write it."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        self._columns = [torch.from_numpy(column) for column in task.columns]
        self._batches = [torch.from_numpy(rows) for rows in task.batches]
        self._first = [torch.from_numpy(w) for w in task.weights]
        self._loss = _backward_residual if isinstance(problem, Burgers) else _perceptron(problem)
        self._rule = problem.rule
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self._weights = [w.clone().requires_grad_() for w in self._first]
        self._optimizer = _optimizer(self._rule, self._weights)

    def train(self) -> Tensors:
        """Run all steps; give their losses."""
        return [self._step(k, rows) for k, rows in enumerate(self._batches, 1)]

    def _step(self, k: int, rows: torch.Tensor) -> torch.Tensor:
        first, second = (torch.index_select(column, 0, rows) for column in self._columns)
        self._optimizer.zero_grad()
        loss = self._loss(self._weights, first, second)
        loss.backward()
        if self._rule.name == "adam":
            self._optimizer.param_groups[0]["eps"] = self._rule.epsilon / (1 - self._rule.beta_2**k) ** 0.5
        self._optimizer.step()
        return loss.detach()


def _optimizer(rule: Rule, weights: Tensors) -> Any:
    if rule.name == "adam":
        betas = (rule.beta_1, rule.beta_2)
        return torch.optim.Adam(weights, rule.learning_rate, betas, rule.epsilon, fused=True)
    if rule.name == "rmsprop":
        return _RMSprop(rule, weights)
    momentum = rule.momentum if rule.name == "momentum" else 0.0
    return torch.optim.SGD(weights, rule.learning_rate, momentum, fused=True)


class _RMSprop:
    """RMSprop with epsilon inside the root, on all weights at once."""

    def __init__(self, rule: Rule, weights: Tensors) -> None:
        self._rule, self._weights = rule, weights
        self._squares = [torch.zeros_like(w) for w in weights]

    def zero_grad(self) -> None:
        for w in self._weights:
            w.grad = None

    @torch.no_grad()
    def step(self) -> None:
        rule, gradients = self._rule, [w.grad for w in self._weights]
        torch._foreach_mul_(self._squares, rule.rho)
        torch._foreach_addcmul_(self._squares, gradients, gradients, 1 - rule.rho)
        roots = torch._foreach_add(self._squares, rule.epsilon)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(self._weights, gradients, roots, -rule.learning_rate)


class Compiled(Trainer):
    """A training whose whole step is one compiled function, which changes weights and slots in place."""

    def __init__(self, problem: Network | Burgers, task: Task) -> None:
        self._columns = [torch.from_numpy(column) for column in task.columns]
        self._batches = [torch.from_numpy(rows) for rows in task.batches]
        self._first = [torch.from_numpy(w) for w in task.weights]
        self._weights = [w.clone() for w in self._first]
        self._slots = [[torch.zeros_like(w) for w in self._first] for _ in range(problem.rule.slots)]
        self._rates = [torch.tensor(problem.rule.rate(k)) for k in range(1, problem.steps + 1)]
        loss = _nested_residual if isinstance(problem, Burgers) else _perceptron(problem)
        self._step = _compile(_whole_step(problem.rule, loss))

    def reset(self) -> None:
        """Begin again."""
        for w, first in zip(self._weights, self._first, strict=True):
            w.copy_(first)
        for slots in self._slots:
            for slot in slots:
                slot.zero_()

    def train(self) -> Tensors:
        """Run all steps; give their losses."""
        return [
            self._step(self._weights, self._slots, self._columns, rows, rate)
            for rows, rate in zip(self._batches, self._rates, strict=True)
        ]


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for these shapes."""
    torch.compiler.reset()  # else the ninth function of one kind would silently run eager
    return torch.compile(function, dynamic=False)


def _whole_step(rule: Rule, loss: Loss) -> Callable[..., torch.Tensor]:
    def step(
        weights: Tensors, slots: list[Tensors], columns: Tensors, rows: torch.Tensor, rate: torch.Tensor
    ) -> torch.Tensor:  # fmt: skip
        batch = [torch.index_select(column, 0, rows) for column in columns]
        gradients, value = torch.func.grad_and_value(loss)(weights, *batch)
        for k, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            w.add_(_move(rule, g, [slot[k] for slot in slots], rate))
        return value

    return step


def _move(rule: Rule, g: torch.Tensor, slots: Tensors, rate: torch.Tensor) -> torch.Tensor:
    """Renew the slots of a weight; give what is added to the weight."""
    if rule.name == "sgd":
        return -rate * g
    if rule.name == "momentum":
        return slots[0].mul_(rule.momentum).sub_(rate * g)
    if rule.name == "rmsprop":
        square = slots[0].mul_(rule.rho).add_((1 - rule.rho) * g * g)
        return -rate * g / torch.sqrt(square + rule.epsilon)
    mean = slots[0].mul_(rule.beta_1).add_((1 - rule.beta_1) * g)
    square = slots[1].mul_(rule.beta_2).add_((1 - rule.beta_2) * g * g)
    return -rate * mean / (torch.sqrt(square) + rule.epsilon)


# -- losses --------------------------------------------------------------------------------------------------------


def _perceptron(network: Network) -> Loss:
    activate = torch.tanh if network.activation == "tanh" else torch.relu

    def loss(weights: Tensors, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        h = x
        for k in range(network.layers):
            z = torch.addmm(weights[2 * k + 1], h, weights[2 * k])
            h = activate(z)
        if network.loss == "mse":
            return torch.nn.functional.mse_loss(z, y)
        return torch.nn.functional.cross_entropy(z, y)

    return loss


def _solution(weights: Tensors, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    row_x, row_t, bias, *rest = weights
    h = x * row_x + (2 * t - 1) * row_t + bias
    for W, b in zip(rest[::2], rest[1::2], strict=True):
        h = torch.addmm(b, torch.tanh(h), W)
    return t * (1 - x**2) * h - torch.sin(torch.pi * x)


def _backward_residual(weights: Tensors, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Take the slopes by reverse mode, as PyTorch's users do."""
    t.requires_grad_()
    x.requires_grad_()
    u = _solution(weights, t, x)
    u_t, u_x = torch.autograd.grad(u.sum(), (t, x), create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
    return torch.mean((u_t + u * u_x - NU * u_xx) ** 2)


def _nested_residual(weights: Tensors, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Take the slopes by functions of functions, which a compiler sees as a whole."""

    def total(s: torch.Tensor, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        u = _solution(weights, s, p)
        return u.sum(), u

    def along_x(p: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        (u_t, u_x), u = torch.func.grad(total, (0, 1), has_aux=True)(t, p)
        return u_x.sum(), (u, u_t, u_x)

    u_xx, (u, u_t, u_x) = torch.func.grad(along_x, has_aux=True)(x)
    return torch.mean((u_t + u * u_x - NU * u_xx) ** 2)


# -- arrays --------------------------------------------------------------------------------------------------------


def chain(x: np.ndarray, times: int) -> list[Contender]:
    """Enter the chain of twelve operators: eager in place, a sweep for each, and compiled."""

    def eager(given: torch.Tensor, out: torch.Tensor) -> None:
        torch.mul(given, 0.5, out=out).add_(1).mul_(given).sub_(0.25).clamp_min_(-1).clamp_max_(4)
        out.square_().add_(given).abs_().sqrt_().mul_(1.5).sub_(given)

    def whole(v: torch.Tensor, into: torch.Tensor) -> None:
        u = ((v * 0.5 + 1) * v - 0.25).clamp_min(-1).clamp_max(4)
        into.copy_(torch.sqrt(torch.abs(torch.square(u) + v)) * 1.5 - v)

    return _entered(eager, whole, x, times)


def softmax(x: np.ndarray, times: int) -> list[Contender]:
    """Enter the softmax of every row, eager and compiled."""

    def eager(given: torch.Tensor, out: torch.Tensor) -> None:
        torch.softmax(given, 1, out=out)

    def whole(v: torch.Tensor, into: torch.Tensor) -> None:
        into.copy_(torch.softmax(v, 1))

    return _entered(eager, whole, x, times)


def _entered(eager: Callable[..., None], whole: Callable[..., None], x: np.ndarray, times: int) -> list[Contender]:
    def call(function: Callable[..., None]) -> Call:
        given = torch.from_numpy(x)
        out = torch.empty_like(given)
        return Call(lambda: function(given, out), out.numpy)

    return [
        repeated(WHO, "eager, out=", times, lambda: call(eager)),
        repeated(WHO, "compiled, out=", times, lambda: call(_compile(whole))),
    ]


def product(a: np.ndarray, b: np.ndarray, turned: tuple[bool, bool], times: int, threads: int) -> list[Contender]:
    """Products are compared with NumPy alone."""
    return []
