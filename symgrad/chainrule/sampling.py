"""Random points of a graph: arrays for its symbols and parameters that respect what is declared of them.

In: a graph, a generator of random numbers. Out: sizes for its dimensions and arrays for its leaves, at which its value
is finite. Facts are respected, and integers that are positions stay inside their axis. It must not know derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.dtypes import BOOL
from symgrad.errors import IndexRangeError, ShapeError
from symgrad.expr import Body, Expr, TensorType, topological
from symgrad.interpreter import evaluate
from symgrad.ops.facts import declared
from symgrad.ops.row import row_of
from symgrad.ops.structure import Gather, Scatter
from symgrad.shape import Dim, Size, dim, names
from symgrad.shape import evaluate as size_value

__all__ = ["Point", "draw", "sizes_in"]

Point = dict[Any, Any]  # arrays by leaf, and numbers by dimension

MOST_DRAWS = 24


def _definite(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw square matrices that are symmetric and positive definite, and anything else."""
    array = rng.normal(size=shape)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        return array
    return array @ np.swapaxes(array, -1, -2) + np.eye(shape[-1])


# What leaves are drawn from, in turn: any numbers, positive ones, probabilities, those above 1, definite matrices.
_KINDS: tuple[Callable[[np.random.Generator, tuple[int, ...]], np.ndarray], ...] = (
    lambda rng, shape: rng.normal(size=shape),
    lambda rng, shape: rng.normal(size=shape),
    lambda rng, shape: rng.uniform(0.5, 1.5, shape),
    lambda rng, shape: rng.uniform(0.05, 0.95, shape),
    lambda rng, shape: rng.uniform(1.1, 2.5, shape),
    _definite,
)


def draw(root: Expr, rng: np.random.Generator, given: Mapping[Expr, Any]) -> Point:
    """Draw a point at which a scalar is finite; ValueError if many draws give none.

    The draws are of numbers of all signs, and in turn of those that logarithms, probabilities, inverse functions want.
    """
    order = topological([root])
    leaves = [node for node in order if node.op in ("symbol", "parameter")]
    _check_keys(given)
    refused = ""
    extents = _extents(order)
    for turn in range(MOST_DRAWS):
        kind = _KINDS[turn % len(_KINDS)]
        sizes = {name: int(rng.integers(2, 5 + turn // 4)) for name in sizes_in(order)}
        sizes.update(_sizes_of(given))
        point: Point = {dim(name): size for name, size in sizes.items()}
        try:
            for node in leaves:
                point[node] = given[node] if node in given else _array(node, sizes, extents, rng, kind)
            if np.isfinite(evaluate(root, point)):
                return point
        except (ShapeError, IndexRangeError) as error:
            refused = f" The last one was refused: {error}"
    found = f"no point was found at which the loss is finite, in {MOST_DRAWS} draws"
    raise ValueError(f"{found}. Give arrays with given=.{refused}")


def _check_keys(given: Mapping[Any, Any]) -> None:
    for key in given:
        if not isinstance(key, Expr) or key.op not in ("symbol", "parameter"):
            raise TypeError(f"check: given has arrays by symbol or parameter, not by {type(key).__name__} {key}")


def sizes_in(order: Sequence[Expr]) -> list[str]:
    """List the names of all dimensions in a graph."""
    found: set[str] = set()
    stack: list[Any] = [value for node in order for value in (*node.attrs.values(), *_shape(node))]
    while stack:
        value = stack.pop()
        if isinstance(value, Dim):
            found |= set(map(str, names(value)))
        elif isinstance(value, tuple):
            stack += value
        elif isinstance(value, Body):
            stack += [size for node in topological(value.outputs) for size in _shape(node)]
    return sorted(found)


def _shape(node: Expr) -> tuple[Size, ...]:
    return node.type.shape if isinstance(node.type, TensorType) else ()


def _sizes_of(given: Mapping[Expr, Any]) -> dict[str, int]:
    """Read sizes off the arrays that are given."""
    found = {}
    for node, array in given.items():
        for size, length in zip(_shape(node), np.shape(array), strict=False):
            if isinstance(size, Dim) and str(size) in set(map(str, names(size))):
                found[str(size)] = length
    return found


def _extents(order: Sequence[Expr]) -> dict[Expr, Size]:
    """Find below which size the integers stay that stand for positions; the first use decides."""
    found: dict[Expr, Size] = {}
    for node in order:
        structure = row_of(node).structure
        if isinstance(structure, Gather | Scatter):
            found.setdefault(_source(node.args[1]), structure.extent(node))
        elif node.op == "one_hot":
            found.setdefault(_source(node.args[0]), node.attrs["depth"])
    return found


def _source(node: Expr) -> Expr:
    """Give the leaf that positions are moved or converted from."""
    while len(node.args) == 1:
        (node,) = node.args
    return node


def _array(
    node: Expr, sizes: Mapping[str, int], extents: Mapping[Expr, Size], rng: np.random.Generator,
    kind: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray],
) -> np.ndarray:  # fmt: skip
    """Draw a leaf: weights are small enough that deep networks stay moderate."""
    shape = tuple(size_value(size, dict(sizes)) for size in node.shape)
    if node.dtype is BOOL:
        return rng.random(shape) < 0.5
    if not node.dtype.is_float:
        return rng.integers(0, max(1, size_value(extents.get(node, 2), dict(sizes))), shape).astype(node.dtype.numpy)
    facts = declared(node)
    array = kind(rng, shape)
    if node.op == "parameter" and len(shape) > 1:
        array = array / np.sqrt(max(1, shape[-2]))
    if "integer_valued" in facts:
        array = np.round(2 * array)
    if facts & {"positive", "nonnegative", "rows_sum_to_one"}:
        array = np.abs(array)
    if "nonzero" in facts:
        array = np.where(array == 0, 1.0, array)
    if "rows_sum_to_one" in facts:
        array = array / array.sum(axis=-1, keepdims=True)
    return array + np.swapaxes(array, -1, -2) if "symmetric" in facts else array
