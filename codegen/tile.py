"""Tile: the rows and columns of a product that are accumulated in registers at once.

In: a `Product` (what all its tiles share) and the size of a tile. Out: the statements that compute some rows of the
columns that a tile has: packed panels of `right`, the sums, the epilogue. Every result is one chain of fused products
over k, cut into chunks of `K_CHUNK` that are added in order, so that no choice made here changes a bit. What adding the
chunks rounds off is added at the end, so the error does not grow beyond a chunk's. It must not know which loops stand
around.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codegen.contraction import multiply_add, zero
from codegen.ir import Alloc, For, If, Index, Let, Load, Name, Op, Space, Stmt, Store, Tag, Value
from codegen.nest import smaller
from codegen.product import Product, fits
from codegen.reach import index_names
from codegen.weight import divides, is_heavy
from symgrad.dtypes import BOOL, INT64, DType
from symgrad.shape import Size, dim

K_CHUNK = 1024  # products that one accumulator takes in before it is added to the total
ROW_CHUNK = 512  # rows whose totals are kept while the chunks of k pass: these stay in the cache, and so do panels
MANY_PRODUCTS = 32  # fewer do not hide what the divider does
Meanwhile = Callable[[Size], list[Stmt]]  # of a row of a tile: what is done beside its share of the products


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the sums: the steps from `first` to `stop`; of many parts, which one, and what those before gave."""

    first: Size
    stop: Size
    is_last: Value | None = None
    is_first: Value | None = None
    total: str = ""
    rest: str = ""


