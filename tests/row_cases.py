"""The cases that operator rows carry, as symbols and arrays: for tests that walk the registry."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

import symgrad.ops  # noqa: F401  (registers the rows)
from symgrad.dtypes import as_dtype
from symgrad.expr import Expr, symbol_node
from symgrad.ops.row import ROWS, Case, Row, Sample
from symgrad.shape import evaluate as size_value


@dataclass(frozen=True)
class Call:
    """One case of one row, its operands as symbols."""

    row: Row
    case: Case
    number: int
    float_dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.row.name}-{self.number}"

    @property
    def operands(self) -> list[Expr]:
        dtypes = (self.float_dtype if s.dtype == "float" else s.dtype for s in self.case.operands)
        named = zip("abcd", self.case.operands, dtypes, strict=False)
        return [symbol_node(name, sample.shape, as_dtype(dtype)) for name, sample, dtype in named]

    @property
    def node(self) -> Expr:
        return self.row(*self.operands, **self.case.attrs)

    def draw(self, n: int, seed: int = 0) -> list[np.ndarray]:
        """Draw the operands for n = this size, in float64 and the samples' integer dtypes."""
        rng = np.random.default_rng([seed, n, zlib.crc32(str(self).encode())])
        return [draw(rng, sample, n) for sample in self.case.operands]


def draw(rng: np.random.Generator, sample: Sample, n: int) -> np.ndarray:
    shape = tuple(size_value(size, {"n": n, "m": n}) for size in sample.shape)
    if sample.dtype == "float":
        drawn = rng.uniform(sample.low, sample.high, shape)
        return drawn if sample.make is None else sample.make(drawn)
    if sample.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(int(sample.low), int(sample.high), shape).astype(sample.dtype)


def calls() -> list[Call]:
    """List every case of every row."""
    return [Call(row, case, i) for row in ROWS.values() for case, i in zip(row.cases, itertools.count())]


def differentiable() -> list[Call]:
    """List the cases with a float result that depends on a float operand in a differentiable way, in float64."""
    return [
        replace(call, float_dtype="float64")
        for call in calls()
        if call.row.differentiable and call.node.dtype.is_float and any(x.dtype.is_float for x in call.operands)
    ]


def inner(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Give a sum of inner products, and the size of its terms."""
    terms = [np.multiply(a, b) for a, b in pairs]
    return sum(float(np.sum(t)) for t in terms), 1 + sum(float(np.sum(np.abs(t))) for t in terms)
