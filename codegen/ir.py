"""The loop IR: what a kernel is, on one screen.

A kernel is a loop nest over named buffers. Every size, loop bound and buffer index is a polynomial of the dimension
algebra (`symgrad.shape.Size`) whose names are the kernel's dims, the loop variables in scope and the int64 names bound
by `Let`; so strides are coefficients, and nothing else has to be analysed. Values are scalar; a loop's tag says how it
runs, never what it means: erase all tags and the kernel computes the same bits.

The IR knows no operators, no expressions, no LLVM. `codegen.text` prints it, `codegen.parse` reads it back,
`codegen.verify` says whether it is well formed, `codegen.emit` turns it into LLVM IR.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from symgrad.dtypes import DType
from symgrad.shape import Size


class Tag(enum.StrEnum):
    """How the iterations of a loop run."""

    SERIAL = "serial"
    PARALLEL = "parallel"  # split among threads; only the outermost loop of a kernel
    UNROLL = "unroll"  # written out; constant bounds
    VECTOR = "vector"  # `step` iterations at a time as lanes, the rest masked; constant bounds are written out
    TURN = "turn"  # around a vector loop that copies: squares of `step` x `step` are transposed in registers

    @property
    def is_wide(self) -> bool:
        """Tell whether the loop means its iterations one by one, and `step` says how many of them run at once."""
        return self in (Tag.VECTOR, Tag.TURN)


class Space(enum.StrEnum):
    """Where a local array lives."""

    SCRATCH = "scratch"  # a private piece of memory per thread, handed in by the program; sizes may be symbolic
    REGISTER = "register"  # registers: constant shape, indexed by constants, unrolled and vector variables only


class Access(enum.StrEnum):
    """What a kernel does with a buffer."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"


@dataclass(frozen=True, slots=True)
class Const:
    """A literal; floats are kept exactly, -0.0, inf and nan included."""

    value: bool | int | float
    dtype: DType


@dataclass(frozen=True, slots=True)
class Name:
    """The value of a `Let` or a `Local` in scope."""

    name: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class Index:
    """An index polynomial used as an int64 value."""

    size: Size


@dataclass(frozen=True, slots=True)
class Load:
    """An element of a buffer or local array; one index per axis."""

    buffer: str
    index: tuple[Size, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Op:
    """An operation of the table `OPS` or a function of `codegen.vecmath`; `dtype` is the result's."""

    name: str
    args: tuple[Value, ...]
    dtype: DType


Value = Const | Name | Index | Load | Op

# name -> number of operands. Arithmetic and comparison take operands of one dtype; comparisons give bool (ordered; `ne`
# is true for NaN). `cast` converts (float to int truncates, saturates nowhere), `bitcast` reinterprets equal widths,
# `fma` rounds once where the machine has it, `floordiv` and `mod` follow Python's signs, `mulhi` is the upper half of
# an unsigned product, `min` and `max` are for integers only (NaN makes floats a matter of select). `residue` is an fma
# for a third operand near minus the product: what they leave is exact without fma too. `rarely` is a select that does
# not compute its second operand where no lane wants it, at the price of a branch.
OPS: dict[str, int] = {
    "add": 2, "sub": 2, "mul": 2, "div": 2, "fma": 3, "residue": 3, "neg": 1, "abs": 1, "sqrt": 1,
    "floor": 1, "ceil": 1, "trunc": 1, "rint": 1, "copysign": 2, "rem": 2,
    "floordiv": 2, "mod": 2, "min": 2, "max": 2, "mulhi": 2,
    "and": 2, "or": 2, "xor": 2, "not": 1, "shl": 2, "lshr": 2, "ashr": 2,
    "eq": 2, "ne": 2, "lt": 2, "le": 2, "gt": 2, "ge": 2,
    "select": 3, "rarely": 3, "cast": 1, "bitcast": 1,
}  # fmt: skip

# Operations of several dtypes: name -> those of the operands, that of the result. `bf16` gives the bits of the nearest
# bfloat16, ties to even; NaN stays NaN, a subnormal number becomes a zero of its sign. `dot2` takes two pairs of such
# bits, the first of a pair in the lower half, and adds to a float32 the product of the second ones, then that of the
# first ones; each addition rounds once, to nearest, and subnormal numbers count as zeros before and after it.
MIXED: dict[str, tuple[tuple[DType, ...], DType]] = {
    "bf16": ((DType.FLOAT32,), DType.UINT16),
    "dot2": ((DType.UINT32, DType.UINT32, DType.FLOAT32), DType.FLOAT32),
}


@dataclass(frozen=True, slots=True)
class Let:
    """Bind a name to a value for the rest of the block; an int64 name may be used in indices and bounds."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Local:
    """Declare a scalar that `Set` changes, until the end of the block."""

    name: str
    init: Value


@dataclass(frozen=True, slots=True)
class Set:
    """Give a `Local` a new value."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Store:
    """Write one element of a buffer or local array."""

    buffer: str
    index: tuple[Size, ...]
    value: Value


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Ask for the cache line of an element; never faults, changes no value."""

    buffer: str
    index: tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Alloc:
    """Declare a local array until the end of the block; its contents are undefined."""

    name: str
    dtype: DType
    shape: tuple[Size, ...]
    space: Space


@dataclass(frozen=True, slots=True)
class For:
    """Run the body for `var` in start, start + step, ... < stop.

    SERIAL, PARALLEL and UNROLL loops advance by `step`. A VECTOR loop means `for var in start..stop` one by one; `step`
    is the number of lanes. Inside it an `If` on a varying condition masks; inner loops have uniform bounds. So does a
    TURN loop, in which a VECTOR loop with as many lanes stores elements of another array and does nothing else.
    """

    var: str
    start: Size
    stop: Size
    body: tuple[Stmt, ...]
    step: int = 1
    tag: Tag = Tag.SERIAL


@dataclass(frozen=True, slots=True)
class If:
    """Run one of two blocks."""

    cond: Value
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()


@dataclass(frozen=True, slots=True)
class While:
    """Repeat the body while the condition holds; never inside a vector loop."""

    cond: Value
    body: tuple[Stmt, ...]


Stmt = Let | Local | Set | Store | Prefetch | Alloc | For | If | While


@dataclass(frozen=True, slots=True)
class Buffer:
    """A kernel's parameter: a dense row-major array of at least `shape` elements."""

    name: str
    dtype: DType
    shape: tuple[Size, ...]
    access: Access


@dataclass(frozen=True, slots=True)
class Kernel:
    """A loop nest over buffers and dims: pointers and int64 sizes in, nothing else.

    `comment` tells people which expressions it computes; it is no part of the kernel's identity.
    """

    name: str
    buffers: tuple[Buffer, ...]
    dims: tuple[str, ...]
    body: tuple[Stmt, ...]
    comment: tuple[str, ...] = field(default=(), compare=False)

    @property
    def tasks(self) -> Size:
        """Give the number of iterations of the parallel loop, 1 if there is none: what threads divide."""
        for stmt in self.body:
            if isinstance(stmt, For) and stmt.tag is Tag.PARALLEL:
                return (stmt.stop - stmt.start + stmt.step - 1) // stmt.step
        return 1
