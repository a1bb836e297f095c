"""Item: what a sequential kernel does for one item of the batch, and the words to write it with.

In: a Sequential node, its group, the kernel's bindings. Out: statements and values of the loop IR: elements of the
operands and of the result at an index inside the item, scratch arrays, loops. It must not know any kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codegen.elements import Bindings, Elements
from codegen.ir import Alloc, Const, For, Index, Let, Load, Local, Name, Op, Space, Stmt, Store, Tag, Value
from codegen.reach import index_names
from codegen.scalars import cast
from codegen.signature import COMPARISONS, dtype_of
from symgrad.dtypes import BOOL, INT32, INT64, DType
from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Indices, Sequential
from symgrad.shape import Shape, Size, dim

Block = list[Stmt]


def op(name: str, *args: Value) -> Op:
    """Give an operation, its dtype by the dtypes of its operands."""
    dtype = BOOL if name in COMPARISONS else dtype_of(args[1] if name == "select" else args[0])
    return Op(name, args, dtype)


def integer(number: int) -> Const:
    """Give an int64."""
    return Const(number, INT64)


@dataclass(frozen=True, slots=True)
class Array:
    """A scratch array of one item."""

    name: str
    dtype: DType

    def at(self, *index: Size) -> Load:
        """Give an element."""
        return Load(self.name, index, self.dtype)

    def put(self, value: Value, *index: Size) -> Store:
        """Write an element."""
        return Store(self.name, index, value)


@dataclass(slots=True, eq=False)
class Item:
    """One item of a Sequential node: `index` names its place in the batch, `width` is that of a vector."""

    root: Expr
    elements: Elements
    bindings: Bindings
    index: Indices
    width: int

    def fresh(self, prefix: str) -> str:
        """Give a name that the kernel does not use yet."""
        return self.bindings.fresh(prefix)

    def bound(self, prefix: str, value: Value) -> tuple[Let, Name]:
        """Name a value."""
        name = self.fresh(prefix)
        return Let(name, value), Name(name, dtype_of(value))

    def variable(self, prefix: str, init: Value) -> tuple[Local, Name]:
        """Declare what `Set` changes."""
        name = self.fresh(prefix)
        return Local(name, init), Name(name, dtype_of(init))

    def array(self, prefix: str, dtype: DType, *shape: Size) -> tuple[Alloc, Array]:
        """Declare a scratch array."""
        name = self.fresh(prefix)
        return Alloc(name, dtype, shape, Space.SCRATCH), Array(name, dtype)

    def dtype(self, number: int) -> DType:
        """Give the dtype in which the elements of an operand come."""
        own = self.root.args[number].dtype
        return INT32 if own is BOOL else own

    def element(self, number: int, *core: Size) -> tuple[Block, Value]:
        """Give an element of an operand; bools become numbers that compare."""
        operand = self.root.args[number]
        value = self.elements.value(operand, self._whole(core))
        block = self.elements.taken()
        return block, cast(value, self.dtype(number))

    def result(self, value: Value, *core: Size) -> Store:
        """Write an element of the result."""
        return self.elements.store(self.root, self._whole(core), value)

    def _whole(self, core: Sequence[Size]) -> Indices:
        """Put the index inside the item behind the batch's, or at the axis of the node."""
        structure = row_of(self.root).structure
        assert isinstance(structure, Sequential)
        axis = len(self.index) if structure.core is not None else self.root.attrs["axis"]
        return (*self.index[:axis], *core, *self.index[axis:])

    def loop(self, prefix: str, start: Size, stop: Size, body: Callable[[Size], Sequence[Stmt]]) -> For:
        """Go from start to stop, one after the other."""
        name = self.fresh(prefix)
        return For(name, start, stop, tuple(body(dim(name))))

    def lanes(self, prefix: str, start: Size, stop: Size, body: Callable[[Size], Sequence[Stmt]]) -> For:
        """Go from start to stop in vectors: the iterations do not depend on one another."""
        name = self.fresh(prefix)
        return For(name, start, stop, tuple(body(dim(name))), self.width, Tag.VECTOR)

    def smaller(self, prefix: str, a: Size, b: Size) -> tuple[Let, Size]:
        """Name the smaller of two positions."""
        let, name = self.bound(prefix, op("min", Index(a), Index(b)))
        return let, dim(name.name)


def batch_of(root: Expr) -> tuple[Shape, Indices]:
    """Give the batch of a Sequential node and the names of its indices."""
    structure = row_of(root).structure
    assert isinstance(structure, Sequential)
    shape = root.args[0].shape
    if structure.core is None:
        axis = root.attrs["axis"]
        batch = (*shape[:axis], *shape[axis + 1 :])
    else:
        batch = shape[: len(shape) - structure.core]
    return batch, index_names(batch)
