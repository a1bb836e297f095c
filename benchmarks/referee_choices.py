"""Gradients where no derivative exists, or where arithmetic misses its limit: symgrad's and PyTorch's.

Each entry is a function written twice and a point; where the gradients differ, the reason, which is a documented choice
of symgrad or a NaN that it avoids.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

import symgrad as sg
from symgrad.expr import Expr


@dataclass(frozen=True, slots=True)
class Choice:
    """A function at a point; `reason` says why the gradients differ, and is empty where they do not."""

    name: str
    ours: Callable[[Expr], Expr]
    theirs: Callable[[Tensor], Tensor]
    point: tuple[float, ...]
    reason: str = ""


INF = math.inf
CHOICES = (
    Choice("relu at 0", sg.relu, functional.relu, (0.0,)),
    Choice("relu6 at 6", sg.relu6, functional.relu6, (6.0,)),
    Choice("abs at 0", sg.abs, torch.abs, (0.0,)),
    Choice("clip to [-1, 1] at -1", lambda x: sg.clip(x, -1, 1), lambda x: torch.clamp(x, -1, 1), (-1.0,),
           "1 strictly inside only, as for relu6 and hard_tanh in both"),
    Choice("hard_tanh at 1", sg.hard_tanh, functional.hardtanh, (1.0,)),
    Choice("hard_sigmoid at 3", sg.hard_sigmoid, functional.hardsigmoid, (3.0,)),
    Choice("hard_swish at -3", sg.hard_swish, functional.hardswish, (-3.0,)),
    Choice("hard_swish at 3", sg.hard_swish, functional.hardswish, (3.0,)),
    Choice("leaky_relu at 0", lambda x: sg.leaky_relu(x, 0.3), lambda x: functional.leaky_relu(x, 0.3), (0.0,)),
    Choice("elu at 0, scale 0.5", lambda x: sg.elu(x, 0.5), lambda x: functional.elu(x, 0.5), (0.0,)),
    Choice("selu at 0", sg.selu, functional.selu, (0.0,)),
    Choice("maximum(x, 2) at 2", lambda x: sg.maximum(x, 2), lambda x: torch.maximum(x, torch.full_like(x, 2)), (2.0,)),
    Choice("max of 1, 2, 2 (`amax`)", sg.max, torch.amax, (1.0, 2.0, 2.0)),
    Choice("max of 1, 2, 2 (`max` along an axis)", sg.max, lambda x: x.max(dim=0).values, (1.0, 2.0, 2.0),
           "ties share evenly; PyTorch's `max` that also gives a position takes that one"),
    Choice("first of the sorted 1, 1", lambda x: sg.sort(x)[0], lambda x: torch.sort(x, stable=True).values[0],
           (1.0, 1.0)),
    Choice("norm at 0", sg.linalg.norm, torch.linalg.vector_norm, (0.0, 0.0)),
    Choice("norm of order 1 at 0, 2", lambda x: sg.linalg.norm(x, 1), lambda x: torch.linalg.vector_norm(x, 1),
           (0.0, 2.0)),
    Choice("norm of order inf of 2, -2", lambda x: sg.linalg.norm(x, INF), lambda x: torch.linalg.vector_norm(x, INF),
           (2.0, -2.0)),
    Choice("std of equals", sg.std, lambda x: torch.std(x, correction=0), (1.0, 1.0),
           "std is the root of var here, and the slope of a root at 0 is infinite"),
    Choice("prod of 0, 2, 3", sg.prod, torch.prod, (0.0, 2.0, 3.0)),
    Choice("last of cumprod of 2, 0, 3", lambda x: sg.cumprod(x)[2], lambda x: torch.cumprod(x, 0)[2], (2.0, 0.0, 3.0)),
    Choice("sqrt at 0", sg.sqrt, torch.sqrt, (0.0,)),
    Choice("hypot(x, 0 x) at 0", lambda x: sg.hypot(x, 0 * x), lambda x: torch.hypot(x, 0 * x), (0.0,),
           "0 at the origin, as for norm"),
    Choice("x**0 at 0", lambda x: x**0, lambda x: x**0, (0.0,)),
    Choice("power(x, 2 + 0 x) at 0", lambda x: x ** (2 + 0 * x), lambda x: x ** (2 + 0 * x), (0.0,)),
    Choice("where(x > 0, sqrt(x), 0) at -1", lambda x: sg.where(x > 0, sg.sqrt(x), 0),
           lambda x: torch.where(x > 0, torch.sqrt(x), torch.zeros_like(x)), (-1.0,),
           "no NaN from the branch not taken"),
    Choice("where(x > 0, log(x), 0) at 0", lambda x: sg.where(x > 0, sg.log(x), 0),
           lambda x: torch.where(x > 0, torch.log(x), torch.zeros_like(x)), (0.0,),
           "no NaN from the branch not taken"),
    Choice("logsumexp of -inf, -inf", sg.logsumexp, lambda x: torch.logsumexp(x, 0), (-INF, -INF)),
    Choice("logaddexp(x, x) at -inf", lambda x: sg.logaddexp(x, x), lambda x: torch.logaddexp(x, x), (-INF,)),
    Choice("silu at -inf", sg.silu, functional.silu, (-INF,), "the limit"),
    Choice("gelu at -inf", sg.gelu, functional.gelu, (-INF,), "the limit"),
    Choice("log(softmax(x))[0] at 0, 1000", lambda x: sg.log(sg.softmax(x))[0],
           lambda x: torch.log(torch.softmax(x, 0))[0], (0.0, 1000.0), "rewritten to log_softmax, as is its value"),
    Choice("remainder(x, 2) at 4", lambda x: x % 2, lambda x: torch.remainder(x, 2), (4.0,)),
)  # fmt: skip
