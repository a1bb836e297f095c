"""Folds: reductions as loops, in an order that structure, shapes and dtypes alone decide.

In: a group whose root reduces one axis (a Fold, or a Contraction without an axis to vectorise over). Out: one kernel,
or two where the axis may be longer than a chunk: chunks first, then a tree over the chunks with the epilogue.

The order, on every machine and for every number of threads:
- an axis is cut into chunks; within a chunk elements go to interleaved partial states, which a tree joins
  (`along`: the reduced axis is the last one), or to one state per result in turn (`across`: results lie side by side);
- the chunks' states are joined pairwise, the first half with the second.
It must not know operators: a `Reduction` says how to begin, step, combine and finish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codegen.elements import Bindings, Elements, Lowered, Temp
from codegen.group import Group
from codegen.ir import (
    Access,
    Alloc,
    Const,
    For,
    If,
    Index,
    Let,
    Load,
    Local,
    Name,
    Op,
    Set,
    Space,
    Stmt,
    Store,
    Tag,
    Value,
    While,
)  # fmt: skip
from codegen.machine import Machine
from codegen.nest import group_dtypes, lanes, smaller
from codegen.reach import extents_of, index_names, squeezed
from codegen.scalars import cast, formula
from symgrad.dtypes import BOOL, INT64, DType
from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Fold, Indices
from symgrad.shape import Shape, Size, dim, product

ALONG_CHUNK = 4096
ACROSS_CHUNK = 512
PARTIAL_BYTES = 256  # of interleaved partial states
State = tuple[Value, ...]
Stepper = Callable[[State, Size], tuple[list[Stmt], State]]


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


def fold_reduction(node: Expr, elements: Elements) -> Reduction:
    """Give the reduction of a Fold node."""
    fold = row_of(node).structure
    assert isinstance(fold, Fold)
    (x,), (axis,) = node.args, node.attrs["axes"]
    names = [name for name, _ in fold.state]
    dtypes = tuple({"x": x.dtype, "out": node.dtype}.get(d) or DType(d) for _, d in fold.state)

    def build(texts: Sequence[str], env: Mapping[str, Value]) -> State:
        return tuple(cast(formula(t, env, d), d) for t, d in zip(texts, dtypes, strict=True))

    def step(state: State, position: Size, index: Indices) -> tuple[list[Stmt], State]:
        at = iter(index)
        spread = tuple(0 if isinstance(n, int) and n == 1 else next(at) for n in node.shape)
        element = elements.value(x, (*spread[:axis], position, *spread[axis:]))
        lets = elements.taken()
        own = {d: cast(element, d) for d in dtypes} if len(dtypes) == 1 else {}
        env = {**dict(zip(names, state, strict=True)), "x": own.get(dtypes[0], element), "i": Index(position)}
        return lets, build(fold.step, env)

    def combine(first: State, second: State) -> State:
        later = {f"{name}_": value for name, value in zip(names, second, strict=True)}
        return build(fold.combine, {**dict(zip(names, first, strict=True)), **later})

    def finish(state: State) -> Value:
        return cast(formula(fold.finish, dict(zip(names, state, strict=True)), dtypes[0]), node.dtype)

    return Reduction(dtypes, build(fold.init, {}), step, combine, finish)


def fold_kernels(group: Group, home: Mapping[Expr, Group], machine: Machine) -> list[Lowered]:
    """Lower a group whose root is a Fold of one axis."""
    root = group.root
    assert root is not None
    (x,), (axis,) = root.args, root.attrs["axes"]
    along = not squeezed(x.shape[axis + 1 :])
    shapes = Shapes(squeezed(root.shape), x.shape[axis], along)
    width = lanes(machine, [*group_dtypes(group), x.dtype])
    extents = extents_of(index_names(shapes.results), shapes.results)

    def make(bindings: Bindings) -> Reduction:
        return fold_reduction(root, Elements(group, home, bindings, extents=extents))

    return reduction_kernels(group, home, shapes, make, width)


def reduction_kernels(
    group: Group, home: Mapping[Expr, Group], shapes: Shapes, make: Callable[[Bindings], Reduction], width: int
) -> list[Lowered]:
    """Lower a reduction with its epilogue: one kernel if one chunk holds the axis, else two."""
    bindings = Bindings()
    reduction = make(bindings)
    if shapes.is_single:
        return [bindings.finish("fold", _whole(group, home, shapes, reduction, bindings, width))]
    temps = [Temp((shapes.chunks + 1, *shapes.results), d) for d in reduction.dtypes]  # one even for no element
    parts = bindings.finish("chunk", _chunked(shapes, reduction, temps, bindings, width))
    bindings = Bindings()
    joined = _joined(group, home, shapes, make(bindings), temps, bindings, width)
    return [parts, bindings.finish("join", joined)]


# -- one chunk -----------------------------------------------------------------------------------------------------


def _partials(reduction: Reduction, size: Size, width: int) -> int:
    """Give the number of interleaved states: a constant of the dtypes, less where the axis is short."""
    count = PARTIAL_BYTES // max(d.size for d in reduction.dtypes)
    if isinstance(size, int):
        while count > 1 and count // 2 >= size:
            count //= 2
    return count


def _states(
    prefix: str, reduction: Reduction, shape: tuple[int, ...], bindings: Bindings
) -> tuple[list[str], list[Stmt]]:
    names = [bindings.fresh(prefix) for _ in reduction.dtypes]
    return names, [Alloc(n, d, shape, Space.REGISTER) for n, d in zip(names, reduction.dtypes, strict=True)]


def _loads(arrays: Sequence[str], index: Indices, reduction: Reduction) -> State:
    return tuple(Load(a, index, d) for a, d in zip(arrays, reduction.dtypes, strict=True))


def _writes(arrays: Sequence[str], index: Indices, state: State, bindings: Bindings) -> list[Stmt]:
    """Store a state; all of it is computed before any of it is written."""
    if len(arrays) == 1:
        return [Store(arrays[0], index, state[0])]
    names = [bindings.fresh("s") for _ in arrays]
    lets: list[Stmt] = [Let(n, v) for n, v in zip(names, state, strict=True)]
    dtypes = [getattr(v, "dtype", INT64) for v in state]
    return lets + [Store(a, index, Name(n, d)) for a, n, d in zip(arrays, names, dtypes, strict=True)]


def _along(
    reduction: Reduction, index: Indices, start: Size, stop: Size, partials: int, bindings: Bindings, width: int
) -> tuple[list[Stmt], list[str]]:
    """Reduce positions start..stop into state arrays whose element 0 is the result."""
    arrays, body = _states("acc", reduction, (partials,), bindings)
    k, p = bindings.fresh("k"), bindings.fresh("p")
    width = min(width, partials)

    def lane_loop(inner: Sequence[Stmt], count: int = partials) -> For:
        return For(p, 0, count, tuple(inner), min(width, count), Tag.VECTOR)

    def step(at: Size) -> list[Stmt]:
        lets, state = reduction.step(_loads(arrays, (dim(p),), reduction), at, index)
        return [*lets, *_writes(arrays, (dim(p),), state, bindings)]

    body.append(lane_loop(_writes(arrays, (dim(p),), reduction.init, bindings)))
    whole = (stop - start) // partials * partials
    if not (isinstance(whole, int) and whole == 0):
        body.append(For(k, start, start + whole, (lane_loop(step(dim(k) + dim(p))),), partials))
    if not (isinstance(stop - start, int) and stop - start == whole):
        last = start + whole + dim(p)
        inside = Op("lt", (Index(last), Index(stop)), BOOL)
        body.append(lane_loop([If(inside, tuple(step(last)))]))
    while partials > 1:
        partials //= 2
        first = _loads(arrays, (dim(p),), reduction)
        second = _loads(arrays, (dim(p) + partials,), reduction)
        body.append(lane_loop(_writes(arrays, (dim(p),), reduction.combine(first, second), bindings), partials))
    return body, arrays


def _across(
    reduction: Reduction, index: Indices, start: Size, stop: Size, columns: Size, bindings: Bindings, width: int
) -> tuple[list[Stmt], list[str], int]:
    """Reduce positions start..stop for a block of results side by side; the last index is the block's first column."""
    block = PARTIAL_BYTES // max(d.size for d in reduction.dtypes)
    if isinstance(columns, int):
        block = min(block, max(-(-columns // width), 1) * width)
    arrays, body = _states("acc", reduction, (block,), bindings)
    k, p = bindings.fresh("k"), bindings.fresh("p")
    body.append(For(p, 0, block, tuple(_writes(arrays, (dim(p),), reduction.init, bindings)), width, Tag.VECTOR))
    at = (*index[:-1], index[-1] + dim(p))
    lets, state = reduction.step(_loads(arrays, (dim(p),), reduction), dim(k), at)
    inner = [*lets, *_writes(arrays, (dim(p),), state, bindings)]
    loop = For(p, 0, block, tuple(_within(at[-1], columns, block, inner)), width, Tag.VECTOR)
    body.append(For(k, start, stop, (loop,)))
    return body, arrays, block


def _within(column: Size, columns: Size, block: int, inner: Sequence[Stmt]) -> Sequence[Stmt]:
    """Mask the columns beyond the last, unless blocks fit exactly."""
    if isinstance(columns, int) and columns % block == 0:
        return inner
    return [If(Op("lt", (Index(column), Index(columns)), BOOL), tuple(inner))]


# -- kernels -------------------------------------------------------------------------------------------------------


def _outer(shape: Shape, index: Indices, body: Sequence[Stmt], parallel: bool = True) -> tuple[Stmt, ...]:
    """Wrap the body in serial loops over the axes, the first of them split among threads."""
    for axis in reversed(range(len(shape))):
        tag = Tag.PARALLEL if axis == 0 and parallel else Tag.SERIAL
        body = [For(str(index[axis]), 0, shape[axis], tuple(body), 1, tag)]
    return tuple(body)


def _blocks(
    shape: Shape, index: Indices, block: int, body: Sequence[Stmt], first: str, parallel: bool
) -> tuple[Stmt, ...]:
    """Loop over blocks of the last axis inside loops over the others."""
    tag = Tag.PARALLEL if parallel and len(shape) == 1 else Tag.SERIAL
    return _outer(shape[:-1], index, [For(first, 0, shape[-1], tuple(body), block, tag)], parallel)


def _whole(
    group: Group, home: Mapping[Expr, Group], shapes: Shapes, reduction: Reduction, bindings: Bindings, width: int
) -> tuple[Stmt, ...]:
    index = index_names(shapes.results)
    if shapes.along:
        partials = _partials(reduction, shapes.size, width)
        body, arrays = _along(reduction, index, 0, shapes.size, partials, bindings, width)
        result = reduction.finish(_loads(arrays, (0,), reduction))
        return _outer(shapes.results, index, [*body, *_epilogue(group, home, bindings, result, {}, shapes.results)])
    first, p = bindings.fresh("c"), bindings.fresh("p")
    start = (*index[:-1], dim(first))
    body, arrays, block = _across(reduction, start, 0, shapes.size, shapes.results[-1], bindings, width)
    result = reduction.finish(_loads(arrays, (dim(p),), reduction))
    env = {str(index[-1]): dim(first) + dim(p)}
    writes = _epilogue(group, home, bindings, result, env, shapes.results)
    inner = _within(dim(first) + dim(p), shapes.results[-1], block, writes)
    body.append(For(p, 0, block, tuple(inner), width, Tag.VECTOR))
    return _blocks(shapes.results, index, block, body, first, parallel=True)


def _epilogue(
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


def _chunked(
    shapes: Shapes, reduction: Reduction, temps: Sequence[Temp], bindings: Bindings, width: int
) -> tuple[Stmt, ...]:
    """Reduce every chunk to a state of its own."""
    index = index_names(shapes.results)
    outs = [bindings.buffer(t, Access.OUT, t.shape, t.dtype) for t in temps]
    c, start = bindings.fresh("c"), bindings.fresh("from")
    lets, stop = smaller(dim(start) + shapes.chunk, shapes.size, "to", bindings)
    head: list[Stmt] = [Let(start, Index(dim(c) * shapes.chunk)), *lets]
    by_result = _splits_by_result(shapes)
    if shapes.along:
        partials = _partials(reduction, shapes.size, width)
        body, arrays = _along(reduction, index, dim(start), stop, partials, bindings, width)
        body += _writes(outs, (dim(c), *index), _loads(arrays, (0,), reduction), bindings)
    else:
        first, p = bindings.fresh("c"), bindings.fresh("p")
        at = (*index[:-1], dim(first))
        body, arrays, block = _across(reduction, at, dim(start), stop, shapes.results[-1], bindings, width)
        place = (dim(c), *index[:-1], dim(first) + dim(p))
        write = _writes(outs, place, _loads(arrays, (dim(p),), reduction), bindings)
        inner = _within(place[-1], shapes.results[-1], block, write)
        body.append(For(p, 0, block, tuple(inner), width, Tag.VECTOR))
    chunk_loop = [For(c, 0, shapes.chunks, (*head, *body), 1, Tag.SERIAL if by_result else Tag.PARALLEL)]
    if by_result:
        if shapes.along:
            return _outer(shapes.results, index, chunk_loop)
        return _blocks(shapes.results, index, block, chunk_loop, first, parallel=True)
    if shapes.along:
        inner_loops = _outer(shapes.results, index, body, parallel=False)
    else:
        inner_loops = _blocks(shapes.results, index, block, body, first, parallel=False)
    return (For(c, 0, shapes.chunks, (*head, *inner_loops), 1, Tag.PARALLEL),)


def _splits_by_result(shapes: Shapes) -> bool:
    """Tell whether threads divide the results rather than the chunks: only if there are many, or unknown many."""
    lines = shapes.results if shapes.along else shapes.results[:-1]
    count = product(lines) if shapes.along or lines else 1
    columns = shapes.results[-1] if not shapes.along else 1
    if not isinstance(count, int) or not isinstance(columns, int):
        return True
    return count * (columns // 64) >= 4 if not shapes.along else count >= 4


def _joined(
    group: Group, home: Mapping[Expr, Group], shapes: Shapes, reduction: Reduction, temps: Sequence[Temp],
    bindings: Bindings, width: int,
) -> tuple[Stmt, ...]:  # fmt: skip
    """Join the chunks' states pairwise in place, then compute what the group makes of the results."""
    index = index_names(shapes.results)
    states = [bindings.buffer(t, Access.INOUT, t.shape, t.dtype) for t in temps]
    m, h, t = bindings.fresh("m"), bindings.fresh("h"), bindings.fresh("t")
    count = Name(m, INT64)
    half = Op("ashr", (Op("add", (count, Const(1, INT64)), INT64), Const(1, INT64)), INT64)
    rest = bindings.fresh("n")

    def tree(at: Indices, wrap: Callable[[list[Stmt]], list[Stmt]]) -> list[Stmt]:
        first, second = _loads(states, (dim(t), *at), reduction), _loads(states, (dim(t) + dim(h), *at), reduction)
        join = _writes(states, (dim(t), *at), reduction.combine(first, second), bindings)
        level: list[Stmt] = [
            Let(h, half),
            Let(rest, Op("sub", (count, Name(h, INT64)), INT64)),
            For(t, 0, dim(rest), tuple(wrap(join))),
            Set(m, Name(h, INT64)),
        ]
        more = Op("gt", (count, Const(1, INT64)), BOOL)
        return [Local(m, Index(shapes.chunks)), While(more, tuple(level))]

    def final(at: Indices, env: Mapping[str, Size]) -> list[Stmt]:
        result = reduction.finish(_loads(states, (0, *at), reduction))
        return _epilogue(group, home, bindings, result, env, shapes.results)

    empty = [Store(s, (0, *index), v) for s, v in zip(states, reduction.init, strict=True)]
    none = Op("eq", (Index(shapes.chunks), Const(0, INT64)), BOOL)
    if not shapes.results:
        guard = [If(none, tuple(empty))]
        return (*guard, *tree((), lambda s: s), *final((), {}))
    first, j = bindings.fresh("c"), str(index[-1])
    lets, stop = smaller(dim(first) + 64, shapes.results[-1], "to", bindings)

    def vector(inner: list[Stmt]) -> list[Stmt]:
        return [For(j, dim(first), stop, tuple(inner), width, Tag.VECTOR)]

    body = [*lets, If(none, tuple(vector(list(empty)))), *tree(index, vector), *vector(final(index, {}))]
    return _blocks(shapes.results, index, 64, body, first, parallel=True)
