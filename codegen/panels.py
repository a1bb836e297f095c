"""Panels: the left operand of a product in the order in which register tiles read it.

In: the roles of a product's axes, the rows of its tile. Out: a kernel that copies the operand once, before the product,
into memory of its own: for each tile's rows a panel, in it the elements that are multiplied together side by side. This
pays where successive elements of a row are so far apart that they compete for a few sets of the caches. It must not
know what the product computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from codegen.contraction import Homes, Roles
from codegen.elements import Bindings, Elements, Lowered
from codegen.group import Group
from codegen.ir import Access, For, Load, Stmt, Store, Tag, Value
from codegen.machine import Machine
from codegen.nest import smaller
from codegen.operand import Temp
from symgrad.shape import Size, dim

WAYS = 16  # lines that a set of the second cache holds
MANY = 256  # products that a sum of unknown length is taken to have
MANY_COLUMNS = 256  # fewer do not repay the copy


class LeftPanels:
    """`left` in panels of so many `rows`, a multiple of every tile's."""

    def __init__(self, roles: Roles, label: int, rows: int) -> None:
        assert roles.summed is not None
        self.roles, self.label, self.rows, self.summed = roles, label, rows, roles.summed
        self.outer = [own for own in roles.out if own != label and roles.left.has(own)]
        sizes = roles.sizes
        self.count = (sizes[label] + rows - 1) // rows
        shape = (*(sizes[own] for own in self.outer), self.count, sizes[self.summed], rows)
        self.memory = Temp(shape, roles.left.node.dtype)

    def load(self, bindings: Bindings, env: Mapping[int, Size], first: Size, r: Size) -> Value:
        """Give the element of row `r` of the tile that begins at row `first`; other labels are at `env`."""
        array = bindings.buffer(self.memory, Access.IN, self.memory.shape, self.memory.dtype)
        outer = (env[own] for own in self.outer)
        place = (*outer, first // self.rows, env[self.summed], first % self.rows + r)
        return Load(array, place, self.memory.dtype)

    def kernel(self, group: Group, home: Homes, width: int) -> Lowered:
        """Write the copy: threads divide the panels; rows beyond the last are left as they are."""
        bindings = Bindings()
        t, k, r, *outer = (bindings.fresh(name) for name in ("t", "k", "r", *("o" for _ in self.outer)))
        env = {own: dim(name) for own, name in zip(self.outer, outer, strict=True)}
        row = dim(t) * self.rows + dim(r)
        value = self.roles.left.load(Elements(group, home, bindings), {**env, self.label: row, self.summed: dim(k)})
        array = bindings.buffer(self.memory, Access.OUT, self.memory.shape, self.memory.dtype)
        store = Store(array, (*env.values(), dim(t), dim(k), dim(r)), value)
        sizes = self.roles.sizes
        total = sizes[self.label]
        is_exact = isinstance(total, int) and total % self.rows == 0
        lets, stop = ([], self.rows) if is_exact else smaller(self.rows, total - dim(t) * self.rows, "to", bindings)
        is_turned = isinstance(value, Load) and self.roles.left.stride(self.summed, home) == 1
        lanes = min(width, 1 << (self.rows - 1).bit_length())
        rows = For(r, 0, stop, (store,), lanes, Tag.VECTOR)
        tag, step = (Tag.TURN, lanes) if is_turned else (Tag.SERIAL, 1)
        body: list[Stmt] = [*lets, For(k, 0, sizes[self.summed], (rows,), step, tag)]
        loops = [*((name, sizes[own]) for name, own in zip(outer, self.outer, strict=True)), (t, self.count)]
        for position, (name, size) in reversed(list(enumerate(loops))):
            body = [For(name, 0, size, tuple(body), 1, Tag.SERIAL if position else Tag.PARALLEL)]
        return bindings.finish("pack", body)


def compete(roles: Roles, home: Homes, machine: Machine) -> bool:
    """Tell whether the elements that a row of `left` multiplies drive each other out of the caches."""
    assert roles.summed is not None
    step, count = roles.left.stride(roles.summed, home), roles.sizes[roles.summed]
    if not isinstance(step, int) or step < 2:
        return False
    period = machine.l2 // WAYS
    lines = period // math.gcd(step * roles.left.node.dtype.size, period) * WAYS
    return (count if isinstance(count, int) else MANY) >= lines
