"""Elements: the value of any node at any index, as the loop IR computes it inside one kernel.

In: a group, the homes of stored nodes, and the index of an element. Out: its `Value`; nodes stored elsewhere and given
tensors are loaded, the group's reduction is asked of the kernel's writer, everything else is computed on the spot: one
`Let` for each node, and for each shared part of its formula, so that kernels are linear in the size of the graph.
Iterative, so that the depth of a graph does not matter. It must not know loops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from codegen import philox
from codegen.group import Group
from codegen.ir import Access, Buffer, Const, Index, Kernel, Let, Load, Name, Op, Stmt, Store, Value
from codegen.operand import Operand
from codegen.reach import is_literal, is_memory, operand_sites, reshaped, squeezed_index, strip
from codegen.scalars import apply, cast, dtype_of
from codegen.text import print_kernel
from symgrad.dtypes import BOOL, INT64, DType
from symgrad.expr import Expr, literal
from symgrad.ops.row import row_of
from symgrad.ops.structure import Cast, Coordinate, Gather, Indices, Layout, Map, Random
from symgrad.shape import Shape, Size, dim, names, product, simplify_with, substitute

RootValue = Callable[[Indices], Value]


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A kernel and what its buffers are bound to, in order."""

    kernel: Kernel
    operands: tuple[Operand, ...]


@dataclass(slots=True, eq=False)
class Bindings:
    """The buffers of a kernel as they come into use; reading and writing one tensor are two buffers."""

    buffers: list[Buffer] = field(default_factory=list)
    operands: list[Operand] = field(default_factory=list)
    known: dict[tuple[int, Access, Shape], str] = field(default_factory=dict)
    serial: int = 0

    def buffer(self, operand: Operand, access: Access, shape: Shape, dtype: DType) -> str:
        """Give the name of the buffer bound to an operand, declaring it at its first use."""
        key = (id(operand), access, shape)
        if key not in self.known:
            self.known[key] = f"b{len(self.buffers)}"
            self.buffers.append(Buffer(self.known[key], dtype, shape, access))
            self.operands.append(operand)
        return self.known[key]

    def fresh(self, prefix: str) -> str:
        """Give a name that the kernel does not use yet; b0, b1 ... are buffers."""
        assert prefix != "b"
        self.serial += 1
        return f"{prefix}{self.serial}"

    def finish(self, kind: str, body: Sequence[Stmt], comment: Sequence[str] = ()) -> Lowered:
        """Make the kernel; its name tells its kind and its content."""
        kernel = Kernel(kind, tuple(self.buffers), _free_dims(self.buffers, body), tuple(body), tuple(comment))
        digest = hashlib.blake2b(print_kernel(kernel).encode(), digest_size=6).hexdigest()
        return Lowered(replace(kernel, name=f"{kind}_{digest}"), tuple(self.operands))


