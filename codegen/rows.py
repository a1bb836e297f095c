"""Rows: launches that walk the same rows become one, and what they hand on along a row stays where it is used.

In: the steps of a program in their order. Out: fewer steps. A step walks rows where its kernel is one parallel loop
over them. Steps are joined where all that one of them writes and another touches lies in the row that both are at, and
no step between them stands in the way: softmax is then one sweep over memory. What nothing else reads is no tensor any
longer, but a row of it in scratch memory. No operation changes, nor their order in a row: the bits stay. It must not
know operators.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.forms import Forms
from codegen.group import Group
from codegen.ir import Access, For, Kernel, Tag
from codegen.operand import Operand
from codegen.reach import squeezed
from codegen.step import Step
from codegen.weave import weave
from codegen.weight import accesses, weight
from symgrad.expr import Expr, Parameter
from symgrad.shape import Size, dim, names

MOST_WEIGHT = 1024  # operations of one joined kernel
MOST_BETWEEN = 16  # steps that a step may be taken past
Homes = Mapping[Expr, Group]


def join_rows(
    steps: Sequence[Step], forms: Forms, home: dict[Expr, Group], kept: Collection[Operand],
    updated: Mapping[Expr, Parameter],
) -> list[Step]:  # fmt: skip
    """Join steps; `kept` are given back, `updated` lie in the memory of parameters. Homes are brought up to date."""
    alone = _groups_of_one_step(steps)
    runs: list[_Run] = []
    for step in steps:
        part = _part(step, forms, home, updated) if step.group in alone and not step.is_guard else None
        runs.append(_Run([step], [] if part is None else [part], *_touched(step, updated)))
    count = 0
    while count != len(runs):  # what has joined one may now fit another, too
        count, runs = len(runs), _passed(runs)
    readers = _readers(runs)
    return [run.steps[0] if len(run.steps) == 1 else _joined(run, home, kept, readers) for run in runs]


def _groups_of_one_step(steps: Sequence[Step]) -> set[Group]:
    seen: set[Group] = set()
    again = {s.group for s in steps if s.group in seen or seen.add(s.group)}  # type: ignore[func-returns-value]
    return seen - again


def _memory(operand: Operand, updated: Mapping[Expr, Parameter]) -> Operand:
    return updated.get(operand, operand) if isinstance(operand, Expr) else operand


def _touched(step: Step, updated: Mapping[Expr, Parameter]) -> tuple[set[Operand], set[Operand]]:
    """Give what a step reads and what it writes."""
    read: set[Operand] = set()
    written: set[Operand] = set()
    for operand, buffer in zip(step.operands, step.kernel.buffers, strict=True):
        if buffer.access is not Access.OUT:
            read.add(_memory(operand, updated))
        if buffer.access is not Access.IN:
            written.add(_memory(operand, updated))
    return read, written


def _part(step: Step, forms: Forms, home: Homes, updated: Mapping[Expr, Parameter]) -> _Part | None:
    """Look at a step, of one loop over all axes at what it would be in rows; None where it walks no rows."""
    part = _Part.of(step, updated)
    if part is not None or step.group.root is not None or len(squeezed(step.group.domain)) < 2:
        return part
    (item,) = forms.lower(step.group, home, by_rows=True)
    return _Part.of(replace(step, kernel=item.kernel, operands=item.operands), updated, is_flat=True)


# -- what a step walks ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A step that walks rows: the loops from the outermost on that hold nothing but the next one.

    `depth` tells of each memory how many leading indices of all its elements are the variables of these loops, `shape`
    how it is addressed (None where it is in several ways).
    """

    step: Step
    loops: tuple[For, ...]
    depth: Mapping[Operand, int]
    shape: Mapping[Operand, tuple[Size, ...] | None]
    read: set[Operand]
    written: set[Operand]
    weight: int
    is_flat: bool  # alone it would walk no rows

    @classmethod
    def of(cls, step: Step, updated: Mapping[Expr, Parameter], is_flat: bool = False) -> _Part | None:
        """Look at a step; None where it walks no rows."""
        loops = tuple(_walked(step.kernel))
        if not loops:
            return None
        variables = [dim(loop.var) for loop in loops]
        leading = {b.name: len(variables) for b in step.kernel.buffers}
        for array, index in accesses(step.kernel.body):
            if array in leading:
                same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(index, variables, strict=False))
                leading[array] = min(leading[array], sum(1 for _ in same))
        depth: dict[Operand, int] = {}
        shape: dict[Operand, tuple[Size, ...] | None] = {}
        for operand, buffer in zip(step.operands, step.kernel.buffers, strict=True):
            memory = _memory(operand, updated)
            depth[memory] = min(depth.get(memory, len(loops)), leading[buffer.name])
            shape[memory] = buffer.shape if shape.get(memory, buffer.shape) == buffer.shape else None
        return cls(step, loops, depth, shape, *_touched(step, updated), weight(step.kernel.body), is_flat)


