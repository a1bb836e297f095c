"""The verifier: what a well-formed kernel is.

In: a kernel. Out: nothing, or a CompileError that names the statement and what is wrong with it. What passes here can
be printed, read back and emitted. Whether two iterations of a parallel or vector loop depend on each other is not
decided here, only what can be seen statement by statement. It must not know machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from codegen.ir import (
    Access,
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
    Space,
    Stmt,
    Store,
    Tag,
    Value,
    While,
)  # fmt: skip
from codegen.notation import RESERVED
from codegen.signature import dtype_of, misuse
from codegen.text import print_statement
from symgrad.dtypes import BOOL, INT64, DType
from symgrad.errors import CompileError
from symgrad.shape import Size, bounds, coefficient, names, substitute


def verify(kernel: Kernel) -> None:
    """Check a kernel.

    Raises CompileError for the first statement that is wrong.
    """
    _Verifier(kernel).run()


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A name in scope: what kind of thing it is, its dtype, whether it differs from lane to lane."""

    kind: str  # dim, serial, unrolled, lane, let, local, buffer, array
    dtype: DType = INT64
    varying: bool = False
    shape: tuple[Size, ...] = ()
    space: Space | None = None
    access: Access | None = None
    lane: str = ""  # of a local: the variable of the vector loop in which it was declared


@dataclass(slots=True)
class _Scope:
    """The names in scope, the vector loop around, the values of names for checks of constants and ranges."""

    meanings: dict[str, _Meaning] = field(default_factory=dict)
    vector: For | None = None
    pinned: dict[str, Size] = field(default_factory=dict)  # a first value of each unrolled and vector variable
    ranges: dict[str, tuple[Size, Size]] = field(default_factory=dict)
    idle: bool = False  # inside a loop that never runs, where no index is out of range

    def child(self) -> _Scope:
        return replace(self, meanings=dict(self.meanings), pinned=dict(self.pinned), ranges=dict(self.ranges))


_INDEX_KINDS = frozenset(("dim", "serial", "unrolled", "lane", "let"))
_ARRAY_KINDS = frozenset(("buffer", "array"))


