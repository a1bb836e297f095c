"""Matrix products: register-tiled kernels of `epilogue(sum_k left[.., m, k] * right[.., k, n])`.

In: a group whose root is a Contraction with rows and columns. Out: its kernel. The plain nest that a tile replaces is

    for m: for n: acc = 0; for k: acc = fma(left[m, k], right[k, n], acc); out[m, n] = epilogue(acc)

Where few columns are left beyond the last whole tile, these have a tile of their own, narrower and higher. Every result
is one chain of fused products over k, cut into chunks of `K_CHUNK` that are added in order: tile, packing, threads and
vector width change no bit. What adding the chunks rounds off is added at the end, so the error does not grow beyond a
chunk's. A panel of `right` is packed where its rows are not contiguous, or so far apart that they fall into the same
cache sets. It must not know operators.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

from codegen.contraction import Homes, Roles, contraction_fold, multiply_add, roles_of, zero
from codegen.elements import Bindings, Elements, Lowered
from codegen.group import Group
from codegen.ir import Alloc, For, If, Index, Let, Load, Name, Op, Space, Stmt, Store, Tag, Value
from codegen.machine import Machine
from codegen.nest import group_dtypes, lanes
from codegen.panels import MANY_COLUMNS, LeftPanels, compete
from codegen.reach import extents_of, index_names
from codegen.weight import divides, is_heavy
from symgrad.dtypes import BOOL, INT64
from symgrad.options import Options
from symgrad.shape import Size, dim

K_CHUNK = 1024  # products that one accumulator takes in before it is added to the total
FAR = 1024  # bytes: rows of `right` this far apart compete for few cache sets
MANY_ROWS = 32  # fewer rows do not repay packing a panel
MANY_PRODUCTS = 32  # fewer do not hide what the divider does
ROW_BLOCK = 4  # tiles of rows that share a panel where threads divide the rows
Meanwhile = Callable[[Size], list[Stmt]]  # of a row of a tile: what is done beside its share of the products


def contraction_kernels(group: Group, home: Homes, machine: Machine, options: Options) -> list[Lowered]:
    """Lower a group whose root is a Contraction: by tiles where there are rows and columns, else as a fold."""
    assert group.root is not None
    roles = roles_of(group.root)
    if not roles.rows or not roles.columns:
        return contraction_fold(group, home, machine, roles)
    if roles.out[-1] in roles.rows:
        roles = roles.swapped()
    return _Tiles(group, home, machine, options, roles).lower()


class _Tiles:
    """One kernel in the making: m and n are the axes of the tile, k the summed one, all others are looped over."""

    def __init__(self, group: Group, home: Homes, machine: Machine, options: Options, roles: Roles) -> None:
        assert group.root is not None
        self.group, self.home, self.roles = group, home, roles
        self.dtype = group.root.dtype
        self.bindings = Bindings()
        self.m, self.n = roles.rows[-1], roles.columns[-1]
        self.rows, self.columns = roles.sizes[self.m], roles.sizes[self.n]
        self.width = lanes(machine, group_dtypes(group))
        self.tile_rows, self.tile_columns = self._tile(machine, options)
        self.index = dict(zip(roles.out, index_names(roles.results), strict=True))
        self.outer = [label for label in roles.out if label not in (self.m, self.n)]
        self.k: Size = 0 if roles.summed is None else dim(self.bindings.fresh("k"))
        self.depth: Size = 1 if roles.summed is None else roles.sizes[roles.summed]
        self.inside = {**self.index, **({} if roles.summed is None else {roles.summed: self.k})}
        self.packed = self._packs(options)
        self.panel = self.bindings.fresh("panel")
        self.by_columns = not isinstance(self.columns, int) or self.columns >= 2 * self.tile_columns
        self.is_exact = self._divides(self.columns, self.tile_columns)
        self.left = self._left_panels(machine, options)
        self.narrow: _Tiles | None = None
        self.narrow = self._narrowed()

    def _tile(self, machine: Machine, options: Options) -> tuple[int, int]:
        """Give the rows and columns of the register tile: the machine's, or one vector wide for few columns."""
        rows, vectors = machine.tile
        if options.tiles is not None:
            rows, vectors = options.tiles[0], max(1, options.tiles[1] // self.width)
        elif isinstance(self.columns, int) and self.columns <= self.width:
            rows, vectors = rows * vectors, 1
        return (min(rows, self.rows) if isinstance(self.rows, int) and self.rows else rows), vectors * self.width

    def _left_panels(self, machine: Machine, options: Options) -> LeftPanels | None:
        """Give panels of `left` where they are wanted, or would be read too slowly as they are, too often."""
        few = isinstance(self.columns, int) and self.columns < MANY_COLUMNS
        wanted = not few if options.packing is None else options.packing
        if self.roles.summed is None or not self.by_columns or not wanted:
            return None
        if options.packing is None and not compete(self.roles, self.home, machine):
            return None
        return LeftPanels(self.roles, self.m, self.tile_rows * (self.tile_columns // self.width))

    def _narrowed(self) -> _Tiles | None:
        """Give the tile for the last columns: one vector wide, where they fit one; then no wide tile is cut."""
        rows = self.tile_rows * (self.tile_columns // self.width)
        if not isinstance(self.columns, int) or not 0 < self.columns % self.tile_columns <= self.width:
            return None
        if rows == self.tile_rows or (isinstance(self.rows, int) and self.rows < rows):
            return None
        narrow = copy.copy(self)
        narrow.tile_rows, narrow.tile_columns, narrow.panel = rows, self.width, self.bindings.fresh("panel")
        narrow.is_exact, self.is_exact = self._divides(self.columns, self.width), True
        return narrow

    def _packs(self, options: Options) -> bool:
        if self.roles.right.stride(self.n, self.home) != 1:
            return True
        if options.packing is not None:
            return options.packing
        if self.roles.summed is None or (isinstance(self.rows, int) and self.rows < MANY_ROWS):
            return False
        step = self.roles.right.stride(self.roles.summed, self.home)
        return not isinstance(step, int) or step * self.dtype.size >= FAR

    # -- loops -----------------------------------------------------------------------------------------------------

    def lower(self) -> list[Lowered]:
        """Write the loops: other axes, then column panels, then tiles of rows; the outermost is split among threads."""
        column, row = self.bindings.fresh("j"), self.bindings.fresh("i")
        inside = bool(self.outer)
        tag = Tag.SERIAL if inside else Tag.PARALLEL
        if self.by_columns:
            body = self._columns(column, self._panel(row, 0, self.rows, dim(column)), tag)
        else:
            body = self._row_blocks(row, column, tag)
        for position, label in enumerate(reversed(self.outer)):
            tag = Tag.PARALLEL if position == len(self.outer) - 1 else Tag.SERIAL
            body = [For(str(self.index[label]), 0, self.roles.sizes[label], tuple(body), 1, tag)]
        product = self.bindings.finish("product", body)
        return [product] if self.left is None else [self.left.kernel(self.group, self.home, self.width), product]

    def _columns(self, column: str, body: Sequence[Stmt], tag: Tag) -> list[Stmt]:
        return [For(column, 0, self.columns, tuple(body), self.tile_columns, tag)]

    def _row_blocks(self, row: str, column: str, tag: Tag) -> list[Stmt]:
        """Split few columns by blocks of rows; a block packs its own panel."""
        block = self.bindings.fresh("i")
        rows = self.tile_rows if self.narrow is None else self.narrow.tile_rows  # whole tiles of both kinds
        size = rows * (ROW_BLOCK if self.packed else 1)
        last = self.bindings.fresh("to")
        stop = Let(last, Op("min", (Index(dim(block) + size), Index(self.rows)), INT64))
        inner = self._columns(column, self._panel(row, dim(block), dim(last), dim(column)), Tag.SERIAL)
        return [For(block, 0, self.rows, (stop, *inner), size, tag)]

    def _panel(self, row: str, start: Size, stop: Size, column: Size) -> list[Stmt]:
        """Compute some rows of the columns from one on that a tile has."""
        body = [*self._pack(column), *self._row_tiles(row, start, stop, column)]
        if self.narrow is None:
            return body
        is_wide = Op("lt", (Index(column + self.width), Index(self.columns)), BOOL)
        return [If(is_wide, tuple(body), tuple(self.narrow._panel(row, start, stop, column)))]

    # -- the panel -------------------------------------------------------------------------------------------------

    def _elements(self, root: Value | None = None, env: Mapping[str, Size] | None = None) -> Elements:
        results = self.roles.results
        extents = extents_of(index_names(results), results)
        value = (lambda _: root) if root is not None else None
        return Elements(self.group, self.home, self.bindings, root=value, env=env, extents=extents)

    def _pack(self, column: Size) -> list[Stmt]:
        """Copy a panel of `right` into contiguous rows, zero beyond the last column."""
        if not self.packed:
            return []
        p, to = self.bindings.fresh("p"), self.bindings.fresh("to")
        env = {**self.inside, self.n: column + dim(p)}
        value = self.roles.right.load(self._elements(), env)
        tag = Tag.TURN if isinstance(value, Load) and self._is_contiguous_in_depth() else Tag.SERIAL

        def filled(value: Value, stop: Size, tag: Tag) -> Stmt:
            row = For(p, 0, stop, (Store(self.panel, (self.k, dim(p)), value),), self.width, Tag.VECTOR)
            if self.roles.summed is None:
                return row
            return For(str(self.k), 0, self.depth, (row,), self.width if tag is Tag.TURN else 1, tag)

        panel = Alloc(self.panel, self.dtype, (self.depth, self.tile_columns), Space.SCRATCH)
        if self.is_exact:
            return [panel, filled(value, self.tile_columns, tag)]
        columns = Op("min", (Index(self.columns - column), Index(self.tile_columns)), INT64)
        is_cut = Op("lt", (Index(dim(to)), Index(self.tile_columns)), BOOL)
        clear = filled(zero(self.dtype), self.tile_columns, Tag.SERIAL)
        return [panel, Let(to, columns), If(is_cut, (clear,)), filled(value, dim(to), tag)]

    def _is_contiguous_in_depth(self) -> bool:
        """Tell whether neighbours in `right` are summed over: squares of it are then turned where panels are packed."""
        summed = self.roles.summed
        return summed is not None and self.roles.right.stride(summed, self.home) == 1

    @staticmethod
    def _divides(size: Size, tile: int) -> bool:
        return isinstance(size, int) and size % tile == 0

    # -- the tile --------------------------------------------------------------------------------------------------

    def _row_tiles(self, row: str, start: Size, stop: Size, column: Size) -> list[Stmt]:
        """Compute the tiles of some rows, one after the other.

        Where the epilogue divides or takes roots, that of a tile's row is computed from a copy of the sums between the
        products of the next tile: the divider then works while the multipliers do.
        """
        acc, i = self.bindings.fresh("acc"), dim(row)
        tile = Alloc(acc, self.dtype, (self.tile_rows, self.tile_columns), Space.REGISTER)
        if not self._is_late(acc, i, column):
            body = [tile, *self._sum(acc, i, column), *self._finished(acc, i, column)]
            return [For(row, start, stop, tuple(body), self.tile_rows)]
        sums = self.bindings.fresh("sums")
        earlier = self._epilogue(sums, i - self.tile_rows, column)
        is_second = Op("gt", (Index(i), Index(start)), BOOL)

        def meanwhile(r: Size) -> list[Stmt]:
            return [If(is_second, tuple(earlier(r)))]

        body = [tile, *self._sum(acc, i, column, meanwhile), self._copied(acc, sums)]
        last = start + (stop - start - 1) // self.tile_rows * self.tile_rows
        rest = self._each_row(self._epilogue(sums, last, column), Tag.SERIAL)
        return [
            Alloc(sums, self.dtype, (self.tile_rows, self.tile_columns), Space.SCRATCH),
            For(row, start, stop, tuple(body), self.tile_rows),
            If(Op("gt", (Index(stop), Index(start)), BOOL), (rest,)),
        ]

    def _is_late(self, acc: str, row: Size, column: Size) -> bool:
        """Tell whether epilogues are computed between the next tile's products: they divide, and there are enough."""
        several = self.by_columns and not (isinstance(self.rows, int) and self.rows <= self.tile_rows)
        deep = not isinstance(self.depth, int) or self.depth >= MANY_PRODUCTS
        return several and deep and divides(tuple(self._epilogue(acc, row, column)(0)))

    def _each_row(self, body: Callable[[Size], list[Stmt]], tag: Tag = Tag.UNROLL) -> For:
        """Do something for every row of the tile: written out, so that registers keep it, or in a loop."""
        r = self.bindings.fresh("r")
        return For(r, 0, self.tile_rows, tuple(body(dim(r))), 1, tag)

    def _each_column(self, p: str, *body: Stmt) -> For:
        return For(p, 0, self.tile_columns, body, self.width, Tag.VECTOR)

    def _clear(self, acc: str) -> For:
        p = self.bindings.fresh("p")
        return self._each_row(lambda r: [self._each_column(p, Store(acc, (r, dim(p)), zero(self.dtype)))])

    def _sum(self, acc: str, row: Size, column: Size, meanwhile: Meanwhile | None = None) -> list[Stmt]:
        """Accumulate the products: whole chunks into a total in scratch memory, the last one in registers."""
        step = self._products(acc, row, column)
        if self.roles.summed is None:
            return [self._clear(acc), *step]
        k, depth = str(self.k), self.depth
        if isinstance(depth, int) and depth <= K_CHUNK:
            return [self._clear(acc), self._last(0, step, meanwhile)]
        total, rest, chunk = (self.bindings.fresh(name) for name in ("total", "rest", "chunk"))
        whole = depth // K_CHUNK
        inner = For(k, dim(chunk) * K_CHUNK, dim(chunk) * K_CHUNK + K_CHUNK, tuple(step))
        shape = (self.tile_rows, self.tile_columns)
        some = Op("gt", (Index(whole), Index(0)), BOOL)
        return [
            Alloc(total, self.dtype, shape, Space.SCRATCH),
            Alloc(rest, self.dtype, shape, Space.SCRATCH),
            If(some, (self._clear(total), self._clear(rest))),
            For(chunk, 0, whole, (self._clear(acc), inner, self._collect(total, rest, acc))),
            self._clear(acc),
            self._last(whole * K_CHUNK, step, meanwhile),
            If(some, (self._add(acc, total, acc), self._add(acc, acc, rest))),
        ]

    def _last(self, start: Size, step: Sequence[Stmt], meanwhile: Meanwhile | None) -> For:
        """Accumulate the last chunk, in as many parts as there is something else to do."""
        if meanwhile is None:
            return For(str(self.k), start, self.depth, tuple(step))
        r, stop = self.bindings.fresh("r"), self.bindings.fresh("to")
        part = (self.depth - start + self.tile_rows - 1) // self.tile_rows
        first = start + part * dim(r)
        end = Let(stop, Op("min", (Index(first + part), Index(self.depth)), INT64))
        return For(r, 0, self.tile_rows, (end, For(str(self.k), first, dim(stop), tuple(step)), *meanwhile(dim(r))))

    def _collect(self, total: str, rest: str, acc: str) -> For:
        """Add a chunk to the total, and what that rounds off (Knuth's two-sum) to the rest."""
        p = self.bindings.fresh("p")
        new, part, lost = (self.bindings.fresh(name) for name in ("new", "part", "lost"))

        def op(name: str, *args: Value) -> Value:
            return Op(name, args, self.dtype)

        def collected(r: Size) -> list[Stmt]:
            old, small, item = (Load(x, (r, dim(p)), self.dtype) for x in (total, rest, acc))
            after, arrived, off = (Name(name, self.dtype) for name in (new, part, lost))
            finite = Op("eq", (off, off), BOOL)  # an infinite sum loses NaN
            return [
                self._each_column(
                    p,
                    Let(new, op("add", old, item)),
                    Let(part, op("sub", after, old)),
                    Let(lost, op("add", op("sub", old, op("sub", after, arrived)), op("sub", item, arrived))),
                    Store(rest, (r, dim(p)), op("select", finite, op("add", small, off), small)),
                    Store(total, (r, dim(p)), after),
                )
            ]

        return self._each_row(collected)

    def _add(self, target: str, first: str, second: str) -> For:
        p = self.bindings.fresh("p")

        def added(r: Size) -> list[Stmt]:
            a, b = (Load(x, (r, dim(p)), self.dtype) for x in (first, second))
            return [self._each_column(p, Store(target, (r, dim(p)), Op("add", (a, b), self.dtype)))]

        return self._each_row(added)

    def _products(self, acc: str, row: Size, column: Size) -> list[Stmt]:
        """Take one k into every accumulator of the tile; beyond the last row the last one is read again."""
        p = self.bindings.fresh("p")
        elements = self._elements()
        env = {**self.inside, self.n: column + dim(p)}
        exact = self._divides(self.rows, self.tile_rows)
        last = self.bindings.fresh("row")
        fetch, right = self._right(elements, p, column)

        def product(r: Size) -> list[Stmt]:
            clamp: list[Stmt] = []
            if self.left is not None:
                left = self.left.load(self.bindings, env, row, r)
            elif exact:
                left = self.roles.left.load(elements, {**env, self.m: row + r})
            else:
                clamp = [Let(last, Op("min", (Index(row + r), Index(self.rows - 1)), INT64))]
                left = self.roles.left.load(elements, {**env, self.m: dim(last)})
            place = (r, dim(p))
            store = Store(acc, place, multiply_add(left, right, Load(acc, place, self.dtype), self.dtype))
            return [*clamp, self._each_column(p, store)]

        return [*fetch, self._each_row(product)]

    def _right(self, elements: Elements, p: str, column: Size) -> tuple[list[Stmt], Value]:
        """Give the element of `right` for a column of the tile, and what must be done before; 0 beyond the last one."""
        if self.packed:
            return [], Load(self.panel, (self.k, dim(p)), self.dtype)
        value = self.roles.right.load(elements, {**self.inside, self.n: column + dim(p)})
        if self.is_exact:
            return [], value
        edge = self.bindings.fresh("edge")
        inside = Op("lt", (Index(column + dim(p)), Index(self.columns)), BOOL)
        place = (dim(p),)
        fill = self._each_column(p, Store(edge, place, zero(self.dtype)), If(inside, (Store(edge, place, value),)))
        return [Alloc(edge, self.dtype, (self.tile_columns,), Space.REGISTER), fill], Load(edge, place, self.dtype)

    def _finished(self, acc: str, row: Size, column: Size) -> list[Stmt]:
        """Make results of the sums; a heavy epilogue is written once, and takes them from a copy in memory."""
        registers = self._each_row(self._epilogue(acc, row, column))
        if not is_heavy(registers.body, self.tile_rows * self.tile_columns // self.width):
            return [registers]
        sums = self.bindings.fresh("sums")
        memory = self._each_row(self._epilogue(sums, row, column), Tag.SERIAL)
        shape = (self.tile_rows, self.tile_columns)
        return [Alloc(sums, self.dtype, shape, Space.SCRATCH), self._copied(acc, sums), memory]

    def _copied(self, acc: str, sums: str) -> For:
        p = self.bindings.fresh("p")

        def copied(r: Size) -> list[Stmt]:
            return [self._each_column(p, Store(sums, (r, dim(p)), Load(acc, (r, dim(p)), self.dtype)))]

        return self._each_row(copied)

    def _epilogue(self, acc: str, row: Size, column: Size) -> Callable[[Size], list[Stmt]]:
        """Give what computes and stores the epilogue of a row of the tile, where the result has this row."""
        p, name = self.bindings.fresh("p"), self.bindings.fresh("v")
        results = self.roles.results

        def written(r: Size) -> list[Stmt]:
            env = {str(self.index[self.m]): row + r, str(self.index[self.n]): column + dim(p)}
            elements = self._elements(Name(name, self.dtype), env)
            body: tuple[Stmt, ...] = (
                Let(name, Load(acc, (r, dim(p)), self.dtype)), *elements.stores(index_names(results), results)
            )  # fmt: skip
            if not self.is_exact:
                body = (If(Op("lt", (Index(column + dim(p)), Index(self.columns)), BOOL), body),)
            columns = self._each_column(p, *body)
            if self._divides(self.rows, self.tile_rows):
                return [columns]
            return [If(Op("lt", (Index(row + r), Index(self.rows)), BOOL), (columns,))]

        return written
