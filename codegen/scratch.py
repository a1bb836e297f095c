"""Scratch memory of a kernel: how much of it each thread needs, and where in it each local array lies.

In: a kernel. Out: sizes and offsets in bytes, as polynomials of its dims; every array starts at a cache line.
It must not know who provides the memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from codegen.ir import Alloc, For, If, Kernel, Let, Local, Set, Space, Stmt, Store, Value, While
from symgrad.shape import Size, product

LINE = 64  # bytes: a cache line, and the widest vector


def blocks(stmt: Stmt) -> tuple[tuple[Stmt, ...], ...]:
    """Return the blocks of statements inside a statement."""
    match stmt:
        case For(body=body) | While(body=body):
            return (body,)
        case If(body=body, orelse=orelse):
            return (body, orelse)
    return ()


def values(stmt: Stmt) -> tuple[Value, ...]:
    """Return the values that a statement itself computes; those of the statements inside it are others."""
    match stmt:
        case Let(value=value) | Local(init=value) | Set(value=value) | Store(value=value):
            return (value,)
        case If(cond=value) | While(cond=value):
            return (value,)
    return ()


def statements(body: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Walk all statements of a block, outer before inner, in the order of the text."""
    for stmt in body:
        yield stmt
        for block in blocks(stmt):
            yield from statements(block)


def scratch_offsets(kernel: Kernel) -> dict[str, Size]:
    """Return the offset in bytes of each scratch array, by name."""
    return _layout(kernel)[0]


def scratch_bytes(kernel: Kernel) -> Size:
    """Return how many bytes of scratch memory one thread of the kernel needs."""
    return _layout(kernel)[1]


def _layout(kernel: Kernel) -> tuple[dict[str, Size], Size]:
    offsets: dict[str, Size] = {}
    total: Size = 0
    for stmt in statements(kernel.body):
        if isinstance(stmt, Alloc) and stmt.space is Space.SCRATCH and stmt.name not in offsets:
            offsets[stmt.name] = total
            total = total + (product(stmt.shape) * stmt.dtype.size + LINE - 1) // LINE * LINE
    return offsets, total
