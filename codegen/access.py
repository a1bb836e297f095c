"""Memory accesses: an element of a buffer or local array as a scalar, a vector, or a gather.

In: an array, index polynomials and the `Scope` they stand in. Out: loads, stores and prefetches. In a vector loop an
index that moves by 1 from lane to lane is one vector access, one that does not move a scalar access, any other a gather
or scatter; the mask in force guards them. It must not know values or statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from codegen.address import Indices, Stride, lane_numbers, scalar, stride, vector
from codegen.ir import Value
from codegen.machine import Machine
from codegen.writer import MEMORY, TYPES, Val, Writer, mangled, typed
from symgrad.dtypes import BOOL, DType
from symgrad.errors import CompileError
from symgrad.shape import Size


@dataclass(frozen=True, slots=True)
class Array:
    """A buffer or local array: the address of its first element and the elements between neighbours on each axis."""

    pointer: str
    dtype: DType
    strides: tuple[Size, ...]
    in_registers: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """A `Local`: its stack slot, which LLVM turns into a register, and the mask under which it was declared."""

    pointer: str
    dtype: DType
    lanes: int
    mask: str | None


@dataclass(slots=True)
class Scope:
    """What names mean at one place, what is computed already, and the lanes that take part (`mask`; None: all)."""

    out: Writer
    machine: Machine
    indices: Indices = field(default_factory=Indices)
    names: dict[str, Val | Slot] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    mask: str | None = None
    memo: dict[int, tuple[Value, Val]] = field(default_factory=dict)  # by identity; values that no store can change
    functions: dict[int, tuple[Value, Value]] = field(default_factory=dict)  # calls and what they stand for
    pointers: dict[tuple[str, Size], str] = field(default_factory=dict)

    @property
    def lanes(self) -> int:
        """Return the width of the vector loop around, 0 outside."""
        return self.indices.lane.width if self.indices.lane else 0

    def child(self) -> Scope:
        """Return the scope of an inner block: it sees everything, what it adds stays inside."""
        return Scope(
            self.out, self.machine, self.indices.child(), dict(self.names), dict(self.arrays), self.mask,
            dict(self.memo), self.functions, dict(self.pointers),
        )  # fmt: skip


def row_major(shape: Sequence[Size]) -> tuple[Size, ...]:
    """Return the strides of a dense array.

    >>> row_major((2, 3, 4))
    (12, 4, 1)
    """
    strides: list[Size] = []
    step: Size = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def load(array: Array, index: Sequence[Size], scope: Scope) -> Val:
    """Write the load of an element, in a vector loop of one per lane."""
    offset = _offset(array, index, scope)
    moves = stride(offset, scope.indices)
    element, align = MEMORY[array.dtype], array.dtype.size
    if moves and moves.step == 0:
        pointer = _pointer(array, moves.base, scope)
        return _from_memory(array.dtype, Val(scope.out.value(f"load {element}, ptr {pointer}, align {align}")), scope)
    lanes = scope.lanes
    type_ = typed(element, lanes)
    if moves and moves.step == 1:
        pointer = _pointer(array, moves.base, scope)
        if scope.mask is None or array.in_registers:
            text = f"load {type_}, ptr {pointer}, align {align}"
        else:
            name = f"@llvm.masked.load.{mangled(element, lanes)}.p0"
            text = f"call {type_} {name}(ptr align {align} {pointer}, {_mask(scope)}, {type_} zeroinitializer)"
        return _from_memory(array.dtype, Val(scope.out.value(text), lanes), scope)
    pointers = _pointers(array, offset, moves, scope)
    name = f"@llvm.masked.gather.{mangled(element, lanes)}.v{lanes}p0"
    text = f"call {type_} {name}(<{lanes} x ptr> align {align} {pointers}, {_mask(scope)}, {type_} zeroinitializer)"
    return _from_memory(array.dtype, Val(scope.out.value(text), lanes), scope)


def store(array: Array, index: Sequence[Size], value: Val, scope: Scope) -> None:
    """Write the store of an element, in a vector loop of one per lane that takes part."""
    offset = _offset(array, index, scope)
    moves = stride(offset, scope.indices)
    element, align, lanes = MEMORY[array.dtype], array.dtype.size, scope.lanes
    if moves and moves.step == 0 and lanes:
        raise CompileError("all lanes of a vector loop store to one element", got=f"element {offset}")
    text = _to_memory(array.dtype, value, lanes, scope)
    type_ = typed(element, lanes)
    if moves and moves.step in (0, 1):
        pointer = _pointer(array, moves.base, scope)
        if scope.mask is not None and not array.in_registers:
            name = f"@llvm.masked.store.{mangled(element, lanes)}.p0"
            scope.out.effect(f"call void {name}({type_} {text}, ptr align {align} {pointer}, {_mask(scope)})")
            return
        if scope.mask is not None:  # the array is a set of registers: the other lanes keep what they hold
            old = scope.out.value(f"load {type_}, ptr {pointer}, align {align}")
            text = scope.out.value(f"select {_mask(scope)}, {type_} {text}, {type_} {old}")
        scope.out.effect(f"store {type_} {text}, ptr {pointer}, align {align}")
        return
    pointers = _pointers(array, offset, moves, scope)
    name = f"@llvm.masked.scatter.{mangled(element, lanes)}.v{lanes}p0"
    scope.out.effect(f"call void {name}({type_} {text}, <{lanes} x ptr> align {align} {pointers}, {_mask(scope)})")


def prefetch(array: Array, index: Sequence[Size], scope: Scope) -> None:
    """Write a hint to fetch an element's cache line; in a vector loop, that of the first lane."""
    moves = stride(_offset(array, index, scope), scope.indices)
    if moves is None:
        raise CompileError("a prefetch cannot gather", hint="Index it evenly in the vector loop's variable.")
    pointer = _pointer(array, moves.base, scope)
    scope.out.effect(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 3, i32 1)")


