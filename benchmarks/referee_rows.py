"""What PyTorch calls each operator: `ROWS`, a function of tensors for every row, and `WITHOUT`, rows that have none.

In: the row's operands as tensors and its attributes, with dimensions bound. Out: what the row gives. A function of
PyTorch's own stands for a row wherever there is one, so that its value and its derivative are a second opinion; where
PyTorch has the function for numbers only (`elu` with a tensor of slopes), its formula does, differentiated by PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

WITHOUT = {
    **dict.fromkeys(("symbol", "parameter", "constant", "buffer", "dim"), "a leaf: nothing is computed"),
    "project": "a part of a tuple: nothing is computed",
    "uniform": "random bits of a generator of our own",
    "normal": "random bits of a generator of our own",
    "custom": "holds a function and a derivative that the user gives",
    "checkpoint": "holds a graph of other rows",
}

Axes = tuple[int, ...]


# -- reductions ----------------------------------------------------------------------------------------------------


def one_by_one(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Reduce several axes with a function that takes one."""

    def reduced(x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        for axis in sorted(axes, reverse=True):
            x = reduce(x, dim=axis, keepdim=keepdims)
        return x

    return reduced


def all_at_once(reduce: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
    """Reduce several axes with a function that takes them."""
    return lambda x, axes, keepdims: reduce(x, dim=axes, keepdim=keepdims, **options)


def position(find: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give positions along one axis, or among all elements."""

    def found(x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        if len(axes) == 1:
            return find(x, dim=axes[0], keepdim=keepdims)
        place = find(x.reshape(-1))
        return place.reshape((1,) * x.ndim) if keepdims else place

    return found


# -- layout --------------------------------------------------------------------------------------------------------


def sliced(x: Tensor, starts: Axes, stops: Axes, steps: Axes) -> Tensor:
    for axis, bounds in enumerate(zip(starts, stops, steps, strict=True)):
        x = x.index_select(axis, torch.tensor(list(range(*bounds)), dtype=torch.int64))
    return x


def placed(x: Tensor, shape: Axes, starts: Axes, steps: Axes) -> Tensor:
    out = x.new_zeros(shape)
    for index in range(x.ndim):
        if x.shape[index] == 0:
            return out
    where = zip(starts, steps, x.shape, strict=True)
    out[tuple(slice(start, start + (size - 1) * step + 1, step) for start, step, size in where)] = x
    return out


def strided(x: Tensor, shape: Axes, strides: Axes, offset: int) -> Tensor:
    return x.as_strided(shape, strides, offset)


def contracted(x: Tensor, y: Tensor, left: Axes, right: Axes, out: Axes) -> Tensor:
    x_axes, y_axes, out_axes = ("".join(chr(ord("a") + label) for label in labels) for labels in (left, right, out))
    return torch.einsum(f"{x_axes},{y_axes}->{out_axes}", x, y)


# -- indexing ------------------------------------------------------------------------------------------------------


def solved_by_substitution(a: Tensor, b: Tensor, lower: bool) -> Tensor:
    if b.ndim < a.ndim:
        return torch.linalg.solve_triangular(a, b[..., None], upper=not lower)[..., 0]
    return torch.linalg.solve_triangular(a, b, upper=not lower)


def taken(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    found = x.index_select(axis, indices.reshape(-1).long() % x.shape[axis])
    return found.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def scattered(x: Tensor, indices: Tensor, axis: int, size: int) -> Tensor:
    before, after = x.shape[:axis], x.shape[axis + indices.ndim :]
    lines = x.reshape((*before, indices.numel(), *after))
    return x.new_zeros((*before, size, *after)).index_add(axis, indices.reshape(-1).long() % size, lines)


def scattered_along(x: Tensor, indices: Tensor, size: int) -> Tensor:
    return x.new_zeros((*x.shape[:-1], size)).scatter_add(-1, indices.long() % size, x)


def taken_along(x: Tensor, indices: Tensor) -> Tensor:
    return x.gather(-1, indices.long() % x.shape[-1])


def searched(a: Tensor, v: Tensor, side: str) -> Tensor:
    return torch.searchsorted(a, v, right=side == "right")


# -- numbers -------------------------------------------------------------------------------------------------------


def polygamma(order: Tensor, x: Tensor) -> Tensor:
    """Use Hurwitz' zeta function: `torch.special.polygamma` stops the series of order 1 at ten digits."""
    n = order.to(x.dtype)
    return (1 - 2 * ((n + 1) % 2)) * torch.exp(torch.lgamma(n + 1)) * torch.special.zeta(n + 1, x)


def recurrence(a: Tensor, b: Tensor, axis: int) -> Tensor:
    steps: list[Tensor] = []
    for factor, term in zip(a.unbind(axis), b.unbind(axis), strict=True):
        steps.append(term + factor * steps[-1] if steps else term)
    return torch.stack(steps, axis) if steps else b


def clipped(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Broadcast before clamping: the derivative of `torch.clamp` fails for bounds that broadcast with no elements."""
    return torch.clamp(*torch.broadcast_tensors(x, low, high))


def hard_sigmoid(x: Tensor) -> Tensor:
    """Divide by 6: the derivative of `functional.hardsigmoid` has the 1 / 6 of float32 in float64, too."""
    return functional.relu6(x + 3) / 6


def below(x: Tensor) -> Tensor:
    """Give what lies below 0, with the derivative of that side everywhere else cut off."""
    return torch.where(x > 0, torch.zeros_like(x), x)


ROWS: dict[str, Callable[..., Tensor]] = {
    # arithmetic
    "add": torch.add, "subtract": torch.subtract, "multiply": torch.multiply, "divide": torch.divide,
    "floor_divide": lambda x, y: torch.div(x, y, rounding_mode="floor"), "remainder": torch.remainder,
    "fmod": torch.fmod, "negative": torch.negative, "power": torch.pow, "square": torch.square,
    "reciprocal": torch.reciprocal, "sqrt": torch.sqrt, "cbrt": lambda x: x.sign() * x.abs() ** (1 / 3),
    "abs": torch.abs, "sign": torch.sign, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round,
    "trunc": torch.trunc, "maximum": torch.maximum, "minimum": torch.minimum, "clip": clipped, "where": torch.where,
    "stop_gradient": Tensor.detach, "astype": lambda x, dtype: x.to(getattr(torch, dtype.value)),
    "hypot": torch.hypot,
    # exponentials and logarithms
    "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "log": torch.log, "log2": torch.log2,
    "log10": torch.log10, "log1p": torch.log1p, "logaddexp": torch.logaddexp,
    # trigonometric and hyperbolic
    "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "asin": torch.asin, "acos": torch.acos, "atan": torch.atan,
    "atan2": torch.atan2, "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh, "asinh": torch.asinh,
    "acosh": torch.acosh, "atanh": torch.atanh,
    # special
    "erf": torch.erf, "erfc": torch.erfc, "ndtr": torch.special.ndtr, "lgamma": torch.lgamma,
    "digamma": torch.digamma, "trigamma": lambda x: torch.special.zeta(2, x), "polygamma": polygamma,
    # comparisons, logic, bits
    "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le, "greater": torch.gt,
    "greater_equal": torch.ge, "isnan": torch.isnan, "isinf": torch.isinf, "isfinite": torch.isfinite,
    "logical_and": torch.logical_and, "logical_or": torch.logical_or, "logical_xor": torch.logical_xor,
    "logical_not": torch.logical_not, "bitwise_and": torch.bitwise_and, "bitwise_or": torch.bitwise_or,
    "bitwise_xor": torch.bitwise_xor, "bitwise_invert": torch.bitwise_not,
    "bitwise_left_shift": torch.bitwise_left_shift, "bitwise_right_shift": torch.bitwise_right_shift,
    # activations
    "relu": functional.relu, "relu6": functional.relu6, "leaky_relu": lambda x, y: torch.where(x > 0, x, y * x),
    "elu": lambda x, y: torch.where(x > 0, x, y * torch.expm1(below(x))), "selu": functional.selu,
    "celu": lambda x, y: torch.where(x > 0, x, y * torch.expm1(below(x) / y)), "sigmoid": torch.sigmoid,
    "softplus": functional.softplus, "log_sigmoid": functional.logsigmoid, "silu": functional.silu,
    "mish": functional.mish, "softsign": functional.softsign, "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"), "hard_sigmoid": hard_sigmoid,
    "hard_tanh": functional.hardtanh, "hard_swish": functional.hardswish,
    # reductions
    "sum": all_at_once(torch.sum), "mean": all_at_once(torch.mean), "var": all_at_once(torch.var, correction=0),
    "prod": one_by_one(torch.prod), "max": all_at_once(torch.amax), "min": all_at_once(torch.amin),
    "argmax": position(torch.argmax), "argmin": position(torch.argmin), "any": one_by_one(torch.any),
    "all": one_by_one(torch.all), "logsumexp": all_at_once(torch.logsumexp),
    "norm": all_at_once(torch.linalg.vector_norm), "softmax": lambda x, axis: torch.softmax(x, axis),
    "log_softmax": lambda x, axis: torch.log_softmax(x, axis),
    # layout
    "slice": sliced, "place": placed, "view": strided, "concatenate": lambda *x, axis: torch.cat(x, axis),
    "reshape": torch.reshape, "transpose": lambda x, axes: x.permute(axes),
    "broadcast_to": lambda x, shape: x.broadcast_to(shape),
    "arange": lambda start, step, size, dtype: (start + step * torch.arange(size)).to(getattr(torch, dtype.value)),
    "diagonal": lambda x: torch.diagonal(x, dim1=-2, dim2=-1), "assume": lambda x, facts: x,
    "corner": lambda x, keep: x[(slice(None),) * keep + (0,) * (x.ndim - keep)], "recompute": lambda x, after: x,
    # linear algebra
    "matmul": torch.matmul, "contract": contracted, "solve": torch.linalg.solve, "inv": torch.linalg.inv,
    "triangular_solve": solved_by_substitution,
    "det": torch.linalg.det, "logdet": lambda a: torch.linalg.slogdet(a)[1],
    "det_sign": lambda a: torch.linalg.slogdet(a)[0], "cholesky": lambda a: torch.linalg.cholesky((a + a.mT) / 2),
    # order and indexing
    "cumsum": lambda x, axis: torch.cumsum(x, axis), "cumprod": lambda x, axis: torch.cumprod(x, axis),
    "recurrence": recurrence,
    "argsort": lambda x, axis, descending: torch.argsort(x, dim=axis, descending=descending, stable=True),
    "sort": lambda x, axis, descending: torch.sort(x, dim=axis, descending=descending, stable=True).values,
    "searchsorted": searched, "take": taken, "scatter_add": scattered, "take_along_axis": taken_along,
    "scatter_along_axis": scattered_along,
    "pick": lambda x, indices: taken_along(x, indices.unsqueeze(-1)).squeeze(-1),
    "one_hot": lambda x, depth, dtype: functional.one_hot(x.long() % depth, depth).to(getattr(torch, dtype.value)),
}  # fmt: skip
