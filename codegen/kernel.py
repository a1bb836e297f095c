"""Binding: an executable, dimensions and arrays to a run.

In: an `Executable`, the values of its dimensions, the addresses of input and output arrays. Out: a `Bound`: launches
with their arena, planned before the first run; a run rewrites a few addresses and starts the thread team. It must not
know expressions beyond their identity, nor what arrays mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codegen.executable import Call, Executable
from codegen.memory import aligned_empty
from codegen.operand import Operand
from codegen.places import ARENA, MemoryPlan, Places, operand_bytes, plan_memory
from codegen.poison import READ, READ_WRITE, Fence
from codegen.program import Launch, Loop, Record, Table, encode
from codegen.threads import Status, team
from symgrad.buffers import ALIGNMENT
from symgrad.expr import Buffer, Expr, Parameter
from symgrad.ops.row import label
from symgrad.shape import evaluate

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


@dataclass(frozen=True, slots=True, eq=False)
class Launches:
    """A program in pieces: a table for each launch, and one for all of them."""

    tables: tuple[Table, ...]
    whole: Table
    keep: Any = field(repr=False)  # what the addresses in the tables point to

    def use(self, addresses: Sequence[int]) -> None:
        """Set the addresses of the inputs and outputs."""
        for table in (*self.tables, self.whole):
            for slot, address in enumerate(addresses):
                table.patch(slot, address)


@dataclass(frozen=True, slots=True)
class Iteration:
    """What moves from one iteration of the minibatch loop to the next: bytes per slot."""

    strides: Mapping[int, int]


def bind(program: Executable, dims: Mapping[str, int], iteration: Iteration | None = None) -> Bound:
    """Plan the memory of a program for these dimensions; with an iteration it is a loop that `patch_loop` sets."""
    places = Places(program, iteration.strides if iteration is not None else {})
    memory = plan_memory(program, places, dims, iteration is not None)
    fences: dict[Operand, Fence] = {}
    if program.poison:
        fences = _fenced(program, places, dims, iteration is None)
        places.addresses = {place: fence.address for place, fence in fences.items()}
    records = _records(program, places, memory, dims)
    whole: list[Record] = [Loop(0, tuple(records), slot=LOOP)] if iteration is not None else records
    table = encode(whole, scratch=memory.scratch)
    if program.poison:
        return Bound(table, aligned_empty(0), program, _fences(program, places, fences, table))
    arena = aligned_empty(memory.size)
    table.patch(ARENA, arena.ctypes.data)
    return Bound(table, arena, program)


def bind_launches(program: Executable, dims: Mapping[str, int], parameters: Mapping[Parameter, np.ndarray]) -> Launches:
    """Plan a program whose launches are run one by one, on other memory in place of its parameters'."""
    places = Places(program)
    memory = plan_memory(program, places, dims)
    places.addresses = {p: array.ctypes.data for p, array in parameters.items()}
    records = _records(program, places, memory, dims)
    own = [evaluate(call.scratch, dims) for call in program.calls]
    tables = tuple(encode([record], scratch=scratch) for record, scratch in zip(records, own, strict=True))
    whole = encode(records, scratch=memory.scratch)
    arena = aligned_empty(memory.size)
    for table in (*tables, whole):
        table.patch(ARENA, arena.ctypes.data)
    return Launches(tables, whole, (program, arena, dict(parameters)))


def _fenced(program: Executable, places: Places, dims: Mapping[str, int], with_slots: bool) -> dict[Operand, Fence]:
    """Give every operand memory of its own between unmapped pages; a loop moves over its inputs and outputs."""
    fences: dict[Operand, Fence] = {}
    for call in program.calls:
        for operand in call.operands:
            place = places.memory(operand)
            if place in fences or operand in places.flags or (operand in places.slots and not with_slots):
                continue
            fences[place] = Fence(_named(place), operand_bytes(place, dims), place.dtype.size)
    for place, fence in fences.items():
        if isinstance(place, Buffer):
            fence.read(place.array.ctypes.data)
            fence.allow(READ)
    return fences


def _named(operand: Operand) -> str:
    return label(operand) if isinstance(operand, Expr) else "a temporary"


def _fences(program: Executable, places: Places, memory: Mapping[Operand, Fence], table: Table) -> Fences:
    """Sort the memory of a poisoned program by what happens to it around a run."""
    written = {id(p) for p in program.updated.values()}
    scratch = Fence("the scratch of a thread", table.block, ALIGNMENT)
    table.use_private(scratch.bytes)
    slots = {slot: memory[node] for node, slot in places.slots.items() if node in memory}
    inputs = {slot: fence for slot, fence in slots.items() if slot < len(program.inputs)}
    results = {slot: fence for slot, fence in slots.items() if slot not in inputs}
    parameters = [
        (place.buffer.ctypes.data, fence, id(place) in written)
        for place, fence in memory.items()
        if isinstance(place, Parameter)
    ]
    kept = {id(f) for f in slots.values()}
    owned = [f for o, f in memory.items() if not isinstance(o, Buffer | Parameter) and id(f) not in kept]
    return Fences(memory, [*owned, scratch], inputs, results, parameters)


def _records(program: Executable, places: Places, memory: MemoryPlan, dims: Mapping[str, int]) -> list[Record]:
    offsets = memory.offsets
    return [_launch(program, call, barrier, places, offsets, dims) for call, barrier in memory.calls]


def _launch(
    program: Executable, call: Call, barrier: bool, places: Places, offsets: Mapping[str | int, int],
    dims: Mapping[str, int],
) -> Launch:  # fmt: skip
    return Launch(
        function=program.library.address(call.kernel),
        args=tuple(places.arg(o, offsets) for o in call.operands),
        dims=tuple(dims[d] for d in call.dims),
        tasks=evaluate(call.tasks, dims),
        barrier=barrier,
        guard=call.is_guard,
        cost=evaluate(call.cost, dims),
    )
