"""Emission: a kernel of the loop IR as one function of LLVM IR, in text.

In: a kernel that `codegen.verify` accepts, and a machine row. Out: a module with the one function
`void NAME(ptr args, ptr dims, i64 lo, i64 hi, ptr scratch)`: a pointer per buffer, an int64 per dim, the range of tasks
(iterations of the parallel loop) to run, private scratch memory. The body of a vector loop is written once with vectors
for what varies from lane to lane; no vectoriser, fast-math flag, alias assumption or library call is involved.
It must not know expressions, programs or how the text is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codegen.access import Array, Scope, Slot, prefetch, row_major, store
from codegen.address import Lane, scalar
from codegen.evaluate import as_vector, evaluate
from codegen.ir import (
    Alloc,
    For,
    If,
    Index,
    Kernel,
    Let,
    Load,
    Local,
    Op,
    Prefetch,
    Set,
    Space,
    Stmt,
    Store,
    Tag,
    Value,
    While,
)  # fmt: skip
from codegen.machine import Machine
from codegen.scratch import scratch_offsets, statements, values
from codegen.signature import dtype_of
from codegen.turn import square
from codegen.weight import is_heavy
from codegen.writer import MEMORY, TYPES, Val, Writer, typed
from symgrad.dtypes import INT64
from symgrad.errors import CompileError
from symgrad.shape import Size, dim, product

PARAMETERS = "ptr %args, ptr %dims, i64 %lo, i64 %hi, ptr %scratch"
# Without `no-builtins` LLVM makes calls to memset and memcpy out of loops.
ATTRIBUTES = 'nounwind "no-builtins"'
Chunk = Callable[[Lane, str | None, Scope], None]  # writes iterations that run at once: which, those that take part
MOST_CHUNKS = 8  # of a vector loop that are written one by one


def emit(kernel: Kernel, machine: Machine) -> str:
    """Return the LLVM IR of a kernel for a machine row; equal kernels give equal text.

    Raises CompileError where the kernel uses a function that `codegen.vecmath` does not have.
    """
    return _Emitter(kernel, machine).module()


class _Emitter:
    """The statements of one kernel, written in order."""

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self.kernel, self.machine = kernel, machine
        self.out = Writer()
        self.offsets = scratch_offsets(kernel)
        steps = [s.step for s in statements(kernel.body) if isinstance(s, For) and s.tag is Tag.VECTOR]
        self.widest = max(steps, default=1)

    def module(self) -> str:
        scope = Scope(self.out, self.machine)
        for position, name in enumerate(self.kernel.dims):
            at = self.out.value(f"getelementptr i64, ptr %dims, i64 {position}")
            scope.indices.bound[name] = Val(self.out.value(f"load i64, ptr {at}, align 8", f"dim.{name}"))
        for position, buffer in enumerate(self.kernel.buffers):
            at = self.out.value(f"getelementptr ptr, ptr %args, i64 {position}")
            pointer = self.out.value(f"load ptr, ptr {at}, align 8", f"buf.{buffer.name}")
            scope.arrays[buffer.name] = Array(pointer, buffer.dtype, row_major(buffer.shape))
        self.block(self.kernel.body, scope)
        self.out.effect("ret void")
        text = self.out.function(self.kernel.name, PARAMETERS, ATTRIBUTES)
        return f'target triple = "{self.machine.triple}"\n\n{text}'

    def block(self, body: tuple[Stmt, ...], scope: Scope) -> None:
        for stmt in body:
            _STATEMENTS[type(stmt)](self, stmt, scope)

    def let(self, stmt: Let, scope: Scope) -> None:
        if isinstance(stmt.value, Index):  # stays a polynomial, so that strides are seen through the name
            scope.indices.fixed[stmt.name] = scope.indices.resolved(stmt.value.size)
            return
        value = evaluate(stmt.value, scope)
        scope.names[stmt.name] = value
        if dtype_of(stmt.value) is INT64:
            scope.indices.bound[stmt.name] = value

    def local(self, stmt: Local, scope: Scope) -> None:
        dtype = dtype_of(stmt.init)
        text = as_vector(evaluate(stmt.init, scope), dtype, scope)
        type_ = typed(TYPES[dtype], scope.lanes)
        slot = Slot(self.out.slot(type_, stmt.name), dtype, scope.lanes, scope.mask)
        self.out.effect(f"store {type_} {text}, ptr {slot.pointer}")
        scope.names[stmt.name] = slot

    def set(self, stmt: Set, scope: Scope) -> None:
        slot = scope.names[stmt.name]
        assert isinstance(slot, Slot)
        assert slot.lanes == scope.lanes, "the verifier refuses to set in a vector loop what is declared outside of it"
        text = as_vector(evaluate(stmt.value, scope), slot.dtype, scope)
        type_ = typed(TYPES[slot.dtype], slot.lanes)
        if scope.mask != slot.mask:  # inside a masked `if`: the other lanes keep theirs
            old = self.out.value(f"load {type_}, ptr {slot.pointer}")
            text = self.out.value(f"select <{slot.lanes} x i1> {scope.mask}, {type_} {text}, {type_} {old}")
        self.out.effect(f"store {type_} {text}, ptr {slot.pointer}")

    def store(self, stmt: Store, scope: Scope) -> None:
        store(scope.arrays[stmt.buffer], stmt.index, evaluate(stmt.value, scope), scope)

    def prefetch(self, stmt: Prefetch, scope: Scope) -> None:
        prefetch(scope.arrays[stmt.buffer], stmt.index, scope)

    def alloc(self, stmt: Alloc, scope: Scope) -> None:
        if stmt.space is Space.SCRATCH:
            offset = scalar(self.offsets[stmt.name], scope.indices, self.out)
            pointer = self.out.value(f"getelementptr i8, ptr %scratch, i64 {offset}", stmt.name)
            scope.arrays[stmt.name] = Array(pointer, stmt.dtype, row_major(stmt.shape))
            return
        # Rows are padded so that a vector that begins inside a row never reaches into the next one.
        last = stmt.shape[-1] if stmt.shape else 1
        assert isinstance(last, int)
        padded = -(-(last + self.widest - 1) // self.widest) * self.widest
        shape = (*stmt.shape[:-1], padded)
        pointer = self.out.slot(f"[{product(shape)} x {MEMORY[stmt.dtype]}]", stmt.name, align=64)
        strides = row_major(shape) if stmt.shape else ()
        scope.arrays[stmt.name] = Array(pointer, stmt.dtype, strides, in_registers=True)

    def loop(self, stmt: For, scope: Scope) -> None:
        _LOOPS[stmt.tag](self, stmt, scope)

    def serial(self, stmt: For, scope: Scope) -> None:
        start, stop = (self.index(end, scope) for end in (stmt.start, stmt.stop))
        self.counted(stmt.var, start, stop, stmt.step, scope, lambda inner: self.block(stmt.body, inner))

    def parallel(self, stmt: For, scope: Scope) -> None:
        """Run the tasks lo..hi; task t is the iteration start + t*step."""
        first, end = (self.task("%lo", stmt, scope), self.task("%hi", stmt, scope))
        self.counted(stmt.var, first, end, stmt.step, scope, lambda inner: self.block(stmt.body, inner))

    def task(self, number: str, stmt: For, scope: Scope) -> str:
        """Return the value of the parallel loop's variable in the task with this number."""
        distance = self.out.value(f"mul i64 {number}, {stmt.step}")
        return self.out.value(f"add i64 {distance}, {self.index(stmt.start, scope)}")

    def counted(self, var: str, start: str, stop: str, step: int, scope: Scope, body: Callable[[Scope], None]) -> None:
        """Write a loop whose body may bind `var` to a scalar."""
        out = self.out
        before, head, inside, latch, done = out.block, *(out.label(f"{var}.{part}") for part in _PARTS)
        with out.loop():
            following = out.reserve(f"{var}.next")
            out.jump(head)
            out.open(head)
            counter = out.phi("i64", var, (start, before), (following, latch))
            out.branch(out.value(f"icmp slt i64 {counter}, {stop}"), inside, done)
            out.open(inside)
            inner = scope.child()
            inner.indices.bound[var] = Val(counter)
            body(inner)
            out.jump(latch)
            out.open(latch)
            out.named(following, f"add nsw i64 {counter}, {step}")
            out.jump(head)
        out.open(done)

    def unrolled(self, stmt: For, scope: Scope) -> None:
        start, stop = (scope.indices.resolved(end) for end in (stmt.start, stmt.stop))
        if not (isinstance(start, int) and isinstance(stop, int)):
            raise CompileError(f"the bounds of the unrolled loop over {stmt.var} are not constant")
        for value in range(start, stop, stmt.step):
            inner = scope.child()
            inner.indices.fixed[stmt.var] = value
            self.block(stmt.body, inner)

    def vector(self, stmt: For, scope: Scope) -> None:
        """Write chunks of `step` lanes: heavy ones, or many that name no registers, in a loop, others one by one."""

        def chunk(lane: Lane, mask: str | None, inner: Scope) -> None:
            inner = inner.child()
            inner.indices.lane, inner.mask = lane, mask
            self.block(stmt.body, inner)

        def in_loop(chunks: int) -> bool:
            is_long = chunks > MOST_CHUNKS and not _names_registers(stmt.body, scope)
            return is_heavy(stmt.body, chunks) or is_long

        self.chunks(stmt, scope, in_loop, chunk)

    def turned(self, stmt: For, scope: Scope) -> None:
        """Write squares of `step` x `step`, the last of a row or column masked."""
        (inner,) = stmt.body
        assert isinstance(inner, For)
        (copied,) = inner.body
        assert isinstance(copied, Store)

        def squares(across: Lane, rows: str | None, scope: Scope) -> None:
            def write(along: Lane, columns: str | None, scope: Scope) -> None:
                square(copied, (across, rows), (along, columns), scope)

            self.chunks(inner, scope, lambda chunks: chunks > 2, write)

        self.chunks(stmt, scope, lambda chunks: chunks > 1, squares)

    def chunks(self, stmt: For, scope: Scope, in_loop: Callable[[int], bool], write: Chunk) -> None:
        """Cut a loop into chunks of `step` iterations, which a loop or separate instructions `write`."""
        start, stop = (scope.indices.resolved(end) for end in (stmt.start, stmt.stop))
        extent = stop - start
        if not isinstance(extent, int):
            return self.cut(stmt, scope, write)
        looped = 0
        if in_loop(extent // stmt.step):
            looped = extent - extent % stmt.step
            ends = self.index(start, scope), self.index(start + looped, scope)
            lane = Lane(stmt.var, stmt.step, dim(stmt.var))
            self.counted(stmt.var, *ends, stmt.step, scope, lambda inner: write(lane, None, inner))
        for first in range(looped, extent, stmt.step):
            left = min(stmt.step, extent - first)
            mask = None if left == stmt.step else _constant_mask(left, stmt.step)
            write(Lane(stmt.var, stmt.step, start + first), mask, scope)
        return None

    def cut(self, stmt: For, scope: Scope, write: Chunk) -> None:
        """Cut a loop whose length is not known before it runs: whole chunks in a loop, and a masked one."""
        out, width = self.out, stmt.step
        lane = Lane(stmt.var, width, dim(stmt.var))
        start, stop = (self.index(end, scope) for end in (stmt.start, stmt.stop))
        difference = out.value(f"sub i64 {stop}, {start}")
        count = out.value(f"call i64 @llvm.smax.i64(i64 {difference}, i64 0)")
        rest = out.value(f"urem i64 {count}, {width}")
        whole = out.value(f"sub i64 {count}, {rest}")
        middle = out.value(f"add i64 {start}, {whole}")
        self.counted(stmt.var, start, middle, width, scope, lambda inner: write(lane, None, inner))
        tail, done = out.label(f"{stmt.var}.tail"), out.label(f"{stmt.var}.done")
        out.branch(out.value(f"icmp ne i64 {rest}, 0"), tail, done)
        out.open(tail)
        narrow = out.splat(Val(out.value(f"trunc i64 {rest} to i32")), "i32", width)
        numbers = ", ".join(f"i32 {lane}" for lane in range(width))
        mask = out.value(f"icmp ult <{width} x i32> <{numbers}>, {narrow}", "mask")
        inner = scope.child()
        inner.indices.bound[stmt.var] = Val(middle)
        write(lane, mask, inner)
        out.jump(done)
        out.open(done)

    def branch(self, stmt: If, scope: Scope) -> None:
        cond = evaluate(stmt.cond, scope)
        if cond.lanes:
            return self.masked(stmt, cond, scope)
        out = self.out
        then, otherwise, done = (out.label(part) for part in ("then", "else", "endif"))
        out.branch(cond.text, then, otherwise)
        for label, body in ((then, stmt.body), (otherwise, stmt.orelse)):
            out.open(label)
            self.block(body, scope.child())
            out.jump(done)
        out.open(done)

    def masked(self, stmt: If, cond: Val, scope: Scope) -> None:
        """Run both blocks, each for the lanes it is for."""
        bits = f"<{cond.lanes} x i1>"
        opposite = self.out.value(f"xor {bits} {cond.text}, splat (i1 true)") if stmt.orelse else ""
        for mask, body in ((cond.text, stmt.body), (opposite, stmt.orelse)):
            if not body:
                continue
            if scope.mask is not None:
                mask = self.out.value(f"select {bits} {scope.mask}, {bits} {mask}, {bits} zeroinitializer", "mask")
            inner = scope.child()
            inner.mask = mask
            self.guarded(body, inner)

    def guarded(self, body: tuple[Stmt, ...], scope: Scope) -> None:
        """Write a masked block; one that reads memory is jumped over where no lane wants it.

        A scalar load inside has no lane to be masked by: at least one must take part, as in the unmasked program.
        """
        if not any(map(_read, statements(body))):
            return self.block(body, scope)
        out, lanes = self.out, scope.lanes
        some, done = out.label("some"), out.label("none")
        anyone = out.value(f"call i1 @llvm.vector.reduce.or.v{lanes}i1(<{lanes} x i1> {scope.mask})")
        out.branch(anyone, some, done)
        out.open(some)
        self.block(body, scope)
        out.jump(done)
        out.open(done)

    def repeat(self, stmt: While, scope: Scope) -> None:
        out = self.out
        head, inside, done = (out.label(part) for part in ("while", "do", "od"))
        with out.loop():
            out.jump(head)
            out.open(head)
            inner = scope.child()
            cond = evaluate(stmt.cond, inner)
            if cond.lanes:
                raise CompileError("a while loop stands in a vector loop")
            out.branch(cond.text, inside, done)
            out.open(inside)
            self.block(stmt.body, inner)
            out.jump(head)
        out.open(done)

    def index(self, size: Size, scope: Scope) -> str:
        """Return a loop bound as an i64; it must be the same in all lanes."""
        resolved = scope.indices.resolved(size)
        if not isinstance(resolved, int) and not resolved.names.isdisjoint(scope.indices.varying()):
            raise CompileError(f"the loop bound {size} differs from lane to lane")
        return scalar(resolved, scope.indices, self.out)


_PARTS = ("head", "body", "latch", "exit")

_STATEMENTS: dict[type, Callable[[_Emitter, Any, Scope], None]] = {
    Let: _Emitter.let,
    Local: _Emitter.local,
    Set: _Emitter.set,
    Store: _Emitter.store,
    Prefetch: _Emitter.prefetch,
    Alloc: _Emitter.alloc,
    For: _Emitter.loop,
    If: _Emitter.branch,
    While: _Emitter.repeat,
}

_LOOPS: dict[Tag, Callable[[_Emitter, For, Scope], None]] = {
    Tag.SERIAL: _Emitter.serial,
    Tag.PARALLEL: _Emitter.parallel,
    Tag.UNROLL: _Emitter.unrolled,
    Tag.VECTOR: _Emitter.vector,
    Tag.TURN: _Emitter.turned,
}


def _constant_mask(count: int, width: int) -> str:
    return "<" + ", ".join(f"i1 {'true' if lane < count else 'false'}" for lane in range(width)) + ">"


def _names_registers(body: tuple[Stmt, ...], scope: Scope) -> bool:
    """Tell whether a block reads or writes arrays that are registers: their indices must be known."""
    held = {name for name, array in scope.arrays.items() if array.in_registers}
    if not held:
        return False
    stored = {stmt.buffer for stmt in statements(body) if isinstance(stmt, Store)}
    return not held.isdisjoint(stored.union(*map(_read, statements(body))))


def _read(stmt: Stmt) -> set[str]:
    """Name the arrays that a statement itself reads; the statements inside it are others."""
    return set[str]().union(*map(_loaded, values(stmt)))


def _loaded(value: Value) -> set[str]:
    found: set[str] = set()
    seen: set[int] = set()
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, Load):
            found.add(node.buffer)
        if isinstance(node, Op) and id(node) not in seen:
            seen.add(id(node))
            stack.extend(node.args)
    return found
