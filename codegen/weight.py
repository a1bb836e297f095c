"""Weight: how many instructions statements become, roughly, so that what is heavy is written once and looped over.

In: statements of the loop IR. Out: a count of operations, the elements touched. LLVM takes more than linear time for a
function, and loop overhead vanishes beside a heavy body. It must not know machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from codegen.ir import Load, Name, Op, Prefetch, Stmt, Store, Value
from codegen.scratch import statements, values
from codegen.signature import admits, children, dtype_of
from codegen.vecmath import MATH
from symgrad.dtypes import DType
from symgrad.shape import Size

MOST_COPIED = 512  # instructions that copies of a loop's body may come to
SLOW = frozenset(("div", "sqrt"))  # operations of the divider


def weight(body: tuple[Stmt, ...]) -> int:
    """Count the operations of a block and of the blocks inside it; a value that is shared counts once.

    >>> from codegen.ir import Store
    >>> from symgrad.dtypes import FLOAT32
    >>> x = Name("x", FLOAT32)
    >>> weight((Store("y", (), Op("mul", (x, x), FLOAT32)), Store("z", (), Op("sqrt", (x,), FLOAT32))))
    2
    """
    return _operations(value for stmt in statements(body) for value in values(stmt))


def is_heavy(body: tuple[Stmt, ...], copies: int) -> bool:
    """Tell whether so many copies of a block are too much to be written one by one."""
    return copies > 1 and copies * weight(body) > MOST_COPIED


def divides(body: tuple[Stmt, ...]) -> bool:
    """Tell whether a block divides floats or takes roots: work for a unit that is slow, and idle while others multiply.

    >>> from codegen.ir import Store
    >>> from symgrad.dtypes import FLOAT32
    >>> x = Name("x", FLOAT32)
    >>> [divides((Store("y", (), Op(name, (x, x), FLOAT32)),)) for name in ("mul", "div")]
    [False, True]
    """
    return any(
        isinstance(node, Op) and node.name in SLOW and node.dtype.is_float
        for stmt in statements(body) for value in values(stmt) for node in subvalues([value])
    )  # fmt: skip


def subvalues(roots: Iterable[Value]) -> Iterator[Value]:
    """Walk values and all that they are made of, each once."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend(children(node))


def accesses(body: tuple[Stmt, ...]) -> Iterator[tuple[str, tuple[Size, ...]]]:
    """List the elements that statements touch."""
    for stmt in statements(body):
        if isinstance(stmt, Store | Prefetch):
            yield stmt.buffer, stmt.index
        for value in subvalues(values(stmt)):
            if isinstance(value, Load):
                yield value.buffer, value.index


def _operations(roots: Iterable[Value]) -> int:
    total = 0
    for node in subvalues(roots):
        if isinstance(node, Op):
            is_primitive = admits(node.name, dtype_of(node.args[0]))
            total += 1 if is_primitive else _of_function(node.name, node.dtype, len(node.args))
    return total


@cache
def _of_function(name: str, dtype: DType, arity: int) -> int:
    """Count the operations of a function; the emitter refuses one that there is not."""
    build = MATH.get((name, dtype))
    return 1 if build is None else _operations([build(*(Name(f"x{k}", dtype) for k in range(arity)))])
