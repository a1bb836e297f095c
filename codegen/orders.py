"""Orders: running sums and products, recurrences, sorting, searching in what is sorted.

In: the `Item` of one item. Out: its statements. NaN is greater than every number, as NumPy sorts. It must not know
operators.
"""

from __future__ import annotations

from codegen.ir import Const, If, Index, Set, Stmt, Value, While
from codegen.item import Array, Block, Item, integer, op
from codegen.signature import dtype_of
from symgrad.dtypes import INT64
from symgrad.shape import Size, dim

RENEWAL = 64  # additions after which what they rounded off joins the total, before it is rounded too often itself


def cumulative_sum(item: Item) -> Block:
    """Add up along the axis; floats carry what each addition rounded off (Neumaier), so that errors do not pile up."""
    dtype = item.root.dtype
    if not dtype.is_float:
        return _running(item, "add", 0)
    start, total = item.variable("s", Const(0.0, dtype))
    start_rest, rest = item.variable("c", Const(0.0, dtype))

    def step(i: Size) -> Block:
        block, x = item.element(0, i)
        let_x, x = item.bound("x", x)
        let_sum, new = item.bound("t", op("add", total, x))
        let_part, part = item.bound("p", op("sub", new, total))  # what of x has arrived
        lost = op("add", op("sub", total, op("sub", new, part)), op("sub", x, part))
        let_lost, off = item.bound("e", lost)
        return [
            *block, let_x, let_sum, let_part, let_lost,
            Set(rest.name, op("add", rest, finite(off))), Set(total.name, new),
            item.result(op("add", total, rest), i),
        ]  # fmt: skip

    def stretch(number: Size) -> Block:
        let_stop, stop = item.smaller("to", number * RENEWAL + RENEWAL, _length(item))
        let_both, both = item.bound("u", op("add", total, rest))
        let_left, left = item.bound("d", op("sub", rest, op("sub", both, total)))
        return [
            let_stop, item.loop("k", number * RENEWAL, stop, step),
            let_both, let_left, Set(rest.name, finite(left)), Set(total.name, both),
        ]  # fmt: skip

    def finite(value: Value) -> Value:
        """Replace the NaN that is lost where the sum is infinite."""
        return op("select", op("eq", value, value), value, Const(0.0, dtype))

    stretches = (_length(item) + (RENEWAL - 1)) // RENEWAL
    return [start, start_rest, item.loop("s", 0, stretches, stretch)]


def cumulative_product(item: Item) -> Block:
    """Multiply along the axis."""
    return _running(item, "mul", 1)


def _running(item: Item, name: str, first: int) -> Block:
    dtype = item.root.dtype
    start, total = item.variable("s", Const(float(first) if dtype.is_float else first, dtype))

    def step(i: Size) -> Block:
        block, x = item.element(0, i)
        return [*block, Set(total.name, op(name, total, x)), item.result(total, i)]

    return [start, item.loop("k", 0, _length(item), step)]


def recurrence(item: Item) -> Block:
    """Multiply by the factor and add the term along the axis; there is nothing before the first term."""
    dtype = item.root.dtype
    start, last = item.variable("s", Const(0.0, dtype))

    def step(i: Size) -> Block:
        block, factor = item.element(0, i)
        more, term = item.element(1, i)
        new = op("select", op("eq", Index(i), integer(0)), term, op("add", op("mul", factor, last), term))
        return [*block, *more, Set(last.name, new), item.result(last, i)]

    return [start, item.loop("k", 0, _length(item), step)]


def _length(item: Item) -> Size:
    size: Size = item.root.args[0].shape[item.root.attrs["axis"]]
    return size


def _before(x: Value, y: Value) -> Value:
    """Tell whether x comes before y, and is not equal: NaN comes last."""
    less = op("lt", x, y)
    if not dtype_of(x).is_float:
        return less
    return op("or", less, op("and", op("ne", y, y), op("eq", x, x)))


# -- sorting -------------------------------------------------------------------------------------------------------


