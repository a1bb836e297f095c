"""Sequential: results whose elements depend on one another in an order, as kernels written by hand in loop IR.

In: a group whose root is a Sequential. Out: one kernel: loops over the batch, the first of them split among threads,
around the statements that `KINDS` has for one item. An item is the work of one thread and its steps have one order,
so the bits do not depend on the number of threads. It must not know operators: a kind is a name of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codegen import factors, orders
from codegen.elements import Bindings, Elements, Lowered
from codegen.group import Group
from codegen.ir import For, Stmt, Tag
from codegen.item import Block, Item, batch_of
from codegen.machine import Machine
from codegen.nest import lanes
from codegen.reach import extents_of, is_unit
from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Sequential

KINDS: dict[str, Callable[[Item], Block]] = {
    "cumsum": orders.cumulative_sum,
    "cumprod": orders.cumulative_product,
    "recurrence": orders.recurrence,
    "argsort": orders.argsort,
    "searchsorted": orders.searchsorted,
    "solve": factors.solve,
    "triangular_solve": factors.triangular_solve,
    "det": factors.determinant,
    "logdet": factors.log_determinant,
    "det_sign": factors.sign_of_determinant,
    "cholesky": factors.cholesky,
}


def sequential_kernels(group: Group, home: Mapping[Expr, Group], machine: Machine) -> list[Lowered]:
    """Lower a group whose root is a Sequential."""
    root = group.root
    assert root is not None
    structure = row_of(root).structure
    assert isinstance(structure, Sequential)
    batch, index = batch_of(root)
    bindings = Bindings()
    elements = Elements(group, home, bindings, extents=extents_of(index, batch))
    width = lanes(machine, [a.dtype for a in root.args])
    body: list[Stmt] = KINDS[structure.kind](Item(root, elements, bindings, index, width))
    axes = [axis for axis, size in enumerate(batch) if not is_unit(size)]
    for axis in reversed(axes):
        tag = Tag.PARALLEL if axis == axes[0] else Tag.SERIAL
        body = [For(str(index[axis]), 0, batch[axis], tuple(body), 1, tag)]
    return [bindings.finish(structure.kind, body)]
