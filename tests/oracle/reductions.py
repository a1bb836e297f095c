"""Error bounds of reductions, products and running operators.

In: the bounds so far (`bound.Bounds`) and a node. Out: the bound of its result. Orders are those that codegen promises:
a sum is cut into chunks of at most 512 elements that are added one after the other (4096, in 64 or 32 interleaved
partial sums, where neighbours lie side by side), then trees; a matrix product is a chain of fused products for each
1024, and the chunks' sums in order. A running sum carries what it rounds off. It must not know kernels beyond that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from oracle.enclosure import UNIT64, Box, is_countable, rounding
from oracle.values import einsum, kept, labels

if TYPE_CHECKING:
    from oracle.bound import Bounds
    from symgrad.expr import Expr

Array = np.ndarray
CHUNK, LINE_CHUNK, PARTIALS = 512, 4096, 32
PRODUCT_CHUNK = 1024


def chain(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """Give the length of the longest chain of additions of a sum: neighbouring axes as one, the last ones first."""
    longest = 0
    for run in reversed(_runs(axes)):
        count = math.prod(shape[axis] for axis in run)
        side_by_side = any(shape[axis] != 1 for axis in range(run[-1] + 1, len(shape)) if axis not in axes)
        chunk = CHUNK if side_by_side else LINE_CHUNK
        steps = min(count, chunk) if side_by_side else math.ceil(min(count, chunk) / PARTIALS) + PARTIALS.bit_length()
        longest += min(count, steps + (count // chunk).bit_length())
    return longest


def _runs(axes: tuple[int, ...]) -> list[list[int]]:
    runs: list[list[int]] = []
    for axis in axes:
        if runs and runs[-1][-1] == axis - 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


def summed(bounds: Bounds, node: Expr, x: Box, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Bound a sum: the terms' errors, a rounding of the sum of magnitudes for every addition in a chain."""
    count = int(np.prod([x.value.shape[axis] for axis in axes]))
    own = chain(x.value.shape, axes) * bounds.unit(node) + count * UNIT64
    known = np.where(np.isfinite(x.error), x.error, 0.0)
    error, size = (np.sum(a, axis=axes, keepdims=keepdims) for a in (x.error, x.size + known))
    whole = np.all(is_countable(x), axis=axes, keepdims=keepdims) & (size * bounds.unit(node) < 1)
    return error + np.where(whole | (count <= 1), 0.0, own * size) + overflow(bounds, node, size)


def overflow(bounds: Bounds, node: Expr, size: Array) -> Array:
    """Undecide a sum whose magnitudes add up to more than the type holds: some partial sum may be infinite."""
    return np.where(size > float(np.finfo(bounds.float_type(node)).max), np.inf, 0.0)


def product_range(bounds: Bounds, node: Expr, x: Box, run: Callable[[Array], Array]) -> Array:
    """Undecide a product of which some partial product may overflow, or vanish where an infinity follows."""
    info = np.finfo(bounds.float_type(node))
    great, small = run(np.maximum(x.size, 1.0)), run(np.where(x.size > 0, np.minimum(x.size, 1.0), 1.0))
    is_special = run(np.where(np.isfinite(x.value), 1.0, 2.0)) > 1
    return np.where((great > float(info.max)) | (is_special & (small < float(info.tiny))), np.inf, 0.0)


def total(bounds: Bounds, node: Expr) -> Array:
    (x,) = bounds.boxes(node)
    axes, keepdims = node.attrs["axes"], node.attrs["keepdims"]
    if node.dtype.is_float:
        return summed(bounds, node, x, axes, keepdims)
    return np.sum(x.error, axis=axes, keepdims=keepdims)


def product(bounds: Bounds, node: Expr) -> Array:
    (x,) = bounds.boxes(node)
    axes, keepdims = node.attrs["axes"], node.attrs["keepdims"]
    if not node.dtype.is_float:
        return np.sum(x.error, axis=axes, keepdims=keepdims)
    count = int(np.prod([x.value.shape[axis] for axis in axes]))
    greatest = np.prod(x.size + x.error, axis=axes, keepdims=keepdims)
    error = greatest - np.prod(x.size, axis=axes, keepdims=keepdims)
    own = rounding(greatest, count, bounds.float_type(node), 0.0, count + 2.0)
    return error + own + product_range(bounds, node, x, lambda v: np.prod(v, axis=axes, keepdims=keepdims))


