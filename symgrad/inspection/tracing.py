"""Tracing: every named value of a function, in the order in which a reader computes them.

In: the lines of a function and their values. Out: a `Trace`: a sequence that can be asked by position or name and
prints what each value is and in which range it lies. It must not know how values are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from symgrad.dtypes import DType
from symgrad.errors import nearest
from symgrad.inspection.labels import ValueLine
from symgrad.inspection.tables import Table
from symgrad.shape import format_shape


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """The range of a tensor's elements: statistics over those that are finite, and how large a share is 0, NaN, inf.

    >>> Extent.of(np.array([0.0, 2.0, np.inf, np.nan]))
    Extent(min=0.0, mean=1.0, max=2.0, zeros=0.25, nans=0.25, infs=0.25)
    """

    min: float
    mean: float
    max: float
    zeros: float
    nans: float
    infs: float

    @staticmethod
    def of(array: np.ndarray) -> Extent:
        """Measure an array; of nothing the range is NaN."""
        values = np.asarray(array, np.float64)
        finite = values[np.isfinite(values)]
        low, mean, high = (finite.min(), _mean(finite), finite.max()) if finite.size else (np.nan,) * 3
        masks = (values == 0, np.isnan(values), np.isinf(values))
        shares = (float(np.mean(mask)) if values.size else 0.0 for mask in masks)
        return Extent(float(low), float(mean), float(high), *shares)


def _mean(values: np.ndarray) -> float:
    """Average finite numbers; a sum that would overflow is taken of their shares."""
    with np.errstate(over="ignore"):
        mean = values.mean()
    return float(mean if np.isfinite(mean) else np.sum(values / values.size))


@dataclass(frozen=True, slots=True, eq=False)
class TracedValue:
    """A value of a step: its name, formula and elements; for a parameter that is updated also those `before`."""

    name: str
    formula: str
    value: np.ndarray
    dtype: DType
    before: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the sizes of the axes."""
        return self.value.shape

    @property
    def extent(self) -> Extent:
        """Return the range of the elements."""
        return Extent.of(self.value)

    @property
    def line(self) -> str:
        """Return the equation, or the update."""
        return f"{self.name} {'=' if self.before is None else '<-'} {self.formula}"

    def __str__(self) -> str:
        return _text([self])

    def __repr__(self) -> str:
        return f"<TracedValue {self.line}: {format_shape(self.shape)} {self.dtype}>"


@dataclass(frozen=True, slots=True, eq=False)
class Trace(Sequence[TracedValue]):
    """The named values of one call of a function, each after what it needs: `trace[0]`, `trace["H"]`."""

    name: str
    values: tuple[TracedValue, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """List the names."""
        return tuple(value.name for value in self.values)

    @overload
    def __getitem__(self, key: int | str) -> TracedValue: ...
    @overload
    def __getitem__(self, key: slice) -> Trace: ...
    def __getitem__(self, key: int | str | slice) -> TracedValue | Trace:
        if isinstance(key, slice):
            return Trace(self.name, self.values[key])
        if not isinstance(key, str):
            return self.values[key]
        for value in self.values:
            if value.name == key:
                return value
        raise KeyError(f"{self.name} has no value {key!r}. {nearest(key, self.names)}")

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[TracedValue]:
        return iter(self.values)

    def __str__(self) -> str:
        return _text(self.values)

    def __repr__(self) -> str:
        return f"<Trace of {self.name}: {', '.join(self.names)}>"

    def _repr_html_(self) -> str:
        rows = tuple((value.line, *row) for value in self.values for row in _rows(value))
        return Table(("", *HEAD), rows, frozenset({4, 5, 6, 7})).html(self.name)


HEAD = ("", "shape", "dtype", "min", "mean", "max", "zeros", "")
NUMBERS = frozenset({4, 6, 8, 10})  # in text, where words stand between them


def traced(
    name: str, lines: Sequence[ValueLine], values: Sequence[np.ndarray], old: Sequence[np.ndarray | None]
) -> Trace:
    """Put lines and values together; `old` are the values of updated parameters."""
    found = zip(lines, values, old, strict=True)
    return Trace(
        name,
        tuple(
            TracedValue(line.name, line.formula, np.asarray(v), line.node.dtype, before) for line, v, before in found
        ),
    )


def _text(values: Sequence[TracedValue]) -> str:
    """Write the equation of each value, below it what its elements are, in columns that all share."""
    found = [(value, [_worded(row) for row in _rows(value)]) for value in values]
    cells = tuple(row for _, rows in found for row in rows)
    below = Table(("",) * (len(HEAD) + len(NUMBERS)), cells, NUMBERS).text().split("\n")[2:]
    lines: list[str] = []
    for value, rows in found:
        lines.append(value.line)
        lines += [f"    {below.pop(0)}".rstrip() for _ in rows]
    return "\n".join(lines)


def _worded(row: tuple[str, ...]) -> tuple[str, ...]:
    """Put the name of each number before it."""
    when, shape, dtype, *numbers, odd = row
    words = [text for name, number in zip(HEAD[3:7], numbers, strict=True) for text in (name, number)]
    return (when, shape, dtype, *words, odd)


def _rows(value: TracedValue) -> list[tuple[str, ...]]:
    if value.before is None:
        return [_row("", value.value, value.dtype)]
    return [_row("before", value.before, value.dtype), _row("after", value.value, value.dtype)]


def _row(when: str, array: np.ndarray, dtype: DType) -> tuple[str, ...]:
    extent = Extent.of(array)
    odd = ", ".join(f"{share:.3g} {what}" for share, what in ((extent.nans, "NaN"), (extent.infs, "inf")) if share)
    numbers = (f"{extent.min:.4g}", f"{extent.mean:.4g}", f"{extent.max:.4g}", f"{extent.zeros:.1%}")
    return (when, format_shape(array.shape), str(dtype), *numbers, odd)
