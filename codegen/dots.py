"""Products of matrices in bfloat16: the tiles of `codegen.gemm`, two products an instruction.

In: a group whose root is a Contraction of float32 with rows, columns and a sum, and a machine with dot products. Out:
one kernel or two that round operands into temporary memory, then the one that multiplies. A step of its inner loop
takes in a pair of neighbours along k, in 32 bits: `dot2`. What it replaces is

    for m: for n: acc = 0; for k by 2: acc = fma(left[m, k + 1], right[k + 1, n], acc)
                                       acc = fma(left[m, k], right[k, n], acc)

with operands rounded to bfloat16, a zero after the last k of an odd sum, and chunks as in `codegen.gemm`: tiles,
threads and layouts change no bit. Other contractions are computed as in float32. It must not know operators.

Where the pairs come from: `left` is rounded once, by a launch before. If k is contiguous in it, this goes element by
element, and neighbours in memory are pairs; if its rows are, it is written in panels as high as a tile. A panel of
`right` is packed by the task that reads it, from float32, or from pairs where k is contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codegen.contraction import Factor, Homes, Roles, roles_of, zero
from codegen.elements import Bindings, Elements, Lowered
from codegen.gemm import FAR, Copied, Loops, contraction_kernels
from codegen.group import Group
from codegen.ir import Access, Const, For, If, Index, Let, Load, Op, Stmt, Store, Tag, Value
from codegen.machine import Machine
from codegen.nest import group_dtypes, lanes, smaller
from codegen.operand import Temp
from codegen.product import Product
from codegen.scratch import LINE
from codegen.tile import K_CHUNK, Chunk, Tile
from symgrad.dtypes import BOOL, FLOAT32, INT64, UINT16, UINT32, DType
from symgrad.options import Options
from symgrad.shape import Size, dim

Element = Callable[[Size, Size], Value]  # of the last axis and of k


def mixed_kernels(group: Group, home: Homes, machine: Machine, options: Options) -> list[Lowered]:
    """Lower a group whose root is a Contraction: in bfloat16 where it is a product of float32 matrices."""
    assert group.root is not None
    roles = roles_of(group.root)
    if group.root.dtype is not FLOAT32 or roles.summed is None or not roles.rows or not roles.columns:
        return contraction_kernels(group, home, machine, options)
    if roles.out[-1] in roles.rows:
        roles = roles.swapped()
    product = Product(group, home, roles, lanes(machine, group_dtypes(group)))
    return _DotLoops(product, machine, options).lower()


class _DotLoops(Loops):
    """The loops around the tiles of a product in bfloat16."""

    kind = "product_bf16"

    def packs(self, options: Options) -> bool:
        """Pack always: no row of `right` has pairs side by side."""
        return True

    def copied(self, machine: Machine, options: Options, rows: int) -> Sequence[Copied]:
        """Round `left`, and what is read across of `right`."""
        roles, home, m, n = self.product.roles, self.product.home, self.product.m, self.product.n
        assert roles.summed is not None
        left, right, k = roles.left, roles.right, roles.summed
        is_across = left.stride(m, home) == 1 and left.stride(k, home) != 1
        self.left = Rounded.of(left, roles, m, rows if is_across else 0)
        is_along = right.stride(k, home) == 1 and right.stride(n, home) != 1
        self.right = Rounded.of(right, roles, n) if is_along else None
        return [self.left] if self.right is None else [self.left, self.right]

    def tile(self, height: int, breadth: int, is_exact: bool) -> Tile:
        """Make a tile."""
        return _DotTile(self.product, height, breadth, is_exact, self.left, self.right)


class _DotTile(Tile):
    """A tile whose steps take in pairs."""

    steps = K_CHUNK // 2

    def __init__(
        self, product: Product, height: int, breadth: int, is_exact: bool, left: Rounded, right: Rounded | None
    ) -> None:  # fmt: skip
        super().__init__(product, height, breadth, is_exact)
        self.rounded_left, self.rounded_right = left, right

    @property
    def depth(self) -> Size:
        """Return how many pairs a sum takes."""
        return pairs_in(self.product.depth)

    @property
    def panel_dtype(self) -> DType:
        """Return the dtype of a pair."""
        return UINT32

    def pack(self, p: str, stop: Size, column: Size, chunk: Chunk) -> list[Stmt]:
        """Write the columns before `stop` of a panel of `right`: a row of pairs for each step."""
        product = self.product
        env = {**product.inside, product.n: column + dim(p)}
        if self.rounded_right is not None:
            place = [*(env[label] for label in self.rounded_right.axes), product.k]
            return [self.filled(p, stop, chunk, self.rounded_right.load(self.bindings, place), is_turned=True)]
        assert product.roles.summed is not None
        label, elements = product.roles.summed, product.elements()

        def element(k: Size) -> Value:
            return product.roles.right.load(elements, {**env, label: k})

        whole, first = product.depth // 2, element(2 * product.k)
        both = pair(first, element(2 * product.k + 1))
        if whole + whole == product.depth:
            return [self.filled(p, stop, chunk, both)]
        lets, end = smaller(whole, chunk.stop, "to", self.bindings)
        begin = self.bindings.fresh("from")
        late = Let(begin, Op("max", (Index(whole), Index(chunk.first)), INT64))
        single = self.filled(p, stop, chunk, pair(first, zero(FLOAT32)), steps=(dim(begin), chunk.stop))
        return [*lets, self.filled(p, stop, chunk, both, steps=(chunk.first, end)), late, single]

    def left(self, row: Size, r: Size, last: str) -> tuple[list[Stmt], Value]:
        """Give the pair of a row, the same for all columns."""
        rounded, k = self.rounded_left, self.product.k
        outer = [self.product.inside[label] for label in rounded.axes[:-1]]
        if rounded.tile:
            return [], rounded.load(self.bindings, [*outer, row // rounded.tile, k, row % rounded.tile + r])
        clamp, at = self.clamped(row + r, last)
        return clamp, rounded.load(self.bindings, [*outer, at, k])

    def accumulated(self, left: Value, right: Value, total: Value) -> Value:
        """Add the products of two pairs."""
        return Op("dot2", (left, right, total), FLOAT32)


# -- pairs -------------------------------------------------------------------------------------------------------------


def pairs_in(size: Size) -> Size:
    """Give the number of pairs that hold so many elements.

    >>> pairs_in(7), pairs_in(8)
    (4, 4)
    """
    return (size + 1) // 2


def pair(first: Value, second: Value) -> Value:
    """Round two float32 to bfloat16, the first in the lower half of 32 bits."""
    low, high = (Op("cast", (Op("bf16", (x,), UINT16),), UINT32) for x in (first, second))
    return Op("or", (low, Op("shl", (high, Const(16, UINT32)), UINT32)), UINT32)


def each_pair(
    k: str, size: Size, element: Callable[[Size], Value], body: Callable[[Value], Sequence[Stmt]]
) -> list[Stmt]:
    """Do something for every pair of `size` elements; beside the last of an odd number stands a zero."""
    whole, first, second = size // 2, element(2 * dim(k)), element(2 * dim(k) + 1)
    loops: list[Stmt] = [For(k, 0, whole, tuple(body(pair(first, second))))]
    if whole + whole != size:
        loops.append(For(k, whole, pairs_in(size), tuple(body(pair(first, zero(FLOAT32))))))
    return loops


# -- operands in memory of their own -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """An operand in bfloat16, in memory of its own: its axes but k, then pairs along k.

    Lines along k that would fall into the same cache sets are a cache line longer than they need to be. With a `tile`
    the last of the axes is cut into panels of so many rows, which stand side by side for each pair; the rows beyond the
    last are zeros.
    """

    factor: Factor
    axes: tuple[int, ...]
    sizes: Mapping[int, Size]
    k: int
    tile: int
    temp: Temp

    @classmethod
    def of(cls, factor: Factor, roles: Roles, last: int, tile: int = 0) -> Rounded:
        """Reserve the memory, with this axis before k."""
        assert roles.summed is not None
        labels = dict.fromkeys(label for label in factor.labels if label is not None)
        axes = (*(label for label in labels if label not in (roles.summed, last)), last)
        *outer, rows = (roles.sizes[label] for label in axes)
        pairs = pairs_in(roles.sizes[roles.summed])
        if not tile and isinstance(pairs, int) and pairs % (FAR // UINT32.size) == 0:
            pairs = pairs + LINE // UINT32.size
        shape = (*outer, (rows + tile - 1) // tile, pairs, tile) if tile else (*outer, rows, pairs)
        return cls(factor, axes, roles.sizes, roles.summed, tile, Temp(shape, UINT32))

    def load(self, bindings: Bindings, index: Sequence[Size]) -> Value:
        """Load a pair by its place in the memory."""
        return Load(bindings.buffer(self.temp, Access.IN, self.temp.shape, UINT32), tuple(index), UINT32)

    def kernel(self, group: Group, home: Homes, width: int) -> Lowered:
        """Write the kernel that rounds; threads divide the first axis."""
        bindings = Bindings()
        index = tuple(dim(f"i{position}") for position in range(len(self.axes)))
        sizes = [self.sizes[label] for label in self.axes]
        extents = {str(i): size for i, size in zip(index, sizes, strict=True)}
        elements = Elements(group, home, bindings, extents=extents)

        def element(last: Size, k: Size) -> Value:
            place = dict(zip(self.axes, (*index[:-1], last), strict=True))
            return self.factor.load(elements, {**place, self.k: k})

        write = self._panels if self.tile else self._line
        body, stop = write(element, index, bindings, width)
        for position, (i, size) in reversed(list(enumerate(zip(index, [*sizes[:-1], stop], strict=True)))):
            body = [For(str(i), 0, size, tuple(body), 1, Tag.SERIAL if position else Tag.PARALLEL)]
        return bindings.finish("to_bf16", body)

    def _line(self, element: Element, index: Sequence[Size], bindings: Bindings, width: int) -> tuple[list[Stmt], Size]:
        """Round one by one what lies along k: in memory, neighbours are pairs. Give also the number of lines."""
        size, halves, k = self.sizes[self.k], 2 * self.temp.shape[-1], bindings.fresh("k")
        out = bindings.buffer(self.temp, Access.OUT, (*self.temp.shape[:-1], halves), UINT16)
        place = (*index, dim(k))
        store = Store(out, place, Op("bf16", (element(index[-1], dim(k)),), UINT16))
        body: list[Stmt] = [For(k, 0, size, (store,), width, Tag.VECTOR)]
        if halves != size:
            body.append(For(k, size, halves, (Store(out, place, Const(0, UINT16)),)))
        return body, self.sizes[self.axes[-1]]

    def _panels(
        self, element: Element, index: Sequence[Size], bindings: Bindings, width: int
    ) -> tuple[list[Stmt], Size]:  # fmt: skip
        """Round two neighbours along k for every row of a panel. Give also the number of panels."""
        k, p = bindings.fresh("k"), bindings.fresh("p")
        out = bindings.buffer(self.temp, Access.OUT, self.temp.shape, UINT32)
        rows, row = self.sizes[self.axes[-1]], self.tile * index[-1] + dim(p)
        place = (*index, dim(k), dim(p))
        lanes = min(width, 1 << (self.tile - 1).bit_length())

        def panel(value: Value) -> list[Stmt]:
            body: tuple[Stmt, ...] = (Store(out, place, value),)
            if not (isinstance(rows, int) and rows % self.tile == 0):
                body = (Store(out, place, Const(0, UINT32)), If(Op("lt", (Index(row), Index(rows)), BOOL), body))
            return [For(p, 0, self.tile, body, lanes, Tag.VECTOR)]

        return each_pair(k, self.sizes[self.k], lambda at: element(row, at), panel), self.temp.shape[-3]
