"""Optimizers: update equations, as expressions.

In: a loss and parameters, or gradients. Out: {parameter: its new value}: the `updates` of a compiled function, which
applies them all at once. What an optimizer remembers of a parameter (a slot) is a parameter too, made at first use and
kept for the optimizer's life. Hyperparameters are rank-0 parameters: changing one needs no new compilation, and
formulas show `(1 - rho)`. Formulas and defaults are Keras'. It must not know training loops.

    SGD        W <- W - lr * dW
      momentum V <- momentum * V - lr * dW                W <- W + V
      nesterov V likewise                                 W <- W + momentum * V - lr * dW
    RMSprop    V <- rho * V + (1 - rho) * dW**2           W <- W - lr * dW / sqrt(V + eps)
      momentum M <- momentum * M + lr * dW / sqrt(V + eps)                W <- W - M
    Adam       t <- t + 1
               M <- beta_1 * M + (1 - beta_1) * dW
               V <- beta_2 * V + (1 - beta_2) * dW**2
               W <- W - lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * M / (sqrt(V) + eps)

On the right of W stand the new M, V and t.
Sources: Tieleman and Hinton 2012 (RMSprop), Kingma and Ba 2015 (Adam), Sutskever et al. 2013 (Nesterov's momentum).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np

from symgrad import side
from symgrad.dtypes import FLOAT32, DType
from symgrad.errors import ShapeError, nearest
from symgrad.expr import Expr, Parameter, parameter_node
from symgrad.nn.lookup import check_flag, find
from symgrad.ops.row import as_expr, cast, describe, label
from symgrad.ops.scalar import sqrt, square
from symgrad.reverse import grad
from symgrad.shape import Shape, format_shape

__all__ = ["Adam", "Optimizer", "RMSprop", "SGD", "get"]

Updates = dict[Parameter, Expr]


class Hyperparameter:
    """A number that formulas show by its name: one rank-0 parameter for each dtype that is trained."""

    def __init__(self, name: str, number: float) -> None:
        self.name, self._number = name, number
        self._nodes: dict[DType, Parameter] = {}

    def node(self, dtype: DType) -> Parameter:
        """Give the parameter in this dtype."""
        if dtype not in self._nodes:
            with side.building_at(None):
                self._nodes[dtype] = parameter_node(self.name, np.asarray(self.number), dtype, trainable=False)
        return self._nodes[dtype]

    @property
    def number(self) -> float:
        """Read the number, or set it in every dtype; what an update wrote to the parameter is read too."""
        for node in self._nodes.values():
            stored = node.value
            return self._number if stored == stored.dtype.type(self._number) else float(stored)
        return self._number

    @number.setter
    def number(self, new: float) -> None:
        """Set the number: what is compiled already uses it from the next call on."""
        self._number = new
        for node in self._nodes.values():
            node.value = np.asarray(new)


# What other libraries, and formulas, call the arguments of optimizers.
ELSEWHERE = {"lr": "learning_rate", "eps": "epsilon", "beta1": "beta_1", "beta2": "beta_2", "alpha": "rho"}


class Optimizer:
    """The base of all optimizers: subclasses give the equations of one parameter.

    An optimizer belongs to one training run at a time: slots are found by parameter, the step counter is shared.
    """

    def __new__(cls, *numbers: Any, **named: Any) -> Self:
        """Refuse arguments that the class does not take, naming those that it does."""
        taken = inspect.signature(cls.__init__).parameters
        for name in named if all(p.kind is not p.VAR_KEYWORD for p in taken.values()) else ():
            if name not in taken:
                meant = ELSEWHERE.get(name)
                own = [option for option in taken if option != "self"]
                hint = f"It is called {meant!r} here." if meant in taken else nearest(name, own)
                raise TypeError(f"{cls.__name__} takes no {name!r}. {hint}")
        return super().__new__(cls)

    def __init__(self, **numbers: float) -> None:
        self._hyper = {name: Hyperparameter(name, number) for name, number in numbers.items()}
        self._slots: dict[Parameter, dict[str, Parameter]] = {}
        self._counters: dict[DType, Parameter] = {}

    # -- what users call -------------------------------------------------------------------------------------------

    def updates(self, loss: Expr, params: Iterable[Parameter]) -> Updates:
        """Give the new values of the parameters, and of what the optimizer remembers, after one step on a loss.

        Raises GradientError where the loss is no scalar or does not depend on a parameter.

        >>> from symgrad.nn.initializers import parameter
        >>> w = parameter("w", (3,))
        >>> [target.name for target in SGD(momentum=0.9).updates((w * w).sum(), [w])]
        ['V', 'w']
        """
        targets = _check_targets(params)
        return self.apply(zip(grad(loss, targets), targets, strict=True))

    def apply(self, grads_and_params: Iterable[tuple[Any, Parameter]]) -> Updates:
        """Give the new values from gradients: pairs (gradient, parameter), as Keras' apply_gradients takes them.

        Raises ShapeError where a gradient has not the shape of its parameter.
        """
        pairs = [(g, p) for g, p in grads_and_params]
        _check_targets(p for _, p in pairs)
        gradients = [_check_gradient(g, p) for g, p in pairs]
        result: Updates = {}
        for g, (_, p) in zip(gradients, pairs, strict=True):
            result.update(self.equations(p, g))
        return result

    def equations(self, W: Parameter, dW: Expr) -> Updates:
        """Give the update equations of one parameter."""
        raise NotImplementedError(f"{type(self).__name__} defines no equations(W, dW)")

    @property
    def learning_rate(self) -> float:
        """Read the learning rate, or set it: compiled functions use the new one from their next call on."""
        return self._hyper["lr"].number

    @learning_rate.setter
    def learning_rate(self, new: float) -> None:
        """Set the learning rate; ValueError unless it is finite and 0 or more."""
        self._hyper["lr"].number = _not_negative("learning_rate", new)

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Give the hyperparameters by the names that formulas show."""
        return {name: hyper.number for name, hyper in self._hyper.items()}

    def slots(self, of: Parameter) -> dict[str, Parameter]:
        """Give what is remembered of one parameter, by letter; nothing before the first use."""
        return dict(self._slots.get(of, {}))

    @property
    def state(self) -> list[Parameter]:
        """List what the optimizer remembers between steps, in the order in which it was made: counters, then slots."""
        slots = [slot for slots in self._slots.values() for slot in slots.values()]
        return [*self._counters.values(), *slots]

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={number:g}" for name, number in self.hyperparameters.items())
        return f"{type(self).__name__}({numbers})"

    # -- what subclasses use ---------------------------------------------------------------------------------------

    def hyper(self, name: str, dtype: DType = FLOAT32) -> Parameter:
        """Give a hyperparameter as a node."""
        return self._hyper[name].node(dtype)

    def slot(self, name: str, of: Parameter) -> Parameter:
        """Give what is remembered of a parameter: of its shape and dtype, zero at first.

        Its name is the letter of the formula, which a printer numbers where several meet.
        """
        slots = self._slots.setdefault(of, {})
        if name not in slots:
            with side.building_at(None):
                slots[name] = parameter_node(name, _zeros(of.shape), of.dtype, trainable=False)
        return slots[name]

    def counter(self, dtype: DType) -> Parameter:
        """Give the number of steps taken, in a float dtype.

        As a float, formulas need no conversion. Beyond 2**24 float32 counts no further; 1 - beta**t is 1 long before.
        """
        if dtype not in self._counters:
            with side.building_at(None):
                self._counters[dtype] = parameter_node("t", _zeros(()), dtype, trainable=False)
        return self._counters[dtype]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and Nesterov's form of it.

    >>> SGD(0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9)
    """

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        self._momentum = _fraction("momentum", momentum, closed=True)
        self._nesterov = check_flag("nesterov", nesterov)
        numbers = {"momentum": self._momentum} if self._momentum else {}
        super().__init__(lr=_not_negative("learning_rate", learning_rate), **numbers)

    def equations(self, W: Parameter, dW: Expr) -> Updates:
        """Give W, and V with momentum."""
        lr = self.hyper("lr", W.dtype)
        if not self._momentum:
            return {W: W - lr * dW}
        momentum, V = self.hyper("momentum", W.dtype), self.slot("V", W)
        new_V = momentum * V - lr * dW
        return {V: new_V, W: W + momentum * new_V - lr * dW if self._nesterov else W + new_V}


class RMSprop(Optimizer):
    """Gradients divided by a running root mean square; `epsilon` stands inside the root.

    >>> RMSprop()
    RMSprop(lr=0.001, rho=0.9, eps=1e-07)
    """

    def __init__(
        self, learning_rate: float = 0.001, rho: float = 0.9, epsilon: float = 1e-7, momentum: float = 0.0
    ) -> None:
        self._momentum = _fraction("momentum", momentum, closed=True)
        numbers = {"momentum": self._momentum} if self._momentum else {}
        super().__init__(
            lr=_not_negative("learning_rate", learning_rate), rho=_fraction("rho", rho, closed=True),
            eps=_not_negative("epsilon", epsilon), **numbers,
        )  # fmt: skip

    def equations(self, W: Parameter, dW: Expr) -> Updates:
        """Give V and W, and M with momentum."""
        lr, rho, eps = (self.hyper(name, W.dtype) for name in ("lr", "rho", "eps"))
        V = self.slot("V", W)
        new_V = rho * V + (1 - rho) * square(dW)
        step = lr * dW / sqrt(new_V + eps)
        if not self._momentum:
            return {V: new_V, W: W - step}
        M = self.slot("M", W)
        new_M = self.hyper("momentum", W.dtype) * M + step
        return {V: new_V, M: new_M, W: W - new_M}


class Adam(Optimizer):
    """Running means of the gradient and of its square, corrected for their start at zero; `epsilon` outside the root.

    >>> Adam(learning_rate=0.01)
    Adam(lr=0.01, beta_1=0.9, beta_2=0.999, eps=1e-07)
    """

    def __init__(
        self, learning_rate: float = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7
    ) -> None:
        super().__init__(
            lr=_not_negative("learning_rate", learning_rate), beta_1=_fraction("beta_1", beta_1),
            beta_2=_fraction("beta_2", beta_2), eps=_not_negative("epsilon", epsilon),
        )  # fmt: skip

    def equations(self, W: Parameter, dW: Expr) -> Updates:
        """Give t, M, V and W."""
        lr, beta_1, beta_2, eps = (self.hyper(name, W.dtype) for name in ("lr", "beta_1", "beta_2", "eps"))
        t, M, V = self.counter(W.dtype), self.slot("M", W), self.slot("V", W)
        new_t = t + 1
        new_M = beta_1 * M + (1 - beta_1) * dW
        new_V = beta_2 * V + (1 - beta_2) * square(dW)
        rate = lr * sqrt(1 - beta_2**new_t) / (1 - beta_1**new_t)
        return {t: new_t, M: new_M, V: new_V, W: W - rate * new_M / (sqrt(new_V) + eps)}


# -- by name -------------------------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}


def get(optimizer: object) -> Optimizer:
    """Give an optimizer of this name with its defaults, or the one given.

    Raises ValueError for an unknown name, TypeError for anything else.

    >>> get("rmsprop")
    RMSprop(lr=0.001, rho=0.9, eps=1e-07)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()
    return find("optimizer", optimizer, OPTIMIZERS)()


