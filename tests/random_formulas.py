"""Random formulas: trees of what people write, so that brackets, axes, masks, slices and precedences are met.

In: a seed. Out: expressions of float64 over fixed symbols, and arrays for these. An expression is kept if its value is
finite; what divides is kept off 0, so that no sign of a zero decides. It must not know how formulas are printed.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import symgrad as sg
from symgrad.errors import SymgradError
from symgrad.expr import Expr

N = sg.dim("N")
ROWS_OF_N = 5
LARGEST, MOST_AXES = 1e6, 4

SYMBOLS = [
    sg.symbol(name, shape, "float64")
    for name, shape in {
        "s": (), "t": (), "u": (4,), "v": (3,), "x": (N, 3), "X": (N, 4), "A": (3, 3), "B": (3, 4), "Q": (2, 3, 4),
        "K": (2, 4, 3), "c": (N, 1), "r": (1, 4),
    }.items()
]  # fmt: skip
I, J, M = sg.symbol("i", (N,), "int64"), sg.symbol("k", (3,), "int32"), sg.symbol("m", (N, 3), "bool")

# What people write of one operand and of two; a size or type that does not fit is drawn again.
UNARY = (
    "-a", "a**2", "a**3", "a**-1", "a**0.5", "2**a", "abs(a)", "1 / a", "2 * a", "a * 0.1", "-0.5 * a", "a / 3",
    "a - 1", "1 - a", "a + 2", "a * N", "a / N", "a / (N * 3)", "a * (N + 1)", "a % 2", "a // 2", "(a > 0) * t",
    "sg.exp(a)", "sg.tanh(a)", "sg.sin(a)", "sg.relu(a)", "sg.sigmoid(a)", "sg.sqrt(abs(a))", "sg.round(a)",
    "sg.maximum(a, 0)", "sg.minimum(a, 1)", "sg.clip(a, -1, 1)", "a.astype('float32').astype('float64')",
    "sg.where(a > 0, a, 0)", "sg.where(a > 0, 1.0, 0.0) * s", "sg.where(a < 0.5, 0, a)", "sg.assume(a, finite=True)",
    "a.T", "a.mT", "a[1:]", "a[0]", "a[::-1]", "a[..., ::2]", "a[..., None]", "a[None]", "sg.expand_dims(a, 0)",
    "sg.reshape(a, (-1,))", "sg.flip(a, axis=0)", "sg.transpose(a)", "sg.moveaxis(a, 0, -1)", "sg.squeeze(a[:1], 0)",
    "sg.broadcast_to(a, (2,) + a.shape)", "sg.tile(a, 2)", "sg.repeat(a, 2, axis=0)", "sg.pad(a, 1)",
    "sg.concatenate([a, a], axis=0)", "sg.stack([a, 2 * a])", "sg.tril(a)", "sg.diag(a)", "sg.diagonal(a)",
    "sg.sum(a)", "sg.sum(a, axis=0)", "sg.sum(a, axis=-1, keepdims=True)", "sg.mean(a, axis=-1)", "sg.trace(a)",
    "sg.max(a, axis=0, keepdims=True)", "sg.var(a, axis=-1, keepdims=True)", "sg.norm(a)", "sg.prod(a, axis=-1)",
    "sg.norm(a, axis=-1, keepdims=True)", "sg.any(a > 0, axis=0) * s", "sg.all(a > 0, axis=0) * s",
    "sg.argmax(a, axis=-1) * a.sum()", "sg.softmax(a)", "sg.logsumexp(a, axis=-1)", "sg.log_softmax(a, axis=0)",
    "sg.cumsum(a, axis=0)", "sg.sort(a, axis=-1)", "sg.linalg.inv(a)", "sg.linalg.det(a)", "sg.stop_gradient(a)",
)  # fmt: skip
BINARY = (
    "a + b", "a - b", "a * b", "a / b", "a % (b + 3)", "a // (b + 3)", "a - (b - a)", "a / (b / a)", "-(a * b)",
    "(a * b) / (a * 2)", "(a + b)**2", "a @ b", "a.T @ b", "a @ b.T", "sg.outer(a, b)", "a[..., None] * b",
    "sg.maximum(a, b)", "sg.minimum(a, b)", "sg.hypot(a, b)", "sg.atan2(a, b)", "sg.logaddexp(a, b)",
    "sg.where(a > b, a, b)", "sg.where(a <= b, a, 0)", "sg.where((a > 0) & (b > 0), a * b, 0)", "(a > b) * a",
    "sg.where((a > 0) | ~(b > 0), a, b)", "sg.where(a == 0, 0, b / a)", "sg.where(a != 0, b / a, 0)",
    "sg.where((s > 0) ^ (t > 0), a, b)", "sg.where(s < t, a, b)", "sg.where(a > 0, b, 0)", "sg.where(m, a, 0)",
    "sg.where(m, a, b)", "sg.einsum('ij,kj->ik', a, b)", "sg.einsum('bij,bjk->bik', a, b)", "sg.arange(3) * a",
    "sg.einsum('ij,ij->i', a, b)", "sg.einsum('i,j->ij', a, b)", "sg.einsum('...i,...i->...', a, b)",
    "sg.concatenate([a, b], axis=0)", "sg.concatenate([a, b], axis=-1)", "sg.take(a, k % 2, axis=0)", "a[k % 2]",
    "sg.take(a, k % 2, axis=-1)", "sg.one_hot(k % 3, 3) * b", "a * i.astype('float64')[:, None]",
    "x[sg.arange(N), i % 3] * a", "sg.linalg.solve(a, b)",
)  # fmt: skip
DIVIDING = ("/", "%", "atan2", "**-1", "hypot", "det", "inv", "solve", "norm")


def arrays(seed: int = 0) -> dict[Any, np.ndarray]:
    """Draw values for all symbols."""
    rng = np.random.default_rng(seed)

    def shape(node: Expr) -> list[int]:
        return [n if isinstance(n, int) else ROWS_OF_N for n in node.shape]

    def signed(node: Expr) -> np.ndarray:
        return np.asarray(rng.uniform(0.3, 1.5, shape(node)) * rng.choice([-1, 1], shape(node)))

    whole = {node: rng.integers(0, 3, shape(node)).astype(node.dtype.numpy) for node in (I, J)}
    return {node: signed(node) for node in SYMBOLS} | whole | {M: rng.integers(0, 2, shape(M)).astype(bool)}


ARRAYS = arrays()


class Grower:
    """Grows expressions from a seed, each from recent ones or from symbols."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.names = {"sg": sg, "N": N, **{node.attrs["name"]: node for node in ARRAYS}}
        self.made: list[Expr] = []
        self.values = {node: ARRAYS[node] for node in SYMBOLS}

    def grow(self, count: int) -> Expr:
        """Make so many expressions, and give the last."""
        while len(self.made) < count:
            template = self.rng.choice(UNARY if self.rng.random() < 0.4 else BINARY)
            operands = {"a": self.pick(), "b": self.pick()}
            try:
                self.keep(template, operands, eval(template, {**self.names, **operands}))
            except (SymgradError, TypeError, ValueError):
                continue
        return self.made[-1]

    def pick(self) -> Expr:
        if self.made and self.rng.random() < 0.6:
            return self.rng.choice(self.made[-3:])
        return self.rng.choice(list(self.values))

    def keep(self, template: str, operands: dict[str, Expr], new: Expr) -> None:
        """Keep an expression that has a value at the sample, and no pole near it."""
        divides = any(word in template for word in DIVIDING)
        if new.dtype != "float64" or new.ndim > MOST_AXES or new in self.values:
            return
        if divides and any((self.values[node] == 0).any() for node in operands.values()):
            return
        with np.errstate(all="ignore"):
            value = np.asarray(sg.evaluate(new, {**ARRAYS, N: ROWS_OF_N}, dtype=None))
        if np.isfinite(value).all() and np.abs(value).max(initial=0) < LARGEST:
            self.made.append(new)
            self.values[new] = value


def formula(seed: int) -> dict[str, Expr]:
    """Give the equations of a seed: an expression as it was written, simplified, or its gradients."""
    root = Grower(seed).grow((1, 2, 4, 7)[seed % 4])
    kind = seed // 4 % 3
    if kind < 2:
        return {"out": sg.simplify(root) if kind else root}
    wrt = [node for node in root.free_symbols if node.dtype.is_float]
    found = sg.grad(sg.sum(root), wrt, disconnected="zero")
    return {f"d{x.attrs['name']}": g for x, g in zip(wrt, found, strict=True)}
