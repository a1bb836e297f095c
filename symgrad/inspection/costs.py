"""Costs: what a compiled function computes and moves, launch by launch, in its symbolic dimensions.

In: a `Subject` and its labels. Out: a `CostAnalysis`: exact polynomials that print as a table and can be evaluated. How
operations are counted is said in `codegen.tally`. It must not know arrays or time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.tally import tallies
from symgrad.inspection.subject import Subject, check_not_negative
from symgrad.inspection.tables import Table
from symgrad.shape import Dim, Size, evaluate, names, substitute


@dataclass(frozen=True, slots=True)
class KernelCost:
    """The cost of one launch: FLOPs, evaluations of functions, bytes; `label` are the lines that it computes."""

    kernel: str
    label: tuple[str, ...]
    flops: Size
    transcendentals: Size
    bytes_read: Size
    bytes_written: Size

    @property
    def bytes_accessed(self) -> Size:
        """Return the bytes read and written together."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float | None:
        """Return the FLOPs per byte; None where dimensions are not bound."""
        return _ratio(self.flops, self.bytes_accessed)

    def at(self, dims: Mapping[str, int]) -> KernelCost:
        """Return the numbers for these dimensions."""
        return KernelCost(self.kernel, self.label, *(evaluate(getattr(self, field), dims) for field in SIZES))


SIZES = ("flops", "transcendentals", "bytes_read", "bytes_written")


@dataclass(frozen=True, slots=True, eq=False)
class CostAnalysis(Mapping[str, Size]):
    """The costs of all launches of a function, in their order; as a mapping the totals under the keys that JAX uses.

    - an arithmetic operation, comparison or choice between floats is 1 FLOP, a product that is summed 2;
    - exp, log, tanh ... are counted apart, as `transcendentals`;
    - bytes: each array that a kernel reads or writes, once.
    """

    name: str
    kernels: tuple[KernelCost, ...]

    @property
    def flops(self) -> Size:
        """Return the FLOPs of a call."""
        return sum(k.flops for k in self.kernels)

    @property
    def transcendentals(self) -> Size:
        """Return how many functions (exp, log, tanh ...) a call evaluates."""
        return sum(k.transcendentals for k in self.kernels)

    @property
    def bytes_read(self) -> Size:
        """Return the bytes that kernels read."""
        return sum(k.bytes_read for k in self.kernels)

    @property
    def bytes_written(self) -> Size:
        """Return the bytes that kernels write."""
        return sum(k.bytes_written for k in self.kernels)

    @property
    def bytes_accessed(self) -> Size:
        """Return the bytes read and written together."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float | None:
        """Return the FLOPs per byte; None where dimensions are not bound."""
        return _ratio(self.flops, self.bytes_accessed)

    @property
    def dims(self) -> tuple[str, ...]:
        """List the dimensions that the costs depend on."""
        return tuple(sorted(frozenset().union(*(names(getattr(k, f)) for k in self.kernels for f in SIZES))))

    def at(self, **dims: int | Dim) -> CostAnalysis:
        """Return the costs for these dimensions, as numbers; ShapeError for one that is missing or negative."""
        check_not_negative(dims)
        return replace(self, kernels=tuple(k.at(dims) for k in self.kernels))  # type: ignore[arg-type]

    def __getitem__(self, key: str) -> Size:
        if key not in KEYS:
            raise KeyError(key)
        return getattr(self, KEYS[key])  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(KEYS)

    def __len__(self) -> int:
        return len(KEYS)

    def __str__(self) -> str:
        return f"{self._title()}\n{self._table().text()}"

    def __repr__(self) -> str:
        return f"<CostAnalysis {self._title()}>"

    def _repr_html_(self) -> str:
        return self._table().html(self._title())

    def _title(self) -> str:
        return f"{self.name}: {self.flops} FLOPs, {self.bytes_accessed} bytes"

    def _table(self) -> Table:
        bound = not self.dims
        ratio = ("FLOPs/byte",) if bound else ()
        head = ("", "FLOPs", "functions", "bytes read", "bytes written", *ratio, "computes")
        rows = [_row(str(k), cost, "\n".join(cost.label), bound) for k, cost in enumerate(self.kernels, 1)]
        rows.append(_row("all", self, "", bound))
        return Table(head, tuple(rows), frozenset(range(len(head) - 1)))


KEYS = {
    "flops": "flops", "transcendentals": "transcendentals", "bytes accessed": "bytes_accessed",
    "bytes read": "bytes_read", "bytes written": "bytes_written",
}  # fmt: skip


def cost_analysis(subject: Subject, labels: Sequence[tuple[str, ...]], dims: Mapping[str, Size]) -> CostAnalysis:
    """Count every launch of a function; `dims` are what its user calls the dimensions."""
    steps = subject.compiled.steps
    kernels: list[KernelCost] = []
    for step, label, tally in zip(steps, labels, tallies(steps, subject.compiled.home), strict=True):
        sizes = (substitute(n, dims) for n in (tally.flops, tally.functions, tally.read, tally.written))
        kernels.append(KernelCost(step.kernel.name, label, *sizes))
    return CostAnalysis(subject.name, tuple(kernels))


def _row(number: str, cost: KernelCost | CostAnalysis, text: str, bound: bool) -> tuple[str, ...]:
    sizes = (cost.flops, cost.transcendentals, cost.bytes_read, cost.bytes_written)
    intensity = (f"{cost.intensity:.2f}",) if bound else ()
    return (number, *map(str, sizes), *intensity, text)


def _ratio(flops: Size, moved: Size) -> float | None:
    if isinstance(flops, Dim) or isinstance(moved, Dim):
        return None
    return flops / moved if moved else 0.0
