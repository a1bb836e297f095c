"""Contractions: the roles of their axes, and the choice between a register tile and a fold.

In: a group whose root is a Contraction over one axis at most. Out: its kernels. Operands are read through their
strides, so a transposed one is never copied as a whole. It must not know operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codegen.elements import Bindings, Elements, Lowered
from codegen.folds import reduction_kernels
from codegen.group import Group
from codegen.ir import Const, Op, Stmt, Value
from codegen.machine import Machine
from codegen.nest import group_dtypes, lanes
from codegen.reach import extents_of, index_names, is_unit, strip
from codegen.reduction import Reduction, Shapes
from symgrad.dtypes import DType
from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Contraction, Indices
from symgrad.shape import Shape, Size, coefficient, dim

Homes = Mapping[Expr, Group]


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """An operand and the label of each of its axes; unit axes have none."""

    node: Expr
    labels: tuple[int | None, ...]

    def index(self, env: Mapping[int, Size]) -> Indices:
        """Give the index where each label has the index `env` gives."""
        return tuple(0 if label is None else env[label] for label in self.labels)

    def has(self, label: int) -> bool:
        """Tell whether the operand has this axis."""
        return label in self.labels

    def load(self, elements: Elements, env: Mapping[int, Size]) -> Value:
        """Give the element at the labels' indices."""
        node, index = strip(self.node, self.index(env), None, stop=elements.home)
        return elements.load(node, index)

    def stride(self, label: int, home: Homes) -> Size | None:
        """Give how many elements apart neighbours along a label lie; None where no stride describes it."""
        env = {own: dim(f"label{own}") for own in self.labels if own is not None}
        extents = {f"label{own}": n for own, n in zip(self.labels, self.node.shape, strict=True) if own is not None}
        node, index = strip(self.node, self.index(env), extents, stop=home)
        offset: Size = 0
        for i, n in zip(index, node.shape, strict=True):
            offset = offset * n + i
        return coefficient(offset, f"label{label}")


@dataclass(frozen=True, slots=True, eq=False)
class Roles:
    """The axes of a contraction: `out` in the order of the result, the `summed` one if any, and the two operands."""

    left: Factor
    right: Factor
    sizes: Mapping[int, Size]
    out: tuple[int, ...]
    summed: int | None

    @property
    def results(self) -> Shape:
        """Give the result's shape without unit axes."""
        return tuple(self.sizes[label] for label in self.out)

    @property
    def rows(self) -> tuple[int, ...]:
        """Give the labels of the left operand alone."""
        return tuple(label for label in self.out if not self.right.has(label))

    @property
    def columns(self) -> tuple[int, ...]:
        """Give the labels of the right operand alone."""
        return tuple(label for label in self.out if not self.left.has(label))

    def swapped(self) -> Roles:
        """Give the same contraction with its operands exchanged."""
        return Roles(self.right, self.left, self.sizes, self.out, self.summed)


def roles_of(root: Expr) -> Roles:
    """Read the roles of the axes off a Contraction node."""
    structure = row_of(root).structure
    assert isinstance(structure, Contraction)
    axes = structure.axes(root)
    sizes: dict[int, Size] = {}
    factors = []
    for node, own in zip(root.args, (axes.left, axes.right), strict=True):
        labels = tuple(None if is_unit(n) else label for label, n in zip(own, node.shape, strict=True))
        sizes.update({label: n for label, n in zip(labels, node.shape, strict=True) if label is not None})
        factors.append(Factor(node, labels))
    out = tuple(label for label in axes.out if label in sizes)
    summed = [label for label in sizes if label not in out]
    assert len(summed) <= 1, "expand merges the summed axes"
    return Roles(factors[0], factors[1], sizes, out, summed[0] if summed else None)


def zero(dtype: DType) -> Const:
    """Give the sum of nothing."""
    return Const(0.0 if dtype.is_float else 0, dtype)


def multiply_add(a: Value, b: Value, total: Value, dtype: DType) -> Value:
    """Give total + a * b: rounded once for floats."""
    if dtype.is_float:
        return Op("fma", (a, b, total), dtype)
    return Op("add", (total, Op("mul", (a, b), dtype)), dtype)


def contraction_fold(group: Group, home: Homes, machine: Machine, roles: Roles) -> list[Lowered]:
    """Lower a product without rows or without columns: dot products, matrix times vector, vector times matrix.

    The fold runs along the summed axis, unless an operand has the last axis of the results side by side in memory.
    """
    assert group.root is not None
    dtype = group.root.dtype
    summed = roles.summed
    extents = extents_of(index_names(roles.results), roles.results)

    def make(bindings: Bindings) -> Reduction:
        elements = Elements(group, home, bindings, extents=extents)

        def step(state: tuple[Value, ...], position: Size, index: Indices) -> tuple[list[Stmt], tuple[Value, ...]]:
            env = {**dict(zip(roles.out, index, strict=True)), **({} if summed is None else {summed: position})}
            a, b = (factor.load(elements, env) for factor in (roles.left, roles.right))
            return [], (multiply_add(a, b, state[0], dtype),)

        return Reduction(
            (dtype,), (zero(dtype),), step,
            lambda first, second: (Op("add", (first[0], second[0]), dtype),), lambda state: state[0],
        )  # fmt: skip

    size = 1 if summed is None else roles.sizes[summed]
    shapes = Shapes(roles.results, size, along=not _lie_side_by_side(roles, home))
    return reduction_kernels(group, home, shapes, make, lanes(machine, group_dtypes(group)))


def _lie_side_by_side(roles: Roles, home: Homes) -> bool:
    """Tell whether the results' last axis, rather than the summed one, is contiguous in the larger operand."""
    if not roles.out:
        return False
    last = roles.out[-1]
    large = max((f for f in (roles.left, roles.right) if f.has(last)), key=lambda f: len(f.labels))
    return roles.summed is None or large.stride(last, home) == 1