class _Verifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.stmt: Stmt | None = None
        self.scratch: set[str] = set()

    def fail(self, what: str) -> NoReturn:
        got = print_statement(self.stmt) if self.stmt is not None else ""
        raise CompileError(what, got=got, where=f"kernel {self.kernel.name}")

    def run(self) -> None:
        scope = _Scope()
        self.identifier(self.kernel.name)
        for name in self.kernel.dims:
            self.declare(name, _Meaning("dim"), scope)
        for buffer in self.kernel.buffers:
            meaning = _Meaning("buffer", buffer.dtype, shape=buffer.shape, access=buffer.access)
            self.declare(buffer.name, meaning, scope)
            self.only_dims(buffer.shape, f"the shape of {buffer.name}")
        self.top_level()
        self.block(self.kernel.body, scope, top=True)

    def top_level(self) -> None:
        """Check that beside a parallel loop there is only what every thread may do for itself."""
        loops = [stmt for stmt in self.kernel.body if isinstance(stmt, For) and stmt.tag is Tag.PARALLEL]
        if len(loops) > 1:
            self.stmt = loops[1]
            self.fail("a kernel has at most one parallel loop")
        for stmt in self.kernel.body:
            if loops and not (stmt is loops[0] or isinstance(stmt, (Let, Local, Alloc))):
                self.stmt = stmt
                self.fail("every thread would run this statement beside the parallel loop")

    def block(self, body: Iterable[Stmt], scope: _Scope, *, top: bool = False) -> None:
        for stmt in body:
            self.stmt = stmt
            if isinstance(stmt, For) and stmt.tag is Tag.PARALLEL and not top:
                self.fail("a parallel loop is the outermost")
            self.statement(stmt, scope)

    def statement(self, stmt: Stmt, scope: _Scope) -> None:
        match stmt:
            case Let(name, value):
                self.value(value, scope)
                self.declare(name, _Meaning("let", dtype_of(value), self.varying(value, scope)), scope)
            case Local(name, init):
                self.value(init, scope)
                lane = scope.vector.var if scope.vector else ""
                self.declare(name, _Meaning("local", dtype_of(init), bool(lane), lane=lane), scope)
            case Set():
                self.set(stmt, scope)
            case Store(buffer, index, value):
                self.value(value, scope)
                self.store(stmt, self.access(buffer, index, scope), scope)
            case Prefetch(buffer, index):
                self.access(buffer, index, scope, ranged=False)
                self.even(index, scope)
            case Alloc():
                self.alloc(stmt, scope)
            case For():
                self.loop(stmt, scope)
            case If(cond, body, orelse):
                self.condition(cond, scope)
                self.block(body, scope.child())
                self.block(orelse, scope.child())
            case While(cond, body):
                self.condition(cond, scope)
                if scope.vector:
                    self.fail("a while loop stands in a vector loop")
                self.block(body, scope.child())

    def identifier(self, name: str) -> None:
        if not name.isidentifier() or not name.isascii():
            self.fail(f"{name!r} is no name")

    def declare(self, name: str, meaning: _Meaning, scope: _Scope) -> None:
        if not name.isidentifier():
            self.fail(f"{name!r} is no name")
        if name in RESERVED and meaning.kind not in ("dim", "serial", "unrolled", "lane"):
            self.fail(f"{name} is a word of the notation")
        if name in scope.meanings:
            self.fail(f"{name} is already a {scope.meanings[name].kind}")
        scope.meanings[name] = meaning

    def only_dims(self, sizes: Iterable[Size], what: str) -> None:
        for size in sizes:
            unknown = names(size) - set(self.kernel.dims)
            if unknown:
                self.fail(f"{what} uses {min(unknown)}, which is no dim of the kernel")

    def set(self, stmt: Set, scope: _Scope) -> None:
        self.value(stmt.value, scope)
        meaning = scope.meanings.get(stmt.name)
        if meaning is None or meaning.kind != "local":
            self.fail(f"{stmt.name} is no local in scope")
        if meaning.dtype != dtype_of(stmt.value):
            self.fail(f"{stmt.name} is {meaning.dtype}, the value {dtype_of(stmt.value)}")
        if meaning.lane != (scope.vector.var if scope.vector else ""):
            self.fail(f"{stmt.name} is declared outside the vector loop: its iterations would depend on each other")

    def store(self, stmt: Store, meaning: _Meaning, scope: _Scope) -> None:
        if meaning.access is Access.IN:
            self.fail(f"{stmt.buffer} is only read")
        if meaning.dtype != dtype_of(stmt.value):
            self.fail(f"{stmt.buffer} is {meaning.dtype}, the value {dtype_of(stmt.value)}")
        if scope.vector and not any(self.size_varies(size, scope) for size in stmt.index):
            self.fail(f"all lanes of the loop over {scope.vector.var} store to one element")

    def even(self, index: Sequence[Size], scope: _Scope) -> None:
        """Check that an index moves evenly from lane to lane."""
        lane = scope.vector.var if scope.vector else ""
        for position in index:
            others = {name for name in names(position) if scope.meanings[name].varying} - {lane}
            if others or coefficient(position, lane) is None:
                self.fail(f"index {position} does not move evenly from lane to lane")

    def alloc(self, stmt: Alloc, scope: _Scope) -> None:
        if scope.vector:
            self.fail("a local array is declared in a vector loop")
        if stmt.space is Space.REGISTER and not all(isinstance(size, int) for size in stmt.shape):
            self.fail("the shape of a register array is not constant")
        if stmt.space is Space.SCRATCH:
            self.only_dims(stmt.shape, f"the shape of {stmt.name}")
            if stmt.name in self.scratch:
                self.fail(f"another scratch array is called {stmt.name}")
            self.scratch.add(stmt.name)
        self.declare(stmt.name, _Meaning("array", stmt.dtype, shape=stmt.shape, space=stmt.space), scope)

    def loop(self, stmt: For, scope: _Scope) -> None:
        if stmt.step < 1:
            self.fail(f"a step of {stmt.step}")
        for end in (stmt.start, stmt.stop):
            self.index_names(end, scope)
            if self.size_varies(end, scope):
                self.fail(f"the bound {end} differs from lane to lane")
        inner = scope.child()
        longest = bounds(stmt.stop - stmt.start, scope.ranges)[1]
        inner.idle |= longest is not None and longest <= 0
        kind = "serial"
        if stmt.tag is Tag.UNROLL:
            kind = "unrolled"
            ends = [substitute(end, _unrolled(scope)) for end in (stmt.start, stmt.stop)]
            if not all(isinstance(end, int) for end in ends):
                self.fail("the bounds of an unrolled loop are not constant")
            inner.pinned[stmt.var] = ends[0]
        if stmt.tag is Tag.VECTOR:
            kind = "lane"
            if scope.vector:
                self.fail("a vector loop stands in a vector loop")
            inner.vector = stmt
            if isinstance(stmt.stop - stmt.start, int):
                inner.pinned[stmt.var] = stmt.start
        if stmt.tag is Tag.TURN:
            self.turned(stmt, scope)
        if names(stmt.start).isdisjoint(scope.pinned) and names(stmt.stop).isdisjoint(scope.pinned):
            inner.ranges[stmt.var] = (stmt.start, stmt.stop - 1)
        self.declare(stmt.var, _Meaning(kind, varying=kind == "lane"), inner)
        self.block(stmt.body, inner)

    def turned(self, stmt: For, scope: _Scope) -> None:
        """Check that a loop only copies squares from one array to another."""
        if scope.vector:
            self.fail("squares are turned in a vector loop")
        match stmt.body:
            case (For(body=(Store(value=Load() as load) as store,)) as inner,):
                if inner.tag is not Tag.VECTOR or inner.step != stmt.step:
                    self.fail(f"no vector loop with {stmt.step} lanes stands in a loop that turns squares")
                if stmt.var in names(inner.start) | names(inner.stop):
                    self.fail(f"what is turned is no square: the inner loop depends on {stmt.var}")
                if store.buffer == load.buffer:
                    self.fail(f"{store.buffer} is turned in place")
            case _:
                self.fail("a loop that turns squares does more than copy")

    def condition(self, cond: Value, scope: _Scope) -> None:
        self.value(cond, scope)
        if dtype_of(cond) is not BOOL:
            self.fail(f"the condition is {dtype_of(cond)}, not bool")

    def value(self, value: Value, scope: _Scope) -> None:
        """Check every node of a value once."""
        seen: set[int] = set()
        stack = [value]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            self.node(node, scope)
            if isinstance(node, Op):
                stack.extend(node.args)

    def node(self, node: Value, scope: _Scope) -> None:
        match node:
            case Const(number, dtype):
                self.constant(number, dtype)
            case Name(name, dtype):
                meaning = scope.meanings.get(name)
                if meaning is None or meaning.kind not in ("let", "local"):
                    self.fail(f"{name} is no value in scope")
                if meaning.dtype != dtype:
                    self.fail(f"{name} is {meaning.dtype}, not {dtype}")
            case Index(size):
                self.index_names(size, scope)
            case Load(buffer, index, dtype):
                meaning = self.access(buffer, index, scope)
                if meaning.dtype != dtype:
                    self.fail(f"{buffer} is {meaning.dtype}, not {dtype}")
            case Op(name, args):
                wrong = misuse(node) if args else f"{name} has no operands"
                if wrong:
                    self.fail(wrong)

    def constant(self, number: bool | int | float, dtype: DType) -> None:
        if dtype.is_float:
            return
        bits = 8 * dtype.size
        low, high = {"b": (0, 1), "u": (0, 2**bits - 1), "i": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)}[dtype.kind]
        if isinstance(number, float) or not low <= number <= high:
            self.fail(f"{number} is no {dtype}")

    def index_names(self, size: Size, scope: _Scope) -> None:
        for name in sorted(names(size)):
            meaning = scope.meanings.get(name)
            if meaning is None or meaning.kind not in _INDEX_KINDS or meaning.dtype is not INT64:
                self.fail(f"{name} is no index in scope")

    def access(self, name: str, index: Sequence[Size], scope: _Scope, *, ranged: bool = True) -> _Meaning:
        """Check an access to an array and return what the array is."""
        meaning = scope.meanings.get(name)
        if meaning is None or meaning.kind not in _ARRAY_KINDS:
            self.fail(f"{name} is no buffer in scope")
        if len(index) != len(meaning.shape):
            self.fail(f"{name} has {len(meaning.shape)} axes, not {len(index)}")
        for axis, (position, size) in enumerate(zip(index, meaning.shape, strict=True)):
            self.index_names(position, scope)
            if ranged and not scope.idle:
                self.in_range(name, axis, position, size, scope)
        if meaning.space is Space.REGISTER:
            self.in_registers(name, index, scope)
        return meaning

    def in_range(self, name: str, axis: int, position: Size, size: Size, scope: _Scope) -> None:
        """Refuse an index that is outside its axis in every iteration."""
        highest, room = bounds(position, scope.ranges)[1], bounds(size - 1 - position, scope.ranges)[1]
        if (highest is not None and highest < 0) or (room is not None and room < 0):
            self.fail(f"index {position} of {name} is outside axis {axis} of size {size}")

    def in_registers(self, name: str, index: Sequence[Size], scope: _Scope) -> None:
        """Check that an index of a register array is known when the kernel is compiled."""
        for axis, position in enumerate(index):
            if not isinstance(substitute(position, scope.pinned), int):
                self.fail(f"index {position} of the register array {name} is not constant")
            lane = scope.vector.var if scope.vector else ""
            if lane in names(position) and (axis != len(index) - 1 or coefficient(position, lane) != 1):
                self.fail(f"lanes are neighbours on the last axis of the register array {name}")

    def varying(self, value: Value, scope: _Scope) -> bool:
        """Tell whether a value differs from lane to lane."""
        seen: set[int] = set()
        stack = [value]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            match node:
                case Op():
                    stack.extend(node.args)
                case Name(name) if scope.meanings[name].varying:
                    return True
                case Index(size) if self.size_varies(size, scope):
                    return True
                case Load(_, index) if any(self.size_varies(position, scope) for position in index):
                    return True
        return False

    def size_varies(self, size: Size, scope: _Scope) -> bool:
        return any(scope.meanings[name].varying for name in names(size))


def _unrolled(scope: _Scope) -> dict[str, Size]:
    return {name: size for name, size in scope.pinned.items() if scope.meanings[name].kind == "unrolled"}
