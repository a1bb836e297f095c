"""Binding: a compiled program, dimensions and arrays to a run.

In: a `Compiled`, the values of its dimensions, the addresses of input and output arrays. Out: a `Bound`: launches with
their arena, planned before the first run; a run rewrites a few addresses and starts the thread team. It must not know
expressions beyond their identity, nor what arrays mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codegen.elements import Operand
from codegen.ir import Access
from codegen.memory import Lifetime, aligned_empty, plan
from codegen.pipeline import Compiled, Step
from codegen.poison import READ, READ_WRITE, Fence
from codegen.program import STATUS, Arg, Launch, Loop, Record, Table, encode, epochs
from codegen.scratch import scratch_bytes
from codegen.threads import Status, team
from symgrad.buffers import ALIGNMENT
from symgrad.expr import Buffer, Expr, Parameter
from symgrad.ops.row import label
from symgrad.shape import evaluate, product

ARENA = 1_000_000  # the slot of the arena; inputs and outputs have the slots 0, 1, ...
LOOP = 0


@dataclass(slots=True, eq=False)
class Bound:
    """A program for given dimensions: one run at a time."""

    table: Table
    arena: np.ndarray
    keep: Any = field(repr=False)  # what the addresses in the table point to
    fences: Fences | None = None

    def run(self, addresses: Sequence[int], threads: int) -> Status:
        """Run with these inputs and outputs."""
        patch = self.table.patch
        for slot, address in enumerate(addresses):
            patch(slot, address)
        if self.fences is not None:
            return self.fences.run(self.table, addresses, threads)
        return team().run(self.table, threads)


@dataclass(slots=True, eq=False)
class Fences:
    """The memory of a run of a poisoned program: what is copied in before it, and out after it."""

    memory: Mapping[Operand, Fence]  # of everything
    owned: Sequence[Fence]  # temporaries and scratch: filled before each run
    inputs: Mapping[int, Fence]  # by slot
    results: Mapping[int, Fence]
    parameters: Sequence[tuple[int, Fence, bool]]  # address, memory, whether it is written

    def run(self, table: Table, addresses: Sequence[int], threads: int) -> Status:
        """Run on poisoned memory, and give the caller the results."""
        status = self.dry_run(table, addresses, threads)
        for slot, fence in self.results.items():
            fence.write(addresses[slot])
        for address, fence, written in self.parameters:
            if written:
                fence.write(address)
        return status

    def dry_run(self, table: Table, addresses: Sequence[int], threads: int = 1) -> Status:
        """Run on poisoned memory, see that nothing was written beside it, and leave all values there."""
        for fence in (*self.owned, *self.results.values()):
            fence.fill()
        for slot, fence in self.inputs.items():
            fence.allow(READ_WRITE)
            fence.read(addresses[slot])
            fence.allow(READ)
        for address, fence, _ in self.parameters:
            fence.read(address)
        status = team().run(table, threads)
        for fence in (*self.owned, *self.results.values(), *(f for _, f, _ in self.parameters)):
            fence.check()
        return status


@dataclass(frozen=True, slots=True)
class Iteration:
    """What moves from one iteration of the minibatch loop to the next: bytes per slot."""

    strides: Mapping[int, int]


def bind(compiled: Compiled, dims: Mapping[str, int], iteration: Iteration | None = None) -> Bound:
    """Plan the memory of a program for these dimensions; with an iteration it is a loop that `patch_loop` sets."""
    places = _Places(compiled, iteration.strides if iteration is not None else {})
    steps = _with_barriers(compiled.steps, places)
    sketch: list[Record] = [Launch(0, (), barrier=barrier, guard=s.is_guard) for s, barrier in steps]
    order = epochs([Loop(1, tuple(sketch))] if iteration is not None else sketch)
    arena = plan(_lifetimes(compiled.steps, order, places, dims))
    scratch = max((evaluate(scratch_bytes(s.kernel), dims) for s in compiled.steps), default=0)
    if compiled.poison:
        places.fences = _fenced(compiled, places, dims, iteration is None)
    records = [_launch(compiled, s, barrier, places, arena.offsets, dims) for s, barrier in steps]
    program: list[Record] = [Loop(0, tuple(records), slot=LOOP)] if iteration is not None else list(records)
    table = encode(program, scratch=scratch)
    if compiled.poison:
        return Bound(table, aligned_empty(0), compiled, _fences(compiled, places, table))
    memory = aligned_empty(max(arena.size, 64))
    table.patch(ARENA, memory.ctypes.data)
    return Bound(table, memory, compiled)


def _fenced(compiled: Compiled, places: _Places, dims: Mapping[str, int], with_slots: bool) -> dict[Operand, Fence]:
    """Give every operand memory of its own between unmapped pages; a loop moves over its inputs and outputs."""
    fences: dict[Operand, Fence] = {}
    for step in compiled.steps:
        for operand in step.operands:
            place = places.memory(operand)
            if place in fences or operand in places.flags or (operand in places.slots and not with_slots):
                continue
            fences[place] = Fence(_named(place), _bytes(place, dims), place.dtype.size)
    for place, fence in fences.items():
        if isinstance(place, Buffer):
            fence.read(place.array.ctypes.data)
            fence.allow(READ)
    return fences


def _named(operand: Operand) -> str:
    return label(operand) if isinstance(operand, Expr) else "a temporary"


def _fences(compiled: Compiled, places: _Places, table: Table) -> Fences:
    """Sort the memory of a poisoned program by what happens to it around a run."""
    written = {id(p) for p in compiled.updated.values()}
    scratch = Fence("the scratch of a thread", table.block, ALIGNMENT)
    table.use_private(scratch.bytes)
    slots = {slot: places.fences[node] for node, slot in places.slots.items() if node in places.fences}
    inputs = {slot: fence for slot, fence in slots.items() if slot < len(compiled.inputs)}
    results = {slot: fence for slot, fence in slots.items() if slot not in inputs}
    parameters = [
        (place.buffer.ctypes.data, fence, id(place) in written)
        for place, fence in places.fences.items()
        if isinstance(place, Parameter)
    ]
    kept = {id(f) for f in slots.values()}
    owned = [f for o, f in places.fences.items() if not isinstance(o, Buffer | Parameter) and id(f) not in kept]
    return Fences(places.fences, [*owned, scratch], inputs, results, parameters)


class _Places:
    """Where operands live: slots for inputs and outputs, fixed memory for parameters and constants, else the arena."""

    def __init__(self, compiled: Compiled, strides: Mapping[int, int]) -> None:
        self.strides = strides
        self.slots = {node: slot for slot, node in enumerate((*compiled.inputs, *dict.fromkeys(compiled.results)))}
        self.updated = compiled.updated
        self.flags = compiled.flags
        self.fences: Mapping[Operand, Fence] = {}

    def is_temporary(self, operand: Operand) -> bool:
        """Tell whether the operand lives in the arena."""
        fixed = isinstance(operand, Buffer | Parameter) or operand in self.updated or operand in self.flags
        return not fixed and operand not in self.slots

    def memory(self, operand: Operand) -> Operand:
        """Give what two operands in the same memory have in common."""
        return self.updated.get(operand, operand) if isinstance(operand, Expr) else operand

    def arg(self, operand: Operand, offsets: Mapping[str | int, int]) -> Arg:
        """Give the address of an operand, or the slot that will have it."""
        fence = self.fences.get(self.memory(operand))
        if fence is not None:
            return Arg(fence.address)
        if operand in self.slots:
            slot = self.slots[operand]  # type: ignore[index]
            return Arg(0, self.strides.get(slot, 0), slot)
        if operand in self.flags:
            return Arg(0, slot=STATUS)
        place = self.memory(operand)
        if isinstance(place, Parameter):
            return Arg(place.buffer.ctypes.data)
        if isinstance(place, Buffer):
            return Arg(place.array.ctypes.data)
        return Arg(offsets[id(operand)], slot=ARENA)


def _touched(step: Step) -> list[tuple[Operand, bool]]:
    """List what a step reads and writes: (operand, whether it writes)."""
    return [(o, b.access is not Access.IN) for o, b in zip(step.operands, step.kernel.buffers, strict=True)]


def _with_barriers(steps: Sequence[Step], places: _Places) -> list[tuple[Step, bool]]:
    """Decide before which launches everything earlier must be finished."""
    result: list[tuple[Step, bool]] = []
    read: set[Operand] = set()
    written: set[Operand] = set()
    for step in steps:
        reads = {places.memory(o) for o, writes in _touched(step) if not writes}
        writes = {places.memory(o) for o, writes in _touched(step) if writes}
        conflict = bool(reads & written or writes & written or writes & read)
        if conflict:
            read, written = set(), set()
        read |= reads
        written |= writes
        result.append((step, conflict))
        if step.is_guard:
            read, written = set(), set()
    return result


def _bytes(operand: Operand, dims: Mapping[str, int]) -> int:
    dtype = operand.dtype
    return evaluate(product(operand.shape), dims) * dtype.size


def _lifetimes(steps: Sequence[Step], order: Sequence[int], places: _Places, dims: Mapping[str, int]) -> list[Lifetime]:
    """Give the first and the last epoch of every temporary."""
    first: dict[Operand, int] = {}
    last: dict[Operand, int] = {}
    for step, epoch in zip(steps, order, strict=True):
        for operand in step.operands:
            if places.is_temporary(operand):
                first.setdefault(operand, epoch)
                last[operand] = epoch
    return [Lifetime(id(o), _bytes(o, dims), first[o], last[o]) for o in first]


def _launch(
    compiled: Compiled, step: Step, barrier: bool, places: _Places, offsets: Mapping[str | int, int],
    dims: Mapping[str, int],
) -> Launch:  # fmt: skip
    kernel = step.kernel
    return Launch(
        function=compiled.library.address(kernel.name),
        args=tuple(places.arg(o, offsets) for o in step.operands),
        dims=tuple(dims[d] for d in kernel.dims),
        tasks=evaluate(kernel.tasks, dims),
        barrier=barrier,
        guard=step.is_guard,
        cost=evaluate(step.cost, dims),
    )
