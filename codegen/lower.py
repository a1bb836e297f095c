"""Lower: one group to its kernels, by the structure of its root.

In: a group, the homes of stored nodes, the machine row, the options. Out: kernels in the order in which they run, each
with the tensors its buffers are bound to. The table below is all there is to choose from; schedules follow structure,
sizes and the machine row, never an operator's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codegen.dots import mixed_kernels
from codegen.elements import Lowered
from codegen.folds import fold_kernels
from codegen.gemm import contraction_kernels
from codegen.group import Group
from codegen.machine import Machine
from codegen.nest import map_kernel
from codegen.pieces import place_kernels, scatter_kernels
from codegen.sequential import sequential_kernels
from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Contraction, Fold, Place, Scatter, Sequential
from symgrad.options import Options

Homes = Mapping[Expr, Group]
Recipe = Callable[[Group, Homes, Machine, Options], list[Lowered]]
PRODUCTS: dict[str, Recipe] = {"float32": contraction_kernels, "bf16": mixed_kernels}
RECIPES: dict[type, Recipe] = {
    Fold: lambda group, home, machine, options: fold_kernels(group, home, machine),
    Contraction: lambda group, home, machine, options: PRODUCTS[options.precision](group, home, machine, options),
    Place: lambda group, home, machine, options: place_kernels(group, home, machine),
    Scatter: lambda group, home, machine, options: scatter_kernels(group, home, machine),
    Sequential: lambda group, home, machine, options: sequential_kernels(group, home, machine),
}


def lower(group: Group, home: Homes, machine: Machine, options: Options) -> list[Lowered]:
    """Lower one group."""
    if group.root is None:
        return [map_kernel(group, home, machine)]
    return RECIPES[type(row_of(group.root).structure)](group, home, machine, options)
