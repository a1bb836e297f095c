"""Weave: kernels that walk the same rows as one kernel.

In: steps with the loops that they share, and which of their tensors nothing else reads. Out: one kernel: the shared
loops, inside them the steps' own blocks one after the other. A tensor that nothing else reads becomes one row of it, in
registers where it is short, else in scratch memory. It must not know why the steps are joined.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from codegen.ir import Access, Alloc, Buffer, For, Kernel, Space, Stmt, Tag
from codegen.operand import Operand
from codegen.rename import bound_names, renamed
from codegen.scratch import statements
from codegen.step import Step
from codegen.text import print_kernel
from codegen.weight import accesses
from symgrad.shape import Size, names, product

MOST_HELD = 64  # elements of a row that registers hold
Strand = tuple[Step, tuple[For, ...]]  # a step and the loops that hold its block, from the outermost on


def weave(strands: Sequence[Strand], depth: int, local: Collection[Operand]) -> tuple[Kernel, tuple[Operand, ...]]:
    """Make one kernel of steps that share the first `depth` loops; `local` tensors are read by none but them."""
    return _Weaver(strands, depth, local).kernel()


def _addressed_by_constants(body: tuple[Stmt, ...]) -> set[str]:
    """Give the arrays whose elements are all known when code is written: registers can hold them."""
    loops = [s for s in statements(body) if isinstance(s, For) and s.tag in (Tag.VECTOR, Tag.UNROLL)]
    constant = {s.var for s in loops if isinstance(s.start, int) and isinstance(s.stop, int)}
    touched = list(accesses(body))
    moving = {array for array, index in touched if any(not names(i) <= constant for i in index)}
    return {array for array, _ in touched} - moving


def _is_short(row: Alloc) -> bool:
    size = product(row.shape)
    return isinstance(size, int) and size <= MOST_HELD


@dataclass(slots=True)
class _Weaver:
    """One kernel in the making: the parts' inner blocks, one after the other, inside the loops they share."""

    strands: Sequence[Strand]
    depth: int
    local: Collection[Operand]
    variables: list[str] = field(init=False)
    serial: Iterator[int] = field(init=False)
    buffers: dict[tuple[int, Access, tuple[Size, ...]], tuple[Buffer, Operand]] = field(default_factory=dict)
    rows: dict[Operand, Alloc] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.variables = [f"i{k}" for k in range(self.depth)]
        self.serial = itertools.count(self.depth)

    def kernel(self) -> tuple[Kernel, tuple[Operand, ...]]:
        """Put everything together."""
        woven = tuple(stmt for step, loops in self.strands for stmt in self.block(step, loops))
        short = _addressed_by_constants(woven)
        body: list[Stmt] = [
            replace(row, space=Space.REGISTER) if _is_short(row) and row.name in short else row
            for row in self.rows.values()
        ]  # fmt: skip
        body += woven
        tags = [Tag.PARALLEL, *(Tag.SERIAL for _ in self.variables[1:])]
        _, loops = self.strands[0]
        for k in reversed(range(len(self.variables))):
            body = [For(self.variables[k], 0, loops[k].stop, tuple(body), 1, tags[k])]
        buffers, operands = zip(*self.buffers.values(), strict=True)
        dims = {d for step, _ in self.strands for d in step.kernel.dims}
        kernel = Kernel("rows", buffers, tuple(sorted(dims)), tuple(body))
        digest = hashlib.blake2b(print_kernel(kernel).encode(), digest_size=6).hexdigest()
        return replace(kernel, name=f"rows_{digest}"), operands

    def block(self, step: Step, loops: Sequence[For]) -> tuple[Stmt, ...]:
        """Give the block inside the shared loops, in names of its own."""
        block = loops[self.depth - 1].body
        table = {loop.var: self.variables[k] for k, loop in enumerate(loops[: self.depth])}
        for name in bound_names(block):
            if name not in table:
                table[name] = self.fresh(name.rstrip("0123456789"))
        fewer: dict[str, int] = {}
        for operand, buffer in zip(step.operands, step.kernel.buffers, strict=True):
            if operand in self.local:
                table[buffer.name] = self.row(operand, buffer).name
                fewer[buffer.name] = self.depth
            else:
                table[buffer.name] = self.buffer(operand, buffer).name
        return renamed(block, table, fewer)

    def fresh(self, prefix: str) -> str:
        return f"{prefix}{next(self.serial)}"

    def row(self, operand: Operand, buffer: Buffer) -> Alloc:
        """Give the scratch memory for a row of what nothing else reads."""
        if operand not in self.rows:
            shape = buffer.shape[self.depth :]
            self.rows[operand] = Alloc(self.fresh("row"), buffer.dtype, shape, Space.SCRATCH)
        return self.rows[operand]

    def buffer(self, operand: Operand, buffer: Buffer) -> Buffer:
        key = id(operand), buffer.access, buffer.shape
        if key not in self.buffers:
            self.buffers[key] = replace(buffer, name=f"b{len(self.buffers)}"), operand
        return self.buffers[key][0]
