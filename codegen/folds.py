"""Folds: reductions as kernels, in an order that structure, shapes and dtypes alone decide.

In: a group whose root reduces one axis (a Fold, or a Contraction without an axis to vectorise over). Out: one kernel,
or two where there are few results and the axis may be longer than a chunk: chunks first, which threads divide, then a
tree over the chunks with the epilogue.

The order, on every machine and for every number of threads:
- an axis is cut into chunks; within a chunk elements go to interleaved partial states, which a tree joins
  (`along`: the reduced axis is the last one), or to one state per result in turn (`across`: results lie side by side);
- the chunks' states are joined pairwise, the first half with the second.
It must not know operators: a `Reduction` says how to begin, step, combine and finish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from codegen.elements import Bindings, Elements, Lowered
from codegen.group import Group
from codegen.ir import (
    Access,
    Alloc,
    Const,
    For,
    If,
    Index,
    Let,
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
from codegen.operand import Temp
from codegen.reach import extents_of, index_names, squeezed
from codegen.reduction import (
    Reduction,
    Shapes,
    State,
    across,
    along,
    blocks,
    epilogue,
    loads,
    outer,
    within,
    writes,
)  # fmt: skip
from codegen.scalars import cast, formula
from symgrad.dtypes import BOOL, INT64, DType
from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Fold, Indices
from symgrad.shape import Size, dim, product

Wrap = Callable[[list[Stmt]], list[Stmt]]


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
    """Lower a reduction with its epilogue: one kernel where a thread makes whole results, else two."""
    kernels = _Kernels(group, home, shapes, make, width)
    if shapes.is_single or _splits_by_result(shapes):
        return [kernels.whole()]
    temps = [Temp((shapes.chunks + 1, *shapes.results), d) for d in make(Bindings()).dtypes]  # one even for no element
    return [kernels.parts(temps), kernels.join(temps)]


def _splits_by_result(shapes: Shapes) -> bool:
    """Tell whether threads divide the results rather than the chunks: only if there are many, or unknown many."""
    lines = shapes.results if shapes.along else shapes.results[:-1]
    count = product(lines) if shapes.along or lines else 1
    columns = shapes.results[-1] if not shapes.along else 1
    if not isinstance(count, int) or not isinstance(columns, int):
        return True
    return count * (columns // 64) >= 4 if not shapes.along else count >= 4


class _Kernels:
    """The kernels of one reduction."""

    def __init__(
        self, group: Group, home: Mapping[Expr, Group], shapes: Shapes, make: Callable[[Bindings], Reduction],
        width: int,
    ) -> None:  # fmt: skip
        self.group, self.home, self.shapes, self.make, self.width = group, home, shapes, make, width
        self.index = index_names(shapes.results)

    def _begin(self) -> None:
        self.bindings = Bindings()
        self.reduction = self.make(self.bindings)

    def _epilogue(self, result: Value, env: Mapping[str, Size]) -> list[Stmt]:
        return epilogue(self.group, self.home, self.bindings, result, env, self.shapes.results)

    # -- one kernel ------------------------------------------------------------------------------------------------

    def whole(self) -> Lowered:
        """Reduce the whole axis for a result, or a block of them, and go on to what the group makes of it."""
        self._begin()
        if self.shapes.along:
            body, arrays, place = self._whole_along()
            result = self.reduction.finish(loads(arrays, place, self.reduction))
            loops = outer(self.shapes.results, self.index, [*body, *self._epilogue(result, {})])
            return self.bindings.finish("fold", loops)
        first, p = self.bindings.fresh("c"), self.bindings.fresh("p")
        body, arrays, place, block = self._whole_across(first, p)
        result = self.reduction.finish(loads(arrays, place, self.reduction))
        column = dim(first) + dim(p)
        inner = within(column, self.shapes.results[-1], block, self._epilogue(result, {str(self.index[-1]): column}))
        body.append(For(p, 0, block, tuple(inner), self.width, Tag.VECTOR))
        loops = blocks(self.shapes.results, self.index, block, body, first, parallel=True)
        return self.bindings.finish("fold", loops)

    def _whole_along(self) -> tuple[list[Stmt], list[str], Indices]:
        """Reduce for one result: the statements, and where the state lies."""
        shapes = self.shapes
        if shapes.is_single:
            return *along(self.reduction, self.index, 0, shapes.size, shapes.size, self.bindings, self.width), (0,)
        c, head, start, stop = self._chunk()
        body, arrays = along(self.reduction, self.index, start, stop, shapes.size, self.bindings, self.width)
        states, allocs = self._states(())
        body += writes(states, (dim(c),), loads(arrays, (0,), self.reduction), self.bindings)
        loop = For(c, 0, shapes.chunks, (*head, *body))
        return [*allocs, self._empty(states, (), list), loop, *self._tree(states, (), list)], states, (0,)

    def _whole_across(self, first: str, p: str) -> tuple[list[Stmt], list[str], Indices, int]:
        """Reduce for a block of results from column `first` on, in lanes `p`."""
        shapes, at = self.shapes, (*self.index[:-1], dim(first))
        columns = shapes.results[-1]
        if shapes.is_single:
            body, arrays, block = across(self.reduction, at, 0, shapes.size, columns, self.bindings, self.width)
            return body, arrays, (dim(p),), block
        c, head, start, stop = self._chunk()
        body, arrays, block = across(self.reduction, at, start, stop, columns, self.bindings, self.width)

        def lanes_of(inner: list[Stmt]) -> list[Stmt]:
            return [For(p, 0, block, tuple(inner), self.width, Tag.VECTOR)]

        states, allocs = self._states((block,))
        body += lanes_of(writes(states, (dim(c), dim(p)), loads(arrays, (dim(p),), self.reduction), self.bindings))
        loop = For(c, 0, shapes.chunks, (*head, *body))
        tree = self._tree(states, (dim(p),), lanes_of)
        return [*allocs, self._empty(states, (dim(p),), lanes_of), loop, *tree], states, (0, dim(p)), block

    def _states(self, shape: tuple[int, ...]) -> tuple[list[str], list[Stmt]]:
        """Declare memory for the states of all chunks, one even for no element."""
        dtypes = self.reduction.dtypes
        names = [self.bindings.fresh("parts") for _ in dtypes]
        size = (self.shapes.chunks + 1, *shape)
        return names, [Alloc(n, d, size, Space.SCRATCH) for n, d in zip(names, dtypes, strict=True)]

    # -- chunks and their tree -------------------------------------------------------------------------------------

    def _chunk(self) -> tuple[str, list[Stmt], Size, Size]:
        """Name a chunk, and say where it starts and stops."""
        c, start = self.bindings.fresh("c"), self.bindings.fresh("from")
        lets, stop = smaller(dim(start) + self.shapes.chunk, self.shapes.size, "to", self.bindings)
        return c, [Let(start, Index(dim(c) * self.shapes.chunk)), *lets], dim(start), stop

    def _empty(self, states: Sequence[str], at: Indices, wrap: Wrap) -> If:
        """Begin the state of what has no chunk."""
        begin: list[Stmt] = [Store(s, (0, *at), v) for s, v in zip(states, self.reduction.init, strict=True)]
        return If(Op("eq", (Index(self.shapes.chunks), Const(0, INT64)), BOOL), tuple(wrap(begin)))

    def _tree(self, states: Sequence[str], at: Indices, wrap: Wrap) -> list[Stmt]:
        """Join the chunks' states pairwise in place."""
        m, h, t = (self.bindings.fresh(name) for name in "mht")
        count, rest = Name(m, INT64), self.bindings.fresh("n")
        half = Op("ashr", (Op("add", (count, Const(1, INT64)), INT64), Const(1, INT64)), INT64)
        first, second = (loads(states, (place, *at), self.reduction) for place in (dim(t), dim(t) + dim(h)))
        join = writes(states, (dim(t), *at), self.reduction.combine(first, second), self.bindings)
        level: list[Stmt] = [
            Let(h, half),
            Let(rest, Op("sub", (count, Name(h, INT64)), INT64)),
            For(t, 0, dim(rest), tuple(wrap(join))),
            Set(m, Name(h, INT64)),
        ]
        more = Op("gt", (count, Const(1, INT64)), BOOL)
        return [Local(m, Index(self.shapes.chunks)), While(more, tuple(level))]

    # -- two kernels -----------------------------------------------------------------------------------------------

    def parts(self, temps: Sequence[Temp]) -> Lowered:
        """Reduce every chunk to a state of its own; threads divide the chunks."""
        self._begin()
        shapes, index, bindings = self.shapes, self.index, self.bindings
        outs = [bindings.buffer(t, Access.OUT, t.shape, t.dtype) for t in temps]
        c, head, start, stop = self._chunk()
        if shapes.along:
            body, arrays = along(self.reduction, index, start, stop, shapes.size, bindings, self.width)
            body += writes(outs, (dim(c), *index), loads(arrays, (0,), self.reduction), bindings)
            loops = outer(shapes.results, index, body, parallel=False)
        else:
            first, p = bindings.fresh("c"), bindings.fresh("p")
            at = (*index[:-1], dim(first))
            body, arrays, block = across(
                self.reduction, at, start, stop, shapes.results[-1], bindings, self.width
            )  # fmt: skip
            place = (dim(c), *index[:-1], dim(first) + dim(p))
            write = writes(outs, place, loads(arrays, (dim(p),), self.reduction), bindings)
            inner = within(place[-1], shapes.results[-1], block, write)
            body.append(For(p, 0, block, tuple(inner), self.width, Tag.VECTOR))
            loops = blocks(shapes.results, index, block, body, first, parallel=False)
        return bindings.finish("chunk", [For(c, 0, shapes.chunks, (*head, *loops), 1, Tag.PARALLEL)])

    def join(self, temps: Sequence[Temp]) -> Lowered:
        """Join the chunks' states, then compute what the group makes of the results."""
        self._begin()
        shapes, index, bindings = self.shapes, self.index, self.bindings
        states = [bindings.buffer(t, Access.INOUT, t.shape, t.dtype) for t in temps]
        result = self.reduction.finish(loads(states, (0, *index), self.reduction))
        if not shapes.results:
            body = [self._empty(states, (), list), *self._tree(states, (), list), *self._epilogue(result, {})]
            return bindings.finish("join", body)
        first, j = bindings.fresh("c"), str(index[-1])
        lets, stop = smaller(dim(first) + 64, shapes.results[-1], "to", bindings)

        def vector(inner: list[Stmt]) -> list[Stmt]:
            return [For(j, dim(first), stop, tuple(inner), self.width, Tag.VECTOR)]

        empty, tree = self._empty(states, index, vector), self._tree(states, index, vector)
        body = [*lets, empty, *tree, *vector(self._epilogue(result, {}))]
        return bindings.finish("join", blocks(shapes.results, index, 64, body, first, parallel=True))