def _walked(kernel: Kernel) -> Iterator[For]:
    body, tag = kernel.body, Tag.PARALLEL
    while len(body) == 1 and isinstance(loop := body[0], For):
        if loop.tag is not tag or loop.step != 1 or loop.start != 0 or not names(loop.stop) <= set(kernel.dims):
            return
        yield loop
        body, tag = loop.body, Tag.SERIAL


# -- what may be joined --------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Run:
    """Steps that become one, in their order; `parts` is empty where it is a step that walks no rows.

    `steps` are as they were, `parts` hold them as they walk rows.
    """

    steps: list[Step]
    parts: list[_Part]
    read: set[Operand]
    written: set[Operand]
    depth: int = 0  # loops that all parts have in common

    def take(self, other: _Run) -> None:
        """Add a run that `meets` found to fit."""
        self.depth = self.meets(other)
        self.steps += other.steps
        self.parts += other.parts
        self.read |= other.read
        self.written |= other.written

    def meets(self, other: _Run) -> int:
        """Give the loops that all parts of both would share; 0 where they do not fit."""
        parts = [*self.parts, *other.parts]
        if not self.parts or not other.parts or all(part.is_flat for part in parts):
            return 0
        shared = (self.read | self.written) & (other.read | other.written)
        in_rows = any(part.depth.get(memory) for part in other.parts for memory in shared)
        if not in_rows or sum(part.weight for part in parts) > MOST_WEIGHT:
            return 0
        depths = [run.depth or len(run.parts[0].loops) for run in (self, other)]
        return min(*depths, *(_shared(a, b) for a in self.parts for b in other.parts))

    def has_in_rows(self, operand: Operand) -> bool:
        """Tell whether all parts touch only the row of an operand that they are at."""
        parts = [part for part in self.parts if operand in part.depth]
        return all(part.depth[operand] >= self.depth and part.shape[operand] is not None for part in parts)

    def hinders(self, other: _Run) -> bool:
        """Tell whether another run cannot be taken past this one."""
        return bool(self.written & (other.read | other.written) or other.written & self.read) or self.steps[0].is_guard


def _shared(first: _Part, second: _Part) -> int:
    """Give the loops that two parts may share: what one writes and the other touches lies in one of their rows."""
    pairs = zip(first.loops, second.loops, strict=False)
    depth = sum(1 for _ in itertools.takewhile(lambda pair: pair[0].stop == pair[1].stop, pairs))
    for memory in (first.written & (second.read | second.written)) | (second.written & first.read):
        depth = min(depth, first.depth[memory], second.depth[memory])
        if first.shape[memory] is None or first.shape[memory] != second.shape[memory]:
            return 0
    return depth


def _passed(runs: Iterable[_Run]) -> list[_Run]:
    """Let every run join the latest one before it that it fits."""
    found: list[_Run] = []
    for run in runs:
        host = _host(found, run)
        if host is None:
            found.append(run)
        else:
            host.take(run)
    return found


def _host(runs: Sequence[_Run], late: _Run) -> _Run | None:
    for run in reversed(runs[-1 - MOST_BETWEEN :]):
        if run.meets(late):
            return run
        if run.hinders(late):
            return None
    return None


def _readers(runs: Iterable[_Run]) -> dict[Operand, set[int]]:
    """Tell of every operand, by number, which runs touch it."""
    found: dict[Operand, set[int]] = {}
    for run in runs:
        for step in run.steps:
            for operand in step.operands:
                found.setdefault(operand, set()).add(id(run))
    return found


# -- the joined step -----------------------------------------------------------------------------------------------


def _joined(
    run: _Run, home: dict[Expr, Group], kept: Collection[Operand], readers: Mapping[Operand, set[int]]
) -> Step:  # fmt: skip
    written = {o for part in run.parts for o in part.step.stored}
    local = {o for o in written if o not in kept and readers[o] == {id(run)} and run.has_in_rows(o)}
    kernel, operands = weave([(part.step, part.loops) for part in run.parts], run.depth, local)
    nodes = [n for s in run.steps for n in ([] if s.group.root is None else [s.group.root]) + s.group.nodes]
    stores = [n for s in run.steps for n in s.group.stores if n not in local]
    first = run.steps[0].group
    weight_of_all = sum(s.group.weight for s in run.steps)
    why = {node: s.group.why[node] for s in run.steps for node in s.group.stores if node not in local}
    group = Group(first.number, first.domain, None, nodes, stores, weight_of_all, why)
    for node in local:
        home.pop(node, None)  # type: ignore[arg-type]
    home.update(dict.fromkeys(stores, group))
    cost: Size = sum((s.cost for s in run.steps), start=0)
    return Step(kernel, operands, cost, False, group)
