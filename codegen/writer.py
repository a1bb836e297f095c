"""LLVM IR as text: types, literals and the basic blocks of one function.

In: pieces of instructions. Out: a module. What a loop repeats for nothing is written before the loop, once: LLVM need
not find it there, which takes it longer than all the rest. It must not know the loop IR: what a loop or a load becomes
is decided in `address.py`, `arith.py` and `emit.py`; here are only names that never clash and blocks that always end.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from symgrad.dtypes import DType
from symgrad.errors import CompileError

TYPES: dict[DType, str] = {
    DType.BOOL: "i1", DType.INT8: "i8", DType.INT16: "i16", DType.INT32: "i32", DType.INT64: "i64",
    DType.UINT8: "i8", DType.UINT16: "i16", DType.UINT32: "i32", DType.UINT64: "i64",
    DType.FLOAT32: "float", DType.FLOAT64: "double",
}  # fmt: skip
MEMORY: dict[DType, str] = TYPES | {DType.BOOL: "i8"}
_MANGLED = {"float": "f32", "double": "f64"}


@dataclass(frozen=True, slots=True)
class Val:
    """An LLVM value: a name or literal; `lanes` is 0 for a scalar, which is the same in all iterations."""

    text: str
    lanes: int = 0


def typed(element: str, lanes: int) -> str:
    """Return an LLVM type: the element type, or a vector of it."""
    return f"<{lanes} x {element}>" if lanes else element


def mangled(element: str, lanes: int) -> str:
    """Return how an intrinsic's name spells a type: f32, v16f32, v8i64."""
    name = _MANGLED.get(element, element)
    return f"v{lanes}{name}" if lanes else name


def literal(value: bool | int | float, dtype: DType) -> str:
    """Return a constant as LLVM spells it; floats by their bits, rounded to the dtype first, ints wrapped to it.

    >>> literal(1.5, DType.FLOAT32), literal(-1, DType.UINT8), literal(True, DType.BOOL)
    ('0x3FF8000000000000', '255', 'true')
    """
    if dtype is DType.BOOL:
        return "true" if value else "false"
    if not dtype.is_float:
        return str(int(value) & ((1 << 8 * dtype.size) - 1)) if dtype.kind == "u" else str(int(value))
    number = float(value)
    if dtype is DType.FLOAT32:
        number = rounded(number)
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def rounded(number: float) -> float:
    """Return the float32 nearest to a number; too large a number becomes infinite."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


# What neither reads memory nor can trap, and so may be computed though nobody comes to ask for it.
_PURE = re.compile(
    r"getelementptr |insertelement |shufflevector |select |freeze |bitcast |[fi]cmp |f?(add|sub|mul|neg) |fdiv |"
    r"(and|or|xor|shl|lshr|ashr|trunc|zext|sext|fptrunc|fpext|[su]itofp|fpto[su]i) |"
    r"call (<\d+ x )?\w+>? @llvm\.(fma|sqrt|floor|ceil|trunc|roundeven|copysign|f?abs|[su]min|[su]max|vector|expect)\."
)
_NAMES = re.compile(r"%[\w.]+")


@dataclass(slots=True)
class _Loop:
    """A loop that is being written: the lines before it, and the values that are computed there."""

    before: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)  # instruction -> name


class Writer:
    """The text of one function: instructions go to the block that was opened last, allocas to the entry.

    An instruction that can is written before the outermost loop in which all its operands are the same.
    """

    def __init__(self) -> None:
        self._entry: list[str] = []
        self._lines: list[str | list[str]] = []
        self._loops: list[_Loop] = []
        self._depths: dict[str, int] = {}  # in how many loops a value is computed; none for parameters and slots
        self._count = itertools.count()
        self.block = "entry"

    @contextmanager
    def loop(self) -> Iterator[None]:
        """Take what is written inside for a loop; the block before must still be open."""
        inner = _Loop()
        self._lines.append(inner.before)
        self._loops.append(inner)
        yield
        self._loops.pop()

    def depth(self, text: str) -> int:
        """Return in how many of the loops around a value differs; none for a constant."""
        return self._depths.get(text, 0)

    def value(self, instruction: str, stem: str = "t") -> str:
        """Write an instruction that gives a value and return the value's name."""
        if self._loops and _PURE.match(instruction):
            depth = max(map(self.depth, _NAMES.findall(instruction)), default=0)
            if depth < len(self._loops):
                return self._before(self._loops[depth], depth, instruction, stem)
        name = self.reserve(stem)
        self.named(name, instruction)
        return name

    def _before(self, loop: _Loop, depth: int, instruction: str, stem: str) -> str:
        """Write an instruction before a loop, unless it is there already."""
        name = loop.known.get(instruction)
        if name is None:
            name = loop.known[instruction] = self.reserve(stem)
            self._depths[name] = depth
            loop.before.append(f"  {name} = {instruction}")
        return name

    def effect(self, instruction: str) -> None:
        """Write an instruction without a value."""
        self._lines.append(f"  {instruction}")

    def slot(self, type_: str, stem: str, align: int = 0) -> str:
        """Reserve stack space of a type for the whole function and return its address."""
        name = self.reserve(stem)
        self._depths[name] = 0
        self._entry.append(f"  {name} = alloca {type_}" + (f", align {align}" if align else ""))
        return name

    def label(self, stem: str) -> str:
        """Return a new label."""
        return f"{_plain(stem)}.{next(self._count)}"

    def phi(self, type_: str, stem: str, *incoming: tuple[str, str]) -> str:
        """Write a value that depends on the block from which this one was reached: pairs of a value and a label."""
        return self.value(f"phi {type_} " + ", ".join(f"[ {text}, %{label} ]" for text, label in incoming), stem)

    def reserve(self, stem: str) -> str:
        """Return a name for a value that `named` writes later."""
        name = f"%{_plain(stem)}.{next(self._count)}"
        self._depths[name] = len(self._loops)
        return name

    def named(self, name: str, instruction: str) -> None:
        """Write an instruction whose value has a reserved name."""
        self._lines.append(f"  {name} = {instruction}")

    def open(self, label: str) -> None:
        """Start a block; the one before must have ended."""
        self._lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """End the block by going to another."""
        self._lines.append(f"  br label %{label}")

    def branch(self, condition: str, then: str, otherwise: str) -> None:
        """End the block by going to one of two."""
        self._lines.append(f"  br i1 {condition}, label %{then}, label %{otherwise}")

    def splat(self, value: Val, element: str, lanes: int) -> str:
        """Return a value in all lanes; a vector stays what it is."""
        if not lanes or value.lanes == lanes:
            return value.text
        if value.lanes:
            raise CompileError(f"a vector of {value.lanes} lanes meets one of {lanes}")
        if not value.text.startswith("%"):
            return f"splat ({element} {value.text})"
        type_ = typed(element, lanes)
        first = self.value(f"insertelement {type_} poison, {element} {value.text}, i64 0")
        return self.value(f"shufflevector {type_} {first}, {type_} poison, <{lanes} x i32> zeroinitializer", "splat")

    def function(self, name: str, parameters: str, attributes: str) -> str:
        """Return the function; its last block must have ended."""
        lines = (part if isinstance(part, list) else [part] for part in self._lines)
        body = ["entry:", *self._entry, *itertools.chain.from_iterable(lines)]
        return f"define void @{name}({parameters}) {attributes} {{\n" + "\n".join(body) + "\n}\n"


def _plain(stem: str) -> str:
    """Return a stem in LLVM's alphabet; only the number after it makes a name unique."""
    return stem if stem.isascii() else "".join(c if c.isascii() else "_" for c in stem)
