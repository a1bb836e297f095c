"""Factors: elimination with partial pivoting and what it gives; Cholesky factors; triangular systems.

In: the `Item` of one matrix, or of one system of equations. Out: its statements, over copies in scratch memory; rows
are updated in vectors. A singular matrix gives what divisions by zero give, one that is not positive definite NaN.
It must not know operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from codegen.ir import Const, For, If, Index, Name, Set, Stmt, Value
from codegen.item import Array, Block, Item, op
from codegen.scalars import apply
from symgrad.dtypes import BOOL
from symgrad.shape import Size, dim


@dataclass(frozen=True, slots=True)
class Matrix:
    """A copy of an operand in scratch memory."""

    array: Array
    rows: Size
    columns: Size


def _copied(item: Item, number: int, prefix: str) -> tuple[Block, Matrix]:
    """Copy a matrix operand to scratch memory; a vector becomes a column."""
    rows, columns = _extents(item, number)
    alloc, array = item.array(prefix, item.root.dtype, rows, columns)

    def row(r: Size) -> Block:
        def put(c: Size) -> Block:
            block, value = item.element(number, *_place(item, number, r, c))
            return [*block, array.put(value, r, c)]

        return [item.loop("c", 0, columns, put)]

    return [alloc, item.loop("r", 0, rows, row)], Matrix(array, rows, columns)


def _is_vector(item: Item, number: int) -> bool:
    """Tell whether an operand has a vector where the first has a matrix."""
    return item.root.args[number].ndim < item.root.args[0].ndim


def _extents(item: Item, number: int) -> tuple[Size, Size]:
    shape = item.root.args[number].shape
    return (shape[-1], 1) if _is_vector(item, number) else (shape[-2], shape[-1])


def _place(item: Item, number: int, row: Size, column: Size) -> tuple[Size, ...]:
    """Give the index of an element in its operand, and in the result that has the operand's shape."""
    return (row,) if _is_vector(item, number) else (row, column)


def _written(item: Item, x: Matrix) -> For:
    """Write the result, which has the shape of the last operand, from scratch memory."""
    last = len(item.root.args) - 1

    def row(r: Size) -> Block:
        return [item.loop("c", 0, x.columns, lambda c: [item.result(x.array.at(r, c), *_place(item, last, r, c))])]

    return item.loop("r", 0, x.rows, row)


def _subtracted(item: Item, x: Matrix, target: Size, factor: Value, source: Size, first: Size = 0) -> For:
    """Subtract a multiple of one row from another, from a column on."""
    a = x.array
    return item.lanes("j", first, x.columns, lambda j: [
        a.put(op("sub", a.at(target, j), op("mul", factor, a.at(source, j))), target, j)
    ])  # fmt: skip


def _scaled(item: Item, x: Matrix, row: Size, divisor: Value) -> For:
    a = x.array
    return item.lanes("j", 0, x.columns, lambda j: [a.put(op("div", a.at(row, j), divisor), row, j)])


def _exchanged(item: Item, x: Matrix, first: Size, second: Size) -> For:
    a = x.array

    def swap(j: Size) -> Block:
        let_one, one = item.bound("v", a.at(first, j))
        let_two, two = item.bound("v", a.at(second, j))
        return [let_one, let_two, a.put(two, first, j), a.put(one, second, j)]

    return item.lanes("j", 0, x.columns, swap)


# -- elimination ---------------------------------------------------------------------------------------------------


def _eliminated(item: Item, a: Matrix, beside: Matrix | None = None, parity: Name | None = None) -> For:
    """Make a matrix upper triangular; the same row operations are applied to the matrix beside it.

    The pivot of a column is its element of greatest magnitude, the first of equals. `parity` changes its sign with
    every exchange of rows. A column of zeros is left as it is.
    """
    both = [a] if beside is None else [a, beside]

    def column(k: Size) -> Block:
        find, pivot = _pivot(item, a, k)
        exchange: list[Stmt] = [_exchanged(item, x, k, dim(pivot.name)) for x in both]
        if parity is not None:
            exchange.append(Set(parity.name, op("neg", parity)))
        let_head, head = item.bound("d", a.array.at(k, k))
        zero = Const(0.0, head.dtype)

        def row(r: Size) -> Block:
            ratio = op("select", op("eq", head, zero), zero, op("div", a.array.at(r, k), head))
            let_factor, factor = item.bound("f", ratio)
            rest: list[Stmt] = [_subtracted(item, a, r, factor, k, k + 1)]
            if beside is not None:
                rest.append(_subtracted(item, beside, r, factor, k))
            return [let_factor, *rest]

        moves = If(op("ne", pivot, Index(k)), tuple(exchange))
        return [*find, moves, let_head, item.loop("r", k + 1, a.rows, row)]

    return item.loop("k", 0, a.rows, column)


def _pivot(item: Item, a: Matrix, k: Size) -> tuple[Block, Name]:
    """Find the row of the element of greatest magnitude at and below the diagonal."""
    declare_row, row = item.variable("p", Index(k))
    declare_best, best = item.variable("m", op("abs", a.array.at(k, k)))

    def compare(r: Size) -> Block:
        let_size, size = item.bound("v", op("abs", a.array.at(r, k)))
        better = (Set(best.name, size), Set(row.name, Index(r)))
        return [let_size, If(op("gt", size, best), better)]

    let_row, found = item.bound("p", row)
    return [declare_row, declare_best, item.loop("r", k + 1, a.rows, compare), let_row], found