class Tile:
    """Tiles of one size: `height` rows by `breadth` columns; if `is_exact`, no tile is cut at the last column.

    A step takes in one element of k, or as many as one multiplication does; an accumulator takes in `steps` of them.
    """

    steps = K_CHUNK

    def __init__(self, product: Product, height: int, breadth: int, is_exact: bool) -> None:
        self.product, self.height, self.breadth, self.is_exact = product, height, breadth, is_exact
        self.bindings, self.dtype = product.bindings, product.dtype
        self.panel = product.bindings.fresh("panel")

    @property
    def depth(self) -> Size:
        """Return how many steps a sum takes."""
        return self.product.depth

    @property
    def is_deep(self) -> bool:
        """Tell whether there may be more than one chunk."""
        has_sum = self.product.roles.summed is not None
        return has_sum and not (isinstance(self.depth, int) and self.depth <= self.steps)

    def rows(self, row: str, start: Size, stop: Size, most: Size, column: Size) -> list[Stmt]:
        """Compute rows start..stop, at most so many, of the columns from one on that a tile has."""
        panel: list[Stmt] = []
        if self.product.is_packed:
            shape = (self.steps if self.is_deep else self.depth, self.breadth)
            panel.append(Alloc(self.panel, self.panel_dtype, shape, Space.SCRATCH))
        if not self.is_deep:
            chunk = Chunk(0, self.depth)
            return [*panel, *self._packed(column, chunk), *self._tiles(row, start, stop, column, chunk)]
        if isinstance(most, int) and most <= ROW_CHUNK:
            height = -(-most // self.height) * self.height
            arrays, body = self._chunks(row, start, stop, height, column)
            return [*panel, *arrays, *body]
        block = self.bindings.fresh("i")
        whole = self.height if self.product.left is None else self.product.left.rows
        size = max(ROW_CHUNK // whole, 1) * whole  # no tile lies in two blocks
        lets, end = smaller(dim(block) + size, stop, "to", self.bindings)
        arrays, body = self._chunks(row, dim(block), end, size, column)
        return [*panel, *arrays, For(block, start, stop, (*lets, *body), size)]

    def _chunks(
        self, row: str, start: Size, stop: Size, height: int, column: Size
    ) -> tuple[list[Stmt], list[Stmt]]:  # fmt: skip
        """Take in one chunk of products after the other; a total in memory takes in all but the last."""
        total, rest, chunk = (self.bindings.fresh(name) for name in ("total", "rest", "chunk"))
        whole, first = self.depth // self.steps, dim(chunk) * self.steps
        lets, end = smaller(first + self.steps, self.depth, "to", self.bindings)
        is_last = Op("eq", (Index(dim(chunk)), Index(whole)), BOOL)
        is_first = Op("eq", (Index(dim(chunk)), Index(0)), BOOL)
        part = Chunk(first, end, is_last, is_first, total, rest)
        body = [*lets, *self._packed(column, part), *self._tiles(row, start, stop, column, part)]
        arrays: list[Stmt] = [Alloc(x, self.dtype, (height, self.breadth), Space.SCRATCH) for x in (total, rest)]
        several = Op("gt", (Index(whole), Index(0)), BOOL)
        return arrays, [If(several, (self._cleared(part, height),)), For(chunk, 0, whole + 1, tuple(body))]

    # -- operands --------------------------------------------------------------------------------------------------

    @property
    def panel_dtype(self) -> DType:
        """Return the dtype of what a panel of `right` holds for a step."""
        return self.dtype

    def _packed(self, column: Size, chunk: Chunk) -> list[Stmt]:
        """Copy a panel of `right` into contiguous rows, zero beyond the last column."""
        if not self.product.is_packed:
            return []
        p, to = self.bindings.fresh("p"), self.bindings.fresh("to")
        if self.is_exact:
            return self.pack(p, self.breadth, column, chunk)
        columns = Op("min", (Index(self.product.columns - column), Index(self.breadth)), INT64)
        is_cut = Op("lt", (Index(dim(to)), Index(self.breadth)), BOOL)
        blank = self.filled(p, self.breadth, chunk, zero(self.panel_dtype))
        return [Let(to, columns), If(is_cut, (blank,)), *self.pack(p, dim(to), column, chunk)]

    def pack(self, p: str, stop: Size, column: Size, chunk: Chunk) -> list[Stmt]:
        """Copy the columns before `stop` of a panel of `right`."""
        product = self.product
        value = product.roles.right.load(product.elements(), {**product.inside, product.n: column + dim(p)})
        return [self.filled(p, stop, chunk, value, isinstance(value, Load) and product.reads_across())]

    def filled(
        self, p: str, stop: Size, chunk: Chunk, value: Value, is_turned: bool = False,
        steps: tuple[Size, Size] | None = None,
    ) -> Stmt:  # fmt: skip
        """Fill columns of a panel for all steps of a chunk, or for some of them."""
        k, width = self.product.k, self.product.width
        first, end = (chunk.first, chunk.stop) if steps is None else steps
        row = For(p, 0, stop, (Store(self.panel, (k - chunk.first, dim(p)), value),), width, Tag.VECTOR)
        if self.product.roles.summed is None:
            return row
        tag, step = (Tag.TURN, width) if is_turned else (Tag.SERIAL, 1)
        return For(str(k), first, end, (row,), step, tag)

    def right(self, p: str, column: Size, chunk: Chunk) -> tuple[list[Stmt], Value]:
        """Give what a step takes in of a column of `right`, and what must be done before; 0 beyond the last column."""
        product = self.product
        if product.is_packed:
            return [], Load(self.panel, (product.k - chunk.first, dim(p)), self.panel_dtype)
        value = product.roles.right.load(product.elements(), {**product.inside, product.n: column + dim(p)})
        if self.is_exact:
            return [], value
        edge = self.bindings.fresh("edge")
        inside = Op("lt", (Index(column + dim(p)), Index(product.columns)), BOOL)
        place = (dim(p),)
        fill = self._each_column(p, Store(edge, place, zero(self.dtype)), If(inside, (Store(edge, place, value),)))
        return [Alloc(edge, self.dtype, (self.breadth,), Space.REGISTER), fill], Load(edge, place, self.dtype)

    def left(self, row: Size, r: Size, last: str) -> tuple[list[Stmt], Value]:
        """Give what a step takes in of a row of the tile that begins at `row`, and what must be done before.

        `last` is a name for the row that is read instead of one beyond the last.
        """
        product = self.product
        if product.left is not None:
            return [], product.left.load(self.bindings, product.inside, row, r)
        clamp, at = self.clamped(row + r, last)
        return clamp, product.roles.left.load(product.elements(), {**product.inside, product.m: at})

    def clamped(self, row: Size, name: str) -> tuple[list[Stmt], Size]:
        """Give a row of `left` that there is."""
        if fits(self.product.rows, self.height):
            return [], row
        return [Let(name, Op("min", (Index(row), Index(self.product.rows - 1)), INT64))], dim(name)

    def accumulated(self, left: Value, right: Value, total: Value) -> Value:
        """Add to a sum what one step takes in."""
        return multiply_add(left, right, total, self.dtype)

    # -- sums ------------------------------------------------------------------------------------------------------

    def _tiles(self, row: str, start: Size, stop: Size, column: Size, chunk: Chunk) -> list[Stmt]:
        """Take a chunk of products into the tiles of some rows, one after the other; finish them after the last chunk.

        Where the epilogue divides or takes roots, that of a tile's row is computed from a copy of the sums between the
        products of the next tile: the divider then works while the multipliers do.
        """
        acc, i = self.bindings.fresh("acc"), dim(row)
        tile = Alloc(acc, self.dtype, (self.height, self.breadth), Space.REGISTER)
        if not self._is_late(acc, i, column):
            ended = self._ended(chunk, acc, i - start, self._finished(acc, i, column))
            return [For(row, start, stop, (tile, *self._sum(acc, i, column, chunk), *ended), self.height)]
        sums = self.bindings.fresh("sums")
        earlier = self._epilogue(sums, i - self.height, column)
        is_second = Op("gt", (Index(i), Index(start)), BOOL)

        def meanwhile(r: Size) -> list[Stmt]:
            return _only(is_second, _only(chunk.is_last, earlier(r)))

        ended = self._ended(chunk, acc, i - start, [self._copied(acc, sums)])
        body = [tile, *self._sum(acc, i, column, chunk, meanwhile), *ended]
        last = start + (stop - start - 1) // self.height * self.height
        rest = self._each_row(self._epilogue(sums, last, column), Tag.SERIAL)
        is_any = Op("gt", (Index(stop), Index(start)), BOOL)
        return [
            Alloc(sums, self.dtype, (self.height, self.breadth), Space.SCRATCH),
            For(row, start, stop, tuple(body), self.height),
            *_only(is_any, _only(chunk.is_last, [rest])),
        ]

    def _is_late(self, acc: str, row: Size, column: Size) -> bool:
        """Tell whether epilogues are computed between the next tile's products: they divide, and there are enough."""
        rows, depth = self.product.rows, self.product.depth
        several = self.product.is_long and not (isinstance(rows, int) and rows <= self.height)
        deep = not isinstance(depth, int) or depth >= MANY_PRODUCTS
        return several and deep and divides(tuple(self._epilogue(acc, row, column)(0)))

    def _sum(
        self, acc: str, row: Size, column: Size, chunk: Chunk, meanwhile: Meanwhile | None = None
    ) -> list[Stmt]:  # fmt: skip
        """Accumulate a chunk of products, in as many parts as there is something else to do."""
        step = self._products(acc, row, column, chunk)
        if self.product.roles.summed is None:
            return [self._clear(acc), *step]
        k = str(self.product.k)
        if meanwhile is None:
            return [self._clear(acc), For(k, chunk.first, chunk.stop, tuple(step))]
        r, stop = self.bindings.fresh("r"), self.bindings.fresh("to")
        part = (chunk.stop - chunk.first + self.height - 1) // self.height
        first = chunk.first + part * dim(r)
        end = Let(stop, Op("min", (Index(first + part), Index(chunk.stop)), INT64))
        body = (end, For(k, first, dim(stop), tuple(step)), *meanwhile(dim(r)))
        return [self._clear(acc), For(r, 0, self.height, body)]

    def _products(self, acc: str, row: Size, column: Size, chunk: Chunk) -> list[Stmt]:
        """Take one step into every accumulator of the tile; beyond the last row the last one is read again."""
        p, last = self.bindings.fresh("p"), self.bindings.fresh("row")
        before, right = self.right(p, column, chunk)

        def taken(r: Size) -> list[Stmt]:
            first, left = self.left(row, r, last)
            place = (r, dim(p))
            store = Store(acc, place, self.accumulated(left, right, Load(acc, place, self.dtype)))
            return [*first, self._each_column(p, store)]

        return [*before, self._each_row(taken)]

    # -- what follows the sums -------------------------------------------------------------------------------------

    def _ended(self, chunk: Chunk, acc: str, row: Size, finished: Sequence[Stmt]) -> list[Stmt]:
        """End a chunk in a tile whose totals begin at a row: finish the results, or keep the sums for the next one."""
        if chunk.is_last is None:
            return list(finished)
        assert chunk.is_first is not None
        more = Op("not", (chunk.is_first,), BOOL)
        sums = self.bindings.fresh("sums")
        kept: list[Stmt] = [
            Alloc(sums, self.dtype, (self.height, self.breadth), Space.SCRATCH), self._copied(acc, sums),
            self._collect(sums, chunk, row),
        ]  # fmt: skip
        return [If(chunk.is_last, (If(more, (self._total(acc, chunk, row),)), *finished), tuple(kept))]

    def _cleared(self, chunk: Chunk, height: int) -> Stmt:
        """Begin the totals."""
        r, p = self.bindings.fresh("r"), self.bindings.fresh("p")
        stores = [Store(x, (dim(r), dim(p)), zero(self.dtype)) for x in (chunk.total, chunk.rest)]
        return For(r, 0, height, (self._each_column(p, *stores),))

    def _collect(self, sums: str, chunk: Chunk, row: Size) -> For:
        """Add a chunk to the total, and what that rounds off (Knuth's two-sum) to the rest."""
        p = self.bindings.fresh("p")
        new, part, lost = (self.bindings.fresh(name) for name in ("new", "part", "lost"))

        def op(name: str, *args: Value) -> Value:
            return Op(name, args, self.dtype)

        def collected(r: Size) -> list[Stmt]:
            place = (row + r, dim(p))
            old, small = (Load(x, place, self.dtype) for x in (chunk.total, chunk.rest))
            item = Load(sums, (r, dim(p)), self.dtype)
            after, arrived, off = (Name(name, self.dtype) for name in (new, part, lost))
            finite = Op("eq", (off, off), BOOL)  # an infinite sum loses NaN
            return [
                self._each_column(
                    p,
                    Let(new, op("add", old, item)),
                    Let(part, op("sub", after, old)),
                    Let(lost, op("add", op("sub", old, op("sub", after, arrived)), op("sub", item, arrived))),
                    Store(chunk.rest, place, op("select", finite, op("add", small, off), small)),
                    Store(chunk.total, place, after),
                )
            ]

        return self._each_row(collected, Tag.SERIAL)

    def _total(self, acc: str, chunk: Chunk, row: Size) -> For:
        """Add the total and the rest to the last chunk."""
        p = self.bindings.fresh("p")

        def added(r: Size) -> list[Stmt]:
            result: Value = Load(acc, (r, dim(p)), self.dtype)
            for kept in (chunk.total, chunk.rest):
                result = Op("add", (result, Load(kept, (row + r, dim(p)), self.dtype)), self.dtype)
            return [self._each_column(p, Store(acc, (r, dim(p)), result))]

        return self._each_row(added)

    def _finished(self, acc: str, row: Size, column: Size) -> list[Stmt]:
        """Make results of the sums; a heavy epilogue is written once, and takes them from a copy in memory."""
        registers = self._each_row(self._epilogue(acc, row, column))
        if not is_heavy(registers.body, self.height * self.breadth // self.product.width):
            return [registers]
        sums = self.bindings.fresh("sums")
        memory = self._each_row(self._epilogue(sums, row, column), Tag.SERIAL)
        shape = (self.height, self.breadth)
        return [Alloc(sums, self.dtype, shape, Space.SCRATCH), self._copied(acc, sums), memory]

    def _epilogue(self, acc: str, row: Size, column: Size) -> Callable[[Size], list[Stmt]]:
        """Give what computes and stores the epilogue of a row of the tile, where the result has this row."""
        product = self.product
        p, name = self.bindings.fresh("p"), self.bindings.fresh("v")
        results, index = product.roles.results, product.index

        def written(r: Size) -> list[Stmt]:
            env = {str(index[product.m]): row + r, str(index[product.n]): column + dim(p)}
            elements = product.elements(Name(name, self.dtype), env)
            body: tuple[Stmt, ...] = (
                Let(name, Load(acc, (r, dim(p)), self.dtype)), *elements.stores(index_names(results), results)
            )  # fmt: skip
            if not self.is_exact:
                body = (If(Op("lt", (Index(column + dim(p)), Index(product.columns)), BOOL), body),)
            columns = self._each_column(p, *body)
            if fits(product.rows, self.height):
                return [columns]
            return [If(Op("lt", (Index(row + r), Index(product.rows)), BOOL), (columns,))]

        return written

    # -- the registers ---------------------------------------------------------------------------------------------

    def _each_row(self, body: Callable[[Size], list[Stmt]], tag: Tag = Tag.UNROLL) -> For:
        """Do something for every row of the tile: written out, so that registers keep it, or in a loop."""
        r = self.bindings.fresh("r")
        return For(r, 0, self.height, tuple(body(dim(r))), 1, tag)

    def _each_column(self, p: str, *body: Stmt) -> For:
        return For(p, 0, self.breadth, body, self.product.width, Tag.VECTOR)

    def _clear(self, acc: str) -> For:
        p = self.bindings.fresh("p")
        return self._each_row(lambda r: [self._each_column(p, Store(acc, (r, dim(p)), zero(self.dtype)))])

    def _copied(self, acc: str, sums: str) -> For:
        p = self.bindings.fresh("p")

        def copied(r: Size) -> list[Stmt]:
            return [self._each_column(p, Store(sums, (r, dim(p)), Load(acc, (r, dim(p)), self.dtype)))]

        return self._each_row(copied)


def _only(condition: Value | None, body: Sequence[Stmt]) -> list[Stmt]:
    """Do something under a condition, always if there is none."""
    return list(body) if condition is None else [If(condition, tuple(body))]
