"""What both modes and the error bounds start from: the value of every node of a graph, from the interpreter.

In: expressions, arrays by symbol (or by any other node), sizes by dimension. Out: `Graph`: nodes in order with their
values in float64, attributes with sizes in place of dimensions, and for operators that only move elements the table of
where each element comes from. It must not know derivatives, neither symgrad's nor the oracle's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.boundary import bind_shapes
from symgrad.expr import Expr, topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import row_of
from symgrad.shape import Dim, dim
from symgrad.shape import evaluate as size_value

Env = Mapping[Any, Any]


class UnplacedError(LookupError):
    """A row that the oracle has no rule for: every new row needs one."""

    def __init__(self, what: str, node: Expr) -> None:
        super().__init__(f"{what}: the row {node.op!r} is in no table of the oracle. Place it.")


@dataclass(frozen=True)
class Graph:
    """Nodes, operands first, their values in float64 (integers and bools as they are), and the bound dimensions."""

    order: list[Expr]
    values: dict[Expr, np.ndarray]
    sizes: dict[str, int]
    given: frozenset[Expr]

    def attrs(self, node: Expr) -> dict[str, Any]:
        """Give a node's attributes with sizes in place of dimensions."""
        return {key: _bound(value, self.sizes) for key, value in node.attrs.items()}

    def operands(self, node: Expr) -> list[np.ndarray]:
        return [self.values[arg] for arg in node.args]

    @property
    def free(self) -> dict[Any, Any]:
        """Give the sizes by dimension, as an environment has them."""
        return {dim(name): size for name, size in self.sizes.items()}


def _bound(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, Dim):
        return size_value(value, sizes)
    return tuple(_bound(item, sizes) for item in value) if isinstance(value, tuple) else value


def evaluated(roots: Sequence[Expr], env: Env) -> Graph:
    """Evaluate every node below the roots; what the environment gives is not entered."""
    for key in env:
        if not isinstance(key, (Expr, Dim)):
            raise TypeError(f"the oracle takes values by node and by dimension, not by {type(key).__name__}")
    given = {key: np.asarray(value) for key, value in env.items() if isinstance(key, Expr)}
    order = topological(roots, stop=given.__contains__)
    sizes = bind_shapes({node: array.shape for node, array in given.items()})
    sizes |= {str(key): int(value) for key, value in env.items() if isinstance(key, Dim)}
    free = {dim(name): size for name, size in sizes.items()}
    found = evaluate(order, {**free, **given})
    values = {node: np.asarray(value) for node, value in zip(order, found, strict=True)}
    return Graph(order, values, sizes, frozenset(given))


# -- operators that move elements ----------------------------------------------------------------------------------


def sources(graph: Graph, node: Expr, moved: int) -> np.ndarray:
    """Tell where each element of a result comes from, by running the row's oracle on numbers instead of elements.

    The elements of the first `moved` operands are numbered in a row from 1, operand after operand; 0 stands for a zero
    that comes from nowhere. The other operands are positions, and keep their values.
    """
    arrays, first = [], 1
    for k, array in enumerate(graph.operands(node)):
        if k < moved:
            arrays.append(np.arange(first, first + array.size).reshape(array.shape))
            first += array.size
        else:
            arrays.append(array)
    return np.asarray(row_of(node).oracle(*arrays, **graph.attrs(node)), np.int64)


def pushed(arrays: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    """Give each element of a result its own from the operands, or 0."""
    return np.concatenate([np.zeros(1), *(a.ravel() for a in arrays)])[places]


def pulled(g: np.ndarray, places: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Add each element of a cotangent to where it comes from: the transpose of `pushed`."""
    counts = [int(np.prod(shape)) for shape in shapes]
    pool = np.zeros(1 + sum(counts))
    np.add.at(pool, places.ravel(), np.ravel(g))
    ends = np.cumsum([1, *counts])
    return [pool[a:b].reshape(shape) for a, b, shape in zip(ends[:-1], ends[1:], shapes, strict=True)]


# -- axes ----------------------------------------------------------------------------------------------------------


def kept(array: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Give a reduction's result its reduced axes back, with size 1."""
    return array if keepdims else np.expand_dims(array, axes)


def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum over the axes that broadcasting added or stretched."""
    extra = g.ndim - len(shape)
    stretched = tuple(a for a in range(g.ndim) if a < extra or (shape[a - extra] == 1 and g.shape[a] != 1))
    return g.sum(axis=stretched, keepdims=True).reshape(shape)


def labels(node: Expr) -> tuple[list[int], list[int], list[int]]:
    """Give the labels of the axes of a product's operands and result, as `np.einsum` takes them."""
    if node.op == "contract":
        return tuple(list(node.attrs[name]) for name in ("left", "right", "out"))  # type: ignore[return-value]
    if node.op != "matmul":
        raise UnplacedError("products", node)
    (left, right), summed, row, column = (arg.ndim for arg in node.args), 0, 1, 2
    batch = [3 + k for k in range(max(left, right, 2) - 2)][::-1]  # aligned at the end, the last one is 3
    own = [[b for b in batch if b - 3 < rank - 2] for rank in (left, right)]
    rows, columns = [row] if left > 1 else [], [column] if right > 1 else []
    return [*own[0], *rows, summed], [*own[1], summed, *columns], [*batch, *rows, *columns]


def einsum(a: np.ndarray, la: list[int], b: np.ndarray, lb: list[int], out: list[int]) -> np.ndarray:
    """Sum products; a label of size 1 broadcasts, and one that only one operand has is summed first."""
    for x, own, other in ((0, la, lb), (1, lb, la)):
        lost = tuple(k for k, label in enumerate(own) if label not in other and label not in out)
        if lost:
            rest = [label for k, label in enumerate(own) if k not in lost]
            return einsum(a.sum(lost), rest, b, lb, out) if x == 0 else einsum(a, la, b.sum(lost), rest, out)
    return np.asarray(np.einsum(a, la, b, lb, out))
