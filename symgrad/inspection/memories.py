"""Memories: what a call of a compiled function needs, buffer by buffer, exact before anything has run.

In: a `Subject`, its labels, the values of its dimensions. Out: a `MemoryAnalysis`: data that print as a table with a
chart of lifetimes. The numbers are those of the plan that the run uses. It must not know arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codegen.memory import aligned
from codegen.operand import Operand
from codegen.places import MemoryPlan, Places, operand_bytes, plan_memory
from symgrad.dtypes import DType
from symgrad.expr import Buffer, Expr
from symgrad.inspection.labels import Labels
from symgrad.inspection.subject import Subject, check_not_negative
from symgrad.inspection.tables import Table
from symgrad.ops.row import label
from symgrad.shape import evaluate, format_shape

WIDEST = 64  # launches that a chart of lifetimes shows one by one


@dataclass(frozen=True, slots=True)
class Memory:
    """A tensor in memory: its name, shape, dtype and bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    bytes: int


@dataclass(frozen=True, slots=True)
class TemporaryMemory(Memory):
    """A tensor in the arena: at `offset`, from the launch that first writes it to the last that reads it, from 1 on."""

    offset: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MemoryAnalysis:
    """The memory of one call for given dimensions, in bytes.

    - `arena`: what is allocated for all temporaries; no two that live at one time overlap in it.
    - `padding`: what aligning temporaries to cache lines adds to them.
    - `peak`: the most that lives at one time, padding included: no arena can be smaller.
    - `scratch`: what each thread has for itself inside kernels.
    """

    name: str
    dims: Mapping[str, int]
    parameters: tuple[Memory, ...]
    constants: tuple[Memory, ...]
    inputs: tuple[Memory, ...]
    outputs: tuple[Memory, ...]
    temporaries: tuple[TemporaryMemory, ...]
    arena: int
    padding: int
    peak: int
    scratch: int
    launches: int

    @property
    def total(self) -> int:
        """Return the bytes of parameters, constants, inputs, outputs and the arena together."""
        return sum(m.bytes for _, group in self._groups() for m in group) + self.arena

    def __str__(self) -> str:
        return "\n".join([self._title(), self._table().text(), "", self._arena_line(), *self._chart()])

    def __repr__(self) -> str:
        return f"<MemoryAnalysis {self._title()}>"

    def _repr_html_(self) -> str:
        chart = Table(*_chart_table(self.temporaries, self.launches), frozenset({0, 1, 2}))
        return self._table().html(self._title()) + chart.html(self._arena_line())

    def _groups(self) -> tuple[tuple[str, tuple[Memory, ...]], ...]:
        groups = (("parameter", self.parameters), ("constant", self.constants), ("input", self.inputs))
        return (*groups, ("output", self.outputs))

    def _title(self) -> str:
        sizes = ", ".join(f"{name}={value}" for name, value in self.dims.items())
        return f"{self.name}({sizes}): {self.total} bytes"

    def _table(self) -> Table:
        rows = [
            (kind, m.name, f"{format_shape(m.shape)} {m.dtype}", str(m.bytes))
            for kind, group in self._groups()
            for m in group
        ]
        rows.append(("arena", f"{len(self.temporaries)} temporaries", "", str(self.arena)))
        rows.append(("total", "", "", str(self.total)))
        return Table(("", "name", "type", "bytes"), tuple(rows), frozenset({3}))

    def _arena_line(self) -> str:
        needed = f"{self.arena} bytes, peak {self.peak}, padding {self.padding}"
        return f"arena: {needed}; scratch of a thread {self.scratch}"

    def _chart(self) -> list[str]:
        if not self.temporaries:
            return []
        return [Table(*_chart_table(self.temporaries, self.launches), frozenset({0, 1, 2})).text()]


def memory_analysis(
    subject: Subject, labels: Labels, dims: Mapping[str, int], shown: Mapping[str, int]
) -> MemoryAnalysis:
    """Plan a call for these dimensions; `shown` are the dimensions under their user's names."""
    check_not_negative(shown)
    compiled = subject.compiled
    planned = plan_memory(compiled.executable, Places(compiled.executable), dims)

    def described(nodes: Iterable[Expr], names: Mapping[Expr, str] | None = None) -> tuple[Memory, ...]:
        return tuple(
            Memory((names or {}).get(node) or labels.names.get(node) or label(node), *_facts(node, dims))
            for node in dict.fromkeys(nodes)
        )

    titles = dict(reversed(list(zip(compiled.results, subject.titles, strict=True))))
    constants = (o for s in compiled.steps for o in s.operands if isinstance(o, Buffer))
    return MemoryAnalysis(
        subject.name, dict(shown), described(compiled.parameters), described(constants), described(subject.symbols),
        described(compiled.results, titles), _temporaries(planned, labels, dims), planned.size,
        sum(aligned(t.bytes) - t.bytes for t in planned.temporaries), planned.peak, planned.scratch,
        len(compiled.steps),
    )  # fmt: skip


def _temporaries(planned: MemoryPlan, labels: Labels, dims: Mapping[str, int]) -> tuple[TemporaryMemory, ...]:
    return tuple(
        TemporaryMemory(labels.names[t.operand], *_facts(t.operand, dims), t.offset, t.first + 1, t.last + 1)
        for t in planned.temporaries
    )


def _facts(operand: Operand, dims: Mapping[str, int]) -> tuple[tuple[int, ...], DType, int]:
    return tuple(evaluate(n, dims) for n in operand.shape), operand.dtype, operand_bytes(operand, dims)


def _chart_table(
    temporaries: Sequence[TemporaryMemory], launches: int
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Draw a line for each temporary, a column for each launch, or for some where there are many."""
    step = -(-launches // WIDEST)
    head = ("offset", "bytes", "launches", "alive", "name")
    rows = []
    for t in temporaries:
        alive = range((t.first - 1) // step, (t.last - 1) // step + 1)
        line = "".join("#" if k in alive else "." for k in range(-(-launches // step)))
        rows.append((str(t.offset), str(t.bytes), f"{t.first}-{t.last}", line, t.name))
    return head, tuple(rows)