class Elements:
    """Computes elements of the nodes of one group, at indices made of the names of its domain.

    `env` gives what the domain's names stand for where the element is needed; `flat` treats tensors of the whole domain
    as vectors indexed by that name.
    """

    def __init__(
        self, group: Group, home: Mapping[Expr, Group], bindings: Bindings, root: RootValue | None = None,
        env: Mapping[str, Size] | None = None, flat: Size | None = None, extents: Mapping[str, Size] | None = None,
    ) -> None:  # fmt: skip
        self.group, self.home, self.bindings, self.root = group, home, bindings, root
        self.env, self.flat, self.extents = env or {}, flat, extents
        self._prelude: list[Stmt] = []
        self.accesses: list[tuple[Indices, Shape]] = []
        self.uses_index = False
        self._memo: dict[tuple[Expr, Indices], Value] = {}

    def value(self, node: Expr, index: Indices) -> Value:
        """Give the value of an element, over the names that `taken` binds."""
        start = self._held(node, index)
        stack = [start]
        while stack:
            key = stack[-1]
            if key in self._memo:
                stack.pop()
                continue
            missing = [site for site in self._needs(*key) if site not in self._memo]
            if missing:
                stack.extend(missing)
            else:
                self._memo[key] = self._named(self._build(*stack.pop()))
        return self._memo[start]

    def taken(self) -> list[Stmt]:
        """Give what must be computed before the values asked for so far; later ones do not share it."""
        lets = self._prelude
        self._prelude = []
        self._memo.clear()
        return lets

    def stores(self, index: Indices, shape: Shape) -> list[Stmt]:
        """Compute and store every result of the group at one element of its domain: all loads come first."""
        writes: list[Stmt] = []
        own = squeezed_index(index, shape)
        for node in self.group.stores:
            at = iter(own)
            place = tuple(0 if isinstance(n, int) and n == 1 else next(at) for n in node.shape)
            value = self.value(node, place)
            if not isinstance(value, Name | Const):
                value = self._bound(value)
            writes.append(self.store(node, place, value))
        return [*self.taken(), *writes]

    def store(self, node: Expr, index: Indices, value: Value) -> Store:
        """Write one element of a stored node."""
        buffer_index, shape = self._addressed(index, node.shape)
        return Store(self.bindings.buffer(node, Access.OUT, shape, node.dtype), buffer_index, value)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _held(self, node: Expr, index: Indices) -> tuple[Expr, Indices]:
        """Follow layouts, except those that this group itself is to store."""
        while True:
            node, index = strip(node, index, self.extents, stop=self.home)
            layout = row_of(node).structure
            if self.home.get(node) is not self.group or not isinstance(layout, Layout):
                return node, index
            node, index = node.args[0], layout.index(node, index)

    def _is_loaded(self, node: Expr) -> bool:
        if node.op == "reshape" and reshaped(node, self.home) is not None:
            return True
        return is_memory(node) or self.home.get(node, self.group) is not self.group

    def _needs(self, node: Expr, index: Indices) -> list[tuple[Expr, Indices]]:
        if is_literal(node) or self._is_loaded(node) or node is self.group.root:
            return []
        return [self._held(operand, at) for operand, at in operand_sites(node, index)]

    def _build(self, node: Expr, index: Indices) -> Value:
        if is_literal(node):
            return self._literal(node)
        if self._is_loaded(node):
            return self.load(node, index)
        if node is self.group.root:
            assert self.root is not None
            return self.root(index)
        args = tuple(self._memo[self._held(operand, at)] for operand, at in operand_sites(node, index))
        structure = row_of(node).structure
        if isinstance(structure, Map):
            return apply(node.op, args)
        if isinstance(structure, Cast):
            return cast(args[0], node.dtype)
        if isinstance(structure, Coordinate):
            self.uses_index = True
            return cast(Index(substitute(structure.value(node, index), self.env)), node.dtype)
        if isinstance(structure, Gather):
            return self._gather(node, structure, index, args[0])
        assert isinstance(structure, Random)
        self.uses_index = True
        first = node.args[0].ndim
        flat = _flat_index(index[first:], node.shape[first:])
        return philox.value(structure.kind, args[0], substitute(flat, self.env), node.dtype)

    def _named(self, value: Value) -> Value:
        """Bind an operation, and before it each of its parts that is used more than once."""
        if not isinstance(value, Op):
            return value
        order, uses = _operations(value)
        new: dict[int, Value] = {}
        for part in order:
            args = tuple(new.get(id(a), a) for a in part.args)
            own = part if all(a is b for a, b in zip(args, part.args, strict=True)) else replace(part, args=args)
            new[id(part)] = self._bound(own) if part is value or uses[id(part)] > 1 else own
        return new[id(value)]

    def _bound(self, value: Value) -> Name:
        name = self.bindings.fresh("v")
        self._prelude.append(Let(name, value))
        return Name(name, dtype_of(value))

    def _literal(self, node: Expr) -> Value:
        if node.op == "constant":
            value = literal(node)
            assert value is not None
            return Const(value, node.dtype)
        return cast(Index(node.attrs["size"]), node.dtype)

    def load(self, node: Expr, index: Indices) -> Value:
        """Load an element of a given or stored tensor, or of one under another shape; a literal is known."""
        if is_literal(node):
            return self._literal(node)
        buffer_index, shape = self._addressed(index, node.shape)
        source = reshaped(node, self.home)
        source = node if source is None else source
        return Load(self.bindings.buffer(source, Access.IN, shape, node.dtype), buffer_index, node.dtype)

    def _addressed(self, index: Indices, shape: Shape) -> tuple[Indices, Shape]:
        self.accesses.append((index, shape))
        if self.flat is not None:
            return (index, shape) if not any(names(i) for i in index) else ((self.flat,), (product(shape),))
        return _rejoined(tuple(substitute(i, self.env) for i in index), shape)

    def _gather(self, node: Expr, structure: Gather, index: Indices, raw: Value) -> Value:
        """Load the element that a computed position names; negative positions count from the end."""
        self.uses_index = True
        raw = cast(raw, INT64)
        negative = Op("lt", (raw, Const(0, INT64)), BOOL)
        wrapped = Op("select", (negative, Op("add", (raw, Index(structure.extent(node))), INT64), raw), INT64)
        name = self.bindings.fresh("at")
        self._prelude.append(Let(name, wrapped))
        table, source = strip(node.args[0], structure.source(node, index, dim(name)), None, stop=self.home)
        return self.load(table, source)


