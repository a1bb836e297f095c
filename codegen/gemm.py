"""Matrix products: register-tiled kernels of `epilogue(sum_k left[.., m, k] * right[.., k, n])`.

In: a group whose root is a Contraction with rows and columns. Out: its kernel; one that packs `left` may go before.
The plain nest that a tile replaces is

    for m: for n: acc = 0; for k: acc = fma(left[m, k], right[k, n], acc); out[m, n] = epilogue(acc)

Threads divide panels of columns, or blocks of rows where there are few columns. Where few columns are left beyond the
last whole tile, these have a tile of their own, narrower and higher. A panel of `right` is packed where its rows are
not contiguous, or so far apart that they fall into the same cache sets; `left` where its elements do. It must not know
operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from codegen.contraction import Homes, contraction_fold, roles_of
from codegen.elements import Lowered
from codegen.group import Group
from codegen.ir import For, If, Index, Let, Op, Stmt, Tag
from codegen.machine import Machine
from codegen.nest import group_dtypes, lanes
from codegen.panels import MANY_COLUMNS, LeftPanels, compete
from codegen.product import Product, fits
from codegen.tile import Tile
from symgrad.dtypes import BOOL, INT64
from symgrad.options import Options
from symgrad.shape import Size, dim

FAR = 1024  # bytes: rows of `right` this far apart compete for few cache sets
MANY_ROWS = 32  # fewer rows do not repay packing a panel
ROW_BLOCK = 4  # tiles of rows that share a panel where threads divide the rows


def contraction_kernels(group: Group, home: Homes, machine: Machine, options: Options) -> list[Lowered]:
    """Lower a group whose root is a Contraction: by tiles where there are rows and columns, else as a fold."""
    assert group.root is not None
    roles = roles_of(group.root)
    if not roles.rows or not roles.columns:
        return contraction_fold(group, home, machine, roles)
    if roles.out[-1] in roles.rows:
        roles = roles.swapped()
    product = Product(group, home, roles, lanes(machine, group_dtypes(group)))
    return Loops(product, machine, options).lower()


class Copied(Protocol):
    """An operand in memory of its own."""

    def kernel(self, group: Group, home: Homes, width: int) -> Lowered:
        """Write what copies it, before the product."""


class Loops:
    """The loops around the tiles of a product."""

    kind = "product"

    def __init__(self, product: Product, machine: Machine, options: Options) -> None:
        self.product, self.bindings = product, product.bindings
        height, breadth = self._tile(machine, options)
        product.is_long = not isinstance(product.columns, int) or product.columns >= 2 * breadth
        product.is_packed = self.packs(options)
        self.copies = self.copied(machine, options, height * (breadth // product.width))
        self.narrow = self._narrow(height, breadth)
        self.wide = self.tile(height, breadth, fits(product.columns, breadth) or self.narrow is not None)

    # -- choices ---------------------------------------------------------------------------------------------------

    def _tile(self, machine: Machine, options: Options) -> tuple[int, int]:
        """Give the rows and columns of the register tile: the machine's, or one vector wide for few columns."""
        rows, columns, width = self.product.rows, self.product.columns, self.product.width
        height, vectors = machine.tile
        if options.tiles is not None:
            height, vectors = options.tiles[0], max(1, options.tiles[1] // width)
        elif isinstance(columns, int) and columns <= width:
            height, vectors = height * vectors, 1
        return (min(height, rows) if isinstance(rows, int) and rows else height), vectors * width

    def tile(self, height: int, breadth: int, is_exact: bool) -> Tile:
        """Make a tile."""
        return Tile(self.product, height, breadth, is_exact)

    def _narrow(self, height: int, breadth: int) -> Tile | None:
        """Give the tile for the last columns: one vector wide, where they fit one; then no wide tile is cut."""
        rows, columns, width = self.product.rows, self.product.columns, self.product.width
        higher = height * (breadth // width)
        if not isinstance(columns, int) or not 0 < columns % breadth <= width:
            return None
        if higher == height or (isinstance(rows, int) and rows < higher):
            return None
        return self.tile(higher, width, fits(columns, width))

    def packs(self, options: Options) -> bool:
        """Tell whether panels of `right` are copied."""
        roles, home, rows = self.product.roles, self.product.home, self.product.rows
        if roles.right.stride(self.product.n, home) != 1:
            return True
        if options.packing is not None:
            return options.packing
        if roles.summed is None or (isinstance(rows, int) and rows < MANY_ROWS):
            return False
        step = roles.right.stride(roles.summed, home)
        return not isinstance(step, int) or step * self.product.dtype.size >= FAR

    def copied(self, machine: Machine, options: Options, rows: int) -> Sequence[Copied]:
        """Give the operands that are copied before: `left` in panels of so many rows where it is wanted, or pays."""
        roles, columns = self.product.roles, self.product.columns
        few = isinstance(columns, int) and columns < MANY_COLUMNS
        wanted = not few if options.packing is None else options.packing
        if roles.summed is None or not self.product.is_long or not wanted:
            return []
        if options.packing is None and not compete(roles, self.product.home, machine):
            return []
        self.product.left = LeftPanels(roles, self.product.m, rows)
        return [self.product.left]

    # -- loops -----------------------------------------------------------------------------------------------------

    def lower(self) -> list[Lowered]:
        """Write the loops: other axes, then column panels, then tiles of rows; the outermost is split among threads."""
        product = self.product
        outer = [label for label in product.roles.out if label not in (product.m, product.n)]
        column, row = self.bindings.fresh("j"), self.bindings.fresh("i")
        tag = Tag.SERIAL if outer else Tag.PARALLEL
        if product.is_long:  # panels of columns are enough to divide
            body = self._columns(column, self._rows(row, 0, product.rows, product.rows, dim(column)), tag)
        else:
            body = self._row_blocks(row, column, tag)
        for position, label in enumerate(reversed(outer)):
            tag = Tag.PARALLEL if position == len(outer) - 1 else Tag.SERIAL
            body = [For(str(product.index[label]), 0, product.roles.sizes[label], tuple(body), 1, tag)]
        before = [c.kernel(product.group, product.home, product.width) for c in self.copies]
        return [*before, self.bindings.finish(self.kind, body)]

    def _columns(self, column: str, body: Sequence[Stmt], tag: Tag) -> list[Stmt]:
        return [For(column, 0, self.product.columns, tuple(body), self.wide.breadth, tag)]

    def _row_blocks(self, row: str, column: str, tag: Tag) -> list[Stmt]:
        """Split few columns by blocks of rows; a block packs its own panel."""
        block = self.bindings.fresh("i")
        rows = self.wide.height if self.narrow is None else self.narrow.height  # whole tiles of both kinds
        size = rows * (ROW_BLOCK if self.product.is_packed else 1)
        last = self.bindings.fresh("to")
        stop = Let(last, Op("min", (Index(dim(block) + size), Index(self.product.rows)), INT64))
        inner = self._columns(column, self._rows(row, dim(block), dim(last), size, dim(column)), Tag.SERIAL)
        return [For(block, 0, self.product.rows, (stop, *inner), size, tag)]

    def _rows(self, row: str, start: Size, stop: Size, most: Size, column: Size) -> list[Stmt]:
        """Compute some rows, at most so many, of the columns from one on that a tile has."""
        wide = self.wide.rows(row, start, stop, most, column)
        if self.narrow is None:
            return wide
        is_wide = Op("lt", (Index(column + self.product.width), Index(self.product.columns)), BOOL)
        return [If(is_wide, tuple(wide), tuple(self.narrow.rows(row, start, stop, most, column)))]