# -- checks --------------------------------------------------------------------------------------------------------


def _zeros(shape: Shape) -> np.ndarray:
    return np.zeros(tuple(int(size) for size in shape))


def _check_targets(params: Any) -> list[Parameter]:
    """List the parameters to train, each of which may change once."""
    targets = [params] if isinstance(params, Parameter) else list(params)
    seen: set[int] = set()
    for target in targets:
        if not isinstance(target, Parameter):
            kind = label(target) if isinstance(target, Expr) else type(target).__name__
            raise TypeError(f"an optimizer trains parameters: {kind} is none. Declare it with sg.parameter.")
        if not target.trainable:
            raise ValueError(f"{label(target)} is not trainable. Leave it out, or declare it with trainable=True.")
        if id(target) in seen:
            raise ValueError(f"{label(target)} is given twice: a parameter has one new value.")
        seen.add(id(target))
    return targets


def _check_gradient(g: Any, p: Parameter) -> Expr:
    node = cast(as_expr(g, p.dtype), p.dtype)
    if node.shape != p.shape:
        got = f"{format_shape(node.shape)} for {describe(p)}"
        raise ShapeError("a gradient has the shape of its parameter", got=got, where=str(side.caller_site() or ""))
    return node


def _number(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{what} is a number, not {type(value).__name__}: {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{what} is finite, not {value}")
    return float(value)


def _not_negative(what: str, value: object) -> float:
    number = _number(what, value)
    if number < 0:
        raise ValueError(f"{what} is 0 or more, not {number:g}")
    return number


def _fraction(what: str, value: object, *, closed: bool = False) -> float:
    """Check a decay rate: between 0 and 1, which is itself one only where nothing is divided by 1 - rate."""
    number = _number(what, value)
    if not (0 <= number < 1 or (closed and number == 1)):
        raise ValueError(f"{what} lies between 0 and 1, not {number:g}")
    return number
