"""Places: where the operands of a program live, and when its launches must wait.

In: an `Executable`, the values of its dimensions. Out: for each operand the slot, the fixed memory or the offset in the
arena; before which launches there is a barrier; the plan of the temporaries, which is exact before anything has run. It
must not know arrays, nor how a program is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codegen.executable import Call, Executable
from codegen.memory import Lifetime, peak, plan
from codegen.operand import Operand
from codegen.program import STATUS, Arg, Launch, Loop, Record, epochs
from symgrad.expr import Buffer, Parameter
from symgrad.shape import evaluate, product

ARENA = 1_000_000  # the slot of the arena; inputs and outputs have the slots 0, 1, ...


class Places:
    """Where operands live: slots for inputs and outputs, fixed memory for parameters and constants, else the arena.

    What stands in `addresses` lives there instead.
    """

    def __init__(self, program: Executable, strides: Mapping[int, int] | None = None) -> None:
        self.strides = strides or {}
        self.slots = {node: slot for slot, node in enumerate((*program.inputs, *dict.fromkeys(program.results)))}
        self.updated = program.updated
        self.flags = program.flags
        self.addresses: Mapping[Operand, int] = {}

    def is_temporary(self, operand: Operand) -> bool:
        """Tell whether the operand lives in the arena."""
        fixed = isinstance(operand, Buffer | Parameter) or operand in self.updated or operand in self.flags
        return not fixed and operand not in self.slots

    def memory(self, operand: Operand) -> Operand:
        """Give what two operands in the same memory have in common."""
        return self.updated.get(operand, operand)

    def arg(self, operand: Operand, offsets: Mapping[str | int, int]) -> Arg:
        """Give the address of an operand, or the slot that will have it."""
        place = self.memory(operand)
        if place in self.addresses:
            return Arg(self.addresses[place])
        if operand in self.slots:
            slot = self.slots[operand]
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

    calls: tuple[tuple[Call, bool], ...]
    temporaries: tuple[Temporary, ...]
    size: int
    peak: int
    scratch: int

    @property
    def offsets(self) -> dict[str | int, int]:
        """Give the offset of each temporary by the `id` of its operand."""
        return {id(t.operand): t.offset for t in self.temporaries}


def plan_memory(program: Executable, places: Places, dims: Mapping[str, int], looped: bool = False) -> MemoryPlan:
    """Plan the memory of a program for these dimensions; with `looped` all of it is the body of a loop."""
    calls = _with_barriers(program.calls, places)
    sketch: list[Record] = [Launch(0, (), barrier=barrier, guard=c.is_guard) for c, barrier in calls]
    order = epochs([Loop(1, tuple(sketch))] if looped else sketch)
    spans = _spans(program.calls, places)
    lives = [Lifetime(id(o), operand_bytes(o, dims), order[first], order[last]) for o, (first, last) in spans.items()]
    arena = plan(lives)
    temporaries = tuple(Temporary(o, operand_bytes(o, dims), arena.offsets[id(o)], *span) for o, span in spans.items())
    scratch = max((evaluate(c.scratch, dims) for c in program.calls), default=0)
    return MemoryPlan(tuple(calls), temporaries, arena.size, peak(lives), scratch)


def operand_bytes(operand: Operand, dims: Mapping[str, int]) -> int:
    """Return the size of an operand in bytes."""
    return evaluate(product(operand.shape), dims) * operand.dtype.size


def _with_barriers(calls: Sequence[Call], places: Places) -> list[tuple[Call, bool]]:
    """Decide before which launches everything earlier must be finished."""
    result: list[tuple[Call, bool]] = []
    read: set[Operand] = set()
    written: set[Operand] = set()
    for call in calls:
        touched = [(places.memory(o), writes) for o, writes in zip(call.operands, call.writes, strict=True)]
        reads = {o for o, writes in touched if not writes}
        writes = {o for o, writes in touched if writes}
        conflict = bool(reads & written or writes & written or writes & read)
        if conflict:
            read, written = set(), set()
        read |= reads
        written |= writes
        result.append((call, conflict))
        if call.is_guard:
            read, written = set(), set()
    return result


def _spans(calls: Sequence[Call], places: Places) -> dict[Operand, tuple[int, int]]:
    """Give the first and the last launch of every temporary."""
    spans: dict[Operand, tuple[int, int]] = {}
    for number, call in enumerate(calls):
        for operand in call.operands:
            if places.is_temporary(operand):
                spans[operand] = (spans[operand][0] if operand in spans else number, number)
    return spans
