"""Printing of kernels: one statement a line, the same text for equal kernels.

In: a kernel that `codegen.verify` accepts. Out: text in the notation of `codegen.notation`, which `codegen.parse` reads
back. It must not know machines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from codegen.ir import (
    Alloc,
    Const,
    For,
    If,
    Index,
    Kernel,
    Let,
    Load,
    Local,
    Name,
    Op,
    Prefetch,
    Set,
    Stmt,
    Store,
    Tag,
    Value,
    While,
)  # fmt: skip
from codegen.notation import COMPARISON, INDENT, INFIX, SUFFIXES
from codegen.signature import dtype_of, result_dtype
from symgrad.dtypes import DType
from symgrad.shape import Size

_ATOM = 9  # binds tighter than every operator


def print_kernel(kernel: Kernel) -> str:
    """Return the text of a kernel.

    >>> from codegen.ir import Access, Buffer
    >>> from symgrad.dtypes import FLOAT32
    >>> from symgrad.shape import dim
    >>> N, i = dim("N"), dim("i")
    >>> copy = Store("y", (i,), Load("x", (i,), FLOAT32))
    >>> x, y = Buffer("x", FLOAT32, (N,), Access.IN), Buffer("y", FLOAT32, (N,), Access.OUT)
    >>> print(print_kernel(Kernel("copy", (x, y), ("N",), (For("i", 0, N, (copy,), 16, Tag.VECTOR),))), end="")
    kernel copy(x: in float32[N], y: out float32[N]; N):
      for i in 0..N vector(16):
        y[i] = x[i]
    """
    buffers = ", ".join(f"{b.name}: {b.access} {b.dtype}{_brackets(b.shape)}" for b in kernel.buffers)
    dims = f"; {', '.join(kernel.dims)}" if kernel.dims else ""
    lines = [f"# {line}".rstrip() for line in kernel.comment]
    lines.append(f"kernel {kernel.name}({buffers}{dims}):")
    lines.extend(_block(kernel.body, 1))
    return "\n".join(lines) + "\n"


def print_statement(stmt: Stmt) -> str:
    """Return the first line of a statement: the whole of it where it has no block.

    >>> print_statement(Let("x", Const(1.5, DType.FLOAT32)))
    'let x = 1.5f32'
    """
    match stmt:
        case Let(name, value):
            return f"let {name} = {print_value(value)}"
        case Local(name, value):
            return f"local {name} = {print_value(value)}"
        case Set(name, value):
            return f"{name} = {print_value(value)}"
        case Store(buffer, index, value):
            return f"{buffer}{_brackets(index)} = {print_value(value)}"
        case Prefetch(buffer, index):
            return f"prefetch {buffer}{_brackets(index)}"
        case Alloc(name, dtype, shape, space):
            return f"alloc {name}: {dtype}{_brackets(shape)} {space}"
        case For():
            return _loop(stmt)
        case If(cond=cond):
            return f"if {print_value(cond)}:"
        case While(cond=cond):
            return f"while {print_value(cond)}:"


def print_value(value: Value) -> str:
    """Return the text of a value; operands that are shared are written wherever they stand.

    >>> x = Name("x", DType.FLOAT32)
    >>> print_value(Op("mul", (Op("add", (x, x), DType.FLOAT32), x), DType.FLOAT32))
    '(x + x) * x'
    """
    return _value(value)[0]


def _block(body: Sequence[Stmt], depth: int) -> Iterator[str]:
    margin = INDENT * depth
    if not body:
        yield f"{margin}pass"
    for stmt in body:
        yield margin + print_statement(stmt)
        if isinstance(stmt, (For, If, While)):
            yield from _block(stmt.body, depth + 1)
        if isinstance(stmt, If) and stmt.orelse:
            yield f"{margin}else:"
            yield from _block(stmt.orelse, depth + 1)


def _loop(stmt: For) -> str:
    head = f"for {stmt.var} in {stmt.start}..{stmt.stop}"
    if stmt.tag.is_wide:
        return f"{head} {stmt.tag}({stmt.step}):"
    step = f" by {stmt.step}" if stmt.step != 1 else ""
    tag = f" {stmt.tag}" if stmt.tag is not Tag.SERIAL else ""
    return f"{head}{step}{tag}:"


def _brackets(sizes: Sequence[Size]) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def _value(value: Value) -> tuple[str, int]:
    """Return the text and how tightly it binds."""
    match value:
        case Const(number, dtype):
            return _constant(number, dtype), _ATOM
        case Name(name):
            return name, _ATOM
        case Index(size):
            return f"index({size})", _ATOM
        case Load(buffer, index):
            return f"{buffer}{_brackets(index)}", _ATOM
        case Op():
            return _operation(value)


def _operation(op: Op) -> tuple[str, int]:
    parts = [_value(argument) for argument in op.args]
    follows = op.dtype == result_dtype(op.name, [dtype_of(argument) for argument in op.args])
    if not follows or op.name not in INFIX or len(parts) != 2:
        stated = "" if follows else f"<{op.dtype}>"
        return f"{op.name}{stated}({', '.join(text for text, _ in parts)})", _ATOM
    symbol, level = INFIX[op.name]
    (left, left_level), (right, right_level) = parts
    if left_level < level or (left_level == level == COMPARISON):
        left = f"({left})"
    if right_level <= level:
        right = f"({right})"
    return f"{left} {symbol} {right}", level


def _constant(number: bool | int | float, dtype: DType) -> str:
    if dtype is DType.BOOL:
        return "true" if number else "false"
    if not dtype.is_float:
        return f"{int(number)}{SUFFIXES[dtype]}"
    number = float(number)
    return f"{number!r}{SUFFIXES[dtype]}" if math.isfinite(number) else f"{SUFFIXES[dtype]}({number})"