def solve(item: Item) -> Block:
    """Solve A X = B: eliminate in both, then substitute from the last row back."""
    copy_a, a = _copied(item, 0, "a")
    copy_b, b = _copied(item, 1, "y")
    return [*copy_a, *copy_b, _eliminated(item, a, b), _substituted(item, a, b, from_last=True), _written(item, b)]


def _substituted(item: Item, a: Matrix, b: Matrix, from_last: bool) -> For:
    """Divide each row by the diagonal and take its part out of the rows that are not done yet."""

    def step(k: Size) -> Block:
        own = a.rows - 1 - k if from_last else k
        others = (0, own) if from_last else (own + 1, a.rows)

        def row(r: Size) -> Block:
            let_factor, factor = item.bound("f", a.array.at(r, own))
            return [let_factor, _subtracted(item, b, r, factor, own)]

        let_head, head = item.bound("d", a.array.at(own, own))
        return [let_head, _scaled(item, b, own, head), item.loop("r", *others, row)]

    return item.loop("k", 0, a.rows, step)


def triangular_solve(item: Item) -> Block:
    """Solve with a triangular matrix; its other half is not used."""
    copy_a, a = _copied(item, 0, "a")
    copy_b, b = _copied(item, 1, "y")
    return [*copy_a, *copy_b, _substituted(item, a, b, from_last=not item.root.attrs["lower"]), _written(item, b)]


# -- determinants --------------------------------------------------------------------------------------------------


def determinant(item: Item) -> Block:
    """Multiply the pivots."""
    dtype = item.root.dtype
    declare, product = item.variable("s", Const(1.0, dtype))
    return _of_pivots(item, declare, product, product, lambda d: op("mul", product, d))


def log_determinant(item: Item) -> Block:
    """Add the logarithms of the pivots' magnitudes."""
    dtype = item.root.dtype
    declare, total = item.variable("s", Const(0.0, dtype))
    return _of_pivots(item, declare, total, None, lambda d: op("add", total, apply("log", (op("abs", d),))))


def sign_of_determinant(item: Item) -> Block:
    """Multiply the signs of the pivots."""
    dtype = item.root.dtype
    declare, product = item.variable("s", Const(1.0, dtype))
    return _of_pivots(item, declare, product, product, lambda d: op("mul", product, apply("sign", (d,))))


def _of_pivots(item: Item, declare: Stmt, state: Name, parity: Name | None, step: Callable[[Value], Value]) -> Block:
    """Eliminate, then take in the diagonal from the first row to the last."""
    copy, a = _copied(item, 0, "a")

    def take(k: Size) -> Block:
        let_head, head = item.bound("d", a.array.at(k, k))
        return [let_head, Set(state.name, step(head))]

    return [*copy, declare, _eliminated(item, a, parity=parity), item.loop("k", 0, a.rows, take), item.result(state)]


# -- Cholesky ------------------------------------------------------------------------------------------------------


def cholesky(item: Item) -> Block:
    """Factor the symmetric part: the transpose of the factor arises row by row, in the upper half."""
    size, dtype = item.root.shape[-1], item.root.dtype
    alloc, u = item.array("u", dtype, size, size)
    declare, is_definite = item.variable("ok", Const(True, BOOL))
    a = Matrix(u, size, size)

    def column(k: Size) -> Block:
        let_head, head = item.bound("d", u.at(k, k))
        let_root, root = item.bound("d", op("sqrt", head))
        positive = op("and", is_definite, op("gt", head, Const(0.0, dtype)))
        scale = item.lanes("j", k, size, lambda j: [u.put(op("div", u.at(k, j), root), k, j)])

        def row(r: Size) -> Block:
            let_factor, factor = item.bound("f", u.at(k, r))
            return [let_factor, _subtracted(item, a, r, factor, k, r)]

        return [let_head, Set(is_definite.name, positive), let_root, scale, item.loop("r", k + 1, size, row)]

    def write(r: Size) -> Block:
        def put(c: Size, value: Value) -> Block:
            return [item.result(op("select", is_definite, value, Const(math.nan, dtype)), r, c)]

        below = item.loop("c", 0, r + 1, lambda c: put(c, u.at(c, r)))
        return [below, item.loop("c", r + 1, size, lambda c: put(c, Const(0.0, dtype)))]

    fill = item.loop("r", 0, size, lambda r: [item.loop("c", 0, size, lambda c: _symmetric(item, u, r, c))])
    return [alloc, declare, fill, item.loop("k", 0, size, column), item.loop("r", 0, size, write)]


def _symmetric(item: Item, u: Array, r: Size, c: Size) -> Block:
    """Copy an element of the symmetric part; halves are added, for the sum of large elements may overflow."""
    block, x = item.element(0, r, c)
    other, y = item.element(0, c, r)
    half = Const(0.5, u.dtype)
    return [*block, *other, u.put(op("add", op("mul", x, half), op("mul", y, half)), r, c)]