def extremum(bounds: Bounds, node: Expr) -> Array:
    """Bound a maximum or minimum by those of the ends of the boxes."""
    (x,) = bounds.boxes(node)
    out, pick = bounds.graph.values[node], np.max if node.op == "max" else np.min
    if not node.dtype.is_float:
        return np.max(x.error, axis=node.attrs["axes"], keepdims=node.attrs["keepdims"])
    ends = [pick(end, axis=node.attrs["axes"], keepdims=node.attrs["keepdims"]) for end in (x.least, x.greatest)]
    same = (ends[0] == out) & (ends[1] == out)
    return np.where(same, 0.0, np.maximum(np.abs(ends[0] - out), np.abs(ends[1] - out)))


def place_of_extremum(bounds: Bounds, node: Expr) -> Array:
    """Tell where another element than the first of the greatest may be the greatest."""
    (x,) = bounds.boxes(node)
    axes, keepdims = node.attrs["axes"], node.attrs["keepdims"]
    if x.value.dtype.kind == "f":
        value = x.value if node.op == "argmax" else -x.value
        candidate = value + x.error >= np.max(value - x.error, axis=axes, keepdims=True)
        exact = np.max(np.where(candidate, x.error, 0.0), axis=axes, keepdims=keepdims) == 0
        return np.where((candidate.sum(axis=axes, keepdims=keepdims) == 1) | exact, 0.0, np.inf)
    return np.max(x.error, axis=axes, keepdims=keepdims)


def some(bounds: Bounds, node: Expr) -> Array:
    """Bound `any` and `all`: one certain element decides."""
    (x,) = bounds.boxes(node)
    decisive = x.value if node.op == "any" else ~x.value
    axes, keepdims = node.attrs["axes"], node.attrs["keepdims"]
    certain = np.any(decisive & (x.error == 0), axis=axes, keepdims=keepdims)
    return np.where(certain, 0.0, np.max(x.error, axis=axes, keepdims=keepdims, initial=0.0))


def length(bounds: Bounds, node: Expr) -> Array:
    """Bound a norm: it moves by no more than the norm of the errors; squares may underflow, and overflow."""
    (x,) = bounds.boxes(node)
    axes, keepdims, dtype = node.attrs["axes"], node.attrs["keepdims"], bounds.float_type(node)
    info, out = np.finfo(dtype), bounds.graph.values[node]
    count = int(np.prod([x.value.shape[axis] for axis in axes]))
    moved = np.sqrt(np.sum(x.error**2, axis=axes, keepdims=keepdims))
    low = np.sum(np.where(x.size > 0, float(info.smallest_subnormal), 0.0), axis=axes, keepdims=keepdims)
    own = rounding(out, chain(x.value.shape, axes) / 2 + 1, dtype, moved, count + 2.0)
    lost = np.where(out < math.sqrt(info.tiny) * 2**12, np.sqrt(low), low)  # squares below the normal range
    return np.where((out + moved) ** 2 > float(info.max), np.inf, moved + own + lost)


# -- products ------------------------------------------------------------------------------------------------------


