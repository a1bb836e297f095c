"""Turn: a square of elements that is read along its rows and written along its columns, by way of registers.

In: a store of a load, and the two loops of equal width around it. Out: as many vector loads, a network of shuffles, as
many vector stores, where one lane after the other would be gathered. It must not know what the arrays are.
"""

from __future__ import annotations

from codegen.access import Scope, load, store
from codegen.address import Lane
from codegen.ir import Load, Store
from codegen.signature import dtype_of
from codegen.writer import TYPES, Val, Writer, typed

Lanes = tuple[Lane, str | None]  # of a loop: the iterations that run at once, and which of them take part (None: all)


def square(copied: Store, across: Lanes, along: Lanes, scope: Scope) -> None:
    """Write the copy of a square: rows are loaded with the outer loop's lanes, columns stored with the inner one's."""
    value = copied.value
    assert isinstance(value, Load)
    source, target = scope.arrays[value.buffer], scope.arrays[copied.buffer]
    type_, width = TYPES[dtype_of(value)], across[0].width
    rows = []
    for r in range(width):
        view = _view(scope, across, along, r)
        rows.append(scope.out.splat(load(source, value.index, view), type_, width))
    for r, column in enumerate(transposed(rows, type_, scope.out)):
        store(target, copied.index, Val(column, width), _view(scope, along, across, r))


def transposed(rows: list[str], type_: str, out: Writer) -> list[str]:
    """Write the transpose of as many vectors as each has lanes, a power of two: blocks of 1, 2, 4 ... change places."""
    width = len(rows)
    vector = typed(type_, width)
    block = 1
    while block < width:
        low = [lane if not lane & block else width + lane - block for lane in range(width)]
        high = [lane + block if not lane & block else width + lane for lane in range(width)]
        rows = list(rows)
        for r in (r for r in range(width) if not r & block):
            pair = rows[r], rows[r + block]
            rows[r], rows[r + block] = (_shuffled(*pair, vector, order, out) for order in (low, high))
        block *= 2
    return rows


def _shuffled(first: str, second: str, vector: str, order: list[int], out: Writer) -> str:
    lanes = ", ".join(f"i32 {lane}" for lane in order)
    return out.value(f"shufflevector {vector} {first}, {vector} {second}, <{len(order)} x i32> <{lanes}>")


def _view(scope: Scope, lanes: Lanes, others: Lanes, r: int) -> Scope:
    """Give the scope of one vector: with the lanes of one loop, in iteration r of those that the other runs at once."""
    (lane, mask), (other, taken) = lanes, others
    view = scope.child()
    view.indices.lane = lane
    view.indices.fixed[other.var] = other.base + r
    view.mask = mask
    if taken is not None:
        flags = f"<{other.width} x i1>"
        one = Val(scope.out.value(f"extractelement {flags} {taken}, i64 {r}"))
        every = scope.out.splat(one, "i1", lane.width)
        view.mask = every if mask is None else scope.out.value(f"and {flags} {every}, {mask}")
    return view
