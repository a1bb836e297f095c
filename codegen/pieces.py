"""Pieces: results that are written part by part.

In: a group whose root is a Place (pieces at offsets, zeros elsewhere) or a Scatter (elements added at computed
positions). Out: kernels that run one after the other: fill, then each piece. Colliding positions are added in the order
of the operand's elements, on one thread for each independent line. It must not know operators.
"""

from __future__ import annotations

from collections.abc import Mapping

from codegen.contraction import zero
from codegen.elements import Bindings, Elements, Lowered
from codegen.group import Group
from codegen.ir import Access, Const, For, Index, Let, Load, Name, Op, Stmt, Store, Tag
from codegen.machine import Machine
from codegen.nest import lanes, nest
from codegen.reach import extents_of, index_names, is_unit, squeezed
from codegen.scalars import cast
from symgrad.dtypes import BOOL, INT64
from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Indices, Place, Scatter
from symgrad.shape import Shape, Size, dim, names

Homes = Mapping[Expr, Group]


def _full(index: Indices, shape: Shape) -> Indices:
    """Put the index of the non-unit axes back among the unit ones."""
    at = iter(index)
    return tuple(0 if is_unit(n) else next(at) for n in shape)


def _fill(root: Expr, machine: Machine) -> Lowered:
    bindings = Bindings()
    out = bindings.buffer(root, Access.OUT, root.shape, root.dtype)
    value = Const(False, BOOL) if root.dtype is BOOL else zero(root.dtype)
    body = nest(
        squeezed(root.shape), lanes(machine, [root.dtype]),
        lambda index: [Store(out, _full(index, root.shape), value)], bindings,
    )  # fmt: skip
    return bindings.finish("fill", body)


def place_kernels(group: Group, home: Homes, machine: Machine) -> list[Lowered]:
    """Lower a group whose root is a Place."""
    root = group.root
    assert root is not None
    structure = row_of(root).structure
    assert isinstance(structure, Place)
    steps = structure.steps(root) if structure.steps is not None else (1,) * len(root.shape)
    kernels = [] if structure.covers else [_fill(root, machine)]
    for operand, offsets in zip(root.args, structure.offsets(root), strict=True):
        bindings = Bindings()
        domain = squeezed(operand.shape)
        extents = extents_of(index_names(domain), domain)
        elements = Elements(group, home, bindings, extents=extents)

        def body(
            index: Indices, operand: Expr = operand, offsets: Indices = offsets, elements: Elements = elements
        ) -> list[Stmt]:
            own = _full(index, operand.shape)
            value = elements.value(operand, own)
            target = tuple(o + i * s for o, i, s in zip(offsets, own, steps, strict=True))
            return [*elements.taken(), elements.store(root, target, value)]

        kernels.append(bindings.finish("place", nest(domain, lanes(machine, [root.dtype]), body, bindings)))
    return kernels


def scatter_kernels(group: Group, home: Homes, machine: Machine) -> list[Lowered]:
    """Lower a group whose root is a Scatter: independent axes outside, colliding ones inside, in order."""
    root = group.root
    assert root is not None
    structure = row_of(root).structure
    assert isinstance(structure, Scatter)
    values = root.args[0]
    serial = structure.serial(root)
    bindings = Bindings()
    index = index_names(values.shape)
    elements = Elements(group, home, bindings, extents=extents_of(index, values.shape))
    out = bindings.buffer(root, Access.INOUT, root.shape, root.dtype)
    raw = cast(elements.value(root.args[1], structure.at(root, index)), INT64)
    extent = structure.extent(root)
    position = bindings.fresh("at")
    wrapped = Op("select", (Op("lt", (raw, Const(0, INT64)), BOOL), Op("add", (raw, Index(extent)), INT64), raw), INT64)
    find: list[Stmt] = [*elements.taken(), Let(position, wrapped)]
    value = elements.value(values, index)
    target = structure.target(root, index, dim(position))
    term = bindings.fresh("v")
    add: list[Stmt] = [
        *elements.taken(), Let(term, value),
        Store(out, target, Op("add", (Load(out, target, root.dtype), Name(term, root.dtype)), root.dtype)),
    ]  # fmt: skip
    free = [a for a in range(values.ndim) if a not in serial and not is_unit(values.shape[a])]
    if any(str(index[a]) in names(i) for a in free for i in structure.at(root, index)):
        return [_fill(root, machine), bindings.finish("scatter", _by_line(values.shape, index, free, [*find, *add]))]
    ends = bindings.fresh("lo"), bindings.fresh("hi")
    body = _free_loops(values.shape, index, free, find, add, lanes(machine, [root.dtype]), ends)
    for axis in reversed([a for a in serial if not is_unit(values.shape[a])]):
        body = [For(str(index[axis]), 0, values.shape[axis], tuple(body))]
    if free:
        body = _split_last(values.shape[free[-1]], body, bindings, ends)
    return [_fill(root, machine), bindings.finish("scatter", body)]


def _by_line(shape: Shape, index: Indices, free: list[int], body: list[Stmt]) -> list[Stmt]:
    """Loop over the independent axes, the first of them split among threads, where each line has its own positions."""
    inner = [a for a in range(len(shape)) if a not in free and not is_unit(shape[a])]
    for axis in reversed([*free, *inner]):
        tag = Tag.PARALLEL if axis == free[0] else Tag.SERIAL
        body = [For(str(index[axis]), 0, shape[axis], tuple(body), 1, tag)]
    return body


def _free_loops(
    shape: Shape, index: Indices, free: list[int], find: list[Stmt], add: list[Stmt], width: int, ends: tuple[str, str]
) -> list[Stmt]:
    """Loop over the independent axes at one position, the last in vectors between two ends."""
    if not free:
        return [*find, *add]
    last = free[-1]
    body: list[Stmt] = [For(str(index[last]), dim(ends[0]), dim(ends[1]), tuple(add), width, Tag.VECTOR)]
    for axis in reversed(free[:-1]):
        body = [For(str(index[axis]), 0, shape[axis], tuple(body))]
    return [*find, *body]


def _split_last(size: Size, body: list[Stmt], bindings: Bindings, ends: tuple[str, str]) -> list[Stmt]:
    """Divide the last independent axis among threads in blocks."""
    block = bindings.fresh("j")
    lets: list[Stmt] = [
        Let(ends[0], Index(dim(block))), Let(ends[1], Op("min", (Index(dim(block) + 256), Index(size)), INT64)),
    ]  # fmt: skip
    return [For(block, 0, size, (*lets, *body), 256, Tag.PARALLEL)]
