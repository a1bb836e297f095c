"""Rename: a block of the loop IR under other names, so that it can stand beside other blocks.

In: statements, new names of what they bind and of the arrays they use, how many leading indices of an array fall away.
Out: the same statements in these terms; a value that was shared still is. It must not know what they compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from codegen.ir import Alloc, For, If, Index, Let, Load, Local, Name, Op, Prefetch, Set, Stmt, Store, Value, While
from codegen.scratch import statements
from symgrad.shape import Size, dim, substitute


def bound_names(body: tuple[Stmt, ...]) -> Iterator[str]:
    """List the names that statements bind, in the order of the text, some more than once."""
    for stmt in statements(body):
        match stmt:
            case Let(name=name) | Local(name=name) | Alloc(name=name):
                yield name
            case For(var=name):
                yield name


def renamed(body: tuple[Stmt, ...], names: Mapping[str, str], fewer: Mapping[str, int]) -> tuple[Stmt, ...]:
    """Rename; arrays in `fewer`, by their old names, lose so many leading indices.

    >>> from symgrad.dtypes import FLOAT32
    >>> store = Store("b", (dim("i0"), dim("i")), Load("a", (dim("i"),), FLOAT32))
    >>> (other,) = renamed((store,), {"i": "j", "b": "row"}, {"b": 1})
    >>> other.buffer, other.index, other.value.index
    ('row', (j,), (j,))
    """
    return _Renaming(names, fewer).block(body)


@dataclass(slots=True)
class _Renaming:
    names: Mapping[str, str]
    fewer: Mapping[str, int]
    sizes: dict[str, Size] = field(init=False)
    known: dict[int, Value] = field(default_factory=dict)  # by the `id` of the old value

    def __post_init__(self) -> None:
        self.sizes = {old: dim(new) for old, new in self.names.items()}

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return tuple(map(self.statement, body))

    def statement(self, stmt: Stmt) -> Stmt:
        match stmt:
            case Let(name, value):
                return Let(self.name(name), self.value(value))
            case Local(name, init):
                return Local(self.name(name), self.value(init))
            case Set(name, value):
                return Set(self.name(name), self.value(value))
            case Store(buffer, index, value):
                return Store(self.name(buffer), self.index(buffer, index), self.value(value))
            case Prefetch(buffer, index):
                return Prefetch(self.name(buffer), self.index(buffer, index))
            case Alloc(name, dtype, shape, space):
                return Alloc(self.name(name), dtype, tuple(map(self.size, shape)), space)
            case For(var, start, stop, body, step, tag):
                return For(self.name(var), self.size(start), self.size(stop), self.block(body), step, tag)
            case If(cond, body, orelse):
                return If(self.value(cond), self.block(body), self.block(orelse))
            case While(cond, body):
                return While(self.value(cond), self.block(body))

    def name(self, name: str) -> str:
        return self.names.get(name, name)

    def size(self, size: Size) -> Size:
        found: Size = substitute(size, self.sizes)
        return found

    def index(self, array: str, index: tuple[Size, ...]) -> tuple[Size, ...]:
        return tuple(map(self.size, index[self.fewer.get(array, 0) :]))

    def value(self, value: Value) -> Value:
        found = self.known.get(id(value))
        if found is None:
            found = self.known[id(value)] = self.made(value)
        return found

    def made(self, value: Value) -> Value:
        match value:
            case Name(name, dtype):
                return Name(self.name(name), dtype)
            case Index(size):
                return Index(self.size(size))
            case Load(buffer, index, dtype):
                return Load(self.name(buffer), self.index(buffer, index), dtype)
            case Op(name, args, dtype):
                return Op(name, tuple(map(self.value, args)), dtype)
        return value
