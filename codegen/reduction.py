"""Reduction: how one axis is reduced, and the loops that do it for a chunk of the axis.

In: a `Reduction`, which says how to begin, step, combine and finish; the `Shapes` around it. Out: statements that take
positions into states in registers, interleaved along the axis or side by side across it; the loops around results. It
must not know which kernels these become.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codegen.elements import Bindings, Elements
from codegen.group import Group
from codegen.ir import Alloc, For, If, Index, Let, Load, Name, Op, Space, Stmt, Store, Tag, Value
from codegen.reach import extents_of, index_names
from symgrad.dtypes import BOOL, INT64, DType
from symgrad.expr import Expr
from symgrad.ops.structure import Indices
from symgrad.shape import Shape, Size, dim

ALONG_CHUNK = 4096
ACROSS_CHUNK = 512
PARTIAL_BYTES = 256  # of interleaved partial states
State = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Reduction:
    """How one result is made: states of these dtypes, and functions over tuples of values.

    `step(state, position, index)` takes in the element at a position of the reduced axis for the result at an index.
    """

    dtypes: tuple[DType, ...]
    init: State
    step: Callable[[State, Size, Indices], tuple[list[Stmt], State]]
    combine: Callable[[State, State], State]
    finish: Callable[[State], Value]


@dataclass(frozen=True, slots=True)
class Shapes:
    """The result's non-unit axes, the size of the reduced axis, and whether it lies along the vectors."""

    results: Shape
    size: Size
    along: bool

    @property
    def chunk(self) -> int:
        """Give the length of a chunk."""
        return ALONG_CHUNK if self.along else ACROSS_CHUNK

    @property
    def chunks(self) -> Size:
        """Give the number of chunks."""
        return (self.size + self.chunk - 1) // self.chunk

    @property
    def is_single(self) -> bool:
        """Tell whether one chunk holds the axis, whatever the dimensions are."""
        return isinstance(self.size, int) and self.size <= self.chunk


# -- one chunk -----------------------------------------------------------------------------------------------------


def _partials(reduction: Reduction, size: Size) -> int:
    """Give the number of interleaved states: a constant of the dtypes, less where the axis is short."""
    count = PARTIAL_BYTES // max(d.size for d in reduction.dtypes)
    if isinstance(size, int):
        while count > 1 and count // 2 >= size:
            count //= 2
    return count


def _states(
    prefix: str, reduction: Reduction, shape: tuple[int, ...], bindings: Bindings
) -> tuple[list[str], list[Stmt]]:
    """Declare registers for states."""
    names = [bindings.fresh(prefix) for _ in reduction.dtypes]
    return names, [Alloc(n, d, shape, Space.REGISTER) for n, d in zip(names, reduction.dtypes, strict=True)]


def loads(arrays: Sequence[str], index: Indices, reduction: Reduction) -> State:
    """Load a state."""
    return tuple(Load(a, index, d) for a, d in zip(arrays, reduction.dtypes, strict=True))


def writes(arrays: Sequence[str], index: Indices, state: State, bindings: Bindings) -> list[Stmt]:
    """Store a state; all of it is computed before any of it is written."""
    if len(arrays) == 1:
        return [Store(arrays[0], index, state[0])]
    names = [bindings.fresh("s") for _ in arrays]
    lets: list[Stmt] = [Let(n, v) for n, v in zip(names, state, strict=True)]
    dtypes = [getattr(v, "dtype", INT64) for v in state]
    return lets + [Store(a, index, Name(n, d)) for a, n, d in zip(arrays, names, dtypes, strict=True)]