def _offset(array: Array, index: Sequence[Size], scope: Scope) -> Size:
    """Return the resolved distance from the first element, in elements."""
    total: Size = 0
    for position, step in zip(index, array.strides, strict=True):
        total = total + scope.indices.resolved(position) * step
    return total


def _pointer(array: Array, offset: Size, scope: Scope) -> str:
    """Return the address of an element: what varies at run time shared, the constant last, for the address mode."""
    constant = _constant(offset)
    moving = offset - constant
    element = MEMORY[array.dtype]
    pointer = array.pointer
    if moving != 0:
        key = (array.pointer, moving)
        if key not in scope.pointers:
            distance = scalar(moving, scope.indices, scope.out)
            scope.pointers[key] = scope.out.value(f"getelementptr {element}, ptr {pointer}, i64 {distance}", "at")
        pointer = scope.pointers[key]
    return scope.out.value(f"getelementptr {element}, ptr {pointer}, i64 {constant}", "at") if constant else pointer


def _constant(size: Size) -> int:
    if isinstance(size, int):
        return size
    return next((coefficient for coefficient, monomial in size.terms() if not monomial), 0)


def _pointers(array: Array, offset: Size, moves: Stride | None, scope: Scope) -> str:
    """Return the address of one element per lane, as a vector."""
    lanes, element = scope.lanes, MEMORY[array.dtype]
    if moves is None:
        pointer, distances = array.pointer, vector(offset, scope.indices, scope.out).text
    else:
        pointer = _pointer(array, moves.base, scope)
        step = scope.out.splat(Val(scalar(moves.step, scope.indices, scope.out)), "i64", lanes)
        distances = scope.out.value(f"mul <{lanes} x i64> {lane_numbers(lanes)}, {step}")
    return scope.out.value(f"getelementptr {element}, ptr {pointer}, <{lanes} x i64> {distances}", "each")


def _mask(scope: Scope) -> str:
    """Return the mask in force, with its type."""
    return f"<{scope.lanes} x i1> {scope.mask or 'splat (i1 true)'}"


def _from_memory(dtype: DType, value: Val, scope: Scope) -> Val:
    if dtype is not BOOL:
        return value
    zero = "zeroinitializer" if value.lanes else "0"
    return Val(scope.out.value(f"icmp ne {typed('i8', value.lanes)} {value.text}, {zero}"), value.lanes)


def _to_memory(dtype: DType, value: Val, lanes: int, scope: Scope) -> str:
    text = scope.out.splat(value, TYPES[dtype], lanes)
    if dtype is not BOOL:
        return text
    return scope.out.value(f"zext {typed('i1', lanes)} {text} to {typed('i8', lanes)}")
