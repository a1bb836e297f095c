"""Places: where the operands of a program live, and when its launches must wait.

In: a `Compiled`, the values of its dimensions. Out: for each operand the slot, the fixed memory or the offset in the
arena; before which launches there is a barrier; the plan of the temporaries, which is exact before anything has run. It
must not know arrays, nor how a program is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codegen.elements import Operand
from codegen.ir import Access
from codegen.memory import Lifetime, peak, plan
from codegen.pipeline import Compiled
from codegen.program import STATUS, Arg, Launch, Loop, Record, epochs
from codegen.scratch import scratch_bytes
from codegen.step import Step
from symgrad.expr import Buffer, Expr, Parameter
from symgrad.shape import evaluate, product

ARENA = 1_000_000  # the slot of the arena; inputs and outputs have the slots 0, 1, ...


class Places:
    """Where operands live: slots for inputs and outputs, fixed memory for parameters and constants, else the arena.

    What stands in `addresses` lives there instead.
    """

    def __init__(self, compiled: Compiled, strides: Mapping[int, int] | None = None) -> None:
        self.strides = strides or {}
        self.slots = {node: slot for slot, node in enumerate((*compiled.inputs, *dict.fromkeys(compiled.results)))}
        self.updated = compiled.updated
        self.flags = compiled.flags
        self.addresses: Mapping[Operand, int] = {}

    def is_temporary(self, operand: Operand) -> bool:
        """Tell whether the operand lives in the arena."""
        fixed = isinstance(operand, Buffer | Parameter) or operand in self.updated or operand in self.flags
        return not fixed and operand not in self.slots

    def memory(self, operand: Operand) -> Operand:
        """Give what two operands in the same memory have in common."""
        return self.updated.get(operand, operand) if isinstance(operand, Expr) else operand

    def arg(self, operand: Operand, offsets: Mapping[str | int, int]) -> Arg:
        """Give the address of an operand, or the slot that will have it."""
        place = self.memory(operand)
        if place in self.addresses:
            return Arg(self.addresses[place])
        if operand in self.slots:
            slot = self.slots[operand]  # type: ignore[index]
            return Arg(0, self.strides.get(slot, 0), slot)
        if operand in self.flags:
            return Arg(0, slot=STATUS)
        if isinstance(place, Parameter):
            return Arg(place.buffer.ctypes.data)
        if isinstance(place, Buffer):
            return Arg(place.array.ctypes.data)
        return Arg(offsets[id(operand)], slot=ARENA)


@dataclass(frozen=True, slots=True, eq=False)
class Temporary:
    """A buffer of the arena, live from its first launch to its last."""

    operand: Operand
    bytes: int
    offset: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class MemoryPlan:
    """The launches, each with whether a barrier stands before it, and the arena of `size` bytes.

    `peak` is the most that lives at one time, below which no arena can be; `scratch` is what each thread needs.
    """

    steps: tuple[tuple[Step, bool], ...]
    temporaries: tuple[Temporary, ...]
    size: int
    peak: int
    scratch: int

    @property
    def offsets(self) -> dict[str | int, int]:
        """Give the offset of each temporary by the `id` of its operand."""
        return {id(t.operand): t.offset for t in self.temporaries}


def plan_memory(compiled: Compiled, places: Places, dims: Mapping[str, int], looped: bool = False) -> MemoryPlan:
    """Plan the memory of a program for these dimensions; with `looped` all of it is the body of a loop."""
    steps = _with_barriers(compiled.steps, places)
    sketch: list[Record] = [Launch(0, (), barrier=barrier, guard=s.is_guard) for s, barrier in steps]
    order = epochs([Loop(1, tuple(sketch))] if looped else sketch)
    spans = _spans(compiled.steps, places)
    lives = [Lifetime(id(o), operand_bytes(o, dims), order[first], order[last]) for o, (first, last) in spans.items()]
    arena = plan(lives)
    temporaries = tuple(Temporary(o, operand_bytes(o, dims), arena.offsets[id(o)], *span) for o, span in spans.items())
    scratch = max((evaluate(scratch_bytes(s.kernel), dims) for s in compiled.steps), default=0)
    return MemoryPlan(tuple(steps), temporaries, arena.size, peak(lives), scratch)


def operand_bytes(operand: Operand, dims: Mapping[str, int]) -> int:
    """Return the size of an operand in bytes."""
    return evaluate(product(operand.shape), dims) * operand.dtype.size


def _touched(step: Step) -> list[tuple[Operand, bool]]:
    """List what a step reads and writes: (operand, whether it writes)."""
    return [(o, b.access is not Access.IN) for o, b in zip(step.operands, step.kernel.buffers, strict=True)]


def _with_barriers(steps: Sequence[Step], places: Places) -> list[tuple[Step, bool]]:
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


def _spans(steps: Sequence[Step], places: Places) -> dict[Operand, tuple[int, int]]:
    """Give the first and the last launch of every temporary."""
    spans: dict[Operand, tuple[int, int]] = {}
    for number, step in enumerate(steps):
        for operand in step.operands:
            if places.is_temporary(operand):
                spans[operand] = (spans[operand][0] if operand in spans else number, number)
    return spans
