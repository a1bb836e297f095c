"""Forms: groups that differ in their tensors alone are lowered once.

In: groups of one program. Out: for each its kernels, with its own tensors. A form is everything that decides kernels:
the operators, attributes and types of what a group computes, how they are connected, and where that begins: at given
tensors and at what other groups store. A network of a thousand equal layers has a few forms. It must not know recipes.
"""

from __future__ import annotations

from typing import Any

from codegen.elements import Lowered
from codegen.group import Group
from codegen.lower import Homes, lower
from codegen.machine import Machine
from codegen.nest import map_kernel
from codegen.operand import Operand, Temp
from codegen.reach import is_memory
from codegen.verify import verify
from symgrad.expr import Expr, attributes, topological
from symgrad.options import Options


class Forms:
    """The kernels of one program, by the form of their groups."""

    def __init__(self, machine: Machine, options: Options) -> None:
        self.machine, self.options = machine, options
        self._known: dict[Any, tuple[list[Expr], list[Lowered]]] = {}

    def lower(self, group: Group, home: Homes, by_rows: bool = False) -> list[Lowered]:
        """Give the kernels of a group, made anew only where no group of its form has been met.

        With `by_rows` a group without a reduction gets loops over rows even where memory needs none.
        """
        form, nodes = form_of(group, home)
        form = form, by_rows
        if form not in self._known:
            lowered = [map_kernel(group, home, self.machine, by_rows=True)] if by_rows else None
            made = lowered or lower(group, home, self.machine, self.options)
            if self.options.check:
                for item in made:
                    verify(item.kernel)
            self._known[form] = nodes, made
            return made
        others, made = self._known[form]
        place: dict[Operand, Operand] = dict(zip(others, nodes, strict=True))
        for temp in {o: None for item in made for o in item.operands if isinstance(o, Temp)}:
            place[temp] = Temp(temp.shape, temp.dtype)
        return [Lowered(item.kernel, tuple(place[o] for o in item.operands)) for item in made]


def form_of(group: Group, home: Homes) -> tuple[Any, list[Expr]]:
    """Give a group's form, and the nodes that it is made of in the order in which the form tells of them."""

    def is_given(node: Expr) -> bool:
        return is_memory(node) or home.get(node, group) is not group

    roots = group.stores if group.root is None else [*group.stores, group.root]
    nodes = topological(roots, stop=is_given)
    number = {node: k for k, node in enumerate(nodes)}
    told: list[Any] = []
    for node in nodes:
        if is_given(node):
            told.append(node.type)
        else:
            told.append((node.op, attributes(node.attrs), node.type, tuple(number[a] for a in node.args), node in home))
    marked = ([] if group.root is None else [group.root], group.nodes, group.stores)
    return (group.domain, tuple(told), *(tuple(number[n] for n in some) for some in marked)), nodes