def _operations(value: Op) -> tuple[list[Op], dict[int, int]]:
    """List the operations in a value, operands first, and count the uses of each."""
    uses: dict[int, int] = {}
    order: list[Op] = []
    stack: list[tuple[Op, bool]] = [(value, False)]
    while stack:
        op, done = stack.pop()
        if done:
            order.append(op)
        elif id(op) not in uses:
            uses[id(op)] = 0
            stack.append((op, True))
            stack.extend((a, False) for a in op.args if isinstance(a, Op))
    for op in order:
        for a in op.args:
            if isinstance(a, Op):
                uses[id(a)] += 1
    return order, uses


def _flat_index(index: Indices, shape: Shape) -> Size:
    flat: Size = 0
    for i, n in zip(index, shape, strict=True):
        flat = flat * n + i
    return flat


def _rejoined(index: Indices, shape: Shape) -> tuple[Indices, Shape]:
    """Address a tensor as a vector where that undoes divisions: x[i // M, i % M] is element i of what lies in a row."""
    divisions = sum(map(_divisions, index))
    if not divisions:
        return index, shape
    flat = simplify_with(_flat_index(index, shape), {})
    return ((flat,), (product(shape),)) if _divisions(flat) < divisions else (index, shape)


def _divisions(size: Size) -> int:
    """Count the quotients and remainders in an index."""
    return 0 if isinstance(size, int) else sum(atom.is_compound for _, term in size.terms() for atom, _ in term)


def _free_dims(buffers: Sequence[Buffer], body: Sequence[Stmt]) -> tuple[str, ...]:
    """Give the dimension names that the kernel mentions but does not bind, sorted."""
    found: set[str] = set()
    bound: set[str] = set()

    def visit(item: object) -> None:
        if isinstance(item, tuple | list):
            for part in item:
                visit(part)
        elif hasattr(item, "__dataclass_fields__"):
            if isinstance(item, Let):
                bound.add(item.name)
            if hasattr(item, "var"):
                bound.add(item.var)
            for name in item.__dataclass_fields__:
                visit(getattr(item, name))
        elif not isinstance(item, str | int | float | None):
            found.update(names(item))

    visit(tuple(b.shape for b in buffers))
    visit(tuple(body))
    return tuple(sorted(found - bound))
