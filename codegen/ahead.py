"""Ahead: rows that are gathered from all over a table are asked for before their turn.

In: the loops of a kernel that computes every element by itself. Out: the same loops; where an outer iteration reads a
row of a table at a position that is itself read from memory, each first asks for the row of one some iterations later.
The processor fetches what it sees coming: within a row, but not from row to row. It must not know what is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from codegen.elements import Bindings
from codegen.ir import For, Index, Let, Load, Op, Prefetch, Stmt, Tag, Value
from codegen.rename import renamed
from codegen.scratch import LINE, statements
from codegen.weight import accesses, subvalues
from symgrad.dtypes import INT64, DType
from symgrad.shape import Size, coefficient, dim, names, product

DISTANCE = 12 << 10  # bytes between the row that is read and the one that is asked for
LEAST_ROW = 512  # bytes: a shorter row is not worth asking for
MOST_AHEAD = 16  # iterations


def asked_ahead(body: tuple[Stmt, ...], bindings: Bindings) -> tuple[Stmt, ...]:
    """Add the requests to a nest of loops, where there is something to ask for."""
    match body:
        case (For(step=1, body=(For() as row,)) as outer,):
            requests = [stmt for at in _positions(outer) for stmt in _requests(outer, row, at, bindings)]
            return (For(outer.var, outer.start, outer.stop, (*requests, row), 1, outer.tag),) if requests else body
    return body


def _positions(outer: For) -> Iterator[Let]:
    """List the positions that are read from memory and depend on the outer loop alone."""
    inside = {s.var for s in statements(outer.body) if isinstance(s, For)}
    bound = {s.name for s in statements(outer.body) if isinstance(s, Let)}
    for stmt in statements(outer.body):
        if isinstance(stmt, Let):
            used = set(_names(stmt.value))
            if outer.var in used and used.isdisjoint(inside | bound):
                yield stmt


def _names(value: Value) -> Iterator[str]:
    for part in subvalues([value]):
        sizes = part.index if isinstance(part, Load) else (part.size,) if isinstance(part, Index) else ()
        yield from (name for size in sizes for name in names(size))
        if not isinstance(part, Load | Index | Op) and hasattr(part, "name"):
            yield part.name


def _requests(outer: For, row: For, at: Let, bindings: Bindings) -> list[Stmt]:
    """Give the requests for the rows that lie at a position: of every table one."""
    loops = [row, *(s for s in statements(row.body) if isinstance(s, For))]
    dtypes = {b.name: b.dtype for b in bindings.buffers}
    tables: Mapping[str, tuple[Size, ...]] = {
        array: index for array, index in accesses((row,)) if any(at.name in names(i) for i in index)
    }
    found: list[Stmt] = []
    for array, index in tables.items():
        length = _row_bytes(loops, index, dtypes[array])
        if length is None or length < LEAST_ROW:
            continue
        ahead, there = bindings.fresh("ahead"), bindings.fresh("at")
        count = min(-(-DISTANCE // length), MOST_AHEAD)
        found.append(Let(ahead, Op("min", (Index(dim(outer.var) + count), Index(outer.stop - 1)), INT64)))
        found += renamed((at,), {outer.var: ahead, at.name: there}, {})
        table = {loop.var: bindings.fresh("j") for loop in loops} | {at.name: there, outer.var: ahead}
        request: Stmt = Prefetch(array, index)
        for k, loop in reversed(list(enumerate(loops))):
            step = LINE // dtypes[array].size if k == len(loops) - 1 else 1
            request = For(loop.var, loop.start, loop.stop, (request,), step, Tag.SERIAL)
        found += renamed((request,), table, {})
    return found


def _row_bytes(loops: list[For], index: tuple[Size, ...], dtype: DType) -> int | None:
    """Give the length of what the inner loops read, if it is known and lies side by side."""
    total = product(tuple(loop.stop - loop.start for loop in loops))
    is_dense = coefficient(index[-1], loops[-1].var) == 1
    return total * dtype.size if isinstance(total, int) and is_dense else None