def contraction(bounds: Bounds, node: Expr) -> Array:
    (x, y), (left, right, out) = bounds.boxes(node), labels(node)
    if not node.dtype.is_float:
        return einsum(x.error, left, np.ones_like(y.error), right, out) + einsum(
            np.ones_like(x.error), left, y.error, right, out
        )

    def sums(a: Array, b: Array) -> Array:
        return einsum(a, left, b, right, out)

    known = [np.where(np.isfinite(box.error), box.error, 0.0) for box in (x, y)]
    unknown = [np.isinf(box.error).astype(np.float64) for box in (x, y)]
    shape = dict(zip(left, x.value.shape, strict=True))
    count = int(np.prod([shape[label] for label in left if label not in out]))
    own = (min(count, PRODUCT_CHUNK) + count // PRODUCT_CHUNK + 1) * bounds.unit(node) + count * UNIT64
    greatest = sums(x.size + known[0], y.size + known[1])
    error = sums(known[0], y.size) + sums(x.size + known[0], known[1]) + own * greatest
    error = error + np.where(greatest > 0, count * float(np.finfo(bounds.float_type(node)).smallest_subnormal), 0.0)
    if is_countable(x).all() and is_countable(y).all() and np.all(greatest * bounds.unit(node) < 1):
        error = np.zeros(greatest.shape)
    touched = sums(unknown[0], np.ones_like(y.error)) + sums(np.ones_like(x.error), unknown[1])
    endless = [np.isinf(box.value).astype(np.float64) for box in (x, y)]
    maybe_zero = [((box.error > 0) & (box.size <= box.error)).astype(np.float64) for box in (x, y)]
    touched = touched + sums(endless[0], maybe_zero[1]) + sums(maybe_zero[0], endless[1])  # infinity times 0 is NaN
    return np.where(touched > 0, np.inf, error) + overflow(bounds, node, greatest)


# -- running operators ---------------------------------------------------------------------------------------------


def running_sum(bounds: Bounds, node: Expr) -> Array:
    (x,), axis = bounds.boxes(node), node.attrs["axis"]
    error = np.cumsum(x.error, axis)
    if not node.dtype.is_float:
        return error
    u, count = bounds.unit(node), x.value.shape[axis]
    sizes = np.cumsum(x.size + np.where(np.isfinite(x.error), x.error, 0.0), axis)
    own = rounding(bounds.graph.values[node], 2.0, bounds.float_type(node), error)
    return error + own + ((count * u) ** 2 + count * UNIT64) * sizes + overflow(bounds, node, sizes)


def running_product(bounds: Bounds, node: Expr) -> Array:
    (x,), axis = bounds.boxes(node), node.attrs["axis"]
    if not node.dtype.is_float:
        return np.cumsum(x.error, axis)
    greatest, count = np.cumprod(x.size + x.error, axis), x.value.shape[axis]
    error = greatest - np.cumprod(x.size, axis) + rounding(greatest, count, bounds.float_type(node), 0.0, count + 2.0)
    return error + product_range(bounds, node, x, lambda v: np.cumprod(v, axis))


def recurrence(bounds: Bounds, node: Expr) -> Array:
    """Carry the error of each element into the next one, and what may be infinite."""
    (a, b), axis, dtype = bounds.boxes(node), node.attrs["axis"], bounds.float_type(node)
    factor, factor_error, term_error, out = (
        np.moveaxis(v, axis, 0) for v in (a.size, a.error, b.error, bounds.graph.values[node])
    )
    error = np.zeros(out.shape)
    for k in range(len(out)):
        error[k] = term_error[k]
        if k:
            moved = factor[k] * error[k - 1] + factor_error[k] * (np.abs(out[k - 1]) + error[k - 1])
            size = factor[k] * np.abs(out[k - 1]) + np.abs(out[k])
            error[k] += moved + rounding(size, 1.0, dtype, moved)
        error[k] += overflow(bounds, node, np.abs(out[k]) + error[k])
    return np.moveaxis(error, 0, axis)


# -- orders --------------------------------------------------------------------------------------------------------


def sorted_values(bounds: Bounds, node: Expr) -> Array:
    """Bound sorted values: the k-th of a line moves by no more than the largest error in the line."""
    (x,), axis = bounds.boxes(node), node.attrs["axis"]
    return np.broadcast_to(np.max(x.error, axis=axis, keepdims=True, initial=0.0), x.value.shape)


def sorted_places(bounds: Bounds, node: Expr) -> Array:
    """Tell which places may change: those where the elements before and after are not apart, nor equal and exact."""
    (x,), axis = bounds.boxes(node), node.attrs["axis"]
    if x.value.dtype.kind != "f":
        return np.broadcast_to(np.max(x.error, axis=axis, keepdims=True, initial=0.0), x.value.shape)
    order = bounds.graph.values[node]
    value, error = (np.moveaxis(np.take_along_axis(v, order, axis), axis, 0) for v in (x.value, x.error))
    if node.attrs["descending"]:
        value = -value
    high = np.maximum.accumulate(value + error, 0)[:-1]
    low = np.minimum.accumulate((value - error)[::-1], 0)[::-1][1:]
    exact = (error[:-1] == 0) & (error[1:] == 0)
    apart = np.ones((len(value) + 1, *value.shape[1:]), bool)
    apart[1 : len(value)] = (high < low) | ((high == low) & exact)
    return np.moveaxis(np.where(apart[:-1] & apart[1:], 0.0, np.inf), 0, axis)


def searched(bounds: Bounds, node: Expr) -> Array:
    """Tell where a value may lie between other elements."""
    ordered, wanted = bounds.boxes(node)
    out = bounds.graph.values[node]
    if ordered.value.dtype.kind != "f":
        return np.full(out.shape, float((ordered.error > 0).any() or (wanted.error > 0).any()))
    error = np.zeros(out.shape)
    for line in np.ndindex(out.shape[:-1]):
        for ends, value in ((ordered.greatest, wanted.least), (ordered.least, wanted.greatest)):
            found = np.searchsorted(np.sort(ends[line]), value[line], node.attrs["side"])
            error[line] = np.where(found != out[line], np.inf, error[line])
    return error


def spread_error(bounds: Bounds, node: Expr) -> Array:
    """Bound one_hot: a row whose position is undecided may hold its 1 anywhere."""
    (positions,) = node.args
    unknown = kept(bounds.errors[positions] > 0, (positions.ndim,), False)
    return np.broadcast_to(np.where(unknown, 1.0, 0.0), bounds.graph.values[node].shape)