def along(
    reduction: Reduction, index: Indices, start: Size, stop: Size, size: Size, bindings: Bindings, width: int
) -> tuple[list[Stmt], list[str]]:
    """Reduce positions start..stop, of `size` in all, into state arrays whose element 0 is the result."""
    partials = _partials(reduction, size)
    arrays, body = _states("acc", reduction, (partials,), bindings)
    k, p = bindings.fresh("k"), bindings.fresh("p")
    width = min(width, partials)

    def lane_loop(inner: Sequence[Stmt], count: int = partials) -> For:
        return For(p, 0, count, tuple(inner), min(width, count), Tag.VECTOR)

    def step(at: Size) -> list[Stmt]:
        lets, state = reduction.step(loads(arrays, (dim(p),), reduction), at, index)
        return [*lets, *writes(arrays, (dim(p),), state, bindings)]

    body.append(lane_loop(writes(arrays, (dim(p),), reduction.init, bindings)))
    whole = (stop - start) // partials * partials
    if not (isinstance(whole, int) and whole == 0):
        body.append(For(k, start, start + whole, (lane_loop(step(dim(k) + dim(p))),), partials))
    if not (isinstance(stop - start, int) and stop - start == whole):
        last = start + whole + dim(p)
        inside = Op("lt", (Index(last), Index(stop)), BOOL)
        body.append(lane_loop([If(inside, tuple(step(last)))]))
    while partials > 1:
        partials //= 2
        first = loads(arrays, (dim(p),), reduction)
        second = loads(arrays, (dim(p) + partials,), reduction)
        body.append(lane_loop(writes(arrays, (dim(p),), reduction.combine(first, second), bindings), partials))
    return body, arrays


def across(
    reduction: Reduction, index: Indices, start: Size, stop: Size, columns: Size, bindings: Bindings, width: int
) -> tuple[list[Stmt], list[str], int]:
    """Reduce positions start..stop for a block of results side by side; the last index is the block's first column."""
    block = PARTIAL_BYTES // max(d.size for d in reduction.dtypes)
    if isinstance(columns, int):
        block = min(block, max(-(-columns // width), 1) * width)
    arrays, body = _states("acc", reduction, (block,), bindings)
    k, p = bindings.fresh("k"), bindings.fresh("p")
    body.append(For(p, 0, block, tuple(writes(arrays, (dim(p),), reduction.init, bindings)), width, Tag.VECTOR))
    at = (*index[:-1], index[-1] + dim(p))
    lets, state = reduction.step(loads(arrays, (dim(p),), reduction), dim(k), at)
    inner = [*lets, *writes(arrays, (dim(p),), state, bindings)]
    loop = For(p, 0, block, tuple(within(at[-1], columns, block, inner)), width, Tag.VECTOR)
    body.append(For(k, start, stop, (loop,)))
    return body, arrays, block


def within(column: Size, columns: Size, block: int, inner: Sequence[Stmt]) -> Sequence[Stmt]:
    """Mask the columns beyond the last, unless blocks fit exactly."""
    if isinstance(columns, int) and columns % block == 0:
        return inner
    return [If(Op("lt", (Index(column), Index(columns)), BOOL), tuple(inner))]


# -- around chunks ---------------------------------------------------------------------------------------------------


def outer(shape: Shape, index: Indices, body: Sequence[Stmt], parallel: bool = True) -> tuple[Stmt, ...]:
    """Wrap the body in serial loops over the axes, the first of them split among threads."""
    for axis in reversed(range(len(shape))):
        tag = Tag.PARALLEL if axis == 0 and parallel else Tag.SERIAL
        body = [For(str(index[axis]), 0, shape[axis], tuple(body), 1, tag)]
    return tuple(body)


def blocks(
    shape: Shape, index: Indices, block: int, body: Sequence[Stmt], first: str, parallel: bool
) -> tuple[Stmt, ...]:
    """Loop over blocks of the last axis inside loops over the others."""
    tag = Tag.PARALLEL if parallel and len(shape) == 1 else Tag.SERIAL
    return outer(shape[:-1], index, [For(first, 0, shape[-1], tuple(body), block, tag)], parallel)


def epilogue(
    group: Group, home: Mapping[Expr, Group], bindings: Bindings, result: Value, env: Mapping[str, Size], results: Shape
) -> list[Stmt]:
    """Compute and store what the group makes of one result."""
    name = bindings.fresh("r")
    dtype = getattr(result, "dtype", INT64)
    index = index_names(results)
    elements = Elements(
        group, home, bindings, root=lambda _: Name(name, dtype), env=env, extents=extents_of(index, results)
    )
    return [Let(name, result), *elements.stores(index, results)]
