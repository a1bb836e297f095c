"""Nest: the loops around elements, and the kernels of map groups.

In: a domain and what to do at one of its elements. Out: loops with their tags: the outermost non-unit axis is split
among threads, the innermost runs in vectors. It must not know reductions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from codegen.ahead import asked_ahead
from codegen.elements import Bindings, Elements, Lowered
from codegen.group import Group
from codegen.ir import For, Index, Let, Op, Stmt, Tag
from codegen.machine import Machine
from codegen.reach import extents_of, index_names, squeezed
from symgrad.dtypes import FLOAT32, INT64, DType
from symgrad.expr import Expr
from symgrad.ops.structure import Indices
from symgrad.shape import Shape, Size, dim, names, product

BLOCK = 4096  # elements of a flat loop that one task computes
Body = Callable[[Indices], list[Stmt]]


def lanes(machine: Machine, dtypes: Iterable[DType]) -> int:
    """Give the vector width for a kernel that computes in these dtypes: that of the widest float among them."""
    widest = max((d for d in dtypes if d.is_float), key=lambda d: d.size, default=FLOAT32)
    return machine.lanes(widest)


def group_dtypes(group: Group) -> list[DType]:
    """List the dtypes that a group computes in."""
    return [n.dtype for n in (*group.stores, *group.nodes, *([group.root] if group.root is not None else []))]


def smaller(a: Size, b: Size, prefix: str, bindings: Bindings) -> tuple[list[Stmt], Size]:
    """Give the smaller of two sizes, with the statements that compute it."""
    if isinstance(a, int) and isinstance(b, int):
        return [], min(a, b)
    name = bindings.fresh(prefix)
    return [Let(name, Op("min", (Index(a), Index(b)), INT64))], dim(name)


def nest(domain: Shape, width: int, body: Body, bindings: Bindings) -> tuple[Stmt, ...]:
    """Wrap the body in a loop per axis of the domain, which has no unit axes."""
    index = index_names(domain)
    inner = body(index)
    if not domain:
        return tuple(inner)
    if len(domain) == 1:
        return _flat(domain[0], width, inner, bindings)
    for axis in reversed(range(len(domain))):
        tag = Tag.VECTOR if axis == len(domain) - 1 else Tag.PARALLEL if axis == 0 else Tag.SERIAL
        inner = [For(str(index[axis]), 0, domain[axis], tuple(inner), width if tag is Tag.VECTOR else 1, tag)]
    return tuple(inner)


def _flat(size: Size, width: int, inner: Sequence[Stmt], bindings: Bindings) -> tuple[Stmt, ...]:
    """Loop over one axis in vectors, blocks of which are the tasks."""
    name = str(index_names((size,))[0]) if not _is_one(size) else "i0"
    if isinstance(size, int) and size <= BLOCK:
        return (For(name, 0, size, tuple(inner), width, Tag.VECTOR),)
    start = bindings.fresh("t")
    lets, stop = smaller(dim(start) + BLOCK, size, "hi", bindings)
    loop = For(name, dim(start), stop, tuple(inner), width, Tag.VECTOR)
    return (For(start, 0, size, (*lets, loop), BLOCK, Tag.PARALLEL),)


def _is_one(size: Size) -> bool:
    return isinstance(size, int) and size == 1


def map_kernel(group: Group, home: Mapping[Expr, Group], machine: Machine, by_rows: bool = False) -> Lowered:
    """Lower a group without a reduction: one loop nest that computes and stores every result.

    One loop serves for all axes where memory allows it, but for `by_rows`.
    """
    domain = squeezed(group.domain)
    width = lanes(machine, group_dtypes(group))
    flat = len(domain) > 1 and not by_rows and _is_flat(group, home, domain)
    bindings = Bindings()
    total = (product(domain),) if flat else domain
    index = index_names(domain)
    elements = Elements(
        group, home, bindings, flat=index_names(total)[0] if flat else None, extents=extents_of(index, domain)
    )
    body = nest(total, width, lambda _: elements.stores(index, domain), bindings)
    return bindings.finish("map", asked_ahead(body, bindings))


def _is_flat(group: Group, home: Mapping[Expr, Group], domain: Shape) -> bool:
    """Tell whether every tensor is read and written whole and in order, so that one loop serves for all axes."""
    index = index_names(domain)
    probe = Elements(group, home, Bindings(), extents=extents_of(index, domain))
    probe.stores(index, domain)
    if probe.uses_index:
        return False
    own = tuple(index)
    for at, shape in probe.accesses:
        if any(names(i) for i in at) and (tuple(i for i in at if names(i)) != own or squeezed(shape) != domain):
            return False
    return True
