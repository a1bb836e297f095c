"""Public functions that are no rows but written with rows, and what PyTorch has for them.

Each entry is the sum of a function's result times random weights, so that the gradient tells every element apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

import symgrad as sg
from benchmarks.referee_networks import Composite, Shape


def entry(
    name: str, ours: Callable[..., Any], theirs: Callable[..., Any], result: Shape, **operands: Shape
) -> Composite:
    """Weigh the results of both functions, which have this shape."""

    def weighed(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *values: (values[-1] * function(*values[:-1])).sum()

    return Composite(name, weighed(ours), weighed(theirs), operands, {"weights": result})


def padded(mode: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Pad the last axis; PyTorch wants a batch axis for all modes but the constant one."""
    return lambda x: functional.pad(x[None], (2, 1), mode=mode)[0]


M = {"x": (5, 4)}
FUNCTIONS = (
    entry("std", lambda x: sg.std(x, 1, ddof=1), lambda x: torch.std(x, 1), (5,), **M),
    entry("var, ddof 1", lambda x: sg.var(x, 0, ddof=1), lambda x: torch.var(x, 0), (4,), **M),
    entry("norm of order 1", lambda x: sg.linalg.norm(x, 1, 0), lambda x: torch.linalg.vector_norm(x, 1, 0), (4,), **M),
    entry("norm of order inf", lambda x: sg.linalg.norm(x, math.inf, 1),
          lambda x: torch.linalg.vector_norm(x, math.inf, 1), (5,), **M),
    entry("gelu, tanh form", lambda x: sg.gelu(x, approximate=True),
          lambda x: functional.gelu(x, approximate="tanh"), (5, 4), **M),
    entry("flip", lambda x: sg.flip(x, 1), lambda x: torch.flip(x, (1,)), (5, 4), **M),
    entry("roll", lambda x: sg.roll(x, (1, -2), (0, 1)), lambda x: torch.roll(x, (1, -2), (0, 1)), (5, 4), **M),
    entry("pad with a constant", lambda x: sg.pad(x, ((0, 0), (2, 1)), constant_values=3),
          lambda x: functional.pad(x, (2, 1), value=3.0), (5, 7), **M),
    entry("pad by reflection", lambda x: sg.pad(x, ((0, 0), (2, 1)), mode="reflect"), padded("reflect"), (5, 7), **M),
    entry("pad by the edge", lambda x: sg.pad(x, ((0, 0), (2, 1)), mode="edge"), padded("replicate"), (5, 7), **M),
    entry("tile", lambda x: sg.tile(x, (2, 3)), lambda x: torch.tile(x, (2, 3)), (10, 12), **M),
    entry("repeat", lambda x: sg.repeat(x, 3, 1), lambda x: torch.repeat_interleave(x, 3, 1), (5, 12), **M),
    entry("split and stack", lambda x: sg.stack([a * a for a in sg.split(x, 2, 1)], 1),
          lambda x: torch.stack([a * a for a in torch.split(x, 2, 1)], 1), (5, 2, 2), **M),
    entry("tril", lambda x: sg.tril(x, -1), lambda x: torch.tril(x, -1), (5, 4), **M),
    entry("triu", lambda x: sg.triu(x, 1), lambda x: torch.triu(x, 1), (5, 4), **M),
    entry("diagonal, above", lambda x: sg.diagonal(x, 1), lambda x: torch.diagonal(x, 1), (3,), **M),
    entry("trace", sg.trace, torch.trace, (), x=(4, 4)),
    entry("slices of either sign", lambda x: x[::-2, 1:], lambda x: torch.flip(x[::2], (0,))[:, 1:], (3, 3), **M),
    entry("top_k", lambda x: sg.top_k(x, 2)[0], lambda x: torch.topk(x, 2).values, (5, 2), **M),
    entry("outer", sg.outer, torch.outer, (5, 3), x=(5,), y=(3,)),
    entry("tensordot", lambda x, y: sg.tensordot(x, y, ((0, 2), (1, 0))),
          lambda x, y: torch.tensordot(x, y, ((0, 2), (1, 0))), (3, 5), x=(2, 3, 4), y=(4, 2, 5)),
    entry("einsum, a chain", lambda x, y, z: sg.einsum("ij,jk,kl->il", x, y, z),
          lambda x, y, z: torch.einsum("ij,jk,kl->il", x, y, z), (5, 3), x=(5, 4), y=(4, 6), z=(6, 3)),
    entry("einsum, a repeated index", lambda x, y: sg.einsum("bii,bij->bj", x, y),
          lambda x, y: torch.einsum("bii,bij->bj", x, y), (2, 5), x=(2, 4, 4), y=(2, 4, 5)),
    entry("einsum, summed alone", lambda x, y: sg.einsum("ij,kl->jk", x, y),
          lambda x, y: torch.einsum("ij,kl->jk", x, y), (4, 3), x=(5, 4), y=(3, 2)),
    entry("log-determinant", lambda x: sg.logdet(x @ x.T + 1.0 * sg.eye(5, dtype=x.dtype)),
          lambda x: torch.logdet(x @ x.T + torch.eye(5, dtype=x.dtype)), (), **M),
    entry("solve, batches that broadcast", lambda x, y: sg.linalg.solve(x + 4.0 * sg.eye(3, dtype=x.dtype), y),
          lambda x, y: torch.linalg.solve(x + 4 * torch.eye(3, dtype=x.dtype), y), (2, 3, 2), x=(3, 3), y=(2, 3, 2)),
)  # fmt: skip