def argsort(item: Item) -> Block:
    """Merge runs of twice the length again and again: positions move, keys stay; equal keys keep their order."""
    size = _length(item)
    alloc_keys, keys = item.array("keys", item.dtype(0), size)
    alloc_runs, runs = item.array("runs", INT64, size)
    alloc_merged, merged = item.array("merged", INT64, size)
    fill = item.loop("k", 0, size, lambda at: _filled(item, keys, runs, at))
    declare_width, width = item.variable("w", integer(1))
    let_width, w = item.bound("w", width)
    pairs = op("floordiv", Index(size + 2 * dim(w.name) - 1), op("mul", w, integer(2)))
    let_pairs, count = item.bound("n", pairs)

    def merge(pair: Size) -> Block:
        return _merge(item, keys, runs, merged, 2 * pair * dim(w.name), dim(w.name))

    level: list[Stmt] = [
        let_width, let_pairs, item.loop("q", 0, dim(count.name), merge),
        item.lanes("k", 0, size, lambda at: [runs.put(merged.at(at), at)]),
        Set(width.name, op("mul", width, integer(2))),
    ]  # fmt: skip
    merges: list[Stmt] = [declare_width, While(op("lt", width, Index(size)), tuple(level))]
    return [
        alloc_keys, alloc_runs, alloc_merged, fill, *(merges if size != 0 else ()),
        item.loop("k", 0, size, lambda at: [item.result(runs.at(at), at)]),
    ]  # fmt: skip


def _filled(item: Item, keys: Array, runs: Array, at: Size) -> Block:
    block, key = item.element(0, at)
    return [*block, keys.put(key, at), runs.put(Index(at), at)]


def _merge(item: Item, keys: Array, runs: Array, merged: Array, first: Size, width: Size) -> Block:
    """Merge two neighbouring runs, the first of which starts here; an equal key of the first run goes first."""
    size = _length(item)
    let_middle, middle = item.smaller("mid", first + width, size)
    let_stop, stop = item.smaller("hi", first + 2 * width, size)
    declare_left, left = item.variable("l", Index(first))
    declare_right, right = item.variable("r", Index(middle))

    def step(at: Size) -> Block:
        ends = [op("min", side, Index(size - 1)) for side in (left, right)]  # where one run is used up, any element
        let_left, at_left = item.bound("at", ends[0])
        let_right, at_right = item.bound("at", ends[1])
        let_a, a = item.bound("i", runs.at(dim(at_left.name)))
        let_b, b = item.bound("i", runs.at(dim(at_right.name)))
        x, y = keys.at(dim(a.name)), keys.at(dim(b.name))
        sooner = _before(x, y) if item.root.attrs["descending"] else _before(y, x)
        none_left = op("ge", left, Index(middle))
        let_takes, takes = item.bound("t", op("and", op("lt", right, Index(stop)), op("or", none_left, sooner)))
        return [
            let_left, let_right, let_a, let_b, let_takes, merged.put(op("select", takes, b, a), at),
            Set(left.name, op("select", takes, left, op("add", left, integer(1)))),
            Set(right.name, op("select", takes, op("add", right, integer(1)), right)),
        ]  # fmt: skip

    return [let_middle, let_stop, declare_left, declare_right, item.loop("k", first, stop, step)]


# -- searching -----------------------------------------------------------------------------------------------------


def searchsorted(item: Item) -> Block:
    """Halve the sorted elements for each value until one place is left."""
    ordered, values = item.root.args
    size, count = ordered.shape[-1], values.shape[-1]

    def find(at: Size) -> Block:
        block, value = item.element(1, at)
        let_value, v = item.bound("x", value)
        declare_low, low = item.variable("lo", integer(0))
        declare_high, high = item.variable("hi", Index(size))
        let_middle, middle = item.bound("mid", op("ashr", op("add", low, high), integer(1)))
        load, x = item.element(0, dim(middle.name))
        goes_on = _before(x, v) if item.root.attrs["side"] == "left" else op("not", _before(v, x))
        halve: list[Stmt] = [
            let_middle, *load,
            If(goes_on, (Set(low.name, op("add", middle, integer(1))),), (Set(high.name, middle),)),
        ]  # fmt: skip
        search = While(op("lt", low, high), tuple(halve))
        return [*block, let_value, declare_low, declare_high, search, item.result(low, at)]

    return [item.loop("k", 0, count, find)]
